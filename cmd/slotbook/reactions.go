package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/reactions"
)

type reactionsCmd struct {
	List    reactionsListCmd    `cmd:"" help:"Say how far every reaction is, who runs it, and what is parked."`
	Parked  reactionsParkedCmd  `cmd:"" help:"List the events that a reaction could not handle, however often it tried."`
	Retry   reactionsRetryCmd   `cmd:"" help:"Have parked events tried again by the process that runs the reaction."`
	Discard reactionsDiscardCmd `cmd:"" help:"Forget that an event is parked: the reaction never sees it again."`
	Move    reactionsMoveCmd    `cmd:"" help:"Have a reaction go on elsewhere in the log."`
	Forget  reactionsForgetCmd  `cmd:"" help:"Forget a reaction that was switched off: where it was, and what it has parked."`
}

// reacting is how a reaction is doing, as the program says it.
type reacting struct {
	Name     string    `json:"name"`
	Position uint64    `json:"position"`
	Head     uint64    `json:"head"`
	Owner    string    `json:"owner,omitempty"`
	Parked   int       `json:"parked"`
	MovedAt  time.Time `json:"movedAt"`
	Refused  string    `json:"refused,omitempty"` // why it does not run
}

// state says in a word what a reaction is doing.
func (r reacting) state() string {
	switch {
	case r.Refused != "":
		return "refused: " + r.Refused
	case r.Owner == "":
		return "run by nobody"
	}
	return "running"
}

type reactionsListCmd struct{ operating }

// Run says how the reactions are doing.
func (c *reactionsListCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		standings, err := a.reactions.List(ctx)
		if err != nil {
			return err
		}
		all := make([]reacting, len(standings))
		for i, s := range standings {
			all[i] = reacting{s.Name, uint64(s.Position), uint64(s.Head), s.Owner, s.Parked, s.MovedAt.UTC(), s.Refused}
		}
		return c.say(out.out, all, func(w io.Writer) {
			line(w, "REACTION\tPOSITION\tHEAD\tPARKED\tSTATE")
			for _, r := range all {
				line(w, "%s\t%d\t%d\t%d\t%s", r.Name, r.Position, r.Head, r.Parked, r.state())
			}
		})
	})
}

// parkedEvent is an event that a reaction could not handle, as the program says
// it.
type parkedEvent struct {
	Reaction string            `json:"reaction"`
	Event    string            `json:"event"`
	Stream   domain.StreamName `json:"stream"`
	Type     string            `json:"type"`
	Position uint64            `json:"position"`
	Error    string            `json:"error"`
	Tries    int               `json:"tries"`
	ParkedAt time.Time         `json:"parkedAt"`
	RetryAt  *time.Time        `json:"retryAt,omitempty"`
}

type reactionsParkedCmd struct {
	operating
	Name string `arg:"" optional:"" help:"The reaction; all, if there is none." placeholder:"NAME"`
}

// Run lists what is parked.
func (c *reactionsParkedCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		parked, err := a.reactions.Parked(ctx, c.Name)
		if err != nil {
			return known(err)
		}
		all := make([]parkedEvent, len(parked))
		for i, p := range parked {
			all[i] = parkedEvent{p.Reaction, p.Event, p.Stream, p.Type, uint64(p.Position), p.Error, p.Tries, p.ParkedAt.UTC(), p.RetryAt}
		}
		return c.say(out.out, all, func(w io.Writer) {
			if len(all) == 0 {
				line(w, "nothing is parked")
				return
			}
			line(w, "REACTION\tEVENT\tTYPE\tSTREAM\tPOSITION\tTRIES\tERROR")
			for _, p := range all {
				line(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s", p.Reaction, p.Event, p.Type, p.Stream, p.Position, p.Tries, oneLine(p.Error))
			}
		})
	})
}

// oneLine puts an error on one line.
func oneLine(text string) string { return sentence(errors.New(text)) }

// known says of an unknown name what it is.
func known(err error) error {
	if rule := domain.RuleOf(err); rule != nil && rule.Kind != domain.Unavailable && rule.Kind != domain.Internal {
		return usageError{fmt.Errorf("%w; slotbook reactions list names them", err)}
	}
	return err
}

// parkedArgs names what a reaction has parked.
type parkedArgs struct {
	Name   string   `arg:"" help:"The reaction."`
	Events []string `arg:"" optional:"" help:"Ids of events." placeholder:"EVENT"`
	All    bool     `help:"Everything that the reaction has parked."`
}

// check refuses what is not clear.
func (c *parkedArgs) check() error {
	if c.All == (len(c.Events) > 0) {
		return usageError{errors.New("name events, or say --all; slotbook reactions parked lists them")}
	}
	return nil
}

type reactionsRetryCmd struct {
	operating
	parkedArgs
}

// Run asks for another try.
func (c *reactionsRetryCmd) Run(ctx context.Context, out output) error {
	if err := c.check(); err != nil {
		return err
	}
	return c.open(ctx, out, func(a *app) error {
		n, err := a.reactions.Retry(ctx, c.Name, c.Events...)
		if err != nil {
			return known(err)
		}
		return c.say(out.out, map[string]any{"retrying": n}, func(w io.Writer) {
			line(w, "%d asked for: the process that runs %s tries within seconds; what fails again stays in slotbook reactions parked", n, c.Name)
		})
	})
}

type reactionsDiscardCmd struct {
	operating
	parkedArgs
}

// Run forgets.
func (c *reactionsDiscardCmd) Run(ctx context.Context, out output) error {
	if err := c.check(); err != nil {
		return err
	}
	return c.open(ctx, out, func(a *app) error {
		n, err := a.reactions.Discard(ctx, c.Name, c.Events...)
		if err != nil {
			return known(err)
		}
		return c.say(out.out, map[string]any{"discarded": n}, func(w io.Writer) { line(w, "%d discarded", n) })
	})
}

type reactionsForgetCmd struct {
	operating
	Name string `arg:"" help:"The reaction."`
}

// Run forgets.
func (c *reactionsForgetCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		if err := a.reactions.Forget(ctx, c.Name); errors.Is(err, reactions.ErrRunning) {
			return usageError{err}
		} else if err != nil {
			return known(err)
		}
		return c.say(out.out, map[string]any{"forgotten": c.Name}, func(w io.Writer) { line(w, "%s is forgotten; should it run again, it is new", c.Name) })
	})
}

type reactionsMoveCmd struct {
	operating
	Name string `arg:"" help:"The reaction."`
	To   string `required:"" help:"head: with what is recorded from now on; beginning: with the first event; or after a position. Going back, it gets events again." placeholder:"head|beginning|POSITION"`
}

// Run moves.
func (c *reactionsMoveCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		to, err := c.position(ctx, a)
		if err != nil {
			return err
		}
		err = a.reactions.Move(ctx, c.Name, to)
		if errors.Is(err, reactions.ErrBeyond) {
			return usageError{err}
		}
		if err != nil {
			return known(err)
		}
		return c.say(out.out, map[string]any{"position": uint64(to)}, func(w io.Writer) { line(w, "%s goes on after position %d", c.Name, to) })
	})
}

func (c *reactionsMoveCmd) position(ctx context.Context, a *app) (domain.Position, error) {
	switch c.To {
	case "head":
		return a.store.Head(ctx)
	case "beginning":
		return 0, nil
	}
	n, err := strconv.ParseUint(c.To, 10, 63)
	if err != nil {
		return 0, usageError{fmt.Errorf("--to: %q is neither head nor beginning nor a position", c.To)}
	}
	return domain.Position(n), nil
}
