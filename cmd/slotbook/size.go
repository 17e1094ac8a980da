package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/slotbook/slotbook/adapters/postgres"
)

type sizeCmd struct{ operating }

// sized is how large a store is, as the program says it.
type sized struct {
	postgres.Sizes
	EventsPerDay float64    `json:"eventsPerDay,omitempty"`
	BytesPerDay  float64    `json:"bytesPerDay,omitempty"` // of everything, read models included
	Free         *int64     `json:"freeBytes,omitempty"`   // absent where it cannot be seen from here
	FullAt       *time.Time `json:"fullAt,omitempty"`      // at this pace; absent where nobody can tell
}

// Run says how large everything is, and when the disk will be full.
func (c *sizeCmd) Run(ctx context.Context, out output) (err error) {
	if err := c.here("slotbook size", "KurrentDB says itself what it takes"); err != nil {
		return err
	}
	url, done, err := c.find(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	pool, err := postgres.Pool(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := hasLog(ctx, pool); err != nil {
		return err
	}
	now := time.Now().UTC()
	sizes, err := postgres.Measure(ctx, pool, now)
	if err != nil {
		return err
	}
	s := sized{Sizes: sizes}
	if left, known := freeFor(ctx, pool); known {
		s.Free = &left
	}
	s.foretell(now)
	return c.say(out.out, s, s.tell)
}

// foretell says how much a day takes, with everything that is made of its events,
// and when nothing will be left.
func (s *sized) foretell(now time.Time) {
	var all int64
	for _, t := range s.Tables {
		if t.Schema == "slotbook" && t.Table == "events" {
			all = t.Rows
		}
	}
	if s.Days == 0 || all == 0 {
		return
	}
	s.EventsPerDay = float64(s.Events) / s.Days
	s.BytesPerDay = s.EventsPerDay * float64(s.Bytes) / float64(all)
	const century = 100 * 365
	if s.Free == nil || s.BytesPerDay == 0 {
		return
	}
	if days := float64(*s.Free) / s.BytesPerDay; days < century {
		at := now.Add(time.Duration(days * 24 * float64(time.Hour))).Truncate(time.Hour)
		s.FullAt = &at
	}
}

func (s sized) tell(w io.Writer) {
	line(w, "SCHEMA\tTABLE\tROWS\tSIZE\tWORTH")
	for _, t := range s.Tables {
		line(w, "%s\t%s\t%d\t%s\t%s", t.Schema, t.Table, t.Rows, megabytes(t.Bytes), t.Worth)
	}
	line(w, "database\t\t\t%s", megabytes(s.Bytes))
	growth := "the log is younger than a day: how it grows cannot be told"
	if s.Days > 0 {
		growth = fmt.Sprintf("%.0f events and %s a day, in the last %.0f days", s.EventsPerDay, megabytes(int64(s.BytesPerDay)), s.Days)
	}
	line(w, "growth\t%s", growth)
	switch {
	case s.Free == nil:
		line(w, "free\tcannot be seen from this machine")
	case s.FullAt != nil:
		line(w, "free\t%s: full on %s at this pace", megabytes(*s.Free), s.FullAt.Format(time.DateOnly))
	default:
		line(w, "free\t%s", megabytes(*s.Free))
	}
}
