package export_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/export"
	"github.com/slotbook/slotbook/adapters/memory"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/quota"
)

// world is a log that holds an event of every type twice, over three days.
type world struct {
	store *memory.Store
	codec *eventcodec.Codec
	head  domain.Position
}

// perDay is how many events are recorded on a day.
const perDay = 80

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOf(t, 1)
}

// newWorldOf is newWorld with every n-th event type only: files take their time
// to be on the disk.
func newWorldOf(t *testing.T, n int) *world {
	t.Helper()
	w := &world{codec: eventcodec.New(&eventcodec.MemoryKeys{})}
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w.store = memory.New(memory.Config{Codec: w.codec, Now: func() time.Time {
		return began.Add(time.Duration(w.head) * 24 * time.Hour / perDay)
	}})
	golden, err := filepath.Glob("../eventcodec/testdata/*.json")
	require.NoError(t, err)
	for range 2 * n {
		for i := 0; i < len(golden); i += n {
			w.append(t, golden[i])
		}
	}
	return w
}

// append stores the event of a golden file.
func (w *world) append(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	eventType, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), "+")
	event, err := w.codec.Decode(eventType, data)
	require.NoError(t, err)
	category, _, _ := strings.Cut(eventType, ".")
	stream := domain.StreamName(category + "-p1")
	switch category {
	case "occupancy":
		stream = "occupancy-patient.p1.2026-03-02"
	case "quota":
		stream = "quota-patient-day.p1.2026-03-02"
	}
	w.head, err = w.store.Append(t.Context(), commands.Write{Stream: stream, Expected: domain.Any, Events: []commands.NewEvent{{
		ID: domain.NewID("export", eventType, time.Duration(w.head).String()), Event: event, Metadata: domain.Metadata{Command: "c1", Actor: "local"},
	}}})
	require.NoError(t, err)
}

// holds has a patient hold something, which is counted.
func (w *world) holds(t *testing.T) {
	t.Helper()
	q := quota.Quota{Rule: quota.Holds, Subject: quota.HeldBy("p1"), Bucket: quota.Active}
	var err error
	w.head, err = w.store.Append(t.Context(), commands.Write{Stream: q.Stream(), Expected: domain.NoStream, Events: []commands.NewEvent{{
		ID: domain.NewID("export", "held"), Event: quota.Booked{Quota: q, Counted: quota.Counted{Appointment: "a1"}}, Metadata: domain.Metadata{Command: "c1", Actor: "local"},
	}}})
	require.NoError(t, err)
}

func (w *world) config(t *testing.T, f export.Format, p export.Partition) export.Config {
	t.Helper()
	return export.Config{Log: w.store, Codec: w.codec, Folder: filepath.Join(t.TempDir(), "out"), Format: f, Partition: p, Until: w.head}
}

// files reads every file of a folder.
func files(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path) //nolint:gosec // the test's own
		all[strings.TrimPrefix(path, folder+"/")] = string(data)
		return err
	}))
	return all
}

var (
	formats    = []export.Format{export.NDJSON, export.CSV, export.Parquet}
	partitions = []export.Partition{export.ByType, export.ByDay}
)

// each runs a test for every format and partition.
func each(t *testing.T, test func(t *testing.T, w *world, c export.Config)) {
	t.Helper()
	for _, f := range formats {
		for _, p := range partitions {
			t.Run(string(f)+" by "+string(p), func(t *testing.T) {
				t.Parallel()
				w := newWorldOf(t, 6)
				test(t, w, w.config(t, f, p))
			})
		}
	}
}

func TestASecondRunWritesTheSameBytes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world, c export.Config) {
		first, err := export.Run(t.Context(), c)
		require.NoError(t, err)
		require.True(t, first.Complete)
		require.EqualValues(t, w.head, first.Rows)
		written := files(t, c.Folder)
		require.Len(t, written, len(first.Files)+1)
		before, err := os.Stat(filepath.Join(c.Folder, first.Files[0].Path))
		require.NoError(t, err)

		again, err := export.Run(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, first, again)
		after, err := os.Stat(filepath.Join(c.Folder, first.Files[0].Path))
		require.NoError(t, err)
		require.True(t, os.SameFile(before, after), "what is whole is not written again")

		c.Folder = filepath.Join(t.TempDir(), "elsewhere")
		_, err = export.Run(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, written, files(t, c.Folder))
	})
}

func TestTheDigestOfATypeIsTheSameInEveryForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var want []export.Type
	for _, f := range formats {
		for _, p := range partitions {
			m, err := export.Run(t.Context(), w.config(t, f, p))
			require.NoError(t, err)
			if want == nil {
				want = m.Types
			}
			require.Equal(t, want, m.Types)
			require.Len(t, m.Types, len(eventcodec.Types()))
		}
	}
}

// halting is a log that reads a few events at a time and breaks after some.
type halting struct {
	export.Log
	left int
}

var errHalted = errors.New("halted")

func (h *halting) ReadStored(ctx context.Context, after, until domain.Position, want eventcodec.Selection, limit int) (eventcodec.StoredPage, error) {
	if h.left--; h.left < 0 {
		return eventcodec.StoredPage{}, errHalted
	}
	return h.Log.ReadStored(ctx, after, until, want, min(limit, 9))
}

func TestWhatWasInterruptedGoesOn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _ *world, c export.Config) {
		whole := c
		whole.Folder = filepath.Join(t.TempDir(), "whole")
		_, err := export.Run(t.Context(), whole)
		require.NoError(t, err)
		log := &halting{Log: c.Log}
		for log.left = 5; ; log.left += 5 {
			broken := c
			broken.Log = log
			left := log.left
			if _, err = export.Run(t.Context(), broken); err == nil {
				break
			}
			require.ErrorIs(t, err, errHalted)
			for name := range files(t, c.Folder) {
				require.NotContains(t, name, ".partial")
			}
			// As a crash leaves it.
			require.NoError(t, os.WriteFile(filepath.Join(c.Folder, "x.csv.partial"), []byte("half"), 0o600))
			log.left = left
		}
		require.Equal(t, files(t, whole.Folder), files(t, c.Folder))
	})
}

func TestWhatIsDamagedIsWrittenAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _ *world, c export.Config) {
		m, err := export.Run(t.Context(), c)
		require.NoError(t, err)
		written := files(t, c.Folder)
		for i, f := range m.Files[1:3] {
			path := filepath.Join(c.Folder, f.Path)
			require.NoError(t, os.Remove(path))
			if i > 0 {
				require.NoError(t, os.WriteFile(path, []byte("another"), 0o600))
			}
		}
		_, err = export.Run(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, written, files(t, c.Folder))
	})
}

func TestALaterRunAddsWhatHappenedSince(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world, c export.Config) {
		early := c
		early.Until = w.head - 7
		_, err := export.Run(t.Context(), early)
		require.NoError(t, err)
		later, err := export.Run(t.Context(), c)
		require.NoError(t, err)
		c.Folder = filepath.Join(t.TempDir(), "at once")
		atOnce, err := export.Run(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, atOnce, later)
	})
}

func TestAFolderHoldsOneExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.config(t, export.CSV, export.ByType)
	_, err := export.Run(t.Context(), c)
	require.NoError(t, err)
	for name, change := range map[string]func(*export.Config){
		"another format":    func(c *export.Config) { c.Format = export.NDJSON },
		"another partition": func(c *export.Config) { c.Partition = export.ByDay },
		"with pseudonyms":   func(c *export.Config) { c.Pseudonyms = []byte("key") },
		"an earlier state":  func(c *export.Config) { c.Until = 3 },
		"another log":       func(c *export.Config) { c.Log = memory.New(memory.Config{Codec: w.codec, Now: time.Now}) },
	} {
		other := c
		change(&other)
		_, err := export.Run(t.Context(), other)
		require.ErrorIs(t, err, export.ErrFolder, name)
	}
	c.Folder = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(c.Folder, "thesis.txt"), []byte("dear"), 0o600))
	_, err = export.Run(t.Context(), c)
	require.ErrorIs(t, err, export.ErrFolder, "somebody's own files")
	c.Folder, c.Until = filepath.Join(t.TempDir(), "beyond"), w.head+1
	_, err = export.Run(t.Context(), c)
	require.ErrorIs(t, err, export.ErrBeyond)
}

// TestNothingPersonalIsExported looks for the ids of persons and for sealed
// text in the bytes of every file.
func TestNothingPersonalIsExported(t *testing.T) {
	t.Parallel()
	person := regexp.MustCompile(`\bp[12]\b`)
	w := newWorld(t)
	w.holds(t)
	for _, f := range []export.Format{export.NDJSON, export.CSV} {
		for _, key := range [][]byte{nil, []byte("key")} {
			c := w.config(t, f, export.ByType)
			c.Pseudonyms = key
			m, err := export.Run(t.Context(), c)
			require.NoError(t, err)
			booked := "appointment.booked." + string(f)
			for name, text := range files(t, c.Folder) {
				if name == export.ManifestName {
					continue
				}
				text = regexp.MustCompile(`"?[a-z-]+-p1\b"?`).ReplaceAllStringFunc(text, func(stream string) string { // of this test's own making
					if strings.Contains(stream, "patient-") {
						return stream
					}
					return ""
				})
				require.NotRegexp(t, person, text, name)
				require.NotContains(t, text, `"box"`, name)
				if name == booked {
					require.Equal(t, key != nil, strings.Contains(text, export.Pseudonym([]byte("key"), "p1")), name)
				}
				if name == "occupancy.booked."+string(f) && key != nil {
					pseudonym := export.Pseudonym(key, "p1")
					require.Contains(t, text, "occupancy-patient."+pseudonym+".2026-03-02", "streams name persons in the same way")
				}
			}
			for _, of := range m.Types {
				for _, column := range of.Columns {
					require.False(t, key == nil && column.Name == "patient", of.Type)
				}
			}
		}
	}
}

// TestLinesSayWhatEventsSay compares the data of NDJSON with the golden files:
// but for what is personal, it is the same JSON.
func TestLinesSayWhatEventsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.config(t, export.NDJSON, export.ByType)
	_, err := export.Run(t.Context(), c)
	require.NoError(t, err)
	for _, eventType := range eventcodec.Types() {
		golden, err := os.ReadFile("../eventcodec/testdata/" + eventType + ".json")
		require.NoError(t, err)
		var want any
		require.NoError(t, json.Unmarshal(golden, &want))
		text, err := os.ReadFile(filepath.Join(c.Folder, eventType+".ndjson"))
		require.NoError(t, err)
		found := false
		for line := range strings.Lines(string(text)) {
			var got struct {
				Type string `json:"type"`
				Data any    `json:"data"`
			}
			require.NoError(t, json.Unmarshal([]byte(line), &got))
			require.Equal(t, eventType, got.Type)
			found = found || equal(want, got.Data)
		}
		require.True(t, found, "%s: no line is %s in:\n%s", eventType, golden, text)
	}
}

// equal compares what a golden file says with what a line says. What the line
// lacks is a person's, or sealed, or nothing; what it has besides is wrong.
func equal(want, got any) bool {
	personal := []string{"patient", "guardian", "dependent", "duplicate", "into", "from"}
	switch want := want.(type) {
	case map[string]any:
		line, ok := got.(map[string]any)
		if !ok {
			return false
		}
		for name, v := range want {
			inner, there := line[name]
			if box, _ := v.(map[string]any); !there && v != nil && box["box"] == nil && !slices.Contains(personal, name) {
				return false
			}
			if there && name != "subject" && !equal(v, inner) {
				return false
			}
			delete(line, name)
		}
		return len(line) == 0
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return false
		}
		for i := range want {
			if !equal(want[i], list[i]) {
				return false
			}
		}
		return true
	case string:
		text, _ := got.(string)
		return text == want || strings.Contains(want, "p1")
	}
	return want == got
}

// TestInstantsOfFactsAreWrittenAsThoseOfEvents compares the text of both in CSV,
// and that of facts in lines.
func TestInstantsOfFactsAreWrittenAsThoseOfEvents(t *testing.T) {
	t.Parallel()
	one := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`)
	w := newWorld(t)
	c := w.config(t, export.CSV, export.ByType)
	_, err := export.Run(t.Context(), c)
	require.NoError(t, err)
	for name, text := range files(t, c.Folder) {
		if !strings.HasSuffix(name, ".csv") {
			continue
		}
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		require.NoError(t, err)
		for _, cell := range slices.Concat(rows[1:]...) {
			if _, err := time.Parse(time.RFC3339, cell); err == nil {
				require.Regexp(t, one, cell, name)
			}
		}
	}
	for f, want := range map[export.Format]string{
		export.CSV:    `2026-03-02T08:00:00.123456Z,"[""x"",""y""]","[""2026-03-02T08:00:00.000000Z""]"`,
		export.NDJSON: `"at":"2026-03-02T08:00:00.123456Z","tags":["x","y"],"times":["2026-03-02T08:00:00.000000Z"]`,
	} {
		facts := export.Facts{Model: "some", Folder: t.TempDir(), Format: f, Position: 7, Tables: []export.FactTable{someFacts()}}
		_, err := export.RunFacts(facts)
		require.NoError(t, err)
		require.Contains(t, files(t, facts.Folder)["fact."+string(f)], want)
	}
}

func TestTheVersionOfATypeIsInItsName(t *testing.T) {
	t.Parallel()
	require.Equal(t, 1, export.VersionOf("slot.booked"))
	require.Equal(t, 2, export.VersionOf("slot.booked.v2"))
	require.Equal(t, 12, export.VersionOf("slot.booked.v12"))
	require.Equal(t, 1, export.VersionOf("slot.v"))
}

// TestColumnsHaveNamesOfTheirOwn: DuckDB and Spark do not tell letters' case apart.
func TestColumnsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	m, err := export.Run(t.Context(), newWorld(t).config(t, export.CSV, export.ByType))
	require.NoError(t, err)
	for _, of := range m.Types {
		names := map[string]bool{}
		for _, c := range of.Columns {
			require.False(t, names[strings.ToLower(c.Name)], "%s.%s", of.Type, c.Name)
			names[strings.ToLower(c.Name)] = true
		}
	}
}
