package commands

import (
	"context"
	"slices"
	"sync"

	"github.com/slotbook/slotbook/domain"
)

// turns lets the commands of one process that want the same streams go one
// after the other, in the order in which they came. It only saves lost races:
// the revisions remain the guard. The zero value is ready.
type turns struct {
	mu    sync.Mutex
	lines map[domain.StreamName][]chan struct{} // the waiting, the first being whose turn it is
}

// take waits for the turn on every stream, in sorted order, so that no two
// commands wait for each other. The caller calls leave when it is done.
func (t *turns) take(ctx context.Context, streams ...domain.StreamName) (leave func(), err error) {
	streams = slices.Compact(slices.Sorted(slices.Values(streams)))
	for i, s := range streams {
		if err := t.wait(ctx, s); err != nil {
			t.leave(streams[:i])
			return nil, err
		}
	}
	return func() { t.leave(streams) }, nil
}

func (t *turns) wait(ctx context.Context, s domain.StreamName) error {
	turn := make(chan struct{})
	t.mu.Lock()
	if t.lines == nil {
		t.lines = map[domain.StreamName][]chan struct{}{}
	}
	t.lines[s] = append(t.lines[s], turn)
	first := len(t.lines[s]) == 1
	t.mu.Unlock()
	if first {
		return nil
	}
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		t.giveUp(s, turn)
		return ctx.Err()
	}
}

// giveUp leaves the line before the turn came, or passes on a turn that came
// just now.
func (t *turns) giveUp(s domain.StreamName, turn chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.lines[s], turn)
	t.lines[s] = slices.Delete(t.lines[s], i, i+1)
	t.wake(s, i)
}

func (t *turns) leave(streams []domain.StreamName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range streams {
		t.lines[s] = t.lines[s][1:]
		t.wake(s, 0)
	}
}

// wake gives the turn to the first in line when the i-th was the first.
func (t *turns) wake(s domain.StreamName, i int) {
	switch {
	case len(t.lines[s]) == 0:
		delete(t.lines, s)
	case i == 0:
		close(t.lines[s][0])
	}
}
