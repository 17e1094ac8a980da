package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slotbook/slotbook/adapters/bus"
	"github.com/slotbook/slotbook/adapters/eventcodec"
)

const (
	rowReaction50 = "reaction, append to handler, median"
	rowReaction99 = "reaction, append to handler, 99th percentile"
)

// reactingPace is how many events a second are appended while reactions are
// measured.
const reactingPace = 200

// measureReactions measures how long after an event was recorded a consumer of
// the router has it, in an open loop.
func measureReactions(ctx context.Context, b *bench) ([]row, error) {
	d, err := b.emptyStore(ctx, "reactions")
	if err != nil {
		return nil, err
	}
	defer d.close()
	var mu sync.Mutex
	var delays []time.Duration
	router := bus.NewRouter(bus.Config{Pool: d.pool, Log: d.store, Epoch: "bench", Owner: "bench", Now: time.Now})
	router.Add(bus.Consumer{Name: "bench", FromZero: true, Lanes: 8, Handle: func(_ context.Context, e eventcodec.Stored) error {
		mu.Lock()
		defer mu.Unlock()
		delays = append(delays, time.Since(e.RecordedAt))
		return nil
	}})
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- router.Run(running) }()
	appended, err := b.inPace(ctx, appending(d))
	deadline := time.Now().Add(10 * time.Second)
	handled := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(delays)
	}
	for err == nil && handled() < appended && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		return nil, err
	}
	if len(delays) < appended || appended == 0 {
		return nil, fmt.Errorf("of %d events %d were handled", appended, len(delays))
	}
	slices.Sort(delays)
	return []row{
		{Name: rowReaction50, Value: milliseconds(delays[len(delays)/2]), Unit: "ms"},
		{Name: rowReaction99, Value: milliseconds(delays[len(delays)*99/100]), Unit: "ms"},
	}, nil
}

// inPace appends at the pace for as long as open loops run, and returns how
// many events there were.
func (b *bench) inPace(ctx context.Context, appendOne func(context.Context) error) (n int, err error) {
	tick := time.NewTicker(time.Second / reactingPace)
	defer tick.Stop()
	for until := time.Now().Add(b.pacing); time.Now().Before(until); n++ {
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-tick.C:
		}
		if err := appendOne(ctx); err != nil {
			return n, err
		}
	}
	return n, nil
}
