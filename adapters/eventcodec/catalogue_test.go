package eventcodec_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// sources are the comments of the domain's code, and who makes what.
type sources struct {
	types      map[string]string          // of a type, by package and name
	fields     map[string]string          // of a field, by package, type and name
	deciders   map[string]map[string]bool // functions that make a struct, by package and name
	categories map[string]string          // of streams, by package
}

const modulePath = "github.com/slotbook/slotbook/"

func readSources(t *testing.T) sources {
	t.Helper()
	s := sources{map[string]string{}, map[string]string{}, map[string]map[string]bool{}, map[string]string{}}
	files, err := filepath.Glob("../../domain/*.go")
	require.NoError(t, err)
	below, err := filepath.Glob("../../domain/*/*.go")
	require.NoError(t, err)
	for _, file := range append(files, below...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		require.NoError(t, err)
		pkg := modulePath + strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), "../../")
		for _, d := range parsed.Decls {
			s.add(pkg, d)
		}
	}
	return s
}

func (s sources) add(pkg string, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if strings.HasPrefix(d.Name.Name, "Evolve") || d.Body == nil {
			return
		}
		ast.Inspect(d.Body, func(n ast.Node) bool {
			if literal, ok := n.(*ast.CompositeLit); ok {
				if made, ok := literal.Type.(*ast.Ident); ok {
					key := pkg + "." + made.Name
					if s.deciders[key] == nil {
						s.deciders[key] = map[string]bool{}
					}
					s.deciders[key][d.Name.Name] = true
				}
			}
			return true
		})
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			s.addSpec(pkg, d, spec)
		}
	}
}

func (s sources) addSpec(pkg string, d *ast.GenDecl, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		if literal, ok := firstValue(spec).(*ast.BasicLit); ok && spec.Names[0].Name == "Category" {
			s.categories[pkg], _ = strconv.Unquote(literal.Value)
		}
	case *ast.TypeSpec:
		doc := spec.Doc.Text()
		if doc == "" && len(d.Specs) == 1 {
			doc = d.Doc.Text()
		}
		s.types[pkg+"."+spec.Name.Name] = strings.Join(strings.Fields(doc), " ")
		if of, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range of.Fields.List {
				for _, name := range f.Names {
					text := strings.Join(strings.Fields(f.Doc.Text()+" "+f.Comment.Text()), " ")
					s.fields[pkg+"."+spec.Name.Name+"."+name.Name] = text
				}
			}
		}
	}
}

func firstValue(spec *ast.ValueSpec) ast.Expr {
	if len(spec.Values) == 0 {
		return nil
	}
	return spec.Values[0]
}

// place is a field of an event's data.
type place struct {
	path     string // such as visits[].slot; "" of what is said of several fields together
	kind     string // for people, with the unit
	says     string
	optional bool
}

// schema is a JSON Schema.
type schema struct {
	Type        any                `json:"type,omitempty"`
	Format      string             `json:"format,omitempty"`
	Description string             `json:"description,omitempty"`
	Const       string             `json:"const,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Ref         string             `json:"$ref,omitempty"`
}

// read returns the schema of a type and its places.
func (s sources) read(t reflect.Type, path string, places *[]place) *schema {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &schema{Type: "string", Format: "date-time"}
	case t == reflect.TypeFor[domain.Sealed]():
		return &schema{Type: []string{"object", "null"}, Properties: map[string]*schema{
			"person": {Type: "string", Description: "Whose key seals the text"}, "box": {Type: "string", Description: "The sealed text"},
		}}
	case t == reflect.TypeFor[domain.Day]():
		return &schema{Type: "string", Format: "date"}
	case t.Kind() == reflect.Pointer:
		return s.read(t.Elem(), path, places)
	case t.Kind() == reflect.Slice:
		return &schema{Type: []string{"array", "null"}, Items: s.read(t.Elem(), path+"[]", places)}
	case t.Kind() == reflect.Struct:
		of := &schema{Type: "object", Properties: map[string]*schema{}}
		s.readFields(t, path, of, places)
		return of
	case t.Kind() == reflect.String:
		return &schema{Type: "string"}
	case t.Kind() == reflect.Bool:
		return &schema{Type: "boolean"}
	case t.Kind() == reflect.Float64:
		return &schema{Type: "number"}
	}
	return &schema{Type: "integer"}
}

func (s sources) readFields(t reflect.Type, path string, of *schema, places *[]place) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if f.Anonymous && name == "" {
			if says := s.types[f.Type.PkgPath()+"."+f.Type.Name()]; says != "" {
				*places = append(*places, place{says: says})
			}
			s.readFields(f.Type, path, of, places)
			continue
		}
		inner := strings.TrimPrefix(path+"."+name, ".")
		at := len(*places)
		*places = append(*places, place{})
		field := s.read(f.Type, inner, places)
		says := s.fields[t.PkgPath()+"."+t.Name()+"."+f.Name]
		field.Description = says
		optional := strings.Contains(options, "omit")
		(*places)[at] = place{inner, kindOf(f.Type), says, optional}
		of.Properties[name] = field
		if !optional {
			of.Required = append(of.Required, name)
		}
	}
}

// kindOf says in words what a type is.
func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "instant, UTC"
	case t == reflect.TypeFor[domain.Sealed]():
		return "sealed text"
	case t == reflect.TypeFor[domain.Day]():
		return "date"
	case t == reflect.TypeFor[domain.StreamName]():
		return "name of a stream"
	case t.Kind() == reflect.Pointer:
		return kindOf(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list: " + kindOf(t.Elem())
	case t.Kind() == reflect.Struct:
		return "object"
	case t.Kind() == reflect.String && strings.HasSuffix(t.Name(), "ID"):
		return spaced(strings.TrimSuffix(t.Name(), "ID")) + " id"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Float64:
		return "number"
	}
	return "integer"
}

var capital = regexp.MustCompile(`([a-z])([A-Z])`)

func spaced(name string) string { return strings.ToLower(capital.ReplaceAllString(name, "$1 $2")) }

// entry is an event type in the catalogue.
type entry struct {
	name     string
	version  int
	category string
	says     string
	by       string
	places   []place
	schema   *schema
	example  json.RawMessage
}

var versioned = regexp.MustCompile(`\.v([0-9]+)$`)

func catalogue(t *testing.T) []entry {
	t.Helper()
	s, examples := readSources(t), map[string]json.RawMessage{}
	codec := eventcodec.New(&eventcodec.MemoryKeys{})
	for _, sample := range samples() { // the same as in its golden file, which a new type may not have yet
		encoded, err := codec.Encode(t.Context(), stream, commands.NewEvent{ID: domain.NewID("golden"), Event: sample})
		require.NoError(t, err)
		examples[encoded.Type] = encoded.Data
	}
	types := eventcodec.Types()
	slices.Sort(types)
	entries := make([]entry, len(types))
	for i, name := range types {
		of, ok := eventcodec.TypeOf(name)
		require.True(t, ok)
		key := of.PkgPath() + "." + of.Name()
		e := entry{name: name, version: 1, category: s.categories[of.PkgPath()], example: examples[name]}
		if v := versioned.FindStringSubmatch(name); v != nil {
			e.version, _ = strconv.Atoi(v[1])
		}
		e.says = strings.TrimPrefix(s.types[key], of.Name()+" ")
		e.by = "`" + strings.TrimPrefix(of.PkgPath(), modulePath) + "`"
		if made := slices.Sorted(maps.Keys(s.deciders[key])); len(made) > 0 {
			e.by += " in `" + strings.Join(made, "`, `") + "`"
		}
		e.schema = s.read(of, "", &e.places)
		require.NotEmpty(t, e.category, name)
		entries[i] = e
	}
	return entries
}

const generated = "<!-- From here on go test ./adapters/eventcodec -update writes this file. -->\n"

// TestCatalogue holds docs/events.md to the code: run go test
// ./adapters/eventcodec -update after a change, and read the difference. What
// is written by hand comes before what is generated.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	const path = "../../docs/events.md"
	committed, err := os.ReadFile(path)
	require.NoError(t, err)
	byHand, _, _ := strings.Cut(string(committed), generated)
	for _, e := range catalogue(t) {
		require.Contains(t, byHand, "`"+e.name+"`", "the table of docs/events.md has a line for each event type")
	}
	now := strings.TrimRight(byHand, "\n") + "\n\n" + generated + describe(catalogue(t))
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(now), 0o600))
		return
	}
	require.Equal(t, now, string(committed), "stale: go test ./adapters/eventcodec -update")
}

func describe(entries []entry) string {
	var b strings.Builder
	b.WriteString("\n## Every event\n\nFields with a question mark may be absent. [asyncapi.json](asyncapi.json) says the same for machines.\n")
	for _, e := range entries {
		fmt.Fprintf(&b, "\n### `%s`\n\nVersion %d, on streams `%s-...`, decided by %s.", e.name, e.version, e.category, e.by)
		if e.says != "" {
			b.WriteString(" It " + strings.TrimSuffix(e.says, ".") + ".")
		}
		b.WriteString("\n\n| field | holds | |\n| --- | --- | --- |\n")
		notes := ""
		for _, p := range e.places {
			mark := ""
			if p.path == "" {
				notes += "- " + p.says + "\n"
				continue
			}
			if p.optional {
				mark = "?"
			}
			fmt.Fprintf(&b, "| `%s`%s | %s | %s |\n", p.path, mark, p.kind, strings.ReplaceAll(p.says, "|", "\\|"))
		}
		if notes != "" {
			b.WriteString("\n" + notes)
		}
		fmt.Fprintf(&b, "\n```json\n%s\n```\n", e.example)
	}
	return b.String()
}

// TestAsyncAPI holds docs/asyncapi.json to the code, in the same way.
func TestAsyncAPI(t *testing.T) {
	t.Parallel()
	const path = "../../docs/asyncapi.json"
	var now bytes.Buffer
	lines := json.NewEncoder(&now)
	lines.SetEscapeHTML(false)
	lines.SetIndent("", " ")
	require.NoError(t, lines.Encode(asyncAPI(catalogue(t))))
	if *update {
		require.NoError(t, os.WriteFile(path, now.Bytes(), 0o600))
		return
	}
	committed, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, now.String(), string(committed), "stale: go test ./adapters/eventcodec -update")
}

type object = map[string]any

// asyncAPI is the catalogue in AsyncAPI 3.0.0: a channel for each category of
// streams, a message for each event type.
func asyncAPI(entries []entry) object {
	channels, messages, schemas, operations := object{}, object{}, object{}, object{}
	for _, e := range entries {
		channel, _ := channels[e.category].(object)
		if channel == nil {
			channel = object{
				"address": "/v1/events", "title": "Streams " + e.category + "-...", "messages": object{},
			}
			channels[e.category] = channel
			operations["read-"+e.category] = object{
				"action": "send", "channel": object{"$ref": "#/channels/" + e.category},
				"bindings": object{"http": object{"method": "GET", "bindingVersion": "0.3.0", "query": object{
					"type": "object", "properties": object{"category": object{"type": "string", "const": e.category}},
				}}},
			}
		}
		channel["messages"].(object)[e.name] = object{"$ref": "#/components/messages/" + e.name}
		schemas[e.name] = e.schema
		messages[e.name] = object{
			"name": e.name, "title": e.name, "contentType": "application/cloudevents+json", "description": "Decided by " + e.by,
			"payload":  envelopeSchema(e.name),
			"examples": []object{{"name": "golden", "payload": exampleOf(e)}},
		}
	}
	return object{
		"asyncapi": "3.0.0",
		"info": object{
			"title": "Slotbook", "version": "1",
			"description": "Every event that may be in the log, as GET /v1/events tells it: one CloudEvents 1.0 envelope a line.",
		},
		"defaultContentType": "application/cloudevents+json",
		"channels":           channels,
		"operations":         operations,
		"components":         object{"messages": messages, "schemas": schemas},
	}
}

func envelopeSchema(name string) *schema {
	text := func(says string) *schema { return &schema{Type: "string", Description: says} }
	return &schema{
		Type:     "object",
		Required: []string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "sequence", "revision", "data"},
		Properties: map[string]*schema{
			"specversion": {Type: "string", Const: "1.0"}, "id": text("Of the event; nothing else has it"), "source": text("Where events come from"),
			"type": {Type: "string", Const: name}, "subject": text("The stream"), "time": {Type: "string", Format: "date-time", Description: "When it was recorded"},
			"datacontenttype": {Type: "string", Const: "application/json"},
			"sequence":        {Type: "string", Pattern: "^[0-9]{20}$", Description: "Its position in the log, with leading zeros"},
			"revision":        {Type: "integer", Description: "Its place in the stream, from 0"},
			"actor":           text("Who did it"), "command": text("The command that decided it"),
			"correlationid": text("The conversation that the command belongs to"), "causationid": text("The event that caused the command"),
			"traceparent": text("The span that stored it, as W3C Trace Context says it; absent outside traces"),
			"data":        {Ref: "#/components/schemas/" + name},
		},
	}
}

func exampleOf(e entry) object {
	return object{
		"specversion": "1.0", "id": domain.NewID("example", e.name), "source": "urn:slotbook:events", "type": e.name, "subject": e.category + "-x",
		"time": "2026-03-02T09:00:00.000000Z", "datacontenttype": "application/json", "sequence": eventcodec.Sequence(42), "revision": 0,
		"actor": "local", "data": e.example,
	}
}

// TestExamplesFitTheirSchemas checks every example against the schema of its type.
func TestExamplesFitTheirSchemas(t *testing.T) {
	t.Parallel()
	for _, e := range catalogue(t) {
		var example any
		require.NoError(t, json.Unmarshal(e.example, &example))
		require.Empty(t, faults(e.schema, example, e.name))
	}
	broken := &schema{Type: "object", Properties: map[string]*schema{"a": {Type: "integer"}}, Required: []string{"a"}}
	require.Equal(t, []string{"$.a is missing"}, faults(broken, object{}, "$"))
	require.Equal(t, []string{"$.a is no integer"}, faults(broken, object{"a": "x"}, "$"))
	require.Equal(t, []string{"$.b is not known"}, faults(broken, object{"a": 1., "b": 1.}, "$"))
}

// faults says where a value does not fit a schema.
func faults(s *schema, v any, path string) []string {
	kinds, several := s.Type.([]string)
	if !several {
		kinds = []string{fmt.Sprint(s.Type)}
	}
	var found []string
	switch v := v.(type) {
	case nil:
		if !slices.Contains(kinds, "null") {
			found = append(found, path+" is null")
		}
	case map[string]any:
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				found = append(found, path+"."+name+" is missing")
			}
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if s.Properties[name] == nil {
				found = append(found, path+"."+name+" is not known")
				continue
			}
			found = append(found, faults(s.Properties[name], v[name], path+"."+name)...)
		}
	case []any:
		if s.Items == nil {
			return []string{path + " is no list"}
		}
		for _, inner := range v {
			found = append(found, faults(s.Items, inner, path+"[]")...)
		}
	default:
		is := map[string]bool{"string": false, "boolean": false, "number": false, "integer": false}
		switch v.(type) {
		case string:
			is["string"] = true
		case bool:
			is["boolean"] = true
		case float64:
			is["number"], is["integer"] = true, true
		}
		if !is[kinds[0]] {
			found = append(found, path+" is no "+kinds[0])
		}
	}
	return found
}
