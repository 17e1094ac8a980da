package postgres_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
)

func TestPicturesAreStoredOnceAndAsTheyAre(t *testing.T) {
	t.Parallel()
	pool := openPool(t, postgrestest.Database(t))
	pictures := postgres.NewPictures(pool)
	one := []byte("picture")
	require.Error(t, pictures.Put(t.Context(), strings.Repeat("0", 64), one), "it is not what its name says")
	sum := sha256.Sum256(one)
	id := hex.EncodeToString(sum[:])
	require.NoError(t, pictures.Put(t.Context(), id, one))
	require.NoError(t, pictures.Put(t.Context(), id, one), "twice is once")

	stored, err := pictures.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, one, stored)
	stored, err = pictures.Get(t.Context(), "nothing")
	require.NoError(t, err)
	require.Nil(t, stored)

	pool.Close()
	_, err = pictures.Get(t.Context(), id)
	require.ErrorIs(t, err, commands.ErrUnavailable)
	require.ErrorIs(t, pictures.Put(t.Context(), id, one), commands.ErrUnavailable)
}
