package projections

import (
	"context"
	"errors"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/queue"
)

// queuesChanged is what happened to queues.
type queuesChanged struct {
	touched map[domain.StreamName]bool
	queues  map[domain.StreamName]QueueNow // of those that are touched, the ones that somebody watches
	staff   bool                           // practitioners have come, or work elsewhere
}

// QueueNow is a queue as its stream says. Whoever is given one only reads it.
type QueueNow struct {
	State    queue.State
	Revision domain.Revision
	Position domain.Position
}

// nextQueues looks at what has happened after a position, and folds each queue
// that it touches once, for all who watch it.
func (l *Live) nextQueues(ctx context.Context, after domain.Position, topics map[string]bool) (queuesChanged, domain.Position, error) {
	filter := domain.Filter{Categories: []string{queue.Category, practitioner.Category}, Bare: true}
	page, err := l.config.Log.ReadAll(ctx, after, filter, livePage)
	if err != nil {
		return queuesChanged{}, after, err
	}
	c := queuesChanged{touched: map[domain.StreamName]bool{}}
	var watched []domain.StreamName
	for _, r := range page.Events {
		switch r.Event.(type) {
		case practitioner.Registered, practitioner.Changed:
			c.staff = true
		}
		if r.Stream.Category() == queue.Category && !c.touched[r.Stream] {
			if c.touched[r.Stream] = true; topics[string(r.Stream)] {
				watched = append(watched, r.Stream)
			}
		}
	}
	c.queues, err = l.Queues(ctx, watched)
	return c, page.Next, err
}

// Queues returns queues as their streams say now.
func (l *Live) Queues(ctx context.Context, streams []domain.StreamName) (map[domain.StreamName]QueueNow, error) {
	if len(streams) == 0 {
		return nil, nil
	}
	loaded, err := l.config.Streams.Load(ctx, streams...)
	if err != nil {
		return nil, err
	}
	queues := make(map[domain.StreamName]QueueNow, len(streams))
	for _, name := range streams {
		now := QueueNow{State: domain.Replay(queue.Evolve, queue.State{}, loaded[name]), Revision: domain.NoStream}
		if n := len(loaded[name]); n > 0 {
			now.Revision, now.Position = loaded[name][n-1].Revision, loaded[name][n-1].Position
		}
		queues[name] = now
	}
	return queues, nil
}

// QueueNews is what somebody who watches queues is told.
type QueueNews struct {
	Position domain.Position
	Queues   map[domain.StreamName]QueueNow // that have changed
	Staff    bool                           // practitioners have come, or work elsewhere
	Again    bool                           // changes were missed: all queues are to be read again
}

// QueueWatch watches queues. It is used by one goroutine.
type QueueWatch struct {
	listener *listener[queuesChanged]
	position domain.Position
	streams  map[domain.StreamName]bool
}

// WatchQueues begins to watch; which queues, [QueueWatch.Of] says. Whoever reads
// them afterwards misses nothing. Errors: [ErrEnding], [engine.ErrNotYet].
func (l *Live) WatchQueues(ctx context.Context) (*QueueWatch, error) {
	listener, from, err := l.queues.listen(ctx)
	if err != nil {
		return nil, err
	}
	return &QueueWatch{listener: listener, position: from}, nil
}

// Close ends the watching.
func (w *QueueWatch) Close() { w.listener.leave() }

// Position returns the position up to which everything was told.
func (w *QueueWatch) Position() domain.Position { return w.position }

// Of says which queues are watched from now on.
func (w *QueueWatch) Of(streams ...domain.StreamName) {
	w.streams = make(map[domain.StreamName]bool, len(streams))
	topics := make([]string, len(streams))
	for i, s := range streams {
		w.streams[s], topics[i] = true, string(s)
	}
	w.listener.hear(topics...)
}

// Next waits until something has changed. Errors: [ErrEnding], that of ctx.
func (w *QueueWatch) Next(ctx context.Context) (QueueNews, error) {
	for {
		c, err := w.listener.next(ctx)
		if errors.Is(err, errMissed) {
			return QueueNews{Position: w.position, Again: true}, nil
		}
		if err != nil {
			return QueueNews{}, err
		}
		w.position = max(w.position, c.Position)
		news := QueueNews{Position: w.position, Queues: map[domain.StreamName]QueueNow{}, Staff: c.What.staff}
		for name := range w.streams {
			if !c.What.touched[name] {
				continue
			}
			now, known := c.What.queues[name]
			if news.Again = news.Again || !known; known {
				news.Queues[name] = now
			}
		}
		if len(news.Queues) > 0 || news.Staff || news.Again {
			return news, nil
		}
	}
}
