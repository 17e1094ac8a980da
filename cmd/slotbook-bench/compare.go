package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// measure does something for a while and returns how many times a second it
// was done.
type measure func(ctx context.Context) (float64, error)

// rates is what a comparison measured.
type rates struct {
	bases      [][]float64 // of each base, once more often than there are rounds
	candidates [][]float64 // of each candidate, one a round
}

// compare lets bases and candidates take turns: all bases, all candidates, and
// so on, the bases also at the end. A first turn of everybody is not counted.
func compare(ctx context.Context, rounds int, bases, candidates []measure) (rates, error) {
	r := rates{make([][]float64, len(bases)), make([][]float64, len(candidates))}
	for _, m := range slices.Concat(bases, candidates) {
		if _, err := m(ctx); err != nil {
			return r, err
		}
	}
	err := turn(ctx, bases, r.bases)
	for range rounds {
		err = errors.Join(err, turn(ctx, candidates, r.candidates), turn(ctx, bases, r.bases))
		if err != nil {
			break
		}
	}
	return r, err
}

func turn(ctx context.Context, all []measure, into [][]float64) error {
	for i, m := range all {
		rate, err := m(ctx)
		if err != nil {
			return err
		}
		into[i] = append(into[i], rate)
	}
	return nil
}

// ratios returns, for each round, a candidate's rate over the mean of a base's
// just before and just after.
func (r rates) ratios(candidate, base int) []float64 {
	ratios := make([]float64, len(r.candidates[candidate]))
	for i, rate := range r.candidates[candidate] {
		ratios[i] = rate / ((r.bases[base][i] + r.bases[base][i+1]) / 2)
	}
	return ratios
}

// median returns the middle value, or the mean of the middle two.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// errUsedUp ends a run early: what there was to do is done.
var errUsedUp = errors.New("nothing is left to do")

// repeat lets clients repeat an operation at once until the window ends or an
// operation answers errUsedUp, and returns how many were done in a second.
func repeat(ctx context.Context, clients int, window time.Duration, operation func(context.Context) error) (float64, error) {
	var done atomic.Int64
	var all sync.WaitGroup
	failures := make([]error, clients)
	began := time.Now()
	for i := range clients {
		all.Go(func() {
			for failures[i] == nil && time.Since(began) < window {
				if failures[i] = operation(ctx); failures[i] == nil {
					done.Add(1)
				}
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	for _, err := range failures {
		if err != nil && !errors.Is(err, errUsedUp) {
			return 0, err
		}
	}
	return float64(done.Load()) / took.Seconds(), nil
}
