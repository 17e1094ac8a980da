package eventcodec

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/slotbook/slotbook/domain"
)

// Survey finds out what is really in a log: of each event type, which places
// its data has, and whether this program still reads them. The zero value is an
// empty survey.
type Survey struct {
	types map[string]*typeSurvey
}

type typeSurvey struct {
	SurveyedType
	paths   map[string]*pathSurvey
	objects map[string]int // how many objects lay at a path
}

type pathSurvey struct {
	SurveyedPath
	kinds   map[string]bool
	present int // how often something lay there
}

// SurveyedType is what a log holds of one event type.
type SurveyedType struct {
	Type   string          `json:"type"`
	Known  bool            `json:"known"` // to this program
	Events int             `json:"events"`
	First  domain.Position `json:"first"`
	Last   domain.Position `json:"last"`
	Paths  []SurveyedPath  `json:"paths"`
	Broken *Broken         `json:"broken,omitempty"` // nil when every event is read whole
}

// SurveyedPath is a place in the data of an event type, such as $.slots[].id.
type SurveyedPath struct {
	Path     string          `json:"path"`
	Kinds    []string        `json:"kinds"`    // of what lies there: object, array, string, number, boolean
	First    domain.Position `json:"first"`    // of an event that has something there
	Last     domain.Position `json:"last"`     // of the last such event
	NullRate float64         `json:"nullRate"` // of the objects that might have it, how many have null or nothing there: 0 to 1
	Lost     bool            `json:"lost"`     // this program does not read it
}

// Broken says which events this program does not read whole.
type Broken struct {
	Events int             `json:"events"`
	First  domain.Position `json:"first"`
	Why    string          `json:"why"` // of the first
}

// Add surveys an event.
func (s *Survey) Add(e Stored) {
	if s.types == nil {
		s.types = map[string]*typeSurvey{}
	}
	t := s.types[e.Type]
	if t == nil {
		_, known := table[e.Type]
		t = &typeSurvey{
			SurveyedType: SurveyedType{Type: e.Type, Known: known, First: e.Position},
			paths:        map[string]*pathSurvey{}, objects: map[string]int{},
		}
		s.types[e.Type] = t
	}
	t.Events++
	t.Last = e.Position
	var data any
	if err := json.Unmarshal(e.Data, &data); err != nil {
		t.broken(e.Position, err.Error())
		return
	}
	here := map[string]bool{}
	t.walk("$", data, e.Position, here)
	t.check(e, here)
}

// walk notes what lies at a path and below, and in here where there is more
// than the zero value, which may go without saying.
func (t *typeSurvey) walk(path string, v any, at domain.Position, here map[string]bool) {
	if v == nil {
		return
	}
	p := t.paths[path]
	if p == nil {
		p = &pathSurvey{SurveyedPath: SurveyedPath{Path: path, First: at}, kinds: map[string]bool{}}
		t.paths[path] = p
	}
	p.present++
	p.Last = at
	p.kinds[kindOf(v)] = true
	if !isZero(v) {
		here[path] = true
	}
	switch v := v.(type) {
	case map[string]any:
		t.objects[path]++
		for name, inner := range v {
			t.walk(path+"."+name, inner, at, here)
		}
	case []any:
		for _, inner := range v {
			t.walk(path+"[]", inner, at, here)
		}
	}
}

func isZero(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return v == "" || v == false || v == float64(0)
}

func kindOf(v any) string {
	switch v.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	}
	return "number"
}

// check decodes the event, encodes it again, and looks for what is gone.
func (t *typeSurvey) check(e Stored, here map[string]bool) {
	if !t.Known {
		t.broken(e.Position, "the type is not known to this version of the program")
		return
	}
	event, err := (*Codec)(nil).Decode(e.Type, e.Data)
	if err != nil {
		t.broken(e.Position, err.Error())
		return
	}
	var read any
	data, err := marshal(event)
	if err == nil {
		err = json.Unmarshal(data, &read)
	}
	if err != nil {
		t.broken(e.Position, err.Error())
		return
	}
	kept := map[string]bool{}
	pathsOf("$", read, kept)
	for _, path := range slices.Sorted(maps.Keys(here)) {
		if !kept[path] {
			t.paths[path].Lost = true
			t.broken(e.Position, path+" is not read")
			return
		}
	}
}

func pathsOf(path string, v any, found map[string]bool) {
	if v == nil {
		return
	}
	found[path] = true
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			pathsOf(path+"."+name, inner, found)
		}
	case []any:
		for _, inner := range v {
			pathsOf(path+"[]", inner, found)
		}
	}
}

func (t *typeSurvey) broken(at domain.Position, why string) {
	if t.Broken == nil {
		t.Broken = &Broken{First: at, Why: why}
	}
	t.Broken.Events++
}

// Types returns what was found, by name.
func (s *Survey) Types() []SurveyedType {
	all := make([]SurveyedType, 0, len(s.types))
	for _, t := range s.types {
		found := t.SurveyedType
		found.Paths = []SurveyedPath{}
		for path, p := range t.paths {
			if path == "$" {
				continue
			}
			p.Kinds = slices.Sorted(maps.Keys(p.kinds))
			p.NullRate = t.nullRate(path, p.present)
			found.Paths = append(found.Paths, p.SurveyedPath)
		}
		slices.SortFunc(found.Paths, func(a, b SurveyedPath) int { return cmp.Compare(a.Path, b.Path) })
		all = append(all, found)
	}
	slices.SortFunc(all, func(a, b SurveyedType) int { return cmp.Compare(a.Type, b.Type) })
	return all
}

// nullRate counts the objects that have nothing at a path; the elements of
// lists are always there.
func (t *typeSurvey) nullRate(path string, present int) float64 {
	if path[len(path)-1] == ']' {
		return 0
	}
	parent := path
	for parent[len(parent)-1] != '.' {
		parent = parent[:len(parent)-1]
	}
	objects := t.objects[parent[:len(parent)-1]]
	if objects == 0 {
		return 0
	}
	return float64(objects-present) / float64(objects)
}
