package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/visittype"
)

// PolicyBody are the terms of a policy. What is absent is not said: the weaker
// scope decides, and in the end the default.
type PolicyBody struct {
	MinNotice           *string `json:"minNotice,omitempty" maxLength:"32" doc:"The least time between booking and start: ISO 8601, up to 365 days; default PT0M" example:"PT2H"`
	Horizon             *string `json:"horizon,omitempty" maxLength:"32" doc:"The most time between booking and start: ISO 8601, up to 365 days; PT0M, the default, is any" example:"P60D"`
	Approval            *bool   `json:"approval,omitempty" doc:"A booking is a request that somebody approves; default false" example:"false"`
	HoldTime            *string `json:"holdTime,omitempty" maxLength:"32" doc:"How long a hold lasts that does not ask: ISO 8601, from 1 to 15 minutes; default PT5M" example:"PT5M"`
	CancelBefore        *string `json:"cancelBefore,omitempty" maxLength:"32" doc:"Until how long before the start a patient may cancel: ISO 8601, up to 365 days; default PT0M" example:"P1D"`
	RescheduleBefore    *string `json:"rescheduleBefore,omitempty" maxLength:"32" doc:"Until how long before the start a patient may move a visit: ISO 8601, up to 365 days; default PT0M" example:"PT12H"`
	Reschedules         *int    `json:"reschedules,omitempty" doc:"How often a patient may move one visit: 1 to 10000; 0, the default, is no limit" example:"2"`
	PractitionerDay     *int    `json:"practitionerDay,omitempty" doc:"Visits of a practitioner on a day of the clinic: 1 to 10000; 0, the default, is no limit" example:"16"`
	PractitionerWeek    *int    `json:"practitionerWeek,omitempty" doc:"The same in an ISO week" example:"70"`
	PatientDay          *int    `json:"patientDay,omitempty" doc:"Visits of a patient on a day of the clinic: 1 to 10000; 0, the default, is no limit" example:"2"`
	PatientPractitioner *int    `json:"patientPractitioner,omitempty" doc:"Active visits of a patient with one practitioner: 1 to 10000; 0, the default, is no limit" example:"2"`
	PatientActive       *int    `json:"patientActive,omitempty" doc:"Active visits of a patient in all: 1 to 10000; 0, the default, is no limit" example:"5"`
	HoldsShare          *int    `json:"holdsShare,omitempty" doc:"Percent of a practitioner's day that unknown callers may hold: 1 to 100; default 50" example:"50"`
	UndoGrace           *string `json:"undoGrace,omitempty" maxLength:"32" doc:"Until how long after a change of status it may be undone: ISO 8601, up to 365 days; default PT10M" example:"PT10M"`
	NoShowAfter         *string `json:"noShowAfter,omitempty" maxLength:"32" doc:"How long after the end who has not come counts as a no-show: ISO 8601, up to 365 days; PT0M, the default, is never" example:"PT1H"`
	OfferTime           *string `json:"offerTime,omitempty" maxLength:"32" doc:"How long somebody of the waiting list is offered what has become free, in the hours from offersFrom to offersUntil: ISO 8601, from 1 minute to 365 days; default PT2H" example:"PT2H"`
	OffersFrom          *string `json:"offersFrom,omitempty" maxLength:"5" doc:"When an offer begins to run, by the clinic's clock: HH:MM; default 08:00" example:"08:00"`
	OffersUntil         *string `json:"offersUntil,omitempty" maxLength:"5" doc:"Until when it runs: HH:MM; default 20:00" example:"20:00"`
	BoardShows          *string `json:"boardShows,omitempty" maxLength:"32" doc:"What a display in the waiting room shows of people: ticket, the number alone and the default, or initials, those of the patient, too" example:"ticket"`
}

// EffectivePolicy are the terms in force.
type EffectivePolicy struct {
	Terms     PolicyBody        `json:"terms" doc:"Every field says something"`
	Sources   map[string]string `json:"sources" doc:"For each field of terms where it is from: clinic, practitioner, visit-type or default"`
	Revisions []PolicyRevision  `json:"revisions" nullable:"false" doc:"The policies that were looked at"`
}

// PolicyRevision is a policy as it is now.
type PolicyRevision struct {
	Kind     string `json:"kind" enum:"clinic,practitioner,visit-type" doc:"Whose policy it is"`
	ID       string `json:"id" doc:"The clinic, practitioner or visit type"`
	Revision int64  `json:"revision" doc:"As in its ETag"`
}

type setPolicyInput struct {
	CommandParams
	ID   string `path:"id" doc:"Whose policy it is" example:"018f6b1e-0000-7000-8000-000000000001"`
	Body PolicyBody
}

type effectiveInput struct {
	ReadParams
	ClinicID       string `query:"clinicId" maxLength:"64" doc:"Where; absent = its policy is left out" example:"018f6b1e-0000-7000-8000-000000000001"`
	PractitionerID string `query:"practitionerId" maxLength:"64" doc:"With whom; absent = the same"`
	VisitTypeID    string `query:"visitTypeId" maxLength:"64" doc:"For what; absent = the same"`
}

func (a *api) policyRoutes() {
	a.policyRoutesOf(policy.OfClinic, "/v1/clinics/{id}/policy", "ClinicPolicy", "a clinic's policy", clinic.ErrNotFound, clinic.ErrClosed)
	a.policyRoutesOf(policy.OfPractitioner, "/v1/practitioners/{id}/policy", "PractitionerPolicy", "a practitioner's policy", practitioner.ErrNotFound)
	a.policyRoutesOf(policy.OfVisitType, "/v1/visit-types/{id}/policy", "VisitTypePolicy", "a visit type's policy", visittype.ErrNotFound)
	one(a, operation{
		id: "getEffectivePolicy", method: http.MethodGet, path: "/v1/policies/effective", tag: "Policies",
		summary: "Get the terms that a booking is decided under",
		detail: "The terms of the visit type over those of the practitioner over those of the clinic, field by field, and defaults for what " +
			"none of them says.",
		refusals: []*domain.Error{clinic.ErrNotFound, practitioner.ErrNotFound, visittype.ErrNotFound},
	}, a.effectivePolicy)
}

func (a *api) policyRoutesOf(kind, path, name, title string, whose ...*domain.Error) {
	command(a, operation{
		id: "set" + name, method: http.MethodPut, path: path, tag: "Policies", summary: "Set " + title,
		detail: "Replaces the terms as a whole: what the body leaves out is not said any more. A booking that begins in the next second may " +
			"still be decided under the terms before. What is booked stays as it is.",
		refusals: append(whose, policy.ErrDuration, policy.ErrLimit, policy.ErrWindow, policy.ErrShown, policy.ErrOffers, errDuration, domain.ErrBadWallTime),
	}, func(ctx context.Context, req commands.Request, in *setPolicyInput) (done[PolicyBody], error) {
		return a.setPolicy(ctx, req, policy.Scope{Kind: kind, ID: in.ID}, in.Body)
	})
	one(a, operation{
		id: "get" + name, method: http.MethodGet, path: path, tag: "Policies", summary: "Get " + title,
		detail:   "The terms as they were put, to be changed and put again.",
		refusals: []*domain.Error{policy.ErrNotFound},
	}, func(ctx context.Context, in *byIDInput) (single[PolicyBody], error) {
		answer, err := a.Commands.Policy(ctx, policy.Scope{Kind: kind, ID: in.ID})
		return single[PolicyBody]{showTerms(answer.State.Terms), etag(answer.Revision), answer.Position}, err
	})
}

func (a *api) setPolicy(ctx context.Context, req commands.Request, of policy.Scope, body PolicyBody) (done[PolicyBody], error) {
	terms, err := body.Terms()
	if err != nil {
		return done[PolicyBody]{}, err
	}
	answer, err := a.Commands.SetPolicy(ctx, req, policy.Set{Scope: of, Terms: terms})
	return finish(answer, showTerms(answer.State.Terms), ""), err
}

func (a *api) effectivePolicy(ctx context.Context, in *effectiveInput) (single[EffectivePolicy], error) {
	force, err := a.Commands.EffectivePolicy(ctx,
		domain.ClinicID(in.ClinicID), domain.PractitionerID(in.PractitionerID), domain.VisitTypeID(in.VisitTypeID))
	if err != nil {
		return single[EffectivePolicy]{}, err
	}
	e := EffectivePolicy{Terms: showEffective(force.Effective), Sources: force.Sources}
	e.Revisions = mapped(force.Revisions, func(r policy.Revision) PolicyRevision { return PolicyRevision{r.Kind, r.ID, int64(r.Revision)} })
	return single[EffectivePolicy]{body: e, position: force.Position}, nil
}

// Terms returns the terms that the body says. Errors: [policy.ErrDuration], and
// that of a malformed duration.
func (b PolicyBody) Terms() (policy.Terms, error) {
	t := policy.Terms{
		Approval: b.Approval, Reschedules: b.Reschedules, PractitionerDay: b.PractitionerDay, PractitionerWeek: b.PractitionerWeek,
		PatientDay: b.PatientDay, PatientPractitioner: b.PatientPractitioner, PatientActive: b.PatientActive, HoldsShare: b.HoldsShare,
	}
	if b.BoardShows != nil {
		t.BoardShows = new(policy.Shown(*b.BoardShows))
	}
	for _, d := range []struct {
		text    *string
		minutes **int
	}{
		{b.MinNotice, &t.MinNotice},
		{b.Horizon, &t.Horizon},
		{b.HoldTime, &t.HoldTime},
		{b.CancelBefore, &t.CancelBefore},
		{b.RescheduleBefore, &t.RescheduleBefore},
		{b.UndoGrace, &t.UndoGrace},
		{b.NoShowAfter, &t.NoShowAfter},
		{b.OfferTime, &t.OfferTime},
	} {
		if d.text == nil {
			continue
		}
		minutes, err := parseMinutes(*d.text, policy.ErrDuration)
		if err != nil {
			return t, err
		}
		*d.minutes = &minutes
	}
	err := b.hours(&t)
	return t, err
}

// hours adds the hours in which offers run. Errors: [domain.ErrBadWallTime].
func (b PolicyBody) hours(t *policy.Terms) error {
	for _, d := range []struct {
		text    *string
		minutes **int
	}{{b.OffersFrom, &t.OffersFrom}, {b.OffersUntil, &t.OffersUntil}} {
		if d.text == nil {
			continue
		}
		at, err := domain.ParseWallTime(*d.text)
		if err != nil {
			return err
		}
		*d.minutes = new(int(at))
	}
	return nil
}

func showTerms(t policy.Terms) PolicyBody {
	return PolicyBody{
		MinNotice: shownMinutes(t.MinNotice), Horizon: shownMinutes(t.Horizon), Approval: t.Approval, HoldTime: shownMinutes(t.HoldTime),
		CancelBefore: shownMinutes(t.CancelBefore), RescheduleBefore: shownMinutes(t.RescheduleBefore), Reschedules: t.Reschedules,
		PractitionerDay: t.PractitionerDay, PractitionerWeek: t.PractitionerWeek, PatientDay: t.PatientDay,
		PatientPractitioner: t.PatientPractitioner, PatientActive: t.PatientActive, HoldsShare: t.HoldsShare,
		UndoGrace: shownMinutes(t.UndoGrace), NoShowAfter: shownMinutes(t.NoShowAfter), BoardShows: shownText(t.BoardShows),
		OfferTime: shownMinutes(t.OfferTime), OffersFrom: shownWallTime(t.OffersFrom), OffersUntil: shownWallTime(t.OffersUntil),
	}
}

func shownMinutes(n *int) *string {
	if n == nil {
		return nil
	}
	return new(formatMinutes(*n))
}

func shownWallTime(n *int) *string {
	if n == nil {
		return nil
	}
	return new(domain.WallTime(*n).String())
}

func shownText(s *policy.Shown) *string {
	if s == nil {
		return nil
	}
	return new(string(*s))
}

func showEffective(e policy.Effective) PolicyBody {
	minutes := func(d time.Duration) *string { return new(formatDuration(d)) }
	return PolicyBody{
		MinNotice: minutes(e.MinNotice), Horizon: minutes(e.Horizon), Approval: &e.Approval, HoldTime: minutes(e.HoldTime),
		CancelBefore: minutes(e.CancelBefore), RescheduleBefore: minutes(e.RescheduleBefore), Reschedules: &e.Reschedules,
		PractitionerDay: &e.PractitionerDay, PractitionerWeek: &e.PractitionerWeek, PatientDay: &e.PatientDay,
		PatientPractitioner: &e.PatientPractitioner, PatientActive: &e.PatientActive, HoldsShare: &e.HoldsShare,
		UndoGrace: minutes(e.UndoGrace), NoShowAfter: minutes(e.NoShowAfter), BoardShows: shownText(&e.BoardShows),
		OfferTime: minutes(e.OfferTime), OffersFrom: new(e.OffersFrom.String()), OffersUntil: new(e.OffersUntil.String()),
	}
}
