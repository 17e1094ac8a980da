package commands

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEachTryIsASpanOfItsOwn(t *testing.T) {
	t.Parallel()
	type key struct{}
	var begun, within []any
	var ended []error
	h := New(Config{Span: func(ctx context.Context, name string) (context.Context, func(error)) {
		begun = append(begun, name)
		return context.WithValue(ctx, key{}, len(begun)), func(err error) { ended = append(ended, err) }
	}})
	_, err := again(t.Context(), h, func(ctx context.Context) (int, error) {
		within = append(within, ctx.Value(key{}))
		if len(within) < 3 {
			return 0, ErrWrongRevision
		}
		return 1, nil
	})
	require.NoError(t, err)
	require.Equal(t, []any{"decide", "decide", "decide"}, begun)
	require.Equal(t, []any{1, 2, 3}, within)
	require.Equal(t, []error{ErrWrongRevision, ErrWrongRevision, nil}, ended)
}

// TestNoTracesCostNothing is not parallel: it counts.
func TestNoTracesCostNothing(t *testing.T) { //nolint:paralleltest // see above
	h, ctx, refused := New(Config{}), t.Context(), errors.New("refused")
	try := func(context.Context) (int, error) { return 0, refused }
	require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = once(ctx, h, try) }))
}
