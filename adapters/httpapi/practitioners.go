package httpapi

import (
	"context"
	"net/http"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/projections"
)

// Practitioner is a practitioner as the API shows one.
type Practitioner struct {
	ID          string   `json:"id" doc:"Opaque" example:"018f6b1e-0000-7000-8000-000000000002"`
	Name        string   `json:"name" example:"Dr. Ana Sousa"`
	ClinicIDs   []string `json:"clinicIds" nullable:"false" doc:"Where the practitioner works"`
	Specialties []string `json:"specialties" nullable:"false" doc:"What for"`
}

// PractitionerBody is what a practitioner's entry says.
type PractitionerBody struct {
	Name        string   `json:"name" maxLength:"200" example:"Dr. Ana Sousa"`
	ClinicIDs   []string `json:"clinicIds" nullable:"false" maxItems:"100" doc:"Where the practitioner works; one clinic or more" example:"[\"018f6b1e-0000-7000-8000-000000000001\"]"`
	Specialties []string `json:"specialties,omitempty" nullable:"false" maxItems:"50" doc:"What for" example:"[\"cardiology\"]"`
}

type registerPractitionerInput struct {
	CommandParams
	Body PractitionerBody
}

type practitionersInput struct {
	ListParams
	ClinicID  string `query:"clinicId" maxLength:"64" doc:"Only those who work at this clinic"`
	Specialty string `query:"specialty" maxLength:"100" doc:"Only those with this specialty" example:"cardiology"`
}

func (a *api) practitionerRoutes() {
	command(a, operation{
		id: "registerPractitioner", method: http.MethodPost, path: "/v1/practitioners", tag: "Practitioners", creates: true,
		summary: "Register a practitioner",
		refusals: []*domain.Error{
			practitioner.ErrNoName, practitioner.ErrNoClinic, practitioner.ErrSpecialty, practitioner.ErrExists, clinic.ErrNotFound, clinic.ErrClosed,
		},
	}, a.registerPractitioner)
	one(a, operation{
		id: "getPractitioner", method: http.MethodGet, path: "/v1/practitioners/{id}", tag: "Practitioners",
		summary: "Get a practitioner", refusals: []*domain.Error{practitioner.ErrNotFound},
	}, a.practitioner)
	list(a, operation{
		id: "listPractitioners", method: http.MethodGet, path: "/v1/practitioners", tag: "Practitioners",
		summary: "List practitioners by name",
	}, a.practitioners)
}

func (a *api) registerPractitioner(ctx context.Context, req commands.Request, in *registerPractitionerInput) (done[Practitioner], error) {
	p := practitioner.Profile{
		Name: in.Body.Name, Specialties: in.Body.Specialties,
		Clinics: mapped(in.Body.ClinicIDs, func(id string) domain.ClinicID { return domain.ClinicID(id) }),
	}
	id := domain.PractitionerID(a.newID(req, "practitioner"))
	answer, err := a.Commands.RegisterPractitioner(ctx, req, practitioner.Register{Practitioner: id, Profile: p})
	return finish(answer, practitionerOf(answer.State), "/v1/practitioners/"+string(answer.State.ID)), err
}

func (a *api) practitioner(ctx context.Context, in *byIDInput) (single[Practitioner], error) {
	answer, err := a.Commands.Practitioner(ctx, domain.PractitionerID(in.ID))
	return single[Practitioner]{practitionerOf(answer.State), etag(answer.Revision), answer.Position}, err
}

func (a *api) practitioners(
	ctx context.Context, in *practitionersInput, p page[projections.NameCursor],
) (found[Practitioner, projections.NameCursor], error) {
	f := projections.PractitionerFilter{Clinic: domain.ClinicID(in.ClinicID), Specialty: in.Specialty, After: p.after, Limit: p.limit}
	rows, err := a.Directory.Practitioners(ctx, f, in.atLeast())
	return shown(rows, err, func(p projections.Practitioner) (Practitioner, error) {
		return showPractitioner(p.ID, p.Name, p.Clinics, p.Specialties), nil
	})
}

func practitionerOf(s practitioner.State) Practitioner {
	return showPractitioner(s.ID, s.Name, s.Clinics, s.Specialties)
}

func showPractitioner(id domain.PractitionerID, name string, clinics []domain.ClinicID, specialties []string) Practitioner {
	ids := mapped(clinics, func(id domain.ClinicID) string { return string(id) })
	return Practitioner{string(id), name, ids, append([]string{}, specialties...)}
}
