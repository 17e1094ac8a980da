// Package whatif replays what was wanted in a period under other terms, and says
// what would have come of it.
//
//	the log --date--> reality: what was decided, and when
//	                     |  each wish again, at its time
//	                     v
//	         a world as it was when the period began, twice:
//	           as it was        the differences to reality are the error of the replay
//	           with the change  what would have been booked, refused, and left idle
//
// A world is the log up to the beginning of the period, read and never written,
// and what its own handler has decided since, in memory. The real commands decide
// everything again; people do what they did.
package whatif

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/schedule"
)

// Log is the event store as a replay needs it: it cannot write.
type Log interface {
	// Load returns every event of the streams, in order.
	Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error)
	// ReadAll returns up to limit events after a position, in commit order.
	ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error)
	// Head returns the position of the last event.
	Head(ctx context.Context) (domain.Position, error)
}

// Config says what is replayed.
type Config struct {
	Log      Log
	From     time.Time                      // business time at which the period begins; zero = with the log
	To       time.Time                      // at which it ends; zero = with the log
	Change   Change                         // that is in force from From on
	Progress func(at, head domain.Position) // is told how far the log is read; nil = nobody is
}

// Change is what differs. What it does not name is as it was, also what was
// changed in the period.
type Change struct {
	EveryClinic policy.Terms                           // laid over the policy of every clinic
	Policies    map[policy.Scope]policy.Terms          // laid over these, field by field
	Calendars   map[domain.ClinicID]domain.Calendar    // in place of the clinics' own
	Schedules   map[Place]schedule.Pattern             // in place of the practitioners' own; the zone is the clinic's
	VisitTypes  map[domain.VisitTypeID]VisitTypeChange // laid over these
}

// Place is a practitioner at a clinic.
type Place struct {
	Practitioner domain.PractitionerID
	Clinic       domain.ClinicID
}

// VisitTypeChange are the times of a visit type, in minutes; nil is as it was.
type VisitTypeChange struct {
	Duration     *int
	BufferBefore *int
	BufferAfter  *int
}

// The errors of a replay.
var (
	// ErrPeriod says that the period ends before it begins.
	ErrPeriod = errors.New("a period ends after it begins")
	// ErrNothing says that the log holds nothing in the period.
	ErrNothing = errors.New("the log holds nothing in the period")
	// ErrUnknown says that the change names what did not exist until the period ended.
	ErrUnknown = errors.New("unknown until the period ends")
)

// pageSize is how many events are read at once.
const pageSize = 5000

// Run replays a period of the log as it was and with the change. Errors:
// [ErrPeriod], [ErrNothing], [ErrUnknown], a refusal of what the change says, and
// those of the log.
func Run(ctx context.Context, c Config) (Report, error) {
	if !c.From.IsZero() && !c.To.IsZero() && !c.From.Before(c.To) {
		return Report{}, ErrPeriod
	}
	head, err := c.Log.Head(ctx)
	if err != nil {
		return Report{}, err
	}
	r := newRun(c)
	for at := domain.Position(0); at < head && !r.over; {
		page, err := c.Log.ReadAll(ctx, at, domain.Filter{}, pageSize)
		if err != nil {
			return Report{}, err
		}
		if err := r.read(ctx, page.Events); err != nil {
			return Report{}, err
		}
		if at == page.Next {
			break
		}
		if at = page.Next; c.Progress != nil {
			c.Progress(at, head)
		}
	}
	if !r.begun {
		return Report{}, ErrNothing
	}
	return r.report(ctx)
}

// run is a replay under way.
type run struct {
	Config
	dates  dates
	past   *past
	real   *reality
	worlds []*replay // as it was, and with the change
	begun  bool
	over   bool
	last   time.Time // of what was read
	events int       // in the period
}

func newRun(c Config) *run {
	p := &past{log: c.Log, known: map[domain.StreamName][]domain.Recorded{}}
	return &run{Config: c, past: p, real: newReality(p, c.From)}
}

// read takes the next events of the log.
func (r *run) read(ctx context.Context, page []domain.Recorded) error {
	for _, e := range page {
		if bad, ok := e.Event.(domain.Undecodable); ok {
			return fmt.Errorf("the event at position %d cannot be read: %w", e.Position, bad.Err)
		}
	}
	dated := r.dates.of(page)
	if n := r.inPeriod(dated); n < len(dated) {
		if err := r.past.fetch(ctx, streamsOf(dated[n:])); err != nil {
			return err
		}
	}
	for _, m := range dated {
		switch {
		case !r.To.IsZero() && !m.at.Before(r.To):
			r.over = true
			return nil
		case m.at.Before(r.From):
			r.real.remember(m)
			continue
		}
		if err := r.take(ctx, m); err != nil {
			return fmt.Errorf("position %d: %w", m.Position, err)
		}
	}
	return nil
}

// inPeriod returns the index of the first event of the period, and notes where the
// past ends when the period begins with it.
func (r *run) inPeriod(dated []moment) int {
	n := 0
	for n < len(dated) && dated[n].at.Before(r.From) {
		n++
	}
	if !r.begun && n < len(dated) {
		r.past.until = dated[n].Position - 1
	}
	return n
}

// take replays one event of the period.
func (r *run) take(ctx context.Context, m moment) error {
	if !r.begun {
		if err := r.begin(ctx, m.at); err != nil {
			return err
		}
	}
	r.last = m.at
	r.events++
	before, err := r.real.take(ctx, m)
	if err != nil {
		return err
	}
	for _, w := range r.worlds {
		if err := w.take(ctx, m, before); err != nil {
			return err
		}
	}
	return nil
}

// begin makes the worlds as the log was when the period began.
func (r *run) begin(ctx context.Context, first time.Time) error {
	r.begun = true
	if r.From.IsZero() {
		r.From = first
		r.real.tally.from = first
	}
	if err := r.real.begin(ctx); err != nil {
		return err
	}
	for _, c := range []Change{{}, r.Change} {
		w := newReplay(c, r.real, r.From)
		if err := w.begin(ctx); err != nil {
			return err
		}
		r.worlds = append(r.worlds, w)
	}
	return nil
}

func streamsOf(dated []moment) []domain.StreamName {
	names := make([]domain.StreamName, len(dated))
	for i, m := range dated {
		names[i] = m.Stream
	}
	return names
}
