package kurrent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/slotbook/slotbook/domain"
)

// news is how far the log is known to go.
type news struct {
	mu    sync.Mutex
	head  domain.Position
	fresh chan struct{} // closed and replaced when head grows
}

func newNews() *news { return &news{fresh: make(chan struct{})} }

func (n *news) tell(head domain.Position) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if head > n.head {
		n.head = head
		close(n.fresh)
		n.fresh = make(chan struct{})
	}
}

func (n *news) get() (domain.Position, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.head, n.fresh
}

// Wait returns when there is an event after the position, or when ctx ends.
func (s *Store) Wait(ctx context.Context, after domain.Position) error {
	for {
		head, fresh := s.news.get()
		if head > after {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-fresh:
		}
	}
}

// How often the end of the log is looked at, whatever the subscription tells:
// while there is none, and while there is one.
const (
	lookBlind  = time.Second
	lookSeeing = 10 * time.Second
)

// look looks at the end of the log now and then: polling is the truth.
func (s *Store) look(ctx context.Context) {
	for last := time.Duration(0); ; last += lookBlind {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookBlind):
		}
		if s.seeing.Load() && last < lookSeeing {
			continue
		}
		if head, err := s.Head(ctx); err == nil {
			last = 0
			s.news.tell(head)
		}
	}
}

// follow subscribes to the log, and again from where it was when the subscription
// is dropped, which is nothing special: another leader was elected, or this
// process was too slow.
func (s *Store) follow(ctx context.Context) {
	f := &follower{store: s}
	for attempt := 0; ctx.Err() == nil; attempt++ {
		was := f.at
		err := f.once(ctx)
		if f.at > was {
			attempt = 0
		}
		if ctx.Err() == nil {
			s.config.Logger.Debug("the subscription to the event store was dropped", "error", err, "at", f.at)
			pause(ctx, attempt)
		}
	}
}

// follower is the subscription of a process.
type follower struct {
	store *Store
	at    uint64 // the commit position up to which everything was seen, skipped events included
}

// checkpointEvery is after how many events that the filter skips the server tells
// where it is: windows of 32.
const checkpointEvery = 32

// once follows until the subscription drops.
func (f *follower) once(ctx context.Context) error {
	s := f.store
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	options := esdb.SubscribeToAllOptions{From: esdb.End{}, Filter: s.filter(), CheckpointInterval: checkpointEvery}
	if f.at > 0 {
		options.From = esdb.Position{Commit: f.at, Prepare: f.at}
	}
	sub, err := call(ctx, s.conn, s.config.Answer, func(_ context.Context, client *esdb.Client) (*esdb.Subscription, error) {
		return client.SubscribeToAll(ctx, options) // it lives longer than the call
	})
	if err != nil {
		if amiss(err) {
			f.at = 0
		}
		return err
	}
	defer func() { _ = sub.Close() }() // it never fails
	head, err := s.Head(ctx)           // what came before the subscription
	if err != nil {
		return err
	}
	s.news.tell(head)
	s.seeing.Store(true)
	defer s.seeing.Store(false)
	for {
		event, err := receive(sub)
		if err != nil {
			return err
		}
		f.take(event)
	}
}

// filter lets the server leave out what is not the store's.
func (s *Store) filter() *esdb.SubscriptionFilter {
	if s.prefix == "" {
		return esdb.ExcludeSystemEventsFilter()
	}
	return &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{s.prefix}}
}

// receive waits for the next message. It ends with the subscription's context.
func receive(sub *esdb.Subscription) (event *esdb.SubscriptionEvent, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	event = sub.Recv()
	if dropped := event.SubscriptionDropped; dropped != nil {
		return nil, errors.Join(errors.New("the subscription was dropped"), dropped.Error)
	}
	return event, nil
}

// take takes in a message. Events may come twice; that the subscription has caught
// up or fallen behind changes nothing.
func (f *follower) take(event *esdb.SubscriptionEvent) {
	switch {
	case event.EventAppeared != nil && event.EventAppeared.Event != nil:
		e := event.EventAppeared.OriginalEvent()
		f.at = max(f.at, e.Position.Commit)
		if f.store.own(e) {
			f.store.news.tell(f.store.numbered(e.Position.Commit))
		}
	case event.CheckPointReached != nil:
		f.at = max(f.at, event.CheckPointReached.Commit)
	}
}
