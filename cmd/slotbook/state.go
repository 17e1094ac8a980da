package main

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

type stateCmd struct {
	database
	Stream   string           `arg:"" help:"The stream, such as appointment-018f6b1e-0000-7000-8000-000000000001."`
	At       moment           `xor:"when" help:"As of a position, or of an instant; without it as of now." placeholder:"POSITION|TIME"`
	Revision *domain.Revision `xor:"when" help:"As of a revision of the stream; the first is 0." placeholder:"N"`
	Open     bool             `help:"Open sealed personal text, with the master key; text whose key is gone is null."`
}

var errStateless = errors.New("streams of this category have no state: they only note what happened")

// Run folds the stream as the program does, and prints its state.
func (c *stateCmd) Run(ctx context.Context, out output) error {
	return openLog(ctx, c.database, out, c.Open, func(l *logbook) error {
		recorded, err := c.load(ctx, l)
		if err != nil {
			return err
		}
		state, ok := commands.StateOf(domain.StreamName(c.Stream), recorded)
		if !ok {
			return usageError{errStateless}
		}
		last := recorded[len(recorded)-1]
		shown, err := c.show(ctx, l, state)
		if err != nil {
			return err
		}
		line, err := json.Marshal(map[string]any{
			"stream": c.Stream, "revision": last.Revision, "position": last.Position, "recordedAt": last.RecordedAt, "state": shown,
		})
		if err != nil {
			return err
		}
		return printIndented(out.out, line)
	})
}

// load returns the stream's events up to the moment.
func (c *stateCmd) load(ctx context.Context, l *logbook) ([]domain.Recorded, error) {
	until, err := l.store.Head(ctx)
	if err == nil && c.At.given {
		until, err = l.last(ctx, c.At)
	}
	if err != nil {
		return nil, err
	}
	var recorded []domain.Recorded
	want := eventcodec.Selection{Streams: []domain.StreamName{domain.StreamName(c.Stream)}}
	err = l.read(ctx, 0, until, want, func(e eventcodec.Stored) error {
		if c.Revision != nil && e.Revision > *c.Revision {
			return nil
		}
		r, err := l.codec.DecodeStored(e)
		recorded = append(recorded, r)
		return err
	})
	if err == nil && len(recorded) == 0 {
		err = errNoEvent("of the stream " + c.Stream + " up to then")
	}
	if n := len(recorded); err == nil && c.Revision != nil && recorded[n-1].Revision < *c.Revision {
		err = errNoEvent("of that revision of the stream " + c.Stream + " yet")
	}
	return recorded, err
}

// show returns the state for JSON, its personal text open if that is wanted.
func (c *stateCmd) show(ctx context.Context, l *logbook, state any) (any, error) {
	var failed error
	shown := stateOf(reflect.ValueOf(state), func(s domain.Sealed) any {
		if !c.Open {
			return s
		}
		text, err := l.codec.Open(ctx, s)
		if errors.Is(err, eventcodec.ErrNoKey) {
			return nil
		}
		failed = errors.Join(failed, err)
		return text
	})
	return shown, failed
}

// stateOf turns a state into what becomes JSON: objects with the names that
// events have, or the names of fields in camel case; zero instants and empty
// sealed text are left out.
func stateOf(v reflect.Value, sealed func(domain.Sealed) any) any {
	switch v.Kind() {
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return t
		}
		fields := map[string]any{}
		addFields(fields, v, sealed)
		return fields
	case reflect.Slice, reflect.Array:
		all := make([]any, v.Len())
		for i := range all {
			all[i] = stateOf(v.Index(i), sealed)
		}
		return all
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return stateOf(v.Elem(), sealed)
	}
	return v.Interface()
}

func addFields(to map[string]any, v reflect.Value, sealed func(domain.Sealed) any) {
	for i := range v.NumField() {
		field, inner := v.Type().Field(i), v.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			name = camel(field.Name)
		}
		switch {
		case !field.IsExported():
		case field.Anonymous:
			addFields(to, inner, sealed)
		case field.Type == reflect.TypeFor[domain.Sealed](), field.Type == reflect.TypeFor[time.Time]():
			if s, ok := inner.Interface().(domain.Sealed); ok && !s.IsZero() {
				to[name] = sealed(s)
			} else if !ok && !inner.IsZero() {
				to[name] = inner.Interface()
			}
		default:
			to[name] = stateOf(inner, sealed)
		}
	}
}

// camel returns a field's name as JSON has names: ID becomes id, OwnMoves
// ownMoves.
func camel(name string) string {
	runes := []rune(name)
	for i := range runes {
		if i > 0 && (!unicode.IsUpper(runes[i]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			break
		}
		runes[i] = unicode.ToLower(runes[i])
	}
	return string(runes)
}
