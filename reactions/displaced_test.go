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
