package engine_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/projections/engine"
)

// newer is a log in which a newer program has written one event.
type newer struct {
	engine.Log
	at  domain.Position
	met atomic.Int64 // how often a reader has met it
}

func (n *newer) ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error) {
	page, err := n.Log.ReadAll(ctx, after, f, limit)
	for i, r := range page.Events {
		if r.Position == n.at {
			n.met.Add(1)
			return domain.Page{Events: page.Events[:i], Next: n.at - 1}, commands.ErrUpgradeRunning
		}
	}
	return page, err
}

// staff counts the practitioners.
func staff(name string, types ...string) engine.Model {
	type row struct {
		Key   string `db:"key"`
		Count int    `db:"count"`
	}
	return engine.Model{
		Name: name, Version: 1, Interest: domain.Filter{Categories: []string{practitioner.Category}, Types: types},
		Tables: []engine.Table{engine.NewTable(name, "create table "+name+" (key text primary key, count bigint not null)",
			func(r domain.Recorded) []string { return []string{"all"} },
			func(s row, exists bool, r domain.Recorded) (row, bool) {
				if _, ok := r.Event.(practitioner.Registered); !ok {
					return s, exists
				}
				s.Count++
				return s, true
			})},
	}
}

// lines counts log records by their message.
type lines struct {
	slog.Handler
	stopped atomic.Int64
}

func (*lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler     { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "read model stopped: a newer version of the program is running" {
		l.stopped.Add(1)
	}
	return nil
}

func TestAnEventOfANewerProgramStopsOnlyTheModelsThatWantIt(t *testing.T) {
	w := newWorld(t, book(1, "pat"), boring(1), boring(2), book(2, "pat"))
	log, logged := &newer{Log: w.log, at: 3}, &lines{}
	c := w.config("old")
	c.Log, c.Logger, c.Lease = log, slog.New(logged), 50*time.Millisecond
	c.Models = []engine.Model{ledger(1), staff("staff"), staff("rota", "practitioner.left")}
	old := w.engine(c)
	w.running(old)
	ofStaff := func(e *engine.Engine) engine.Status {
		statuses, err := e.Status(t.Context())
		require.NoError(t, err)
		return statuses[1]
	}

	var n int
	_, err := old.View(t.Context(), w.head(), []string{"ledger", "rota"}, claims(t.Context(), &n))
	require.NoError(t, err, "the models that do not want it go on")
	require.Equal(t, 2, n)
	w.append(book(3, "pat"))
	_, err = old.View(t.Context(), w.head(), []string{"ledger", "rota"}, claims(t.Context(), &n))
	require.NoError(t, err)
	require.NoError(t, old.Rebuild(t.Context(), engine.Build{}, "rota"))

	looks := log.met.Load()
	require.Eventually(t, func() bool { return log.met.Load() > looks+6 }, 20*time.Second, time.Millisecond, "it looks again")
	require.EqualValues(t, 1, logged.stopped.Load(), "and says so once")
	require.Eventually(t, func() bool { return ofStaff(old).Owner == "" }, 20*time.Second, time.Millisecond, "nobody holds the model")
	s := ofStaff(old)
	require.EqualValues(t, 2, s.Position, "what lies before the event is folded")
	require.Equal(t, 1, w.number("select count from staff_v1.staff"))
	require.Contains(t, s.Stopped, "upgrade.running")

	c.Owner, c.Log, c.Lease = "new", w.log, time.Minute
	c.Models = c.Models[1:2]
	newest := w.engine(c)
	require.NoError(t, newest.CatchUp(t.Context()), "the newer program takes over")
	require.Eventually(t, func() bool { s = ofStaff(old); return s.Stopped == "" }, 20*time.Second, time.Millisecond)
	require.Equal(t, "new", s.Owner)
	require.Zero(t, s.Behind)
}
