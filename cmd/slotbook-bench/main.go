// Command slotbook-bench measures Slotbook against plain PostgreSQL on the same
// server, and says whether it is as fast as it has to be.
//
//	slotbook-bench              every row that does not take long, five rounds
//	slotbook-bench -quick       every row for a moment, to see that it works
//	slotbook-bench -full        every row; the searches in ten times as much and in a crowd, and the rebuild at noon of 1,000,000 events
//	slotbook-bench -rows HTTP   the rows whose name matches
//
// It starts a PostgreSQL of its own in a temporary folder, durable as in
// production, and one server process and one process of HTTP clients where a
// row needs them. What is compared takes turns in one run,
//
//	base  candidate  base  candidate  base
//
// and a ratio is a candidate's rate over the mean of the base's just before and
// just after it: machines drift, ratios hardly. A row shows the median ratio
// and the smallest and largest. Rates of different runs say nothing about one
// another.
//
// The queries of the read models are compared with the SQL that somebody would
// write for the same answer, over read models that are filled once and kept in
// .cache/bench. There a row is the median of a run in milliseconds and the 99th
// percentile of all, and the ratio is that of the medians: less is better.
//
// The rows at noon rebuild every read model from the command line while people
// book: readers must never step back meanwhile, and what comes of it is verified.
//
// The rows are printed, and written to bench.json in the working directory. It
// exits with 0, with 1 when a row's median ratio is beyond its bound or a
// measurement failed, and with 2 when it was told something that cannot work.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"syscall"
)

// options is what the command line says.
type options struct {
	rounds  int            // how often a candidate is measured
	quick   bool           // short runs that cannot miss a bound
	full    bool           // search as much as there may be, not a tenth
	cache   string         // folder of what is loaded once, "" for none
	rows    *regexp.Regexp // the names of the rows to measure
	binary  string         // of the server
	profile string         // folder for CPU profiles of this process and the server, "" for none
}

// The exit statuses.
const (
	allWell = iota
	missed
	misused
)

func main() {
	// As the server does where there is memory; what is compared runs under the same collector.
	const percent, limit = 800, 2 << 30
	debug.SetGCPercent(percent)
	debug.SetMemoryLimit(limit)
	if len(os.Args) == 2 && os.Args[1] == clientArgument {
		os.Exit(runClient(os.Stdin, os.Stdout))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the program with its surroundings as parameters.
func run(ctx context.Context, args []string, out, complaints io.Writer) int {
	o, err := parse(args, complaints)
	if errors.Is(err, flag.ErrHelp) {
		return allWell
	}
	if err != nil {
		_, _ = fmt.Fprintln(complaints, "slotbook-bench:", err)
		return misused
	}
	ok, err := measureAll(ctx, o, out)
	if err != nil {
		_, _ = fmt.Fprintln(complaints, "slotbook-bench:", err)
	}
	if err != nil || !ok {
		return missed
	}
	return allWell
}

func parse(args []string, complaints io.Writer) (options, error) {
	var o options
	var rows string
	flags := flag.NewFlagSet("slotbook-bench", flag.ContinueOnError)
	flags.SetOutput(complaints)
	flags.IntVar(&o.rounds, "n", 5, "how often each candidate is measured")
	flags.BoolVar(&o.quick, "quick", false, "measure for a moment only, and miss no bound: shows that the program works")
	flags.BoolVar(&o.full, "full", false, "search in ten times as much")
	flags.StringVar(&o.cache, "cache", filepath.Join(".cache", "bench"), "folder that keeps what is searched for the next run; empty = keep nothing")
	flags.StringVar(&rows, "rows", "", "regular expression of the rows to measure; empty = all")
	flags.StringVar(&o.binary, "server", beside("slotbook"), "the slotbook binary; it is built when it is missing")
	flags.StringVar(&o.profile, "cpuprofile", "", "folder for CPU profiles of this process, one for each group of rows, and of the last server")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 1 || flags.NArg() > 0 {
		return o, errors.New("-n is 1 or more, and there are no arguments besides flags")
	}
	if o.quick {
		o.full, o.cache = false, ""
	}
	var err error
	o.rows, err = regexp.Compile(rows)
	return o, err
}

// beside returns the path of a program in the folder of this one.
func beside(name string) string {
	self, err := os.Executable()
	if err != nil {
		return filepath.Join("bin", name)
	}
	return filepath.Join(filepath.Dir(self), name)
}
