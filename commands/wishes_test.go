package commands_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/resource"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/visittype"
)

// offer defines a visit type of the clinic.
func (w *world) offer(terms visittype.Terms) domain.VisitTypeID {
	terms.Name = "Surgery"
	answer, err := w.h.DefineVisitType(w.ctx, w.request(), visittype.Define{
		VisitType: domain.VisitTypeID(w.request().Command), Clinic: w.clinic, Terms: terms,
	})
	require.NoError(w.t, err)
	return answer.State.ID
}

// addRoom adds the room of the tests.
func (w *world) addRoom() {
	_, err := w.h.AddResource(w.ctx, w.request(), resource.Add{Resource: room, Clinic: w.clinic, Kind: resource.Room, Name: "Room 1"})
	require.NoError(w.t, err)
}

// taking is a wish for several slots.
func (w *world) taking(who domain.PatientID, slots ...schedule.Slot) commands.Booking {
	b := w.booking(who, slots[0].ID)
	for _, s := range slots[1:] {
		b.Slots = append(b.Slots, s.ID)
	}
	return b
}

// A visit of two hours is not squeezed into the two slots that the request
// names: it takes all that it needs, whoever names them.
func TestAVisitTakesAllTheSlotsItNeeds(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		long := w.offer(visittype.Terms{Duration: 75, BufferAfter: 15})
		few := w.taking(w.ana, slots[:2]...)
		few.VisitType = long
		before := len(w.log())
		_, err := w.h.Book(w.ctx, w.request(), few)
		require.ErrorIs(t, err, commands.ErrNoRoom, "fewer")
		_, err = w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: few})
		require.ErrorIs(t, err, commands.ErrNoRoom)
		more := w.taking(w.ana, slots[:4]...)
		more.VisitType = long
		_, err = w.h.Book(w.ctx, w.request(), more)
		require.ErrorIs(t, err, commands.ErrNoRoom, "more")
		require.Len(t, w.log(), before)

		exact := w.taking(w.ana, slots[:3]...)
		exact.VisitType = long
		answer, err := w.h.Book(w.ctx, w.request(), exact)
		require.NoError(t, err)
		current, _ := answer.State.Current()
		require.Equal(t, domain.Period{Start: slots[0].Start, End: slots[0].Start.Add(75 * time.Minute)}, current.Period)

		few.By = appointment.ByPatient
		few.Slots = []domain.SlotID{slots[3].ID, slots[4].ID}
		_, err = w.h.Reschedule(w.ctx, w.request(), commands.Move{Booking: few})
		require.ErrorIs(t, err, commands.ErrNoRoom)
		w.audit()
	})
}

func TestEachPractitionerOfAVisitHasAllItsSlots(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		here, there := w.open(w.silva, 1), w.open(w.souza, 1)
		b := w.taking(w.ana, here[0], there[0])
		b.VisitType = w.offer(visittype.Terms{BufferBefore: 15, Duration: 60})
		answer, err := w.h.Book(w.ctx, w.request(), b)
		require.NoError(t, err)
		current, _ := answer.State.Current()
		require.Equal(t, []domain.SlotID{here[0].ID, here[1].ID, here[2].ID, there[0].ID, there[1].ID, there[2].ID}, current.Slots)
		require.Equal(t, domain.Period{Start: here[0].Start.Add(15 * time.Minute), End: here[0].Start.Add(75 * time.Minute)}, current.Period)
		require.Equal(t, 0, w.slot(there[2].ID).Free())
		w.audit()
	})
}

// A row of slots that are not alike is long enough in time, not in number.
func TestARowOfUnlikeSlotsIsAsLongAsTheVisit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	p := w.weekdays("09:00", "10:00", 30, 1, 1)
	p.Weekly = append(p.Weekly, w.weekdays("10:00", "11:00", 10, 1, 1).Weekly...)
	slots := w.set(w.silva, p).Opened
	b := w.taking(w.ana, slots[1])
	b.VisitType = w.offer(visittype.Terms{Duration: 60})
	answer, err := w.h.Book(w.ctx, w.request(), b)
	require.NoError(t, err)
	current, _ := answer.State.Current()
	require.Len(t, current.Slots, 4, "half an hour and three times ten minutes")
	w.audit()
}

func TestARoomIsUsedWithinTheSlotsOfItsVisit(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.addRoom()
		slots := w.open(w.silva, 1)
		b := w.taking(w.ana, slots[1])
		for _, outside := range []domain.Period{
			{Start: slots[0].Start, End: slots[1].End}, {Start: slots[1].Start, End: slots[2].End},
			{Start: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), End: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
		} {
			b.Uses = []commands.Use{{Resource: room, Period: outside}}
			_, err := w.h.Book(w.ctx, w.request(), b)
			require.ErrorIs(t, err, commands.ErrUseTime)
		}
		b.VisitType = w.offer(visittype.Terms{Duration: 20, BufferAfter: 10})
		b.Uses[0].Period = domain.Period{Start: slots[1].Start.Add(20 * time.Minute), End: slots[1].End}
		answer, err := w.h.Book(w.ctx, w.request(), b)
		require.NoError(t, err, "it is cleaned in the time that is kept free after the visit")
		current, _ := answer.State.Current()
		require.Equal(t, slots[1].Start.Add(20*time.Minute), current.End, "which is not the patient's")
		w.audit()
	})
}
