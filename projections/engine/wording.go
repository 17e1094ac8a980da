package engine

import (
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
)

// option is an argument of a query that says how it is run.
type option int

// PlanOnce lets PostgreSQL plan the last query of a view once for all that may be
// asked, by indexes, and keep the plan. It stands before the arguments. Left to
// itself PostgreSQL plans anew when it hopes for a cheaper plan from what is asked,
// which takes several times as long as to find a few rows: this is for a query
// whose index is the right one whatever is asked.
const PlanOnce = option(1)

// plannedOnce returns the arguments without the option, and whether it was there.
func plannedOnce(args []any) ([]any, bool) {
	if len(args) > 0 && args[0] == PlanOnce {
		return args[1:], true
	}
	return args, false
}

// wordings keeps how queries with named arguments read with numbered ones: pgx
// finds that out by reading the whole text, each time. The zero value knows
// none. It is safe for concurrent use.
type wordings struct {
	mu    sync.RWMutex
	known map[string]wording
}

type wording struct {
	sql   string
	names []string // of the arguments, in their order
}

// numbered returns the query and its arguments with numbers for names, when it
// has named ones; else as they are.
func (w *wordings) numbered(ctx context.Context, sql string, args []any) (string, []any, error) {
	args, _ = plannedOnce(args)
	if len(args) != 1 {
		return sql, args, nil
	}
	named, ok := args[0].(pgx.NamedArgs)
	if !ok {
		return sql, args, nil
	}
	w.mu.RLock()
	worded, ok := w.known[sql]
	w.mu.RUnlock()
	if !ok {
		var err error
		if worded, ok, err = w.learn(ctx, sql, named); err != nil || !ok {
			return sql, args, err
		}
	}
	values := make([]any, len(worded.names))
	for i, name := range worded.names {
		values[i] = named[name]
	}
	return worded.sql, values, nil
}

// learn finds the wording of a query; false = some argument is missing, which
// might be there next time.
func (w *wordings) learn(ctx context.Context, sql string, named pgx.NamedArgs) (wording, bool, error) {
	names := pgx.NamedArgs{}
	for name := range named {
		names[name] = name
	}
	text, inOrder, err := names.RewriteQuery(ctx, nil, sql, nil)
	if err != nil || slices.Contains(inOrder, any(nil)) {
		return wording{}, false, err
	}
	worded := wording{sql: text, names: make([]string, len(inOrder))}
	for i, name := range inOrder {
		worded.names[i], _ = name.(string)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	const enough = 2000 // queries are few; should somebody make them up, all are learnt anew
	if w.known == nil || len(w.known) >= enough {
		w.known = map[string]wording{}
	}
	w.known[sql] = worded
	return worded, true, nil
}
