// Command slotbook is a booking engine for clinics: commands come in over HTTP,
// events are kept in PostgreSQL, and read models answer what can be asked.
//
//	slotbook serve        the server
//	slotbook migrate      bring the database to this program's schema
//	slotbook audit        prove from the log that nobody got the same time twice
//	slotbook projections  read models: status, rebuild, verify, roll back
//	slotbook reactions    what reacts to events: how far it is, what it could not handle
//	slotbook asof         a read model as it was
//	slotbook diff         what has changed in a read model between two positions or times
//	slotbook whatif       what would have come of a period under other terms
//	slotbook backup       save everything precious in one file, while the server runs
//	slotbook restore      put a backup into an empty database
//	slotbook store        which store this is; begin another epoch of it
//	slotbook doctor       say what is wrong with the configuration, the server or the data
//	slotbook size         how large everything is, how it grows, when the disk is full
//	slotbook events       the log: tail, show, stats, schema
//	slotbook state        what was true of a stream at a time
//	slotbook reference    load what authorities say from files
//	slotbook version      what this program is
//
// It exits with 0 when all went well, 1 when something failed on the way or an
// audit found something, and 2 when it was told something that cannot work.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/google/uuid"
)

// cli is the command line. Every flag has a variable of the environment.
type cli struct {
	Serve       serveCmd       `cmd:"" help:"Run the server."`
	Migrate     migrateCmd     `cmd:"" help:"Bring the database to the schema that this program needs."`
	Audit       auditCmd       `cmd:"" help:"Prove from the log that nobody was given the same time twice."`
	Projections projectionsCmd `cmd:"" help:"Read models: list, status, rebuild, verify, rollback, pause, resume, parked."`
	Webhooks    webhooksCmd    `cmd:"" help:"Who is told of events: list, replay. The rest is under /v1/admin/webhooks."`
	Reactions   reactionsCmd   `cmd:"" help:"What reacts to events: list, parked, retry, discard, move, forget."`
	AsOf        asOfCmd        `cmd:"" name:"asof" help:"Print a read model as it was at a position of the log or a time, one JSON object a row."`
	Diff        diffCmd        `cmd:"" help:"Print the rows of a read model that differ between two positions of the log, or two times."`
	WhatIf      whatIfCmd      `cmd:"" name:"whatif" help:"Replay what was wanted in a period under other terms, beside what really came of it."`
	Backup      backupCmd      `cmd:"" help:"Save everything precious in one file, while the server runs."`
	Restore     restoreCmd     `cmd:"" help:"Put a backup into an empty database."`
	Store       storeCmd       `cmd:"" help:"Say which store this is, or begin another epoch of it."`
	Doctor      doctorCmd      `cmd:"" help:"Say what is wrong with the configuration, the database server or the data, and what to do about it; exit status 1 when something is."`
	Size        sizeCmd        `cmd:"" help:"Say how large everything is, how it grows, and when the disk will be full."`
	Events      eventsCmd      `cmd:"" help:"The log: tail, show, stats, schema."`
	State       stateCmd       `cmd:"" help:"Print what was true of a stream, at a time or a revision."`
	Reference   referenceCmd   `cmd:"" help:"Load what authorities say: specialties, qualifications, towns and districts."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

// usageError is one clear sentence about what the program was told; it ends
// the program with status 2.
type usageError struct{ err error }

// Error returns the sentence.
func (e usageError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e usageError) Unwrap() error { return e.err }

// errFound ends the program with status 1 and without a further word.
var errFound = errors.New("found")

func main() {
	uuid.EnableRandPool() // an event takes an id, and an id a call of the kernel else
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], output{os.Stdout, os.Stderr})
	stop()
	os.Exit(status)
}

// run is the program with its surroundings as parameters.
func run(ctx context.Context, args []string, out output) int {
	err := parseAndRun(ctx, args, out)
	usage, isUsage := errors.AsType[usageError](err)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFound):
		return 1
	case isUsage:
		_, _ = fmt.Fprintln(out.err, "slotbook: "+sentence(usage))
		return 2
	}
	_, _ = fmt.Fprintln(out.err, "slotbook: "+sentence(err))
	return 1
}

// sentence puts an error on one line.
func sentence(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func parseAndRun(ctx context.Context, args []string, out output) error {
	exited := false
	parser, err := kong.New(&cli{},
		kong.Name("slotbook"),
		kong.Description("An event-sourced booking engine for clinics."),
		kong.UsageOnError(),
		kong.Writers(out.out, out.err),
		kong.Exit(func(int) { exited = true }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(out),
		kong.Vars{"datadir": defaultDataDir()},
	)
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if exited {
		return nil // --help has been printed
	}
	if err != nil {
		return usageError{fmt.Errorf("%w; slotbook --help lists what there is", err)}
	}
	return parsed.Run()
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(out output) error {
	_, err := fmt.Fprintln(out.out, "slotbook "+version())
	return err
}

// version returns the module's version, or the commit of a build from source.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && info.Main.Version == "(devel)" {
			return s.Value
		}
	}
	return info.Main.Version
}
