package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/slotbook/slotbook/commands/whatif"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/projections/engine"
)

type whatIfCmd struct {
	operating
	Policy string `required:"" type:"existingfile" help:"What would have been different: a JSON file, see docs/whatif.md." placeholder:"FILE"`
	From   string `help:"When the period begins, such as 2026-01-31 (in UTC) or 2026-01-31T08:00:00Z; empty = with the log." placeholder:"TIME"`
	To     string `help:"When it ends; empty = with the log." placeholder:"TIME"`
}

// Run replays what was wanted in a period under other terms. It reads only.
func (c *whatIfCmd) Run(ctx context.Context, out output) error {
	config, err := c.config()
	if err != nil {
		return usageError{err}
	}
	return openLog(ctx, c.database, out, false, func(l *logbook) error { // nothing personal is opened
		report, err := c.replay(ctx, l.store, config, out)
		if unusable(err) {
			return usageError{err}
		}
		if err != nil {
			return err
		}
		return c.say(out.out, showWhatIf(report), func(w io.Writer) { printWhatIf(w, report) })
	})
}

// unusable reports whether what was asked for makes no sense: a rule refuses it,
// or there is nothing to replay.
func unusable(err error) bool {
	rule := domain.RuleOf(err)
	return rule != nil && rule.Kind != domain.Unavailable && rule.Kind != domain.Internal ||
		errors.Is(err, whatif.ErrNothing) || errors.Is(err, whatif.ErrUnknown) || errors.Is(err, whatif.ErrPeriod)
}

// config reads what the flags say.
func (c *whatIfCmd) config() (whatif.Config, error) {
	change, err := readChange(c.Policy)
	if err != nil {
		return whatif.Config{}, err
	}
	config := whatif.Config{Change: change}
	for _, flag := range []struct {
		name, text string
		to         *time.Time
	}{{"--from", c.From, &config.From}, {"--to", c.To, &config.To}} {
		if flag.text == "" {
			continue
		}
		if *flag.to, err = parseInstant(flag.text); err != nil {
			return config, fmt.Errorf("%s: %w", flag.name, err)
		}
	}
	if !config.From.IsZero() && !config.To.IsZero() && !config.From.Before(config.To) {
		return config, whatif.ErrPeriod
	}
	return config, nil
}

// parseInstant reads a date, which begins in UTC, or an instant.
func parseInstant(text string) (time.Time, error) {
	if day, err := domain.ParseDay(text); err == nil {
		return day.Start(), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%q is neither a date such as 2026-01-31 nor an instant such as 2026-01-31T08:00:00Z", text)
	}
	return t.UTC(), nil
}

// replay runs the replay over a log that it can only read.
func (c *whatIfCmd) replay(ctx context.Context, store eventStore, config whatif.Config, out output) (whatif.Report, error) {
	storing, stop := context.WithCancel(ctx)
	running := start(make(chan error, 1), func() error { return store.Run(storing) })
	defer func() { stop(); <-running }()
	p := newProgress(out.err, "what if", c.JSON, 1)
	defer p.end()
	var last domain.Position
	config.Log = store
	config.Progress = func(at, head domain.Position) {
		p.tell(engine.Progress{Model: "what if", Position: at, Target: head, Events: int(at - last)}) //nolint:gosec // a page fits
		last = at
	}
	return whatif.Run(ctx, config)
}

// shownReport is a report as machines read it. Times on offer, taken and waited
// are in minutes.
type shownReport struct {
	From     time.Time       `json:"from"`
	To       time.Time       `json:"to"`
	Events   int             `json:"events"`
	Clinics  []shownClinic   `json:"clinics"`
	Drift    shownDrift      `json:"drift"`
	Replayed whatif.Replayed `json:"replayed"`
	Limits   []string        `json:"limits"`
}

type shownClinic struct {
	Clinic domain.ClinicID `json:"clinic"`
	Name   string          `json:"name"`
	Real   shownFigures    `json:"real"`
	AsWas  shownFigures    `json:"replayedWithoutChange"`
	WhatIf shownFigures    `json:"whatIf"`
}

type shownFigures struct {
	Booked         int            `json:"booked"`
	Refused        int            `json:"refused"`
	RefusedByRule  map[string]int `json:"refusedByRule"`
	Lapsed         int            `json:"lapsed"`
	Declined       int            `json:"declined"`
	Cancelled      int            `json:"cancelled"`
	Moved          int            `json:"moved"`
	NoShows        int            `json:"noShows"`
	Displaced      int            `json:"displaced"`
	OfferedMinutes float64        `json:"offeredMinutes"`
	IdleMinutes    float64        `json:"idleMinutes"`
	Fill           float64        `json:"fill"`
	WaitMean       float64        `json:"waitMeanMinutes"`
	WaitMedian     float64        `json:"waitMedianMinutes"`
	WaitP90        float64        `json:"waitP90Minutes"`
}

type shownDrift struct {
	Compared    int                 `json:"compared"`
	Different   int                 `json:"different"`
	Differences map[string]int      `json:"differences"`
	Examples    []whatif.Difference `json:"examples"`
}

func showWhatIf(r whatif.Report) shownReport {
	shown := shownReport{
		From: r.From, To: r.To, Events: r.Events, Replayed: r.Replayed, Limits: limits(), Clinics: make([]shownClinic, len(r.Clinics)),
		Drift: shownDrift{r.Drift.Compared, r.Drift.Total(), r.Drift.Differences, r.Drift.Examples},
	}
	for i, c := range r.Clinics {
		shown.Clinics[i] = shownClinic{c.ID, c.Name, showFigures(c.Real), showFigures(c.AsWas), showFigures(c.WhatIf)}
	}
	return shown
}

func showFigures(f whatif.Figures) shownFigures {
	rounded := func(d time.Duration) float64 { return math.Round(d.Minutes()*10) / 10 }
	return shownFigures{
		Booked: f.Booked, Refused: f.AllRefused(), RefusedByRule: f.Refused, Lapsed: f.Lapsed, Declined: f.Declined, Cancelled: f.Cancelled,
		Moved: f.Moved, NoShows: f.NoShows, Displaced: f.Displaced, OfferedMinutes: rounded(f.Offered), IdleMinutes: rounded(f.Idle()),
		Fill: math.Round(f.Fill()*1e4) / 1e4, WaitMean: rounded(f.Waits.Mean), WaitMedian: rounded(f.Waits.Median), WaitP90: rounded(f.Waits.P90),
	}
}

// limits says what a replay does not know.
func limits() []string {
	return []string{
		"searches that ended without a request are not in the log",
		"people do what they did: who is refused here does not try again, and who is met here is there at the time of the visit",
		"refusals that depend on whose wish it was stay refusals, unless the limit of patients that refused them is higher",
	}
}

// printWhatIf prints a table for each clinic.
func printWhatIf(w io.Writer, r whatif.Report) {
	line(w, "from %s to %s: %d events", r.From.Format(time.RFC3339), r.To.Format(time.RFC3339), r.Events)
	for _, c := range r.Clinics {
		line(w, "")
		line(w, "%s\tREAL\tWHAT IF\tDIFFERENCE", nameOf(c))
		for _, row := range rowsOf(c) {
			line(w, "%s\t%s\t%s\t%s", row.what, row.number(row.was), row.number(row.is), row.difference())
		}
	}
	line(w, "")
	line(w, "error of the replay: without the change %d of %d steps end otherwise than they did", r.Drift.Total(), r.Drift.Compared)
	for _, kind := range slices.Sorted(maps.Keys(r.Drift.Differences)) {
		line(w, "  %d x %s", r.Drift.Differences[kind], kind)
	}
	line(w, "refused wishes: %d decided again, of which %d were met; %d taken for refused", r.Replayed.AskedAgain, r.Replayed.Granted, r.Replayed.Stood)
	line(w, "visits: %d at the nearest time of the day, the one wanted not being on offer; %d displaced by the change; %d that could not be cancelled",
		r.Replayed.Elsewhere, r.Replayed.Displaced, r.Replayed.NotCancelled)
	for _, limit := range limits() {
		line(w, "not known: %s", limit)
	}
}

func nameOf(c whatif.Clinic) string {
	if c.Name == "" {
		return clinic.Category + " " + string(c.ID)
	}
	return c.Name
}

// figure is a line of a table.
type figure struct {
	what    string
	was, is float64
	digits  int
}

func (f figure) number(v float64) string { return strconv.FormatFloat(v, 'f', f.digits, 64) }

func (f figure) difference() string {
	d := f.is - f.was
	switch text := f.number(d); {
	case f.number(math.Abs(d)) == f.number(0):
		return f.number(0)
	case d > 0:
		return "+" + text
	default:
		return text
	}
}

func rowsOf(c whatif.Clinic) []figure {
	was, is := c.Real, c.WhatIf
	count := func(what string, of func(whatif.Figures) int) figure {
		return figure{what, float64(of(was)), float64(of(is)), 0}
	}
	hours := func(what string, of func(whatif.Figures) time.Duration) figure {
		return figure{what, of(was).Hours(), of(is).Hours(), 1}
	}
	const percent = 100
	rows := []figure{
		count("booked or requested", func(f whatif.Figures) int { return f.Booked }),
		count("refused", whatif.Figures.AllRefused),
	}
	rules := map[string]bool{}
	for _, f := range []whatif.Figures{was, is} {
		for rule := range f.Refused {
			rules[rule] = true
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(rules)) {
		rows = append(rows, count("  "+rule, func(f whatif.Figures) int { return f.Refused[rule] }))
	}
	return append(rows,
		count("lapsed holds and requests", func(f whatif.Figures) int { return f.Lapsed }),
		count("declined", func(f whatif.Figures) int { return f.Declined }),
		count("cancelled", func(f whatif.Figures) int { return f.Cancelled }),
		count("moved", func(f whatif.Figures) int { return f.Moved }),
		count("no-shows", func(f whatif.Figures) int { return f.NoShows }),
		count("displaced", func(f whatif.Figures) int { return f.Displaced }),
		hours("on offer, hours", func(f whatif.Figures) time.Duration { return f.Offered }),
		hours("idle, hours", whatif.Figures.Idle),
		figure{"fill, %", percent * was.Fill(), percent * is.Fill(), 1},
		hours("wait for the visit, median, hours", func(f whatif.Figures) time.Duration { return f.Waits.Median }),
		hours("wait for the visit, 90 % within, hours", func(f whatif.Figures) time.Duration { return f.Waits.P90 }),
	)
}
