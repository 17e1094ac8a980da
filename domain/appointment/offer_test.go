package appointment_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
)

// offer is a place of the waiting list, for who had none; sooner is an earlier
// one for who has the appointment of the first set.
var (
	offerEnds = now.Add(2 * time.Hour)
	offer     = appointment.Hold{Set: 1, Until: offerEnds, Ceiling: offerEnds, At: now, Wish: "w"}
	offered   = appointment.WasHeld{Visit: visit, Set: 1, Deadline: offerEnds, Ceiling: offerEnds, Wish: "w"}
	earlier   = func() appointment.Visit {
		v := visit
		v.Slots, v.Period = []domain.SlotID{"sooner"}, domain.Period{Start: nine.Add(-time.Hour), End: nine}
		return v
	}()
	proposedEarlier = appointment.WasProposed{Visit: earlier, Set: 2, Claims: claims, Deadline: until}
	sooner          = appointment.WasHeld{Visit: earlier, Set: 2, Deadline: offerEnds, Ceiling: offerEnds, Wish: "w"}
	swapped         = appointment.WasBooked{Visit: earlier, Set: 2, Replaces: 1, Freed: []domain.SlotID{"s"}, By: appointment.ByPatient}
)

func TestAnOffer(t *testing.T) {
	t.Parallel()
	decline := appointment.EndOffer{Set: 1, At: now}
	late := appointment.EndOffer{Set: 1, At: offerEnds}
	gone := appointment.WasReleased{Visit: visit, Set: 1, Code: appointment.Displaced}
	t.Run("keeps the place until a deadline of its own", spec.Given(proposed).When(offer).Then(offered))
	t.Run("is accepted", spec.Given(proposed, offered).When(appointment.Commit{Set: 1, At: now}).Then(booked))
	t.Run("is not accepted too late", spec.Given(proposed, offered).When(appointment.Commit{Set: 1, At: offerEnds}).ThenRefuse(appointment.ErrLapsed))
	t.Run("is declined", spec.Given(proposed, offered).When(decline).Then(givenBack))
	t.Run("is not declined once it is over", spec.Given(proposed, offered).When(late).ThenRefuse(appointment.ErrOfferOver))
	t.Run("is not declined once it has lapsed", spec.Given(proposed, offered, lapsed).When(decline).ThenRefuse(appointment.ErrOfferOver))
	t.Run("is not declined once it is accepted", spec.Given(proposed, offered, booked).When(decline).ThenRefuse(appointment.ErrOfferTaken))
	t.Run("ends when the clinic withdraws its slot",
		spec.Given(proposed, offered).When(appointment.EndOffer{Set: 1, Code: appointment.Displaced, At: now}).Then(gone))
	t.Run("ends once", spec.Given(proposed, offered, gone).When(appointment.EndOffer{Set: 1, Code: appointment.Displaced, At: now}).Then())
	t.Run("is not declined once it has ended", spec.Given(proposed, offered, gone).When(decline).ThenRefuse(appointment.ErrOfferOver))
	t.Run("of nothing is not declined", spec.Given().When(decline).ThenRefuse(appointment.ErrNoOffer))
	t.Run("is no hold that a frontend gives back", spec.Given(proposed, offered).When(appointment.Release{}).Then())
	t.Run("is no hold that a frontend renews",
		spec.Given(proposed, offered).When(appointment.Renew{Until: ceiling, At: now}).ThenRefuse(appointment.ErrNotHeld))
	t.Run("ends by itself: anybody may end it two seconds after its time",
		spec.Given(proposed, offered).When(appointment.Lapse{Set: 1, At: offerEnds.Add(appointment.ClockSlack)}).Then(lapsed))
	t.Run("is no hold of a frontend", spec.Given(proposed, held).When(decline).ThenRefuse(appointment.ErrNoOffer))
}

func TestAnOfferOfSomethingEarlier(t *testing.T) {
	t.Parallel()
	offer := appointment.Hold{Set: 2, Until: offerEnds, Ceiling: offerEnds, At: now, Wish: "w"}
	returned := appointment.WasReleased{Visit: earlier, Set: 2}
	movedAway := appointment.WasReleased{Visit: earlier, Set: 2, Code: appointment.Moved}
	overdue := appointment.HasLapsed{Visit: earlier, Set: 2}
	arrived := appointment.HasArrived{Visit: visit, Set: 1, At: now, By: "desk"}
	history := []appointment.Event{proposed, booked, proposedEarlier, sooner}
	move := appointment.Propose{Visit: visitAt("third"), Claims: claims, Deadline: until, At: now, Purpose: appointment.ToMove}
	moved := appointment.WasProposed{Visit: visitAt("third"), Set: 3, Claims: claims, Deadline: until}
	late := move
	late.At, late.Deadline = offerEnds, offerEnds.Add(10*time.Second)
	lateMoved := moved
	lateMoved.Deadline = late.Deadline

	t.Run("is made beside the appointment", spec.Given(proposed, booked, proposedEarlier).When(offer).Then(sooner))
	t.Run("is not made once the visit has begun",
		spec.Given(proposed, booked, proposedEarlier, arrived).When(offer).ThenRefuse(appointment.ErrStatus))
	t.Run("swaps when it is accepted",
		spec.Given(history...).When(appointment.Commit{Set: 2, At: now, By: appointment.ByPatient}).Then(swapped))
	t.Run("leaves the appointment when it is declined",
		spec.Given(history...).When(appointment.EndOffer{Set: 2, At: now}).Then(returned))
	t.Run("is given back when the appointment is moved", spec.Given(history...).When(move).Then(movedAway, moved))
	t.Run("is not declined once the appointment was moved",
		spec.Given(append(history, movedAway)...).When(appointment.EndOffer{Set: 2, At: now}).ThenRefuse(appointment.ErrOfferOver))
	t.Run("is declined once", spec.Given(append(history, returned)...).When(appointment.EndOffer{Set: 2, At: now}).Then())
	t.Run("has lapsed when the appointment is moved later", spec.Given(history...).When(late).Then(overdue, lateMoved))

	s := domain.Fold(appointment.Evolve, appointment.State{}, history...)
	require.Equal(t, appointment.Booked, s.Status, "the appointment stands while something else is offered")
	set, n := s.OnOffer(now)
	require.Equal(t, 2, n)
	require.Equal(t, earlier.Start, set.Start)
	_, n = s.OnOffer(offerEnds)
	require.Zero(t, n)
	s = appointment.Evolve(s, returned)
	require.Equal(t, appointment.Booked, s.Status)
	require.Equal(t, claim.Live, s.Fate(1))
	s = domain.Fold(appointment.Evolve, appointment.State{}, append(history, swapped)...)
	require.Equal(t, claim.Dead, s.Fate(1))
	require.True(t, s.Sets[1].WasLive)
}

func visitAt(slot domain.SlotID) appointment.Visit {
	v := visit
	v.Slots = []domain.SlotID{slot}
	return v
}
