package commands_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/series"
)

func (w *world) series(weeks int) commands.SeriesBooking {
	return commands.SeriesBooking{
		Series: domain.SeriesID(domain.NewID("series")), Practitioner: w.silva, Clinic: w.clinic, Patient: w.ana,
		Recurrence: series.Recurrence{First: domain.DayOf(monday), At: 9*60 + 30, EveryWeeks: 1, Count: weeks},
	}
}

// A series books what can be had and says of the rest why not; every visit is
// an appointment of its own.
func TestASeriesIsAcceptedWithAReport(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 15))
		taken, err := w.h.SlotAt(w.ctx, w.silva, monday.AddDate(0, 0, 7).Truncate(24*time.Hour).Add(8*time.Hour+30*time.Minute))
		require.NoError(t, err)
		_, err = w.book(w.boris, taken)
		require.NoError(t, err)

		req, wish := w.request(), w.series(4)
		done, err := w.h.BookSeries(w.ctx, req, wish)
		require.NoError(t, err)
		require.Len(t, done.State.Visits, 2)
		require.Equal(t, []string{"slot.taken", "series.no-slot"}, []string{done.State.Missed[0].Rule, done.State.Missed[1].Rule})
		for _, v := range done.State.Visits {
			booked, err := w.h.Appointment(w.ctx, v.Appointment)
			require.NoError(t, err)
			require.Equal(t, appointment.Booked, booked.State.Status)
		}
		before := len(w.log())
		again, err := w.h.BookSeries(w.ctx, req, wish)
		require.NoError(t, err)
		require.True(t, again.Replayed)
		require.Equal(t, done.State, again.State)
		_, err = w.h.BookSeries(w.ctx, w.request(), wish)
		require.ErrorIs(t, err, series.ErrExists)
		require.Len(t, w.log(), before)
		w.audit()
	})
}

// A run that was interrupted is finished by a repeat, and books nothing twice.
func TestAnInterruptedSeriesIsFinished(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 15))
	req, wish := w.request(), w.series(2)
	first := commands.Request{Command: domain.NewID(req.Command, string(domain.DayOf(monday))), Actor: req.Actor}
	slot, err := w.h.SlotAt(w.ctx, w.silva, monday.Truncate(24*time.Hour).Add(8*time.Hour+30*time.Minute))
	require.NoError(t, err)
	_, err = w.h.Book(w.ctx, first, commands.Booking{
		Appointment: domain.AppointmentID(domain.NewID(string(wish.Series), "visit", string(domain.DayOf(monday)))), Slots: []domain.SlotID{slot}, Patient: w.ana,
	})
	require.NoError(t, err)
	done, err := w.h.BookSeries(w.ctx, req, wish)
	require.NoError(t, err)
	require.Len(t, done.State.Visits, 2)
	require.Empty(t, done.State.Missed)
	require.Equal(t, 2, w.audit().Live())
}

// A request that makes no sense books nothing.
func TestASeriesThatMakesNoSense(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 15))
	before := len(w.log())
	wish := w.series(0)
	_, err := w.h.BookSeries(w.ctx, w.request(), wish)
	require.ErrorIs(t, err, series.ErrRecurrence)
	wish = w.series(2)
	wish.Patient = "nobody"
	_, err = w.h.BookSeries(w.ctx, w.request(), wish)
	require.Error(t, err)
	wish = w.series(2)
	wish.Practitioner = "nobody"
	_, err = w.h.BookSeries(w.ctx, w.request(), wish)
	require.ErrorIs(t, err, practitioner.ErrNotFound)
	require.Len(t, w.log(), before)
}

func TestADryRunOfASeriesSeesItsOwnVisits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 15))
	w.limit(policy.Terms{PatientActive: new(1)})
	before := len(w.log())
	dry := w.request()
	dry.DryRun = true
	planned, err := w.h.BookSeries(w.ctx, dry, w.series(2))
	require.NoError(t, err)
	require.Len(t, planned.State.Visits, 1)
	require.Equal(t, "quota.patient-active", planned.State.Missed[0].Rule)
	require.Len(t, w.log(), before)
	var booked int
	for _, p := range planned.Planned {
		if _, ok := p.Event.(appointment.WasBooked); ok {
			booked++
		}
	}
	require.Equal(t, 1, booked, "the plan has the events of the visits, too")
}

func TestASeriesIsAtItsClinic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 15))
	elsewhere := w.series(1)
	elsewhere.Clinic = domain.ClinicID(domain.NewID("elsewhere"))
	_, err := w.h.RegisterClinic(w.ctx, w.request(), clinic.Register{Clinic: elsewhere.Clinic, Profile: clinic.Profile{Name: "Elsewhere", Zone: "Europe/Lisbon"}})
	require.NoError(t, err)
	_, err = w.h.BookSeries(w.ctx, w.request(), elsewhere)
	require.ErrorIs(t, err, practitioner.ErrElsewhere, "she does not work there")
}
