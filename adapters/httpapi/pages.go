package httpapi

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/slotbook/slotbook/domain"
)

//go:embed pages.html
var pagesHTML string

// pages adds what is not part of the API: documents about it, and what
// operators look at.
func (a *api) pages() error {
	pages, err := template.New("pages").Parse(pagesHTML)
	if err != nil {
		return err
	}
	for _, r := range edgeRules() {
		a.rules[r.Rule] = r
	}
	get := func(path string, h http.HandlerFunc) { a.router.Path(path).Methods(http.MethodGet).HandlerFunc(h) }
	get("/openapi.json", a.made("application/json", a.document))
	get("/", http.RedirectHandler("/docs", http.StatusFound).ServeHTTP)
	get("/docs", a.made("text/html; charset=utf-8", func() ([]byte, error) { return render(pages, "docs", docsOf(a.huma.OpenAPI())) }))
	get("/problems", a.problemsPage(pages))
	get("/problems/{rule}", a.problemPage(pages))
	get("/livez", static("application/json", []byte("{\"status\":\"ok\"}\n")))
	get("/readyz", a.readyz)
	a.router.Path("/metrics").Methods(http.MethodGet).Handler(promhttp.HandlerFor(a.Metrics, promhttp.HandlerOpts{}))
	return nil
}

func render(pages *template.Template, name string, data any) ([]byte, error) {
	var page bytes.Buffer
	err := pages.ExecuteTemplate(&page, name, data)
	return page.Bytes(), err
}

func static(contentType string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_, _ = w.Write(content) // the client has gone
	}
}

// someAddress is the address of the examples until a request tells a better one.
const someAddress = "http://127.0.0.1:8080"

// made shows what is made when somebody first asks for it: it takes longer than
// the rest of the start. Its examples call the address at which the reader found
// it.
func (a *api) made(contentType string, render func() ([]byte, error)) http.HandlerFunc {
	made := sync.OnceValues(render)
	return func(w http.ResponseWriter, r *http.Request) {
		content, err := made()
		if err != nil {
			a.write(w, r, problemOf(r.Context(), err))
			return
		}
		static(contentType, bytes.ReplaceAll(content, []byte(someAddress), []byte(addressOf(r))))(w, r)
	}
}

// plainHost matches a host, with or without a port, that is safe to show in a
// page and to type into a shell.
var plainHost = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$`)

func addressOf(r *http.Request) string {
	if !plainHost.MatchString(r.Host) {
		return someAddress
	}
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (a *api) readyz(w http.ResponseWriter, r *http.Request) {
	notes, err := a.Ready(r.Context())
	if err != nil {
		p := notReady.problem("")
		if refusal := domain.RuleOf(err); refusal != nil {
			p.Detail = refusal.Text
		} else {
			p.cause = err
		}
		a.write(w, r, p)
		return
	}
	body, err := json.Marshal(readiness{"ready", notes})
	if err != nil {
		a.write(w, r, problemOf(r.Context(), err))
		return
	}
	static("application/json", append(body, '\n'))(w, r)
}

// readiness is what /readyz says of a process that should get requests.
type readiness struct {
	Status string   `json:"status"`
	Notes  []string `json:"notes,omitempty"` // what an operator should know all the same
}

// problem is a rule as /problems shows it.
type problem struct {
	Type   string `json:"type"`
	Rule   string `json:"rule"`
	Kind   string `json:"kind"`
	Status int    `json:"status"`
	Text   string `json:"text"`
}

func (a *api) problems() []problem {
	rules := slices.SortedFunc(maps.Values(a.rules), func(x, y rule) int { return cmp.Compare(x.Rule, y.Rule) })
	return mapped(rules, func(r rule) problem { return problem{"/problems/" + r.Rule, r.Rule, r.Kind, r.Status, r.Text} })
}

func (a *api) problemsPage(pages *template.Template) http.HandlerFunc {
	all := a.problems()
	return func(w http.ResponseWriter, r *http.Request) {
		a.showProblems(w, r, pages, all, struct {
			Problems []problem `json:"problems"`
		}{all})
	}
}

func (a *api) problemPage(pages *template.Template) http.HandlerFunc {
	all := a.problems()
	return func(w http.ResponseWriter, r *http.Request) {
		i := slices.IndexFunc(all, func(p problem) bool { return p.Rule == mux.Vars(r)["rule"] })
		if i < 0 {
			a.write(w, r, routeNotFound.problem(""))
			return
		}
		a.showProblems(w, r, pages, all[i:i+1], all[i])
	}
}

// showProblems answers people with a page and programs with JSON.
func (a *api) showProblems(w http.ResponseWriter, r *http.Request, pages *template.Template, all []problem, v any) {
	w.Header().Set("Vary", "Accept")
	contentType, content, err := "application/json", []byte(nil), error(nil)
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		contentType = "text/html; charset=utf-8"
		content, err = render(pages, "problems", all)
	} else {
		content, err = json.Marshal(v)
	}
	if err != nil {
		a.write(w, r, problemOf(r.Context(), err))
		return
	}
	static(contentType, content)(w, r)
}

// docs is the OpenAPI document as /docs shows it.
type docs struct {
	Title, Version, Description string
	Groups                      []docsGroup
}

type docsGroup struct {
	Name       string
	Operations []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary, Detail, Curl string
	Parameters, Body                        []docsField
	Answers                                 []docsAnswer
}

type docsField struct {
	Name, Where, Type, Text, Limits string
	Required                        bool
}

type docsAnswer struct {
	Status string
	Text   string
	Rules  []docsRule // of a problem
	Fields []docsField
}

type docsRule struct{ Rule, Text string }

func docsOf(o *huma.OpenAPI) docs {
	d := docs{Title: o.Info.Title, Version: o.Info.Version, Description: o.Info.Description}
	for _, path := range slices.Sorted(maps.Keys(o.Paths)) {
		item := o.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Delete} {
			if op != nil {
				d.add(op.Tags[0], docsOperationOf(o.Components.Schemas, op))
			}
		}
	}
	return d
}

func (d *docs) add(group string, op docsOperation) {
	i := slices.IndexFunc(d.Groups, func(g docsGroup) bool { return g.Name == group })
	if i < 0 {
		i, d.Groups = len(d.Groups), append(d.Groups, docsGroup{Name: group})
	}
	d.Groups[i].Operations = append(d.Groups[i].Operations, op)
}

func docsOperationOf(schemas huma.Registry, op *huma.Operation) docsOperation {
	d := docsOperation{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Detail: op.Description}
	for _, p := range op.Parameters {
		d.Parameters = append(d.Parameters, docsField{p.Name, p.In, typeOf(p.Schema), p.Description, limitsOf(p.Schema), p.Required})
	}
	var body *huma.Schema
	if op.RequestBody != nil {
		if content := op.RequestBody.Content["application/json"]; content != nil {
			body = resolved(schemas, content.Schema)
			d.Body = fieldsOf(schemas, body, "", 0)
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[status]
		answer := docsAnswer{Status: status, Text: r.Description}
		if r.Content[problemType] != nil {
			answer = docsAnswer{Status: status, Text: "Problem", Rules: docsRules(r.Description)}
		}
		repeat := status == "200" && op.Responses["201"] != nil // told once
		if content := r.Content["application/json"]; content != nil && !repeat {
			schema := content.Schema
			if len(schema.OneOf) > 0 {
				schema = schema.OneOf[0]
			}
			answer.Fields = fieldsOf(schemas, resolved(schemas, schema), "", 0)
			for i := range answer.Fields {
				answer.Fields[i].Required = false // a word for those who ask
			}
		}
		d.Answers = append(d.Answers, answer)
	}
	d.Curl = curl(schemas, op, body)
	return d
}

// docsRules takes apart what problemResponse put together.
func docsRules(description string) []docsRule {
	return mapped(strings.Split(description, "\n\n"), func(line string) docsRule {
		name, text, _ := strings.Cut(strings.TrimPrefix(line, "`"), "` - ")
		return docsRule{name, text}
	})
}

func resolved(schemas huma.Registry, s *huma.Schema) *huma.Schema {
	if s != nil && s.Ref != "" {
		return schemas.SchemaFromRef(s.Ref)
	}
	return s
}

func typeOf(s *huma.Schema) string {
	switch {
	case s.Format != "":
		return s.Type + " (" + s.Format + ")"
	case len(s.Enum) > 0:
		return strings.Trim(strings.ReplaceAll(fmt.Sprint(s.Enum), " ", " | "), "[]")
	}
	return s.Type
}

// limitsOf says in words what the schema of a value demands, beside its type.
func limitsOf(s *huma.Schema) string {
	var limits []string
	number := func(name string, n *float64) {
		if n != nil {
			limits = append(limits, name+" "+strconv.FormatFloat(*n, 'f', -1, 64))
		}
	}
	count := func(name string, n *int, of string) {
		if n != nil {
			limits = append(limits, fmt.Sprintf("%s %d %s", name, *n, of))
		}
	}
	number("at least", s.Minimum)
	number("at most", s.Maximum)
	count("at least", s.MinLength, "characters")
	count("at most", s.MaxLength, "characters")
	count("at least", s.MinItems, "items")
	count("at most", s.MaxItems, "items")
	if s.Pattern != "" {
		limits = append(limits, "matches "+s.Pattern)
	}
	if s.Default != nil {
		limits = append(limits, fmt.Sprintf("default %v", s.Default))
	}
	return strings.Join(limits, ", ")
}

func joined(a, b string) string {
	return strings.Trim(a+", "+b, ", ")
}

// maxDepth is how deep /docs shows fields inside fields.
const maxDepth = 4

func fieldsOf(schemas huma.Registry, s *huma.Schema, prefix string, depth int) []docsField {
	var fields []docsField
	if s == nil || depth > maxDepth {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		inner, path := resolved(schemas, p), prefix+name
		limits := limitsOf(inner)
		if inner.Type == huma.TypeArray {
			path += "[]"
			inner = resolved(schemas, inner.Items)
			limits = joined(limits, limitsOf(inner))
		}
		text := p.Description
		if text == "" {
			text = inner.Description
		}
		fields = append(fields, docsField{path, "", typeOf(inner), text, limits, slices.Contains(s.Required, name)})
		fields = append(fields, fieldsOf(schemas, inner, path+".", depth+1)...)
	}
	return fields
}

// curl returns a call of the operation with the examples of its schema.
func curl(schemas huma.Registry, op *huma.Operation, body *huma.Schema) string {
	path := op.Path
	var query []string
	headers := ""
	for _, p := range op.Parameters {
		example := exampleOf(schemas, p.Schema)
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", fmt.Sprint(example))
		case p.In == "query" && (p.Required || p.Name == "from" || p.Name == "specialty" || p.Name == "q"):
			query = append(query, fmt.Sprintf("%s=%v", p.Name, example))
		case p.In == "header" && p.Required:
			headers += fmt.Sprintf(" \\\n  -H '%s: %v'", p.Name, example)
		}
	}
	if len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	if op.Method == http.MethodGet {
		options := "-s"
		if op.Responses["200"].Content[eventStream] != nil {
			options = "-sN" // it is shown as it comes
		}
		return "curl " + options + " '" + someAddress + path + "'" + headers
	}
	line := "curl -s -X " + op.Method + " '" + someAddress + path + "'" + headers + " \\\n  -H "
	key := "'Idempotency-Key: " + op.OperationID + "-1'"
	switch {
	case body == nil && op.RequestBody != nil:
		return line + "'Content-Type: image/jpeg' -H " + key + " \\\n  --data-binary @picture.jpg"
	case body == nil:
		return line + key
	}
	example, _ := json.Marshal(exampleOf(schemas, body)) // made of JSON values
	return line + "'Content-Type: application/json' -H " + key + " \\\n  -d '" + string(example) + "'"
}

func exampleOf(schemas huma.Registry, s *huma.Schema) any {
	s = resolved(schemas, s)
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Type == huma.TypeObject:
		fields := map[string]any{}
		for name, p := range s.Properties {
			inner := resolved(schemas, p)
			if slices.Contains(s.Required, name) || len(p.Examples) > 0 || inner.Type == huma.TypeObject {
				fields[name] = exampleOf(schemas, p)
			}
		}
		return fields
	case s.Type == huma.TypeArray:
		return []any{exampleOf(schemas, s.Items)}
	case len(s.Enum) > 0:
		return s.Enum[0]
	}
	return s.Default
}
