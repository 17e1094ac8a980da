package commands_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/memory"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections/audit"
)

// monday is when every test begins: eight in the morning in Lisbon.
var monday = time.Date(2026, 6, 1, 7, 0, 0, 0, time.UTC)

// clock is a clock that only the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// both runs a test on a store that appends to several streams at once, and on
// one that does not.
func both(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("atomic", func(t *testing.T) { t.Parallel(); test(t, newWorld(t, false)) })
	t.Run("step by step", func(t *testing.T) { t.Parallel(); test(t, newWorld(t, true)) })
}

// world is a clinic in Lisbon with two practitioners, who see people on
// weekdays, and three patients.
type world struct {
	t       require.TestingT
	ctx     context.Context
	clock   *clock
	store   *memory.Store
	h       *commands.Handler
	clinic  domain.ClinicID
	silva   domain.PractitionerID
	souza   domain.PractitionerID
	ana     domain.PatientID
	boris   domain.PatientID
	carlos  domain.PatientID
	command int
}

func newWorld(t require.TestingT, stepByStep bool) *world {
	w := &world{
		t: t, ctx: context.Background(), clock: &clock{t: monday},
		clinic: domain.ClinicID(domain.NewID("clinic")),
		silva:  domain.PractitionerID(domain.NewID("silva")), souza: domain.PractitionerID(domain.NewID("souza")),
		ana: domain.PatientID(domain.NewID("ana")), boris: domain.PatientID(domain.NewID("boris")), carlos: domain.PatientID(domain.NewID("carlos")),
	}
	w.store = memory.New(memory.Config{
		Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Now: w.clock.now, StepByStep: stepByStep,
	})
	w.h = w.handler(w.store)
	w.register()
	return w
}

// handler is a process of its own over the same store.
func (w *world) handler(s commands.Store) *commands.Handler {
	return commands.New(commands.Config{
		Store: s, Now: w.clock.now, NewID: func() string { return uuid.Must(uuid.NewV7()).String() },
		Patience: time.Minute, // a busy machine is no reason to fail
	})
}

func (w *world) register() {
	_, err := w.h.RegisterClinic(w.ctx, w.request(), clinic.Register{
		Clinic: w.clinic, Profile: clinic.Profile{Name: "Sunrise", Zone: "Europe/Lisbon"},
	})
	require.NoError(w.t, err)
	for _, p := range []domain.PractitionerID{w.silva, w.souza} {
		_, err := w.h.RegisterPractitioner(w.ctx, w.request(), practitioner.Register{
			Practitioner: p, Profile: practitioner.Profile{Name: "Dr.", Clinics: []domain.ClinicID{w.clinic}},
		})
		require.NoError(w.t, err)
	}
	for _, p := range []domain.PatientID{w.ana, w.boris, w.carlos} {
		_, err := w.h.RegisterPatient(w.ctx, w.request(), patient.Register{Patient: p, Name: "Somebody"})
		require.NoError(w.t, err)
	}
}

func (w *world) request() commands.Request {
	w.command++
	return commands.Request{Command: domain.NewID("command", fmt.Sprint(w.command)), Actor: "local"}
}

// weekdays is a pattern from Monday to Friday.
func (w *world) weekdays(from, to string, minutes, capacity, days int) schedule.Pattern {
	p := schedule.Pattern{Clinic: w.clinic, HorizonDays: days}
	start, err := domain.ParseWallTime(from)
	require.NoError(w.t, err)
	end, err := domain.ParseWallTime(to)
	require.NoError(w.t, err)
	for weekday := 1; weekday <= 5; weekday++ {
		p.Weekly = append(p.Weekly, schedule.Interval{Weekday: weekday, From: start, To: end, SlotMinutes: minutes, Capacity: capacity})
	}
	return p
}

func (w *world) set(p domain.PractitionerID, pattern schedule.Pattern) commands.Opening {
	_, opening, err := w.h.SetSchedule(w.ctx, w.request(), schedule.Set{Practitioner: p, Pattern: pattern})
	require.NoError(w.t, err)
	return opening
}

// open opens one day of a practitioner, nine to twelve in slots of half an hour.
func (w *world) open(p domain.PractitionerID, capacity int) []schedule.Slot {
	return w.set(p, w.weekdays("09:00", "12:00", 30, capacity, 1)).Opened
}

func (w *world) booking(who domain.PatientID, s domain.SlotID) commands.Booking {
	return commands.Booking{Appointment: domain.AppointmentID(domain.NewID("appointment", string(who), string(s))), Slots: []domain.SlotID{s}, Patient: who}
}

func (w *world) book(who domain.PatientID, s domain.SlotID) (commands.Answer[appointment.State], error) {
	return w.h.Book(w.ctx, w.request(), w.booking(who, s))
}

func (w *world) cancel(a domain.AppointmentID) (commands.Answer[appointment.State], error) {
	return w.h.Cancel(w.ctx, w.request(), commands.Cancellation{Appointment: a, Initiator: appointment.ByPatient})
}

func (w *world) slot(id domain.SlotID) commands.Slot {
	answer, err := w.h.Slot(w.ctx, id)
	require.NoError(w.t, err)
	return answer.State
}

func (w *world) log() []domain.Recorded {
	page, err := w.store.ReadAll(w.ctx, 0, domain.Filter{}, 1<<20)
	require.NoError(w.t, err)
	return page.Events
}

// audit fails the test when the log breaks an invariant.
func (w *world) audit() *audit.Auditor {
	a := audit.New()
	for _, r := range w.log() {
		a.Add(r)
	}
	require.Empty(w.t, a.Findings())
	return a
}

// histories returns the events of every stream as text, in order. Patients are
// left out: their sealed names are bound to the ids of their events.
func (w *world) histories() map[domain.StreamName][]string {
	all := map[domain.StreamName][]string{}
	for _, r := range w.log() {
		if r.Stream.Category() == patient.Category {
			continue
		}
		data, err := json.Marshal(r.Event)
		require.NoError(w.t, err)
		all[r.Stream] = append(all[r.Stream], r.Event.EventType()+" "+r.Metadata.Actor+" "+string(data))
	}
	return all
}

// types returns the event types of one stream, in order.
func (w *world) types(stream domain.StreamName) []string {
	var types []string
	for _, r := range w.log() {
		if r.Stream == stream {
			types = append(types, r.Event.EventType())
		}
	}
	return types
}

var errCrash = fmt.Errorf("the process was killed")

// crashing is a store whose process dies at the n-th append, before or after
// it is stored. Nothing that the dead process does afterwards reaches it.
type crashing struct {
	commands.Store
	appends int // that still succeed
	after   bool
	dead    bool
}

func (c *crashing) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	if c.dead {
		return nil, errCrash
	}
	return c.Store.Load(ctx, streams...)
}

func (c *crashing) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	if c.dead {
		return 0, errCrash
	}
	if c.appends == 0 {
		c.dead = true
		if c.after {
			_, _ = c.Store.Append(ctx, writes...) // stored, but nobody is told
		}
		return 0, errCrash
	}
	c.appends--
	return c.Store.Append(ctx, writes...)
}

// slotStream returns the stream of a slot.
func slotStream(s schedule.Slot) domain.StreamName { return slot.Stream(s.ID) }

// claimOf returns the claim that an arbiter's event is about, and whether it is
// taken from then on.
func claimOf(e domain.Event) (c claim.Claim, taken, ok bool) {
	switch e := e.(type) {
	case slot.Held:
		return e.Claim, true, true
	case slot.Booked:
		return e.Claim, true, true
	case slot.Released:
		return e.Claim, false, true
	case occupancy.Held:
		return e.Claim, true, true
	case occupancy.Booked:
		return e.Claim, true, true
	case occupancy.Released:
		return e.Claim, false, true
	case quota.Booked:
		return e.Claim, true, true
	case quota.Released:
		return e.Claim, false, true
	}
	return claim.Claim{}, false, false
}
