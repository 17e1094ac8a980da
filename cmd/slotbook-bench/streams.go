package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	rowLive50 = "slots stream, append to message, median"
	rowLive99 = "slots stream, append to message, 99th percentile"
)

// The open loop that streams are measured under.
const (
	livePace  = 100 // bookings a second
	listeners = 20  // each of five practitioners
)

// heard is when a listener was told of a booked slot.
type heard struct {
	slot string
	at   time.Time
}

// measureStreams measures how long after an event was recorded those who follow
// the slot are told.
func (b *bench) measureStreams(ctx context.Context, pool *pgxpool.Pool, w world, address string, c *client) ([]row, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all, listening, failed := make([][]heard, listeners), make(chan struct{}, listeners), make([]error, listeners)
	var ended sync.WaitGroup
	for i := range listeners {
		ended.Go(func() { all[i], failed[i] = w.follow(ctx, address, i, listening) })
	}
	for range listeners {
		<-listening
	}
	_, _, err := c.paced(livePace, b.pacing)
	if err == nil {
		err = caughtUp(ctx, pool)
	}
	time.Sleep(time.Second) // what is under way arrives
	cancel()
	ended.Wait()
	if err := errors.Join(err, errors.Join(failed...)); err != nil {
		return nil, err
	}
	delays, err := delaysOf(context.WithoutCancel(ctx), pool, slices.Concat(all...))
	if err != nil {
		return nil, err
	}
	return []row{
		{Name: rowLive50, Value: milliseconds(delays[len(delays)/2]), Unit: "ms"},
		{Name: rowLive99, Value: milliseconds(delays[len(delays)*99/100]), Unit: "ms"},
	}, nil
}

// follow reads a stream until ctx ends, and says when it has begun, or that it
// has not.
func (w world) follow(ctx context.Context, address string, n int, began chan<- struct{}) ([]heard, error) {
	begun := sync.OnceFunc(func() { began <- struct{}{} })
	defer begun()
	const each = 5
	query := url.Values{}
	for i := range each {
		query.Add("practitionerId", string(w.practitioner((n*each+i)%w.Practitioners)))
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/v1/slots/stream?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the stream was answered with %s", answer.Status)
	}
	var all []heard
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		data, found := strings.CutPrefix(lines.Text(), "data: ")
		if !found {
			continue
		}
		begun() // the snapshot is the first
		var change struct{ Slot struct{ ID, Status string } }
		if err := json.Unmarshal([]byte(data), &change); err != nil {
			return all, err
		}
		if change.Slot.Status == "busy" {
			all = append(all, heard{change.Slot.ID, time.Now()})
		}
	}
	return all, nil // it has ended with ctx
}

// delaysOf returns how long each message took from when its event was recorded,
// the shortest first.
func delaysOf(ctx context.Context, pool *pgxpool.Pool, all []heard) ([]time.Duration, error) {
	streams := make([]string, len(all))
	for i, h := range all {
		streams[i] = "slot-" + h.slot
	}
	rows, _ := pool.Query(ctx, `
		select stream, recorded_at
		from slotbook.events
		where stream = any($1)
			and type = 'slot.booked'`, streams)
	recorded := map[string]time.Time{}
	var stream string
	var at time.Time
	if _, err := pgx.ForEachRow(rows, []any{&stream, &at}, func() error {
		recorded[stream] = at
		return nil
	}); err != nil {
		return nil, err
	}
	first, delays := map[string]bool{}, []time.Duration{}
	for i, h := range all {
		if !first[streams[i]] { // it may be told twice
			first[streams[i]] = true
			delays = append(delays, h.at.Sub(recorded[streams[i]]))
		}
	}
	if len(delays) == 0 {
		return nil, errors.New("no listener was told anything")
	}
	slices.Sort(delays)
	return delays, nil
}
