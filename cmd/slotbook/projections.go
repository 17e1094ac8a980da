package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/operations"
)

type projectionsCmd struct {
	List     projectionsListCmd     `cmd:"" help:"List the read models, their versions and their tables."`
	Status   projectionsStatusCmd   `cmd:"" help:"Say how far every read model is, who keeps it, and what is parked."`
	Rebuild  projectionsRebuildCmd  `cmd:"" help:"Fold the whole log anew beside the live tables, then put the new ones in their place."`
	Verify   projectionsVerifyCmd   `cmd:"" help:"Prove that tables are what the log makes of them; exit status 1 when they are not."`
	Rollback projectionsRollbackCmd `cmd:"" help:"Put the tables that the last rebuild has replaced in place again, after they have caught up."`
	Abandon  projectionsAbandonCmd  `cmd:"" help:"Drop what a rebuild that was interrupted has made so far; the live tables stay."`
	Pause    projectionsPauseCmd    `cmd:"" help:"Keep read models where they are."`
	Resume   projectionsResumeCmd   `cmd:"" help:"Let read models move again."`
	Parked   projectionsParkedCmd   `cmd:"" help:"What could not be folded: list, show, retry, discard."`
}

// operating is what every command on read models shares.
type operating struct {
	database
	JSON bool `help:"Answer, and tell progress, as JSON."`
}

// open puts the program together over the database that is there, and hands its
// desk to use.
func (c *operating) open(ctx context.Context, out output, use func(a *app) error) error {
	return c.prepared(ctx, func(url string) error { return c.over(ctx, url, out, use) })
}

func (c *operating) over(ctx context.Context, url string, out output, use func(a *app) error) (err error) {
	made := c.keyless()
	master, err := c.masterKey()
	if err != nil {
		return err
	}
	defer func() { err = c.unmade(made, err) }()
	a, err := newApp(ctx, appConfig{url: url, eventStore: c.EventStore, masterKey: master, logger: out.logger()})
	if err != nil {
		return err
	}
	defer a.close()
	return use(a)
}

// say answers with a table for people, or with JSON.
func (c *operating) say(w io.Writer, answer any, table func(w io.Writer)) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(answer)
	}
	lines := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	table(lines)
	return lines.Flush()
}

// line writes one line of a table. What cannot be written is found at the end,
// by the flush.
func line(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }

type projectionsListCmd struct{ operating }

// Run lists the read models.
func (c *projectionsListCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		statuses, err := a.desk.Status(ctx)
		if err != nil {
			return err
		}
		type entry struct {
			Model   string   `json:"model"`
			Version int      `json:"version"`
			Schema  string   `json:"schema"`
			Tables  []string `json:"tables"`
		}
		entries := make([]entry, len(statuses))
		for i, s := range statuses {
			tables, _, err := a.engine.Tables(s.Model)
			if err != nil {
				return err
			}
			entries[i] = entry{s.Model, s.Version, fmt.Sprintf("%s_v%d", s.Model, s.Version), tables}
		}
		return c.say(out.out, entries, func(w io.Writer) {
			line(w, "MODEL\tSCHEMA\tTABLES")
			for _, e := range entries {
				line(w, "%s\t%s\t%v", e.Model, e.Schema, e.Tables)
			}
		})
	})
}

type projectionsStatusCmd struct{ operating }

// standing is how a read model is doing, as the program says it.
type standing struct {
	Model      string     `json:"model"`
	Version    int        `json:"version"`
	Position   uint64     `json:"position"`
	Head       uint64     `json:"head"`
	Behind     uint64     `json:"behind"`
	LagSeconds float64    `json:"lagSeconds"`
	Owner      string     `json:"owner,omitempty"`
	Parked     int        `json:"parked"`
	Paused     *time.Time `json:"pausedAt,omitempty"`
	Previous   bool       `json:"rollbackPossible"`
	Rebuild    string     `json:"rebuild,omitempty"` // why it has to be
	Stopped    string     `json:"stopped,omitempty"`
	Begun      *begun     `json:"rebuildBegun,omitempty"`
}

// begun is a rebuild that has begun beside the live tables and has not ended.
type begun struct {
	Position uint64 `json:"position"` // its tables hold every event up to here
	Running  bool   `json:"running"`  // a process is at it
}

func standingOf(s engine.Status) standing {
	st := standing{
		Model: s.Model, Version: s.Version, Position: uint64(s.Position), Head: uint64(s.Head), Behind: s.Behind,
		LagSeconds: s.Lag.Seconds(), Owner: s.Owner, Parked: s.Parked, Previous: s.Previous, Rebuild: s.Rebuild, Stopped: s.Stopped,
	}
	if !s.Paused.IsZero() {
		st.Paused = &s.Paused
	}
	if s.Next != nil {
		st.Begun = &begun{uint64(s.Next.Position), s.Next.Running}
	}
	return st
}

// state says in a word what a read model is doing.
func (s standing) state() string {
	switch {
	case s.Rebuild != "":
		return "rebuild it: " + s.Rebuild
	case s.Paused != nil:
		return "paused"
	case s.Stopped != "":
		return "stopped: a newer version is running"
	case s.Owner == "":
		return "kept by nobody"
	case s.Behind > 0:
		return "catching up"
	}
	return "current"
}

// unfinished says how far a rebuild is that has begun, and what to do about it.
func (s standing) unfinished() string {
	if s.Begun.Running {
		return fmt.Sprintf("a rebuild of %s (version %d) is at position %d of %d", s.Model, s.Version, s.Begun.Position, s.Head)
	}
	return fmt.Sprintf("a rebuild of %[1]s (version %[2]d) was interrupted at position %[3]d of %[4]d: slotbook projections rebuild %[1]s goes on, slotbook projections abandon %[1]s drops it",
		s.Model, s.Version, s.Begun.Position, s.Head)
}

// Run says how the read models are doing.
func (c *projectionsStatusCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		statuses, err := a.desk.Status(ctx)
		if err != nil {
			return err
		}
		all := make([]standing, len(statuses))
		for i, s := range statuses {
			all[i] = standingOf(s)
		}
		return c.say(out.out, all, func(w io.Writer) {
			line(w, "MODEL\tVERSION\tPOSITION\tBEHIND\tLAG\tPARKED\tROLLBACK\tSTATE")
			for _, s := range all {
				lag := time.Duration(s.LagSeconds * float64(time.Second)).Round(time.Millisecond)
				line(w, "%s\t%d\t%d\t%d\t%v\t%d\t%t\t%s", s.Model, s.Version, s.Position, s.Behind, lag, s.Parked, s.Previous, s.state())
			}
			for _, s := range all {
				if s.Begun != nil {
					line(w, "%s", s.unfinished())
				}
			}
		})
	})
}

// choosing is an order's choice of read models.
type choosing struct {
	Names []string `arg:"" optional:"" name:"name" help:"Read models; slotbook projections list names them." placeholder:"NAME"`
	All   bool     `help:"All of them."`
}

func (c choosing) models(a *app) ([]string, error) {
	switch {
	case c.All && len(c.Names) == 0:
		return a.models(), nil
	case c.All, len(c.Names) == 0:
		return nil, usageError{errors.New("name read models, or say --all")}
	}
	for _, name := range c.Names {
		if !slices.Contains(a.models(), name) {
			return nil, usageError{fmt.Errorf("there is no read model %q; slotbook projections list names them", name)}
		}
	}
	return c.Names, nil
}

// do does what is ordered, with progress.
func (c *operating) do(ctx context.Context, a *app, out output, o operations.Order) (operations.Outcome, error) {
	p := newProgress(out.err, string(o.Kind), c.JSON, len(o.Models))
	defer p.end()
	return a.desk.Do(ctx, o, p.tell)
}

type projectionsRebuildCmd struct {
	operating
	choosing
	KeepParked bool `help:"Go on past what cannot be folded, and park it, instead of stopping there."`
	Plan       bool `help:"Only say what it would take."`
}

// planned is a plan as the program says it.
type planned struct {
	Model           string  `json:"model"`
	Version         int     `json:"version"`
	From            uint64  `json:"from"`
	Head            uint64  `json:"head"`
	Bytes           int64   `json:"bytes"`
	ExpectedSeconds float64 `json:"expectedSeconds,omitempty"`
}

// Run says what a rebuild will take, and rebuilds.
func (c *projectionsRebuildCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		models, err := c.models(a)
		if err != nil {
			return err
		}
		plans, planning := a.desk.Plan(ctx, models...)
		if planning != nil && !errors.Is(planning, operations.ErrDisk) {
			return planning
		}
		if err := c.tellPlans(out.err, plans); err != nil || planning != nil || c.Plan {
			return errors.Join(err, planning)
		}
		began := time.Now()
		o := operations.Order{Kind: operations.Rebuild, Models: models, KeepParked: c.KeepParked}
		if _, err := c.do(ctx, a, out, o); err != nil {
			return err
		}
		answer := map[string]any{"rebuilt": models, "seconds": time.Since(began).Seconds()}
		return c.say(out.out, answer, func(w io.Writer) {
			line(w, "rebuilt %s in %v", strings.Join(models, ", "), time.Since(began).Round(time.Millisecond))
		})
	})
}

func (c *projectionsRebuildCmd) tellPlans(w io.Writer, plans []engine.Plan) error {
	all := make([]planned, len(plans))
	for i, p := range plans {
		all[i] = planned{p.Model, p.Version, uint64(p.From), uint64(p.Head), p.Bytes, p.Expected.Seconds()}
	}
	return c.say(w, all, func(w io.Writer) {
		line(w, "MODEL\tEVENTS\tEXPECTED\tDISK")
		for i, p := range plans {
			expected := "unknown before the first"
			if p.Expected > 0 {
				expected = p.Expected.Round(100 * time.Millisecond).String()
			}
			line(w, "%s\t%d\t%s\t%s", p.Model, p.Head-min(p.From, p.Head), expected, megabytes(all[i].Bytes))
		}
	})
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

type projectionsVerifyCmd struct {
	operating
	choosing
}

// verified is a report as the program says it.
type verified struct {
	Model    string          `json:"model"`
	Version  int             `json:"version"`
	Position uint64          `json:"position"`
	Tables   []verifiedTable `json:"tables"`
	Parked   []engine.Parked `json:"parked"`
}

type verifiedTable struct {
	Table  string   `json:"table"`
	Rows   int64    `json:"rows"`
	Same   bool     `json:"same"`
	Differ []string `json:"differ,omitempty"` // keys of rows
}

func verifiedOf(r engine.Report) verified {
	v := verified{Model: r.Model, Version: r.Version, Position: uint64(r.Position), Parked: r.Parked}
	for _, t := range r.Tables {
		v.Tables = append(v.Tables, verifiedTable{t.Table, t.Live.Rows, t.Live == t.Fresh, t.Rows})
	}
	return v
}

// Run verifies, and ends with status 1 when a table differs or something is parked.
func (c *projectionsVerifyCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		models, err := c.models(a)
		if err != nil {
			return err
		}
		outcome, err := c.do(ctx, a, out, operations.Order{Kind: operations.Verify, Models: models})
		if err != nil {
			return err
		}
		all := make([]verified, len(outcome.Reports))
		for i, r := range outcome.Reports {
			all[i] = verifiedOf(r)
		}
		if err := c.say(out.out, all, func(w io.Writer) { tellReports(w, all) }); err != nil {
			return err
		}
		if !outcome.Clean() {
			return errFound
		}
		return nil
	})
}

func tellReports(w io.Writer, all []verified) {
	for _, r := range all {
		for _, t := range r.Tables {
			verdict := "is what the log makes of it"
			if !t.Same {
				verdict = "DIFFERS"
			}
			line(w, "%s v%d\t%s\t%d rows\tat %d\t%s", r.Model, r.Version, t.Table, t.Rows, r.Position, verdict)
			for _, key := range t.Differ {
				line(w, "\t\t\t\trow %s", key)
			}
		}
		for _, p := range r.Parked {
			line(w, "%s v%d\t%s\tparked\tat %d\t%s: %s", r.Model, r.Version, p.Table, p.Position, p.Key, p.Error)
		}
	}
}

type projectionsRollbackCmd struct {
	operating
	Name string `arg:"" help:"The read model."`
}

// Run rolls back.
func (c *projectionsRollbackCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		models, err := choosing{Names: []string{c.Name}}.models(a)
		if err != nil {
			return err
		}
		if _, err := c.do(ctx, a, out, operations.Order{Kind: operations.Rollback, Models: models}); err != nil {
			return err
		}
		return c.say(out.out, map[string]any{"rolledBack": c.Name}, func(w io.Writer) {
			line(w, "%s is what it was before the last rebuild, and current; a second rollback undoes this one", c.Name)
		})
	})
}

type projectionsAbandonCmd struct {
	operating
	choosing
}

// Run drops rebuilds that were interrupted.
func (c *projectionsAbandonCmd) Run(ctx context.Context, out output) error {
	return c.change(ctx, out, c.choosing, "abandoned", func(a *app, models []string) error { return a.desk.Abandon(ctx, models...) })
}

type projectionsPauseCmd struct {
	operating
	choosing
}

// Run pauses.
func (c *projectionsPauseCmd) Run(ctx context.Context, out output) error {
	return c.change(ctx, out, c.choosing, "paused", func(a *app, models []string) error { return a.desk.Pause(ctx, models...) })
}

type projectionsResumeCmd struct {
	operating
	choosing
}

// Run resumes.
func (c *projectionsResumeCmd) Run(ctx context.Context, out output) error {
	return c.change(ctx, out, c.choosing, "resumed", func(a *app, models []string) error { return a.desk.Resume(ctx, models...) })
}

func (c *operating) change(ctx context.Context, out output, which choosing, what string, do func(a *app, models []string) error) error {
	return c.open(ctx, out, func(a *app) error {
		models, err := which.models(a)
		if err != nil {
			return err
		}
		if err := do(a, models); err != nil {
			return err
		}
		return c.say(out.out, map[string]any{what: models}, func(w io.Writer) { line(w, "%s: %v", what, models) })
	})
}
