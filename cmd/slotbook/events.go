package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
)

type eventsCmd struct {
	Tail   eventsTailCmd   `cmd:"" help:"Print events as they are recorded, one CloudEvents envelope a line."`
	Show   eventsShowCmd   `cmd:"" help:"Print single events, by position or id."`
	Stats  eventsStatsCmd  `cmd:"" help:"Count the events of the log by type."`
	Export eventsExportCmd `cmd:"" help:"Write the log into files for analysts: lines of JSON, CSV or Parquet, with a manifest."`
	Copy   eventsCopyCmd   `cmd:"" help:"Copy every event from PostgreSQL to KurrentDB or back, and prove that both are the same."`
	Schema eventsSchemaCmd `cmd:"" help:"Say what is really in the log: each place in each event type's data; exit status 1 when this program no longer reads something."`
}

// selecting is a choice of events.
type selecting struct {
	Category []string `help:"Of these categories of streams only, such as appointment." placeholder:"NAME"`
	Type     []string `help:"Of these types only, such as appointment.booked." placeholder:"NAME"`
	Stream   []string `help:"Of these streams only." placeholder:"STREAM"`
	From     moment   `help:"From a position, or from an instant on." placeholder:"POSITION|TIME"`
	To       moment   `help:"Up to a position, or before an instant." placeholder:"POSITION|TIME"`
}

func (s selecting) selection() eventcodec.Selection {
	want := eventcodec.Selection{Categories: s.Category, Types: s.Type}
	for _, name := range s.Stream {
		want.Streams = append(want.Streams, domain.StreamName(name))
	}
	return want
}

// until returns where the choice ends in a log with a head, and whether nothing
// of it can come any more.
func (s selecting) until(ctx context.Context, l *logbook, head domain.Position) (domain.Position, bool, error) {
	if !s.To.given {
		return head, false, nil
	}
	last := s.To.position
	if !s.To.instant.IsZero() {
		var err error
		if last, err = l.before(ctx, s.To); err != nil {
			return 0, false, err
		}
		return min(last, head), last < head, nil
	}
	return min(last, head), last <= head, nil
}

// each hands the chosen events that there are now to f.
func (s selecting) each(ctx context.Context, l *logbook, f func(eventcodec.Stored) error) error {
	head, err := l.store.Head(ctx)
	if err != nil {
		return err
	}
	after, err := l.before(ctx, s.From)
	if err != nil {
		return err
	}
	until, _, err := s.until(ctx, l, head)
	if err != nil {
		return err
	}
	return l.read(ctx, after, until, s.selection(), f)
}

type eventsTailCmd struct {
	database
	selecting
	Follow bool `default:"true" negatable:"" help:"Wait for what comes. Without --from it begins with what comes; with --no-follow it begins with the first event and ends with the last."`
	Open   bool `help:"Open sealed personal text, with the master key; text whose key is gone is null."`
}

// Run prints events until it is interrupted, or the end of what was chosen.
func (c *eventsTailCmd) Run(ctx context.Context, out output) error {
	return openLog(ctx, c.database, out, c.Open, func(l *logbook) error {
		storing, stop := context.WithCancel(context.WithoutCancel(ctx))
		ran := start(make(chan error, 1), func() error { return l.store.Run(storing) }) // it tells of news
		defer func() { stop(); <-ran }()
		at, err := c.tail(ctx, l, out.out)
		if ctx.Err() != nil {
			err = nil // told to stop
		}
		if err == nil {
			_, err = fmt.Fprintf(out.err, "read up to %d; --from %d goes on\n", at, at+1)
		}
		return err
	})
}

func (c *eventsTailCmd) tail(ctx context.Context, l *logbook, w io.Writer) (domain.Position, error) {
	head, err := l.store.Head(ctx)
	if err != nil {
		return 0, err
	}
	at := head
	if c.From.given || !c.Follow {
		if at, err = l.before(ctx, c.From); err != nil {
			return 0, err
		}
	}
	for {
		until, over, err := c.until(ctx, l, head)
		if err != nil {
			return at, err
		}
		err = l.read(ctx, at, until, c.selection(), func(e eventcodec.Stored) error {
			if err := c.print(ctx, l, w, e); err != nil {
				return err
			}
			at = e.Position
			return nil
		})
		if err != nil {
			return at, err
		}
		if at = max(at, until); over || !c.Follow {
			return at, nil
		}
		if err := l.store.Wait(ctx, max(at, head)); err != nil {
			return at, err
		}
		if head, err = l.store.Head(ctx); err != nil {
			return at, err
		}
	}
}

func (c *eventsTailCmd) print(ctx context.Context, l *logbook, w io.Writer, e eventcodec.Stored) error {
	line, err := l.line(ctx, e, c.Open)
	if err == nil {
		_, err = w.Write(line)
	}
	return err
}

// line returns an event as a line of NDJSON, its personal text open if that is
// wanted.
func (l *logbook) line(ctx context.Context, e eventcodec.Stored, open bool) ([]byte, error) {
	envelope, err := e.Envelope()
	if err == nil && open {
		envelope.Data, err = l.codec.Disclose(ctx, e.Data)
	}
	if err != nil {
		return nil, err
	}
	return envelope.Line()
}

type eventsShowCmd struct {
	database
	Events []string `arg:"" name:"event" help:"A position of the log, or the id of an event."`
	Open   bool     `help:"Open sealed personal text, with the master key; text whose key is gone is null."`
}

// Run prints the events for people to read.
func (c *eventsShowCmd) Run(ctx context.Context, out output) error {
	return openLog(ctx, c.database, out, c.Open, func(l *logbook) error {
		for _, which := range c.Events {
			e, err := l.find(ctx, which)
			if err != nil {
				return err
			}
			line, err := l.line(ctx, e, c.Open)
			if err != nil {
				return err
			}
			if err := printIndented(out.out, line); err != nil {
				return err
			}
		}
		return nil
	})
}

// find returns the event at a position or with an id.
func (l *logbook) find(ctx context.Context, which string) (eventcodec.Stored, error) {
	n, err := strconv.ParseUint(which, 10, 63)
	if err != nil {
		e, ok, err := l.store.FindStored(ctx, which)
		if err == nil && !ok {
			err = errNoEvent("with the id " + which)
		}
		return e, err
	}
	page, err := l.store.ReadStored(ctx, domain.Position(max(n, 1)-1), domain.Position(n), eventcodec.Selection{}, 1)
	if err != nil {
		return eventcodec.Stored{}, err
	}
	if len(page.Events) == 0 {
		return eventcodec.Stored{}, errNoEvent("at the position " + which)
	}
	return page.Events[0], nil
}

func printIndented(w io.Writer, v json.RawMessage) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

type eventsStatsCmd struct {
	operating
	selecting
}

// counted is how much there is of one event type.
type counted struct {
	Type    string          `json:"type"`
	Events  int             `json:"events"`
	Bytes   int64           `json:"bytes"` // of data and metadata
	Streams int             `json:"streams"`
	First   domain.Position `json:"first"`
	Last    domain.Position `json:"last"`
	FirstAt time.Time       `json:"firstAt,omitzero"`
	LastAt  time.Time       `json:"lastAt,omitzero"`
	streams map[domain.StreamName]struct{}
}

func (n *counted) add(e eventcodec.Stored) {
	if n.Events == 0 {
		n.First, n.FirstAt, n.streams = e.Position, e.RecordedAt, map[domain.StreamName]struct{}{}
	}
	n.Events++
	n.Bytes += int64(len(e.Data) + len(e.Metadata))
	n.streams[e.Stream] = struct{}{}
	n.Streams, n.Last, n.LastAt = len(n.streams), e.Position, e.RecordedAt
}

// Run counts, and prints the most first and all together last.
func (c *eventsStatsCmd) Run(ctx context.Context, out output) error {
	return openLog(ctx, c.database, out, false, func(l *logbook) error {
		types, total := map[string]*counted{}, &counted{Type: "all"}
		err := c.each(ctx, l, func(e eventcodec.Stored) error {
			if types[e.Type] == nil {
				types[e.Type] = &counted{Type: e.Type}
			}
			types[e.Type].add(e)
			total.add(e)
			return nil
		})
		if err != nil {
			return err
		}
		all := make([]*counted, 0, len(types)+1)
		for _, n := range types {
			all = append(all, n)
		}
		slices.SortFunc(all, func(a, b *counted) int {
			if a.Events != b.Events {
				return b.Events - a.Events
			}
			return strings.Compare(a.Type, b.Type)
		})
		all = append(all, total)
		return c.say(out.out, all, func(w io.Writer) {
			line(w, "TYPE\tEVENTS\tSTREAMS\tSIZE\tFIRST\tLAST\tLAST AT")
			for _, n := range all {
				line(w, "%s\t%d\t%d\t%s\t%d\t%d\t%s", n.Type, n.Events, n.Streams, megabytes(n.Bytes), n.First, n.Last, n.lastAt())
			}
		})
	})
}

// lastAt returns when the last one was recorded, a dash where there is none.
func (n *counted) lastAt() string {
	if n.LastAt.IsZero() {
		return "-"
	}
	return n.LastAt.UTC().Format(time.RFC3339)
}

type eventsSchemaCmd struct {
	operating
	selecting
}

// Run surveys the log, and ends with status 1 when something is not read whole.
func (c *eventsSchemaCmd) Run(ctx context.Context, out output) error {
	return openLog(ctx, c.database, out, false, func(l *logbook) error {
		var survey eventcodec.Survey
		err := c.each(ctx, l, func(e eventcodec.Stored) error {
			survey.Add(e)
			return nil
		})
		if err != nil {
			return err
		}
		types := survey.Types()
		if err := c.say(out.out, types, func(w io.Writer) { tellSchema(w, types) }); err != nil {
			return err
		}
		for _, t := range types {
			if t.Broken != nil {
				return errFound
			}
		}
		return nil
	})
}

func tellSchema(w io.Writer, types []eventcodec.SurveyedType) {
	line(w, "TYPE\tPATH\tKINDS\tFIRST\tLAST\tNULL")
	for _, t := range types {
		line(w, "%s\t%d events\t\t%d\t%d\t", t.Type, t.Events, t.First, t.Last)
		for _, p := range t.Paths {
			lost := ""
			if p.Lost {
				lost = "  NOT READ"
			}
			line(w, "\t%s\t%s\t%d\t%d\t%.0f %%%s", p.Path, strings.Join(p.Kinds, ", "), p.First, p.Last, 100*p.NullRate, lost)
		}
		if b := t.Broken; b != nil {
			line(w, "\tNOT READ: %d events, first %d: %s\t\t\t\t", b.Events, b.First, b.Why)
		}
	}
}
