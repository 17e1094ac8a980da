package demo

import (
	"context"
	"slices"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/schedule"
)

// Timed returns the store as a handler sees it whose business time may lie
// before the time of the store's clock. What is said of schedules was recorded
// by now then: from when a schedule was changed the handler concludes which
// days others may have opened, and nobody has opened days that business time
// does not reach.
func Timed(store commands.Store, now func() time.Time) commands.Store { return timed{store, now} }

type timed struct {
	commands.Store
	now func() time.Time
}

// Load returns every event of the streams.
func (t timed) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	loaded, err := t.Store.Load(ctx, streams...)
	now := t.now()
	for name, recorded := range loaded {
		if name.Category() != schedule.Category {
			continue
		}
		recorded = slices.Clone(recorded) // others may have been given the same
		loaded[name] = recorded
		for i := range recorded {
			if recorded[i].RecordedAt.After(now) {
				recorded[i].RecordedAt = now
			}
		}
	}
	return loaded, err
}
