// Package clinic is a place where people are seen, in one time zone, on the days
// and at the hours of its calendar.
//
//	(nothing) --Register--> registered --Change, SetCalendar--> registered, other profile, zone or hours
//	                            |
//	                          Close
//	                            v
//	                         closed: no new bookings or schedules
//
// There is one clinic of a name at an address: see package name.
package clinic

import (
	"math"
	"net/url"
	"slices"
	"strings"

	"github.com/slotbook/slotbook/domain"
)

// Category is the category of clinic streams.
const Category = "clinic"

// Stream returns the stream of a clinic.
func Stream(id domain.ClinicID) domain.StreamName { return domain.Stream(Category, string(id)) }

// Profile is what a clinic says of itself.
type Profile struct {
	Name     string    `json:"name"`
	Zone     string    `json:"zone"` // IANA name
	Address  string    `json:"address,omitempty"`
	Location *Location `json:"location,omitempty"`

	Town        string `json:"town,omitempty"`     // a code of the reference data
	District    string `json:"district,omitempty"` // likewise, of the town
	PostalCode  string `json:"postalCode,omitempty"`
	Country     string `json:"country,omitempty"` // ISO 3166-1 alpha-2
	Phone       string `json:"phone,omitempty"`
	Email       string `json:"email,omitempty"`
	Site        string `json:"site,omitempty"` // an address of the web
	Description string `json:"description,omitempty"`
	Ownership   string `json:"ownership,omitempty"` // "state" or "private"; "" = nothing is said
}

// The ownerships of a clinic.
const (
	OfState = "state"
	Private = "private"
)

// Place is what the reference data says of the town and the district that a
// profile names.
type Place struct {
	Country  string
	Town     string    // its code, "" = the profile names none that exists
	Location *Location // of the town's centre
	District string    // its code, "" = the profile names none of the town
	Gone     bool      // the authority has withdrawn the one or the other
	Unknown  bool      // there is no reference data to ask: nothing is compared
}

// Location is a place on Earth in WGS 84 degrees: latitude -90 to 90,
// longitude -180 to 180.
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// State is the clinic; the zero value is one that does not exist.
type State struct {
	ID         domain.ClinicID
	Profile            // the zone is the one in force
	Registered Profile // as it was registered: what a repeat says
	Calendar   domain.Calendar
	NameKey    string // the keyed hash of the name and address that it has for itself; "" = none
	Closed     bool
	Lapsed     int // the set of the last claim of a name that came to nothing
}

// The limits of a calendar.
const (
	MaxHours       = 100  // stretches of a week
	MaxClosingDays = 1000 // dates
	MaxReason      = 200  // bytes
)

// The limits of a profile.
const (
	MaxDistance    = 50_000 // metres between a clinic and the centre of its town
	MaxText        = 500    // bytes of a short text
	MaxDescription = 5000   // bytes
)

// Command is something to do to a clinic.
//
//sumtype:decl
type Command interface{ command() }

// Register makes a clinic known.
type Register struct {
	Clinic  domain.ClinicID
	Profile Profile
	Place   Place
	NameKey string // the keyed hash of name and address; "" = the profile has no address
}

// Change replaces what a clinic says of itself.
type Change struct {
	Profile Profile // a zone of "" keeps the zone
	Place   Place
	NameKey string // as of Register
}

// Close ends a clinic for good. What is booked stays until it is cancelled or
// over.
type Close struct{}

// LapseName says that the clinic does not come to have a name that was claimed
// for it, since the claim's deadline has passed.
type LapseName struct {
	Clinic domain.ClinicID
	Key    string
	Set    int // of the claim
}

// SetCalendar replaces when the clinic is open, and its zone.
type SetCalendar struct {
	Zone     string // IANA name; "" keeps the zone
	Calendar domain.Calendar
}

func (Register) command()    {}
func (Change) command()      {}
func (Close) command()       {}
func (LapseName) command()   {}
func (SetCalendar) command() {}

// Event is a fact about a clinic.
//
//sumtype:decl
type Event interface {
	domain.Event
	clinicEvent()
}

// Registered says that a clinic is known.
type Registered struct {
	Clinic domain.ClinicID `json:"clinic"`
	Profile
	NameKey string `json:"nameKey,omitempty"`
}

// EventType returns "clinic.registered".
func (Registered) EventType() string { return "clinic.registered" }

// CalendarSet says when the clinic is open from now on, and in which zone.
type CalendarSet struct {
	Clinic domain.ClinicID `json:"clinic"`
	Zone   string          `json:"zone"`
	domain.Calendar
}

// EventType returns "clinic.calendar-set".
func (CalendarSet) EventType() string { return "clinic.calendar-set" }

// Changed is what a clinic says of itself from now on.
type Changed struct {
	Clinic domain.ClinicID `json:"clinic"`
	Profile
	NameKey string `json:"nameKey,omitempty"`
}

// EventType returns "clinic.changed".
func (Changed) EventType() string { return "clinic.changed" }

// WasClosed says that the clinic takes no new bookings or schedules.
type WasClosed struct {
	Clinic domain.ClinicID `json:"clinic"`
}

// EventType returns "clinic.closed".
func (WasClosed) EventType() string { return "clinic.closed" }

// NameLapsed says that a claim of a name ended without the clinic's having it.
type NameLapsed struct {
	Clinic domain.ClinicID `json:"clinic"`
	Key    string          `json:"key"`
	Set    int             `json:"set"` // of the claim
}

// EventType returns "clinic.name-lapsed".
func (NameLapsed) EventType() string { return "clinic.name-lapsed" }

func (Registered) clinicEvent()  {}
func (Changed) clinicEvent()     {}
func (WasClosed) clinicEvent()   {}
func (NameLapsed) clinicEvent()  {}
func (CalendarSet) clinicEvent() {}

// The refusals of a clinic.
var (
	ErrNotFound = domain.Refusal(domain.NotFound, "clinic.not-found", "there is no such clinic")
	ErrExists   = domain.Refusal(domain.Conflict, "clinic.exists", "a clinic with this id exists already and says something else")
	ErrNoName   = domain.Refusal(domain.Invalid, "clinic.name", "a clinic has a name")
	ErrLocation = domain.Refusal(domain.Invalid, "clinic.location", "a latitude lies between -90 and 90, a longitude between -180 and 180")

	ErrClosed      = domain.Refusal(domain.Gone, "clinic.closed", "the clinic is closed for good")
	ErrTown        = domain.Refusal(domain.Refused, "clinic.town", "the reference data has no such town, or the district or the country is not the town's")
	ErrImplausible = domain.Refusal(domain.Refused, "clinic.implausible-place", "the clinic is more than 50 km from the centre of its town")
	ErrCountry     = domain.Refusal(domain.Invalid, "clinic.country", "a country is two capital letters as in ISO 3166-1")
	ErrContact     = domain.Refusal(domain.Invalid, "clinic.contact", "a phone number has digits, an e-mail address one @, and a site begins with http:// or https://")
	ErrOwnership   = domain.Refusal(domain.Invalid, "clinic.ownership", "a clinic is of the state or private, or says nothing of it")
	ErrTooLong     = domain.Refusal(domain.Invalid, "clinic.too-long", "a description has up to 5000 bytes, every other text up to 500")

	ErrHours       = domain.Refusal(domain.Invalid, "clinic.hours", "opening hours name a weekday, begin before 24:00 and end by 24:00, of the next day when they end at or before their start; a week has at most 100")
	ErrOverlap     = domain.Refusal(domain.Invalid, "clinic.hours-overlap", "opening hours of a week do not overlap, past midnight neither")
	ErrOpen24h     = domain.Refusal(domain.Invalid, "clinic.open-24h", "a clinic is open round the clock or has opening hours, not both")
	ErrClosingDays = domain.Refusal(domain.Invalid, "clinic.closing-days", "closing days are at most 1000 different dates, each with a reason of up to 200 bytes")
)

// Decide returns what the command does to the clinic.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Register:
		return register(s, c)
	case Change:
		return change(s, c)
	case SetCalendar:
		return setCalendar(s, c)
	case Close:
		switch {
		case s.ID == "":
			return nil, ErrNotFound
		case s.Closed:
			return nil, nil
		}
		return []Event{WasClosed{s.ID}}, nil
	case LapseName:
		if s.NameKey == c.Key || c.Set <= s.Lapsed {
			return nil, nil
		}
		return []Event{NameLapsed(c)}, nil
	}
	return nil, nil
}

func register(s State, c Register) ([]Event, error) {
	if s.ID != "" && s.Registered == c.Profile.at(s.Registered.Location) {
		return nil, nil
	}
	p, err := c.Profile.checked(s, c.Place)
	if err != nil {
		return nil, err
	}
	switch {
	case s.ID == "":
		return []Event{Registered{c.Clinic, p, c.NameKey}}, nil
	case s.Registered == p.at(s.Registered.Location):
		return nil, nil
	}
	return nil, ErrExists
}

func change(s State, c Change) ([]Event, error) {
	switch {
	case s.ID == "":
		return nil, ErrNotFound
	case s.Closed:
		return nil, ErrClosed
	case c.Profile.Zone == "":
		c.Profile.Zone = s.Zone
	}
	p, err := c.Profile.checked(s, c.Place)
	if err != nil || s.Profile == p.at(s.Location) && s.NameKey == c.NameKey {
		return nil, err
	}
	return []Event{Changed{s.ID, p, c.NameKey}}, nil
}

// at returns the profile with that location in place of an equal one, so that
// profiles can be compared.
func (p Profile) at(l *Location) Profile {
	if p.Location != nil && l != nil && *p.Location == *l {
		p.Location = l
	}
	return p
}

// checked returns the profile with the country of its town, or what cannot be.
func (p Profile) checked(s State, place Place) (Profile, error) {
	if domain.Blank(p.Name) {
		return p, ErrNoName
	}
	if _, err := domain.Zone(p.Zone); err != nil {
		return p, err
	}
	if l := p.Location; l != nil && !(l.Latitude >= -90 && l.Latitude <= 90 && l.Longitude >= -180 && l.Longitude <= 180) {
		return p, ErrLocation
	}
	if err := p.checkTexts(); err != nil {
		return p, err
	}
	return p.placed(s, place)
}

func (p Profile) checkTexts() error {
	name, host, at := strings.Cut(p.Email, "@")
	site, err := url.Parse(p.Site)
	switch {
	case p.Country != "" && (len(p.Country) != 2 || strings.Trim(p.Country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != ""):
		return ErrCountry
	case p.Phone != "" && (strings.Trim(p.Phone, "+0123456789 ()-.") != "" || !strings.ContainsAny(p.Phone, "0123456789")):
		return ErrContact
	case p.Email != "" && (!at || name == "" || host == "" || strings.ContainsAny(p.Email, " \t\r\n,;") || strings.Contains(host, "@")):
		return ErrContact
	case p.Site != "" && (err != nil || site.Scheme != "http" && site.Scheme != "https" || site.Host == ""):
		return ErrContact
	case p.Ownership != "" && p.Ownership != OfState && p.Ownership != Private:
		return ErrOwnership
	case max(len(p.PostalCode), len(p.Phone), len(p.Email), len(p.Site), len(p.Address)) > MaxText, len(p.Description) > MaxDescription:
		return ErrTooLong
	}
	return nil
}

// placed compares the profile with what the reference data says. A withdrawn
// town may stay, and is not chosen any more.
func (p Profile) placed(s State, place Place) (Profile, error) {
	if p.Town == "" && p.District == "" || place.Unknown {
		return p, nil
	}
	stays := p.Town == s.Town && p.District == s.District
	switch {
	case place.Town == "" || place.District != p.District || place.Gone && !stays, p.Country != "" && p.Country != place.Country:
		return p, ErrTown
	case p.Location != nil && place.Location != nil && p.Location.metresTo(*place.Location) > MaxDistance:
		return p, ErrImplausible
	}
	p.Country = place.Country
	return p, nil
}

// metresTo returns the length of the great circle between two places, by the
// haversine formula on a sphere of the Earth's mean radius (IUGG).
func (l Location) metresTo(m Location) float64 {
	const radius, degree = 6_371_008.8, math.Pi / 180
	latitude := math.Sin((m.Latitude - l.Latitude) * degree / 2)
	longitude := math.Sin((m.Longitude - l.Longitude) * degree / 2)
	h := latitude*latitude + math.Cos(l.Latitude*degree)*math.Cos(m.Latitude*degree)*longitude*longitude
	return 2 * radius * math.Asin(math.Sqrt(min(h, 1)))
}

func setCalendar(s State, c SetCalendar) ([]Event, error) {
	switch {
	case s.ID == "":
		return nil, ErrNotFound
	case s.Closed:
		return nil, ErrClosed
	case c.Zone == "":
		c.Zone = s.Zone
	}
	if _, err := domain.Zone(c.Zone); err != nil {
		return nil, err
	}
	if err := check(c.Calendar); err != nil {
		return nil, err
	}
	c.Calendar.ClosingDays = slices.SortedFunc(slices.Values(c.Calendar.ClosingDays), byDay)
	if c.Zone == s.Zone && c.Calendar.Equal(s.Calendar) {
		return nil, nil
	}
	return []Event{CalendarSet{s.ID, c.Zone, c.Calendar}}, nil
}

func byDay(a, b domain.ClosingDay) int { return strings.Compare(string(a.Day), string(b.Day)) }

func check(c domain.Calendar) error {
	if c.Open24h && len(c.Hours) > 0 {
		return ErrOpen24h
	}
	if len(c.Hours) > MaxHours {
		return ErrHours
	}
	for i, h := range c.Hours {
		if !h.Valid() {
			return ErrHours
		}
		if slices.ContainsFunc(c.Hours[:i], h.Overlaps) {
			return ErrOverlap
		}
	}
	return checkClosing(c.ClosingDays)
}

func checkClosing(days []domain.ClosingDay) error {
	if len(days) > MaxClosingDays {
		return ErrClosingDays
	}
	seen := map[domain.Day]bool{}
	for _, d := range days {
		if _, err := domain.ParseDay(string(d.Day)); err != nil {
			return err
		}
		if seen[d.Day] || domain.Blank(d.Reason) || len(strings.TrimSpace(d.Reason)) > MaxReason {
			return ErrClosingDays
		}
		seen[d.Day] = true
	}
	return nil
}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Registered:
		s = State{ID: e.Clinic, Profile: e.Profile, Registered: e.Profile, NameKey: e.NameKey, Lapsed: s.Lapsed}
	case Changed:
		s.Profile, s.NameKey = e.Profile, e.NameKey
	case WasClosed:
		s.Closed, s.Calendar.Closed, s.NameKey = true, true, ""
	case NameLapsed:
		s.Lapsed = e.Set
	case CalendarSet:
		s.Zone, s.Calendar = e.Zone, e.Calendar
	}
	return s
}
