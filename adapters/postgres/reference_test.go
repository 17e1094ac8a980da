package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/adapters/referencedata"
	"github.com/slotbook/slotbook/domain/reference"
)

func codes(entries []reference.Entry) (all []string) {
	for _, e := range entries {
		all = append(all, e.Code)
	}
	return all
}

func TestReferenceDataIsLoadedAndListed(t *testing.T) {
	t.Parallel()
	r := postgres.NewReference(openPool(t, postgrestest.Database(t)))
	builtin, err := referencedata.Builtin()
	require.NoError(t, err)
	require.NoError(t, r.Begin(t.Context(), builtin))
	again, err := r.Load(t.Context(), builtin)
	require.NoError(t, err)
	require.Equal(t, reference.Changes{Unchanged: len(builtin)}, again, "what is read back is what was loaded; twice is once")

	read, err := referencedata.Read(referencedata.File{Name: "b.csv", Data: []byte("kind,code,en,pt\nspecialty,cardiology,Heart medicine,\nspecialty,zoology,Zoology,Artes\n")})
	require.NoError(t, err)
	changes, err := r.Load(t.Context(), read)
	require.NoError(t, err)
	require.Equal(t, []string{"zoology"}, codes(changes.Added))
	require.Equal(t, []string{"cardiology"}, codes(changes.Changed))
	require.Contains(t, codes(changes.Withdrawn), "dermatology")
	require.NoError(t, r.Begin(t.Context(), builtin), "what is there is left alone")

	listed := func(f reference.Filter) []string {
		entries, _, err := r.List(t.Context(), f)
		require.NoError(t, err)
		return codes(entries)
	}
	require.Equal(t, []string{"cardiology", "zoology"}, listed(reference.Filter{Kind: reference.Specialty}))
	require.Equal(t, []string{"zoology", "cardiology"}, listed(reference.Filter{Kind: reference.Specialty, Language: "pt"}), "by the names in that language")
	require.Equal(t, []string{"dermatology"}, listed(reference.Filter{Kind: reference.Specialty, Query: "ДЕРМАТОЛОГ", Withdrawn: true}))
	require.Equal(t, []string{"kr-seoul"}, listed(reference.Filter{Kind: reference.Town, Query: "서울", Country: "KR"}))
	require.Empty(t, listed(reference.Filter{Kind: reference.Town, Query: "%", Country: "KR"}), "no letter is special")

	page, more, err := r.List(t.Context(), reference.Filter{Kind: reference.Specialty, Language: "pt", Limit: 1})
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, []string{"cardiology"}, listed(reference.Filter{
		Kind: reference.Specialty, Language: "pt", After: reference.Cursor{Name: page[0].Name("pt"), Code: page[0].Code},
	}))
	districts, err := r.Districts(t.Context(), []string{"pt-porto", "nowhere"})
	require.NoError(t, err)
	require.Equal(t, []string{"pt-porto-bonfim", "pt-porto-paranhos", "pt-porto-ramalde"}, codes(districts))
	found, err := r.Entries(t.Context(), reference.Specialty, "dermatology", "zoology", "nothing")
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.True(t, found["dermatology"].Withdrawn)
}
