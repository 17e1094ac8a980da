// Package historytest records what concurrent clients do to a few slots of one
// place or several: they hold, renew, release, complete, request, approve,
// decline, book, move, cancel, undo and read. It checks with porcupine that
// there is an order of these operations, each between its call and its return,
// in which every answer is right.
//
// What lapses depends on the clock, which somebody moves meanwhile. An operation
// sees a clock between those at its call and at its return, so a deadline
// between the two may have passed or not; a deadline before both has passed.
package historytest

import (
	"cmp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain/claim"
)

// Outcome is what a client was told.
type Outcome int

// The outcomes.
const (
	Done    Outcome = iota
	Taken           // somebody else has the place, or the patient is elsewhere
	Refused         // the appointment is in no state for it, or its time is up
	Unknown         // no answer, or one that says nothing
)

// String returns the outcome's name.
func (o Outcome) String() string { return []string{"done", "taken", "refused", "unknown"}[o] }

// Kind is what a client does.
type Kind int

// The operations.
const (
	Read     Kind = iota // a slot
	Look                 // at an appointment
	Book                 // at once, whatever the policy
	Request              // where a booking waits for approval
	Hold                 // for a short time
	Renew                // what is on hold
	Release              // what is on hold
	Complete             // what is on hold; where bookings wait for approval it is requested
	Approve              // what is requested
	Decline              // what is requested
	Lapse                // what is overdue
	Move                 // to another slot
	Cancel
	Undo // a cancellation
)

// proposes reports whether the operation may claim something before it is
// decided, on a store that cannot append it all at once.
func (k Kind) proposes() bool {
	return slices.Contains([]Kind{Book, Request, Hold, Complete, Move, Undo}, k)
}

// String returns the operation's name.
func (k Kind) String() string {
	return []string{
		"read", "look", "book", "request", "hold", "renew", "release", "complete", "approve", "decline", "lapse", "move", "cancel", "undo",
	}[k]
}

// Op is one operation.
type Op struct {
	Kind        Kind
	Slot        int // that is read or wanted
	Appointment string
	Patient     string        // "" = of a hold, nobody; of a completion, who was held for
	For         time.Duration // of a hold
	Token       string        // of a hold
}

// Status is what an appointment is, as far as the history is concerned.
type Status int

// The statuses.
const (
	Gone    Status = iota // cancelled, lapsed, refused, or never there
	Pending               // on hold or requested
	Booked
)

// Answer is what a client was told.
type Answer struct {
	Outcome     Outcome
	Free        bool      // of a read: somebody could have the slot
	Status      Status    // of an appointment, by a look
	Slot        int       // of an appointment that is not gone, by a look
	Deadline    time.Time // of what is held, renewed or requested
	Token       string    // of a hold
	Appointment string    // that a hold was given; "" when it is the one that was asked for
}

// Slot is a place that the clients fight for.
type Slot struct {
	Capacity int
	Start    time.Time // who is at one slot is at no other that starts then
	Approval bool      // bookings of patients wait for it
}

// Config says how things are where the clients act.
type Config struct {
	Slots []Slot
	// Now returns the clock, or two between which all clocks are.
	Now func() (least, most time.Time)
	// Undo is how long a cancellation can be undone.
	Undo time.Duration
	// Late is how long after its return an operation without an answer may
	// still take effect.
	Late time.Duration
	// StepByStep says that claims may stand for a while before their set is
	// decided, and when its client died even until Decision has passed.
	StepByStep bool
	Decision   time.Duration
}

// record is an operation with what was told, and the clocks around it.
type record struct {
	Op
	Answer
	client         int
	called, ended  time.Duration
	before, after  int64 // the clocks at the call and at the return, in microseconds
	number         int   // of one without an answer, among these
	excused, other bool  // by another operation that was under way: a refusal; what is read of the appointment
}

// Recorder collects a history. It is safe for concurrent use.
type Recorder struct {
	config Config
	start  time.Time
	mu     sync.Mutex
	ops    []*record
	known  []*known
}

// New returns an empty recorder.
func New(c Config) *Recorder { return &Recorder{config: c, start: time.Now()} }

// do records one operation of a client around the call that performs it.
func (r *Recorder) do(client int, op Op, perform func(Op) Answer) Answer {
	o := &record{Op: op, client: client}
	least, _ := r.config.Now()
	o.before, o.called = least.UnixMicro(), time.Since(r.start)
	o.Answer = perform(op)
	o.ended = time.Since(r.start)
	o.Op.Appointment = cmp.Or(o.Answer.Appointment, op.Appointment)
	_, most := r.config.Now()
	if o.Outcome == Unknown {
		o.ended, most = o.ended+r.config.Late, most.Add(r.config.Late)
	}
	o.after = most.UnixMicro() + 1
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, o)
	return o.Answer
}

// Check fails the test unless the history is linearizable. It returns how often
// each operation had each outcome.
func (r *Recorder) Check(t *testing.T) map[Kind]map[Outcome]int {
	t.Helper()
	result, info := r.check()
	if result != porcupine.Ok {
		explain(t, r, info)
	}
	require.Equal(t, porcupine.Ok, result)
	counts := map[Kind]map[Outcome]int{}
	for _, o := range r.ops {
		if counts[o.Kind] == nil {
			counts[o.Kind] = map[Outcome]int{}
		}
		counts[o.Kind][o.Outcome]++
	}
	return counts
}

func (r *Recorder) check() (porcupine.CheckResult, porcupine.LinearizationInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var history []porcupine.Operation
	for _, o := range r.ops {
		if o.Outcome == Unknown && o.Kind <= Look {
			continue // it changed nothing and said nothing
		}
		if r.config.StepByStep {
			o.excused = slices.ContainsFunc(r.ops, func(p *record) bool { return r.hinders(p, o) })
			o.other = slices.ContainsFunc(r.ops, func(p *record) bool { return r.near(p, o) && p.Op.Appointment == o.Op.Appointment })
		}
		told := o.ended
		if o.Outcome == Unknown {
			told = o.called // when it takes effect is the model's to find out
		}
		history = append(history, porcupine.Operation{ClientId: o.client, Input: o, Output: o.Answer, Call: int64(o.called), Return: int64(told)})
	}
	return porcupine.CheckOperationsVerbose(model(r.config, r.ops), history, 5*time.Minute)
}

// near reports whether p may have left an undecided set behind that o met.
func (r *Recorder) near(p, o *record) bool {
	if p == o || p.Kind <= Look || p.called >= o.ended {
		return false
	}
	if o.Kind == Look && p.Kind.proposes() && p.Outcome != Done {
		return true // it stays pending until somebody ends it
	}
	until := p.after + (r.config.Decision + claim.ClockSlack).Microseconds()
	return p.ended > o.called || p.Outcome != Done && o.before < until
}

// hinders reports whether claims of p that never count may have stood in the way
// of o.
func (r *Recorder) hinders(p, o *record) bool {
	anywhere := func(k Kind) bool { return k == Complete || k == Undo }
	return r.near(p, o) && p.Kind.proposes() && p.Op.Appointment != o.Op.Appointment &&
		(anywhere(p.Kind) || anywhere(o.Kind) || p.Op.Slot == o.Op.Slot || p.Kind == Move || o.Kind == Move || p.Patient != "" && p.Patient == o.Patient)
}
