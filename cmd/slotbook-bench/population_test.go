package main

import (
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

func TestAPopulationIsTheSameInEveryRunAndOfAllScripts(t *testing.T) {
	t.Parallel()
	p, err := newPopulation(20, 400, 100)
	require.NoError(t, err)
	again, err := newPopulation(20, 400, 100)
	require.NoError(t, err)
	scripts := map[string]int{}
	for n := range 400 {
		profile := p.practitionerProfile(n)
		require.Equal(t, profile, again.practitionerProfile(n))
		first := []rune(profile.Name)[0]
		for name, script := range map[string]*unicode.RangeTable{"Latin": unicode.Latin, "Cyrillic": unicode.Cyrillic, "Hangul": unicode.Hangul} {
			if unicode.Is(script, first) {
				scripts[name]++
			}
		}
	}
	require.Len(t, scripts, 3)
	for n := range 20 {
		c := p.clinicProfile(n)
		town := p.town(n)
		require.InDelta(t, *town.Latitude, c.Location.Latitude, 0.4)
		require.InDelta(t, *town.Longitude, c.Location.Longitude, 0.6)
	}
}

func TestAPracticeIsHalfBookedAndEverySlotIsThereOnce(t *testing.T) {
	t.Parallel()
	p, err := newPopulation(20, 200, 100)
	require.NoError(t, err)
	slots, booked, withdrawn, held := map[domain.SlotID]bool{}, 0, 0, 0
	for n := range 200 {
		facts, times := p.practiceOf(n)
		require.Len(t, times, len(facts))
		for _, f := range facts {
			switch e := f.event.(type) {
			case schedule.DayOpened:
				for _, s := range e.Slots {
					require.False(t, slots[s.ID])
					slots[s.ID] = true
				}
			case appointment.WasBooked:
				require.True(t, slots[e.Slots[0]], "the day is opened before")
				booked++
			case slot.Withdrawn:
				withdrawn++
			case slot.Held:
				held++
			}
		}
	}
	require.Len(t, slots, 200*practiceSlots)
	require.InDelta(t, 0.5, float64(booked)/float64(len(slots)), 0.1)
	require.Positive(t, withdrawn)
	require.Positive(t, held)
}

func TestALoadIsNamedByAllThatItDependsOn(t *testing.T) {
	t.Parallel()
	small := loadOf(200)
	require.Equal(t, small.database(), loadOf(200).database())
	other := small
	other.Slots = false
	require.NotEqual(t, small.database(), other.database())
	require.NotEqual(t, small.database(), loadOf(400).database())
}

func TestARowMayHaveACeiling(t *testing.T) {
	t.Parallel()
	r := row{Name: "a query", Value: 2, Unit: "ms", Against: "bare SQL", AgainstValue: 1, Ratio: 2, AtMost: 1.5, P99: 9, AgainstP99: 4}
	require.True(t, r.misses())
	require.Contains(t, r.line(false), "2.00 ms, p99 9.00")
	require.Contains(t, r.line(false), "bare SQL, p99 4.00; ABOVE 1.50")
	r.Ratio = 1.4
	require.False(t, r.misses())
	require.Contains(t, r.line(false), "; at most 1.50")
	require.NotContains(t, r.line(true), "at most")
}

func TestTheArgumentsOfEachWordAreNumberedOn(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a like $1 or $7", numbered("a like $1 or $7", " and ", 1))
	require.Equal(t, "$1 $4 and $8 $11", numbered("$1 $4", " and ", 2))
}
