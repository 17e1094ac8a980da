// Package historytest records what concurrent clients do to one slot of one
// place, and checks with porcupine that there is an order of these operations,
// each between its call and its return, in which every answer is right.
//
// A client that was told nothing may have booked or not; and where bookings
// take several appends, its claim may have stood for a while and lapsed. The
// model allows for all three.
package historytest

import (
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// Outcome is what a client was told.
type Outcome int

// The outcomes.
const (
	Done    Outcome = iota // booked, or cancelled
	Refused                // somebody else has the place
	Unknown                // no answer, or one that says nothing
	Free                   // of a read: nobody has the place
	Taken                  // of a read: somebody has it
)

// Kind is what a client does.
type Kind int

// The operations.
const (
	Book Kind = iota
	Cancel
	Read
)

type input struct {
	kind        Kind
	appointment string
}

// Recorder collects a history. It is safe for concurrent use.
type Recorder struct {
	start time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

// New returns an empty recorder.
func New() *Recorder { return &Recorder{start: time.Now()} }

// Do records one operation of a client around the call that performs it.
func (r *Recorder) Do(client int, kind Kind, appointment string, call func() Outcome) Outcome {
	called := time.Since(r.start)
	outcome := call()
	returned := time.Since(r.start)
	if outcome == Unknown {
		returned = 24 * time.Hour // it may still take effect at any time
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{
		ClientId: client, Input: input{kind, appointment}, Call: int64(called), Output: outcome, Return: int64(returned),
	})
	return outcome
}

// Check fails the test unless the history is linearizable. It returns how many
// operations there were.
func (r *Recorder) Check(t *testing.T) int {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(model(), r.ops, time.Minute))
	return len(r.ops)
}

// state is who has the place; lapsing when that claim may end by itself.
type state struct {
	holder  string
	lapsing bool
}

func model() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{state{}} },
		Step: func(s, in, out any) []any {
			return step(s.(state), in.(input), out.(Outcome)) //nolint:forcetypeassert // the model's own values
		},
	}
	return m.ToModel()
}

func step(s state, in input, out Outcome) []any {
	free := s.holder == "" || s.lapsing
	var next []any
	switch {
	case out == Unknown:
		next = append(next, s)
		if in.kind == Book && free {
			next = append(next, state{in.appointment, false}, state{in.appointment, true})
		}
		if in.kind == Cancel && s.holder == in.appointment {
			next = append(next, state{})
		}
	case in.kind == Book && out == Done && free:
		next = append(next, state{in.appointment, false})
	case in.kind == Book && out == Refused && s.holder != "":
		next = append(next, s)
	case in.kind == Cancel && out == Done && s.holder == in.appointment:
		next = append(next, state{})
	case in.kind == Cancel && out == Done: // an earlier cancellation without an answer had done it
		next = append(next, s)
	case in.kind == Read && out == Taken && s.holder != "":
		next = append(next, s)
	case in.kind == Read && out == Free && free:
		next = append(next, state{})
	}
	return next
}
