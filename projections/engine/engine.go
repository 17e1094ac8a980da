// Package engine fills the derived tables of read models from the log, and is
// the only code that writes them.
//
// A [Model] is a set of tables, each with a pure fold. Everything the engine
// does is one loop, from a position to a position in one schema:
//
//	read a page of the log -> load the touched rows -> fold in memory
//	  -> write the changed rows and move the checkpoint, in one transaction
//
//	Run, CatchUp   the loop over the live schema {model}_v{version}
//	Rebuild        the loop over {model}_v{version}_next, then a swap of names
//	Rollback       the loop over {model}_v{version}_prev, then a swap of names
//	Verify         the loop over {model}_v{version}_verify, then a comparison
//	Retry          the loop over {model}_v{version}_retry, then a copy of its rows
//	AsOf           the loop over {model}_v{version}_asof_{position}, and no more
//
// # Invariants
//
//   - Exactly once: rows and checkpoint move in one transaction, which is
//     refused unless the checkpoint is where the fold began and the epoch is
//     the one under which this process got hold of the model.
//   - Rows that were read or written under an epoch are as they were until the
//     epoch changes, so they are cached between transactions. Whoever finds
//     the epoch changed forgets its cache.
//   - Readers see rows and checkpoint of one moment, and a swap never takes
//     them back (see [Engine.View]).
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/domain"
)

// Log is the event store as projections read it.
type Log interface {
	// ReadAll returns up to limit events that the filter wants, after a
	// position and in commit order. A page that moves nothing is the head.
	ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error)
	// Head returns the position of the last event.
	Head(ctx context.Context) (domain.Position, error)
	// Wait returns when there may be an event after the position, or with the
	// error of ctx when it ends.
	Wait(ctx context.Context, after domain.Position) error
}

// Model is a read model. Its tables live in the schema {Name}_v{Version}; a
// change of any table or fold is a new version, built from zero.
type Model struct {
	// Name names the model: lower-case letters.
	Name string
	// Version is raised with every change of the tables or folds.
	Version int
	// Interest is what of the log can matter to the model; the zero value is
	// everything. Its tables' folds choose more finely.
	Interest domain.Filter
	// Before, when not nil, is called with the events of a page before they are
	// folded, to fetch together what the folds need besides. An error undoes the
	// page, which is tried again.
	Before func(ctx context.Context, events []domain.Recorded) error
	// Tables are the model's tables. Names are unique among all models that
	// are viewed together.
	Tables []Table
}

// Schema returns the name of the schema that holds the live tables.
func (m Model) Schema() string { return fmt.Sprintf("%s_v%d", m.Name, m.Version) }

// Config configures an engine.
type Config struct {
	// Pool connects to the database of the read models, migrated. Required.
	// Projectors borrow a connection for each batch and each view.
	Pool *pgxpool.Pool
	// Log is the event store. Required.
	Log Log
	// Models are the read models. Required; names are unique.
	Models []Model
	// Epoch names the history that the log holds: another one after a restore.
	// Tables that were built from another are refused until they are rebuilt.
	// Empty where the log knows no epochs.
	Epoch string
	// Owner names this process among those that share the database, uniquely,
	// also across restarts. Required.
	Owner string
	// Batch is how many events one transaction takes at most while a model is
	// behind. At the head a batch is what has arrived. 0 is 5000.
	Batch int
	// Lease is how long a model stays with a process that has died: another
	// takes over within this time and a fifth. 0 is 5 s.
	Lease time.Duration
	// CacheBytes is what the rows kept in memory may use, over all models.
	// 0 is 64 MiB.
	CacheBytes int64
	// Timeout is how long one exchange with the database or the log may take
	// before it counts as lost; a write may take twice as long. Once the engine
	// is told to stop, a write has a sixth of it left. 0 is 30 s.
	Timeout time.Duration
	// Patience is how long a view waits for the position that it demands, at
	// most 5 s. 0 is 1 s.
	Patience time.Duration
	// Reached, when not nil, is called at each step of a build beside the live
	// tables, before and after whatever can be interrupted. It is for tests of
	// crashes.
	Reached func(step string)
	// Took, when not nil, is told of every batch that a live model has taken in,
	// and must not wait. The log is then read with the metadata of its events,
	// which is more work. Nil tells nobody.
	Took func(Batch)
	// Waiting, when not nil, returns when the first event after a position was
	// recorded, for the lag in [Status]; the zero time when there is none. Nil
	// takes the lag from the last event that a model has seen.
	Waiting func(ctx context.Context, after domain.Position) (time.Time, error)
	// Now is the clock, for the lag in [Status]. Required.
	Now func() time.Time
	// Logger gets a line when a model is taken, lost or stopped. Nil logs nothing.
	Logger *slog.Logger
}

// Batch is what a live model has taken in, in one transaction.
type Batch struct {
	Model        string
	Began, Ended time.Time
	Events       int // all of them
	// Traced are those events of the batch that the model has an interest in and
	// whose metadata names a trace, in order.
	Traced []domain.Recorded
}

// Engine keeps read models. It is safe for concurrent use.
type Engine struct {
	config     Config
	memory     *memory
	pages      *pages
	projectors []*projector
	session    string // the path to search for the tables of every model
	wordings   wordings
	news       *news
	swapping   chan struct{} // held by the one swap that goes on
	turn       chan struct{} // held by the build that works, of those that work gently
	kept       atomic.Bool   // a process keeps the live models, as far as builds know
	builds     atomic.Int64  // beside the live tables, so far
	building   sync.Map      // the schemas of those that go on
}

// The refusals of a view.
var (
	ErrNotYet          = domain.Refusal(domain.Unavailable, "projection.behind", "the list has not caught up with the demanded position yet")
	ErrPositionUnknown = domain.Refusal(domain.Refused, "position.unknown", "the demanded position lies beyond the last event")
)

// New returns an engine that has done nothing yet. [Engine.Prepare] comes first.
func New(c Config) *Engine {
	if c.Batch == 0 {
		c.Batch = 5000
	}
	if c.Lease == 0 {
		c.Lease = 5 * time.Second
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 64 << 20
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Patience == 0 {
		c.Patience = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Reached == nil {
		c.Reached = func(string) {}
	}
	c.Patience = min(c.Patience, 5*time.Second)
	e := &Engine{config: c, memory: &memory{limit: c.CacheBytes}, news: newNews(), swapping: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	shared := interest(c.Models)
	shared.Bare = c.Took == nil
	e.pages = newPages(c.Batch, func(ctx context.Context, after domain.Position) (domain.Page, error) {
		return e.read(ctx, after, shared)
	})
	schemas := make([]string, len(c.Models))
	for i, m := range c.Models {
		schemas[i] = m.Schema()
		e.projectors = append(e.projectors, &projector{engine: e, builder: e.open(m, m.Schema()), turn: make(chan struct{}, 1)})
	}
	e.session = searchPath(schemas)
	return e
}

// interest returns a filter that wants what any of the models wants, in whole
// categories: a type that this program does not know must be met, not missed.
func interest(models []Model) domain.Filter {
	f := domain.Filter{Bare: true}
	for _, m := range models {
		if len(m.Interest.Categories) == 0 {
			return domain.Filter{Bare: true}
		}
		f.Categories = append(f.Categories, m.Interest.Categories...)
	}
	slices.Sort(f.Categories)
	f.Categories = slices.Compact(f.Categories)
	return f
}

// own returns a filter that wants what the model does, and nothing else: two
// programs with the same version of a model fold the same types of events.
func own(m Model) domain.Filter {
	return domain.Filter{Categories: m.Interest.Categories, Types: m.Interest.Types, Bare: true}
}

// read reads a page of the log. What lies before an error comes first; the
// error is met again behind it.
func (e *Engine) read(ctx context.Context, after domain.Position, f domain.Filter) (domain.Page, error) {
	ctx, cancel := context.WithTimeout(ctx, e.config.Timeout)
	defer cancel()
	page, err := e.config.Log.ReadAll(ctx, after, f, e.config.Batch)
	if err == nil || page.Next <= after {
		return page, err
	}
	whole := len(page.Events)
	for whole > 0 && page.Events[whole-1].Position > page.Next {
		whole--
	}
	return domain.Page{Events: page.Events[:whole], Next: page.Next}, nil
}

func (e *Engine) model(name string) (Model, error) {
	for _, m := range e.config.Models {
		if m.Name == name {
			return m, nil
		}
	}
	return Model{}, fmt.Errorf("there is no read model %q", name)
}
