package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// row is a stored event as bytes.
type row struct {
	id         uuid.UUID
	stream     domain.StreamName
	revision   int64
	position   int64
	recordedAt time.Time
	kind       string
	data       []byte
	metadata   []byte       // empty when it was not asked for
	event      domain.Event // what data says; nil when it was not decoded yet
}

// decode returns the event. A follower gets [domain.Undecodable] in place of
// an event of a known type that cannot be read.
func (r *row) decode(codec *eventcodec.Codec, follower bool) (domain.Recorded, error) {
	recorded := domain.Recorded{
		ID: r.id.String(), Stream: r.stream, Revision: domain.Revision(r.revision),
		Position: domain.Position(r.position), RecordedAt: r.recordedAt,
	}
	var err error
	if len(r.metadata) > 0 {
		if recorded.Metadata, err = codec.DecodeMetadata(r.metadata); err != nil {
			return recorded, err
		}
	}
	if recorded.Event = r.event; r.event != nil {
		return recorded, nil
	}
	recorded.Event, err = codec.Decode(r.kind, r.data)
	if err != nil && follower && !errors.Is(err, commands.ErrUpgradeRunning) {
		recorded.Event, err = domain.Undecodable{Type: r.kind, Err: err}, nil
	}
	return recorded, err
}

// read fills the row from: event_id, stream, revision, position, recorded_at,
// type, data, metadata. It keeps copies.
func (r *row) read(values [][]byte) (err error) {
	if r.id, err = readUUID(values[0]); err != nil {
		return err
	}
	if r.revision, err = readInt64(values[2]); err != nil {
		return err
	}
	if r.position, err = readInt64(values[3]); err != nil {
		return err
	}
	if r.recordedAt, err = readTime(values[4]); err != nil {
		return err
	}
	r.stream, r.kind = domain.StreamName(values[1]), string(values[5])
	n := len(values[6])
	bytes := append(append(make([]byte, 0, n+len(values[7])), values[6]...), values[7]...)
	r.data, r.metadata = bytes[:n:n], bytes[n:]
	return nil
}

const readStreams = `
	select event_id, stream, revision, position, recorded_at, type, data, metadata
	from slotbook.events
	where stream = any($1::text[])
	order by stream, revision`

// The limits of one query that loads share. A load of more streams has a query
// of its own: what one query reads is of one moment.
const (
	maxLoads   = 256
	maxStreams = 512
)

// reader loads streams. One goroutine, in run, gathers the loads that are
// queued into one query; decoding is left to the callers.
type reader struct {
	config  *pgx.ConnConfig
	log     *slog.Logger
	ends    *ends
	queue   chan *loading
	stopped chan struct{} // closed when run has ended

	// Of run alone:
	session    *session
	held       *loading // was taken from the queue, but did not fit the query
	parameters parameters
	away       bool
}

// loading is one load on its way through the reader.
type loading struct {
	streams []domain.StreamName
	answer  chan loaded // has room: nobody waits for a caller that has gone
}

// loaded is shared by the callers of one query, who only read it.
type loaded struct {
	rows map[domain.StreamName][]row
	err  error
}

func newReader(config *pgx.ConnConfig, log *slog.Logger, ends *ends) *reader {
	return &reader{config: config, log: log, ends: ends, queue: make(chan *loading, maxLoads), stopped: make(chan struct{})}
}

// load returns the rows of the streams, and maybe of others.
func (r *reader) load(ctx context.Context, streams []domain.StreamName) (map[domain.StreamName][]row, error) {
	if err := ctx.Err(); err != nil {
		return nil, unavailable(err)
	}
	// A name that cannot be stored has no events, and would fail the neighbours.
	streams = slices.DeleteFunc(slices.Clone(streams), func(name domain.StreamName) bool {
		return !eventcodec.Encoded{}.Storable(name)
	})
	if len(streams) == 0 {
		return nil, nil
	}
	l := &loading{streams, make(chan loaded, 1)}
	select {
	case r.queue <- l:
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	case <-r.stopped:
		return nil, unavailable(errStopped)
	}
	select {
	case a := <-l.answer:
		return a.rows, a.err
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	case <-r.stopped:
		return nil, unavailable(errStopped)
	}
}

func unavailable(cause error) error { return fmt.Errorf("%w: %w", commands.ErrUnavailable, cause) }

// run loads what is queued until ctx ends.
func (r *reader) run(ctx context.Context) {
	defer close(r.stopped)
	defer r.disconnect()
	var loads []*loading
	for {
		if loads = r.gather(ctx, loads[:0]); len(loads) == 0 {
			return
		}
		r.serve(ctx, loads)
	}
}

// gather waits for a load and takes what is queued behind it. Whoever is ready to
// run goes first: under load that makes the queries fewer and larger, which is
// worth a tenth of the booking rate.
func (r *reader) gather(ctx context.Context, loads []*loading) []*loading {
	if ctx.Err() != nil {
		return nil
	}
	first := r.held
	r.held = nil
	if first == nil {
		select {
		case <-ctx.Done():
			return nil
		case first = <-r.queue:
		}
	}
	loads = append(loads, first)
	runtime.Gosched()
	streams := len(first.streams)
	for len(loads) < maxLoads {
		select {
		case l := <-r.queue:
			if streams += len(l.streams); streams > maxStreams {
				r.held = l
				return loads
			}
			loads = append(loads, l)
		default:
			return loads
		}
	}
	return loads
}

// serve answers the loads. When together they take too long, each is tried
// alone, so that only the culprit fails.
func (r *reader) serve(ctx context.Context, loads []*loading) {
	rows, err := r.try(ctx, loads)
	if tooSlow(err) && len(loads) > 1 {
		for _, l := range loads {
			r.serve(ctx, []*loading{l})
		}
		return
	}
	if away := err != nil && !tooSlow(err); r.away != away {
		r.away = away
		r.log.Warn("the database's reachability for loads has changed", "reachable", !r.away, "error", err)
	}
	if err != nil {
		err = unavailable(err)
	}
	for _, l := range loads {
		l.answer <- loaded{rows, err}
	}
}

// try loads once. A connection that has died unnoticed is opened anew once;
// loading twice does no harm.
func (r *reader) try(ctx context.Context, loads []*loading) (map[domain.StreamName][]row, error) {
	fresh := r.session == nil
	rows, err := r.query(ctx, loads)
	if err != nil && !fresh && !tooSlow(err) {
		r.disconnect()
		rows, err = r.query(ctx, loads)
	}
	if err != nil && !tooSlow(err) {
		r.disconnect()
	}
	return rows, err
}

func (r *reader) query(ctx context.Context, loads []*loading) (_ map[domain.StreamName][]row, err error) {
	if r.session == nil {
		if r.session, err = openSession(ctx, r.config, readStreams); err != nil {
			return nil, err
		}
	}
	rows, began := make(map[domain.StreamName][]row, 4*len(loads)), r.ends.now()
	r.name(loads)
	x, err := r.session.pipeline()
	if err != nil {
		return nil, err
	}
	x.send(0, &r.parameters)
	err = x.done(func() error {
		if err := x.p.Sync(); err != nil {
			return err
		}
		return x.rows(func(values [][]byte) error {
			var one row
			if err := one.read(values); err != nil {
				return err
			}
			rows[one.stream] = append(rows[one.stream], one)
			return nil
		})
	}())
	if err != nil {
		return nil, err
	}
	for _, l := range loads {
		r.ends.learn(began, l.streams, rows)
	}
	return rows, nil
}

// name sets the parameter to the streams of all loads.
func (r *reader) name(loads []*loading) {
	n := 0
	for _, l := range loads {
		n += len(l.streams)
	}
	r.parameters.reset()
	r.parameters.array(textType, n)
	for _, l := range loads {
		for _, stream := range l.streams {
			r.parameters.textElement(string(stream))
		}
	}
	r.parameters.end()
}

func (r *reader) disconnect() {
	if r.session != nil {
		r.session.close()
		r.session = nil
		r.ends.forget()
	}
}
