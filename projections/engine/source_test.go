package engine_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

// noted is a row that the total adds: how many claims there were at an event.
type noted struct {
	Note   string `db:"note"`
	Claims int    `db:"claims"`
}

func notebook() engine.Model {
	return engine.Model{
		Name: "notebook", Version: 1, Interest: domain.Filter{Categories: []string{slot.Category}},
		Tables: []engine.Table{
			engine.NewSource("total", totalDDL, func(domain.Recorded) []string { return []string{"all"} }, evolveNoting, "noted"),
			engine.NewAdded[noted]("noted", `create table noted (note text collate "C" primary key, claims bigint not null)`),
		},
	}
}

// evolveNoting counts claims, adds a note of each, and panics half-way at one of
// the unlucky.
func evolveNoting(t total, exists bool, r domain.Recorded, add func(string, noted)) (total, bool) {
	e, ok := r.Event.(slot.Booked)
	if !ok {
		return t, exists
	}
	t.Claims++
	add(fmt.Sprint(r.Position), noted{fmt.Sprint(r.Position), t.Claims})
	if e.Patient == unlucky {
		panic("no luck")
	}
	return t, true
}

func TestASourceAddsOneRowForEachEventHoweverItIsFolded(t *testing.T) {
	t.Parallel()
	models := func(func(domain.Sealed) string) []engine.Model { return []engine.Model{notebook()} }
	var facts []projectionstest.Fact
	for n := range 150 { // so many that they are copied
		facts = append(facts, book(n, "ana"))
	}
	t.Run("three ways", projectionstest.Given(models, facts...).Then(func(t *testing.T, e *engine.Engine) {
		t.Helper()
		var count, most int
		_, err := e.View(t.Context(), 0, []string{"notebook"}, func(r engine.Reader) error {
			return r.QueryRow(t.Context(), "select count(*), max(claims) from noted").Scan(&count, &most)
		})
		require.NoError(t, err)
		require.Equal(t, []int{150, 150}, []int{count, most})
	}))
}
