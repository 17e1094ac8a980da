package httpapi_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
)

func TestASeriesUnderWayHasNoVisitsYet(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.seriesUnderWay()
	answer := s.call(t, http.MethodGet, "/v1/series/s", "")
	require.Equal(t, http.StatusOK, answer.Code)
	var shown httpapi.Series
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &shown))
	require.Equal(t, "proposed", shown.Status)
	require.Empty(t, shown.Visits)
}
