package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/audit"
)

type auditCmd struct {
	database
	Demo   bool          `help:"The log is of a made-up year or a clock moved by hand: do not compare deadlines with the time of recording."`
	From   uint64        `help:"The first position to read. What began before is not judged then; the answer says what that means." placeholder:"POSITION"`
	To     uint64        `help:"The last position to read, instead of the end of the log." placeholder:"POSITION"`
	Follow bool          `help:"Go on as the log grows, until interrupted; findings are printed as they are found."`
	Every  time.Duration `default:"30s" help:"With --follow: how often to say that all is well." placeholder:"DURATION"`
	JSON   bool          `help:"Print every finding, and at the end what was proved, as one JSON object a line."`
}

// Run audits the log up to where it ends now, or for as long as it grows.
func (c *auditCmd) Run(ctx context.Context, out output) error {
	if err := c.check(); err != nil {
		return err
	}
	return openLog(ctx, c.database, out, false, func(l *logbook) error { // nothing personal is opened
		a := &auditing{auditCmd: *c, store: l.store, auditor: audit.New(), out: out.out, told: time.Now()}
		a.auditor.OtherTime, a.auditor.Partial = c.Demo, c.From > 1
		if err := a.read(ctx); err != nil {
			return err
		}
		return a.report()
	})
}

// check refuses what does not go together.
func (c *auditCmd) check() error {
	switch {
	case c.Follow && c.To > 0:
		return usageError{errors.New("--follow has no end: it does not go with --to")}
	case c.To > 0 && c.From > c.To:
		return usageError{errors.New("--from lies behind --to")}
	case c.Every <= 0:
		return usageError{errors.New("--every is a time such as 30s")}
	}
	return nil
}

// auditing is an audit under way.
type auditing struct {
	auditCmd
	store   eventStore
	auditor *audit.Auditor
	out     io.Writer
	at      domain.Position // read up to here
	printed int             // findings
	told    time.Time
}

// read reads what is to be read. An interrupt ends one that follows as it should.
func (a *auditing) read(ctx context.Context) error {
	const look = 500 * time.Millisecond
	if a.From > 1 {
		a.at = domain.Position(a.From - 1)
	}
	for {
		err := a.readOn(ctx)
		switch {
		case a.Follow && ctx.Err() != nil:
			return nil
		case err != nil || !a.Follow:
			return err
		}
		if err := a.beat(); err != nil {
			return err
		}
		if !pause(ctx, look) {
			return nil
		}
	}
}

// readOn reads to where the log ends now, or to the last position that is wanted.
func (a *auditing) readOn(ctx context.Context) error {
	to, err := a.store.Head(ctx)
	if err != nil {
		return err
	}
	if a.To > 0 {
		to = min(to, domain.Position(a.To))
	}
	for a.at < to {
		page, err := a.store.ReadAll(ctx, a.at, domain.Filter{}, 5000)
		if err != nil {
			return err
		}
		for _, r := range page.Events {
			if r.Position <= to {
				a.auditor.Add(r)
			}
		}
		a.at = min(page.Next, to)
	}
	return nil
}

// beat prints what was found since, and now and then that all is well.
func (a *auditing) beat() error {
	found := a.auditor.Since(a.printed)
	a.printed += len(found)
	if err := a.print(found); err != nil {
		return err
	}
	if time.Since(a.told) < a.Every {
		return nil
	}
	a.told = time.Now()
	if a.JSON {
		return json.NewEncoder(a.out).Encode(map[string]any{"position": a.at, "events": a.auditor.Events(), "findings": a.printed})
	}
	_, err := fmt.Fprintf(a.out, "position %d: %d events, %d live appointments, %d findings\n", a.at, a.auditor.Events(), a.auditor.Live(), a.printed)
	return err
}

// print prints findings with their evidence.
func (a *auditing) print(found []audit.Finding) error {
	for _, f := range found {
		if a.JSON {
			if err := json.NewEncoder(a.out).Encode(f); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(a.out, "%s  %s\n", f.Invariant, f.Text); err != nil {
			return err
		}
		for _, e := range f.Evidence {
			if _, err := fmt.Fprintf(a.out, "      position %d  %s revision %d  %s\n", e.Position, e.Stream, e.Revision, e.Type); err != nil {
				return err
			}
		}
	}
	return nil
}

// report prints what is left to print, and what was proved.
func (a *auditing) report() error {
	found := a.auditor.Findings()
	if err := a.print(found[a.printed:]); err != nil {
		return err
	}
	if err := a.conclude(len(found)); err != nil {
		return err
	}
	if len(found) > 0 {
		return errFound
	}
	return nil
}

func (a *auditing) conclude(found int) error {
	proved, open := a.scope()
	if a.JSON {
		return json.NewEncoder(a.out).Encode(map[string]any{
			"from": max(1, a.From), "to": a.at, "events": a.auditor.Events(), "liveAppointments": a.auditor.Live(), "findings": found,
			"late": a.auditor.Late(), "notJudged": a.auditor.Passed(), "proves": proved, "doesNotProve": open,
		})
	}
	var text strings.Builder
	if found > 0 {
		fmt.Fprintf(&text, "%d findings in %d events\n", found, a.auditor.Events())
		if late := a.auditor.Late(); late > 0 {
			fmt.Fprintf(&text, "%d of them compare a deadline with the time of recording: audit a made-up year, or a clock moved by hand, with --demo\n", late)
		}
	} else {
		verdict := "I1 to I5 hold"
		if a.From > 1 {
			verdict = "nothing was found"
		}
		fmt.Fprintf(&text, "%s: %d events, %d live appointments\n", verdict, a.auditor.Events(), a.auditor.Live())
	}
	if a.From > 1 || a.To > 0 {
		fmt.Fprintf(&text, "this proves: %s\n", proved)
	}
	if open != "" {
		fmt.Fprintf(&text, "it does not prove: %s\n", open)
	}
	_, err := io.WriteString(a.out, text.String())
	return err
}

// scope says what an audit without findings proves, and what it leaves open.
func (a *auditing) scope() (proved, open string) {
	switch {
	case a.From > 1:
		return fmt.Sprintf("what was proposed from position %d to %d breaks no rule by itself or with each other", a.From, a.at),
			fmt.Sprintf("anything about slots, appointments and series that began before position %d, nor that they leave room for what came later; %d times something was not judged for that", a.From, a.auditor.Passed())
	case a.To > 0:
		return fmt.Sprintf("the log holds up to position %d, as if it had ended there", a.at), "anything about what came later"
	}
	return "the whole log holds", ""
}
