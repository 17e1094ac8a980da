package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/projections"
)

// Patient is a patient as the API shows one.
type Patient struct {
	ID           string          `json:"id" doc:"Opaque" example:"018f6b1e-0000-7000-8000-000000000003"`
	Name         *string         `json:"name" nullable:"true" doc:"null when erased" example:"Maria Silva"`
	Contact      *PatientContact `json:"contact,omitempty"`
	GuardianID   string          `json:"guardianId,omitempty" doc:"Who books for the patient; absent = nobody else" example:"018f6b1e-0000-7000-8000-000000000005"`
	DependentIDs []string        `json:"dependentIds,omitempty" nullable:"false" doc:"Whose guardian the patient is; lists leave it out" example:"018f6b1e-0000-7000-8000-000000000006"`
	MergedInto   string          `json:"mergedInto,omitempty" doc:"The patient was registered twice; this one is to be used instead" example:"018f6b1e-0000-7000-8000-000000000007"`
	DuplicateIDs []string        `json:"duplicateIds,omitempty" nullable:"false" doc:"Who was merged into the patient; lists leave it out" example:"018f6b1e-0000-7000-8000-000000000008"`
	Erased       bool            `json:"erased,omitempty" doc:"The patient's personal data was erased"`
}

// PatientContact is how to reach a patient.
type PatientContact struct {
	Email *string `json:"email,omitempty" example:"maria@example.org"`
	Phone *string `json:"phone,omitempty" example:"+351 910 000 000"`
}

// PatientBody is what a patient gives.
type PatientBody struct {
	Name       string       `json:"name" maxLength:"200" example:"Maria Silva"`
	Contact    *ContactBody `json:"contact,omitempty"`
	GuardianID string       `json:"guardianId,omitempty" maxLength:"64" doc:"Who books for the patient; absent = nobody else"`
}

// ContactBody is how to reach a patient.
type ContactBody struct {
	Email string `json:"email,omitempty" maxLength:"254" example:"maria@example.org"`
	Phone string `json:"phone,omitempty" maxLength:"50" example:"+351 910 000 000"`
}

type registerPatientInput struct {
	CommandParams
	Body PatientBody
}

// GuardianBody names who books for a patient.
type GuardianBody struct {
	GuardianID string `json:"guardianId" maxLength:"64" doc:"Somebody who has no guardian" example:"018f6b1e-0000-7000-8000-000000000005"`
}

type setGuardianInput struct {
	CommandParams
	ID   string `path:"id" doc:"The dependent" example:"018f6b1e-0000-7000-8000-000000000003"`
	Body GuardianBody
}

// MergeBody names the patient who is kept.
type MergeBody struct {
	Into string `json:"into" maxLength:"64" doc:"The patient who is kept" example:"018f6b1e-0000-7000-8000-000000000007"`
}

type mergeInput struct {
	CommandParams
	ID   string `path:"id" doc:"The duplicate" example:"018f6b1e-0000-7000-8000-000000000003"`
	Body MergeBody
}

// byIDCommand is a command that needs nothing but an id.
type byIDCommand struct {
	CommandParams
	ID string `path:"id" doc:"The id" example:"018f6b1e-0000-7000-8000-000000000003"`
}

type patientsInput struct {
	ListParams
	Q          string `query:"q" maxLength:"200" doc:"Part of a name, or of a phone number. Case, accents and punctuation do not matter. Blank = no filter; without a letter or digit it is refused" example:"silva"`
	GuardianID string `query:"guardianId" maxLength:"64" doc:"Only the dependents of this patient"`
	Merged     bool   `query:"merged" doc:"Those too who were merged into others"`
}

// Patients finds patients: [projections.Patients].
type Patients interface {
	Search(ctx context.Context, f projections.PatientFilter, least domain.Position) (projections.List[projections.Patient], error)
}

func (a *api) patientRoutes() {
	command(a, operation{
		id: "registerPatient", method: http.MethodPost, path: "/v1/patients", tag: "Patients", creates: true,
		summary:  "Register a patient",
		detail:   "Name and contact are sealed under the patient's own key before they are stored.",
		refusals: append(guardianRefusals(), patient.ErrNoName, patient.ErrEmail, patient.ErrExists),
	}, a.registerPatient)
	a.tieRoutes()
	one(a, operation{
		id: "getPatient", method: http.MethodGet, path: "/v1/patients/{id}", tag: "Patients",
		summary: "Get a patient", refusals: []*domain.Error{patient.ErrNotFound},
	}, a.patient)
	list(a, operation{
		id: "listPatients", method: http.MethodGet, path: "/v1/patients", tag: "Patients", summary: "Find patients by part of a name or phone number",
		refusals: []*domain.Error{errNoWord},
	}, a.patients)
}

func guardianRefusals() []*domain.Error {
	return []*domain.Error{patient.ErrNotFound, patient.ErrOwnGuardian, patient.ErrHasGuardian, patient.ErrHasDependents, patient.ErrMerged}
}

// tieRoutes declares how patients are tied to one another.
func (a *api) tieRoutes() {
	command(a, operation{
		id: "setGuardian", method: http.MethodPut, path: "/v1/patients/{id}/guardian", tag: "Patients",
		summary:  "Say who books for a patient",
		detail:   "In place of who did before. A guardian has no guardian.",
		refusals: guardianRefusals(),
	}, a.setGuardian)
	command(a, operation{
		id: "removeGuardian", method: http.MethodDelete, path: "/v1/patients/{id}/guardian", tag: "Patients",
		summary: "Say that nobody else books for a patient", refusals: []*domain.Error{patient.ErrNotFound},
	}, a.removeGuardian)
	command(a, operation{
		id: "mergePatient", method: http.MethodPost, path: "/v1/patients/{id}/merge", tag: "Patients",
		summary: "Merge a patient who was registered twice into the one who is kept",
		detail: "The appointments of both are then the kept one's. What was booked stays booked; nothing more is booked for the other. " +
			"Merging again into the same one changes nothing.",
		refusals: []*domain.Error{
			patient.ErrNotFound, patient.ErrMergeSelf, patient.ErrMerged, patient.ErrHasDuplicates, patient.ErrHasDependents, patient.ErrOtherGuardian,
		},
	}, a.mergePatient)
	command(a, operation{
		id: "unmergePatient", method: http.MethodPost, path: "/v1/patients/{id}/unmerge", tag: "Patients",
		summary: "Undo a merge", refusals: []*domain.Error{patient.ErrNotFound},
	}, a.unmergePatient)
}

func (a *api) registerPatient(ctx context.Context, req commands.Request, in *registerPatientInput) (done[Patient], error) {
	c := patient.Register{Patient: domain.PatientID(a.newID(req, "patient")), Name: in.Body.Name, Guardian: domain.PatientID(in.Body.GuardianID)}
	if in.Body.Contact != nil {
		c.Email, c.Phone = in.Body.Contact.Email, in.Body.Contact.Phone
	}
	answer, err := a.Commands.RegisterPatient(ctx, req, c)
	if err != nil {
		return done[Patient]{}, err
	}
	body, err := a.patientOf(ctx, answer.State)
	return finish(answer, body, "/v1/patients/"+body.ID), err
}

func (a *api) setGuardian(ctx context.Context, req commands.Request, in *setGuardianInput) (done[Patient], error) {
	answer, err := a.Commands.SetGuardian(ctx, req, domain.PatientID(in.ID), domain.PatientID(in.Body.GuardianID))
	return a.changedPatient(ctx, answer, err)
}

func (a *api) removeGuardian(ctx context.Context, req commands.Request, in *byIDCommand) (done[Patient], error) {
	answer, err := a.Commands.RemoveGuardian(ctx, req, domain.PatientID(in.ID))
	return a.changedPatient(ctx, answer, err)
}

func (a *api) mergePatient(ctx context.Context, req commands.Request, in *mergeInput) (done[Patient], error) {
	answer, err := a.Commands.MergePatient(ctx, req, domain.PatientID(in.ID), domain.PatientID(in.Body.Into))
	return a.changedPatient(ctx, answer, err)
}

func (a *api) unmergePatient(ctx context.Context, req commands.Request, in *byIDCommand) (done[Patient], error) {
	answer, err := a.Commands.UnmergePatient(ctx, req, domain.PatientID(in.ID))
	return a.changedPatient(ctx, answer, err)
}

func (a *api) changedPatient(ctx context.Context, answer commands.Answer[patient.State], err error) (done[Patient], error) {
	if err != nil {
		return done[Patient]{}, err
	}
	body, err := a.patientOf(ctx, answer.State)
	return finish(answer, body, ""), err
}

func (a *api) patient(ctx context.Context, in *byIDInput) (single[Patient], error) {
	answer, err := a.Commands.Patient(ctx, domain.PatientID(in.ID))
	if err != nil {
		return single[Patient]{}, err
	}
	body, err := a.patientOf(ctx, answer.State)
	return single[Patient]{body, etag(answer.Revision), answer.Position}, err
}

func (a *api) patients(ctx context.Context, in *patientsInput, p page[projections.NameCursor]) (found[Patient, projections.NameCursor], error) {
	words, err := wordsOf(in.Q)
	if err != nil {
		return found[Patient, projections.NameCursor]{}, err
	}
	if len(words) == 0 {
		in.Q = ""
	}
	f := projections.PatientFilter{Query: in.Q, Guardian: domain.PatientID(in.GuardianID), Merged: in.Merged, After: p.after, Limit: p.limit}
	rows, err := a.Patients.Search(ctx, f, in.atLeast())
	return shown(rows, err, func(p projections.Patient) (Patient, error) {
		return a.patientOf(ctx, patient.State{
			ID: p.ID, Name: p.Name, Email: p.Email, Phone: p.Phone, Guardian: p.Guardian, MergedInto: p.MergedInto,
		})
	})
}

// patientOf opens what is sealed of a patient.
func (a *api) patientOf(ctx context.Context, s patient.State) (Patient, error) {
	other := func(t patient.Tie) string { return string(t.Patient) }
	p := Patient{
		ID: string(s.ID), GuardianID: string(s.Guardian), DependentIDs: mapped(s.Dependents, other),
		MergedInto: string(s.MergedInto), DuplicateIDs: mapped(s.Duplicates, other),
	}
	var contact PatientContact
	for _, field := range []struct {
		sealed domain.Sealed
		to     **string
	}{{s.Name, &p.Name}, {s.Email, &contact.Email}, {s.Phone, &contact.Phone}} {
		text, err := open(ctx, a.Codec, field.sealed)
		if err != nil {
			return p, err
		}
		*field.to = text
		p.Erased = p.Erased || text == nil && !field.sealed.IsZero()
	}
	if contact != (PatientContact{}) {
		p.Contact = &contact
	}
	return p, nil
}

// open returns personal text, or nil when there is none, or no longer.
func open(ctx context.Context, codec *eventcodec.Codec, s domain.Sealed) (*string, error) {
	if s.IsZero() {
		return nil, nil //nolint:nilnil // there is no text
	}
	text, err := codec.Open(ctx, s)
	if errors.Is(err, eventcodec.ErrNoKey) {
		return nil, nil //nolint:nilnil // there is no text any more
	}
	if err != nil {
		return nil, err
	}
	return &text, nil
}
