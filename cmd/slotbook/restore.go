package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/slotbook/slotbook/adapters/archive"
	"github.com/slotbook/slotbook/adapters/pgembed"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/domain"
)

type restoreCmd struct {
	operating
	File  string `arg:"" help:"The backup." placeholder:"FILE"`
	Above uint64 `help:"The last position that anybody has seen of what was lost, where that is known: what comes next lies above it. A million positions are left out at least." placeholder:"POSITION"`
}

// restored is what a restore did, as the program says it.
type restored struct {
	postgres.Identity
	File     string    `json:"file"`
	TakenAt  time.Time `json:"takenAt"`
	Position uint64    `json:"position"`
	Floor    uint64    `json:"floor"` // every later event comes above it
	Rows     int64     `json:"rows"`
	Key      string    `json:"masterKey"` // here, restored, missing, other
	KeyName  string    `json:"keyFingerprint,omitempty"`
	KeyFile  string    `json:"keyFile,omitempty"`
	Seconds  float64   `json:"seconds"`
}

// Run proves the file, loads it, and says what is left to do.
func (c *restoreCmd) Run(ctx context.Context, out output) (err error) {
	if err := c.here("slotbook restore", "restore KurrentDB by its own means, then slotbook store renew"); err != nil {
		return err
	}
	began := time.Now()
	file, err := archive.Open(c.File)
	if err != nil {
		return usageError{err}
	}
	defer func() { _ = file.Close() }() // it was only read
	if err := file.Prove(ctx); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	key, err := c.key(file.Manifest.Keys)
	if err != nil {
		return err
	}
	url, done, err := c.target(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	r, err := c.load(ctx, url, file, newProgress(out.err, "restore", c.JSON, 1))
	if err != nil {
		return err
	}
	r.Key, r.KeyName, r.KeyFile = key, file.Manifest.Keys.Fingerprint, c.keyPath()
	if key == keyRestored {
		if err := c.putKey(file.Manifest.Keys.Master); err != nil {
			return fmt.Errorf("everything was restored but the master key, which is in the manifest of the file: %w", err)
		}
	}
	r.Seconds = time.Since(began).Seconds()
	return c.say(out.out, r, r.tell)
}

// Where the master key is that a backup needs.
const (
	keyHere     = "here"
	keyRestored = "restored" // it was in the backup
	keyMissing  = "missing"
	keyOther    = "other" // the one at hand does not open anything
	keyUnneeded = "unneeded"
)

// key says where the master key is. A backup that brings one is refused where
// another is in use.
func (c *restoreCmd) key(k archive.Keys) (string, error) {
	have, err := c.knownKey()
	if err != nil {
		return "", err
	}
	switch {
	case have != nil && len(k.Check) > 0 && postgres.Opens(have, k.Check):
		return keyHere, nil
	case have != nil && k.Master != "" && k.Master != hex.EncodeToString(have):
		return "", usageError{errors.New("the backup has a master key in it, and another one is in use here: leave SLOTBOOK_MASTER_KEY away and choose a data folder without a key file")}
	case have == nil && k.Master != "":
		return keyRestored, nil
	case len(k.Check) == 0:
		return keyUnneeded, nil
	case have == nil:
		return keyMissing, nil
	}
	return keyOther, nil
}

func (c *restoreCmd) putKey(text string) error {
	key, err := parseKey(text)
	if err != nil {
		return err
	}
	if err := makeFolder(c.DataDir); err != nil {
		return err
	}
	return c.writeKey(key)
}

// target returns the address of the database to restore into, which fits and is
// not migrated, and what to call when it is not needed any more.
func (c *restoreCmd) target(ctx context.Context) (url string, done func() error, err error) {
	if c.DatabaseURL != "" {
		url, done = c.DatabaseURL, func() error { return nil }
	} else {
		if err := makeFolder(c.DataDir); err != nil {
			return "", nil, usageError{err}
		}
		server, err := pgembed.Open(ctx, pgembed.Config{Folder: filepath.Join(c.DataDir, "postgres")})
		if err != nil {
			return "", nil, usageError{err}
		}
		if err := createDatabase(ctx, server.URL("postgres")); err != nil {
			return "", nil, errors.Join(usageError{err}, server.Close())
		}
		url, done = server.URL(databaseName), server.Close
	}
	if err := postgres.Check(ctx, url); err != nil {
		return "", nil, errors.Join(usageError{err}, done())
	}
	return url, done, nil
}

func (c *restoreCmd) load(ctx context.Context, url string, file *archive.Reader, p *progress) (restored, error) {
	defer p.end()
	m := file.Manifest
	all := rowCount{progress: p, what: "restore"}
	for _, t := range m.Tables {
		all.target += t.Rows
	}
	from := postgres.Saved{Store: m.Store, Schema: m.Schema, Seen: domain.Position(max(m.Position, m.Floor, c.Above))}
	identity, floor, err := postgres.Restore(ctx, url, from, func(l *postgres.Loading) error {
		return file.Tables(func(t archive.Table, rows io.Reader) error {
			return l.Copy(ctx, t.Name, t.Columns, io.TeeReader(rows, &all))
		})
	})
	if errors.Is(err, postgres.ErrNotEmpty) {
		err = usageError{err}
	}
	if err != nil {
		return restored{}, err
	}
	return restored{Identity: identity, File: c.File, TakenAt: m.TakenAt, Position: m.Position, Floor: uint64(floor), Rows: all.target}, nil
}

func (r restored) tell(w io.Writer) {
	line(w, "restored\t%d rows up to position %d, as of %s", r.Rows, r.Position, r.TakenAt.Format(time.RFC3339))
	line(w, "store\t%s", r.ID)
	line(w, "epoch\t%s\tis new: cursors and read models of before are refused", r.Epoch)
	line(w, "positions\tgo on above %d", r.Floor)
	line(w, "read models\tare built by slotbook serve, or by slotbook projections rebuild --all")
	switch r.Key {
	case keyHere:
		line(w, "master key\tis here")
	case keyRestored:
		line(w, "master key\twas in the backup, and is in %s now", r.KeyFile)
	case keyMissing, keyOther:
		which := "the master key"
		if r.KeyName != "" {
			which += " " + r.KeyName
		}
		not := "is not here"
		if r.Key == keyOther {
			not = "is not the one at hand"
		}
		line(w, "master key\t%s %s: personal text stays closed, and slotbook serve does not begin, until it is given", which, not)
		line(w, "\tas SLOTBOOK_MASTER_KEY, or in %s; slotbook audit works without it", r.KeyFile)
	}
}
