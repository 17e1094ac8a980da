package commands

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// rehearsal is a store that keeps what is appended to it for itself, on top of
// another store, which it only reads. A dry run is a command over a rehearsal:
// it decides by the same code, and changes nothing.
type rehearsal struct {
	Store
	now     func() time.Time
	mu      sync.Mutex
	added   map[domain.StreamName][]domain.Recorded
	planned []Planned
}

// LikelyEnd returns nothing: no append to the store below checks it.
func (r *rehearsal) LikelyEnd(domain.StreamName) (domain.Revision, bool) { return 0, false }

// Load returns the events of the store below, and those that were added.
func (r *rehearsal) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	loaded, err := r.Store.Load(ctx, streams...)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[domain.StreamName][]domain.Recorded, len(loaded))
	for _, name := range streams {
		if recorded := slices.Concat(loaded[name], r.added[name]); len(recorded) > 0 {
			all[name] = recorded
		}
	}
	return all, nil
}

// Append adds the events of all writes, or none.
func (r *rehearsal) Append(ctx context.Context, writes ...Write) (domain.Position, error) {
	names := make([]domain.StreamName, len(writes))
	for i, w := range writes {
		names[i] = w.Stream
	}
	loaded, err := r.Load(ctx, names...)
	if err != nil {
		return 0, err
	}
	for _, w := range writes {
		if w.Expected != domain.Any && w.Expected != last(loaded[w.Stream]) {
			return 0, ErrWrongRevision
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range writes {
		revision := last(loaded[w.Stream])
		for _, e := range w.Events {
			revision++
			r.added[w.Stream] = append(r.added[w.Stream], domain.Recorded{
				ID: e.ID, Stream: w.Stream, Revision: revision, RecordedAt: r.now(), Metadata: e.Metadata, Event: e.Event,
			})
			r.planned = append(r.planned, Planned{w.Stream, e.Event})
		}
	}
	return 0, nil
}

// rehearse returns a handler over a rehearsal of its own.
func (h *Handler) rehearse() (*Handler, *rehearsal) {
	r := &rehearsal{Store: h.Store, now: h.Now, added: map[domain.StreamName][]domain.Recorded{}}
	c := h.Config
	c.Store, c.Refused = r, nil // what was only tried was not wanted
	return New(c), r
}

// execute runs a command, over a rehearsal when it is a dry run.
func execute[S any](h *Handler, req Request, command func(h *Handler, req Request) (Answer[S], error)) (Answer[S], error) {
	if !req.DryRun {
		return command(h, req)
	}
	req.DryRun = false
	dry, r := h.rehearse()
	answer, err := command(dry, req)
	answer.Planned = r.planned
	return answer, err
}
