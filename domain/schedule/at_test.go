package schedule_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/schedule"
)

func TestWhatAScheduleSaysOfAnInstant(t *testing.T) {
	t.Parallel()
	lunch := schedule.Break{From: wall("12:00"), To: wall("13:00")}
	midnight := schedule.Break{From: wall("00:00"), To: wall("01:00")}
	office := was(pattern("c", lisbon, every(1, "09:00", "17:00", 30, lunch), every(3, "22:00", "04:00", 30, midnight)))
	off := schedule.ExceptionSet{Practitioner: "p", Exception: exception("2026-06-08", "", schedule.DayOff, "holiday")}
	extra := schedule.ExceptionSet{Practitioner: "p", Exception: exception("2026-06-07", "c", schedule.ExtraHours, "", every(0, "10:00", "12:00", 30))}
	calendar := schedule.ClinicAdopted{Practitioner: "p", Clinic: "c", Zone: lisbon, Calendar: domain.Calendar{
		ClosingDays: []domain.ClosingDay{{Day: "2026-06-10"}},
	}}
	state := domain.Fold(schedule.Evolve, schedule.State{}, []schedule.Event{office, off, extra, calendar}...)
	now := at("2026-06-01T08:00:00+01:00") // a Monday; fourteen days are open
	for _, c := range []struct {
		rule string
		at   string
		said schedule.Said
		of   domain.Day
	}{
		{"a slot starts", "2026-06-01T09:30:00+01:00", schedule.Starts, "2026-06-01"},
		{"no slot starts between two", "2026-06-01T09:31:00+01:00", schedule.NoneStarts, "2026-06-01"},
		{"a break", "2026-06-01T12:30:00+01:00", schedule.InBreak, "2026-06-01"},
		{"before the hours", "2026-06-01T08:59:00+01:00", schedule.OutOfHours, "2026-06-01"},
		{"as they end", "2026-06-01T17:00:00+01:00", schedule.OutOfHours, "2026-06-01"},
		{"a night is the day's on which it begins", "2026-06-04T02:00:00+01:00", schedule.Starts, "2026-06-03"},
		{"so is its break", "2026-06-04T00:30:00+01:00", schedule.InBreak, "2026-06-03"},
		{"a day off", "2026-06-08T09:30:00+01:00", schedule.OffDay, "2026-06-08"},
		{"extra hours", "2026-06-07T11:00:00+01:00", schedule.Starts, "2026-06-07"},
		{"a closing day", "2026-06-10T22:30:00+01:00", schedule.Closed, "2026-06-10"},
		{"the first day beyond the horizon", "2026-06-15T09:30:00+01:00", schedule.OutOfReach, "2026-06-15"},
		{"beyond the horizon outside the hours", "2026-06-16T09:30:00+01:00", schedule.OutOfHours, "2026-06-16"},
		{"beyond every horizon", "2027-06-16T09:30:00+01:00", schedule.OutOfReach, "2027-06-16"},
		{"the last day of all", "9999-12-31T09:30:00Z", schedule.OutOfReach, "9999-12-31"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			said, of, err := state.At("c", at(c.at), now)
			require.NoError(t, err)
			require.Equal(t, c.said, said)
			require.Equal(t, c.of, of)
		})
	}
	_, _, err := state.At("d", now, now)
	require.ErrorIs(t, err, schedule.ErrNotFound)
}
