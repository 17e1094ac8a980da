package schedule_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/schedule"
)

func TestReplyBy(t *testing.T) {
	t.Parallel()
	lunch := schedule.Break{From: wall("12:00"), To: wall("13:00")}
	var weekdays, round []schedule.Interval
	for day := time.Monday; day <= time.Friday; day++ {
		weekdays = append(weekdays, every(day, "09:00", "17:00", 30, lunch))
	}
	for day := time.Sunday; day <= time.Saturday; day++ {
		round = append(round, every(day, "00:00", "24:00", 30))
	}
	office := was(pattern("c", lisbon, weekdays...))
	nights := was(pattern("c", lisbon, every(time.Saturday, "22:00", "04:00", 30)))
	off := schedule.ExceptionSet{Practitioner: "p", Exception: exception("2026-06-02", "", schedule.DayOff, "holiday")}
	calendar := func(c domain.Calendar) schedule.Event {
		return schedule.ClinicAdopted{Practitioner: "p", Clinic: "c", Zone: lisbon, Calendar: c}
	}
	blocked := func(from, to string) schedule.Event {
		return schedule.Blocked{Practitioner: "p", Block: schedule.Block{ID: "b", Period: domain.Period{Start: at(from), End: at(to)}}}
	}
	cases := []struct {
		rule   string
		events []schedule.Event
		asked  string
		start  string // of the visit
		want   string
	}{
		{"asked at work: 20 minutes", []schedule.Event{office}, "2026-06-01T10:00:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-01T10:20:00+01:00"},
		{"asked as the practitioner opens: 20 minutes", []schedule.Event{office}, "2026-06-01T09:00:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-01T09:20:00+01:00"},
		{"asked in the lunch break: 15 minutes after it", []schedule.Event{office}, "2026-06-01T12:30:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-01T13:15:00+01:00"},
		{"asked before lunch: the break does not count", []schedule.Event{office}, "2026-06-01T11:55:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-01T13:15:00+01:00"},
		{"asked 20 minutes before closing: at closing", []schedule.Event{office}, "2026-06-01T16:40:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-01T17:00:00+01:00"},
		{"asked 5 minutes before closing: 15 are left for the next morning", []schedule.Event{office}, "2026-06-01T16:55:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-02T09:15:00+01:00"},
		{"asked at closing: 15 minutes into the next morning", []schedule.Event{office}, "2026-06-01T17:00:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-02T09:15:00+01:00"},
		{"asked at night: 15 minutes into the morning", []schedule.Event{office}, "2026-06-02T03:00:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-02T09:15:00+01:00"},
		{"asked on Friday's last minute: the rest is on Monday", []schedule.Event{office}, "2026-06-05T16:59:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-08T09:19:00+01:00"},
		{"a day off is passed over", []schedule.Event{office, off}, "2026-06-01T16:50:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-03T09:10:00+01:00"},
		{"a closing day of the clinic is passed over", []schedule.Event{office, calendar(domain.Calendar{ClosingDays: []domain.ClosingDay{{Day: "2026-06-02"}}})}, "2026-06-01T18:00:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-03T09:15:00+01:00"},
		{"the clinic's hours bound the practitioner's", []schedule.Event{office, calendar(domain.Calendar{Hours: []domain.Hours{{Weekday: 2, From: wall("10:00"), To: wall("16:00")}}})}, "2026-06-01T10:00:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-02T10:15:00+01:00"},
		{"asked in a block: 15 minutes after it", []schedule.Event{office, blocked("2026-06-01T08:30:00Z", "2026-06-01T10:00:00Z")}, "2026-06-01T10:00:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-01T11:15:00+01:00"},
		{"what runs into a block goes on after it", []schedule.Event{office, blocked("2026-06-01T08:30:00Z", "2026-06-01T10:00:00Z")}, "2026-06-01T09:15:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-01T11:05:00+01:00"},
		{"extra hours are working hours", []schedule.Event{office, schedule.ExceptionSet{Practitioner: "p", Exception: exception(
			"2026-06-06", "c", schedule.ExtraHours, "", every(time.Saturday, "10:00", "12:00", 30),
		)}}, "2026-06-05T20:00:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-06T10:15:00+01:00"},
		{"never after the start of the visit", []schedule.Event{office}, "2026-06-01T10:00:00+01:00", "2026-06-01T10:10:00+01:00", "2026-06-01T10:10:00+01:00"},
		{"nor when the next opening is after it", []schedule.Event{office}, "2026-06-05T18:00:00+01:00", "2026-06-06T10:00:00+01:00", "2026-06-06T10:00:00+01:00"},
		{"without any hours: the start of the visit", []schedule.Event{was(pattern("c", lisbon))}, "2026-06-01T10:00:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-09T10:00:00+01:00"},
		{"without a pattern at the clinic: the start of the visit", nil, "2026-06-01T10:00:00+01:00", "2026-06-09T10:00:00+01:00", "2026-06-09T10:00:00+01:00"},
		{"a night goes on past midnight", []schedule.Event{nights}, "2026-06-06T23:50:00+01:00", "2026-06-20T10:00:00+01:00", "2026-06-07T00:10:00+01:00"},
		{"asked after a night's end: 15 minutes into the next, a week later", []schedule.Event{nights}, "2026-06-07T04:00:00+01:00", "2026-06-20T10:00:00+01:00", "2026-06-13T22:15:00+01:00"},
		{"round the clock midnight is nothing", []schedule.Event{was(pattern("c", lisbon, round...))}, "2026-06-01T23:50:00+01:00", "2026-06-20T10:00:00+01:00", "2026-06-02T00:10:00+01:00"},
		{"round the clock at the end of the week too", []schedule.Event{was(pattern("c", lisbon, round...))}, "2026-06-05T23:55:00+01:00", "2026-06-20T10:00:00+01:00", "2026-06-06T00:15:00+01:00"},
		{"20 minutes are minutes where the clock skips an hour", []schedule.Event{nights}, "2026-03-29T00:50:00Z", "2026-04-20T10:00:00+01:00", "2026-03-29T02:10:00+01:00"},
		{"and where it repeats one", []schedule.Event{nights}, "2026-10-25T01:50:00+01:00", "2026-11-20T10:00:00Z", "2026-10-25T01:10:00Z"},
		{"the Monday after the clocks change opens by the wall", []schedule.Event{office}, "2026-03-27T18:00:00Z", "2026-04-20T10:00:00+01:00", "2026-03-30T09:15:00+01:00"},
		{"also in autumn", []schedule.Event{office}, "2026-10-23T18:00:00+01:00", "2026-11-20T10:00:00Z", "2026-10-26T09:15:00Z"},
		{"hours far ahead are found", []schedule.Event{office, blocked("2026-06-01T00:00:00Z", "2026-09-01T00:00:00Z")}, "2026-06-01T10:00:00+01:00", "2026-12-01T10:00:00Z", "2026-09-01T09:15:00+01:00"},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			s := domain.Fold(schedule.Evolve, schedule.State{}, c.events...)
			got := s.ReplyBy("c", at(c.asked), at(c.start))
			require.True(t, at(c.want).Equal(got), "want %s, got %s", c.want, got)
		})
	}
}
