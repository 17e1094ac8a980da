package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/adapters/pgembed"
	"github.com/slotbook/slotbook/adapters/postgres"
)

// sizes says how much is measured. They do not depend on the machine.
type sizes struct {
	appending time.Duration // one run of appends or inserts
	held      time.Duration // how long the snapshot stays open
	booking   time.Duration // one run of bookings, at most
	bookings  int           // in one run, at most
	pacing    time.Duration // the open loop
	days      int           // of the history that is projected
	noon      int           // days of the history that is rebuilt at noon
	openers   int           // practitioners whose days are opened
	asking    time.Duration // one run of a query
	load      load          // what is searched
	crowd     load          // what is searched by practitioners alone
}

func (o options) sizes() sizes {
	if o.quick {
		const moment = 200 * time.Millisecond
		return sizes{
			appending: moment, held: time.Second, booking: moment, bookings: 500, pacing: time.Second, days: 2, noon: 2, openers: 40,
			asking: moment / 20, load: loadOf(200), crowd: crowdOf(2000),
		}
	}
	const enough = 1500 * time.Millisecond
	s := sizes{
		appending: 900 * time.Millisecond, held: 30 * time.Second, booking: enough, bookings: 5000, pacing: 6 * time.Second, days: 12, noon: 15, openers: 450,
		asking: enough / 6, load: loadOf(2000), crowd: crowdOf(100_000),
	}
	if o.full {
		s.asking, s.load, s.crowd, s.noon = enough, loadOf(20_000), crowdOf(1_000_000), 245 // days of noon: 1,000,000 events
	}
	return s
}

// group is the rows that are measured together.
type group struct {
	name    string
	rows    []string
	measure func(ctx context.Context, b *bench) ([]row, error)
	large   bool // it takes long: it is left out of a usual run unless its rows are asked for
}

func groups() []group {
	return []group{
		{name: "appends", rows: []string{rowAppends, rowAppendsAlone}, measure: measureAppends},
		{name: "snapshot", rows: []string{rowSnapshot}, measure: measureSnapshot},
		{name: "bookings", rows: []string{rowBookings, rowBookingsOne, rowPaced50, rowPaced99, rowLive50, rowLive99}, measure: measureBookings},
		{name: "protocol", rows: []string{rowProtocol}, measure: measureProtocol},
		{name: "reactions", rows: []string{rowReaction50, rowReaction99}, measure: measureReactions},
		{name: "projections", rows: []string{rowCatchUp, rowRebuild}, measure: measureProjections},
		{name: "noon", rows: noonRows(), measure: measureNoon, large: true},
		{name: "opening", rows: []string{rowOpening, rowOpeningAgain}, measure: measureOpening},
		{name: "queries", rows: rowsOf((&asking{}).queries(), ""), measure: measureQueries},
		{name: "crowd", rows: rowsOf((&asking{}).searches(), crowded), measure: measureCrowd, large: true},
	}
}

// bench is one run of the program.
type bench struct {
	options
	sizes
	folder string // temporary, and open to the user that PostgreSQL runs as
	server *pgembed.Server
	out    io.Writer
}

// measureAll measures the chosen rows and reports whether none missed its bound.
func measureAll(ctx context.Context, o options, out io.Writer) (ok bool, err error) {
	b := &bench{options: o, sizes: o.sizes(), out: out}
	closed, err := b.open(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, closed()) }()
	if err := b.header(ctx); err != nil {
		return false, err
	}
	var all []row
	for _, g := range groups() {
		measured, err := b.group(ctx, g)
		if err != nil {
			return false, fmt.Errorf("%s: %w", g.name, err)
		}
		all = append(all, measured...)
	}
	missed := slices.ContainsFunc(all, row.misses)
	return !missed || o.quick, write("bench.json", all)
}

// group measures a group's rows, if any is chosen, and prints the chosen ones.
func (b *bench) group(ctx context.Context, g group) ([]row, error) {
	if !slices.ContainsFunc(g.rows, b.rows.MatchString) || g.large && !b.full && !b.quick && b.rows.String() == "" {
		return nil, nil
	}
	stop, err := b.profiled(g.name)
	if err != nil {
		return nil, err
	}
	measured, err := g.measure(ctx, b)
	if err := errors.Join(err, stop()); err != nil {
		return nil, err
	}
	measured = slices.DeleteFunc(measured, func(r row) bool { return !b.rows.MatchString(r.Name) })
	for _, r := range measured {
		if _, err := fmt.Fprintln(b.out, r.line(b.quick)); err != nil {
			return nil, err
		}
	}
	return measured, nil
}

// profiled starts a CPU profile of this process, if one is wanted.
func (b *bench) profiled(name string) (stop func() error, err error) {
	if b.profile == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(b.profile, 0o755); err != nil { //nolint:gosec // nothing in it is secret
		return nil, err
	}
	file, err := os.Create(filepath.Join(b.profile, name+".pprof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}

// open starts PostgreSQL. What it returns stops it and removes its files.
func (b *bench) open(ctx context.Context) (closed func() error, err error) {
	if b.folder, err = os.MkdirTemp("", "slotbook-bench-"); err != nil {
		return nil, err
	}
	remove := func() error { return os.RemoveAll(b.folder) }
	if err := os.Chmod(b.folder, 0o755); err != nil { //nolint:gosec // PostgreSQL may run as another user
		return nil, errors.Join(err, remove())
	}
	b.server, err = pgembed.Open(ctx, pgembed.Config{Folder: filepath.Join(b.folder, "postgres"), Settings: serverSettings(b.folder)})
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	closed = func() error { return errors.Join(b.server.Close(), remove()) }
	if err := b.age(ctx); err != nil {
		return nil, errors.Join(err, closed())
	}
	return closed, nil
}

// age gives the server what one that has run for a while has: files of its log
// that it uses again instead of filling new ones with zeros. No checkpoint
// follows until the end, so that all that is measured starts equal.
func (b *bench) age(ctx context.Context) error {
	segments := 64 // of 16 MiB
	if b.quick {
		segments = 8
	}
	conn, err := pgx.Connect(ctx, b.server.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing depends on its end
	for range segments {
		if _, err := conn.Exec(ctx, "select pg_current_xact_id(), pg_switch_wal()"); err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, "checkpoint")
	return err
}

// serverSettings keep what a server does by the clock out of the short runs:
// checkpoints, and new files for its log. They are the same for everybody, and
// commits are durable.
func serverSettings(folder string) map[string]string {
	settings := map[string]string{
		"fsync": "on", "synchronous_commit": "on",
		"shared_buffers": "512MB", "max_connections": "300", "checkpoint_timeout": "30min",
	}
	if room, _ := pgembed.RoomFor(folder); room >= 20<<30 {
		settings["max_wal_size"], settings["min_wal_size"] = "8GB", "4GB"
	}
	return settings
}

// database makes a database with Slotbook's schema and returns its address.
func (b *bench) database(ctx context.Context, name string) (string, error) {
	conn, err := pgx.Connect(ctx, b.server.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing depends on its end
	if _, err := conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", err
	}
	return b.server.URL(name), postgres.Migrate(ctx, b.server.URL(name))
}

// header says what is measured, and on what.
func (b *bench) header(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, b.server.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing depends on its end
	var version string
	if err := conn.QueryRow(ctx, "show server_version").Scan(&version); err != nil {
		return err
	}
	_, err = fmt.Fprintf(b.out, `PostgreSQL %s (fsync and synchronous_commit on), %s, %d processors; %d rounds
  appends      events of about 300 B on streams of their own, runs of %v; snapshot open for %v
  bookings     runs of at most %d bookings and %v, each with a slot, a patient and a key of its own; open loop of %v
  reactions    one consumer with 8 lanes; %d events/s in an open loop
  projections  %s
  noon         %s; %d bookings/s meanwhile
  opening      %d days of %d practitioners, %d slots a day
  queries      of %v; %d clients
  crowd        %v
`, version, runtime.Version(), runtime.NumCPU(), b.rounds, b.appending, b.held, b.bookings, b.booking, b.pacing, reactingPace, historyOf(b.days), historyOf(b.noon), noonPace, openedDays, b.openers, slotsPerDay,
		b.load, askers, b.crowd)
	return err
}
