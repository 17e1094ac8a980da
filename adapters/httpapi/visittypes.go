package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/projections"
)

// VisitType is a visit type as the API shows it.
type VisitType struct {
	ID       string `json:"id" doc:"Opaque" example:"018f6b1e-0000-7000-8000-000000000005"`
	ClinicID string `json:"clinicId" doc:"Who offers it"`
	VisitTerms
	Retired bool `json:"retired" doc:"Booked no more"`
}

// VisitTerms are what a visit of a type is.
type VisitTerms struct {
	Name         string `json:"name" maxLength:"200" doc:"What people call it" example:"Check-up"`
	Duration     string `json:"duration" maxLength:"32" doc:"Of the visit itself: ISO 8601, from 5 minutes to 24 hours, in whole minutes" example:"PT30M"`
	BufferBefore string `json:"bufferBefore,omitempty" maxLength:"32" doc:"Kept free before the visit: ISO 8601, up to 240 minutes; absent = none" example:"PT5M"`
	BufferAfter  string `json:"bufferAfter,omitempty" maxLength:"32" doc:"Kept free after the visit: ISO 8601, up to 240 minutes; absent = none" example:"PT10M"`
	Fee          *Fee   `json:"fee,omitempty" doc:"What the visit costs; absent = nothing is said"`
	Specialty    string `json:"specialty,omitempty" maxLength:"100" doc:"That the practitioner must have; absent = any" example:"cardiology"`
}

// Fee is an amount of money.
type Fee struct {
	Amount   int64  `json:"amount" doc:"In minor units of the currency, 0 or more" example:"6500"`
	Currency string `json:"currency" maxLength:"3" doc:"ISO 4217 code" example:"EUR"`
}

type defineVisitTypeInput struct {
	CommandParams
	Body VisitTypeBody
}

// VisitTypeBody is a new visit type.
type VisitTypeBody struct {
	ClinicID string `json:"clinicId" maxLength:"64" doc:"Who offers it" example:"018f6b1e-0000-7000-8000-000000000001"`
	VisitTerms
}

type changeVisitTypeInput struct {
	CommandParams
	ID   string `path:"id" doc:"The visit type" example:"018f6b1e-0000-7000-8000-000000000005"`
	Body VisitTerms
}

type retireInput struct {
	CommandParams
	ID string `path:"id" doc:"The id" example:"018f6b1e-0000-7000-8000-000000000005"`
}

type visitTypesInput struct {
	ListParams
	ClinicID  string `query:"clinicId" maxLength:"64" doc:"Only those of this clinic"`
	Specialty string `query:"specialty" maxLength:"100" doc:"Only those that need this specialty" example:"cardiology"`
	Retired   bool   `query:"retired" doc:"List retired ones, too"`
}

// Catalogue answers lists of visit types, rooms and devices:
// [projections.Catalogue].
type Catalogue interface {
	VisitTypes(ctx context.Context, f projections.VisitTypeFilter, least domain.Position) (projections.List[projections.VisitType], error)
	Resources(ctx context.Context, f projections.ResourceFilter, least domain.Position) (projections.List[projections.Resource], error)
}

func (a *api) visitTypeRoutes() {
	terms := []*domain.Error{visittype.ErrNoName, visittype.ErrDuration, visittype.ErrBuffer, visittype.ErrFee, visittype.ErrSpecialty, errDuration}
	command(a, operation{
		id: "defineVisitType", method: http.MethodPost, path: "/v1/visit-types", tag: "Visit types", creates: true,
		summary:  "Define what a clinic offers",
		refusals: append([]*domain.Error{clinic.ErrNotFound, clinic.ErrClosed, visittype.ErrExists}, terms...),
	}, a.defineVisitType)
	command(a, operation{
		id: "changeVisitType", method: http.MethodPut, path: "/v1/visit-types/{id}", tag: "Visit types",
		summary:  "Change a visit type",
		detail:   "Replaces everything that the body says and may say. What is booked stays as it is.",
		refusals: append([]*domain.Error{visittype.ErrNotFound, visittype.ErrRetired}, terms...),
	}, a.changeVisitType)
	command(a, operation{
		id: "retireVisitType", method: http.MethodPost, path: "/v1/visit-types/{id}/retire", tag: "Visit types",
		summary: "Offer a visit type no more", detail: "For good. What is booked stays as it is.",
		refusals: []*domain.Error{visittype.ErrNotFound},
	}, a.retireVisitType)
	one(a, operation{
		id: "getVisitType", method: http.MethodGet, path: "/v1/visit-types/{id}", tag: "Visit types",
		summary: "Get a visit type", refusals: []*domain.Error{visittype.ErrNotFound},
	}, a.visitType)
	list(a, operation{
		id: "listVisitTypes", method: http.MethodGet, path: "/v1/visit-types", tag: "Visit types", summary: "List visit types by name",
	}, a.visitTypes)
}

func (a *api) defineVisitType(ctx context.Context, req commands.Request, in *defineVisitTypeInput) (done[VisitType], error) {
	terms, err := visitTermsOf(in.Body.VisitTerms)
	if err != nil {
		return done[VisitType]{}, err
	}
	answer, err := a.Commands.DefineVisitType(ctx, req, visittype.Define{
		VisitType: domain.VisitTypeID(a.newID(req, "visit-type")), Clinic: domain.ClinicID(in.Body.ClinicID), Terms: terms,
	})
	return finish(answer, visitTypeOf(answer.State), "/v1/visit-types/"+string(answer.State.ID)), err
}

func (a *api) changeVisitType(ctx context.Context, req commands.Request, in *changeVisitTypeInput) (done[VisitType], error) {
	terms, err := visitTermsOf(in.Body)
	if err != nil {
		return done[VisitType]{}, err
	}
	answer, err := a.Commands.ChangeVisitType(ctx, req, domain.VisitTypeID(in.ID), visittype.Change{Terms: terms})
	return finish(answer, visitTypeOf(answer.State), ""), err
}

func (a *api) retireVisitType(ctx context.Context, req commands.Request, in *retireInput) (done[VisitType], error) {
	answer, err := a.Commands.RetireVisitType(ctx, req, domain.VisitTypeID(in.ID))
	return finish(answer, visitTypeOf(answer.State), ""), err
}

func (a *api) visitType(ctx context.Context, in *byIDInput) (single[VisitType], error) {
	answer, err := a.Commands.VisitType(ctx, domain.VisitTypeID(in.ID))
	return single[VisitType]{visitTypeOf(answer.State), etag(answer.Revision), answer.Position}, err
}

func (a *api) visitTypes(ctx context.Context, in *visitTypesInput, p page[projections.NameCursor]) (found[VisitType, projections.NameCursor], error) {
	rows, err := a.Catalogue.VisitTypes(ctx, projections.VisitTypeFilter{
		Clinic: domain.ClinicID(in.ClinicID), Specialty: in.Specialty, Retired: in.Retired, After: p.after, Limit: p.limit,
	}, in.atLeast())
	return shown(rows, err, func(v projections.VisitType) (VisitType, error) {
		s := visittype.State{ID: v.ID, Clinic: v.Clinic, Retired: v.Retired, Terms: visittype.Terms{
			Name: v.Name, Duration: v.Duration, BufferBefore: v.BufferBefore, BufferAfter: v.BufferAfter, Specialty: v.Specialty,
		}}
		if v.FeeCurrency != "" {
			s.Fee = &visittype.Fee{Amount: v.FeeAmount, Currency: v.FeeCurrency}
		}
		return visitTypeOf(s), nil
	})
}

func visitTypeOf(s visittype.State) VisitType {
	return VisitType{string(s.ID), string(s.Clinic), VisitTerms{
		Name: s.Name, Duration: formatMinutes(s.Duration), BufferBefore: bufferOf(s.BufferBefore), BufferAfter: bufferOf(s.BufferAfter),
		Fee: (*Fee)(s.Fee), Specialty: s.Specialty,
	}, s.Retired}
}

func bufferOf(minutes int) string {
	if minutes == 0 {
		return ""
	}
	return formatMinutes(minutes)
}

func visitTermsOf(b VisitTerms) (visittype.Terms, error) {
	t := visittype.Terms{Name: b.Name, Fee: (*visittype.Fee)(b.Fee), Specialty: b.Specialty}
	var err error
	if t.Duration, err = parseMinutes(b.Duration, visittype.ErrDuration); err != nil {
		return t, err
	}
	if b.BufferBefore != "" {
		if t.BufferBefore, err = parseMinutes(b.BufferBefore, visittype.ErrBuffer); err != nil {
			return t, err
		}
	}
	if b.BufferAfter != "" {
		t.BufferAfter, err = parseMinutes(b.BufferAfter, visittype.ErrBuffer)
	}
	return t, err
}

// Minutes reads an ISO 8601 duration of whole minutes, as bodies have it. Errors:
// that of a malformed duration, and [visittype.ErrDuration] for a duration of parts
// of a minute.
func Minutes(text string) (int, error) { return parseMinutes(text, visittype.ErrDuration) }

// parseMinutes reads an ISO 8601 duration of whole minutes. Errors:
// [errDuration], and partial for a duration of parts of a minute.
func parseMinutes(text string, partial *domain.Error) (int, error) {
	d, err := parseDuration(text)
	if err == nil && d%time.Minute != 0 {
		err = partial
	}
	return int(d / time.Minute), err
}

func formatMinutes(n int) string { return formatDuration(time.Duration(n) * time.Minute) }
