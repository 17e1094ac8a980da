package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// from returns rows of consecutive positions.
func from(position int64, n, size int) []row {
	rows := make([]row, n)
	for i := range rows {
		rows[i] = row{position: position + int64(i), data: make([]byte, size)}
	}
	return rows
}

func TestWhatIsKeptHasNoGaps(t *testing.T) {
	t.Parallel()
	var r recent
	require.Empty(t, r.after(0))
	r.add(nil)
	r.add(from(5, 2, 1))
	r.add(from(7, 1, 1))
	require.Empty(t, r.after(3), "the event at 4 is not kept")
	require.Len(t, r.after(4), 3)
	require.Equal(t, int64(7), r.after(6)[0].position)
	require.Empty(t, r.after(7))
	r.add(from(9, 1, 1))
	require.Empty(t, r.after(6), "somebody else has 8")
	require.Len(t, r.after(8), 1)
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	var many, large recent
	for n := range 40 {
		many.add(from(int64(n)*1000+1, 1000, 1))
		large.add(from(int64(n)+1, 1, 1<<20))
		require.LessOrEqual(t, len(many.rows), maxRecent)
		require.LessOrEqual(t, large.bytes, maxRecentBytes)
		require.Equal(t, bytesOf(large.rows), large.bytes)
	}
	require.Len(t, many.after(39_000), 1000)
	require.Len(t, large.after(39), 1)
	require.Equal(t, int64(40), large.after(39)[0].position)
	require.Empty(t, large.after(1))
}
