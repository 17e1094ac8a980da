package commands

import (
	"context"
	"sync"

	"github.com/slotbook/slotbook/domain"
)

// cacheSize is how many entries a cache keeps: enough for the practitioners,
// clinics and patients of a busy hour, a few tens of megabytes at the most.
const cacheSize = 50_000

// cache is a bounded map that may forget anything at any time. What it holds
// is either unchangeable or checked by revision when it is used. The zero
// value is ready.
type cache[K comparable, V any] struct {
	mu      sync.Mutex
	entries map[K]V
}

func (c *cache[K, V]) load(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.entries[k]
	return v, ok
}

func (c *cache[K, V]) store(k K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil || len(c.entries) >= cacheSize {
		c.entries = map[K]V{}
	}
	c.entries[k] = v
}

func (c *cache[K, V]) drop(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, k)
}

// profile returns the state of an aggregate that seldom changes, perhaps a
// little old, and a check-only write: appended with what was decided, it makes
// sure that the state was the current one.
func profile[S any, E domain.Event](
	ctx context.Context, h *Handler, stream domain.StreamName, evolve func(S, E) S, missing error,
) (S, Write, error) {
	var state S
	recorded, ok := h.known.load(stream)
	if !ok {
		loaded, err := h.Store.Load(ctx, stream)
		if err != nil {
			return state, Write{}, err
		}
		recorded = loaded[stream]
	}
	if len(recorded) == 0 {
		return state, Write{}, missing
	}
	if !ok {
		h.known.store(stream, recorded)
	}
	return domain.Replay(evolve, state, recorded), Write{Stream: stream, Expected: last(recorded)}, nil
}

// forget drops what a lost race has shown to be old, perhaps.
func (h *Handler) forget(checks []Write) {
	for _, w := range checks {
		h.known.drop(w.Stream)
	}
}
