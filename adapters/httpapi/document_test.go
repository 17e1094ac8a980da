package httpapi_test

import (
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocument holds the committed OpenAPI document to the code: run
// go test ./adapters/httpapi -update after a change, and read the difference.
func TestDocument(t *testing.T) {
	t.Parallel()
	document := newWorld(t).call(t, http.MethodGet, "/openapi.json", "").Body.Bytes()
	if *update {
		require.NoError(t, os.WriteFile("openapi.json", document, 0o600))
	}
	committed, err := os.ReadFile("openapi.json")
	require.NoError(t, err)
	require.Equal(t, string(committed), string(document))
}
