package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/referencedata"
	"github.com/slotbook/slotbook/domain/reference"
)

type referenceCmd struct {
	Load referenceLoadCmd `cmd:"" help:"Load files. Together they are all that there is of each kind in them, and of towns and districts all of each country in them: a code that is missing is withdrawn."`
}

type referenceLoadCmd struct {
	database
	Files []string `arg:"" name:"file" help:"CSV (kind, code, en, ko, pt, ru, country, town, latitude, longitude) or JSON." placeholder:"FILE"`
	JSON  bool     `help:"Say what changed as JSON."`
}

// Run loads the files, all or nothing, and says what changed. Nothing is
// loaded when a line is wrong.
func (c *referenceLoadCmd) Run(ctx context.Context, out output) error {
	entries, err := readReference(c.Files)
	if err != nil {
		_, _ = fmt.Fprintln(out.err, err)
		return usageError{errors.New("nothing was loaded")}
	}
	return c.prepared(ctx, func(url string) error {
		pool, err := postgres.Pool(ctx, url)
		if err != nil {
			return err
		}
		defer pool.Close()
		changes, err := postgres.NewReference(pool).Load(ctx, entries)
		if err != nil {
			return err
		}
		return tellChanges(out.out, changes, c.JSON)
	})
}

func readReference(paths []string) ([]reference.Entry, error) {
	files := make([]referencedata.File, len(paths))
	for i, path := range paths {
		data, err := os.ReadFile(path) //nolint:gosec // the operator's own file
		if err != nil {
			return nil, err
		}
		files[i] = referencedata.File{Name: path, Data: data}
	}
	return referencedata.Read(files...)
}

// named is an entry as the report names it.
type named struct {
	Kind reference.Kind `json:"kind"`
	Code string         `json:"code"`
	Name string         `json:"name"`
}

func tellChanges(w io.Writer, c reference.Changes, asJSON bool) error {
	names := func(entries []reference.Entry) []named {
		all := []named{}
		for _, e := range entries {
			all = append(all, named{e.Kind, e.Code, e.Name("en")})
		}
		return all
	}
	added, changed, withdrawn := names(c.Added), names(c.Changed), names(c.Withdrawn)
	if asJSON {
		return json.NewEncoder(w).Encode(map[string]any{
			"added": added, "changed": changed, "withdrawn": withdrawn, "unchanged": c.Unchanged,
		})
	}
	for _, part := range []struct {
		what    string
		entries []named
	}{{"added", added}, {"changed", changed}, {"withdrawn", withdrawn}} {
		for _, e := range part.entries {
			if _, err := fmt.Fprintf(w, "%-9s  %-13s  %s  %s\n", part.what, e.Kind, e.Code, e.Name); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(w, "%d added, %d changed, %d withdrawn, %d unchanged\n", len(added), len(changed), len(withdrawn), c.Unchanged)
	return err
}

// beginReference gives a database that has no reference data what comes with
// the program.
func (a *app) beginReference(ctx context.Context) error {
	entries, err := referencedata.Builtin()
	if err != nil {
		return err
	}
	return a.reference.Begin(ctx, entries)
}
