package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/slotbook/slotbook/domain"
)

// builder is the one loop: it takes a model's tables in one schema from where
// they are to a later position.
type builder struct {
	engine  *Engine
	model   Model
	schema  string
	owner   string // who acts: this process, and for builds beside the live one which
	folders []folder
	how     Build
	shared  *pages // of the builds that read the log together; nil = it reads alone

	epoch    int64           // under which this process holds the schema; 0 when it does not
	stored   domain.Position // the checkpoint in the database
	position domain.Position // what is folded in memory
	renewed  time.Time       // when the lease was last lengthened, by this process's clock
	seen     time.Time       // when the last event that was seen was recorded
	parking  *parking
	batch    []domain.Recorded // reused
}

// errLost says that another process, or a swap, has taken the schema.
var errLost = errors.New("the read model has another owner now")

// open returns a builder that holds nothing yet.
func (e *Engine) open(m Model, schema string) *builder {
	b := &builder{engine: e, model: m, schema: schema, owner: e.config.Owner, parking: newParking(nil)}
	named := map[string]folder{}
	for _, t := range m.Tables {
		f := t.open(schema, e.memory)
		b.folders, named[t.tableName()] = append(b.folders, f), f
	}
	for _, f := range b.folders {
		if f, ok := f.(linked); ok {
			f.link(named)
		}
	}
	return b
}

// openBeside returns a builder for tables beside the live ones. Each has an
// owner of its own, so that two in one process exclude each other.
func (e *Engine) openBeside(m Model, suffix string, how Build) *builder {
	b := e.open(m, m.Schema()+suffix)
	b.how = how
	b.owner = fmt.Sprintf("%s, build %d", b.owner, e.builds.Add(1))
	return b
}

// forget gives up what this process believes to know.
func (b *builder) forget() {
	b.epoch = 0
	for _, f := range b.folders {
		f.reset(false)
	}
}

// fold folds a page in memory. Events that are handed out again, at or before
// the builder's position or within the page, are passed over.
func (b *builder) fold(ctx context.Context, page domain.Page) error {
	if page.Next <= b.position {
		return nil
	}
	clear(b.batch)
	b.batch = b.batch[:0]
	at := b.position
	for _, r := range page.Events {
		if r.Position <= at {
			continue
		}
		at, b.seen = r.Position, r.RecordedAt
		if b.cares(r) && b.takes(r) {
			b.batch = append(b.batch, r)
			b.touch(len(b.batch)-1, r)
		}
	}
	if err := b.load(ctx); err != nil {
		return err
	}
	if before := b.model.Before; before != nil {
		if err := before(ctx, b.batch); err != nil {
			return fmt.Errorf("before the fold of %s: %w", b.schema, err)
		}
	}
	for _, f := range b.folders {
		if err := f.fold(b.batch, b.parking); err != nil {
			return fmt.Errorf("fold %s: %w", b.schema, err)
		}
	}
	b.position = page.Next
	return nil
}

// cares reports whether the event is of a category that can matter to the model:
// pages that models share hold those of all.
func (b *builder) cares(r domain.Recorded) bool {
	categories := b.model.Interest.Categories
	return len(categories) == 0 || slices.Contains(categories, r.Stream.Category())
}

// takes reports whether the folds get the event. An event that cannot be read
// parks its stream.
func (b *builder) takes(r domain.Recorded) bool {
	u, unreadable := r.Event.(domain.Undecodable)
	if !unreadable && len(b.parking.lots) == 0 {
		return true // the rule, and cheap
	}
	kind := u.Type
	if !unreadable {
		kind = r.Event.EventType()
	}
	if !b.model.Interest.Wants(r.Stream, kind) || b.parking.skip("", string(r.Stream)) {
		return false
	}
	if unreadable {
		b.parking.park("", string(r.Stream), r.Position, 1, u.Err)
	}
	return !unreadable
}

func (b *builder) touch(i int, r domain.Recorded) {
	for _, f := range b.folders {
		if err := f.touch(i, r); err != nil {
			b.parking.park("", string(r.Stream), r.Position, 1, err)
			return
		}
	}
}

// settings are those of a projector's transactions. Fresh tables have no
// statistics, and batches come as arrays, so that PostgreSQL would plan every
// one of them anew and prefer to scan. A commit is not waited for until it is
// on disk: after a crash of the server rows and checkpoint are back together
// where they were a moment before, and the log has what comes after.
const settings = `
select set_config('synchronous_commit', 'off', true),
	set_config('plan_cache_mode', 'force_generic_plan', true),
	set_config('enable_seqscan', 'off', true),
	set_config('enable_hashjoin', 'off', true),
	set_config('enable_mergejoin', 'off', true)`

// planAnew makes the next select fit the size that its table has by now. A plan
// from when the table was empty may look through a whole index for each key.
const planAnew = "select set_config('plan_cache_mode', 'force_custom_plan', true)"

// load fetches the touched rows that no cache holds, in one round trip. What
// it reads stays true until the epoch changes, which the flush checks.
func (b *builder) load(ctx context.Context) error {
	batch := &pgx.Batch{}
	for _, f := range b.folders {
		if keys := f.unknown(); len(keys) > 0 {
			batch.Queue(f.statements().load, keys).Query(f.load)
		}
	}
	if batch.Len() == 0 {
		return nil
	}
	all := &pgx.Batch{}
	all.Queue("begin read only")
	all.Queue(settings)
	all.Queue(planAnew)
	all.QueuedQueries = append(all.QueuedQueries, batch.QueuedQueries...)
	all.Queue("commit")
	ctx, cancel := context.WithTimeout(ctx, b.engine.config.Timeout)
	defer cancel()
	if err := b.engine.config.Pool.SendBatch(ctx, all).Close(); err != nil {
		return fmt.Errorf("load rows of %s: %w", b.schema, err)
	}
	return nil
}

// move moves the checkpoint. A transaction whose owner is no longer the owner,
// or that began elsewhere, fails here by a division by zero, so that statements
// sent after it in the same round trip do nothing.
const move = `
with moved as (
	update slotbook.projection_checkpoint
	set position = $3, recorded_at = coalesce($5::timestamptz, recorded_at), lease_until = clock_timestamp() + $6::interval
	where schema = $1 and epoch = $2 and position = $4 and position < $3 and paused_at is null and store_epoch = $7
	returning 1
)
select 1 / count(*)
from moved`

const divisionByZero = "22012"

// flush writes what the fold changed and moves the checkpoint, in one
// transaction. Rows that their table does not take are parked. It goes on for a
// little when ctx ends.
func (b *builder) flush(ctx context.Context) error {
	if b.position == b.stored {
		return nil
	}
	ctx, cancel := lasting(ctx, b.engine.config.Timeout)
	defer cancel()
	all := make([]changes, len(b.folders))
	for i, f := range b.folders {
		var err error
		if all[i], err = f.changes(); err != nil {
			return err
		}
	}
	err := b.engine.config.Pool.AcquireFunc(ctx, func(conn poolConn) error { return b.write(ctx, conn.Conn(), all) })
	if rowRefused(err) {
		err = b.engine.config.Pool.AcquireFunc(ctx, func(conn poolConn) error { return b.winnow(ctx, conn.Conn()) })
	}
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok && failure.Code == divisionByZero {
		return errLost
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", b.schema, err)
	}
	b.stored = b.position
	b.parking.settle()
	for _, f := range b.folders {
		f.settle()
	}
	b.engine.news.tell()
	return nil
}

// lasting returns the context of a write: it ends after twice the time-out, or
// a sixth of it after ctx.
func lasting(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*timeout)
	stop := context.AfterFunc(ctx, func() {
		sleep(writing, timeout/6)
		cancel()
	})
	return writing, func() { stop(); cancel() }
}

// write sends everything in one round trip, or, when there is something to
// COPY, in one before and one after.
func (b *builder) write(ctx context.Context, conn *pgx.Conn, all []changes) error {
	p, err := b.begin(ctx, conn)
	if err != nil {
		return err
	}
	copies := false
	for _, c := range all {
		copies = copies || c.copied != nil
	}
	if copies {
		if err := p.send(); err != nil {
			return err
		}
		for i, c := range all {
			if c.copied == nil {
				continue
			}
			if _, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(c.copied), b.folders[i].statements().copy); err != nil {
				return err
			}
		}
	}
	for i, c := range all {
		if err := p.changes(b.folders[i].statements(), c); err != nil {
			return err
		}
	}
	if err := b.end(p); err != nil {
		return err
	}
	return p.send()
}

func (b *builder) begin(ctx context.Context, conn *pgx.Conn) (*pipeline, error) {
	p := &pipeline{ctx: ctx, conn: conn}
	var seen []byte
	if !b.seen.IsZero() {
		seen = int64Value(micros(b.seen))
	}
	lease := append(int64Value(b.engine.config.Lease.Microseconds()), 0, 0, 0, 0, 0, 0, 0, 0) // an interval: days and months follow
	err := errors.Join(
		p.query("begin"),
		p.query(settings),
		p.query(move, []byte(b.schema), int64Value(b.epoch), positionValue(b.position), positionValue(b.stored), seen, lease,
			[]byte(b.engine.config.Epoch)),
	)
	return p, err
}

// end queues what was newly parked, and the commit.
func (b *builder) end(p *pipeline) error {
	parked, err := b.parking.unsaved()
	if err == nil && parked != nil {
		err = p.query(upsertParked, []byte(b.schema), append([]byte{1}, parked...)) // jsonb, version 1
	}
	return errors.Join(err, p.query("commit"))
}

func int64Value(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) } //nolint:gosec // the bits

func positionValue(p domain.Position) []byte { return binary.BigEndian.AppendUint64(nil, uint64(p)) }
