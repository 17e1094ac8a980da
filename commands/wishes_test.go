package commands_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/quota"
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
			{Start: slots[0].Start, End: slots[1].End},
			{Start: slots[1].Start, End: slots[2].End},
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

func TestARoomThatIsNamedTwiceIsUsedOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.addRoom()
		slots := w.open(w.silva, 1)
		b := w.taking(w.ana, slots[1])
		b.Uses = []commands.Use{{Resource: room}, {Resource: room, Period: slots[1].Period}}
		answer, err := w.h.Book(w.ctx, w.request(), b)
		require.NoError(t, err)
		current, _ := answer.State.Current()
		require.Len(t, current.Uses, 1)
		w.audit()
	})
}

// policyFor sets the terms of one practitioner.
func (w *world) policyFor(p domain.PractitionerID, terms policy.Terms) {
	require.NoError(w.t, w.policyOf(policy.OfPractitioner, string(p), terms))
	w.clock.advance(2 * time.Second) // what was seen before is old
}

// A visit of several practitioners is decided under the terms of each of them,
// whoever is named first.
func TestTheTermsOfEveryPractitionerHold(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		nurse, doctor := w.open(w.silva, 1), w.open(w.souza, 1)
		with := func(n int) commands.Booking { return w.taking(w.ana, nurse[n], doctor[n]) }
		w.policyFor(w.souza, policy.Terms{MinNotice: new(5 * 24 * 60)})
		_, err := w.h.Book(w.ctx, w.request(), with(0))
		require.ErrorIs(t, err, commands.ErrNotice)
		w.policyFor(w.souza, policy.Terms{Horizon: new(30)})
		_, err = w.h.Book(w.ctx, w.request(), with(0))
		require.ErrorIs(t, err, commands.ErrHorizon)

		w.policyFor(w.souza, policy.Terms{PractitionerDay: new(1), HoldsShare: new(1)})
		answer, err := w.h.Book(w.ctx, w.request(), with(0))
		require.NoError(t, err)
		require.Equal(t, appointment.Booked, answer.State.Status)
		_, err = w.h.Book(w.ctx, w.request(), w.taking(w.boris, nurse[1], doctor[1]))
		require.ErrorIs(t, err, quota.ErrPractitionerDay)
		_, err = w.h.Book(w.ctx, w.request(), w.taking(w.boris, nurse[1]))
		require.NoError(t, err, "the limit is the doctor's alone")

		w.policyFor(w.souza, policy.Terms{HoldsShare: new(1)})
		_, err = w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: w.taking("", nurse[2], doctor[2]), Session: "1"})
		require.NoError(t, err)
		_, err = w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: w.taking("", nurse[3], doctor[3]), Session: "2"})
		require.ErrorIs(t, err, quota.ErrHolds, "one of the doctor's six")
		w.audit()
	})
}

func TestARequestIsAnsweredInTimeForEveryPractitioner(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		nurse := w.set(w.silva, w.weekdays("08:00", "12:00", 30, 1, 1)).Opened
		doctor := w.open(w.souza, 1)
		w.policyFor(w.souza, policy.Terms{Approval: new(true)})
		answer, err := w.h.Book(w.ctx, w.request(), w.taking(w.ana, doctor[4], nurse[6]))
		require.NoError(t, err)
		require.Equal(t, appointment.Pending, answer.State.Status)
		latest, _ := answer.State.Latest()
		require.Equal(t, w.clock.now().Add(20*time.Minute), latest.Deadline, "the nurse is at work, the doctor not yet")
		answer, err = w.h.Book(w.ctx, w.request(), w.taking(w.boris, nurse[4], doctor[2]))
		require.NoError(t, err)
		require.Equal(t, appointment.Pending, answer.State.Status, "one of them wants approval")
		w.audit()
	})
}

// Where visits wait for approval nobody gets one by rescheduling another.
func TestAMoveIsNoWayAroundApproval(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		_, err := w.book(w.ana, slots[0].ID)
		require.NoError(t, err)
		w.policyFor(w.silva, policy.Terms{Approval: new(true)})
		move := commands.Move{Booking: w.booking(w.ana, slots[0].ID)}
		move.Slots, move.By = []domain.SlotID{slots[2].ID}, appointment.ByPatient
		before := len(w.log())
		_, err = w.h.Reschedule(w.ctx, w.request(), move)
		require.ErrorIs(t, err, commands.ErrApproval)
		require.Len(t, w.log(), before)
		move.By = appointment.ByClinic
		answer, err := w.h.Reschedule(w.ctx, w.request(), move)
		require.NoError(t, err)
		require.Equal(t, appointment.Booked, answer.State.Status)
		w.audit()
	})
}

func TestAVisitHasThePractitionerThatItsTypeAsksFor(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		nurse := w.open(w.silva, 1)
		const heart domain.PractitionerID = "018f6b1e-0000-7000-8000-00000000000a"
		_, err := w.h.RegisterPractitioner(w.ctx, w.request(), practitioner.Register{Practitioner: heart, Profile: practitioner.Profile{
			Name: "Dr.", Specialties: []string{"surgery", "cardiology"}, Clinics: []domain.ClinicID{w.clinic},
		}})
		require.NoError(t, err)
		doctor := w.open(heart, 1)
		stress := w.offer(visittype.Terms{Duration: 30, Specialty: "cardiology"})
		b := w.taking(w.ana, nurse[0])
		b.VisitType = stress
		_, err = w.h.Book(w.ctx, w.request(), b)
		require.ErrorIs(t, err, commands.ErrSpecialty)
		_, err = w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: b})
		require.ErrorIs(t, err, commands.ErrSpecialty)
		b = w.taking(w.ana, nurse[0], doctor[0])
		b.VisitType = stress
		_, err = w.h.Book(w.ctx, w.request(), b)
		require.NoError(t, err, "a nurse may be there, too")
		move := commands.Move{Booking: w.taking(w.ana, nurse[1])}
		move.Appointment, move.By = b.Appointment, appointment.ByPatient
		_, err = w.h.Reschedule(w.ctx, w.request(), move)
		require.ErrorIs(t, err, commands.ErrSpecialty)
		move.Slots = []domain.SlotID{doctor[1].ID}
		_, err = w.h.Reschedule(w.ctx, w.request(), move)
		require.NoError(t, err)
		w.audit()
	})
}

// A visit takes its rooms along when it moves, to the same part of it.
func TestRoomsMoveWithTheirVisit(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.addRoom()
		const scanner domain.ResourceID = "scanner-1"
		_, err := w.h.AddResource(w.ctx, w.request(), resource.Add{Resource: scanner, Clinic: w.clinic, Kind: resource.Device, Name: "Scanner"})
		require.NoError(t, err)
		slots := w.open(w.silva, 1)
		b := w.taking(w.ana, slots[0])
		b.Uses = []commands.Use{{Resource: room}, {Resource: scanner, Period: domain.Period{Start: slots[0].Start.Add(10 * time.Minute), End: slots[0].End}}}
		_, err = w.h.Book(w.ctx, w.request(), b)
		require.NoError(t, err)

		move := commands.Move{Booking: commands.Booking{Appointment: b.Appointment, Slots: []domain.SlotID{slots[2].ID}, By: appointment.ByPatient}}
		answer, err := w.h.Reschedule(w.ctx, w.request(), move)
		require.NoError(t, err)
		current, _ := answer.State.Current()
		require.Equal(t, []appointment.Use{
			{Kind: resource.Device, ID: string(scanner), Period: domain.Period{Start: slots[2].Start.Add(10 * time.Minute), End: slots[2].End}},
			{Kind: resource.Room, ID: string(room), Period: slots[2].Period},
		}, current.Uses)
		other := w.taking(w.boris, w.open(w.souza, 1)[2])
		other.Uses = []commands.Use{{Resource: room}}
		_, err = w.h.Book(w.ctx, w.request(), other)
		require.ErrorIs(t, err, occupancy.ErrTaken)

		move.Slots, move.Uses = []domain.SlotID{slots[3].ID}, []commands.Use{}
		answer, err = w.h.Reschedule(w.ctx, w.request(), move)
		require.NoError(t, err)
		current, _ = answer.State.Current()
		require.Empty(t, current.Uses, "whoever says so moves without them")
		_, err = w.h.Book(w.ctx, w.request(), other)
		require.NoError(t, err)
		w.audit()
	})
}

// A room that a visit uses twice is somebody else's in between.
func TestEachUseOfARoomIsClaimedApart(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.addRoom()
		here, there := w.open(w.silva, 1), w.open(w.souza, 1)
		part := func(s schedule.Slot, from, to time.Duration) commands.Use {
			return commands.Use{Resource: room, Period: domain.Period{Start: s.Start.Add(from), End: s.Start.Add(to)}}
		}
		b := w.taking("", here[0])
		b.Uses = []commands.Use{part(here[0], 0, 10*time.Minute), part(here[0], 20*time.Minute, 30*time.Minute)}
		_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: b})
		require.NoError(t, err)
		_, err = w.h.Complete(w.ctx, w.request(), commands.Completion{Appointment: b.Appointment, Token: w.h.Token(b.Appointment, 1), Patient: w.ana})
		require.NoError(t, err)
		stream := occupancy.Subject{Kind: resource.Room, ID: string(room)}.Stream("2026-06-01")
		require.Equal(t, []string{
			"occupancy.held", "occupancy.held", "occupancy.booked", "occupancy.booked", "occupancy.released", "occupancy.released",
		}, w.types(stream))

		other := w.taking(w.boris, there[0])
		other.Uses = []commands.Use{part(there[0], 5*time.Minute, 15*time.Minute)}
		_, err = w.h.Book(w.ctx, w.request(), other)
		require.ErrorIs(t, err, occupancy.ErrTaken)
		other.Uses = []commands.Use{part(there[0], 25*time.Minute, 30*time.Minute)}
		_, err = w.h.Book(w.ctx, w.request(), other)
		require.ErrorIs(t, err, occupancy.ErrTaken)
		other.Uses = []commands.Use{part(there[0], 10*time.Minute, 20*time.Minute)}
		_, err = w.h.Book(w.ctx, w.request(), other)
		require.NoError(t, err)
		w.audit()

		_, err = w.cancel(b.Appointment)
		require.NoError(t, err)
		(&scene{world: w}).nothingIsOwed()
		again := w.taking(w.carlos, here[0])
		again.Uses = []commands.Use{part(here[0], 0, 10*time.Minute), part(here[0], 20*time.Minute, 30*time.Minute)}
		_, err = w.h.Book(w.ctx, w.request(), again)
		require.NoError(t, err, "both are free")
		w.audit()
	})
}

func TestAHoldWithTwoUsesIsBookedAsOneClaim(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.addRoom()
		slots := w.open(w.silva, 1)
		b := w.taking(w.ana, slots[0])
		b.Uses = []commands.Use{
			{Resource: room, Period: domain.Period{Start: slots[0].Start, End: slots[0].Start.Add(10 * time.Minute)}},
			{Resource: room, Period: domain.Period{Start: slots[0].Start.Add(20 * time.Minute), End: slots[0].End}},
		}
		_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: b})
		require.NoError(t, err)
		_, err = w.h.Complete(w.ctx, w.request(), commands.Completion{Appointment: b.Appointment, Token: w.h.Token(b.Appointment, 1)})
		require.NoError(t, err)
		stream := occupancy.Subject{Kind: resource.Room, ID: string(room)}.Stream("2026-06-01")
		require.Equal(t, []string{"occupancy.held", "occupancy.held", "occupancy.booked", "occupancy.booked"}, w.types(stream))
		w.audit()
	})
}
