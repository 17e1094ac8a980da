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
// is unchangeable, checked by revision when it is used, or old by a second at
// the most. The zero value is ready.
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
	loaded, err := h.loadKnown(ctx, nil, stream)
	if err != nil {
		return state, Write{}, err
	}
	check, err := exists(loaded, stream, missing)
	return domain.Replay(evolve, state, loaded[stream]), check, err
}

// loadKnown loads streams, and with them those that seldom change, as far as
// the cache does not hold them. Where the store cannot check them by revision
// in the append that follows, they are loaded every time.
func (h *Handler) loadKnown(
	ctx context.Context, streams []domain.StreamName, seldom ...domain.StreamName,
) (map[domain.StreamName][]domain.Recorded, error) {
	cached := map[domain.StreamName][]domain.Recorded{}
	for _, name := range seldom {
		if recorded, ok := h.known.load(name); ok && h.Store.Atomic() {
			cached[name] = recorded
		} else {
			streams = append(streams, name)
		}
	}
	if len(streams) == 0 {
		return cached, nil
	}
	loaded, err := h.Store.Load(ctx, streams...)
	if err != nil {
		return nil, err
	}
	for _, name := range seldom {
		if recorded, ok := cached[name]; ok {
			loaded[name] = recorded
		} else if len(loaded[name]) > 0 {
			h.known.store(name, loaded[name])
		}
	}
	return loaded, nil
}

// exists returns the check-only write for a stream that was loaded, or missing
// when there is none.
func exists(loaded map[domain.StreamName][]domain.Recorded, stream domain.StreamName, missing error) (Write, error) {
	if len(loaded[stream]) == 0 {
		return Write{}, missing
	}
	return Write{Stream: stream, Expected: last(loaded[stream])}, nil
}

// forget drops what a lost race has shown to be old, perhaps.
func (h *Handler) forget(checks []Write) {
	for _, w := range checks {
		h.known.drop(w.Stream)
	}
}
