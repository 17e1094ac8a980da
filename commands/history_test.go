package commands_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/commands/historytest"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

// TestConcurrentHistoriesAreLinearizable lets clients of five processes hold,
// renew, release, complete, request, approve, decline, book, move, cancel, undo,
// lapse and read in three slots, of which one has two places, while the clock
// goes on; every fifth command dies at a random append.
func TestConcurrentHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	for _, stepByStep := range []bool{false, true} {
		t.Run(fmt.Sprintf("step by step %t", stepByStep), func(t *testing.T) {
			t.Parallel()
			const histories, most = 8, 40
			counts := map[historytest.Kind]map[historytest.Outcome]int{}
			undone := func() bool {
				for k := historytest.Read; k <= historytest.Undo; k++ {
					if counts[k][historytest.Done] == 0 {
						return true
					}
				}
				return false
			}
			for seed := uint64(0); seed < histories || undone() && seed < most; seed++ {
				f := newFight(newWorld(t, stepByStep), seed)
				for k, outcomes := range f.history(t) {
					if counts[k] == nil {
						counts[k] = map[historytest.Outcome]int{}
					}
					for o, n := range outcomes {
						counts[k][o] += n
					}
				}
			}
			t.Log(counts)
			require.False(t, undone(), "every operation was done once at least: the histories were worth their name")
		})
	}
}

// fight is what the clients of a history fight for: two slots of one place, and
// one of two that starts with the first of them.
type fight struct {
	*world
	seed  uint64
	slots []schedule.Slot
	long  sync.RWMutex // is held for reading by whoever acts
	silva bool         // approves what patients book, else souza does
}

func newFight(w *world, seed uint64) *fight {
	f := &fight{world: w, seed: seed, silva: seed%2 == 0}
	one := w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 3)).Opened
	two := w.set(w.souza, w.weekdays("09:00", "12:00", 30, 2, 3)).Opened
	f.slots = []schedule.Slot{one[len(one)-6], one[len(one)-5], two[len(two)-6]} // of the last day
	approves := w.souza
	if f.silva {
		approves = w.silva
	}
	w.limit(policy.Terms{HoldsShare: new(100)})
	_, err := w.h.SetPolicy(w.ctx, w.request(), policy.Set{
		Scope: policy.Scope{Kind: policy.OfPractitioner, ID: string(approves)}, Terms: policy.Terms{Approval: new(true)},
	})
	require.NoError(w.t, err)
	w.clock.advance(time.Hour) // they work
	return f
}

func (f *fight) config() historytest.Config {
	c := historytest.Config{
		Undo: 10 * time.Minute, StepByStep: !f.store.Atomic(), Decision: 10 * time.Second,
		Now: func() (least, most time.Time) { now := f.clock.now(); return now, now },
	}
	for n, s := range f.slots {
		c.Slots = append(c.Slots, historytest.Slot{Capacity: s.Capacity, Start: s.Start, Approval: (n < 2) == f.silva})
	}
	return c
}

// pass moves the clock. It seldom goes far enough for requests to run out, and
// then not while a command is under way: none takes so long.
func (f *fight) pass(random *rand.Rand) {
	switch n := random.IntN(40); {
	case n == 0:
		f.long.Lock()
		defer f.long.Unlock()
		f.clock.advance(21 * time.Minute)
	case n < 15:
		f.clock.advance(time.Duration(1+random.IntN(2)) * time.Second)
	}
}

// history lets the clients fight, checks what they were told and what is stored,
// and returns how often each operation had each outcome.
func (f *fight) history(t *testing.T) map[historytest.Kind]map[historytest.Outcome]int {
	t.Helper()
	const clients, steps = 5, 40
	history := historytest.New(f.config())
	var all sync.WaitGroup
	for n := range clients {
		c := f.client(history, n)
		all.Go(func() {
			for range steps {
				c.Act()
				f.pass(c.Random)
			}
		})
	}
	all.Wait()
	f.client(history, clients).Sweep()
	counts := history.Check(t)
	f.audit()
	return counts
}

func (f *fight) client(history *historytest.Recorder, n int) *historytest.Client {
	c := &historytest.Client{
		Recorder: history, Name: n, Seconds: 6, Lapses: true, Random: rand.New(rand.NewPCG(uint64(n), f.seed)),
		Patients: []string{string(f.ana), string(f.boris), string(f.carlos)},
	}
	var store commands.Store = &hesitant{Store: f.store, random: rand.New(rand.NewPCG(uint64(n), f.seed))}
	h, command := f.handler(store), 0
	c.Perform = func(op historytest.Op) historytest.Answer {
		f.long.RLock()
		defer f.long.RUnlock()
		command++
		req := commands.Request{Command: domain.NewID("history", fmt.Sprint(n, command)), Actor: "local"}
		if op.Kind > historytest.Look && c.Random.IntN(5) == 0 {
			return f.perform(f.handler(&crashing{Store: store, appends: c.Random.IntN(5), after: c.Random.IntN(2) == 0}), req, op)
		}
		return f.perform(h, req, op)
	}
	return c
}

// hesitant is a store whose process lets others go first now and then, so that
// commands overlap also where there are few processors.
type hesitant struct {
	commands.Store
	random *rand.Rand
}

func (s *hesitant) hesitate() {
	for range s.random.IntN(4) {
		runtime.Gosched()
	}
}

func (s *hesitant) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	s.hesitate()
	return s.Store.Load(ctx, streams...)
}

// LikelyEnd is wrong now and then, as a process is that has not heard of what
// others appended.
func (s *hesitant) LikelyEnd(stream domain.StreamName) (domain.Revision, bool) {
	if s.random.IntN(4) == 0 {
		return domain.Revision(s.random.IntN(2)) - 1, true
	}
	return s.Store.LikelyEnd(stream)
}

func (s *hesitant) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	s.hesitate()
	return s.Store.Append(ctx, writes...)
}

// perform does an operation, and tells what became of it.
func (f *fight) perform(h *commands.Handler, req commands.Request, op historytest.Op) historytest.Answer {
	if op.Kind == historytest.Read {
		s, err := h.Slot(f.ctx, f.slots[op.Slot].ID)
		return historytest.Answer{Outcome: outcome(err), Free: err == nil && s.State.Free() > 0}
	}
	done, err := f.execute(h, req, op)
	answer := historytest.Answer{Outcome: outcome(err)}
	if op.Kind == historytest.Look && errors.Is(err, appointment.ErrNotFound) {
		answer.Outcome = historytest.Done
	}
	if err != nil {
		return answer
	}
	latest, _ := done.State.Latest()
	if kept, n, err := done.State.Holding(time.Time{}); err == nil && op.Kind != historytest.Complete {
		latest, answer.Token = kept, h.Token(kept.Appointment, n)
	}
	answer.Deadline = latest.Deadline
	if current, _ := done.State.Current(); len(current.Slots) > 0 {
		answer.Status, answer.Slot = status(done.State.Status), f.slotOf(current.Slots[0])
	}
	return answer
}

// execute executes the command of an operation.
func (f *fight) execute(h *commands.Handler, req commands.Request, op historytest.Op) (commands.Answer[appointment.State], error) {
	id, b := domain.AppointmentID(op.Appointment), commands.Booking{
		Appointment: domain.AppointmentID(op.Appointment), Slots: []domain.SlotID{f.slots[op.Slot].ID}, Patient: domain.PatientID(op.Patient),
	}
	switch op.Kind {
	case historytest.Book:
		b.By = appointment.ByClinic
		return h.Book(f.ctx, req, b)
	case historytest.Request:
		return h.Book(f.ctx, req, b)
	case historytest.Hold:
		return h.Hold(f.ctx, req, commands.Holding{Booking: b, For: op.For, Session: op.Appointment})
	case historytest.Renew:
		return h.Renew(f.ctx, req, id, op.Token, op.For)
	case historytest.Release:
		return h.Release(f.ctx, req, id, op.Token)
	case historytest.Complete:
		return h.Complete(f.ctx, req, commands.Completion{Appointment: id, Token: op.Token, Patient: domain.PatientID(op.Patient)})
	case historytest.Approve:
		return h.Approve(f.ctx, req, id)
	case historytest.Decline:
		return h.Decline(f.ctx, req, commands.Refusal{Appointment: id})
	case historytest.Lapse:
		return f.lapse(h, req, id)
	case historytest.Move:
		b.Patient, b.By = "", appointment.ByClinic
		return h.Reschedule(f.ctx, req, commands.Move{Booking: b})
	case historytest.Cancel:
		return h.Cancel(f.ctx, req, commands.Cancellation{Appointment: id, Initiator: appointment.ByPatient})
	case historytest.Undo:
		return h.Undo(f.ctx, req, id)
	case historytest.Look, historytest.Read:
	}
	return h.Appointment(f.ctx, id)
}

// lapse ends the latest set, as whoever tidies up does.
func (f *fight) lapse(h *commands.Handler, req commands.Request, id domain.AppointmentID) (commands.Answer[appointment.State], error) {
	now, err := h.Appointment(f.ctx, id)
	if errors.Is(err, appointment.ErrNotFound) {
		return now, nil // there is nothing to end
	}
	if err != nil {
		return now, err
	}
	_, n := now.State.Latest()
	return h.Lapse(f.ctx, req, id, n)
}

func (f *fight) slotOf(id domain.SlotID) int {
	for n, s := range f.slots {
		if s.ID == id {
			return n
		}
	}
	return -1
}

func status(s appointment.Status) historytest.Status {
	switch s {
	case appointment.Pending:
		return historytest.Pending
	case appointment.Booked:
		return historytest.Booked
	default:
		return historytest.Gone
	}
}

func outcome(err error) historytest.Outcome {
	switch {
	case err == nil:
		return historytest.Done
	case errors.Is(err, slot.ErrTaken), errors.Is(err, occupancy.ErrTaken):
		return historytest.Taken
	case domain.RuleOf(err) != nil && !errors.Is(err, commands.ErrBusy) && !errors.Is(err, commands.ErrUnavailable):
		return historytest.Refused
	}
	return historytest.Unknown
}
