package domain_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slotbook/slotbook/domain"
)

func wall(t require.TestingT, text string) domain.WallTime {
	w, err := domain.ParseWallTime(text)
	require.NoError(t, err)
	return w
}

func TestOpenings(t *testing.T) {
	t.Parallel()
	hours := func(weekday time.Weekday, from, to string) domain.Hours {
		return domain.Hours{Weekday: int(weekday), From: wall(t, from), To: wall(t, to)}
	}
	closed := func(day domain.Day) []domain.ClosingDay { return []domain.ClosingDay{{Day: day, Reason: "works"}} }
	const monday = domain.Day("2026-06-01")
	cases := []struct {
		rule        string
		calendar    domain.Calendar
		first, last domain.Day
		want        []string // in Lisbon
	}{
		{"a clinic that says nothing restricts nobody", domain.Calendar{}, monday, monday, []string{"Mon 00:00 Tue 00:00"}},
		{
			"a clinic that is open round the clock closes on its closing days",
			domain.Calendar{Open24h: true, ClosingDays: closed("2026-06-02")},
			monday, "2026-06-03",
			[]string{"Mon 00:00 Tue 00:00", "Wed 00:00 Thu 00:00"},
		},
		{
			"a weekday may have several openings",
			domain.Calendar{Hours: []domain.Hours{hours(1, "14:00", "18:00"), hours(1, "08:00", "12:00")}},
			monday, monday,
			[]string{"Mon 08:00 Mon 12:00", "Mon 14:00 Mon 18:00"},
		},
		{
			"openings that touch at midnight are one",
			domain.Calendar{Hours: []domain.Hours{hours(1, "20:00", "24:00"), hours(2, "00:00", "02:00")}},
			monday, "2026-06-02",
			[]string{"Mon 20:00 Tue 02:00"},
		},
		{
			"an opening past midnight of the day before is there",
			domain.Calendar{Hours: []domain.Hours{hours(0, "20:00", "02:00")}},
			monday, monday,
			[]string{"Mon 00:00 Mon 02:00"},
		},
		{
			"a closing day takes the night that runs into it, and the one that begins on it",
			domain.Calendar{Hours: []domain.Hours{hours(0, "20:00", "02:00"), hours(1, "20:00", "02:00"), hours(2, "20:00", "02:00")}, ClosingDays: closed(monday)},
			"2026-05-31", "2026-06-02",
			[]string{"Sun 20:00 Mon 00:00", "Tue 20:00 Wed 00:00"},
		},
	}
	zone, err := domain.Zone("Europe/Lisbon")
	require.NoError(t, err)
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range c.calendar.Openings(c.first, c.last, zone) {
				got = append(got, p.Start.In(zone).Format("Mon 15:04 ")+p.End.In(zone).Format("Mon 15:04"))
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestHoursOfAWeekOverlapPastMidnightToo(t *testing.T) {
	t.Parallel()
	night := domain.Hours{Weekday: 6, From: wall(t, "22:00"), To: wall(t, "02:00")} // Saturday into Sunday
	require.True(t, night.Overlaps(domain.Hours{Weekday: 0, From: wall(t, "01:00"), To: wall(t, "03:00")}))
	require.True(t, domain.Hours{Weekday: 0, From: wall(t, "01:00"), To: wall(t, "03:00")}.Overlaps(night))
	require.False(t, night.Overlaps(domain.Hours{Weekday: 0, From: wall(t, "02:00"), To: wall(t, "03:00")}))
	require.False(t, night.Overlaps(domain.Hours{Weekday: 5, From: wall(t, "23:00"), To: wall(t, "22:00")}), "24 hours less one")
}

func TestPeriodsAreAddedAndTakenAway(t *testing.T) {
	t.Parallel()
	origin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) (periods []domain.Period, minutes map[int]bool) {
			minutes = map[int]bool{}
			for range rapid.IntRange(0, 5).Draw(t, name) {
				from := rapid.IntRange(0, 30).Draw(t, "from")
				to := from + rapid.IntRange(0, 10).Draw(t, "length")
				periods = append(periods, domain.Period{Start: origin.Add(time.Duration(from) * time.Minute), End: origin.Add(time.Duration(to) * time.Minute)})
				for n := from; n < to; n++ {
					minutes[n] = true
				}
			}
			return periods, minutes
		}
		a, inA := draw("a")
		b, inB := draw("b")
		check := func(periods []domain.Period, wanted func(minute int) bool) {
			for n := range 45 {
				minute := domain.Period{Start: origin.Add(time.Duration(n) * time.Minute), End: origin.Add(time.Duration(n+1) * time.Minute)}
				found := 0
				for i, p := range periods {
					require.True(t, p.Start.Before(p.End))
					require.True(t, i == 0 || periods[i-1].End.Before(p.Start), "in order, apart")
					if p.Contains(minute) {
						found++
					}
				}
				require.Equal(t, wanted(n), found == 1, "minute %d", n)
			}
		}
		check(domain.Join(a), func(n int) bool { return inA[n] })
		check(domain.Common(domain.Join(a), domain.Join(b)), func(n int) bool { return inA[n] && inB[n] })
		check(domain.Without(a, b), func(n int) bool { return inA[n] && !inB[n] })
	})
}

func TestADateIsOneOfTheCalendar(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "2026-02-29", "2026-2-1", "0000-01-01", "20260101", "2026-01-01T00:00:00Z"} {
		_, err := domain.ParseDay(bad)
		require.ErrorIs(t, err, domain.ErrBadDay, bad)
	}
	day, err := domain.ParseDay("2028-02-29")
	require.NoError(t, err)
	require.Equal(t, domain.Day("2028-02-29"), day)
}
