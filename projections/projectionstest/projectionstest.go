// Package projectionstest states what read models answer as sentences: given
// these events, then this is the answer. It asks three ways, which must agree:
// after folding the events once; after folding them one by one, each handed
// out again and again and every row read from its table; and after a rebuild
// from zero.
//
// Each time every row is read back and compared with its fold, and the model
// is verified against a fresh fold. A package that uses it has
//
//	func TestMain(m *testing.M) { postgrestest.Main(m) }
package projectionstest

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/memory"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// Fact is an event and the stream that holds it.
type Fact struct {
	Stream domain.StreamName
	Event  domain.Event
	At     time.Time // when it is recorded; zero = [RecordedAt]
}

// Models makes the models under test; open opens what the log has sealed.
type Models func(open func(domain.Sealed) string) []engine.Model

// RecordedAt is when every fact is recorded that does not say when.
func RecordedAt() time.Time { return time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC) }

// Given starts a sentence with what has happened, in order.
func Given(models Models, facts ...Fact) Sentence { return Sentence{models, facts} }

// Sentence is what has happened, and who has to answer.
type Sentence struct {
	models Models
	facts  []Fact
}

// Then ends the sentence: the answer holds, whichever way the models came to
// be. The answer looks at the engine's views.
func (s Sentence) Then(answer func(t *testing.T, e *engine.Engine)) func(*testing.T) {
	return func(t *testing.T) {
		t.Parallel()
		codec := eventcodec.New(&eventcodec.MemoryKeys{})
		models := s.models(opener(codec))
		config := engine.Config{
			Pool: Pool(t, models...), Log: Log(t, codec, s.facts...), Models: models, Owner: "test", Now: RecordedAt,
		}
		once, told := caughtUp(t, config), s.told(models)
		t.Run("once", check(once, told, answer))
		if len(told) > 0 {
			require.NoError(t, once.Rebuild(t.Context(), engine.Build{}, told...))
		}
		t.Run("rebuilt", check(once, told, answer))
		config.Log, config.Batch, config.CacheBytes = again{config.Log}, 1, 1
		for i := range models {
			if slices.Contains(told, models[i].Name) {
				models[i].Version++ // beside the other
			}
		}
		t.Run("redelivered", check(caughtUp(t, config), told, answer))
	}
}

// told returns the names of the models that the facts concern: the others have
// nothing to show.
func (s Sentence) told(models []engine.Model) (names []string) {
	for _, m := range models {
		if slices.ContainsFunc(s.facts, func(f Fact) bool { return m.Interest.Wants(f.Stream, f.Event.EventType()) }) {
			names = append(names, m.Name)
		}
	}
	return names
}

func opener(codec *eventcodec.Codec) func(domain.Sealed) string {
	return func(sealed domain.Sealed) string {
		text, err := codec.Open(context.Background(), sealed)
		if err != nil {
			return ""
		}
		return text
	}
}

func caughtUp(t *testing.T, config engine.Config) *engine.Engine {
	t.Helper()
	e := engine.New(config)
	require.NoError(t, e.Prepare(t.Context()))
	require.NoError(t, e.CatchUp(t.Context()))
	return e
}

func check(e *engine.Engine, models []string, answer func(*testing.T, *engine.Engine)) func(*testing.T) {
	return func(t *testing.T) {
		require.NoError(t, e.CatchUp(t.Context()))
		answer(t, e)
		for _, m := range models {
			proven(t, e, m)
		}
	}
}

func proven(t *testing.T, e *engine.Engine, model string) {
	t.Helper()
	require.NoError(t, e.ReadBack(t.Context(), model), "the table gives back what was folded")
	report, err := e.Verify(t.Context(), engine.Build{}, model)
	require.NoError(t, err)
	require.Empty(t, report.Differs(), "a fresh fold makes the same tables")
	require.Empty(t, report.Parked)
}

// Pool returns connections to a fresh database that has the models' tables,
// empty.
func Pool(t testing.TB, models ...engine.Model) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), Database(t, models...))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// Database returns the URL of a fresh database that has the models' tables,
// empty. They are made once, and cloned: models of one name and version have the
// same tables throughout a test binary.
func Database(t testing.TB, models ...engine.Model) string {
	t.Helper()
	if len(models) == 0 {
		return postgrestest.Database(t)
	}
	var names []string
	for _, m := range models {
		names = append(names, m.Schema())
	}
	return postgrestest.Prepared(t, strings.Join(names, " "), func(ctx context.Context, url string) error {
		pool, err := pgxpool.New(ctx, url)
		if err != nil {
			return err
		}
		defer pool.Close()
		return engine.New(engine.Config{Pool: pool, Models: models, Owner: "test", Now: RecordedAt}).Prepare(ctx)
	})
}

// Log returns a store that holds the facts, one append each.
func Log(t testing.TB, codec *eventcodec.Codec, facts ...Fact) *memory.Store {
	t.Helper()
	now := RecordedAt()
	store := memory.New(memory.Config{Codec: codec, Now: func() time.Time { return now }})
	for _, f := range facts {
		now = RecordedAt()
		if !f.At.IsZero() {
			now = f.At
		}
		Append(t, store, f)
	}
	return store
}

// Append adds facts to a store, one append each.
func Append(t testing.TB, store commands.Store, facts ...Fact) {
	t.Helper()
	for _, f := range facts {
		id := domain.NewID(t.Name(), strconv.Itoa(int(time.Now().UnixNano())), string(f.Stream), f.Event.EventType())
		_, err := store.Append(t.Context(), commands.Write{
			Stream: f.Stream, Expected: domain.Any, Events: []commands.NewEvent{{ID: id, Event: f.Event}},
		})
		require.NoError(t, err)
	}
}

// again is a log that hands out with every page what came before it.
type again struct{ engine.Log }

// ReadAll returns the page with everything before it.
func (a again) ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error) {
	before, err := a.Log.ReadAll(ctx, 0, f, int(after)) //nolint:gosec // small
	if err != nil {
		return domain.Page{}, err
	}
	early := func(r domain.Recorded) bool { return r.Position > after } // the filter has left out some before
	before.Events = slices.DeleteFunc(before.Events, early)
	page, err := a.Log.ReadAll(ctx, after, f, limit)
	page.Events = append(before.Events, page.Events...)
	return page, err
}
