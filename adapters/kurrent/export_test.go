package kurrent

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/slotbook/slotbook/domain"
)

// Apart calls f as every call of the client is called, and ErrPanic is what
// becomes of a panic of its.
func Apart(ctx context.Context, f func() (int, error)) (int, error) { return apart(ctx, f) }

// ErrPanic is what becomes of a panic of the client.
var ErrPanic = errPanic

// The metadata of copied events.
var (
	WithTime    = withTime
	WithoutTime = withoutTime
)

// PositionOf returns the position of an event.
func (s *Store) PositionOf(e *esdb.RecordedEvent) (domain.Position, error) { return s.position(e) }

// Held returns the client that calls are made on; another one after it was replaced.
func (s *Store) Held() any {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.conn.current
}
