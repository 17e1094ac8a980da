package reactions_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/domain/waitlist"
	"github.com/slotbook/slotbook/reactions"
)

func TestARequestForTimeThatIsWithdrawnIsDeclinedAndABookingStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		h := staffed(t, commands.New(commands.Config{Store: store, Now: time.Now, NewID: uuid.NewString}), "UTC", 60)
		slots := opened(t, store)
		book := func(n int) domain.AppointmentID {
			id := domain.AppointmentID(domain.NewID("visit", string(slots[n].ID)))
			_, err := h.Book(t.Context(), request(), commands.Booking{Appointment: id, Slots: []domain.SlotID{slots[n].ID}, Patient: ana})
			require.NoError(t, err)
			return id
		}
		booked := book(0)
		_, err := h.SetPolicy(t.Context(), request(), policy.Set{
			Scope: policy.Scope{Kind: policy.OfClinic, ID: string(sunrise)}, Terms: policy.Terms{Approval: new(true)},
		})
		require.NoError(t, err)
		requested, other := book(1), book(4)
		day := domain.Period{Start: slots[0].Start.Truncate(24 * time.Hour), End: slots[0].Start.Truncate(24 * time.Hour).Add(24 * time.Hour)}
		_, _, err = h.Block(t.Context(), request(), schedule.BlockTime{Practitioner: silva, Block: schedule.Block{ID: "b", Reason: "a fire drill", Period: day}})
		require.NoError(t, err)

		page, err := store.ReadAll(t.Context(), 0, domain.Filter{Types: reactions.Displaced{Handler: h}.Wants()}, 100)
		require.NoError(t, err)
		require.Len(t, page.Events, 3)
		for range 2 { // twice is once
			for _, r := range page.Events {
				require.NoError(t, reactions.Displaced{Handler: h}.React(t.Context(), r))
			}
		}
		for id, status := range map[domain.AppointmentID]appointment.Status{
			booked: appointment.Booked, requested: appointment.Cancelled, other: appointment.Pending,
		} {
			visit, err := h.Appointment(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, status, visit.State.Status)
		}
		declined, err := store.ReadAll(t.Context(), 0, domain.Filter{Types: []string{"appointment.declined"}}, 100)
		require.NoError(t, err)
		require.Len(t, declined.Events, 1)
		require.Equal(t, "displaced", declined.Events[0].Event.(appointment.WasDeclined).Code)
		require.Equal(t, "system", declined.Events[0].Metadata.Actor)
		require.NotEmpty(t, declined.Events[0].Metadata.Causation)
	})
}

func TestARequestForTimeThatIsOpenAgainWaitsForItsAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		h := staffed(t, commands.New(commands.Config{Store: store, Now: time.Now, NewID: uuid.NewString}), "UTC", 60)
		_, err := h.SetPolicy(t.Context(), request(), policy.Set{
			Scope: policy.Scope{Kind: policy.OfClinic, ID: string(sunrise)}, Terms: policy.Terms{Approval: new(true)},
		})
		require.NoError(t, err)
		s, id := opened(t, store)[0], domain.AppointmentID(domain.NewID("visit"))
		_, err = h.Book(t.Context(), request(), commands.Booking{Appointment: id, Slots: []domain.SlotID{s.ID}, Patient: ana})
		require.NoError(t, err)
		_, _, err = h.Block(t.Context(), request(), schedule.BlockTime{Practitioner: silva, Block: schedule.Block{ID: "b", Reason: "a fire drill", Period: domain.Period{Start: s.Start, End: s.End}}})
		require.NoError(t, err)
		_, _, err = h.Unblock(t.Context(), request(), schedule.Unblock{Practitioner: silva, Block: "b"})
		require.NoError(t, err)
		page, err := store.ReadAll(t.Context(), 0, domain.Filter{Types: reactions.Displaced{}.Wants()}, 100)
		require.NoError(t, err)
		require.Len(t, page.Events, 1)
		require.NoError(t, reactions.Displaced{Handler: h}.React(t.Context(), page.Events[0]))
		visit, err := h.Appointment(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, appointment.Pending, visit.State.Status)
	})
}

// An offer of time that nobody can have any more keeps its patient from every other.
func TestAnOfferOfTimeThatIsWithdrawnEndsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, store := t.Context(), newStore()
		h := staffed(t, commands.New(commands.Config{Store: store, Now: time.Now, NewID: uuid.NewString}), "UTC", 60)
		boris, carlos := registers(t, h, "Boris"), registers(t, h, "Carlos")
		slots := opened(t, store)
		book := func(s schedule.Slot, who domain.PatientID) domain.AppointmentID {
			id := domain.AppointmentID(domain.NewID("visit", string(s.ID)))
			_, err := h.Book(ctx, request(), commands.Booking{Appointment: id, Slots: []domain.SlotID{s.ID}, Patient: who})
			require.NoError(t, err)
			return id
		}
		react := func() {
			for range 2 { // twice is once
				for _, r := range events(t, store, slot.Withdrawn{}.EventType()) {
					require.NoError(t, reactions.Displaced{Handler: h}.React(ctx, r))
				}
				for _, r := range events(t, store, slot.Released{}.EventType()) {
					require.NoError(t, waiting(store, h).React(ctx, r))
				}
			}
		}
		wish := func(id domain.WishID) waitlist.State {
			now, err := h.Wish(ctx, id)
			require.NoError(t, err)
			return now.State
		}
		freed, other, has := book(slots[0], ana), book(slots[3], ana), book(slots[4], boris)
		_, err := h.JoinWaitlist(ctx, request(), waitlist.Wish{ID: "first", Patient: boris, Appointment: has})
		require.NoError(t, err)
		joins(t, h, "second", carlos)
		cancel := func(id domain.AppointmentID) {
			_, err := h.Cancel(ctx, request(), commands.Cancellation{Appointment: id, Initiator: appointment.ByPatient})
			require.NoError(t, err)
			react()
		}
		cancel(freed)
		offer := wish("first").Offer
		require.Equal(t, slots[0].ID, offer.Slot)

		_, _, err = h.Block(ctx, request(), schedule.BlockTime{Practitioner: silva, Block: schedule.Block{ID: "b", Reason: "a fire drill", Period: domain.Period{Start: slots[0].Start, End: slots[0].End}}})
		require.NoError(t, err)
		react()
		require.Equal(t, waitlist.Waiting, wish("first").Status)
		require.Equal(t, waitlist.Waiting, wish("second").Status, "nobody is offered what is withdrawn")
		passed := events(t, store, waitlist.HasPassed{}.EventType())
		require.Len(t, passed, 1)
		require.Equal(t, waitlist.Displaced, passed[0].Event.(waitlist.HasPassed).Why)
		require.Equal(t, "system", passed[0].Metadata.Actor)
		answer, n, err := h.OfferNow(ctx, commands.OfferOf(offer.Appointment, offer.Set))
		require.NoError(t, err)
		require.Equal(t, commands.OfferDisplaced, commands.StateOfOffer(answer.State.Sets[n-1], time.Now()))
		require.Equal(t, appointment.Booked, answer.State.Status, "what they have they keep")
		now, err := h.Slot(ctx, slots[0].ID)
		require.NoError(t, err)
		require.Zero(t, now.State.Taken)

		cancel(other)
		require.Equal(t, slots[3].ID, wish("first").Offer.Slot, "the next one is theirs again")
	})
}
