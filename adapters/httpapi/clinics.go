package httpapi

import (
	"context"
	"net/http"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/projections"
)

// Clinic is a clinic as the API shows it.
type Clinic struct {
	ID       string    `json:"id" doc:"Opaque" example:"018f6b1e-0000-7000-8000-000000000001"`
	Name     string    `json:"name" example:"Central Clinic"`
	Zone     string    `json:"zone" doc:"IANA time zone; every wall time of the clinic is in it" example:"Europe/Lisbon"`
	Address  string    `json:"address,omitempty" example:"Rua Augusta 1, Lisboa"`
	Location *Location `json:"location,omitempty"`
}

// Location is a place on Earth.
type Location struct {
	Latitude  float64 `json:"latitude" minimum:"-90" maximum:"90" doc:"WGS 84 degrees" example:"38.7"`
	Longitude float64 `json:"longitude" minimum:"-180" maximum:"180" doc:"WGS 84 degrees" example:"-9.1"`
}

// ClinicBody is what a clinic says of itself.
type ClinicBody struct {
	Name     string    `json:"name" maxLength:"200" doc:"What people call it" example:"Central Clinic"`
	Zone     string    `json:"zone" maxLength:"64" doc:"IANA time zone" example:"Europe/Lisbon"`
	Address  string    `json:"address,omitempty" maxLength:"500" example:"Rua Augusta 1, Lisboa"`
	Location *Location `json:"location,omitempty"`
}

type registerClinicInput struct {
	CommandParams
	Body ClinicBody
}

type byIDInput struct {
	ReadParams
	ID string `path:"id" doc:"The id" example:"018f6b1e-0000-7000-8000-000000000001"`
}

type clinicsInput struct{ ListParams }

// Directory answers lists of clinics and practitioners:
// [projections.Directory].
type Directory interface {
	Clinics(ctx context.Context, f projections.ClinicFilter, least domain.Position) (projections.List[projections.Clinic], error)
	Practitioners(ctx context.Context, f projections.PractitionerFilter, least domain.Position) (projections.List[projections.Practitioner], error)
}

func (a *api) clinicRoutes() {
	command(a, operation{
		id: "registerClinic", method: http.MethodPost, path: "/v1/clinics", tag: "Clinics", creates: true,
		summary:  "Register a clinic",
		refusals: []*domain.Error{clinic.ErrNoName, clinic.ErrLocation, clinic.ErrExists, domain.ErrBadZone},
	}, a.registerClinic)
	one(a, operation{
		id: "getClinic", method: http.MethodGet, path: "/v1/clinics/{id}", tag: "Clinics",
		summary: "Get a clinic", refusals: []*domain.Error{clinic.ErrNotFound},
	}, a.clinic)
	list(a, operation{
		id: "listClinics", method: http.MethodGet, path: "/v1/clinics", tag: "Clinics", summary: "List clinics by name",
	}, a.clinics)
	a.calendarRoutes()
}

func (a *api) registerClinic(ctx context.Context, req commands.Request, in *registerClinicInput) (done[Clinic], error) {
	p := clinic.Profile{Name: in.Body.Name, Zone: in.Body.Zone, Address: in.Body.Address, Location: (*clinic.Location)(in.Body.Location)}
	answer, err := a.Commands.RegisterClinic(ctx, req, clinic.Register{Clinic: domain.ClinicID(a.newID(req, "clinic")), Profile: p})
	return finish(answer, clinicOf(answer.State), "/v1/clinics/"+string(answer.State.ID)), err
}

func (a *api) clinic(ctx context.Context, in *byIDInput) (single[Clinic], error) {
	answer, err := a.Commands.Clinic(ctx, domain.ClinicID(in.ID))
	return single[Clinic]{clinicOf(answer.State), etag(answer.Revision), answer.Position}, err
}

func (a *api) clinics(ctx context.Context, in *clinicsInput, p page[projections.NameCursor]) (found[Clinic, projections.NameCursor], error) {
	rows, err := a.Directory.Clinics(ctx, projections.ClinicFilter{After: p.after, Limit: p.limit}, in.atLeast())
	return shown(rows, err, func(c projections.Clinic) (Clinic, error) {
		shown := Clinic{ID: string(c.ID), Name: c.Name, Zone: c.Zone, Address: c.Address}
		if c.Latitude != nil && c.Longitude != nil {
			shown.Location = &Location{*c.Latitude, *c.Longitude}
		}
		return shown, nil
	})
}

func clinicOf(s clinic.State) Clinic {
	return Clinic{string(s.ID), s.Name, s.Zone, s.Address, (*Location)(s.Location)}
}

func mapped[A, B any](items []A, f func(A) B) []B {
	all := make([]B, len(items))
	for i, item := range items {
		all[i] = f(item)
	}
	return all
}
