package commands

import (
	"context"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// AsOf returns a handler that reads how things were when the log ended at a
// position, at an instant of then. It decides as one of then would have; what it
// decides is not stored.
func (h *Handler) AsOf(last domain.Position, now time.Time) *Handler {
	c := h.Config
	c.Now, c.Refused = func() time.Time { return now }, nil
	c.Store = &rehearsal{Store: ended{h.Store, last}, now: c.Now, added: map[domain.StreamName][]domain.Recorded{}}
	return New(c)
}

// ended is a store that ends at a position.
type ended struct {
	Store
	last domain.Position
}

// Load returns the events of the streams that were recorded up to the position.
func (e ended) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	loaded, err := e.Store.Load(ctx, streams...)
	if err != nil {
		return nil, err
	}
	cut := make(map[domain.StreamName][]domain.Recorded, len(loaded))
	for name, recorded := range loaded {
		n := slices.IndexFunc(recorded, func(r domain.Recorded) bool { return r.Position > e.last })
		if n < 0 {
			n = len(recorded)
		}
		if n > 0 {
			cut[name] = recorded[:n:n]
		}
	}
	return cut, nil
}
