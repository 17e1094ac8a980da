package postgres_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
)

func TestKeysThatWereFetchedTogetherNeedNoMoreQueries(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	made, err := postgres.NewKeys(openPool(t, url), master())
	require.NoError(t, err)
	persons := make([]string, 20)
	for i := range persons {
		persons[i] = fmt.Sprint("p", i)
		_, err := made.Key(t.Context(), persons[i], true)
		require.NoError(t, err)
	}
	require.NoError(t, made.Destroy(t.Context(), "p7"))

	pool := openPool(t, url)
	keys, err := postgres.NewKeys(pool, master())
	require.NoError(t, err)
	require.NoError(t, keys.Fetch(t.Context(), append(persons, "nobody")))
	_, err = keys.Key(t.Context(), "p7", false)
	require.ErrorIs(t, err, eventcodec.ErrNoKey, "it is destroyed")
	pool.Close()
	for i, person := range persons {
		if i == 7 {
			continue
		}
		want, err := made.Key(t.Context(), person, false)
		require.NoError(t, err)
		got, err := keys.Key(t.Context(), person, false)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.NoError(t, keys.Fetch(t.Context(), persons[:3]), "they are known")
	require.ErrorIs(t, keys.Fetch(t.Context(), []string{"another"}), commands.ErrUnavailable)
}

func TestKeysThatAreFetchedTogetherStayTogether(t *testing.T) {
	t.Parallel()
	pool := openPool(t, postgrestest.Database(t))
	keys, err := postgres.NewKeys(pool, master())
	require.NoError(t, err)
	persons := make([]string, 16)
	for i := range persons {
		persons[i] = fmt.Sprint("p", i)
		_, err := keys.Key(t.Context(), persons[i], true)
		require.NoError(t, err)
	}
	keys, err = postgres.NewKeys(pool, master())
	require.NoError(t, err)
	keys.CacheOnly(10)
	require.NoError(t, keys.Fetch(t.Context(), persons[:8]))
	require.NoError(t, keys.Fetch(t.Context(), persons[8:]), "the cache is full on the way")
	pool.Close()
	for _, person := range persons[8:] {
		_, err := keys.Key(t.Context(), person, false)
		require.NoError(t, err, person)
	}
}
