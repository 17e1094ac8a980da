package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/patient"
)

// replay is the log of a population, made as it is read: what the read models
// hold of it is what they would hold had it happened. Its events come in blocks,
// and each block has a range of positions of its own.
type replay struct {
	population
	codec  *eventcodec.Codec
	keys   *postgres.Keys
	blocks []block
}

// block is a stretch of what there is of one kind, from the first to before the
// end.
type block struct {
	first, end int
	facts      func(n int) ([]fact, []time.Time)
}

// perBlock is how many positions a block has; it has fewer events.
const perBlock = 1 << 16

// newReplay returns the log. Without a practice nobody has slots.
func newReplay(p population, practice bool, codec *eventcodec.Codec, keys *postgres.Keys) *replay {
	r := &replay{population: p, codec: codec, keys: keys}
	timeless := func(facts func(n int) []fact) func(n int) ([]fact, []time.Time) {
		return func(n int) ([]fact, []time.Time) { return facts(n), nil }
	}
	r.divide(p.clinics, 4000, timeless(p.clinicFacts))
	r.divide(p.practitioners, 10_000, timeless(p.practitionerFacts))
	r.divide(p.patients, 4000, timeless(patientFacts))
	if practice {
		r.divide(p.practitioners, 60, p.practiceOf)
	}
	return r
}

func (r *replay) divide(all, size int, facts func(n int) ([]fact, []time.Time)) {
	for first := 0; first < all; first += size {
		r.blocks = append(r.blocks, block{first, min(first+size, all), facts})
	}
}

// ReadAll returns the block after the position, whatever the limit.
func (r *replay) ReadAll(ctx context.Context, after domain.Position, _ domain.Filter, _ int) (domain.Page, error) {
	n := int(after / perBlock) //nolint:gosec // small
	if n >= len(r.blocks) {
		return domain.Page{Next: after}, nil
	}
	page := domain.Page{Next: domain.Position((n + 1) * perBlock)} //nolint:gosec // small
	for i := r.blocks[n].first; i < r.blocks[n].end; i++ {
		facts, times := r.blocks[n].facts(i)
		for k, f := range facts {
			at := loadedAt().AddDate(-1, 0, 0)
			if times != nil {
				at = times[k]
			}
			position := domain.Position(n*perBlock + len(page.Events) + 1) //nolint:gosec // small
			page.Events = append(page.Events, domain.Recorded{Stream: f.stream, Position: position, RecordedAt: at, Event: f.event})
		}
	}
	if len(page.Events) >= perBlock {
		return page, fmt.Errorf("a block has %d events", len(page.Events))
	}
	return page, r.seal(ctx, page.Events)
}

// Head returns the end of the last block.
func (r *replay) Head(context.Context) (domain.Position, error) {
	return domain.Position(len(r.blocks) * perBlock), nil //nolint:gosec // small
}

// Wait waits for ever: nothing comes any more.
func (r *replay) Wait(ctx context.Context, _ domain.Position) error {
	<-ctx.Done()
	return ctx.Err()
}

// seal puts events that hold personal text through the codec, several at once:
// a new key is a round trip.
func (r *replay) seal(ctx context.Context, events []domain.Recorded) error {
	var persons []string
	var personal []*domain.Recorded
	for i := range events {
		switch e := events[i].Event.(type) {
		case patient.Registered:
			personal = append(personal, &events[i])
		case appointment.WasProposed:
			if !e.Reason.IsZero() {
				persons, personal = append(persons, e.Reason.Person), append(personal, &events[i])
			}
		}
	}
	if err := r.keys.Fetch(ctx, persons); err != nil {
		return err
	}
	const workers = 16
	failures := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < len(personal) && failures[w] == nil; i += workers {
				failures[w] = r.sealed(ctx, personal[i])
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

func (r *replay) sealed(ctx context.Context, of *domain.Recorded) error {
	id := domain.NewID("load", "event", strconv.FormatUint(uint64(of.Position), 10))
	encoded, err := r.codec.Encode(ctx, of.Stream, commands.NewEvent{ID: id, Event: of.Event})
	if err == nil {
		of.Event, err = r.codec.Decode(encoded.Type, encoded.Data)
	}
	return err
}
