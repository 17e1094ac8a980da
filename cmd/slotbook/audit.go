package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/audit"
)

type auditCmd struct {
	database
	Demo bool `help:"The log is of a made-up year or a clock moved by hand: do not compare deadlines with the time of recording."`
}

// Run audits the log up to where it ends now.
func (c *auditCmd) Run(ctx context.Context, out output) (err error) {
	url, done, err := c.find(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := postgres.Check(ctx, url); err != nil {
		return usageError{err}
	}
	pool, err := postgres.Pool(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := hasLog(ctx, pool); err != nil {
		return err
	}
	sealed := eventcodec.New(nil) // nothing personal is opened
	store, err := postgres.New(postgres.Config{Pool: pool, Codec: sealed, Logger: out.logger()})
	if err != nil {
		return err
	}
	auditor, err := auditLog(ctx, store, c.Demo)
	if err != nil {
		return err
	}
	return report(out.out, auditor)
}

// hasLog refuses a database that Slotbook has never used: an empty proof would
// be no proof.
func hasLog(ctx context.Context, pool *pgxpool.Pool) error {
	var there bool
	if err := pool.QueryRow(ctx, `select to_regclass('slotbook.events') is not null`).Scan(&there); err != nil {
		return err
	}
	if !there {
		return usageError{errors.New("the database holds no Slotbook log")}
	}
	return nil
}

// auditLog reads the whole log. With otherTime deadlines are not compared with
// the time of recording.
func auditLog(ctx context.Context, store *postgres.Store, otherTime bool) (*audit.Auditor, error) {
	head, err := store.Head(ctx)
	if err != nil {
		return nil, err
	}
	auditor := audit.New()
	auditor.OtherTime = otherTime
	for at := domain.Position(0); at < head; {
		page, err := store.ReadAll(ctx, at, domain.Filter{}, 5000)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Events {
			auditor.Add(r)
		}
		at = page.Next
	}
	return auditor, nil
}

// report prints the findings with their evidence, or that there are none.
func report(w io.Writer, a *audit.Auditor) error {
	for _, f := range a.Findings() {
		if _, err := fmt.Fprintf(w, "%s  %s\n", f.Invariant, f.Text); err != nil {
			return err
		}
		for _, e := range f.Evidence {
			if _, err := fmt.Fprintf(w, "      position %d  %s revision %d  %s\n", e.Position, e.Stream, e.Revision, e.Type); err != nil {
				return err
			}
		}
	}
	if n := len(a.Findings()); n > 0 {
		_, _ = fmt.Fprintf(w, "%d findings in %d events\n", n, a.Events())
		if late := a.Late(); late > 0 {
			_, _ = fmt.Fprintf(w, "%d of them compare a deadline with the time of recording: audit a made-up year, or a clock moved by hand, with --demo\n", late)
		}
		return errFound
	}
	_, err := fmt.Fprintf(w, "I1 to I5 hold: %d events, %d live appointments\n", a.Events(), a.Live())
	return err
}
