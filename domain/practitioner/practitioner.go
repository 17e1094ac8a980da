// Package practitioner is a person who sees patients, at one or more clinics.
//
//	(nothing) --Register--> registered --Change, Follow--> registered, other profile or council number
//	                                   --ShowPicture, RemovePicture--> registered, other picture or none
//
// There is one practitioner of a council number in a state: see package name.
package practitioner

import (
	"slices"
	"strings"

	"github.com/slotbook/slotbook/domain"
)

// Category is the category of practitioner streams.
const Category = "practitioner"

// Stream returns the stream of a practitioner.
func Stream(id domain.PractitionerID) domain.StreamName {
	return domain.Stream(Category, string(id))
}

// Profile is what a practitioner's entry says.
type Profile struct {
	Name        string            `json:"name"`
	Specialties []string          `json:"specialties,omitempty"`
	Clinics     []domain.ClinicID `json:"clinics"`

	Introduction   string          `json:"introduction,omitempty"`
	Qualifications []Qualification `json:"qualifications,omitempty"`
	Treatments     []string        `json:"treatments,omitempty"` // that no insurance pays for
	Languages      []string        `json:"languages,omitempty"`  // BCP 47, as in pt-BR
	Fees           []Fee           `json:"fees,omitempty"`
	Council        Council         `json:"council,omitzero"`
}

// Qualification is what a practitioner has learnt, by a code of the reference
// data or by a name.
type Qualification struct {
	Code      string `json:"code,omitempty"`
	Name      string `json:"name,omitempty"`
	Year      int    `json:"year"` // in which it was got
	Institute string `json:"institute,omitempty"`
}

// Fee is what a visit of a type costs with this practitioner, in place of the
// visit type's own fee.
type Fee struct {
	VisitType domain.VisitTypeID `json:"visitType"`
	Amount    int64              `json:"amount"`   // in minor units of the currency, 0 or more
	Currency  string             `json:"currency"` // ISO 4217 code
}

// Council is a number of a Brazilian medical council; the zero value is none.
type Council struct {
	Number string `json:"number"` // 4 to 7 digits
	State  string `json:"state"`  // two letters, of the postal code of the first clinic that has one
}

// Since returns the year of the first qualification, from which experience
// counts; 0 without any.
func (p Profile) Since() int {
	first := 0
	for _, q := range p.Qualifications {
		if first == 0 || q.Year < first {
			first = q.Year
		}
	}
	return first
}

func (p Profile) same(q Profile) bool {
	return p.Name == q.Name && slices.Equal(p.Specialties, q.Specialties) && slices.Equal(p.Clinics, q.Clinics) &&
		p.Introduction == q.Introduction && slices.Equal(p.Qualifications, q.Qualifications) && slices.Equal(p.Treatments, q.Treatments) &&
		slices.Equal(p.Languages, q.Languages) && slices.Equal(p.Fees, q.Fees) && p.Council == q.Council
}

// The limits of a profile.
const (
	MaxIntroduction = 5000 // bytes
	MaxText         = 200  // bytes of a short text
	MaxItems        = 100  // of each list
	FirstYear       = 1900 // of a qualification
)

// The limits of a picture that is uploaded.
const (
	MaxPicture = 10 << 20   // bytes
	MaxPixels  = 40_000_000 // what is decoded takes four bytes or eight for each
)

// State is the practitioner; the zero value is one that does not exist.
type State struct {
	ID domain.PractitionerID
	Profile
	Registered Profile // as it was registered: what a repeat says
	CouncilKey string  // the keyed hash of the council number; "" = none
	Lapsed     int     // the set of the last claim of a council number that came to nothing
	Picture    string  // the SHA-256 of the picture, in hexadecimal; "" = none
}

// Known is what was looked up for a profile.
type Known struct {
	Unknown    []string // codes of specialties and qualifications that the reference data has not, or no more
	State      string   // of the postal code of the first clinic that has a Brazilian one; "" = none has
	CouncilKey string   // the keyed hash of the council number in that state; "" = none
	Year       int      // that it is
}

// Command is something to do to a practitioner.
//
//sumtype:decl
type Command interface{ command() }

type (
	// Register makes a practitioner known. The council's state is what is known.
	Register struct {
		Practitioner domain.PractitionerID
		Profile      Profile
		Known        Known
	}
	// Change replaces the profile.
	Change struct {
		Profile Profile
		Known   Known
	}
	// Follow makes the council number that of the state where the clinics are.
	Follow struct{ Known Known }
	// LapseCouncil says that the practitioner does not come to have a council
	// number that was claimed, since the claim's deadline has passed.
	LapseCouncil struct {
		Practitioner domain.PractitionerID
		Key          string
		Set          int // of the claim
	}
)

type (
	// ShowPicture makes a stored picture that of the practitioner.
	ShowPicture struct{ Picture string } // its SHA-256, in hexadecimal
	// RemovePicture leaves the practitioner without a picture.
	RemovePicture struct{}
)

func (Register) command()     {}
func (Change) command()       {}
func (Follow) command()       {}
func (LapseCouncil) command() {}

func (ShowPicture) command()   {}
func (RemovePicture) command() {}

// Event is a fact about a practitioner.
//
//sumtype:decl
type Event interface {
	domain.Event
	practitionerEvent()
}

type (
	// Registered says that a practitioner is known.
	Registered struct {
		Practitioner domain.PractitionerID `json:"practitioner"`
		Profile
		CouncilKey string `json:"councilKey,omitempty"`
	}
	// Changed is what the practitioner's entry says from now on.
	Changed struct {
		Practitioner domain.PractitionerID `json:"practitioner"`
		Profile
		CouncilKey string `json:"councilKey,omitempty"`
	}
	// CouncilMoved says that the council number is another state's.
	CouncilMoved struct {
		Practitioner domain.PractitionerID `json:"practitioner"`
		Council      Council               `json:"council"`
		CouncilKey   string                `json:"councilKey"`
	}
	// CouncilLapsed says that a claim of a council number ended without the
	// practitioner's having it.
	CouncilLapsed struct {
		Practitioner domain.PractitionerID `json:"practitioner"`
		Key          string                `json:"key"`
		Set          int                   `json:"set"` // of the claim
	}
)

type (
	// PictureShown says which picture the practitioner has.
	PictureShown struct {
		Practitioner domain.PractitionerID `json:"practitioner"`
		Picture      string                `json:"picture"` // its SHA-256, in hexadecimal
	}
	// PictureRemoved says that the practitioner has no picture any more.
	PictureRemoved struct {
		Practitioner domain.PractitionerID `json:"practitioner"`
	}
)

// EventType returns "practitioner.picture-shown".
func (PictureShown) EventType() string { return "practitioner.picture-shown" }

// EventType returns "practitioner.picture-removed".
func (PictureRemoved) EventType() string { return "practitioner.picture-removed" }

func (PictureShown) practitionerEvent()   {}
func (PictureRemoved) practitionerEvent() {}

// EventType returns "practitioner.registered".
func (Registered) EventType() string { return "practitioner.registered" }

// EventType returns "practitioner.changed".
func (Changed) EventType() string { return "practitioner.changed" }

// EventType returns "practitioner.council-moved".
func (CouncilMoved) EventType() string { return "practitioner.council-moved" }

// EventType returns "practitioner.council-lapsed".
func (CouncilLapsed) EventType() string { return "practitioner.council-lapsed" }

func (Registered) practitionerEvent()    {}
func (Changed) practitionerEvent()       {}
func (CouncilMoved) practitionerEvent()  {}
func (CouncilLapsed) practitionerEvent() {}

// The refusals of a practitioner.
var (
	ErrNotFound      = domain.Refusal(domain.NotFound, "practitioner.not-found", "there is no such practitioner")
	ErrExists        = domain.Refusal(domain.Conflict, "practitioner.exists", "a practitioner with this id exists already and says something else")
	ErrNoName        = domain.Refusal(domain.Invalid, "practitioner.name", "a practitioner has a name")
	ErrNoClinic      = domain.Refusal(domain.Invalid, "practitioner.clinics", "a practitioner works at one clinic or more, each named once")
	ErrSpecialty     = domain.Refusal(domain.Invalid, "practitioner.specialties", "a specialty is a word, each named once")
	ErrUnknown       = domain.Refusal(domain.Refused, "practitioner.unknown-code", "the reference data has no such specialty or qualification, or has it no longer")
	ErrQualification = domain.Refusal(domain.Invalid, "practitioner.qualifications", "a qualification has either a code or a name, a year from 1900 to this one, and is named once; there are at most 100")
	ErrTreatments    = domain.Refusal(domain.Invalid, "practitioner.treatments", "a treatment has 1 to 200 bytes and is named once; there are at most 100")
	ErrLanguage      = domain.Refusal(domain.Invalid, "practitioner.languages", "a language is written as in BCP 47, such as pt or pt-BR, and is named once; there are at most 100")
	ErrFees          = domain.Refusal(domain.Invalid, "practitioner.fees", "a fee is 0 or more minor units of a currency, which is three capital letters as in ISO 4217; each visit type has one, and there are at most 100")
	ErrCouncil       = domain.Refusal(domain.Invalid, "practitioner.council", "a council number has 4 to 7 digits")
	ErrNoState       = domain.Refusal(domain.Refused, "practitioner.council-state", "the state of a council number is that of the practitioner's first clinic in Brazil with a postal code; there is none")
	ErrTooLong       = domain.Refusal(domain.Invalid, "practitioner.too-long", "an introduction has up to 5000 bytes, every other text up to 200")

	ErrPicture   = domain.Refusal(domain.Invalid, "picture.format", "a picture is a whole JPEG, PNG or WebP file")
	ErrPixels    = domain.Refusal(domain.Invalid, "picture.pixels", "a picture has at most 40 million pixels")
	ErrNoPicture = domain.Refusal(domain.NotFound, "practitioner.no-picture", "the practitioner has no picture")

	ErrElsewhere = domain.Refusal(domain.Refused, "practitioner.elsewhere", "the practitioner does not work at this clinic")
)

// Decide returns what the command does to the practitioner. That the clinics
// and visit types exist is for the caller to see to.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Register:
		return register(s, c)
	case Change:
		return change(s, c)
	case Follow:
		return follow(s, c)
	case LapseCouncil:
		if s.CouncilKey == c.Key || c.Set <= s.Lapsed {
			return nil, nil
		}
		return []Event{CouncilLapsed(c)}, nil
	case ShowPicture:
		return showPicture(s, c)
	case RemovePicture:
		return removePicture(s)
	}
	return nil, nil
}

func showPicture(s State, c ShowPicture) ([]Event, error) {
	switch {
	case s.ID == "":
		return nil, ErrNotFound
	case s.Picture == c.Picture:
		return nil, nil
	}
	return []Event{PictureShown{s.ID, c.Picture}}, nil
}

func removePicture(s State) ([]Event, error) {
	switch {
	case s.ID == "":
		return nil, ErrNotFound
	case s.Picture == "":
		return nil, nil
	}
	return []Event{PictureRemoved{s.ID}}, nil
}

func register(s State, c Register) ([]Event, error) {
	p := c.Profile.in(c.Known)
	if s.ID != "" && s.Registered.same(p.withState(s.Registered.Council.State)) {
		return nil, nil
	}
	if err := p.check(s, c.Known); err != nil {
		return nil, err
	}
	if s.ID == "" {
		return []Event{Registered{c.Practitioner, p, c.Known.CouncilKey}}, nil
	}
	return nil, ErrExists
}

func change(s State, c Change) ([]Event, error) {
	if s.ID == "" {
		return nil, ErrNotFound
	}
	p := c.Profile.in(c.Known)
	if err := p.check(s, c.Known); err != nil {
		return nil, err
	}
	if s.Profile.same(p) && s.CouncilKey == c.Known.CouncilKey {
		return nil, nil
	}
	return []Event{Changed{s.ID, p, c.Known.CouncilKey}}, nil
}

// follow leaves a number alone whose clinics have left Brazil.
func follow(s State, c Follow) ([]Event, error) {
	switch {
	case s.ID == "":
		return nil, ErrNotFound
	case s.Council.Number == "" || c.Known.State == "" || c.Known.State == s.Council.State:
		return nil, nil
	}
	return []Event{CouncilMoved{s.ID, s.Profile.in(c.Known).Council, c.Known.CouncilKey}}, nil
}

// in returns the profile with its council number in the state that is known.
func (p Profile) in(k Known) Profile { return p.withState(k.State) }

func (p Profile) withState(state string) Profile {
	if p.Council.Number != "" {
		p.Council.State = state
	}
	return p
}

func (p Profile) check(s State, k Known) error {
	switch {
	case domain.Blank(p.Name):
		return ErrNoName
	case len(p.Clinics) == 0 || repeats(p.Clinics):
		return ErrNoClinic
	case slices.Contains(p.Specialties, "") || repeats(p.Specialties):
		return ErrSpecialty
	case len(p.Introduction) > MaxIntroduction:
		return ErrTooLong
	case !texts(p.Treatments):
		return ErrTreatments
	case len(p.Languages) > MaxItems || repeats(p.Languages) || !every(p.Languages, isLanguage):
		return ErrLanguage
	}
	for _, code := range k.Unknown {
		if !slices.Contains(s.Specialties, code) && !slices.ContainsFunc(s.Qualifications, func(q Qualification) bool { return q.Code == code }) {
			return ErrUnknown
		}
	}
	if err := p.checkQualifications(k.Year); err != nil {
		return err
	}
	return p.checkMoney()
}

func (p Profile) checkQualifications(year int) error {
	seen := map[Qualification]bool{}
	for _, q := range p.Qualifications {
		if max(len(q.Name), len(q.Institute), len(q.Code)) > MaxText {
			return ErrTooLong
		}
		named := !domain.Blank(q.Name)
		if named == (q.Code != "") || q.Year < FirstYear || q.Year > year || seen[q] || len(p.Qualifications) > MaxItems {
			return ErrQualification
		}
		seen[q] = true
	}
	return nil
}

func (p Profile) checkMoney() error {
	seen := map[domain.VisitTypeID]bool{}
	for _, f := range p.Fees {
		if f.VisitType == "" || seen[f.VisitType] || f.Amount < 0 || len(f.Currency) != 3 || !of(f.Currency, capitals) || len(p.Fees) > MaxItems {
			return ErrFees
		}
		seen[f.VisitType] = true
	}
	switch n := len(p.Council.Number); {
	case n == 0:
	case n < 4 || n > 7 || !of(p.Council.Number, digits):
		return ErrCouncil
	case p.Council.State == "":
		return ErrNoState
	}
	return nil
}

const (
	capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	small    = "abcdefghijklmnopqrstuvwxyz"
	digits   = "0123456789"
)

// of reports whether the text has no other letters.
func of(text, letters string) bool { return strings.Trim(text, letters) == "" }

func every[T any](items []T, is func(T) bool) bool {
	return !slices.ContainsFunc(items, func(x T) bool { return !is(x) })
}

func texts(items []string) bool {
	return len(items) <= MaxItems && !repeats(items) &&
		every(items, func(x string) bool { return !domain.Blank(x) && len(x) <= MaxText })
}

// isLanguage reports whether the text is a language, perhaps with a script and
// a region, spelled as BCP 47 recommends (RFC 5646, section 2.1.1).
func isLanguage(text string) bool {
	parts := strings.Split(text, "-")
	if n := len(parts[0]); n < 2 || n > 3 || !of(parts[0], small) {
		return false
	}
	parts = parts[1:]
	if len(parts) > 0 && len(parts[0]) == 4 && of(parts[0][:1], capitals) && of(parts[0][1:], small) {
		parts = parts[1:]
	}
	if len(parts) > 0 && (len(parts[0]) == 2 && of(parts[0], capitals) || len(parts[0]) == 3 && of(parts[0], digits)) {
		parts = parts[1:]
	}
	return len(parts) == 0
}

func repeats[T ~string](values []T) bool {
	seen := map[T]bool{}
	for _, v := range values {
		if seen[v] {
			return true
		}
		seen[v] = true
	}
	return false
}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Registered:
		s = State{ID: e.Practitioner, Profile: e.Profile, Registered: e.Profile, CouncilKey: e.CouncilKey, Lapsed: s.Lapsed}
	case Changed:
		s.Profile, s.CouncilKey = e.Profile, e.CouncilKey
	case CouncilMoved:
		s.Council, s.CouncilKey = e.Council, e.CouncilKey
	case CouncilLapsed:
		s.Lapsed = e.Set
	case PictureShown:
		s.Picture = e.Picture
	case PictureRemoved:
		s.Picture = ""
	}
	return s
}
