package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/pgembed"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

type doctorCmd struct{ operating }

// Run looks at everything, and ends with status 1 when something is wrong. It
// changes nothing.
func (c *doctorCmd) Run(ctx context.Context, out output) error {
	all := []postgres.Finding{{Area: "program", Check: "version", State: postgres.OK, Text: version()}}
	all = append(all, c.configuration()...)
	all = append(all, c.data(ctx, out)...)
	if err := c.say(out.out, all, func(w io.Writer) { tellFindings(w, all) }); err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(f postgres.Finding) bool { return f.State == postgres.Wrong }) {
		return errFound
	}
	return nil
}

func tellFindings(w io.Writer, all []postgres.Finding) {
	count := map[postgres.State]int{}
	for _, f := range all {
		count[f.State]++
		mark := string(f.State)
		if f.State == postgres.Wrong {
			mark = "WRONG"
		}
		line(w, "%s\t%s\t%s\t%s", mark, f.Area, f.Check, f.Text)
		if f.Do != "" {
			line(w, "\t\t\t-> %s", f.Do)
		}
	}
	line(w, "%d wrong, %d could be better, %d fine", count[postgres.Wrong], count[postgres.Note], count[postgres.OK])
}

// configuration looks at what the program was told.
func (c *doctorCmd) configuration() []postgres.Finding {
	const area = "configuration"
	var all []postgres.Finding
	say := func(check string, state postgres.State, text, do string) {
		all = append(all, postgres.Finding{Area: area, Check: check, State: state, Text: text, Do: do})
	}
	where := c.DatabaseURL
	if where == "" {
		where = "the embedded PostgreSQL in " + c.DataDir
	} else {
		where = withoutPassword(where)
	}
	say("database", postgres.OK, where, "")
	info, err := os.Stat(c.keyPath())
	switch {
	case err == nil && info.Mode().Perm()&0o077 != 0:
		say("key file", postgres.Wrong, c.keyPath()+" can be read by others", "run: chmod 600 "+c.keyPath())
	case err == nil && c.MasterKey != "":
		say("key file", postgres.Note, "SLOTBOOK_MASTER_KEY is in force, and there is a key file, too, in "+c.DataDir, "keep the one that is in force, and a copy of it elsewhere")
	case err == nil:
		say("key file", postgres.OK, c.keyPath(), "")
	case !errors.Is(err, os.ErrNotExist):
		say("key file", postgres.Wrong, sentence(err), "let this user read it")
	case c.MasterKey == "":
		say("key file", postgres.Note, "there is none in "+c.DataDir, "slotbook serve makes one; where the store has been used already, give the master key that it was used with")
	}
	if _, err := c.knownKey(); err != nil {
		say("master key", postgres.Wrong, sentence(err), "give the 64 hexadecimal digits that the store was first used with")
	}
	return all
}

// withoutPassword returns an address that may be shown.
func withoutPassword(address string) string {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return "an address that cannot be read"
	}
	conn := config.ConnConfig
	return fmt.Sprintf("%s at %s:%d as %s", conn.Database, conn.Host, conn.Port, conn.User)
}

// data looks at the database, if it can be had, and at what is in it.
func (c *doctorCmd) data(ctx context.Context, out output) []postgres.Finding {
	url, done, err := c.find(ctx)
	if err != nil {
		return []postgres.Finding{{Area: "server", Check: "connection", State: postgres.Wrong, Text: sentence(err), Do: "run slotbook serve once, or give SLOTBOOK_DATABASE_URL"}}
	}
	defer func() { _ = done() }() // it was only looked at
	all := postgres.Examine(ctx, url, c.DatabaseURL == "")
	fits := slices.ContainsFunc(all, func(f postgres.Finding) bool {
		return f.Area == "schema" && f.Check == "version" && f.State == postgres.OK
	})
	if !fits {
		return all // what is in it cannot be read by this program
	}
	more, err := c.contents(ctx, url, out)
	if err != nil {
		more = append(more, postgres.Finding{Area: "store", Check: "question", State: postgres.Wrong, Text: sentence(err), Do: "find out why the database does not answer this"})
	}
	return append(all, more...)
}

// contents looks at the store and its read models.
func (c *doctorCmd) contents(ctx context.Context, url string, out output) ([]postgres.Finding, error) {
	pool, err := postgres.Pool(ctx, url)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	store, err := openEventStore(ctx, c.EventStore, false, pool, eventcodec.New(nil), out.logger())
	if err != nil {
		return nil, err
	}
	defer closeEventStore(store)
	identity, err := store.Identity(ctx)
	if err != nil {
		return nil, err
	}
	head, err := store.Head(ctx)
	if err != nil {
		return nil, err
	}
	all := []postgres.Finding{{
		Area: "store", Check: "identity", State: postgres.OK,
		Text: fmt.Sprintf("%s, epoch %s since %s, last position %d", identity.ID, identity.Epoch, identity.Since.Format(time.RFC3339), head),
	}}
	if c.elsewhere() {
		all = append(all, elsewhereFindings()...)
	}
	key, err := c.fits(ctx, pool)
	if err != nil {
		return all, err
	}
	all = append(all, key)
	e := engine.New(engine.Config{
		Pool: pool, Log: store, Models: projections.All(nil, nil), Epoch: identity.Epoch, Owner: owner(), Now: time.Now, Logger: out.logger(),
	})
	models, err := readModelFindings(ctx, pool, e)
	if err != nil {
		return all, err
	}
	disk, err := diskFinding(ctx, pool)
	return append(append(all, models...), disk), err
}

// elsewhereFindings says what works only where the events are in PostgreSQL.
func elsewhereFindings() []postgres.Finding {
	const area = "store"
	return []postgres.Finding{
		{Area: area, Check: "appends", State: postgres.OK, Text: "events are in KurrentDB: bookings go step by step, and whoever meets one that was interrupted finishes or undoes it"},
		{Area: area, Check: "analytics", State: postgres.Note, Text: "the schema analytics has the facts, and no events: they are not in this database", Do: "for SQL over events: slotbook events export"},
		{Area: area, Check: "instants", State: postgres.Note, Text: "KurrentDB has no index of times and ids: the first question about a past instant in a process, and events show by id, read the log"},
		{Area: area, Check: "backup", State: postgres.Note, Text: "slotbook backup, restore and size see PostgreSQL only", Do: "back up KurrentDB by its own means, and PostgreSQL by its own, in this order"},
	}
}

// fits says whether the master key at hand is the store's.
func (c *doctorCmd) fits(ctx context.Context, pool *pgxpool.Pool) (postgres.Finding, error) {
	f := postgres.Finding{Area: "store", Check: "master key"}
	check, err := postgres.KeyCheck(ctx, pool)
	if err != nil {
		return f, err
	}
	master, err := c.knownKey()
	f.Do = "give the master key that the store was first used with, as SLOTBOOK_MASTER_KEY or in " + c.keyPath()
	switch {
	case len(check) == 0:
		f.State, f.Text, f.Do = postgres.OK, "nothing was sealed yet", ""
	case err != nil || master == nil:
		f.State, f.Text = postgres.Wrong, "it is not here: personal text is closed"
	case !postgres.Opens(master, check):
		f.State, f.Text = postgres.Wrong, fingerprint(master)+" is at hand, and is not the store's: personal text is closed"
	default:
		f.State, f.Text, f.Do = postgres.OK, fingerprint(master)+" fits", ""
	}
	return f, nil
}

// readModelFindings looks at every read model that this program has.
func readModelFindings(ctx context.Context, pool *pgxpool.Pool, e *engine.Engine) ([]postgres.Finding, error) {
	const area = "read models"
	var all []postgres.Finding
	for _, m := range projections.All(nil, nil) {
		var there bool
		err := pool.QueryRow(ctx, "select exists (select from slotbook.projection_checkpoint where schema = $1)", m.Schema()).Scan(&there)
		if err != nil {
			return all, err
		}
		if !there {
			all = append(all, postgres.Finding{Area: area, Check: m.Name, State: postgres.Wrong, Text: m.Schema() + " was never made", Do: "run slotbook serve, which makes and fills it"})
		}
	}
	if len(all) > 0 {
		return all, nil // the rest has no status yet
	}
	statuses, err := e.Status(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range statuses {
		should, have, err := e.Indexes(ctx, s.Model)
		if err != nil {
			return all, err
		}
		all = append(all, modelFinding(s, should-have))
	}
	left, err := e.Left(ctx)
	if err == nil && len(left) > 0 {
		all = append(all, postgres.Finding{
			Area: area, Check: "tables left", State: postgres.Note, Text: strings.Join(left, ", "),
			Do: "unless a build is under way, or somebody wants to look into them, run for each: drop schema ... cascade, and delete its row of slotbook.projection_checkpoint",
		})
	}
	return all, err
}

// modelFinding says how a read model is, the worst first.
func modelFinding(s engine.Status, indexes int) postgres.Finding {
	f := postgres.Finding{Area: "read models", Check: s.Model, State: postgres.Wrong}
	rebuild := "run: slotbook projections rebuild " + s.Model
	switch {
	case s.Rebuild != "":
		f.Text, f.Do = s.Rebuild, rebuild
	case indexes > 0:
		f.Text, f.Do = fmt.Sprintf("%d of its indexes are missing", indexes), rebuild
	case s.Parked > 0:
		f.Text = fmt.Sprintf("%d rows or streams are parked", s.Parked)
		f.Do = "see slotbook projections parked list " + s.Model + ", mend the cause, and run: slotbook projections parked retry " + s.Model
	case !s.Paused.IsZero():
		f.State, f.Text = postgres.Note, "paused since "+s.Paused.Format(time.RFC3339)
		f.Do = "run: slotbook projections resume " + s.Model
	case s.Behind > readyBehind && s.Owner != "":
		f.Text, f.Do = fmt.Sprintf("%d positions behind, kept by %s", s.Behind, s.Owner), "look into the log of that process, and whether the database has the means"
	case s.Behind > 0 && s.Owner == "":
		f.State, f.Text, f.Do = postgres.Note, fmt.Sprintf("%d positions behind, and nobody keeps it", s.Behind), "start slotbook serve"
	default:
		f.State, f.Text = postgres.OK, fmt.Sprintf("at position %d, %d behind", s.Position, s.Behind)
	}
	return f
}

// leastFree is how much of the disk is to be free, in bytes.
const leastFree = 1 << 30

// diskFinding compares what is free with what there is.
func diskFinding(ctx context.Context, pool *pgxpool.Pool) (postgres.Finding, error) {
	f := postgres.Finding{Area: "disk", Check: "free"}
	var size int64
	if err := pool.QueryRow(ctx, "select pg_database_size(current_database())").Scan(&size); err != nil {
		return f, err
	}
	left, known := freeFor(ctx, pool)
	text := fmt.Sprintf("%s are free, the database has %s", megabytes(left), megabytes(size))
	switch {
	case !known:
		f.State, f.Text = postgres.Note, "the database has "+megabytes(size)+"; what is free on its disk cannot be seen from here"
		f.Do = "watch the disk of the database's machine"
	case left < leastFree:
		f.State, f.Text, f.Do = postgres.Wrong, text, "make room before the database stops; slotbook size says when that will be"
	case left < size:
		f.State, f.Text, f.Do = postgres.Note, text, "a rebuild of everything takes as much as the read models have; slotbook size says how fast the disk fills"
	default:
		f.State, f.Text = postgres.OK, text
	}
	return f, nil
}

// freeFor returns what the database's disk has left, where that is on this machine.
func freeFor(ctx context.Context, pool *pgxpool.Pool) (int64, bool) {
	var folder string
	if err := pool.QueryRow(ctx, "select current_setting('data_directory')").Scan(&folder); err != nil {
		return 0, false // who may not see it is told nothing
	}
	room, known := pgembed.RoomFor(folder)
	return int64(room), known //nolint:gosec // disks are smaller
}
