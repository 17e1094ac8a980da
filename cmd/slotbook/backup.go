package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/slotbook/slotbook/adapters/archive"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

type backupCmd struct {
	operating
	File     string `arg:"" help:"The file to write. One that exists is left alone." placeholder:"FILE"`
	WithKeys bool   `name:"with-keys" help:"Put the master key into the file, too. Whoever has the file can read everything then."`
}

// Run writes a backup.
func (c *backupCmd) Run(ctx context.Context, out output) (err error) {
	if err := c.here("slotbook backup", "back up KurrentDB by its own means, and PostgreSQL with pg_dump"); err != nil {
		return err
	}
	url, done, err := c.find(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := holdsEvents(ctx, url); err != nil {
		return err
	}
	master, err := c.knownKey()
	if err != nil {
		return err
	}
	w, err := archive.Create(c.File)
	if err != nil {
		return usageError{err}
	}
	began := time.Now()
	var saved archive.Manifest
	var size int64
	err = postgres.TakeSnapshot(ctx, url, func(s *postgres.Snapshot) error {
		saved, err = c.manifest(s, master, began)
		if err != nil {
			return err
		}
		return copyTables(ctx, s, w, newProgress(out.err, "backup", c.JSON, 1))
	})
	if err != nil {
		w.Abort()
		return fmt.Errorf("nothing was saved: %w", err)
	}
	if size, saved, err = w.Commit(saved); err != nil {
		return fmt.Errorf("nothing was saved: %w", err)
	}
	return c.report(out.out, saved, size, time.Since(began))
}

// manifest says what is to be saved. It refuses a master key that is asked for and
// is not the store's.
func (c *backupCmd) manifest(s *postgres.Snapshot, master []byte, at time.Time) (archive.Manifest, error) {
	m := archive.Manifest{
		Program: version(), TakenAt: at.UTC(), Schema: s.Schema, Store: s.ID, Epoch: s.Epoch,
		Position: uint64(s.Position), Floor: uint64(s.Floor), Keys: archive.Keys{Check: s.KeyCheck},
	}
	fits := master != nil && (len(s.KeyCheck) == 0 || postgres.Opens(master, s.KeyCheck))
	switch {
	case fits:
		m.Keys.Fingerprint = fingerprint(master)
	case c.WithKeys && master == nil:
		return m, usageError{errors.New("--with-keys: the master key is not here; give SLOTBOOK_MASTER_KEY, or the data folder with the key file")}
	case c.WithKeys:
		return m, usageError{errors.New("--with-keys: the master key at hand is not the one of this store")}
	}
	if c.WithKeys {
		m.Keys.Master = hex.EncodeToString(master)
	}
	return m, nil
}

// copyTables copies every table, with progress by rows.
func copyTables(ctx context.Context, s *postgres.Snapshot, w *archive.Writer, p *progress) error {
	defer p.end()
	all := rowCount{progress: p, what: "backup"}
	for _, t := range s.Tables {
		all.target += t.Rows
	}
	for _, t := range s.Tables {
		err := w.Table(t.Name, t.Columns, func(rows io.Writer) error {
			return s.Copy(ctx, t, io.MultiWriter(rows, &all))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rowCount tells progress by the rows that pass.
type rowCount struct {
	progress  *progress
	what      string
	at        int64
	untold    int
	target    int64
	beganTold bool
}

// Write counts rows: every one ends in a line feed.
func (r *rowCount) Write(p []byte) (int, error) {
	n := bytes.Count(p, []byte{'\n'})
	r.at += int64(n)
	r.untold += n
	const often = 1000
	if r.untold >= often || r.at >= r.target || !r.beganTold {
		r.beganTold = true
		r.progress.tell(engine.Progress{
			Model: r.what, Position: domain.Position(r.at), Target: domain.Position(r.target), Events: r.untold, //nolint:gosec // not negative
		})
		r.untold = 0
	}
	return len(p), nil
}

func (c *backupCmd) report(w io.Writer, m archive.Manifest, size int64, took time.Duration) error {
	answer := map[string]any{"file": c.File, "bytes": size, "seconds": took.Seconds(), "manifest": withoutKey(m)}
	return c.say(w, answer, func(w io.Writer) {
		line(w, "saved\t%s\t%s in %v", c.File, megabytes(size), took.Round(time.Millisecond))
		line(w, "store\t%s\tup to position %d", m.Store, m.Position)
		for _, t := range m.Tables {
			line(w, "table\t%s\t%d rows", t.Name, t.Rows)
		}
		switch {
		case m.Keys.Master != "":
			line(w, "master key\t%s\tis in the file: whoever has the file can read everything", m.Keys.Fingerprint)
		case m.Keys.Fingerprint != "":
			line(w, "master key\t%s\tis NOT in the file: keep it elsewhere, personal text is lost without it", m.Keys.Fingerprint)
		default:
			line(w, "master key\tunknown\tis NOT in the file, nor was it at hand: keep it elsewhere, personal text is lost without it")
		}
	})
}

// withoutKey returns what may be shown of a manifest.
func withoutKey(m archive.Manifest) archive.Manifest {
	m.Keys.Master, m.Keys.Check = "", nil
	return m
}
