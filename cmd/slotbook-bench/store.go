package main

import (
	"context"
	"crypto/sha256"
	"iter"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// masterKey wraps the keys of persons, here and in the server process.
func masterKey() []byte {
	key := sha256.Sum256([]byte("slotbook-bench"))
	return key[:]
}

// database is an event store at work, put together as the server does it.
type database struct {
	url   string
	pool  *pgxpool.Pool
	codec *eventcodec.Codec
	store *postgres.Store

	stop    context.CancelFunc
	stopped chan struct{}
}

// openStore starts a store on a migrated database.
func openStore(ctx context.Context, url string) (*database, error) {
	d := &database{url: url, stopped: make(chan struct{})}
	var err error
	if d.pool, err = postgres.Pool(ctx, url); err != nil {
		return nil, err
	}
	keys, err := postgres.NewKeys(d.pool, masterKey())
	if err == nil {
		d.codec = eventcodec.New(keys)
		d.store, err = postgres.New(postgres.Config{Pool: d.pool, Codec: d.codec})
	}
	if err != nil {
		d.pool.Close()
		return nil, err
	}
	ctx, d.stop = context.WithCancel(ctx)
	go func() {
		defer close(d.stopped)
		_ = d.store.Run(ctx) // it is always nil
	}()
	return d, nil
}

func (d *database) close() {
	d.stop()
	<-d.stopped
	d.pool.Close()
}

// inHaste returns the address for connections that do not wait for the disk:
// to prepare what is measured later.
func inHaste(url string) string {
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	return url + separator + "synchronous_commit=off"
}

// fill appends everything, several appends at once and in no order.
func fill(ctx context.Context, store commands.Store, all iter.Seq[[]commands.Write]) error {
	const writers = 32
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan []commands.Write)
	var done sync.WaitGroup
	for range writers {
		done.Go(func() {
			for writes := range queue {
				if _, err := store.Append(ctx, writes...); err != nil {
					cancel(err)
				}
			}
		})
	}
	for writes := range all {
		if ctx.Err() != nil {
			break
		}
		queue <- writes
	}
	close(queue)
	done.Wait()
	return context.Cause(ctx)
}

// bundled joins writes to distinct streams into appends of a good size.
func bundled(all iter.Seq[[]commands.Write]) iter.Seq[[]commands.Write] {
	const enough = 46 // events; an append of up to 50 shares its transaction with others
	return func(yield func([]commands.Write) bool) {
		var bundle []commands.Write
		events := 0
		for writes := range all {
			for _, w := range writes {
				events += len(w.Events)
			}
			if bundle = append(bundle, writes...); events < enough {
				continue
			}
			if !yield(bundle) {
				return
			}
			bundle, events = nil, 0
		}
		if len(bundle) > 0 {
			yield(bundle)
		}
	}
}

// writing returns a write of events that one command decided.
func writing(stream domain.StreamName, expected domain.Revision, command string, events ...domain.Event) commands.Write {
	w := commands.Write{Stream: stream, Expected: expected}
	for _, e := range events {
		w.Events = append(w.Events, commands.NewEvent{
			ID: newID(), Event: e, Metadata: domain.Metadata{Command: command, Actor: "local"},
		})
	}
	return w
}

// newID returns a fresh id, as the server makes them.
func newID() string { return uuid.Must(uuid.NewV7()).String() }
