package kurrent

import (
	"context"
	"sync"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
)

// sharing lets callers who load one stream at the same time share a read of it. A
// read serves those who asked before it began: each sees what was stored until it
// asked. While one goes on, the others wait for the next one together.
type sharing struct {
	mu      sync.Mutex
	streams map[domain.StreamName]*shared
}

// shared are the reads of a stream: the one that goes on, and the next one if
// somebody waits for it.
type shared struct {
	now, next *oneRead
}

type oneRead struct {
	done   chan struct{}
	stored []eventcodec.Stored
	err    error
}

func newSharing() *sharing { return &sharing{streams: map[domain.StreamName]*shared{}} }

// load reads a stream whole, or shares a read that begins later than now.
func (s *Store) load(ctx context.Context, name domain.StreamName) ([]eventcodec.Stored, error) {
	r := s.loads.join(name, func(one *shared) { go s.read(context.WithoutCancel(ctx), name, one) })
	select {
	case <-r.done:
		return r.stored, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join returns a read that has not begun, and begins one if none goes on.
func (l *sharing) join(name domain.StreamName, begin func(*shared)) *oneRead {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.streams[name]
	if one == nil {
		one = &shared{now: &oneRead{done: make(chan struct{})}}
		l.streams[name] = one
		begin(one)
		return one.now
	}
	if one.next == nil {
		one.next = &oneRead{done: make(chan struct{})}
	}
	return one.next
}

// read reads the stream as long as somebody waits for it. The patience of a read
// ends it, whoever has left.
func (s *Store) read(ctx context.Context, name domain.StreamName, one *shared) {
	for {
		one.now.stored, one.now.err = s.loadOne(ctx, name)
		close(one.now.done)
		if !s.loads.another(name, one) {
			return
		}
	}
}

// another reports whether there is a next read, which goes on from then on.
func (l *sharing) another(name domain.StreamName, one *shared) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one.next == nil {
		delete(l.streams, name)
		return false
	}
	one.now, one.next = one.next, nil
	return true
}
