package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/slotbook/slotbook/domain"
)

// Reader is what a view can do: read. One query ends before the next begins.
// Before its arguments a query may have [PlanOnce].
type Reader interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	// Last is Query when nothing is read afterwards. It saves the round trip in
	// which the view would end.
	Last(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	// LastUnless is Last where a condition does not hold, which is an expression of
	// SQL with the arguments of the query. Where it does, it says so, and the view goes on.
	LastUnless(ctx context.Context, condition, sql string, args ...any) (rows pgx.Rows, holds bool, err error)
}

// querier is whatever runs queries.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// ErrAway says that the database of the read models cannot be had, or was lost
// while it was read.
var ErrAway = domain.Refusal(domain.Unavailable, "projection.unavailable", "the database of the read models cannot be reached")

// errBehind says that a view saw a checkpoint before the demanded position.
var errBehind = errors.New("behind the demanded position")

// View runs read with the rows of the named models as they were at one
// moment, and returns the position that they reflect: the smallest of the
// models' checkpoints at that moment. The models' tables are on the search
// path, by their bare names. read may run queries until it returns; its error
// is returned as it is, unless the database went away: that is [ErrAway], which
// wraps the cause. When the caller's own time has ended, the error is that of
// ctx.
//
// least is the position that the rows must reflect at least; 0 demands nothing.
// View waits for it, for Config.Patience, and then returns [ErrNotYet]; beyond
// the head of the log it is [ErrPositionUnknown] at once. Tables of another epoch
// of the store are not read: that is [ErrRebuild].
//
// Views never step back: a swap waits for the views that have begun, and those
// that begin later see the new tables.
func (e *Engine) View(ctx context.Context, least domain.Position, models []string, read func(Reader) error) (domain.Position, error) {
	v, err := e.newView(models)
	if err != nil {
		return 0, err
	}
	changed := e.news.wait()
	at, err := v.once(ctx, e, least, read)
	if !errors.Is(err, errBehind) {
		return at, err
	}
	head, err := e.config.Log.Head(ctx)
	if err != nil {
		return 0, err
	}
	if least > head {
		return 0, ErrPositionUnknown
	}
	return v.wait(ctx, e, least, read, changed)
}

// view is what the views of one set of models send.
type view struct {
	path    string // to search
	lock    string // of the tables
	schemas []string
	epoch   string
	session string // the path to search for the tables of every model

	wordings *wordings

	before, between, after string // what stands around a query that is the whole view
}

func (e *Engine) newView(models []string) (view, error) {
	v := view{epoch: e.config.Epoch}
	var tables []string
	for _, name := range models {
		m, err := e.model(name)
		if err != nil {
			return v, err
		}
		v.schemas = append(v.schemas, m.Schema())
		for _, t := range m.Tables {
			tables = append(tables, `"`+m.Schema()+`"."`+t.tableName()+`"`)
		}
	}
	v.path = searchPath(v.schemas)
	v.session, v.wordings = e.session, &e.wordings
	v.before, v.between, v.after = v.around()
	v.lock = "lock table " + strings.Join(tables, ", ") + " in access share mode"
	return v, nil
}

func searchPath(schemas []string) string {
	return `"` + strings.Join(schemas, `", "`) + `", public`
}

// wait tries again whenever a checkpoint has moved in this process, and every
// so often for those that move in others.
func (v view) wait(
	ctx context.Context, e *Engine, least domain.Position, read func(Reader) error, changed <-chan struct{},
) (domain.Position, error) {
	const poll = 20 * time.Millisecond
	patience := time.NewTimer(e.config.Patience)
	defer patience.Stop()
	ticks := time.NewTicker(poll)
	defer ticks.Stop()
	for {
		select {
		case <-changed:
		case <-ticks.C:
		case <-patience.C:
			return 0, ErrNotYet
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		changed = e.news.wait()
		if at, err := v.once(ctx, e, least, read); !errors.Is(err, errBehind) {
			return at, err
		}
	}
}

// once reads in one snapshot. The tables are locked against a swap before the
// snapshot is taken, by the first select: were it the other way round, a swap
// in between would give tables that the snapshot sees only half of. What is too
// old is not read: the first query fails with errBehind.
func (v view) once(ctx context.Context, e *Engine, least domain.Position, read func(Reader) error) (domain.Position, error) {
	conn, err := e.config.Pool.Acquire(ctx)
	if err != nil {
		return 0, away(err, !errors.Is(ctx.Err(), context.Canceled))
	}
	defer conn.Release()
	r := &reading{view: v, conn: conn.Conn(), least: least}
	err = read(r)
	if ended := r.end(ctx); err == nil {
		err = ended
	}
	return r.at, away(err, ctx.Err() == nil && lost(err))
}

// away makes err [ErrAway] when that is what it means.
func away(err error, it bool) error {
	if !it {
		return err
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}

// lost reports whether an error says that the connection is gone, or that the
// server takes none: it shuts down, starts, or has too many.
func lost(err error) bool {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(refused.Code, "08") || slices.Contains([]string{"57P01", "57P02", "57P03", "53300"}, refused.Code)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
