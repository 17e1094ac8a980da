package eventcodec_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
)

// drop takes the boxes out of what JSON says, another way.
func drop(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "box")
		for name := range v {
			v[name] = drop(v[name])
		}
	case []any:
		for i := range v {
			v[i] = drop(v[i])
		}
	}
	return v
}

func TestNoBoxLeaves(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	boxes := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		out, err := eventcodec.Envelope{Data: data}.Outward()
		require.NoError(t, err, file)
		require.NotContains(t, string(out.Data), `"box"`, file)
		var was, is any
		require.NoError(t, json.Unmarshal(data, &was))
		require.NoError(t, json.Unmarshal(out.Data, &is))
		require.Equal(t, drop(was), is, file)
		boxes += strings.Count(string(data), `"box"`)
	}
	require.Positive(t, boxes)
}

func TestNothingElseIsCalledABox(t *testing.T) {
	t.Parallel()
	for _, name := range eventcodec.Types() {
		of, _ := eventcodec.TypeOf(name)
		require.Empty(t, boxesIn(of, map[reflect.Type]bool{}), name)
	}
}

// boxesIn returns the fields that JSON calls a box and that are not sealed text.
func boxesIn(of reflect.Type, seen map[reflect.Type]bool) (found []string) {
	if seen[of] || of == reflect.TypeFor[domain.Sealed]() {
		return nil
	}
	seen[of] = true
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return boxesIn(of.Elem(), seen)
	case reflect.Struct:
		for i := range of.NumField() {
			f := of.Field(i)
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name == "box" {
				found = append(found, of.Name()+"."+f.Name)
			}
			found = append(found, boxesIn(f.Type, seen)...)
		}
	}
	return found
}
