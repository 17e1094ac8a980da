package export_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/export"
	"github.com/slotbook/slotbook/domain"
)

// TestAnotherLibraryReadsOurParquet has Apache Arrow read every event type, and
// compares the rows with the lines of NDJSON.
func TestAnotherLibraryReadsOurParquet(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the first build of the reader takes a minute")
	}
	reader := filepath.Join(t.TempDir(), "parquetread")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../../.ci/parquetread", "-o", reader, ".")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))

	w := newWorld(t)
	c := w.config(t, export.Parquet, export.ByType)
	c.Pseudonyms = []byte("key")
	m, err := export.Run(t.Context(), c)
	require.NoError(t, err)
	lines := w.config(t, export.NDJSON, export.ByType)
	lines.Pseudonyms = c.Pseudonyms
	_, err = export.Run(t.Context(), lines)
	require.NoError(t, err)
	for _, of := range m.Types {
		schema, rows := readParquet(t, reader, filepath.Join(c.Folder, of.Type+".parquet"))
		require.Contains(t, schema, "event_recorded_at:timestamp[us, tz=UTC]")
		require.Contains(t, schema, "event_position:int64")
		want := expected(t, files(t, lines.Folder)[of.Type+".ndjson"])
		require.Equal(t, want, rows, of.Type)
	}

	facts := export.Facts{Model: "some", Folder: t.TempDir(), Format: export.Parquet, Position: 7, Pseudonyms: c.Pseudonyms, Tables: []export.FactTable{someFacts()}}
	_, err = export.RunFacts(facts)
	require.NoError(t, err)
	schema, rows := readParquet(t, reader, filepath.Join(facts.Folder, "fact.parquet"))
	for _, column := range []string{"patient:utf8", "count:int64", "good:bool", "at:timestamp[us, tz=UTC]", "tags:list<element: utf8", "times:list<element: timestamp[us, tz=UTC]"} {
		require.Contains(t, schema, column)
	}
	require.NotContains(t, schema, "words")
	facts.Folder, facts.Format = t.TempDir(), export.NDJSON
	_, err = export.RunFacts(facts)
	require.NoError(t, err)
	var want []any
	for line := range strings.Lines(files(t, facts.Folder)["fact.ndjson"]) {
		var row map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &row))
		want = append(want, flat(row))
	}
	require.Equal(t, want, rows)
}

// someFacts are rows of a table with a column of every kind.
func someFacts() export.FactTable {
	return export.FactTable{
		Name:    "fact",
		Columns: []string{"key", "patient", "count", "good", "at", "tags", "times", "words"},
		Types: []reflect.Type{
			reflect.TypeFor[string](), reflect.TypeFor[domain.PatientID](), reflect.TypeFor[int](), reflect.TypeFor[bool](),
			reflect.TypeFor[time.Time](), reflect.TypeFor[[]string](), reflect.TypeFor[[]time.Time](), reflect.TypeFor[domain.Sealed](),
		},
		Rows: func(f func(json.RawMessage) error) error {
			return errors.Join(
				f(json.RawMessage(`{"key":"a","patient":"p1","count":3,"good":true,"at":"2026-03-02T08:00:00.123456+00:00","tags":["x","y"],`+
					`"times":["2026-03-02T08:00:00+00:00"],"words":{"person":"p1"}}`)),
				f(json.RawMessage(`{"key":"b","patient":null,"count":0,"good":false,"at":null,"tags":null,"times":null,"words":null}`)),
			)
		},
	}
}

// readParquet returns what the reader says of a file, without what is null.
func readParquet(t *testing.T, reader, file string) (schema string, rows []any) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), reader, file).Output()
	require.NoError(t, err)
	decoder := json.NewDecoder(bytes.NewReader(out))
	require.NoError(t, decoder.Decode(&schema))
	for decoder.More() {
		var row map[string]any
		require.NoError(t, decoder.Decode(&row))
		rows = append(rows, flat(row))
	}
	return schema, rows
}

// expected returns what the rows of lines of NDJSON are.
func expected(t *testing.T, text string) (rows []any) {
	t.Helper()
	for line := range strings.Lines(text) {
		var event map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &event))
		row := map[string]any{}
		for from, to := range map[string]string{
			"position": "event_position", "id": "event_id", "stream": "event_stream", "revision": "event_revision",
			"recordedAt": "event_recorded_at", "actor": "event_actor", "command": "event_command", "causation": "event_causation",
		} {
			if row[to] = event[from]; from == "causation" {
				row[to] = "" // a head column is text always
			}
		}
		for name, v := range event["data"].(map[string]any) {
			row[name] = v
		}
		rows = append(rows, flat(row))
	}
	return rows
}

// flat puts the fields of objects beside their own, leaves out what is null or
// an empty list, and writes instants in one way.
func flat(v any) any {
	switch v := v.(type) {
	case map[string]any:
		row := map[string]any{}
		for name, inner := range v {
			switch inner := flat(inner).(type) {
			case nil:
			case map[string]any:
				for below, deep := range inner {
					row[name+"_"+below] = deep
				}
			default:
				row[name] = inner
			}
		}
		return row
	case []any:
		if len(v) == 0 {
			return nil
		}
		list := make([]any, len(v))
		for i := range v {
			list[i] = flat(v[i])
		}
		return list
	case string:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05Z", "2006-01-02 15:04:05.999999Z"} {
			if at, err := time.Parse(layout, v); err == nil {
				return at.UTC().Format(time.RFC3339Nano)
			}
		}
	}
	return v
}
