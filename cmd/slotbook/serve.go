package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/slotbook/slotbook/adapters/analytics"
	"github.com/slotbook/slotbook/adapters/pgembed"
	"github.com/slotbook/slotbook/adapters/tracing"
)

type serveCmd struct {
	database
	Listen       string        `env:"SLOTBOOK_LISTEN" default:"127.0.0.1:8080" help:"Address to listen on, 127.0.0.1:8080 by default. Anything but loopback is reachable by everybody who reaches the machine: there are no accounts yet." placeholder:"HOST:PORT"`
	Demo         bool          `env:"SLOTBOOK_DEMO" help:"Load the demo data into an empty store."`
	Seed         *uint64       `env:"SLOTBOOK_SEED" help:"With --demo: make up a year of two clinics from this number, half of it past and half ahead, instead of the small demo data. The same number makes the same year." placeholder:"N"`
	Clock        string        `env:"SLOTBOOK_CLOCK" default:"real" enum:"real,manual" help:"real, the default; or, with --demo, manual: business time stands still and moves by POST /v1/demo/clock only."`
	ReadOnly     bool          `name:"read-only" env:"SLOTBOOK_READ_ONLY" help:"Answer reads only: commands are refused with 503, and nothing is opened, lapses or is recorded by itself. Read models are kept."`
	ReadyLag     time.Duration `name:"ready-lag" env:"SLOTBOOK_READY_LAG" default:"30s" help:"For how long an event may wait for a read model while /readyz says that the process is ready, 30s by default; 0 = for ever." placeholder:"DURATION"`
	OTLPEndpoint string        `name:"otlp-endpoint" env:"SLOTBOOK_OTLP_ENDPOINT" help:"Where traces are sent: the base address of a receiver of OTLP over HTTP, such as http://127.0.0.1:4318, to which /v1/traces is added; empty, the default = nowhere. OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS and their like are respected then." placeholder:"URL"`
	Forwarding   forwarding    `embed:"" prefix:"forward-"`
	Webhooks     webhooking    `embed:"" prefix:"webhook-"`
	CPUProfile   string        `name:"cpu-profile" env:"SLOTBOOK_CPU_PROFILE" help:"File that a CPU profile of this process is written to when it ends, for go tool pprof; empty, the default = none." placeholder:"FILE"`
	CORSOrigins  []string      `name:"cors-origins" env:"SLOTBOOK_CORS_ORIGINS" help:"Origins of browsers that may call, separated by commas; * for all." placeholder:"ORIGIN"`
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, out output) (err error) {
	tuneGC()
	if err := c.check(); err != nil {
		return err
	}
	profiled, err := profile(c.CPUProfile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, profiled()) }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return usageError{fmt.Errorf("cannot listen on %s (--listen names another address): %w", c.Listen, err)}
	}
	defer func() { _ = listener.Close() }() // the server has closed it already, unless it never started
	made := c.keyless()
	master, err := c.masterKey()
	if err != nil {
		return err
	}
	defer func() { err = c.unmade(made, err) }()
	traces, flush, err := sendTraces(ctx, c.OTLPEndpoint, out.logger())
	if err != nil {
		return err
	}
	defer flush()
	address, server, err := c.open(ctx)
	if err != nil {
		return err
	}
	config := appConfig{
		url: address, eventStore: c.EventStore, masterKey: master, corsOrigins: c.CORSOrigins, manual: c.Clock == manualClock, readOnly: c.ReadOnly, logger: out.logger(),
		readyLag: c.ReadyLag, traces: traces, forward: c.Forwarding, webhooks: c.Webhooks,
	}
	if server == nil {
		return c.serve(ctx, listener, config, out)
	}
	return whileKept(ctx, server, config.logger, func(ctx context.Context) error {
		return c.serve(ctx, listener, config, out)
	})
}

// serve serves over a database that is there.
func (c *serveCmd) serve(ctx context.Context, listener net.Listener, config appConfig, out output) error {
	a, err := newApp(ctx, config)
	if err != nil {
		return err
	}
	defer a.close()
	if c.Clock == manualClock {
		if err := a.demonstrates(ctx); err != nil {
			return err
		}
	}
	load := func(ctx context.Context) error { return c.load(ctx, a) }
	return a.run(ctx, listener, load, func() error { return c.greet(out, listener.Addr()) })
}

// load loads reference data into a store that has none, and the demo data that
// are asked for.
func (c *serveCmd) load(ctx context.Context, a *app) error {
	if c.ReadOnly {
		return nil
	}
	err := a.beginReference(ctx)
	if err != nil {
		return err
	}
	switch {
	case c.Seed != nil:
		err = a.loadYear(ctx, *c.Seed)
	case c.Demo:
		err = loadDemo(ctx, a.handler, a.store)
	}
	if err != nil {
		return fmt.Errorf("load the demo data: %w", err)
	}
	return nil
}

// check refuses what does not go together.
func (c *serveCmd) check() error {
	switch {
	case c.Seed != nil && !c.Demo:
		return usageError{errors.New("--seed is the seed of demo data: it goes with --demo")}
	case c.ReadOnly && c.Demo:
		return usageError{errors.New("--read-only loads nothing: it does not go with --demo")}
	case c.Clock == manualClock && !c.Demo:
		return usageError{errors.New("--clock manual is for demonstrations: it goes with --demo")}
	case c.ReadyLag < 0:
		return usageError{fmt.Errorf("--ready-lag: %s is no time to wait; 0 is for ever", c.ReadyLag)}
	}
	if c.OTLPEndpoint != "" {
		if err := tracing.Check(c.OTLPEndpoint); err != nil {
			return usageError{fmt.Errorf("--otlp-endpoint: %w", err)}
		}
	}
	if err := errors.Join(c.Forwarding.check(), c.Webhooks.check()); err != nil {
		return err
	}
	return checkOrigins(c.CORSOrigins)
}

// checkOrigins refuses what no browser sends as its origin, and would silently
// never match.
func checkOrigins(origins []string) error {
	for _, o := range origins {
		if o != "*" && !isOrigin(o) {
			return usageError{fmt.Errorf("--cors-origins: %q is neither * nor an origin such as https://clinic.example or http://localhost:3000", o)}
		}
	}
	return nil
}

// isOrigin tells whether the text is scheme://host or scheme://host:port, and
// nothing more.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || strings.Contains(u.Host, "*") {
		return false
	}
	if _, port, found := strings.Cut(u.Host[strings.LastIndex(u.Host, "]")+1:], ":"); found {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	return strings.EqualFold(text, u.Scheme+"://"+u.Host)
}

// greet prints where to look.
func (c *serveCmd) greet(out output, address net.Addr) error {
	base := "http://" + address.String()
	lines := []string{"Slotbook listens on " + base, "  API       " + base + "/docs"}
	if c.DatabaseURL == "" {
		lines = append(lines, "  data      "+c.DataDir)
	}
	if c.Clock == manualClock {
		lines = append(lines, "  clock     "+base+"/v1/demo/clock")
	}
	if c.ReadOnly {
		lines = append(lines, "  commands  are refused: this process only reads")
	}
	lines = append(lines, "  try       curl '"+base+"/v1/slots?limit=1'")
	_, err := fmt.Fprintln(out.out, strings.Join(lines, "\n"))
	return err
}

// profile begins a CPU profile unless the file is "", and returns what ends it.
func profile(file string) (end func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file) //nolint:gosec // where the operator wants it
	if err != nil {
		return nil, usageError{fmt.Errorf("--cpu-profile: %w", err)}
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// tuneGC lets the heap grow to nine times what is in use before it is collected,
// under a limit of memory. Measured: 20 to 35 % of the booking rate at five times,
// and 3 to 6 % more at nine. GOGC and GOMEMLIMIT, where set, are respected.
func tuneGC() {
	const percent = 800
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heapLimit(pgembed.Memory()))
	}
}

// heapLimit gives a quarter of the memory to the heap and what Go needs besides,
// at least 256 MiB and at most 2 GiB; memory 0 is unknown.
func heapLimit(memory uint64) int64 {
	const mebibyte = 1 << 20
	if memory == 0 {
		return 2048 * mebibyte
	}
	return int64(min(max(memory/4, 256*mebibyte), 2048*mebibyte)) //nolint:gosec // bounded
}

type migrateCmd struct{ database }

// Run migrates the database.
func (c *migrateCmd) Run(ctx context.Context, out output) error {
	address, server, err := c.open(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out.out, "the database is up to date")
	err = errors.Join(err, tellAnalysts(ctx, address, out))
	if server != nil {
		err = errors.Join(err, server.Close())
	}
	return err
}

// tellAnalysts says what keeps analysts from reading the schema analytics.
func tellAnalysts(ctx context.Context, url string, out output) error {
	s, err := installAnalytics(ctx, url)
	if err != nil {
		return err
	}
	var lines []string
	if s.Later {
		lines = append(lines, "somebody reads the schema analytics: it is brought up to date at the next start")
	}
	if s.Newer {
		lines = append(lines, "a newer version of the program has made the schema analytics: it stays as it is")
	}
	if !s.Role && !s.Later {
		lines = append(lines, "analysts have no role yet, for this user may not make one: run "+analytics.GrantSQL+" as somebody who may, and migrate again")
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(out.out, line); err != nil {
			return err
		}
	}
	return nil
}

// isDuplicate reports whether what was to be created exists already.
func isDuplicate(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "42P04" || pg.Code == "23505")
}
