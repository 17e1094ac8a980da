package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/name"
	"github.com/slotbook/slotbook/projections"
)

// Clinic is a clinic as the API shows it.
type Clinic struct {
	ID       string    `json:"id" doc:"Opaque" example:"018f6b1e-0000-7000-8000-000000000001"`
	Name     string    `json:"name" example:"Central Clinic"`
	Zone     string    `json:"zone" doc:"IANA time zone; every wall time of the clinic is in it" example:"Europe/Lisbon"`
	Address  string    `json:"address,omitempty" example:"Rua Augusta 1, Lisboa"`
	Location *Location `json:"location,omitempty"`
	ClinicDetails
	Closed bool `json:"closed,omitempty" doc:"For good: it takes no new bookings or schedules"`
}

// ClinicDetails are the rest of what a clinic says of itself. When it is open is
// its calendar's.
type ClinicDetails struct {
	Town        string `json:"town,omitempty" maxLength:"64" doc:"Code of a town of /v1/towns; the clinic is within 50 km of its centre" example:"pt-lisboa"`
	District    string `json:"district,omitempty" maxLength:"64" doc:"Code of a district of the town" example:"pt-lisboa-belem"`
	PostalCode  string `json:"postalCode,omitempty" maxLength:"32" example:"1300-085"`
	Country     string `json:"country,omitempty" maxLength:"2" doc:"ISO 3166-1; absent = the town's" example:"PT"`
	Phone       string `json:"phone,omitempty" maxLength:"64" example:"+351 210 000 001"`
	Email       string `json:"email,omitempty" maxLength:"254" example:"info@clinic.example"`
	Site        string `json:"site,omitempty" maxLength:"500" doc:"Address of its pages: http or https" example:"https://clinic.example"`
	Description string `json:"description,omitempty" maxLength:"5000" doc:"For those who look for a clinic" example:"By the river, with a lift."`
	Ownership   string `json:"ownership,omitempty" enum:"state,private" doc:"Whose it is; absent = nothing is said" example:"private"`
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
	ClinicDetails
}

// ClinicChangeBody is what a clinic says of itself from now on.
type ClinicChangeBody struct {
	Name     string    `json:"name" maxLength:"200" doc:"What people call it" example:"Central Clinic"`
	Zone     string    `json:"zone,omitempty" maxLength:"64" doc:"IANA time zone; absent = it stays" example:"Europe/Lisbon"`
	Address  string    `json:"address,omitempty" maxLength:"500" example:"Rua Augusta 1, Lisboa"`
	Location *Location `json:"location,omitempty"`
	ClinicDetails
}

type changeClinicInput struct {
	CommandParams
	ID   string `path:"id" doc:"The clinic" example:"018f6b1e-0000-7000-8000-000000000001"`
	Body ClinicChangeBody
}

type registerClinicInput struct {
	CommandParams
	Body ClinicBody
}

type byIDInput struct {
	ReadParams
	ID string `path:"id" doc:"The id" example:"018f6b1e-0000-7000-8000-000000000001"`
}

// Directory finds clinics and practitioners: [projections.Directory].
type Directory interface {
	FindClinics(ctx context.Context, s projections.ClinicSearch, now time.Time, least domain.Position) (projections.List[projections.ClinicFound], error)
	FindPractitioners(ctx context.Context, s projections.PractitionerSearch, least domain.Position) (projections.List[projections.PractitionerFound], error)
	Offered(ctx context.Context, town string, least domain.Position) ([]projections.Offered, domain.Position, error)
}

func (a *api) clinicRoutes() {
	profile := []*domain.Error{
		clinic.ErrNoName, clinic.ErrLocation, domain.ErrBadZone, clinic.ErrTown, clinic.ErrImplausible, clinic.ErrCountry, clinic.ErrContact,
		clinic.ErrOwnership, clinic.ErrTooLong, name.ErrClinic,
	}
	command(a, operation{
		id: "registerClinic", method: http.MethodPost, path: "/v1/clinics", tag: "Clinics", creates: true,
		summary:  "Register a clinic",
		detail:   "There is one clinic of a name at an address of a town; conflict names the other one. Without an address there may be several.",
		refusals: append([]*domain.Error{clinic.ErrExists}, profile...),
	}, a.registerClinic)
	command(a, operation{
		id: "changeClinic", method: http.MethodPut, path: "/v1/clinics/{id}", tag: "Clinics",
		summary:  "Change what a clinic says of itself",
		detail:   "Replaces everything that the body says and may say. In another zone the wall times of schedules are other instants; visits keep their instants.",
		refusals: append([]*domain.Error{clinic.ErrNotFound, clinic.ErrClosed}, profile...),
	}, a.changeClinic)
	command(a, operation{
		id: "closeClinic", method: http.MethodPost, path: "/v1/clinics/{id}/close", tag: "Clinics",
		summary: "Close a clinic", refusals: []*domain.Error{clinic.ErrNotFound},
		detail: "For good: it takes no new bookings or schedules, and its name and address are free for another. Free slots are withdrawn a moment " +
			"later; what is booked stays booked, displaced, until it is cancelled or over.",
	}, a.closeClinic)
	one(a, operation{
		id: "getClinic", method: http.MethodGet, path: "/v1/clinics/{id}", tag: "Clinics",
		summary: "Get a clinic", refusals: []*domain.Error{clinic.ErrNotFound},
	}, a.clinic)
	list(a, operation{
		id: "listClinics", method: http.MethodGet, path: "/v1/clinics", tag: "Clinics", summary: "Search clinics", refusals: searchRefusals(),
		detail: "Without parameters it lists all of them by name, also those that are closed for good. Filters narrow each other.",
	}, a.clinics)
	a.calendarRoutes()
}

func (a *api) registerClinic(ctx context.Context, req commands.Request, in *registerClinicInput) (done[Clinic], error) {
	p := clinicProfile(ClinicChangeBody(in.Body))
	answer, err := a.Commands.RegisterClinic(ctx, req, clinic.Register{Clinic: domain.ClinicID(a.newID(req, "clinic")), Profile: p})
	return finish(answer, clinicOf(answer.State), "/v1/clinics/"+string(answer.State.ID)), err
}

func (a *api) changeClinic(ctx context.Context, req commands.Request, in *changeClinicInput) (done[Clinic], error) {
	id := domain.ClinicID(in.ID)
	answer, err := a.Commands.ChangeClinic(ctx, req, id, clinic.Change{Profile: clinicProfile(in.Body)})
	a.zones.clinics.Delete(id)
	return finish(answer, clinicOf(answer.State), ""), err
}

func (a *api) closeClinic(ctx context.Context, req commands.Request, in *retireInput) (done[Clinic], error) {
	answer, err := a.Commands.CloseClinic(ctx, req, domain.ClinicID(in.ID))
	return finish(answer, clinicOf(answer.State), ""), err
}

func clinicProfile(b ClinicChangeBody) clinic.Profile {
	return clinic.Profile{
		Name: b.Name, Zone: b.Zone, Address: b.Address, Location: (*clinic.Location)(b.Location), Town: b.Town, District: b.District,
		PostalCode: b.PostalCode, Country: b.Country, Phone: b.Phone, Email: b.Email, Site: b.Site, Description: b.Description, Ownership: b.Ownership,
	}
}

func (a *api) clinic(ctx context.Context, in *byIDInput) (single[Clinic], error) {
	answer, err := a.Commands.Clinic(ctx, domain.ClinicID(in.ID))
	return single[Clinic]{clinicOf(answer.State), etag(answer.Revision), answer.Position}, err
}

func clinicOf(s clinic.State) Clinic {
	return Clinic{
		ID: string(s.ID), Name: s.Name, Zone: s.Zone, Address: s.Address, Location: (*Location)(s.Location), Closed: s.Closed,
		ClinicDetails: ClinicDetails{
			s.Town, s.District, s.PostalCode, s.Country, s.Phone, s.Email, s.Site, s.Description, s.Ownership,
		},
	}
}

func mapped[A, B any](items []A, f func(A) B) []B {
	all := make([]B, len(items))
	for i, item := range items {
		all[i] = f(item)
	}
	return all
}
