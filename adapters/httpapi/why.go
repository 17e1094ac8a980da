package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/projections"
)

// Why says why an instant cannot be booked.
type Why struct {
	Available bool        `json:"available" doc:"It can be booked, or requested where the clinic approves"`
	Reasons   []WhyReason `json:"reasons" nullable:"false" doc:"The rule that a booking is refused by first, then all others that stand in the way"`
	Nearest   *Slot       `json:"nearest,omitempty" doc:"The nearest slot of the practitioner that can be booked; absent when none was found near"`
}

// WhyReason is one rule that stands in the way.
type WhyReason struct {
	Rule     string     `json:"rule" doc:"As in /problems" example:"slot.taken"`
	Text     string     `json:"text" example:"every place of the slot is taken"`
	ClinicID string     `json:"clinicId,omitempty" doc:"Whose schedule it is about"`
	Until    *time.Time `json:"until,omitempty" doc:"When what stands in the way lapses if nobody confirms it"`
	Fact     *WhyFact   `json:"fact,omitempty" doc:"What happened that the rule goes by"`
}

// WhyFact is an event behind a rule.
type WhyFact struct {
	Type   string    `json:"type" doc:"What happened" example:"slot.booked"`
	Time   time.Time `json:"time" doc:"When it was stored, UTC"`
	Actor  string    `json:"actor" doc:"Who did it" example:"local"`
	Stream string    `json:"stream" doc:"What it happened to"`
}

type whyInput struct {
	ReadParams
	PractitionerID string    `query:"practitionerId" required:"true" minLength:"1" maxLength:"64" doc:"With whom" example:"018f6b1e-0000-7000-8000-000000000002"`
	At             time.Time `query:"at" required:"true" doc:"When the visit would start" example:"2026-03-30T08:00:00Z"`
	VisitTypeID    string    `query:"visitTypeId" maxLength:"64" doc:"What sort of visit; absent = any"`
	PatientID      string    `query:"patientId" maxLength:"64" doc:"For whom; absent = somebody"`
}

func (a *api) whyRoutes() {
	for _, r := range commands.WhyNoSlots() {
		a.rules[r.Rule] = ruleOf(r) // they are reasons, never answers
	}
	one(a, operation{
		id: "whyNot", method: http.MethodGet, path: "/v1/slots/why", tag: "Slots",
		summary: "Say why an instant cannot be booked, and which is the nearest that can",
		detail: "Decides the booking for real, without storing it, and then asks every other rule: several may stand in the way. Where no " +
			"slot starts, it says what the schedule makes of that time.",
		refusals: []*domain.Error{practitioner.ErrNotFound, patient.ErrNotFound, visittype.ErrNotFound},
	}, a.why)
}

func (a *api) why(ctx context.Context, in *whyInput) (single[Why], error) {
	q := commands.Question{
		Practitioner: domain.PractitionerID(in.PractitionerID), At: in.At.UTC(), VisitType: domain.VisitTypeID(in.VisitTypeID),
		Patient: domain.PatientID(in.PatientID),
	}
	head, err := a.Head(ctx)
	if err != nil {
		return single[Why]{}, err
	}
	e, err := a.Commands.Why(ctx, q)
	if err != nil {
		return single[Why]{}, err
	}
	body := Why{Available: len(e.Reasons) == 0, Reasons: mapped(e.Reasons, showReason)}
	body.Nearest, err = a.nearestFor(ctx, q, e)
	return single[Why]{body: body, position: head}, err
}

func showReason(r commands.Reason) WhyReason {
	shown := WhyReason{Rule: r.Refusal.Rule, Text: r.Refusal.Text, ClinicID: string(r.Clinic), Until: instant(r.Until)}
	if f := r.Fact; f != nil {
		shown.Fact = &WhyFact{f.Event.EventType(), f.RecordedAt.UTC(), f.Metadata.Actor, string(f.Stream)}
	}
	return shown
}

// nearestFor returns the nearest free slot of the practitioner whose booking
// nothing refuses, nil when none of those that are near is one.
func (a *api) nearestFor(ctx context.Context, q commands.Question, e commands.Explanation) (*Slot, error) {
	if e.Clinic == "" {
		return nil, nil //nolint:nilnil // there is no slot
	}
	start := q.At
	if start.Before(e.Earliest) {
		start = e.Earliest
	}
	if !e.Latest.IsZero() && start.After(e.Latest) {
		start = e.Latest
	}
	wish := projections.Wish{Practitioner: q.Practitioner, Clinic: e.Clinic, Start: start, VisitType: q.VisitType}
	free, err := a.Slots.Nearest(ctx, wish, a.Now(), tries)
	if err != nil {
		return nil, err
	}
	for _, s := range free {
		if s.Practitioner != q.Practitioner {
			break // those of others come last
		}
		err := a.Commands.MayBook(ctx, q, s.ID)
		if err == nil {
			shown, err := a.slotOf(ctx, s)
			return &shown, err
		}
		if domain.RuleOf(err) == nil {
			return nil, err
		}
	}
	return nil, nil //nolint:nilnil // none is near
}
