// Package domaintest states the rules of an aggregate as sentences:
//
//	t.Run("a taken slot is refused", spec.Given(booked).When(claim).ThenRefuse(slot.ErrTaken))
package domaintest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
)

// Spec is an aggregate under test.
type Spec[S, C any, E domain.Event] struct {
	Decide func(S, C) ([]E, error)
	Evolve func(S, E) S
}

// Given is what has happened, and then the command.
type Given[S, C any, E domain.Event] struct {
	spec    Spec[S, C, E]
	history []E
	command C
}

// Given starts a sentence with what has happened.
func (s Spec[S, C, E]) Given(history ...E) Given[S, C, E] {
	return Given[S, C, E]{spec: s, history: history}
}

// When adds the command.
func (g Given[S, C, E]) When(command C) Given[S, C, E] {
	g.command = command
	return g
}

func (g Given[S, C, E]) decide() ([]E, error) {
	var initial S
	return g.spec.Decide(domain.Fold(g.spec.Evolve, initial, g.history...), g.command)
}

// Then ends the sentence: exactly these events happen, none meaning nothing.
// The same command must then decide nothing more: twice is once.
func (g Given[S, C, E]) Then(events ...E) func(*testing.T) {
	return func(t *testing.T) {
		t.Parallel()
		got, err := g.decide()
		require.NoError(t, err)
		require.Equal(t, events, got)
		again := g
		again.history = append(append([]E{}, g.history...), got...)
		repeated, err := again.decide()
		require.NoError(t, err)
		require.Empty(t, repeated, "twice is once")
	}
}

// ThenRefuse ends the sentence: the command is refused by this rule.
func (g Given[S, C, E]) ThenRefuse(rule error) func(*testing.T) {
	return func(t *testing.T) {
		t.Parallel()
		events, err := g.decide()
		require.ErrorIs(t, err, rule)
		require.Empty(t, events)
	}
}
