package engine

import (
	"context"
	"fmt"

	"github.com/slotbook/slotbook/domain"
)

// ErrRebuild says that tables were not made from the log as it is: from another
// epoch of it, or beyond its end. A rebuild makes them anew.
var ErrRebuild = domain.Refusal(domain.Unavailable, "projection.rebuild", "the read model was not built from the log as it is now: rebuild it")

// otherEpoch is why tables of another epoch are refused.
const otherEpoch = "it was built from another epoch of the store"

func beyond(at, head domain.Position) string {
	return fmt.Sprintf("it stands at position %d, and the log ends at %d", at, head)
}

// within returns [ErrRebuild] when a position lies beyond the end of the log.
func (e *Engine) within(ctx context.Context, at domain.Position) error {
	if at == 0 {
		return nil
	}
	head, err := e.config.Log.Head(ctx)
	if err == nil && at > head {
		err = fmt.Errorf("%w: %s", ErrRebuild, beyond(at, head))
	}
	return err
}

// judge says in a sentence why tables at a position have to be rebuilt; "" when
// they need not.
func (e *Engine) judge(ctx context.Context, at, head domain.Position, ours bool) (string, error) {
	if !ours {
		return otherEpoch, nil
	}
	if at <= head {
		return "", nil
	}
	head, err := e.config.Log.Head(ctx) // it may have grown since it was asked for
	if err != nil || at <= head {
		return "", err
	}
	return beyond(at, head), nil
}
