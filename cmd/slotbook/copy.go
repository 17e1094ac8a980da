package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/kurrent"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/transfer"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

type eventsCopyCmd struct {
	operating
	From   string `required:"" help:"Where the events are: postgres, which is the database, or the address of KurrentDB." placeholder:"postgres|ADDRESS"`
	To     string `required:"" help:"Where they are to be, the other of the two." placeholder:"postgres|ADDRESS"`
	Switch bool   `help:"Let the database belong to the target from then on. Before that every process is started again with --read-only, after it with the other --event-store."`
}

// copied is what a copy did, as the program says it.
type copied struct {
	transfer.Report
	Store    string `json:"store"` // of the target
	Switched bool   `json:"switched"`
}

// Run copies what the target lacks, proves that it is the same, and switches if it
// is asked to.
func (c *eventsCopyCmd) Run(ctx context.Context, out output) error {
	address, back := c.To, false
	if c.To == inPostgres {
		address, back = c.From, true
	}
	if (c.From == inPostgres) == (c.To == inPostgres) || !kurrent.Is(address) {
		return usageError{errors.New("one of --from and --to is postgres, and the other the address of KurrentDB")}
	}
	return c.prepared(ctx, func(url string) error { return c.run(ctx, url, address, back, out) })
}

func (c *eventsCopyCmd) run(ctx context.Context, url, address string, back bool, out output) error {
	pool, err := postgres.Pool(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	both, err := c.stores(pool, address, out)
	if err != nil {
		return err
	}
	defer both.there.Close()
	answer, err := both.copy(ctx, c, back, url, out)
	if err != nil {
		return err
	}
	return c.say(out.out, answer, answer.tell)
}

// twoStores are the stores of a copy.
type twoStores struct {
	pool  *pgxpool.Pool
	here  *postgres.Store
	there *kurrent.Store
}

func (c *eventsCopyCmd) stores(pool *pgxpool.Pool, address string, out output) (twoStores, error) {
	codec := eventcodec.New(nil) // nothing is encoded or opened
	here, err := postgres.New(postgres.Config{Pool: pool, Codec: codec, Logger: out.logger()})
	if err != nil {
		return twoStores{}, err
	}
	there, err := kurrent.New(kurrent.Config{Address: address, Codec: codec, Logger: out.logger()})
	if err != nil {
		return twoStores{}, usageError{err}
	}
	return twoStores{pool, here, there}, nil
}

func (s twoStores) copy(ctx context.Context, c *eventsCopyCmd, back bool, url string, out output) (copied, error) {
	identity, err := s.identity(ctx)
	if err != nil {
		return copied{}, err
	}
	if err := s.fits(ctx, back, identity.ID); err != nil {
		return copied{}, err
	}
	if err := s.apart(ctx, back); err != nil {
		return copied{}, err
	}
	p := newProgress(out.err, "copy", c.JSON, 1)
	config := transfer.Config{From: s.here, To: s.there, Progress: func(at, head domain.Position, events int) {
		p.tell(engine.Progress{Model: "copy", Position: at, Target: head, Events: events})
	}}
	if back {
		config.From, config.To = s.there, s.here
	}
	report, err := transfer.Run(ctx, config)
	p.end()
	if errors.Is(err, transfer.ErrDiffers) {
		err = usageError{err}
	}
	answer := copied{Report: report, Store: identity.ID}
	if err == nil && c.Switch {
		answer.Switched = true
		err = s.turn(ctx, back, identity.ID, url, report, config.From)
	}
	if err == nil && back {
		here, failed := s.here.Identity(ctx)
		answer.Store, err = here.ID, failed
	}
	return answer, err
}

// identity returns which store there is in KurrentDB. A new one has its positions
// above those of the database.
func (s twoStores) identity(ctx context.Context) (kurrent.Identity, error) {
	head, err := s.here.Head(ctx)
	if err != nil {
		return kurrent.Identity{}, err
	}
	return s.there.IdentityAbove(ctx, postgres.FloorAbove(head))
}

// errNotAbove refuses a target in which a position of the database might be that of
// another event.
var errNotAbove = errors.New("positions in that event store do not lie above all of the database's, as after an earlier move: name another streamPrefix, under which nothing is")

// apart lets positions in the target lie above all of the source's, or refuses a
// target in which they do not.
func (s twoStores) apart(ctx context.Context, back bool) error {
	if back {
		head, err := s.there.Head(ctx)
		if err != nil {
			return err
		}
		return s.here.Raise(ctx, head)
	}
	head, err := s.here.Head(ctx)
	if err == nil && s.there.Floor() < head {
		err = usageError{errNotAbove}
	}
	return err
}

// fits refuses a source that the database does not belong to.
func (s twoStores) fits(ctx context.Context, back bool, there string) error {
	belongs, err := postgres.Elsewhere(ctx, s.pool)
	switch {
	case err != nil:
		return err
	case back && belongs != there:
		return usageError{errors.New("the database does not belong to that event store: there is nothing to bring back")}
	case !back && belongs != "":
		return usageError{fmt.Errorf("the database belongs to the event store %s already", belongs)}
	}
	return nil
}

// turn lets the database belong to the target. The epoch of the log in the database
// changes in any case: a process that still runs on it says so, and takes no part.
func (s twoStores) turn(ctx context.Context, back bool, there, url string, report transfer.Report, from transfer.Source) error {
	if back {
		there = ""
	}
	if _, _, err := postgres.Renew(ctx, url, max(report.From, report.To)); err != nil { // first: who dies in between says it again
		return err
	}
	if err := postgres.Belong(ctx, s.pool, there); err != nil {
		return err
	}
	head, err := from.Head(ctx)
	if err == nil && head != report.From {
		err = fmt.Errorf("the database belongs to the target now, and somebody has written to the source since: %w", transfer.ErrGrows)
	}
	return err
}

func (r copied) tell(w io.Writer) {
	line(w, "copied\t%d events; %d in %d streams are the same in both", r.Copied, r.Events, r.Streams)
	line(w, "from\tposition %d\tto position %d", r.From, r.To)
	line(w, "store\t%s", r.Store)
	if r.Switched {
		line(w, "switched\tthe database belongs to the target: start every process with its --event-store")
		line(w, "read models\tare refused until slotbook projections rebuild --all")
		return
	}
	line(w, "next\tstart every process with --read-only, and run this again with --switch")
}
