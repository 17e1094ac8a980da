package commands_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/schedule"
)

func TestAStateIsWhatHandlersTakeForTrue(t *testing.T) {
	t.Parallel()
	recorded := []domain.Recorded{
		{Event: clinic.Registered{Clinic: "c1", Profile: clinic.Profile{Name: "Sunrise"}}}, {Event: clinic.WasClosed{Clinic: "c1"}},
	}
	state, ok := commands.StateOf("clinic-c1", recorded)
	require.True(t, ok)
	require.Equal(t, domain.Replay(clinic.Evolve, clinic.State{}, recorded), state)
	before, _ := commands.StateOf("clinic-c1", recorded[:1])
	require.False(t, before.(clinic.State).Closed)

	day, ok := commands.StateOf("schedule-d1.2026-03-02", nil)
	require.True(t, ok)
	require.IsType(t, schedule.Day{}, day)
	_, ok = commands.StateOf("demand-c1.2026-03-02", nil)
	require.False(t, ok, "it only notes what happened")
	_, ok = commands.StateOf("weather-1", nil)
	require.False(t, ok)
}

// TestEveryCategoryHasAState takes the categories from the catalogue of events.
func TestEveryCategoryHasAState(t *testing.T) {
	t.Parallel()
	catalogue, err := os.ReadFile("../docs/events.md")
	require.NoError(t, err)
	found := regexp.MustCompile("(?m)^\\| `([a-z]+)-").FindAllStringSubmatch(string(catalogue), -1)
	require.Greater(t, len(found), 12)
	for _, f := range found {
		_, ok := commands.StateOf(domain.Stream(f[1], "x"), nil)
		require.Equal(t, f[1] != "demand", ok, f[1])
	}
}
