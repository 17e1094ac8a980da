package projections

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/projections/engine"
)

// Named is a name of a specialty or a qualification, in any language.
type Named struct {
	Kind string // "specialty" or "qualification"
	Code string
	Name string
}

// Names are the names of the reference data, and what words were found to mean by
// them: they change seldom, and people ask for the same words again and again.
// They may be used by several goroutines.
type Names struct {
	kinds, codes, names []string

	mu    sync.Mutex
	known map[string]codes // by word
}

// codes are the codes that a word may mean, by their kind. They are only read.
type codes map[string][]string

// mostKnown is how many words are remembered.
const mostKnown = 10_000

// NewNames returns names that no word was looked up in yet.
func NewNames(all []Named) *Names {
	n := &Names{known: map[string]codes{}}
	for _, one := range all {
		n.kinds, n.codes, n.names = append(n.kinds, one.Kind), append(n.codes, one.Code), append(n.names, searchable(one.Name))
	}
	return n
}

// codedQuery finds the codes whose names hold a word, for each word and kind.
const codedQuery = `
select w.n::int, t.kind, array_agg(distinct t.code)
from unnest(@words::text[], @likes::text[], @mistyped::boolean[]) with ordinality as w(word, pattern, mistyped, n)
join unnest(@kinds::text[], @codes::text[], @names::text[]) as t(kind, code, name)
	on t.name like w.pattern or w.mistyped and t.name %> w.word
group by w.n, t.kind`

// meant returns what the words may mean, in their order. No names mean nothing.
func (n *Names) meant(ctx context.Context, r engine.Reader, words []string) ([]codes, error) {
	if n == nil {
		return make([]codes, len(words)), nil
	}
	meant, unknown := n.remembered(words)
	if len(unknown) == 0 {
		return meant, nil
	}
	found := make([]codes, len(unknown))
	likes, mistyped := make([]string, len(unknown)), make([]bool, len(unknown))
	for i, w := range unknown {
		found[i], likes[i], mistyped[i] = codes{}, wordPattern(w), mayBeMistyped(w)
	}
	rows, err := r.Query(ctx, codedQuery, pgx.NamedArgs{
		"words": unknown, "likes": likes, "mistyped": mistyped, "kinds": n.kinds, "codes": n.codes, "names": n.names,
	})
	if err != nil {
		return nil, err
	}
	var at int
	var kind string
	var of []string
	_, err = pgx.ForEachRow(rows, []any{&at, &kind, &of}, func() error {
		found[at-1][kind] = of
		return nil
	})
	if err != nil {
		return nil, err
	}
	n.remember(unknown, found)
	for i, m := range meant {
		if m == nil {
			meant[i], found = found[0], found[1:]
		}
	}
	return meant, nil
}

// remembered returns what is known of the words, and those of which nothing is.
func (n *Names) remembered(words []string) (meant []codes, unknown []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	meant = make([]codes, len(words))
	for i, w := range words {
		if meant[i] = n.known[w]; meant[i] == nil {
			unknown = append(unknown, w)
		}
	}
	return meant, unknown
}

func (n *Names) remember(words []string, found []codes) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.known) >= mostKnown {
		clear(n.known)
	}
	for i, w := range words {
		n.known[w] = found[i]
	}
}
