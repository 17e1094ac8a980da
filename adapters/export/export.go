// Package export writes the log into files for analysts: lines of JSON, CSV, or
// Parquet with typed columns, and a manifest that says what they hold.
//
//	log -> decode -> leave out what is personal -> one file for each type, day, or both -> manifest.json
//
// # What holds
//
//   - The files depend on the log up to a position and on the options, and on
//     nothing else: another run writes the same bytes.
//   - A file has its name when it is whole and on the disk, not before. What the
//     manifest lists is whole; a run that was interrupted goes on after it.
//   - Personal text is left out, and so are the ids of persons; with pseudonyms
//     each id is the same keyed hash wherever it occurs, names of streams included.
package export

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
)

// Log is the log as it is stored: that of a store.
type Log interface {
	ReadStored(ctx context.Context, after, until domain.Position, want eventcodec.Selection, limit int) (eventcodec.StoredPage, error)
}

// Format is how files are written.
type Format string

// The formats.
const (
	NDJSON  Format = "ndjson"  // a line of JSON for each event
	CSV     Format = "csv"     // columns by event type; lists are JSON
	Parquet Format = "parquet" // typed columns by event type
)

// Partition is how events are divided into files.
type Partition string

// The partitions.
const (
	ByType Partition = "type" // a file for each event type
	ByDay  Partition = "day"  // by the UTC day on which events were recorded; CSV and Parquet by type, too
)

// Config says what is exported, and how.
type Config struct {
	Log       Log
	Codec     *eventcodec.Codec
	Folder    string // is made if it is not there; empty, or of an earlier run with the same options
	Format    Format
	Partition Partition
	Until     domain.Position // of the last event that is exported; not beyond the end of the log
	// Pseudonyms is the key of the hashes that stand for persons; nil leaves
	// persons out.
	Pseudonyms []byte
	// Progress is told how far the export is, now and then; nil = nobody.
	Progress func(at, until domain.Position, events int)
}

// The refusals of an export.
var (
	ErrFolder = errors.New("the folder holds something else, or an export with other options: name an empty one")
	ErrBeyond = errors.New("the log does not reach that position yet")
)

// readAtOnce is how many events are read together.
const readAtOnce = 2000

// Run exports, or goes on where an earlier run was interrupted, and returns the
// manifest that lies in the folder. Days that an earlier run has written up to
// their ends are kept, so that a later run over the same folder adds the days
// since. Errors: [ErrFolder], [ErrBeyond]; an event that this program does not
// know or cannot read ends the export with its position.
func Run(ctx context.Context, c Config) (Manifest, error) {
	x, err := begin(ctx, c)
	if err != nil {
		return Manifest{}, err
	}
	defer x.abandon()
	for x.at < c.Until {
		page, err := c.Log.ReadStored(ctx, x.at, c.Until, eventcodec.Selection{}, readAtOnce)
		if err != nil {
			return Manifest{}, err
		}
		if page.Next == x.at {
			return Manifest{}, ErrBeyond
		}
		for _, e := range page.Events {
			if err := x.add(e); err != nil {
				return Manifest{}, fmt.Errorf("position %d: %w", e.Position, err)
			}
		}
		x.at = page.Next
		if c.Progress != nil {
			c.Progress(x.at, c.Until, len(page.Events))
		}
	}
	return x.finish()
}

// exporter writes one export. It is used by one goroutine.
type exporter struct {
	config   Config
	persons  persons
	tables   map[string]*table // by event type
	files    map[string]*file  // those that are open, by path
	day      string            // of the open files, when they are divided by day
	at       domain.Position
	skip     map[string]bool // event types that are there already
	manifest Manifest
	unsaved  int // files that the manifest on the disk lacks
}

func begin(ctx context.Context, c Config) (*exporter, error) {
	x := &exporter{config: c, persons: persons{c.Pseudonyms}, tables: map[string]*table{}, files: map[string]*file{}}
	first, err := c.Log.ReadStored(ctx, 0, c.Until, eventcodec.Selection{}, 1)
	if err != nil {
		return nil, err
	}
	x.manifest = Manifest{
		Version: manifestVersion, What: "events", Format: c.Format, Partition: c.Partition, Position: c.Until, Persons: x.persons.String(), Files: []File{},
	}
	if len(first.Events) > 0 {
		x.manifest.FirstEvent = first.Events[0].ID
	}
	return x, x.resume()
}

// add writes an event where it belongs.
func (x *exporter) add(e eventcodec.Stored) error {
	if x.skip[e.Type] {
		return nil
	}
	if day := dayOf(e.RecordedAt); x.config.Partition == ByDay && day != x.day {
		if err := x.closeFiles(); err != nil {
			return err
		}
		x.day = day
	}
	r, err := x.config.Codec.DecodeStored(e)
	if err != nil {
		return err
	}
	t, err := x.table(e.Type)
	if err != nil {
		return err
	}
	f, err := x.file(e.Type, t)
	if err != nil {
		return err
	}
	return f.add(t, record{r, x.persons.stream(r.Stream), x.persons.mask(reflect.ValueOf(r.Event))})
}

// record is an event with what is personal masked.
type record struct {
	domain.Recorded
	stream domain.StreamName
	data   reflect.Value
}

func (x *exporter) table(eventType string) (*table, error) {
	if t := x.tables[eventType]; t != nil {
		return t, nil
	}
	of, ok := eventcodec.TypeOf(eventType)
	if !ok {
		return nil, fmt.Errorf("there is no type of the event %s", eventType)
	}
	t := newTable(eventType, of, x.config.Pseudonyms != nil)
	x.tables[eventType] = t
	return t, nil
}

// file returns the file that events of a type go to now.
func (x *exporter) file(eventType string, t *table) (*file, error) {
	path, extension := "", "."+string(x.config.Format)
	switch {
	case x.config.Partition == ByType:
		path = eventType + extension
	case x.config.Format == NDJSON:
		path = x.day + extension
	default:
		path = eventType + "/" + x.day + extension
	}
	if f := x.files[path]; f != nil {
		return f, nil
	}
	f, err := create(x.config.Folder, path, x.day, x.config.Format, t)
	if err == nil {
		x.files[path] = f
	}
	return f, err
}

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// VersionOf returns the version of an event type, by its name: 2 of
// "slot.booked.v2".
func VersionOf(eventType string) int {
	for i := len(eventType) - 1; i > 1; i-- {
		if eventType[i] < '0' || eventType[i] > '9' {
			if n, err := strconv.Atoi(eventType[i+1:]); err == nil && eventType[i-1:i+1] == ".v" {
				return n
			}
			break
		}
	}
	return 1
}
