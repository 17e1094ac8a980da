package bus

import (
	"context"

	"github.com/slotbook/slotbook/domain"
)

// Hold is a process's hold on a consumer.
type Hold struct{ *hold }

// Acquire gets hold of a consumer, as a subscription does.
func (s *Subscriber) Acquire(ctx context.Context, topic, owner string) (Hold, error) {
	c, err := s.config.Consumer(topic)
	if err != nil {
		return Hold{}, err
	}
	h, err := (&subscription{Subscriber: s, consumer: c, owner: owner}).acquire(ctx)
	return Hold{h}, err
}

// Move writes the checkpoint.
func (h Hold) Move(ctx context.Context, to domain.Position) error { return h.move(ctx, to) }

// Position is where the consumer stood.
func (h Hold) Position() domain.Position { return h.position }

// The errors of a hold.
var (
	ErrElsewhere = errElsewhere
	ErrLost      = errLost
)
