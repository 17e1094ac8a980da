package httpapi

import (
	"context"
	"net/http"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/name"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/visittype"
)

// Practitioner is a practitioner as the API shows one.
type Practitioner struct {
	ID          string   `json:"id" doc:"Opaque" example:"018f6b1e-0000-7000-8000-000000000002"`
	Name        string   `json:"name" example:"Dr. Ana Sousa"`
	ClinicIDs   []string `json:"clinicIds" nullable:"false" doc:"Where the practitioner works"`
	Specialties []string `json:"specialties" nullable:"false" doc:"Codes of /v1/specialties"`
	PractitionerDetails
	CouncilNumber   string `json:"councilNumber,omitempty" doc:"Number of a Brazilian medical council, with its state" example:"12345-SP"`
	ExperienceYears *int   `json:"experienceYears,omitempty" doc:"Whole years since the year of the first qualification; absent without any" example:"12"`
	PictureURL      string `json:"pictureUrl,omitempty" doc:"Where the picture is; absent without one" example:"/v1/practitioners/018f6b1e-0000-7000-8000-000000000002/picture?v=9f86d081884c7d65"`
}

// PractitionerDetails are the rest of what a practitioner's entry says.
type PractitionerDetails struct {
	Introduction   string             `json:"introduction,omitempty" maxLength:"5000" doc:"For those who look for a practitioner" example:"Hearts of all ages."`
	Qualifications []Qualification    `json:"qualifications,omitempty" nullable:"false" maxItems:"100" doc:"What the practitioner has learnt"`
	Treatments     []string           `json:"treatments,omitempty" nullable:"false" maxItems:"100" doc:"That no insurance pays for" example:"[\"Laser\"]"`
	Languages      []string           `json:"languages,omitempty" nullable:"false" maxItems:"100" doc:"BCP 47, spelled as it recommends" example:"[\"pt-BR\", \"en\"]"`
	Fees           []PractitionersFee `json:"fees,omitempty" nullable:"false" maxItems:"100" doc:"In place of the visit types' own"`
}

// Qualification is what a practitioner has learnt.
type Qualification struct {
	Code      string `json:"code,omitempty" maxLength:"64" doc:"Of /v1/qualifications; either this or name" example:"md"`
	Name      string `json:"name,omitempty" maxLength:"200" doc:"Of what has no code" example:"Course of echocardiography"`
	Year      int    `json:"year" doc:"In which it was got, from 1900" example:"2010"`
	Institute string `json:"institute,omitempty" maxLength:"200" doc:"Where" example:"Universidade de Lisboa"`
}

// PractitionersFee is what a visit of a type costs with a practitioner.
type PractitionersFee struct {
	VisitTypeID string `json:"visitTypeId" maxLength:"64" doc:"A visit type of a clinic where the practitioner works"`
	Fee
}

// PractitionerBody is what a practitioner's entry says.
type PractitionerBody struct {
	Name        string   `json:"name" maxLength:"200" example:"Dr. Ana Sousa"`
	ClinicIDs   []string `json:"clinicIds" nullable:"false" maxItems:"100" doc:"Where the practitioner works; one clinic or more" example:"[\"018f6b1e-0000-7000-8000-000000000001\"]"`
	Specialties []string `json:"specialties,omitempty" nullable:"false" maxItems:"50" doc:"Codes of /v1/specialties" example:"[\"cardiology\"]"`
	PractitionerDetails
	CouncilNumber string `json:"councilNumber,omitempty" maxLength:"16" doc:"Of a Brazilian medical council: 4 to 7 digits. Its state is that of the postal code of the first clinic that has a Brazilian one" example:"12345"`
}

type changePractitionerInput struct {
	CommandParams
	ID   string `path:"id" doc:"The practitioner" example:"018f6b1e-0000-7000-8000-000000000002"`
	Body PractitionerBody
}

type registerPractitionerInput struct {
	CommandParams
	Body PractitionerBody
}

func (a *api) practitionerRoutes() {
	profile := []*domain.Error{
		practitioner.ErrNoName, practitioner.ErrNoClinic, practitioner.ErrSpecialty, clinic.ErrNotFound, clinic.ErrClosed, practitioner.ErrUnknown,
		practitioner.ErrQualification, practitioner.ErrTreatments, practitioner.ErrLanguage, practitioner.ErrFees, practitioner.ErrCouncil,
		practitioner.ErrNoState, practitioner.ErrTooLong, practitioner.ErrElsewhere, visittype.ErrNotFound, name.ErrCouncil,
	}
	command(a, operation{
		id: "registerPractitioner", method: http.MethodPost, path: "/v1/practitioners", tag: "Practitioners", creates: true,
		summary: "Register a practitioner", refusals: append([]*domain.Error{practitioner.ErrExists}, profile...),
		detail: "There is one practitioner of a council number in a state; conflict names the other one.",
	}, a.registerPractitioner)
	command(a, operation{
		id: "changePractitioner", method: http.MethodPut, path: "/v1/practitioners/{id}", tag: "Practitioners",
		summary: "Change what a practitioner's entry says", refusals: append([]*domain.Error{practitioner.ErrNotFound}, profile...),
		detail: "Replaces everything that the body says and may say. What is scheduled at a clinic that it names no longer stays.",
	}, a.changePractitioner)
	command(a, operation{
		id: "followClinics", method: http.MethodPost, path: "/v1/practitioners/{id}/council/follow", tag: "Practitioners",
		summary: "Have the council number follow the clinics to another state", refusals: []*domain.Error{
			practitioner.ErrNotFound, clinic.ErrNotFound, name.ErrCouncil,
		},
		detail: "After a clinic has moved. When another practitioner has the number in that state, the old one stays.",
	}, a.followClinics)
	one(a, operation{
		id: "getPractitioner", method: http.MethodGet, path: "/v1/practitioners/{id}", tag: "Practitioners",
		summary: "Get a practitioner", refusals: []*domain.Error{practitioner.ErrNotFound},
	}, a.practitioner)
	list(a, operation{
		id: "listPractitioners", method: http.MethodGet, path: "/v1/practitioners", tag: "Practitioners",
		summary: "Search practitioners", refusals: searchesOverTime(),
		detail: "Without parameters it lists all of them by name. Filters narrow each other; one clinic, not closed, has to fit clinicId, town, district and near together.",
	}, a.practitioners)
}

func (a *api) registerPractitioner(ctx context.Context, req commands.Request, in *registerPractitionerInput) (done[Practitioner], error) {
	id := domain.PractitionerID(a.newID(req, "practitioner"))
	answer, err := a.Commands.RegisterPractitioner(ctx, req, practitioner.Register{Practitioner: id, Profile: practitionerProfile(in.Body)})
	return finish(answer, a.practitionerOf(answer.State), "/v1/practitioners/"+string(answer.State.ID)), err
}

func (a *api) changePractitioner(ctx context.Context, req commands.Request, in *changePractitionerInput) (done[Practitioner], error) {
	change := practitioner.Change{Profile: practitionerProfile(in.Body)}
	answer, err := a.Commands.ChangePractitioner(ctx, req, domain.PractitionerID(in.ID), change)
	return finish(answer, a.practitionerOf(answer.State), ""), err
}

func (a *api) followClinics(ctx context.Context, req commands.Request, in *retireInput) (done[Practitioner], error) {
	answer, err := a.Commands.FollowClinics(ctx, req, domain.PractitionerID(in.ID))
	return finish(answer, a.practitionerOf(answer.State), ""), err
}

func practitionerProfile(b PractitionerBody) practitioner.Profile {
	return practitioner.Profile{
		Name: b.Name, Specialties: b.Specialties, Introduction: b.Introduction, Treatments: b.Treatments, Languages: b.Languages,
		Clinics:        mapped(b.ClinicIDs, func(id string) domain.ClinicID { return domain.ClinicID(id) }),
		Qualifications: mapped(b.Qualifications, func(q Qualification) practitioner.Qualification { return practitioner.Qualification(q) }),
		Fees: mapped(b.Fees, func(f PractitionersFee) practitioner.Fee {
			return practitioner.Fee{VisitType: domain.VisitTypeID(f.VisitTypeID), Amount: f.Amount, Currency: f.Currency}
		}),
		Council: practitioner.Council{Number: b.CouncilNumber},
	}
}

func (a *api) practitioner(ctx context.Context, in *byIDInput) (single[Practitioner], error) {
	answer, err := a.Commands.Practitioner(ctx, domain.PractitionerID(in.ID))
	return single[Practitioner]{a.practitionerOf(answer.State), etag(answer.Revision), answer.Position}, err
}

func (a *api) practitionerOf(s practitioner.State) Practitioner {
	p := Practitioner{
		ID: string(s.ID), Name: s.Name, ClinicIDs: mapped(s.Clinics, func(id domain.ClinicID) string { return string(id) }),
		Specialties: append([]string{}, s.Specialties...),
		PractitionerDetails: PractitionerDetails{
			Introduction: s.Introduction, Treatments: s.Treatments, Languages: s.Languages,
			Qualifications: mapped(s.Qualifications, func(q practitioner.Qualification) Qualification { return Qualification(q) }),
			Fees: mapped(s.Fees, func(f practitioner.Fee) PractitionersFee {
				return PractitionersFee{string(f.VisitType), Fee{f.Amount, f.Currency}}
			}),
		},
	}
	p.PictureURL = pictureURL(s)
	if s.Council.Number != "" {
		p.CouncilNumber = s.Council.Number + "-" + s.Council.State
	}
	if since := s.Since(); since > 0 {
		p.ExperienceYears = new(max(0, a.Now().UTC().Year()-since))
	}
	return p
}
