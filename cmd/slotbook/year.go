package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
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
		a.logger.LogAttrs(ctx, slog.LevelInfo, "a year was made up", counts("done", report.Done), counts("refused", report.Refused))
	}
	return err
}

// counts logs how often each of some things was.
func counts(name string, of map[string]int) slog.Attr {
	var all []slog.Attr
	for _, what := range slices.Sorted(maps.Keys(of)) {
		all = append(all, slog.Int(what, of[what]))
	}
	return slog.Attr{Key: name, Value: slog.GroupValue(all...)}
}
