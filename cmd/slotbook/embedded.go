package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/slotbook/slotbook/adapters/pgembed"
)

// The pace of keeping the embedded database.
const (
	keepEvery    = 500 * time.Millisecond // between two looks at it
	keepPatience = 30 * time.Second       // at most, between two attempts to start it
)

// whileKept runs f while the embedded database is kept running, whichever
// process started it, and then stops what this process owns of it. When the
// database cannot be kept, the context of f ends, and that is the error.
func whileKept(ctx context.Context, server *pgembed.Server, logger *slog.Logger, f func(ctx context.Context) error) error {
	working, stopWork := context.WithCancel(ctx)
	defer stopWork()
	// What f does after a signal needs the database too.
	keeping, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	defer stopKeeping()
	var kept error
	var loop sync.WaitGroup
	loop.Go(func() {
		defer stopWork()
		kept = keep(keeping, server, logger)
	})
	err := f(working)
	stopKeeping()
	loop.Wait()
	if kept != nil {
		err = kept // whatever f says has come of it
	}
	return errors.Join(err, server.Close())
}

// keep opens the database again whenever its server has ended, until ctx ends.
// It fails when the server cannot come back where everybody knows it.
func keep(ctx context.Context, server *pgembed.Server, logger *slog.Logger) error {
	wait := keepEvery
	for pause(ctx, wait) {
		if server.Running() {
			wait = keepEvery
			continue
		}
		err := server.Reopen(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, pgembed.ErrPortTaken):
			return fmt.Errorf("the embedded PostgreSQL has ended and cannot come back, but a new start finds it another port: %w", err)
		case err != nil:
			wait = min(2*wait, keepPatience)
			logger.Error("the embedded database has ended and cannot be started", "error", err, "again", wait)
		case server.Owned():
			logger.Warn("the embedded database had ended and was started again")
		default:
			logger.Info("the embedded database had ended and another process started it again")
		}
	}
	return nil
}

// pause waits, and tells whether ctx is still on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
