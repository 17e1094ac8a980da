package commands_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/domain/waitlist"
)

// waits has a patient wait for a practitioner.
func (w *world) waits(who domain.PatientID, change func(*waitlist.Wish)) domain.WishID {
	wish := waitlist.Wish{
		ID: domain.WishID(domain.NewID("wish", fmt.Sprint(w.command))), Patient: who, Practitioners: []domain.PractitionerID{w.silva},
	}
	if change != nil {
		change(&wish)
	}
	_, err := w.h.JoinWaitlist(w.ctx, w.request(), wish)
	require.NoError(w.t, err)
	return wish.ID
}

// round is what follows from the last release of a slot.
func (w *world) round(s domain.SlotID) commands.Round {
	free, _, err := w.h.Freed(w.ctx, s)
	require.NoError(w.t, err)
	round := commands.Round{Free: free}
	for _, r := range w.log() {
		switch e := r.Event.(type) {
		case slot.Released:
			if e.Slot == s {
				round.Cause = r
			}
		case waitlist.HasJoined:
			if e.Wants(free) {
				round.Line = append(round.Line, e.ID)
			}
		}
	}
	return round
}

// freed offers a slot that has become free.
func (w *world) freed(s domain.SlotID) domain.OfferID {
	id, err := w.h.OfferRound(w.ctx, w.round(s))
	require.NoError(w.t, err)
	return id
}

// fullDay has souza's only waiting patients meet a day that is full: carlos has the
// first slot of silva's.
func (w *world) fullDay() []schedule.Slot {
	slots := w.open(w.silva, 1)
	_, err := w.book(w.carlos, slots[0].ID)
	require.NoError(w.t, err)
	return slots
}

// offeredEarlier is a full day on which Ana has a late appointment and is offered
// the first slot in its place.
func (w *world) offeredEarlier() (slots []schedule.Slot, has domain.AppointmentID, wish domain.WishID, offer domain.OfferID) {
	slots = w.fullDay()
	_, err := w.book(w.ana, slots[4].ID)
	require.NoError(w.t, err)
	has = w.booking(w.ana, slots[4].ID).Appointment
	wish = w.waits(w.ana, func(x *waitlist.Wish) { x.Appointment = has })
	return slots, has, wish, w.freed(w.cancels(slots[0].ID))
}

// cancels has carlos give his slot back.
func (w *world) cancels(s domain.SlotID) domain.SlotID {
	_, err := w.cancel(w.booking(w.carlos, s).Appointment)
	require.NoError(w.t, err)
	return s
}

func (w *world) wish(id domain.WishID) waitlist.State {
	answer, err := w.h.Wish(w.ctx, id)
	require.NoError(w.t, err)
	return answer.State
}

func (w *world) accept(id domain.OfferID) (commands.Answer[appointment.State], error) {
	return w.h.AcceptOffer(w.ctx, w.request(), id)
}

func (w *world) decline(id domain.OfferID) (commands.Answer[appointment.State], error) {
	return w.h.DeclineOffer(w.ctx, w.request(), id)
}

// passed are how the offers for a wish ended that were not accepted.
func (w *world) passed(id domain.WishID) (why []string) {
	for _, r := range w.log() {
		if e, ok := r.Event.(waitlist.HasPassed); ok && e.Wish == id {
			why = append(why, e.Why)
		}
	}
	return why
}

// offerNow is what has become of an offer, as its appointment says.
func (w *world) offerNow(id domain.OfferID) commands.OfferState {
	answer, n, err := w.h.OfferNow(w.ctx, id)
	require.NoError(w.t, err)
	return commands.StateOfOffer(answer.State.Sets[n-1], w.clock.now())
}

func (w *world) policy(t policy.Terms) {
	_, err := w.h.SetPolicy(w.ctx, w.request(), policy.Set{Scope: policy.Scope{Kind: policy.OfClinic, ID: string(w.clinic)}, Terms: t})
	require.NoError(w.t, err)
	w.clock.advance(time.Second)
}

func TestAFreedSlotIsOfferedToWhoJoinedFirst(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.fullDay()[0].ID
		first, second := w.waits(w.ana, nil), w.waits(w.boris, nil)
		offer := w.freed(w.cancels(s))
		require.NotEmpty(t, offer)
		require.Equal(t, waitlist.Offered, w.wish(first).Status)
		require.Equal(t, waitlist.Waiting, w.wish(second).Status)
		require.Equal(t, monday.Add(time.Hour), w.wish(first).Offer.Until, "until the visit begins")

		_, err := w.book(w.boris, s)
		require.ErrorIs(t, err, slot.ErrTaken, "nobody else has it meanwhile")
		require.Empty(t, w.freed(s), "it is offered to one only")

		answer, err := w.accept(offer)
		require.NoError(t, err)
		require.Equal(t, appointment.Booked, answer.State.Status)
		require.Equal(t, waitlist.Accepted, w.wish(first).Status)
		again, err := w.accept(offer)
		require.NoError(t, err)
		require.Equal(t, answer.Revision, again.Revision, "twice is once")
		_, err = w.decline(offer)
		require.ErrorIs(t, err, appointment.ErrOfferTaken)
		_, err = w.h.LeaveWaitlist(w.ctx, w.request(), first)
		require.ErrorIs(t, err, waitlist.ErrAccepted)
		w.audit()
	})
}

func TestADeclinedOfferPassesToTheNext(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.fullDay()[0].ID
		first, second := w.waits(w.ana, nil), w.waits(w.boris, nil)
		offer := w.freed(w.cancels(s))
		_, err := w.decline(offer)
		require.NoError(t, err)
		_, err = w.decline(offer)
		require.NoError(t, err, "twice is once")
		require.Equal(t, waitlist.Waiting, w.wish(first).Status)
		_, err = w.accept(offer)
		require.ErrorIs(t, err, appointment.ErrOfferOver)

		next := w.freed(s)
		require.NotEmpty(t, next)
		require.Equal(t, waitlist.Offered, w.wish(second).Status)
		require.Empty(t, w.wish(first).Skips, "the offer is the reason")
		_, err = w.decline(next)
		require.NoError(t, err)
		require.Empty(t, w.freed(s), "everybody had it")
		_, err = w.book(w.boris, s)
		require.NoError(t, err, "it is anybody's then")
		w.audit()
	})
}

func TestAnOfferLapsesAndPassesToTheNext(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.fullDay()[0].ID
		w.policy(policy.Terms{OfferTime: new(30)})
		first, second := w.waits(w.ana, nil), w.waits(w.boris, nil)
		offer := w.freed(w.cancels(s))
		w.clock.advance(30 * time.Minute)
		_, err := w.accept(offer)
		require.ErrorIs(t, err, appointment.ErrOfferOver)
		of := w.wish(first).Offer
		_, err = w.h.Lapse(w.ctx, w.request(), of.Appointment, of.Set)
		require.ErrorIs(t, err, appointment.ErrNotDue, "the patient's clock may be two seconds behind")
		w.clock.advance(2 * time.Second)
		_, err = w.h.Lapse(w.ctx, w.request(), of.Appointment, of.Set)
		require.NoError(t, err)
		require.Equal(t, waitlist.Waiting, w.wish(first).Status)
		require.NotEmpty(t, w.freed(s))
		require.Equal(t, waitlist.Offered, w.wish(second).Status)
		w.audit()
	})
}

// Whoever meets what an overdue offer holds ends it: nothing waits for a worker.
func TestAnOverdueOfferHindersNobody(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.fullDay()[0].ID
		w.waits(w.ana, nil)
		w.freed(w.cancels(s))
		w.clock.advance(2*time.Hour + 2*time.Second) // it is for half past nine
		other := w.set(w.souza, w.weekdays("13:00", "15:00", 30, 1, 1)).Opened[0]
		later := w.waits(w.ana, func(x *waitlist.Wish) { x.Practitioners = []domain.PractitionerID{w.souza} })
		id, err := w.h.OfferRound(w.ctx, commands.Round{Free: w.round(other.ID).Free, Cause: domain.Recorded{ID: "x"}, Line: []domain.WishID{later}})
		require.NoError(t, err)
		require.NotEmpty(t, id, "an offer that is over is no other offer")
		w.audit()
	})
}

func TestAnOverdueOfferOfTheSameWishHasLapsed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.fullDay()[0].ID
		wish := w.waits(w.ana, func(x *waitlist.Wish) { x.Practitioners = append(x.Practitioners, w.souza) })
		w.freed(w.cancels(s))
		w.clock.advance(2*time.Hour + 2*time.Second)
		other := w.set(w.souza, w.weekdays("13:00", "15:00", 30, 1, 1)).Opened[0]
		_, err := w.h.Offer(w.ctx, w.request(), wish, other.ID)
		require.NoError(t, err)
		require.Equal(t, []string{waitlist.Lapsed}, w.passed(wish))
		w.audit()
	})
}

func TestWhoIsPassedOverHasTheReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		because func(w *world, slots []schedule.Slot) domain.WishID
		rule    *domain.Error
	}{
		"busy at that time": {func(w *world, slots []schedule.Slot) domain.WishID {
			_, err := w.book(w.ana, w.open(w.souza, 1)[0].ID)
			require.NoError(w.t, err)
			return w.waits(w.ana, nil)
		}, occupancy.ErrTaken},
		"something else is offered": {func(w *world, slots []schedule.Slot) domain.WishID {
			_, err := w.book(w.carlos, slots[1].ID)
			require.NoError(w.t, err)
			id := w.waits(w.ana, nil)
			require.NotEmpty(w.t, w.freed(w.cancels(slots[1].ID)))
			return id
		}, quota.ErrOffers},
		"something else is offered for another wish": {func(w *world, slots []schedule.Slot) domain.WishID {
			_, err := w.book(w.carlos, slots[1].ID)
			require.NoError(w.t, err)
			w.waits(w.ana, nil)
			require.NotEmpty(w.t, w.freed(w.cancels(slots[1].ID)))
			return w.waits(w.ana, nil)
		}, quota.ErrOffers},
		"too little notice": {func(w *world, _ []schedule.Slot) domain.WishID {
			w.policy(policy.Terms{MinNotice: new(24 * 60)})
			return w.waits(w.ana, nil)
		}, commands.ErrNotice},
		"too many appointments": {func(w *world, slots []schedule.Slot) domain.WishID {
			w.policy(policy.Terms{PatientDay: new(1)})
			_, err := w.book(w.ana, slots[3].ID)
			require.NoError(w.t, err)
			return w.waits(w.ana, nil)
		}, quota.ErrPatientDay},
		"not earlier": {func(w *world, slots []schedule.Slot) domain.WishID {
			early := w.set(w.souza, w.weekdays("08:30", "12:00", 30, 1, 1)).Opened[0]
			_, err := w.book(w.ana, early.ID)
			require.NoError(w.t, err)
			return w.waits(w.ana, func(x *waitlist.Wish) { x.Appointment = w.booking(w.ana, early.ID).Appointment })
		}, commands.ErrNotEarlier},
		"the clinic approves each move": {func(w *world, slots []schedule.Slot) domain.WishID {
			_, err := w.book(w.ana, slots[3].ID)
			require.NoError(w.t, err)
			w.policy(policy.Terms{Approval: new(true)})
			return w.waits(w.ana, func(x *waitlist.Wish) { x.Appointment = w.booking(w.ana, slots[3].ID).Appointment })
		}, commands.ErrApproval},
		"the visit takes more than is free": {func(w *world, slots []schedule.Slot) domain.WishID {
			_, err := w.book(w.boris, slots[1].ID)
			require.NoError(w.t, err)
			long := domain.VisitTypeID(domain.NewID("long"))
			_, err = w.h.DefineVisitType(w.ctx, w.request(), visittype.Define{VisitType: long, Clinic: w.clinic, Terms: visittype.Terms{Name: "Long", Duration: 60}})
			require.NoError(w.t, err)
			return w.waits(w.ana, func(x *waitlist.Wish) { x.VisitType = long })
		}, slot.ErrTaken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				slots := w.fullDay()
				skipped := c.because(w, slots)
				dora := domain.PatientID(domain.NewID("dora"))
				_, err := w.h.RegisterPatient(w.ctx, w.request(), patient.Register{Patient: dora, Name: "Dora"})
				require.NoError(t, err)
				next := w.waits(dora, nil)
				offer := w.freed(w.cancels(slots[0].ID))
				require.Equal(t, c.rule.Rule, w.wish(skipped).Skips[slots[0].ID])
				if c.rule == commands.ErrNotice {
					require.Empty(t, offer)
				} else {
					require.Equal(t, slots[0].ID, w.wish(next).Offer.Slot)
				}
				length := len(w.log())
				w.freed(slots[0].ID)
				require.Len(t, w.log(), length, "a round that is run again says nothing anew")
				w.audit()
			})
		})
	}
}

func TestAnEarlierSlotIsSwappedForTheOneThatTheyHave(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.fullDay()
		_, err := w.book(w.ana, slots[4].ID)
		require.NoError(t, err)
		_, err = w.book(w.boris, slots[5].ID)
		require.NoError(t, err)
		has := w.booking(w.ana, slots[4].ID).Appointment
		first := w.waits(w.ana, func(x *waitlist.Wish) { x.Appointment, x.Practitioners = has, nil })
		second := w.waits(w.boris, func(x *waitlist.Wish) { x.Appointment = w.booking(w.boris, slots[5].ID).Appointment })

		offer := w.freed(w.cancels(slots[0].ID))
		require.Equal(t, commands.OfferOf(has, 2), offer)
		now, err := w.h.Appointment(w.ctx, has)
		require.NoError(t, err)
		require.Equal(t, appointment.Booked, now.State.Status, "what they have they keep")
		_, err = w.book(w.carlos, slots[4].ID)
		require.ErrorIs(t, err, slot.ErrTaken)

		swapped, err := w.accept(offer)
		require.NoError(t, err)
		current, _ := swapped.State.Current()
		require.Equal(t, []domain.SlotID{slots[0].ID}, current.Slots)
		require.Equal(t, waitlist.Accepted, w.wish(first).Status)

		next := w.freed(slots[4].ID)
		require.Equal(t, slots[4].ID, w.wish(second).Offer.Slot, "what that frees goes to the next")
		_, err = w.accept(next)
		require.NoError(t, err)
		require.Equal(t, 2, w.audit().Live())
	})
}

func TestADeclinedEarlierSlotLeavesWhatTheyHave(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		_, has, wish, offer := w.offeredEarlier()
		_, err := w.decline(offer)
		require.NoError(t, err)
		now, err := w.h.Appointment(w.ctx, has)
		require.NoError(t, err)
		require.Equal(t, appointment.Booked, now.State.Status)
		require.Equal(t, waitlist.Waiting, w.wish(wish).Status)
		w.audit()
	})
}

func TestMovingTheAppointmentGivesTheOfferBack(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots, has, wish, offer := w.offeredEarlier()
		_, err := w.h.Reschedule(w.ctx, w.request(), commands.Move{Booking: commands.Booking{
			Appointment: has, Slots: []domain.SlotID{slots[2].ID}, By: appointment.ByPatient,
		}})
		require.NoError(t, err)
		_, err = w.accept(offer)
		require.ErrorIs(t, err, appointment.ErrOfferOver)
		_, err = w.decline(offer)
		require.ErrorIs(t, err, appointment.ErrOfferOver)
		require.Equal(t, waitlist.Waiting, w.wish(wish).Status)
		require.Equal(t, []string{waitlist.Withdrawn}, w.passed(wish), "nobody has declined it")
		require.Equal(t, commands.OfferWithdrawn, w.offerNow(offer))
		_, err = w.book(w.boris, slots[0].ID)
		require.NoError(t, err)
		w.audit()
	})
}

func TestAnOfferOfWithdrawnTimeMakesRoomForAnother(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.fullDay()
		wish := w.waits(w.ana, nil)
		_, err := w.book(w.carlos, slots[4].ID)
		require.NoError(t, err)
		offer := w.freed(w.cancels(slots[0].ID))
		_, err = w.block(w.h, 9, 10)
		require.NoError(t, err)
		_, err = w.accept(offer)
		require.ErrorIs(t, err, slot.ErrWithdrawn)
		for range 2 { // twice is once
			_, err = w.h.DisplaceOffer(w.ctx, w.request(), offer)
			require.NoError(t, err)
		}
		require.Equal(t, []string{waitlist.Displaced}, w.passed(wish))
		require.Equal(t, commands.OfferDisplaced, w.offerNow(offer))
		require.NotEmpty(t, w.freed(w.cancels(slots[4].ID)))
		require.Equal(t, slots[4].ID, w.wish(wish).Offer.Slot)
		w.audit()
	})
}

func TestCancellingTheAppointmentWithdrawsTheOffer(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		_, has, wish, offer := w.offeredEarlier()
		_, err := w.cancel(has)
		require.NoError(t, err)
		require.Equal(t, []string{waitlist.Withdrawn}, w.passed(wish))
		require.Equal(t, commands.OfferWithdrawn, w.offerNow(offer))
		w.audit()
	})
}

// A wish that was fulfilled stays so, whatever becomes of the appointment later.
func TestAWishIsFulfilledForGood(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.fullDay()
		wish := w.waits(w.ana, nil)
		offer := w.freed(w.cancels(slots[0].ID))
		booked, err := w.accept(offer)
		require.NoError(t, err)
		visit, _ := booked.State.Current()
		_, err = w.h.Reschedule(w.ctx, w.request(), commands.Move{Booking: commands.Booking{
			Appointment: visit.Appointment, Slots: []domain.SlotID{slots[2].ID}, By: appointment.ByPatient,
		}})
		require.NoError(t, err)
		require.Equal(t, waitlist.Accepted, w.wish(wish).Status)
		_, err = w.h.Cancel(w.ctx, w.request(), commands.Cancellation{Appointment: visit.Appointment, Initiator: appointment.ByPatient})
		require.NoError(t, err)
		require.Equal(t, waitlist.Accepted, w.wish(wish).Status)
		require.Empty(t, w.freed(slots[2].ID))
		_, n, err := w.h.OfferNow(w.ctx, offer)
		require.NoError(t, err)
		answer, _, _ := w.h.OfferNow(w.ctx, offer)
		require.Equal(t, commands.OfferAccepted, commands.StateOfOffer(answer.State.Sets[n-1], w.clock.now()))
		w.audit()
	})
}

// asksFor has Ana accept an offer where visits wait for approval.
func (w *world) asksFor() (domain.WishID, domain.OfferID, commands.Answer[appointment.State]) {
	s := w.fullDay()[0].ID
	w.policy(policy.Terms{Approval: new(true)})
	wish := w.waits(w.ana, nil)
	offer := w.freed(w.cancels(s))
	asked, err := w.accept(offer)
	require.NoError(w.t, err)
	return wish, offer, asked
}

func TestWhereVisitsWaitForApprovalAnAcceptedOfferIsARequest(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		wish, offer, asked := w.asksFor()
		require.Equal(t, appointment.Pending, asked.State.Status)
		again, err := w.accept(offer)
		require.NoError(t, err)
		require.Equal(t, asked.Revision, again.Revision)
		_, err = w.decline(offer)
		require.ErrorIs(t, err, appointment.ErrOfferTaken)
		visit, _ := asked.State.Latest()
		_, err = w.h.Decline(w.ctx, w.request(), commands.Refusal{Appointment: visit.Appointment})
		require.NoError(t, err)
		require.Equal(t, waitlist.Waiting, w.wish(wish).Status, "who was not approved goes on waiting")
		w.audit()
	})
}

func TestAnAcceptedOfferThatIsCancelledBeforeItsApprovalSaysBy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by   appointment.Initiator
		code appointment.Code
		want string
	}{
		"the patient":                    {appointment.ByPatient, "", waitlist.Declined},
		"the clinic":                     {appointment.ByClinic, "", waitlist.NotApproved},
		"the clinic, which took it back": {appointment.ByClinic, appointment.Displaced, waitlist.Displaced},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				wish, offer, asked := w.asksFor()
				visit, _ := asked.State.Latest()
				_, err := w.h.Cancel(w.ctx, w.request(), commands.Cancellation{Appointment: visit.Appointment, Initiator: c.by, Code: c.code})
				require.NoError(t, err)
				now, n, err := w.h.OfferNow(w.ctx, offer)
				require.NoError(t, err)
				require.Equal(t, commands.OfferState(c.want), commands.StateOfOffer(now.State.Sets[n-1], w.clock.now()))
				passed := slices.IndexFunc(w.log(), func(r domain.Recorded) bool { _, is := r.Event.(waitlist.HasPassed); return is })
				require.Positive(t, passed)
				require.Equal(t, c.want, w.log()[passed].Event.(waitlist.HasPassed).Why) //nolint:forcetypeassert // it was found as one
				require.Equal(t, waitlist.Waiting, w.wish(wish).Status)
				w.audit()
			})
		})
	}
}

func TestAnApprovedOfferFulfilsItsWish(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		wish, _, asked := w.asksFor()
		visit, _ := asked.State.Latest()
		_, err := w.h.Approve(w.ctx, w.request(), visit.Appointment)
		require.NoError(t, err)
		_, err = w.h.Cancel(w.ctx, w.request(), commands.Cancellation{Appointment: visit.Appointment, Initiator: appointment.ByPatient})
		require.NoError(t, err)
		require.Equal(t, waitlist.Accepted, w.wish(wish).Status)
		w.audit()
	})
}

func TestLeavingDeclinesWhatIsOffered(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.fullDay()[0].ID
		first, second := w.waits(w.ana, nil), w.waits(w.boris, nil)
		offer := w.freed(w.cancels(s))
		req := w.request()
		_, err := w.h.LeaveWaitlist(w.ctx, req, first)
		require.NoError(t, err)
		_, err = w.h.LeaveWaitlist(w.ctx, req, first)
		require.NoError(t, err)
		_, err = w.accept(offer)
		require.ErrorIs(t, err, appointment.ErrOfferOver)
		require.NotEmpty(t, w.freed(s))
		require.Equal(t, waitlist.Offered, w.wish(second).Status)
		require.Equal(t, waitlist.Ended, w.wish(first).Status)
		w.audit()
	})
}

func TestAWishForSomethingEarlierEndsWithTheAppointment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	slots := w.fullDay()
	_, err := w.book(w.ana, slots[4].ID)
	require.NoError(t, err)
	has := w.booking(w.ana, slots[4].ID).Appointment
	wish := w.waits(w.ana, func(x *waitlist.Wish) { x.Appointment = has })
	_, err = w.cancel(has)
	require.NoError(t, err)
	require.Empty(t, w.freed(w.cancels(slots[0].ID)))
	require.Equal(t, waitlist.NoLonger, w.wish(wish).End)
}

func TestAWishGoesWithAMergedPatient(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.fullDay()[0].ID
		wish := w.waits(w.boris, nil)
		_, err := w.h.MoveWish(w.ctx, w.request(), wish)
		require.NoError(t, err)
		require.Equal(t, w.boris, w.wish(wish).Patient, "nobody was merged")
		_, err = w.h.MergePatient(w.ctx, w.request(), w.boris, w.ana)
		require.NoError(t, err)
		w.freed(w.cancels(s))
		require.Equal(t, []string{"appointment.proposed", "appointment.held"}, w.types(appointment.Stream(w.wish(wish).Offer.Appointment)))
		now, err := w.h.Appointment(w.ctx, w.wish(wish).Offer.Appointment)
		require.NoError(t, err)
		set, _ := now.State.Latest()
		require.Equal(t, w.ana, set.Patient, "the offer is that of who is kept")
		_, err = w.h.MoveWish(w.ctx, w.request(), wish)
		require.NoError(t, err)
		require.Equal(t, w.ana, w.wish(wish).Patient)
		_, err = w.h.JoinWaitlist(w.ctx, w.request(), waitlist.Wish{ID: "x", Patient: w.boris, Practitioners: []domain.PractitionerID{w.silva}})
		require.ErrorIs(t, err, patient.ErrMerged)
		w.audit()
	})
}

func TestWhatAWishMayName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	slots := w.fullDay()
	other := domain.VisitTypeID(domain.NewID("check"))
	_, err := w.h.DefineVisitType(w.ctx, w.request(), visittype.Define{
		VisitType: other, Clinic: w.clinic, Terms: visittype.Terms{Name: "Check", Duration: 30, Specialty: "cardiology"},
	})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(*waitlist.Wish)
		err    error
	}{
		"a patient":            {func(x *waitlist.Wish) { x.Patient = "nobody" }, patient.ErrNotFound},
		"its own appointment":  {func(x *waitlist.Wish) { x.Appointment = w.booking(w.carlos, slots[0].ID).Appointment }, commands.ErrNotTheirs},
		"an appointment":       {func(x *waitlist.Wish) { x.Appointment = "none" }, appointment.ErrNotFound},
		"a visit type":         {func(x *waitlist.Wish) { x.VisitType = "none" }, visittype.ErrNotFound},
		"one of these clinics": {func(x *waitlist.Wish) { x.VisitType, x.Clinics = other, []domain.ClinicID{"another"} }, commands.ErrElsewhere},
	} {
		wish := waitlist.Wish{ID: "w", Patient: w.ana, Practitioners: []domain.PractitionerID{w.silva}}
		c.change(&wish)
		_, err := w.h.JoinWaitlist(w.ctx, w.request(), wish)
		require.ErrorIs(t, err, c.err, name)
	}
	id := w.waits(w.ana, func(x *waitlist.Wish) { x.VisitType, x.Practitioners = other, nil })
	require.Equal(t, "cardiology", w.wish(id).Specialty, "the visit type says it")
	require.Equal(t, []domain.ClinicID{w.clinic}, w.wish(id).Clinics)
	_, err = w.h.RetireVisitType(w.ctx, w.request(), other)
	require.NoError(t, err)
	_, err = w.h.JoinWaitlist(w.ctx, w.request(), waitlist.Wish{ID: "w", Patient: w.ana, VisitType: other})
	require.ErrorIs(t, err, visittype.ErrRetired)
}

// Streams and read models tell the same of an offer.
func TestWhatBecomesOfAnOffer(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	before := until.Add(-time.Second)
	offered := func(change func(*appointment.Set)) appointment.Set {
		s := appointment.Set{Phase: appointment.OnOffer, Fate: claim.Dead, Deadline: until, Wish: "w"}
		change(&s)
		return s
	}
	live := func(s *appointment.Set) { s.Fate, s.WasLive = claim.Live, true }
	wasLive := func(s *appointment.Set) { s.WasLive = true }
	pending := func(s *appointment.Set) { s.Fate = claim.Pending }
	requested := func(s *appointment.Set) { s.Fate, s.Phase = claim.Pending, appointment.OnRequest }
	refused := func(s *appointment.Set) { s.Phase = appointment.OnRequest }
	for name, c := range map[string]struct {
		set      appointment.Set
		ended    string
		accepted bool
		at       time.Time
		want     commands.OfferState
	}{
		"it is open until its time is up":          {offered(pending), "", false, before, commands.OfferOpen},
		"it has lapsed though nobody has ended it": {offered(pending), "", false, until, commands.OfferLapsed},
		"it was ended in time":                     {offered(func(s *appointment.Set) { s.Lapsed = true }), waitlist.Lapsed, false, before, commands.OfferLapsed},
		"it was given back":                        {offered(func(s *appointment.Set) { s.Released = true }), waitlist.Declined, false, until, commands.OfferDeclined},
		"its appointment has ended":                {offered(func(*appointment.Set) {}), waitlist.Withdrawn, false, before, commands.OfferWithdrawn},
		"it is booked":                             {offered(live), "", true, until, commands.OfferAccepted},
		"it was booked, whatever came of that":     {offered(wasLive), "", true, until, commands.OfferAccepted},
		"it waits for approval":                    {offered(requested), "", true, until, commands.OfferAccepted},
		"it was not approved":                      {offered(refused), waitlist.NotApproved, true, until, commands.OfferRefused},
	} {
		require.Equal(t, c.want, commands.StateOfOffer(c.set, c.at), "%s, says the appointment", name)
		require.Equal(t, c.want, commands.WhatBecameOf(c.ended, c.accepted, until, c.at), "%s, says the wish", name)
	}
}

func TestThereIsNoSuchOffer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	s := w.open(w.silva, 1)[0]
	booked, err := w.book(w.ana, s.ID)
	require.NoError(t, err)
	visit, _ := booked.State.Current()
	for _, id := range []domain.OfferID{"", "x", "x.1", commands.OfferOf(visit.Appointment, 1), commands.OfferOf(visit.Appointment, 2)} {
		_, _, err := w.h.OfferNow(w.ctx, id)
		require.ErrorIs(t, err, appointment.ErrNoOffer)
		_, err = w.accept(id)
		require.ErrorIs(t, err, appointment.ErrNoOffer)
		_, err = w.decline(id)
		require.ErrorIs(t, err, appointment.ErrNoOffer)
	}
}

// A visit that takes two slots begins with the one before the freed one, where that
// is free.
func TestALongVisitMayBeginBeforeTheFreedSlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	slots := w.open(w.silva, 1)
	for i, who := range map[int]domain.PatientID{1: w.carlos, 2: w.boris} {
		_, err := w.book(who, slots[i].ID)
		require.NoError(t, err)
	}
	long := domain.VisitTypeID(domain.NewID("long"))
	_, err := w.h.DefineVisitType(w.ctx, w.request(), visittype.Define{VisitType: long, Clinic: w.clinic, Terms: visittype.Terms{Name: "Long", Duration: 60}})
	require.NoError(t, err)
	wish := w.waits(w.ana, func(x *waitlist.Wish) { x.VisitType = long })
	require.NotEmpty(t, w.freed(w.cancels(slots[1].ID)))
	require.Equal(t, slots[0].ID, w.wish(wish).Offer.Slot)
	require.Equal(t, time.Hour, w.wish(wish).Offer.End.Sub(w.wish(wish).Offer.Start))
}

// Where the UTC day changes in opening hours, the slot before the freed one is of the
// day before.
func TestALongVisitMayBeginOnTheUTCDayBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	slots := w.set(w.silva, w.weekdays("00:00", "03:00", 30, 1, 3)).Opened
	freed := slices.IndexFunc(slots, func(s schedule.Slot) bool {
		return s.Start.Equal(domain.DayOf(s.Start).Start()) && s.Start.After(monday)
	})
	require.Positive(t, freed)
	require.Equal(t, slots[freed].Start, slots[freed-1].End)
	for i, who := range map[int]domain.PatientID{freed: w.carlos, freed + 1: w.boris} {
		_, err := w.book(who, slots[i].ID)
		require.NoError(t, err)
	}
	long := domain.VisitTypeID(domain.NewID("long"))
	_, err := w.h.DefineVisitType(w.ctx, w.request(), visittype.Define{VisitType: long, Clinic: w.clinic, Terms: visittype.Terms{Name: "Long", Duration: 60}})
	require.NoError(t, err)
	wish := w.waits(w.ana, func(x *waitlist.Wish) { x.VisitType = long })
	_, err = w.h.Book(w.ctx, w.request(), commands.Booking{Appointment: "x", Slots: []domain.SlotID{slots[freed-1].ID}, Patient: w.ana, VisitType: long})
	require.Error(t, err, "the slot is taken still")
	require.NotEmpty(t, w.freed(w.cancels(slots[freed].ID)))
	require.Equal(t, slots[freed-1].ID, w.wish(wish).Offer.Slot)
}

// crashes runs a step in a process that dies at each append in turn, on a store that
// takes one write at a time, until it does not die any more.
func crashes(t *testing.T, prepare func(w *world) func(h *commands.Handler) error, then func(t *testing.T, w *world, died bool)) {
	t.Helper()
	for n := 0; ; n++ {
		alive := false
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("at append %d, stored %t", n, after), func(t *testing.T) {
				w := newWorld(t, true)
				step := prepare(w)
				dying := &crashing{Store: w.store, appends: n, after: after}
				err := step(w.handler(dying))
				alive = !dying.dead
				require.True(t, alive || errors.Is(err, errCrash) || err == nil, err)
				w.audit()
				then(t, w, dying.dead)
				w.audit()
			})
		}
		if alive {
			return
		}
		require.Less(t, n, 40)
	}
}

// overdue ends what was being decided when a process died, as the worker of
// deadlines does.
func (w *world) overdue() {
	w.clock.advance(13 * time.Second)
	for _, r := range w.log() {
		if e, ok := r.Event.(appointment.WasProposed); ok {
			_, _ = w.h.Lapse(w.ctx, w.request(), e.Appointment, e.Set) // what is decided is left alone
		}
	}
}

// afterwards is what only another client's request repairs: boris, who waits as
// well, is offered the slot sooner or later, and books it.
func afterwards(t *testing.T, w *world, s domain.SlotID) {
	t.Helper()
	w.clock.advance(2*time.Hour + 3*time.Second)
	_, err := w.book(w.boris, s)
	if errors.Is(err, slot.ErrTaken) {
		return // somebody accepted it
	}
	require.NoError(t, err)
}

func TestAnOfferThatCrashedIsRepairedByAnotherClientsRequestAlone(t *testing.T) {
	t.Parallel()
	crashes(t, func(w *world) func(*commands.Handler) error {
		slots := w.open(w.silva, 1)
		_, err := w.book(w.carlos, slots[5].ID)
		require.NoError(w.t, err)
		w.waits(w.ana, nil)
		round := w.round(w.cancels(slots[5].ID))
		return func(h *commands.Handler) error { _, err := h.OfferRound(w.ctx, round); return err }
	}, func(t *testing.T, w *world, _ bool) {
		s, err := w.h.SlotAt(w.ctx, w.silva, monday.Add(3*time.Hour+30*time.Minute))
		require.NoError(t, err)
		afterwards(t, w, s)
		require.Equal(t, 1, w.audit().Live())
	})
}

func TestARoundThatCrashedGoesOnWhenItIsRunAgain(t *testing.T) {
	t.Parallel()
	var round commands.Round
	crashes(t, func(w *world) func(*commands.Handler) error {
		slots := w.open(w.silva, 1)
		_, err := w.book(w.carlos, slots[5].ID)
		require.NoError(w.t, err)
		_, err = w.book(w.boris, w.open(w.souza, 1)[5].ID)
		require.NoError(w.t, err)
		w.waits(w.boris, nil)
		w.waits(w.ana, nil)
		round = w.round(w.cancels(slots[5].ID))
		return func(h *commands.Handler) error { _, err := h.OfferRound(w.ctx, round); return err }
	}, func(t *testing.T, w *world, _ bool) {
		w.overdue()
		_, err := w.h.OfferRound(w.ctx, round)
		require.NoError(t, err)
		boris, ana := w.wish(round.Line[0]), w.wish(round.Line[1])
		require.Equal(t, occupancy.ErrTaken.Rule, boris.Skips[round.Slot])
		require.Equal(t, waitlist.Offered, ana.Status)
		now, n, err := w.h.OfferNow(w.ctx, commands.OfferOf(ana.Offer.Appointment, ana.Offer.Set))
		require.NoError(t, err)
		require.Equal(t, commands.OfferOpen, commands.StateOfOffer(now.State.Sets[n-1], w.clock.now()))
	})
}

func TestASwapThatCrashedIsRepairedByAnotherClientsRequestAlone(t *testing.T) {
	t.Parallel()
	crashes(t, func(w *world) func(*commands.Handler) error {
		slots := w.open(w.silva, 1)
		for i, who := range map[int]domain.PatientID{4: w.carlos, 5: w.ana} {
			_, err := w.book(who, slots[i].ID)
			require.NoError(w.t, err)
		}
		has := w.booking(w.ana, slots[5].ID).Appointment
		w.waits(w.ana, func(x *waitlist.Wish) { x.Appointment = has })
		offer := w.freed(w.cancels(slots[4].ID))
		req := w.request()
		return func(h *commands.Handler) error { _, err := h.AcceptOffer(w.ctx, req, offer); return err }
	}, func(t *testing.T, w *world, _ bool) {
		w.clock.advance(2*time.Hour + 3*time.Second)
		free := 0
		for _, at := range []time.Duration{3 * time.Hour, 3*time.Hour + 30*time.Minute} {
			s, err := w.h.SlotAt(w.ctx, w.silva, monday.Add(at))
			require.NoError(t, err)
			if _, err = w.book(w.boris, s); err == nil {
				free++
			} else {
				require.ErrorIs(t, err, slot.ErrTaken)
			}
		}
		require.Equal(t, 1, free, "ana has one of them, and one only")
		require.Equal(t, 2, w.audit().Live())
	})
}

func TestASwapThatCrashedGoesOnWhenItIsSentAgain(t *testing.T) {
	t.Parallel()
	var offer domain.OfferID
	var req commands.Request
	crashes(t, func(w *world) func(*commands.Handler) error {
		slots := w.open(w.silva, 1)
		for i, who := range map[int]domain.PatientID{4: w.carlos, 5: w.ana} {
			_, err := w.book(who, slots[i].ID)
			require.NoError(w.t, err)
		}
		w.waits(w.ana, func(x *waitlist.Wish) { x.Appointment = w.booking(w.ana, slots[5].ID).Appointment })
		offer, req = w.freed(w.cancels(slots[4].ID)), w.request()
		return func(h *commands.Handler) error { _, err := h.AcceptOffer(w.ctx, req, offer); return err }
	}, func(t *testing.T, w *world, _ bool) {
		done, err := w.h.AcceptOffer(w.ctx, req, offer)
		require.NoError(t, err)
		current, n := done.State.Current()
		require.Equal(t, 2, n)
		require.Equal(t, appointment.Booked, done.State.Status)
		require.Equal(t, monday.Add(3*time.Hour), current.Start)
		require.Equal(t, 1, w.audit().Live())
	})
}

func TestADeclineThatCrashedIsFinishedByAnybody(t *testing.T) {
	t.Parallel()
	crashes(t, func(w *world) func(*commands.Handler) error {
		slots := w.open(w.silva, 1)
		_, err := w.book(w.carlos, slots[5].ID)
		require.NoError(w.t, err)
		wish := w.waits(w.ana, nil)
		w.freed(w.cancels(slots[5].ID))
		req := w.request()
		return func(h *commands.Handler) error { _, err := h.LeaveWaitlist(w.ctx, req, wish); return err }
	}, func(t *testing.T, w *world, _ bool) {
		s, err := w.h.SlotAt(w.ctx, w.silva, monday.Add(3*time.Hour+30*time.Minute))
		require.NoError(t, err)
		w.clock.advance(2*time.Hour + 3*time.Second)
		_, err = w.book(w.boris, s)
		require.NoError(t, err)
		require.Equal(t, 1, w.audit().Live())
	})
}

// Two rounds of one slot at once offer it to one person, and pass nobody over for
// the very offer that they are about to get.
func TestTwoRoundsOfOneSlotPassNobodyOver(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.fullDay()[0].ID
		first, second := w.waits(w.ana, nil), w.waits(w.boris, nil)
		round := w.round(w.cancels(s))
		twin := round
		twin.Cause = domain.Recorded{ID: domain.NewID("another event")}
		at := 4 // before the claim on the slot
		if w.store.Atomic() {
			at = 1
		}
		slow := &pausing{Store: w.store, at: at, pause: func() {
			id, err := w.handler(w.store).OfferRound(w.ctx, twin)
			require.NoError(t, err)
			require.NotEmpty(t, id)
		}}
		_, err := w.handler(slow).OfferRound(w.ctx, round)
		require.NoError(t, err)
		require.Equal(t, waitlist.Offered, w.wish(first).Status)
		require.Equal(t, waitlist.Waiting, w.wish(second).Status)
		require.Empty(t, w.wish(first).Skips)
		require.Empty(t, w.wish(second).Skips)
		w.audit()
	})
}

// While it is being decided whether somebody is offered something, nothing else
// passes them over for that.
func TestARoundWaitsForWhatIsBeingDecided(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	slots, others := w.fullDay(), w.open(w.souza, 1)
	_, err := w.book(w.carlos, others[2].ID)
	require.NoError(t, err)
	here := w.waits(w.ana, nil)
	there := w.waits(w.ana, func(x *waitlist.Wish) { x.Practitioners = []domain.PractitionerID{w.souza} })
	first, second := w.round(w.cancels(others[2].ID)), w.round(w.cancels(slots[0].ID))
	require.Equal(t, []domain.WishID{there}, first.Line)
	dying := &crashing{Store: w.store, appends: 3} // it has claimed the patient's time and their only offer
	_, err = w.handler(dying).OfferRound(w.ctx, first)
	require.ErrorIs(t, err, errCrash)

	ctx, cancel := context.WithTimeout(w.ctx, 100*time.Millisecond)
	defer cancel()
	_, err = w.h.OfferRound(ctx, second)
	require.ErrorIs(t, err, commands.ErrBusy)
	require.Empty(t, w.wish(here).Skips)
	w.clock.advance(13 * time.Second)
	id, err := w.h.OfferRound(w.ctx, second)
	require.NoError(t, err)
	require.NotEmpty(t, id)
	w.audit()
}

func TestAnOfferLastsForWakingHours(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	slots := w.set(w.silva, w.weekdays("09:00", "18:00", 30, 1, 2)).Opened
	s := slots[len(slots)-1].ID
	_, err := w.book(w.carlos, s)
	require.NoError(t, err)
	w.clock.advance(12*time.Hour + 30*time.Minute) // half past eight in the evening
	wish := w.waits(w.ana, nil)
	w.freed(w.cancels(s))
	require.Equal(t, monday.Add(26*time.Hour), w.wish(wish).Offer.Until, "ten in the morning, long after what a hold may last")
}
