package engine

import (
	"context"
	"errors"
	"fmt"
)

// ErrPaused says that a model does not move because somebody has paused it.
var ErrPaused = errors.New("the read model is paused")

// Pause keeps every process from moving the live tables of models until
// [Engine.Resume]. Lists go on answering what was at that moment. What is paused
// already stays so.
func (e *Engine) Pause(ctx context.Context, names ...string) error {
	return e.setPaused(ctx, names, "coalesce(paused_at, clock_timestamp())")
}

// Resume lets models move again.
func (e *Engine) Resume(ctx context.Context, names ...string) error {
	return e.setPaused(ctx, names, "null")
}

func (e *Engine) setPaused(ctx context.Context, names []string, to string) error {
	schemas := make([]string, len(names))
	for i, name := range names {
		m, err := e.model(name)
		if err != nil {
			return err
		}
		schemas[i] = m.Schema()
	}
	ctx, cancel := context.WithTimeout(ctx, e.config.Timeout)
	defer cancel()
	_, err := e.config.Pool.Exec(ctx, `
		update slotbook.projection_checkpoint
		set paused_at = `+to+`
		where schema = any($1)`, schemas)
	if err != nil {
		return fmt.Errorf("pause or resume: %w", err)
	}
	return nil
}
