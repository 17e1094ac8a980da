package httpapi_test

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// document is the committed OpenAPI document, read by other libraries than the
// one that made it.
type document struct {
	routers.Router

	mu       sync.Mutex
	compiler *jsonschema.Compiler // it remembers what it has compiled
}

// contract reads the document once.
var contract = sync.OnceValues(func() (*document, error) {
	const file = "openapi.json"
	read, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		return nil, err
	}
	if err := read.Validate(context.Background()); err != nil {
		return nil, err
	}
	d := &document{compiler: jsonschema.NewCompiler()}
	d.compiler.AssertFormat()
	d.Router, err = gorillamux.NewRouter(read)
	return d, err
})

// check compares a request, when it was accepted, and its answer with the
// document. What the document does not know may be anything but a failure.
func (d *document) check(t testing.TB, request func() *http.Request, answer *httptest.ResponseRecorder) {
	t.Helper()
	asked := request()
	route, params, err := d.FindRoute(asked)
	if err != nil {
		require.NotEqual(t, http.StatusInternalServerError, answer.Code)
		return
	}
	kind, _, _ := mime.ParseMediaType(answer.Header().Get("Content-Type"))
	isJSON := (kind == "application/json" || kind == "application/problem+json") && answer.Body.Len() > 0
	input := &openapi3filter.RequestValidationInput{
		Request: asked, Route: route, PathParams: params,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: isJSON},
	}
	place := []string{"paths", route.Path, strings.ToLower(route.Method)}
	if answer.Code < 300 || answer.Code == http.StatusConflict {
		if body, _ := io.ReadAll(request().Body); len(body) > 0 && asked.Header.Get("Content-Type") == "application/json" {
			input.Options.ExcludeRequestBody = true
			d.holds(t, body, append(place, "requestBody", "content", "application/json", "schema")...)
		}
		require.NoError(t, openapi3filter.ValidateRequest(t.Context(), input), "%s %s", asked.Method, asked.URL)
	}
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: answer.Code, Header: answer.Header(), Options: input.Options,
		Body: io.NopCloser(bytes.NewReader(answer.Body.Bytes())),
	}), "%s %s: %s", asked.Method, asked.URL, answer.Body)
	if isJSON {
		d.holds(t, answer.Body.Bytes(), append(place, "responses", strconv.Itoa(answer.Code), "content", kind, "schema")...)
	}
}

// holds checks that a body is as the schema says that stands at a place of the
// document.
func (d *document) holds(t testing.TB, body []byte, place ...string) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	require.NoError(t, err)
	schema, err := d.schema(place...)
	require.NoError(t, err)
	require.NoError(t, schema.Validate(value), "%s: %s", place, body)
}

// schema returns the schema that stands at a place of the document. The library
// that checks the rest would compile it anew for every answer.
func (d *document) schema(place ...string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	pointer := "openapi.json#"
	for _, name := range place {
		pointer += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	return d.compiler.Compile(pointer)
}

func TestAnAnswerThatIsNotAsTheDocumentSaysIsFound(t *testing.T) {
	t.Parallel()
	d, err := contract()
	require.NoError(t, err)
	appointment, err := d.schema("paths", "/v1/appointments/{id}", "get", "responses", "200", "content", "application/json", "schema")
	require.NoError(t, err)
	require.Error(t, appointment.Validate(map[string]any{}))
	_, err = d.schema("paths", "/v1/appointments/{id}", "get", "responses", "299", "content", "application/json", "schema")
	require.Error(t, err)
}
