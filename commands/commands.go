// Package commands is how the world changes: it loads what a command touches,
// lets the aggregates decide, appends what they decided, and decides again
// when somebody else was faster.
//
//	Request -> load streams -> Decide -> append at the loaded revisions -> Answer
//	              ^                          |
//	              +------ lost a race -------+
//
// The booking protocol ([Handler.Book], [Handler.Cancel]) takes claims on
// several streams; its commit point is one event on the owner's stream.
package commands

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Config configures a handler.
type Config struct {
	Store    Store
	Now      func() time.Time // business time; stamped once per command
	NewID    func() string    // a fresh UUIDv7 in lower case
	Patience time.Duration    // how long a command goes on losing races; 0 = 2 s
	HoldKey  []byte           // what the tokens of holds are made with; the same in every process
	NameKey  []byte           // what unique names are hashed with; the same in every process, for ever
	Said     Authorities      // what profiles may name; nil = anything
	Refused  func(Unmet)      // is told of every wish that a rule refused, and must not wait; nil = nobody
	Span     Span             // shows each try at a command in the trace of its request; nil = no traces
}

// Span begins a span of the trace that ctx belongs to, if there is one. The span
// ends when what is returned is called, with what came of it.
type Span func(ctx context.Context, name string) (context.Context, func(err error))

// Handler executes commands. It is safe for concurrent use.
type Handler struct {
	Config
	turns turns
	terms cache[domain.SlotID, opened]
	known cache[domain.StreamName, []domain.Recorded]

	policies cache[domain.StreamName, seenPolicy]
}

// New returns a handler over a store.
func New(c Config) *Handler {
	if c.Patience == 0 {
		c.Patience = 2 * time.Second
	}
	return &Handler{Config: c}
}

// Request is what every command comes with.
type Request struct {
	Command  string           // id of the command; the same id is the same command, for ever
	Hash     string           // keyed hash of the request's body under an Idempotency-Key, else ""
	Actor    string           // who asks
	Expected *domain.Revision // the revision that the caller has seen (If-Match), or nil
	DryRun   bool             // decide for real, store nothing

	Correlation string // id of the conversation that the command belongs to; "" = it begins one
	Causation   string // id of the event that caused the command, for reactions
}

// CausedBy returns a request for what a reaction does about an event: the same
// for the same event, reaction and step, so that whoever sends it again changes
// nothing.
func CausedBy(r domain.Recorded, reaction string, step ...string) Request {
	correlation := r.Metadata.Correlation
	if correlation == "" {
		correlation = r.Metadata.Command
	}
	return Request{
		Command: domain.NewID(slices.Concat([]string{r.ID, reaction}, step)...), Actor: system,
		Correlation: correlation, Causation: r.ID,
	}
}

// Answer is what became of a command.
type Answer[S any] struct {
	State    S
	Revision domain.Revision // of the command's own stream
	Position domain.Position // of the last event that the command stored, or that its stream holds
	Replayed bool            // nothing new happened: a repeat of what was done before
	Planned  []Planned       // what a dry run would have stored
}

// Planned is an event that a dry run did not store.
type Planned struct {
	Stream domain.StreamName
	Event  domain.Event
}

// The refusals of every command.
var (
	ErrKeyReused = domain.Refusal(domain.Refused, "idempotency.key-reused", "the Idempotency-Key was used before with another body")
	ErrStale     = domain.Refusal(domain.Stale, "revision.stale", "the thing has changed since the revision that If-Match names")
)

// aggregate is a decider with its events' home.
type aggregate[S, C any, E domain.Event] struct {
	decide func(S, C) ([]E, error)
	evolve func(S, E) S
}

// guard returns check-only writes: what else must still be as the command
// assumes when its events are stored.
type guard func(ctx context.Context, h *Handler) ([]Write, error)

func unguarded(context.Context, *Handler) ([]Write, error) { return nil, nil }

// handle executes a command that changes one stream.
func handle[S, C any, E domain.Event](
	ctx context.Context, h *Handler, req Request, stream domain.StreamName, a aggregate[S, C, E], command C, g guard,
) (Answer[S], error) {
	return execute(h, req, func(h *Handler, req Request) (Answer[S], error) {
		return change(ctx, h, req, stream, a, command, g)
	})
}

func change[S, C any, E domain.Event](
	ctx context.Context, h *Handler, req Request, stream domain.StreamName, a aggregate[S, C, E], command C, g guard,
) (Answer[S], error) {
	return again(ctx, h, func(ctx context.Context) (Answer[S], error) {
		checks, err := g(ctx, h)
		if err != nil {
			return Answer[S]{}, err
		}
		now, recorded, repeated, err := begin(ctx, h, req, stream, a)
		if repeated || err != nil {
			return now, err
		}
		own, done, err := decide(h, req, stream, a, now.State, recorded, command)
		if err != nil || len(own.Events) == 0 {
			return done, err
		}
		done.Position, err = h.append(ctx, []Write{own}, checks)
		return done, err
	})
}

// begin loads the stream that a command is to change, and returns how things
// are there; or, for a repeat of a command, how it left them.
func begin[S, C any, E domain.Event](
	ctx context.Context, h *Handler, req Request, stream domain.StreamName, a aggregate[S, C, E],
) (now Answer[S], recorded []domain.Recorded, repeated bool, err error) {
	loaded, err := h.Store.Load(ctx, stream)
	if err != nil {
		return now, nil, false, err
	}
	var initial S
	recorded = loaded[stream]
	upTo, err := replay(recorded, req)
	if err != nil || upTo > 0 {
		return answer(domain.Replay(a.evolve, initial, recorded[:upTo]), recorded[:upTo]), recorded, upTo > 0, err
	}
	if err := req.expect(recorded); err != nil {
		return now, recorded, false, err
	}
	return answer(domain.Replay(a.evolve, initial, recorded), recorded), recorded, false, nil
}

// decide returns the write of what a command does, without events when that is
// nothing, and the answer once it is stored, but for its position.
func decide[S, C any, E domain.Event](
	h *Handler, req Request, stream domain.StreamName, a aggregate[S, C, E], now S, recorded []domain.Recorded, command C,
) (own Write, done Answer[S], err error) {
	events, err := a.decide(now, command)
	if err != nil {
		return own, done, err
	}
	own = Write{stream, last(recorded), stamp(h, req, events)}
	if len(events) == 0 {
		return own, answer(now, recorded), nil
	}
	return own, Answer[S]{State: domain.Fold(a.evolve, now, events...), Revision: own.Expected + domain.Revision(len(events))}, nil
}

// append stores the writes in one append. The checks go with them where the
// store takes several writes.
func (h *Handler) append(ctx context.Context, writes, checks []Write) (domain.Position, error) {
	if h.Store.Atomic() {
		writes = slices.Concat(writes, checks)
	}
	position, err := h.Store.Append(ctx, writes...)
	if errors.Is(err, ErrWrongRevision) {
		h.forget(checks)
	}
	return position, err
}

// again repeats a try that lost a race, until the caller's patience ends:
// losing a race is not a refusal.
func again[T any](ctx context.Context, h *Handler, try func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, h.Patience)
	defer cancel()
	return retry(ctx, h, try)
}

// retry is again where ctx ends with the caller's patience.
func retry[T any](ctx context.Context, h *Handler, try func(ctx context.Context) (T, error)) (T, error) {
	lost := false
	for {
		result, err := once(ctx, h, try)
		switch {
		case err == nil:
			return result, nil
		case errors.Is(err, ErrWrongRevision):
			lost = true
		case lost && ctx.Err() != nil && !errors.Is(err, ErrUnknownOutcome):
			return result, ErrBusy
		case ctx.Err() != nil && domain.RuleOf(err) == nil:
			return result, ErrUnavailable
		default:
			return result, err
		}
		if pause(ctx) != nil {
			return result, ErrBusy
		}
	}
}

// once is one try: what it touches is loaded, decided on and appended to.
func once[T any](ctx context.Context, h *Handler, try func(ctx context.Context) (T, error)) (T, error) {
	if h.Span == nil {
		return try(ctx)
	}
	ctx, end := h.Span(ctx, "decide")
	result, err := try(ctx)
	end(err)
	return result, err
}

// pause waits 1 to 20 ms, so that those who lost the same race do not all meet
// again.
func pause(ctx context.Context) error {
	timer := time.NewTimer(time.Millisecond + rand.N(19*time.Millisecond)) //nolint:gosec // jitter, not a secret
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// replay finds what the same command stored before. It returns how many of the
// stream's events lead up to and include it, 0 when there is nothing.
func replay(recorded []domain.Recorded, req Request) (int, error) {
	upTo := 0
	for i, r := range recorded {
		if r.Metadata.Command != req.Command {
			continue
		}
		if r.Metadata.Request != req.Hash {
			return 0, ErrKeyReused
		}
		upTo = i + 1
	}
	return upTo, nil
}

func (r Request) expect(recorded []domain.Recorded) error {
	if r.Expected != nil && *r.Expected != last(recorded) {
		stale := &Conflict{Err: ErrStale, Revision: last(recorded)}
		if len(recorded) > 0 {
			stale.Stream = recorded[0].Stream
		}
		return stale
	}
	return nil
}

// answer tells what is there, without having changed it.
func answer[S any](state S, recorded []domain.Recorded) Answer[S] {
	a := Answer[S]{State: state, Revision: last(recorded), Replayed: true}
	if n := len(recorded); n > 0 {
		a.Position = recorded[n-1].Position
	}
	return a
}

func last(recorded []domain.Recorded) domain.Revision {
	if n := len(recorded); n > 0 {
		return recorded[n-1].Revision
	}
	return domain.NoStream
}

// stamp gives decided events their ids and their origin.
func stamp[E domain.Event](h *Handler, req Request, events []E) []NewEvent {
	stamped := make([]NewEvent, len(events))
	for i, e := range events {
		stamped[i] = NewEvent{h.NewID(), e, domain.Metadata{
			Command: req.Command, Request: req.Hash, Actor: req.Actor, Correlation: req.Correlation, Causation: req.Causation,
		}}
	}
	return stamped
}
