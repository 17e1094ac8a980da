package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/unicode/norm"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain/practitioner"
)

// maxBody is the most bytes that a body may have.
const maxBody = 1 << 20

// recovered turns a panic into a 500 and the request's log line.
func (a *api) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // the very value means: say nothing
				panic(v)
			}
			x := exchangeOf(r.Context())
			x.cause = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			if !x.answered {
				a.write(w, r, internal.problem(""))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// headAsGet lets HEAD have what GET has; the server leaves the body out.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			r = r.WithContext(r.Context())
			r.Method = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

// checkHead refuses text in the address that nothing can store or find, and
// parameters and headers that are given twice. What the parameters say passes on
// in Unicode NFC, as what bodies say does.
func (a *api) checkHead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := twice(r.Header); p != nil {
			a.write(w, r, p)
			return
		}
		query, p := a.queryOf(r.URL)
		if p != nil {
			a.write(w, r, p)
			return
		}
		if compose(query) {
			r = r.Clone(r.Context())
			r.URL.RawQuery = query.Encode()
		}
		next.ServeHTTP(w, r)
	})
}

// twice refuses a header that names a request, or what it expects, more than
// once: a proxy may pass on one of them, or another.
func twice(h http.Header) *Problem {
	for _, name := range []string{"Idempotency-Key", "If-Match"} {
		if len(h.Values(name)) > 1 {
			return moreThanOnce("header." + name)
		}
	}
	return nil
}

func moreThanOnce(where string) *Problem {
	p := invalid.problem("")
	p.Errors = []Fault{{where, "given more than once"}}
	return p
}

// compose makes the values of a query NFC, and reports whether they were not.
func compose(query url.Values) bool {
	changed := false
	for name, values := range query {
		for i, v := range values {
			if !norm.NFC.IsNormalString(v) {
				query[name][i], changed = norm.NFC.String(v), true
			}
		}
	}
	return changed
}

// queryOf returns the parameters of an address, or what is wrong with it.
func (a *api) queryOf(u *url.URL) (url.Values, *Problem) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, malformed.problem("the query of the address cannot be read")
	}
	if !storable(u.Path) {
		return nil, unstorable()
	}
	for name, values := range query {
		if !storable(name) || !storable(strings.Join(values, "")) {
			return nil, unstorable()
		}
		if len(values) > 1 && !a.several[u.Path+"?"+name] {
			return nil, moreThanOnce("query." + name)
		}
	}
	return query, nil
}

func unstorable() *Problem { return ruleOf(commands.ErrUnstorable).problem("") }

// severalTimes returns the parameters that may be given several times, by the
// address of their route: "/v1/slots?specialty". Those addresses hold no ids.
func severalTimes(document *huma.OpenAPI) map[string]bool {
	several := map[string]bool{}
	for path, item := range document.Paths {
		if item.Get == nil {
			continue
		}
		for _, p := range item.Get.Parameters {
			if p.In == "query" && p.Explode != nil && *p.Explode {
				several[path+"?"+p.Name] = true
			}
		}
	}
	return several
}

func storable(text string) bool { return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 }

// methodNotAllowed answers which methods the address takes.
func (a *api) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if match(a.router, probe) {
			allowed = append(allowed, method)
		}
	}
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	a.write(w, r, wrongMethod.problem(""))
}

// readBody reads the body of a request that changes something, checks that it
// is JSON that every store takes, and keeps its bytes. Its text passes on in
// Unicode NFC: the same name is then the same text, however it was typed.
func (a *api) readBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		x := exchangeOf(r.Context())
		most, upload := int64(maxBody), a.uploads[x.method+" "+x.route]
		if upload {
			most = practitioner.MaxPicture
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
		if err == nil && !upload {
			err = checkBody(r.Header.Get("Content-Type"), body)
		}
		if err != nil {
			a.write(w, r, bodyProblem(err))
			return
		}
		if x.body = body; upload {
			body = nil // it is no JSON
		}
		r.Body = io.NopCloser(bytes.NewReader(composed(body)))
		next.ServeHTTP(w, r)
	})
}

// composed returns a body that has been checked with its texts, not the names
// of its fields, in NFC. It works on values: in the bytes, a mark may follow an
// escape.
func composed(body []byte) []byte {
	if !bytes.ContainsFunc(body, func(r rune) bool { return r >= utf8.RuneSelf || r == '\\' }) {
		return body
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return body // huma says what is wrong with it
	}
	changed, err := json.Marshal(composedValue(value))
	if err != nil {
		return body
	}
	return changed
}

func composedValue(v any) any {
	switch v := v.(type) {
	case string:
		return norm.NFC.String(v)
	case []any:
		return mapped(v, composedValue)
	case map[string]any:
		for name, inner := range v {
			v[name] = composedValue(inner)
		}
	}
	return v
}

func bodyProblem(err error) *Problem {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge.problem("")
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return malformed.problem("the body could not be read to its end")
}

func checkBody(contentType string, body []byte) error {
	if len(body) == 0 {
		return nil // huma says whether a body is needed
	}
	t, parameters, err := mime.ParseMediaType(contentType)
	charset, given := parameters["charset"]
	if err != nil || t != "application/json" || given && !strings.EqualFold(charset, "utf-8") {
		return mediaType.problem("")
	}
	if !utf8.Valid(body) {
		return malformed.problem("the body is not UTF-8")
	}
	return checkJSON(body)
}

// checkJSON refuses what encoding/json lets pass: a second value after the
// first, a name that appears twice in one object, and U+0000 in text. Nearly
// every body is seen to be well at a glance; of the others it finds out why.
func checkJSON(body []byte) error {
	brackets := bytes.Count(body, []byte("{")) + bytes.Count(body, []byte("["))
	if brackets <= maxNesting && !bytes.Contains(body, []byte(`\u0000`)) && jsontext.Value(body).IsValid() {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := checkValue(decoder, 0); err != nil {
		if p, ok := errors.AsType[*Problem](err); ok {
			return p
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return malformed.problem("the JSON of the body ends too early")
		}
		return malformed.problem("the body is not JSON: " + strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return malformed.problem("the body goes on after its JSON value")
	}
	return nil
}

// maxNesting is how deep a body's values may lie in one another.
const maxNesting = 100

func checkValue(d *json.Decoder, depth int) error {
	if depth > maxNesting {
		return malformed.problem("the body's values lie in one another more than 100 deep")
	}
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch t := token.(type) {
	case json.Delim:
		return checkMembers(d, t == '{', depth)
	case string:
		if strings.IndexByte(t, 0) >= 0 {
			return unstorable()
		}
	}
	return nil
}

// checkMembers checks what lies inside an object or an array, and the bracket
// that ends it.
func checkMembers(d *json.Decoder, object bool, depth int) error {
	var seen map[string]bool
	if object {
		seen = map[string]bool{}
	}
	for d.More() {
		if object {
			if err := checkName(d, seen); err != nil {
				return err
			}
		}
		if err := checkValue(d, depth+1); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func checkName(d *json.Decoder, seen map[string]bool) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	name, _ := token.(string)
	if !storable(name) {
		return unstorable()
	}
	if seen[name] {
		return malformed.problem(fmt.Sprintf("the body names the field %q twice", name))
	}
	seen[name] = true
	return nil
}
