package kurrent_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/kurrent"
	"github.com/slotbook/slotbook/adapters/kurrent/kurrenttest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections/audit"
)

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

// world is a clinic with two practitioners and two patients, its events in
// KurrentDB.
type world struct {
	*testing.T
	store   *kurrent.Store
	clock   *clock
	real    bool // the server is one, whose clock nobody moves
	clinic  domain.ClinicID
	ana     domain.PatientID
	boris   domain.PatientID
	slots   []schedule.Slot // of the first practitioner
	others  []schedule.Slot // of the second
	command atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		T: t, clock: &clock{t: time.Date(2026, 6, 1, 7, 0, 0, 0, time.UTC)}, real: os.Getenv("SLOTBOOK_TEST_KURRENTDB") != "",
		clinic: domain.ClinicID(domain.NewID("clinic")), ana: domain.PatientID(domain.NewID("ana")), boris: domain.PatientID(domain.NewID("boris")),
	}
	config := kurrent.Config{Answer: time.Second, Patience: time.Minute, Codec: eventcodec.New(&eventcodec.MemoryKeys{})}
	if w.real {
		config.Address, config.Answer = address(t), 0
		w.store = open(t, config)
	} else {
		server := double(t, kurrenttest.Config{Now: w.clock.now, Nodes: 3})
		config.Address = server.URL()
		w.store = open(t, config)
		defer server.Interfere(trouble()) // once everything is there
	}
	w.begin()
	return w
}

// trouble lets every other append and some reads go wrong, each in another way.
func trouble() func(kurrenttest.Call) kurrenttest.Fault {
	faults := []kurrenttest.Fault{
		kurrenttest.DropAfter, kurrenttest.AbortBefore, kurrenttest.AbortAfter, kurrenttest.NotLeader,
		kurrenttest.DropBefore, kurrenttest.NotReady, kurrenttest.DropAfter, kurrenttest.AbortAfter,
	}
	var appends, reads atomic.Int64
	return func(c kurrenttest.Call) kurrenttest.Fault {
		switch c.Method {
		case kurrenttest.Append:
			if n := appends.Add(1); n%2 == 0 {
				return faults[n/2%int64(len(faults))]
			}
		case kurrenttest.Read:
			if reads.Add(1)%11 == 0 {
				return kurrenttest.DropAfter
			}
		}
		return kurrenttest.None
	}
}

func (w *world) begin() {
	h, ctx := w.handler(w.store), w.Context()
	_, err := h.RegisterClinic(ctx, w.request(), clinic.Register{Clinic: w.clinic, Profile: clinic.Profile{Name: "Sunrise", Zone: "UTC"}})
	require.NoError(w, err)
	for _, p := range []domain.PatientID{w.ana, w.boris} {
		_, err := h.RegisterPatient(ctx, w.request(), patient.Register{Patient: p, Name: "Somebody"})
		require.NoError(w, err)
	}
	w.slots, w.others = w.open(h, domain.PractitionerID(domain.NewID("silva"))), w.open(h, domain.PractitionerID(domain.NewID("souza")))
}

func (w *world) open(h *commands.Handler, p domain.PractitionerID) []schedule.Slot {
	_, err := h.RegisterPractitioner(w.Context(), w.request(), practitioner.Register{
		Practitioner: p, Profile: practitioner.Profile{Name: "Dr.", Clinics: []domain.ClinicID{w.clinic}},
	})
	require.NoError(w, err)
	from, err := domain.ParseWallTime("09:00")
	require.NoError(w, err)
	to, err := domain.ParseWallTime("12:00")
	require.NoError(w, err)
	pattern := schedule.Pattern{Clinic: w.clinic, HorizonDays: 1, Weekly: []schedule.Interval{{Weekday: 1, From: from, To: to, SlotMinutes: 30, Capacity: 1}}}
	_, opening, err := h.SetSchedule(w.Context(), w.request(), schedule.Set{Practitioner: p, Pattern: pattern})
	require.NoError(w, err)
	require.NotEmpty(w, opening.Opened)
	return opening.Opened
}

// handler is a process over a store.
func (w *world) handler(s commands.Store) *commands.Handler {
	return commands.New(commands.Config{
		Store: s, Now: w.clock.now, NewID: func() string { return uuid.Must(uuid.NewV7()).String() }, Patience: time.Minute,
	})
}

func (w *world) request() commands.Request {
	return commands.Request{Command: domain.NewID("command", fmt.Sprint(w.command.Add(1))), Actor: "local"}
}

func (w *world) booking(who domain.PatientID, s domain.SlotID) commands.Booking {
	return commands.Booking{Appointment: domain.AppointmentID(domain.NewID("appointment", string(who), string(s))), Slots: []domain.SlotID{s}, Patient: who}
}

// audited fails the test when the log breaks an invariant.
func (w *world) audited() *audit.Auditor {
	w.Helper()
	a := audit.New()
	a.OtherTime = w.real
	page, err := w.store.ReadAll(w.Context(), 0, domain.Filter{}, 1<<20)
	require.NoError(w, err)
	for _, r := range page.Events {
		a.Add(r)
	}
	require.Empty(w, a.Findings())
	return a
}

var errKilled = errors.New("the process was killed")

// dying is a store whose process is killed at its n-th append, before it is stored
// or after.
type dying struct {
	commands.Store
	appends int // that still succeed
	after   bool
	dead    bool
}

func (d *dying) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	if d.dead {
		return nil, errKilled
	}
	return d.Store.Load(ctx, streams...)
}

func (d *dying) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	if d.dead {
		return 0, errKilled
	}
	if d.appends == 0 {
		d.dead = true
		if d.after {
			_, _ = d.Store.Append(ctx, writes...) // nobody is told
		}
		return 0, errKilled
	}
	d.appends--
	return d.Store.Append(ctx, writes...)
}

// deeds are the commands that are killed: what comes before, and the command.
var deeds = map[string]struct {
	before, do func(w *world, h *commands.Handler) error
}{
	"book": {do: func(w *world, h *commands.Handler) error {
		_, err := h.Book(w.Context(), w.request(), w.booking(w.ana, w.slots[0].ID))
		return err
	}},
	"hold": {do: func(w *world, h *commands.Handler) error {
		_, err := h.Hold(w.Context(), w.request(), commands.Holding{Booking: w.booking(w.ana, w.slots[0].ID), For: 5 * time.Second, Session: "one"})
		return err
	}},
	"complete a hold": {
		before: func(w *world, h *commands.Handler) error {
			_, err := h.Hold(w.Context(), w.request(), commands.Holding{Booking: w.booking(w.ana, w.slots[0].ID), For: 5 * time.Second, Session: "one"})
			return err
		},
		do: func(w *world, h *commands.Handler) error {
			own := w.booking(w.ana, w.slots[0].ID).Appointment
			_, err := h.Complete(w.Context(), w.request(), commands.Completion{Appointment: own, Token: h.Token(own, 1), Patient: w.ana})
			return err
		},
	},
	"move here": {
		before: func(w *world, h *commands.Handler) error {
			_, err := h.Book(w.Context(), w.request(), w.booking(w.ana, w.slots[1].ID))
			return err
		},
		do: func(w *world, h *commands.Handler) error {
			b := w.booking(w.ana, w.slots[1].ID)
			b.Slots, b.By = []domain.SlotID{w.slots[0].ID}, appointment.ByClinic
			_, err := h.Reschedule(w.Context(), w.request(), commands.Move{Booking: b})
			return err
		},
	},
	"cancel": {
		before: func(w *world, h *commands.Handler) error {
			_, err := h.Book(w.Context(), w.request(), w.booking(w.ana, w.slots[0].ID))
			return err
		},
		do: func(w *world, h *commands.Handler) error {
			_, err := h.Cancel(w.Context(), w.request(), commands.Cancellation{Appointment: w.booking(w.ana, w.slots[0].ID).Appointment, Initiator: appointment.ByClinic})
			return err
		},
	},
}

// TestAKillAtEveryAppendIsRepairedByALaterClientAlone kills a command at each of its
// appends, while the server drops, times out and changes its mind; then only another
// client wants the same slot.
func TestAKillAtEveryAppendIsRepairedByALaterClientAlone(t *testing.T) {
	t.Parallel()
	for name, deed := range deeds {
		run := func(t *testing.T, n int, after bool) (*world, *dying) {
			t.Helper()
			w := newWorld(t)
			if deed.before != nil {
				require.NoError(t, deed.before(w, w.handler(w.store)))
			}
			d := &dying{Store: w.store, appends: n, after: after}
			err := deed.do(w, w.handler(d))
			require.True(t, err == nil || d.dead, "%v", err)
			return w, d
		}
		const plenty = 1000
		_, whole := run(t, plenty, false)
		appends := plenty - whole.appends
		require.Greater(t, appends, 1, name)
		for n := range appends {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, at append %d of %d, stored %t", name, n+1, appends, after), func(t *testing.T) {
					t.Parallel()
					w, d := run(t, n, after)
					require.True(t, d.dead)
					w.audited()
					w.thenAnother()
				})
			}
		}
	}
}

// thenAnother lets another client want the slot, past every deadline, and checks
// that the slot is the one's or the other's.
func (w *world) thenAnother() {
	w.clock.advance(30 * time.Second)
	h := w.handler(w.store)
	_, err := h.Book(w.Context(), w.request(), w.booking(w.boris, w.slots[0].ID))
	if err != nil {
		require.ErrorIs(w, err, slot.ErrTaken)
	}
	w.audited()
	_, err = h.Book(w.Context(), w.request(), w.booking(w.ana, w.others[0].ID))
	if err != nil {
		require.ErrorIs(w, err, occupancy.ErrTaken, "the patient is at the other practitioner's then")
	}
	require.Equal(w, 0, w.free(h, w.slots[0].ID), "the slot is somebody's: nothing is left in between")
	w.audited()
}

func (w *world) free(h *commands.Handler, s domain.SlotID) int {
	answer, err := h.Slot(w.Context(), s)
	require.NoError(w, err)
	return answer.State.Free()
}

// TestManyClientsWantOneSlot races two processes while the server is in trouble and
// elects another leader.
func TestManyClientsWantOneSlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	handlers := []*commands.Handler{w.handler(w.store), w.handler(w.store)}
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 32 {
		who := domain.PatientID(domain.NewID("patient", fmt.Sprint(i)))
		_, err := handlers[0].RegisterPatient(t.Context(), w.request(), patient.Register{Patient: who, Name: "Somebody"})
		require.NoError(t, err)
		all.Go(func() {
			_, err := handlers[i%2].Book(t.Context(), w.request(), w.booking(who, w.slots[0].ID))
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, slot.ErrTaken) && !errors.Is(err, commands.ErrBusy):
				t.Errorf("book: %v", err)
			}
		})
	}
	all.Wait()
	require.Equal(t, int32(1), won.Load())
	w.audited()
}

// TestNoSequenceOfCommandsAndKillsBreaksTheInvariants lets random clients book, move,
// cancel, hold, wait and die, while the server is in trouble.
func TestNoSequenceOfCommandsAndKillsBreaksTheInvariants(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w, dice := newWorld(t), rand.New(rand.NewPCG(seed, 4711)) //nolint:gosec // a test's
			slots := append(append([]schedule.Slot(nil), w.slots[:3]...), w.others[:2]...)
			for range 25 {
				var store commands.Store = w.store
				if dice.IntN(2) == 0 {
					store = &dying{Store: w.store, appends: dice.IntN(6), after: dice.IntN(2) == 0}
				}
				w.randomly(w.handler(store), dice, slots)
				w.audited()
			}
		})
	}
}

// randomly does something. Whether it succeeds is the auditor's business.
func (w *world) randomly(h *commands.Handler, dice *rand.Rand, slots []schedule.Slot) {
	ctx := w.Context()
	b := w.booking([]domain.PatientID{w.ana, w.boris}[dice.IntN(2)], slots[dice.IntN(len(slots))].ID)
	switch dice.IntN(7) {
	case 0, 1:
		_, _ = h.Book(ctx, w.request(), b)
	case 2:
		b.Slots, b.By = []domain.SlotID{slots[dice.IntN(len(slots))].ID}, appointment.ByClinic
		_, _ = h.Reschedule(ctx, w.request(), commands.Move{Booking: b})
	case 3:
		_, _ = h.Cancel(ctx, w.request(), commands.Cancellation{Appointment: b.Appointment, Initiator: appointment.ByPatient})
	case 4:
		_, _ = h.Hold(ctx, w.request(), commands.Holding{Booking: b, For: time.Duration(1+dice.IntN(15)) * time.Second, Session: "one"})
	case 5:
		_, _ = h.Complete(ctx, w.request(), commands.Completion{Appointment: b.Appointment, Token: h.Token(b.Appointment, 1+dice.IntN(3)), Patient: b.Patient})
	case 6:
		w.clock.advance(time.Duration(1+dice.IntN(30)) * time.Second)
	}
}
