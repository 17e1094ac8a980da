package reactions

import (
	"context"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/slot"
)

// Displaced sees to those whose slot the clinic has withdrawn:
//
//	a request, which nobody can approve any more --> it is declined, so that the patient knows in time
//	an offer of the waiting list --> it ends, so that the patient may be offered something else
//	a booked visit --> nothing: staff move or cancel it, or open the time again
//	a hold --> nothing: it comes to nothing within minutes
type Displaced struct{ Handler *commands.Handler }

// Wants returns the types of events that [Displaced.React] reacts to.
func (d Displaced) Wants() []string { return []string{slot.Withdrawn{}.EventType()} }

// React ends the requests and offers of a slot that was withdrawn, and is still.
func (d Displaced) React(ctx context.Context, r domain.Recorded) error {
	e, ok := r.Event.(slot.Withdrawn)
	if !ok || len(e.Displaced) == 0 {
		return nil
	}
	now, err := d.Handler.Slot(ctx, e.Slot)
	if err != nil || !now.State.Withdrawn {
		return err
	}
	for _, h := range e.Displaced {
		if err := d.end(ctx, r, h); err != nil {
			return err
		}
	}
	return nil
}

// end ends a request or an offer, if that is what has the slot.
func (d Displaced) end(ctx context.Context, r domain.Recorded, h slot.Holder) error {
	visit, err := d.Handler.Appointment(ctx, h.Appointment)
	if err != nil {
		return err
	}
	latest, n := visit.State.Latest()
	if n != h.Set || latest.Fate != claim.Pending {
		return nil
	}
	req := commands.CausedBy(r, "displaced", string(h.Appointment))
	switch latest.Phase {
	case appointment.OnRequest:
		_, err = d.Handler.Decline(ctx, req, commands.Refusal{Appointment: h.Appointment, Code: string(appointment.Displaced)})
	case appointment.OnOffer:
		_, err = d.Handler.DisplaceOffer(ctx, req, commands.OfferOf(h.Appointment, n))
	case appointment.InDecision, appointment.OnHold:
	}
	if rule := domain.RuleOf(err); rule != nil && settles(rule.Kind) {
		return nil // it was decided meanwhile
	}
	return err
}
