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
	ID      string          `json:"id" doc:"Opaque" example:"018f6b1e-0000-7000-8000-000000000003"`
	Name    *string         `json:"name" nullable:"true" doc:"null when erased" example:"Maria Silva"`
	Contact *PatientContact `json:"contact,omitempty"`
	Erased  bool            `json:"erased,omitempty" doc:"The patient's personal data was erased"`
}

// PatientContact is how to reach a patient.
type PatientContact struct {
	Email *string `json:"email,omitempty" example:"maria@example.org"`
	Phone *string `json:"phone,omitempty" example:"+351 910 000 000"`
}

// PatientBody is what a patient gives.
type PatientBody struct {
	Name    string       `json:"name" maxLength:"200" example:"Maria Silva"`
	Contact *ContactBody `json:"contact,omitempty"`
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

type patientsInput struct {
	ListParams
	Q string `query:"q" maxLength:"200" doc:"Part of a name, or of a phone number" example:"silva"`
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
		refusals: []*domain.Error{patient.ErrNoName, patient.ErrEmail, patient.ErrExists},
	}, a.registerPatient)
	one(a, operation{
		id: "getPatient", method: http.MethodGet, path: "/v1/patients/{id}", tag: "Patients",
		summary: "Get a patient", refusals: []*domain.Error{patient.ErrNotFound},
	}, a.patient)
	list(a, operation{
		id: "listPatients", method: http.MethodGet, path: "/v1/patients", tag: "Patients", summary: "Find patients by part of a name or phone number",
	}, a.patients)
}

func (a *api) registerPatient(ctx context.Context, req commands.Request, in *registerPatientInput) (done[Patient], error) {
	c := patient.Register{Patient: domain.PatientID(a.newID(req, "patient")), Name: in.Body.Name}
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

func (a *api) patient(ctx context.Context, in *byIDInput) (single[Patient], error) {
	answer, err := a.Commands.Patient(ctx, domain.PatientID(in.ID))
	if err != nil {
		return single[Patient]{}, err
	}
	body, err := a.patientOf(ctx, answer.State)
	return single[Patient]{body, etag(answer.Revision), answer.Position}, err
}

func (a *api) patients(ctx context.Context, in *patientsInput, p page[projections.NameCursor]) (found[Patient, projections.NameCursor], error) {
	rows, err := a.Patients.Search(ctx, projections.PatientFilter{Query: in.Q, After: p.after, Limit: p.limit}, in.atLeast())
	return shown(rows, err, func(p projections.Patient) (Patient, error) {
		return a.patientOf(ctx, patient.State{ID: p.ID, Name: p.Name, Email: p.Email, Phone: p.Phone})
	})
}

// patientOf opens what is sealed of a patient.
func (a *api) patientOf(ctx context.Context, s patient.State) (Patient, error) {
	p := Patient{ID: string(s.ID)}
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
