package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

const (
	rowNoon        = "rebuild at noon"
	rowNoonMemory  = "rebuild at noon, memory"
	rowNoonBooking = "rebuild at noon, bookings, 99th percentile"
	rowAudit       = "audit"
	rowExport      = "export, "
)

// noonPace is the bookings a second while everything is rebuilt.
const noonPace = 200

// exports are the formats that are measured.
func exports() []string { return []string{"ndjson", "csv", "parquet"} }

func noonRows() []string {
	rows := []string{rowNoon, rowNoonMemory, rowNoonBooking, rowAudit}
	for _, format := range exports() {
		rows = append(rows, rowExport+format)
	}
	return rows
}

// measureNoon rebuilds every read model while people book, from the command
// line: bookings go on nearly as quickly as without it, readers never see less
// than before, and what comes of it is right. Then it audits and exports the
// log.
func measureNoon(ctx context.Context, b *bench) ([]row, error) {
	url, err := b.database(ctx, "noon")
	if err != nil {
		return nil, err
	}
	h := historyOf(b.noon)
	n := &noon{bench: b, url: url, history: h, world: world{h.First.Add(h.days), historyPractitioners}}
	if err := n.prepare(ctx); err != nil {
		return nil, fmt.Errorf("prepare a history: %w", err)
	}
	server, err := b.startServer(ctx, url)
	if err != nil {
		return nil, err
	}
	client, err := startClient(ctx, job{World: n.world, Address: server.address, Clients: many})
	if err != nil {
		return nil, errors.Join(err, server.stop())
	}
	rows, err := n.rebuild(ctx, client)
	if err = errors.Join(err, client.stop(), server.stop()); err != nil {
		return nil, err
	}
	more, err := n.read(ctx)
	return append(rows, more...), err
}

// noon is a busy store while it is operated.
type noon struct {
	*bench
	url      string
	history  history
	world    world // whose slots are booked
	bookings int   // so far
}

// prepare writes the history, and opens days behind it.
func (n *noon) prepare(ctx context.Context) error {
	d, err := openStore(ctx, inHaste(n.url))
	if err != nil {
		return err
	}
	defer d.close()
	if err := n.history.write(ctx, d.store); err != nil {
		return err
	}
	for day := range n.history.patients(n.history.days)/n.world.perDay() + 1 {
		if err := fill(ctx, d.store, bundled(n.world.open(day))); err != nil {
			return err
		}
	}
	_, err = d.pool.Exec(ctx, "vacuum analyze slotbook.events")
	return err
}

// rebuild measures bookings before and during a rebuild.
func (n *noon) rebuild(ctx context.Context, c *client) ([]row, error) {
	d, err := openStore(ctx, n.url)
	if err != nil {
		return nil, err
	}
	defer d.close()
	if err := caughtUp(ctx, d.pool); err != nil {
		return nil, err
	}
	watched, unwatch := n.watched(ctx, d)
	defer unwatch()
	before, err := n.booked(c, func() bool { return false })
	if err != nil {
		return nil, err
	}
	head, err := d.store.Head(ctx)
	if err != nil {
		return nil, err
	}
	var took time.Duration
	var peak float64
	rebuilt := make(chan error, 1)
	go func() {
		var err error
		took, peak, err = n.timed(ctx, "projections", "rebuild", "--all")
		rebuilt <- err
	}()
	during, err := n.booked(c, func() bool { return len(rebuilt) == 0 })
	err = errors.Join(err, <-rebuilt)
	unwatch()
	if err := errors.Join(err, <-watched); err != nil {
		return nil, err
	}
	if _, _, err := n.timed(ctx, "projections", "verify", "--all"); err != nil {
		return nil, err
	}
	const most, memory = 3.0, 1024.0
	slower := median(during) / median(before)
	return []row{
		{Name: rowNoon, Value: float64(head) / took.Seconds(), Unit: "events/s"},
		{Name: rowNoonMemory, Value: peak, Unit: "MiB", Against: "MiB", AgainstValue: memory, Ratio: peak / memory, RatioLeast: peak / memory, RatioMost: peak / memory, AtMost: 1},
		{
			Name: rowNoonBooking, Value: median(during), Unit: "ms", Against: "without a rebuild", AgainstValue: median(before),
			Ratio: slower, RatioLeast: slower, RatioMost: slower, AtMost: most,
		},
	}, nil
}

// booked books at the pace for windows, three at least, and returns the 99th
// percentile of each.
func (n *noon) booked(c *client, goesOn func() bool) (p99s []float64, err error) {
	const least = 3
	window := n.pacing / least
	for i := 0; i < least || goesOn(); i++ {
		n.bookings += int(window.Seconds() * noonPace)
		if n.bookings > n.history.patients(n.history.days) {
			return p99s, nil // everybody has a visit
		}
		_, p99, err := c.paced(noonPace, window)
		if err != nil {
			return nil, err
		}
		p99s = append(p99s, milliseconds(p99))
	}
	return p99s, nil
}

// watched looks at the visits of a practitioner a hundred times a second, until
// unwatch is called: there are never fewer than before, nor of an earlier position.
func (n *noon) watched(ctx context.Context, d *database) (result <-chan error, unwatch context.CancelFunc) {
	ctx, unwatch = context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- n.watch(ctx, d) }()
	return done, unwatch
}

func (n *noon) watch(ctx context.Context, d *database) error {
	identity, err := d.store.Identity(ctx)
	if err != nil {
		return err
	}
	models := projections.All(func(domain.Sealed) string { return "" }, nil)
	reader := engine.New(engine.Config{Pool: d.pool, Log: d.store, Models: models, Epoch: identity.Epoch, Owner: newID(), Now: time.Now})
	most, last := 0, domain.Position(0)
	for ctx.Err() == nil {
		var visits int
		at, err := reader.View(ctx, 0, []string{"appointments"}, func(r engine.Reader) error {
			return r.QueryRow(ctx, "select count(*) from appointment where practitioner = $1", n.world.practitioner(0)).Scan(&visits)
		})
		switch {
		case ctx.Err() != nil:
		case err != nil:
			return err
		case visits < most || at < last:
			return fmt.Errorf("a reader stepped back: %d visits at %d after %d at %d", visits, at, most, last)
		}
		most, last = visits, at
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// program returns a command of the binary that is measured.
func (n *noon) program(ctx context.Context, args ...string) (*exec.Cmd, error) {
	path, err := n.serverBinary(ctx)
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, path, append(args, "--database-url", n.url, "--data-dir", filepath.Join(n.folder, "server"))...) //nolint:gosec // the binary that is measured
	command.Env = append(os.Environ(), "SLOTBOOK_MASTER_KEY="+hex.EncodeToString(masterKey()))
	return command, nil
}

// timed runs the program and returns how long it took, and its largest size in
// MiB.
func (n *noon) timed(ctx context.Context, args ...string) (took time.Duration, size float64, err error) {
	command, err := n.program(ctx, args...)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	said, err := command.CombinedOutput()
	took = time.Since(began)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, said)
	}
	if usage, ok := command.ProcessState.SysUsage().(*syscall.Rusage); ok {
		size = float64(usage.Maxrss) / 1024 // kilobytes, where it is Linux
	}
	return took, size, nil
}

// read audits and exports the log.
func (n *noon) read(ctx context.Context) ([]row, error) {
	d, err := openStore(ctx, n.url)
	if err != nil {
		return nil, err
	}
	defer d.close()
	head, err := d.store.Head(ctx)
	if err != nil {
		return nil, err
	}
	took, _, err := n.timed(ctx, "audit")
	if err != nil {
		return nil, err
	}
	rows := []row{{Name: rowAudit, Value: float64(head) / took.Seconds(), Unit: "events/s"}}
	for _, format := range exports() {
		took, _, err := n.timed(ctx, "events", "export", "--format", format, "--to", filepath.Join(n.folder, format))
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{Name: rowExport + format, Value: float64(head) / took.Seconds(), Unit: "rows/s"})
	}
	return rows, nil
}
