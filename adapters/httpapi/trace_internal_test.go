package httpapi

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoTracesCostNothing is not parallel: it counts.
func TestNoTracesCostNothing(t *testing.T) { //nolint:paralleltest // see above
	a, r, x := &api{}, httptest.NewRequest("POST", "/v1/appointments", nil), &exchange{method: "POST"}
	ctx := r.Context()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		_, span := a.traced(ctx, r)
		_ = span.SpanContext().HasTraceID()
		x.show(span)
	}))
}
