package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/series"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

func seriesFact(e domain.Event) fact { return on(series.Stream("weekly"), e) }

func seriesVisits(visits ...appointment.Visit) []series.Visit {
	var all []series.Visit
	for _, v := range visits {
		all = append(all, series.Visit{Day: "2026-03-02", Start: v.Start, Slot: v.Slots[0], Appointment: v.Appointment, Set: 1})
	}
	return all
}

func booksSeries(visits ...appointment.Visit) fact {
	return seriesFact(series.WasBooked{Series: "weekly", Visits: seriesVisits(visits...)})
}

// visitsAre says which visits are listed: "HH:MM status" each.
func visitsAre(t *testing.T, e *engine.Engine, want ...string) {
	t.Helper()
	found, err := projections.NewAppointments(e).List(t.Context(), projections.AppointmentFilter{}, at(8, 0), 0)
	require.NoError(t, err)
	var all []string
	for _, v := range found.Items {
		all = append(all, v.Start.Format("15:04")+" "+string(v.Status))
	}
	require.Equal(t, want, all)
}

func TestWhatASeriesHasDecided(t *testing.T) {
	t.Parallel()
	nine, ten := half(9, 0), half(10, 0)
	v, w := visit(visitA, pat, ana, 0, nine), visit(visitB, pat, ana, 1, ten)
	deadline, all := at(8, 0), projections.SlotFilter{Status: projections.AnyStatus}
	begun := []fact{
		day(ana, centre, 1, nine, ten), seriesFact(series.WasProposed{Series: "weekly", Visits: seriesVisits(v, w), Deadline: deadline}),
		proposed(v, 1, deadline), claimed(v, 0, 1, 1), proposed(w, 1, deadline), claimed(w, 1, 1, 1),
	}
	with := func(more ...fact) []fact { return append(append([]fact{}, begun...), more...) }
	busy := slotsAre(all, at(8, 30), "09:00 busy 0/1", "10:00 busy 0/1")

	t.Run("nothing of it is booked while it is under way", given(begun...).Then(func(t *testing.T, e *engine.Engine) {
		slotsAre(all, at(8, 0), "09:00 busy-tentative 0/1", "10:00 busy-tentative 0/1")(t, e)
		slotsAre(all, at(8, 30), "09:00 free 1/1", "10:00 free 1/1")(t, e)
		visitsAre(t, e)
	}))
	t.Run("all of it is booked at once, before its visits say so", given(with(booksSeries(v, w), booked(v, 1))...).Then(func(t *testing.T, e *engine.Engine) {
		busy(t, e)
		visitsAre(t, e, "09:00 booked", "10:00 booked")
	}))
	t.Run("in one append the claims come first and the visits last",
		given(begun[0], claimed(v, 0, 1, 1), claimed(w, 1, 1, 1), begun[1], booksSeries(v, w), proposed(v, 1, deadline), booked(v, 1),
			proposed(w, 1, deadline), booked(w, 1)).Then(func(t *testing.T, e *engine.Engine) {
			busy(t, e)
			visitsAre(t, e, "09:00 booked", "10:00 booked")
		}))
	t.Run("a visit of it is cancelled alone", given(with(booksSeries(v, w), booked(v, 1), cancelled(v, 1))...).Then(func(t *testing.T, e *engine.Engine) {
		slotsAre(all, at(8, 30), "09:00 free 1/1", "10:00 busy 0/1")(t, e)
		visitsAre(t, e, "09:00 cancelled", "10:00 booked")
	}))
	t.Run("it is free at once when a date was lost",
		given(with(seriesFact(series.WasRefused{Series: "weekly", Visits: seriesVisits(v, w), Rule: "slot.taken"}))...).
			Then(slotsAre(all, at(8, 0), "09:00 free 1/1", "10:00 free 1/1")))
	t.Run("it is free once it has lapsed", given(with(seriesFact(series.HasLapsed{Series: "weekly", Visits: seriesVisits(v, w)}))...).
		Then(slotsAre(all, at(8, 0), "09:00 free 1/1", "10:00 free 1/1")))
}
