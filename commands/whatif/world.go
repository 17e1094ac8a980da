package whatif

import (
	"context"
	"slices"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// past is the log as it was when the period began. It keeps what it has read.
type past struct {
	log   Log
	until domain.Position // the last event that belongs to it
	known map[domain.StreamName][]domain.Recorded
}

// fetchAtOnce is how many streams are loaded in one round trip.
const fetchAtOnce = 500

// fetch sees to it that streams are known.
func (p *past) fetch(ctx context.Context, names []domain.StreamName) error {
	var missing []domain.StreamName
	for _, name := range names {
		if _, ok := p.known[name]; !ok {
			missing, p.known[name] = append(missing, name), nil
		}
	}
	if p.until == 0 {
		return nil // it is empty
	}
	for some := range slices.Chunk(missing, fetchAtOnce) {
		loaded, err := p.log.Load(ctx, some...)
		if err != nil {
			return err
		}
		for name, recorded := range loaded {
			n := 0
			for n < len(recorded) && recorded[n].Position <= p.until {
				n++
			}
			p.known[name] = slices.Clip(recorded[:n])
		}
	}
	return nil
}

// of returns the events of a stream.
func (p *past) of(ctx context.Context, name domain.StreamName) ([]domain.Recorded, error) {
	err := p.fetch(ctx, []domain.StreamName{name})
	return p.known[name], err
}

// world is an event store that begins as the past was, and keeps for itself what
// is appended. It is used by one goroutine at a time.
type world struct {
	past   *past
	now    func() time.Time
	grown  map[domain.StreamName][]domain.Recorded // with the past, of what has more than that
	news   []domain.Recorded                       // since they were last taken
	events domain.Position
}

func newWorld(p *past, now func() time.Time) *world {
	return &world{past: p, now: now, grown: map[domain.StreamName][]domain.Recorded{}, events: p.until}
}

// Atomic returns true.
func (w *world) Atomic() bool { return true }

// LikelyEnd returns nothing.
func (w *world) LikelyEnd(domain.StreamName) (domain.Revision, bool) { return 0, false }

// Load returns every event of the streams.
func (w *world) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	if err := w.past.fetch(ctx, streams); err != nil {
		return nil, err
	}
	loaded := make(map[domain.StreamName][]domain.Recorded, len(streams))
	for _, name := range streams {
		if recorded := w.of(name); len(recorded) > 0 {
			loaded[name] = slices.Clip(recorded)
		}
	}
	return loaded, nil
}

// of returns what a stream that was fetched holds.
func (w *world) of(name domain.StreamName) []domain.Recorded {
	if recorded, ok := w.grown[name]; ok {
		return recorded
	}
	return w.past.known[name]
}

// Append keeps the events of all writes, or none.
func (w *world) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	for _, one := range writes {
		if err := w.past.fetch(ctx, []domain.StreamName{one.Stream}); err != nil {
			return 0, err
		}
		if one.Expected != domain.Any && one.Expected != domain.Revision(len(w.of(one.Stream))-1) {
			return 0, commands.ErrWrongRevision
		}
	}
	for _, one := range writes {
		recorded := w.of(one.Stream)
		for _, e := range one.Events {
			w.events++
			recorded = append(recorded, domain.Recorded{
				ID: e.ID, Stream: one.Stream, Revision: domain.Revision(len(recorded)), Position: w.events, RecordedAt: w.now(),
				Metadata: e.Metadata, Event: e.Event,
			})
			w.news = append(w.news, recorded[len(recorded)-1])
		}
		if len(one.Events) > 0 {
			w.grown[one.Stream] = recorded
		}
	}
	return w.events, nil
}

// take returns what was appended since it was last asked.
func (w *world) take() []domain.Recorded {
	news := w.news
	w.news = nil
	return news
}
