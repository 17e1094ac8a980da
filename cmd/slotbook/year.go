package main

import (
	"context"
	"strings"
	"time"

	"github.com/slotbook/slotbook/commands/demo"
	"github.com/slotbook/slotbook/domain"
)

// What is made of a year around today.
const (
	yearBehind = 182 // days that have passed
	yearAhead  = 182 // days that are open
)

// loadYear makes up a year from a seed, up to what time it is, in an empty
// store; another store is left alone. A year that is interrupted stays as it
// is.
func (a *app) loadYear(ctx context.Context, seed uint64) error {
	head, err := a.store.Head(ctx)
	if err != nil {
		return err
	}
	if head > 0 {
		a.logger.InfoContext(ctx, "the store is not empty: no year is made up")
		return nil
	}
	now := a.clock()
	first := domain.DayOf(now).Add(-yearBehind)
	a.logger.InfoContext(ctx, "a year is made up", "seed", seed, "first", first)
	report, err := demo.Write(ctx, demo.Config{
		Seed: seed, Store: a.store, NewID: newID, HoldKey: a.handler.HoldKey, NameKey: a.handler.NameKey, First: first, Until: now.Truncate(time.Second), Ahead: yearAhead,
		Progress: func(day domain.Day) {
			if strings.HasSuffix(string(day), "-01") || day == domain.DayOf(now) {
				a.logger.InfoContext(ctx, "a year is made up", "day", day)
			}
		},
	})
	if err == nil {
		a.logger.InfoContext(ctx, "a year was made up", "done", report.Done, "refused", report.Refused)
	}
	return err
}
