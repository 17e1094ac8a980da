package schedule_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/domaintest"
	"github.com/slotbook/slotbook/domain/schedule"
)

var spec = domaintest.Spec[schedule.State, schedule.Command, schedule.Event]{Decide: schedule.Decide, Evolve: schedule.Evolve}

func wall(text string) domain.WallTime {
	w, err := domain.ParseWallTime(text)
	if err != nil {
		panic(err)
	}
	return w
}

func every(weekday time.Weekday, from, to string, minutes int, breaks ...schedule.Break) schedule.Interval {
	return schedule.Interval{
		Weekday: int(weekday), From: wall(from), To: wall(to), SlotMinutes: minutes, Capacity: 1, Breaks: breaks,
	}
}

func pattern(clinic, zone string, weekly ...schedule.Interval) schedule.Pattern {
	return schedule.Pattern{Clinic: domain.ClinicID(clinic), Zone: zone, Weekly: weekly, HorizonDays: 14}
}

func TestSet(t *testing.T) {
	t.Parallel()
	lunch := schedule.Break{From: wall("12:00"), To: wall("13:00")}
	good := pattern("c", "Europe/Lisbon", every(time.Monday, "09:00", "17:00", 30, lunch))
	set := func(change func(*schedule.Pattern)) schedule.Set {
		p := good
		p.Weekly = []schedule.Interval{good.Weekly[0]}
		change(&p)
		return schedule.Set{Practitioner: "p", Pattern: p}
	}
	was := schedule.WasSet{Practitioner: "p", Pattern: good}

	t.Run("puts a pattern in force", spec.Given().When(set(func(*schedule.Pattern) {})).Then(was))
	t.Run("takes an empty week: no more slots",
		spec.Given(was).When(set(func(p *schedule.Pattern) { p.Weekly = nil })).
			Then(schedule.WasSet{Practitioner: "p", Pattern: pattern("c", "Europe/Lisbon")}))
	refusals := []struct {
		rule   string
		change func(*schedule.Pattern)
		err    error
	}{
		{"an interval that begins at the day's end", func(p *schedule.Pattern) { p.Weekly[0].From = wall("24:00") }, schedule.ErrInterval},
		{"an interval shorter than its slot", func(p *schedule.Pattern) { p.Weekly[0].SlotMinutes = 600 }, schedule.ErrInterval},
		{"a weekday that is none", func(p *schedule.Pattern) { p.Weekly[0].Weekday = 7 }, schedule.ErrInterval},
		{"a slot of two minutes", func(p *schedule.Pattern) { p.Weekly[0].SlotMinutes = 2 }, schedule.ErrDuration},
		{"a slot without a place", func(p *schedule.Pattern) { p.Weekly[0].Capacity = 0 }, schedule.ErrCapacity},
		{"a break outside its interval", func(p *schedule.Pattern) {
			p.Weekly[0].Breaks = []schedule.Break{{From: wall("16:30"), To: wall("17:30")}}
		}, schedule.ErrBreak},
		{"breaks that overlap", func(p *schedule.Pattern) {
			p.Weekly[0].Breaks = []schedule.Break{lunch, {From: wall("12:30"), To: wall("14:00")}}
		}, schedule.ErrBreak},
		{"two intervals of a weekday that overlap", func(p *schedule.Pattern) {
			p.Weekly = append(p.Weekly, every(time.Monday, "16:30", "18:00", 30))
		}, schedule.ErrOverlap},
		{"no horizon", func(p *schedule.Pattern) { p.HorizonDays = 0 }, schedule.ErrHorizon},
		{"a horizon beyond a year", func(p *schedule.Pattern) { p.HorizonDays = 366 }, schedule.ErrHorizon},
		{"a zone that does not exist", func(p *schedule.Pattern) { p.Zone = "Mars" }, domain.ErrBadZone},
		{"more than 100 intervals", func(p *schedule.Pattern) { p.Weekly = make([]schedule.Interval, 101) }, schedule.ErrIntervals},
	}
	for _, r := range refusals {
		t.Run("refuses "+r.rule, spec.Given().When(set(r.change)).ThenRefuse(r.err))
	}
}

// wanted returns the starts of the slots that patterns want on a UTC day, as
// the clinic's clock shows them.
func wanted(t *testing.T, day domain.Day, patterns ...schedule.Pattern) (starts []string, overlaps []schedule.Want) {
	t.Helper()
	var state schedule.State
	for _, p := range patterns {
		state = schedule.Evolve(state, schedule.WasSet{Practitioner: "p", Pattern: p})
	}
	zone, err := domain.Zone(patterns[0].Zone)
	require.NoError(t, err)
	wants, overlaps, err := wantedOn(state, day, day.Start().AddDate(0, 0, -3))
	require.NoError(t, err)
	for _, w := range wants {
		starts = append(starts, w.Start.In(zone).Format("15:04 MST"))
	}
	return starts, overlaps
}

func TestWanted(t *testing.T) {
	t.Parallel()
	lunch := schedule.Break{From: wall("10:00"), To: wall("11:00")}
	cases := []struct {
		rule    string
		day     domain.Day
		pattern schedule.Pattern
		want    []string
	}{
		{
			"a day is cut into slots around its breaks", "2026-06-01",
			pattern("c", "Europe/Lisbon", every(time.Monday, "09:00", "12:00", 30, lunch)),
			[]string{"09:00 WEST", "09:30 WEST", "11:00 WEST", "11:30 WEST"},
		},
		{
			"a slot that would overrun the interval or a break is not opened", "2026-06-01",
			pattern("c", "Europe/Lisbon", every(time.Monday, "09:15", "12:10", 30, lunch)),
			[]string{"09:15 WEST", "11:00 WEST", "11:30 WEST"},
		},
		{
			"another weekday opens nothing", "2026-06-02",
			pattern("c", "Europe/Lisbon", every(time.Monday, "09:00", "12:00", 30)), nil,
		},
		{
			"on the day that loses an hour there are fewer slots", "2026-03-29",
			pattern("c", "Europe/Lisbon", every(time.Sunday, "00:00", "04:00", 60)),
			[]string{"00:00 WET", "02:00 WEST", "03:00 WEST"},
		},
		{
			"on the day that repeats an hour there are more", "2026-10-25",
			pattern("c", "Europe/Lisbon", every(time.Sunday, "01:00", "03:00", 60)),
			[]string{"01:00 WEST", "01:00 WET", "02:00 WET"},
		},
		{
			"a half-hour zone keeps its wall times", "2026-06-01",
			pattern("c", "Asia/Kolkata", every(time.Monday, "09:00", "10:00", 30)),
			[]string{"09:00 IST", "09:30 IST"},
		},
		{
			"a slot belongs to the UTC day of its start: Seoul's Monday morning begins on UTC's Sunday", "2026-05-31",
			pattern("c", "Asia/Seoul", every(time.Monday, "08:00", "10:00", 30)),
			[]string{"08:00 KST", "08:30 KST"},
		},
		{
			"and goes on on UTC's Monday", "2026-06-01",
			pattern("c", "Asia/Seoul", every(time.Monday, "08:00", "10:00", 30)),
			[]string{"09:00 KST", "09:30 KST"},
		},
		{
			"an interval may end at midnight", "2026-06-01",
			pattern("c", "Europe/London", every(time.Monday, "23:00", "24:00", 30)),
			[]string{"23:00 BST", "23:30 BST"},
		},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			starts, overlaps := wanted(t, c.day, c.pattern)
			require.Equal(t, c.want, starts)
			require.Empty(t, overlaps)
		})
	}
}

func TestTheIntervalConfiguredLaterLosesWhatOverlaps(t *testing.T) {
	t.Parallel()
	first := pattern("north", "Europe/Lisbon", every(time.Monday, "09:00", "11:00", 60))
	second := pattern("east", "Europe/Madrid", every(time.Monday, "11:30", "13:30", 60)) // 10:30 to 12:30 in Lisbon
	starts, overlaps := wanted(t, "2026-06-01", first, second)
	require.Equal(t, []string{"09:00 WEST", "10:00 WEST", "11:30 WEST"}, starts)
	require.Len(t, overlaps, 1)
	require.Equal(t, domain.ClinicID("east"), overlaps[0].Clinic)

	starts, overlaps = wanted(t, "2026-06-01", first, second, first)
	require.Equal(t, []string{"09:00 WEST", "10:30 WEST", "11:30 WEST"}, starts, "a pattern set again is configured later")
	require.Len(t, overlaps, 1)
}

func TestTheHorizonIsCountedInTheClinicsOwnDays(t *testing.T) {
	t.Parallel()
	p := pattern("c", "Asia/Seoul", every(time.Monday, "08:00", "10:00", 60), every(time.Tuesday, "08:00", "10:00", 60))
	p.HorizonDays = 1
	state := schedule.Evolve(schedule.State{}, schedule.WasSet{Practitioner: "p", Pattern: p})
	now := time.Date(2026, 5, 31, 15, 0, 0, 0, time.UTC) // Monday has just begun in Seoul
	var n int
	wants, err := state.Wanted(domain.DayOf(now), state.Days(), now)
	require.NoError(t, err)
	for _, day := range wants {
		n += len(day.Slots)
	}
	require.Equal(t, 2, n, "Monday's two slots, none of Tuesday's")
}

func TestAPatternBeyondItsHorizonKeepsItsTimeAllTheSame(t *testing.T) {
	t.Parallel()
	first := pattern("north", "Europe/Lisbon", every(time.Monday, "09:00", "11:00", 60))
	first.HorizonDays = 1
	second := pattern("south", "Europe/Lisbon", every(time.Monday, "10:00", "12:00", 60))
	state := schedule.Evolve(schedule.Evolve(schedule.State{}, schedule.WasSet{Pattern: first}), schedule.WasSet{Pattern: second})
	wants, overlaps, err := wantedOn(state, "2026-06-01", time.Date(2026, 5, 30, 0, 0, 0, 0, time.UTC))
	require.NoError(t, err)
	require.Len(t, wants, 1, "eleven: ten belongs to the other clinic once its horizon is there")
	require.Len(t, overlaps, 1)
}

func TestAZoneThatThisMachineLacksOpensAndWithdrawsNothing(t *testing.T) {
	t.Parallel()
	state := schedule.Evolve(schedule.State{}, schedule.WasSet{Pattern: pattern("c", "Mars/Olympus")})
	_, _, err := wantedOn(state, "2026-06-01", time.Date(2026, 5, 30, 0, 0, 0, 0, time.UTC))
	require.ErrorIs(t, err, domain.ErrBadZone)
}

func TestNoTwoWantedSlotsOverlap(t *testing.T) {
	t.Parallel()
	zones := []string{"Europe/Lisbon", "Europe/Madrid", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"}
	rapid.Check(t, func(t *rapid.T) {
		var state schedule.State
		for clinic, zone := range zones[:rapid.IntRange(1, len(zones)).Draw(t, "clinics")] {
			var weekly []schedule.Interval
			for weekday := range 7 {
				from := rapid.IntRange(0, 1380).Draw(t, "from")
				weekly = append(weekly, schedule.Interval{
					Weekday: weekday, From: domain.WallTime(from), To: domain.WallTime(rapid.IntRange(from+60, 1440).Draw(t, "to")),
					SlotMinutes: rapid.IntRange(5, 60).Draw(t, "minutes"), Capacity: 1,
				})
			}
			p := schedule.Pattern{Clinic: domain.ClinicID(zone), Zone: zone, Weekly: weekly, HorizonDays: 365}
			events, err := schedule.Decide(state, schedule.Set{Practitioner: "p", Pattern: p})
			require.NoError(t, err, clinic)
			state = domain.Fold(schedule.Evolve, state, events...)
		}
		day := domain.Day("2026-03-01").Add(rapid.IntRange(0, 250).Draw(t, "day"))
		var all []schedule.Want
		for _, d := range []domain.Day{day, day.Add(1)} {
			wants, _, err := wantedOn(state, d, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			require.NoError(t, err)
			all = append(all, wants...)
		}
		for i := 1; i < len(all); i++ {
			require.False(t, all[i-1].Overlaps(all[i].Period), "%v and %v", all[i-1], all[i])
		}
	})
}

func TestASlotsIDNamesItsDay(t *testing.T) {
	t.Parallel()
	practitioner := domain.PractitionerID(domain.NewID("p"))
	id := schedule.SlotID(practitioner, "2026-06-01", 12)
	who, day, err := schedule.DayOfSlot(id)
	require.NoError(t, err)
	require.Equal(t, practitioner, who)
	require.Equal(t, domain.Day("2026-06-01"), day)
	for _, bad := range []domain.SlotID{"", "x", "x.20260601.1", domain.SlotID(practitioner) + ".20261341.1"} {
		_, _, err := schedule.DayOfSlot(bad)
		require.ErrorIs(t, err, schedule.ErrSlotGone)
	}
}

func TestDecideDay(t *testing.T) {
	t.Parallel()
	at := func(hour int) domain.Period {
		start := time.Date(2026, 6, 1, hour, 0, 0, 0, time.UTC)
		return domain.Period{Start: start, End: start.Add(time.Hour)}
	}
	want := func(hour int) schedule.Want { return schedule.Want{Clinic: "c", Capacity: 1, Period: at(hour)} }
	open := func(wants ...schedule.Want) schedule.Open {
		return schedule.Open{Practitioner: "p", Day: "2026-06-01", Schedule: 1, Wanted: wants}
	}
	decide := func(t *testing.T, d schedule.Day, c schedule.Open) []schedule.DayOpened {
		t.Helper()
		events, err := schedule.DecideDay(d, c)
		require.NoError(t, err)
		return events
	}
	opened := domain.Fold(schedule.EvolveDay, schedule.Day{}, decide(t, schedule.Day{}, open(want(9), want(10)))...)
	first, second := schedule.SlotID("p", "2026-06-01", 0), schedule.SlotID("p", "2026-06-01", 1)

	t.Run("a day opens what is wanted", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []schedule.Slot{{ID: first, Clinic: "c", Capacity: 1, Period: at(9)}, {ID: second, Clinic: "c", Capacity: 1, Period: at(10)}}, opened.Slots)
	})
	t.Run("opening twice is once", func(t *testing.T) {
		t.Parallel()
		require.Empty(t, decide(t, opened, open(want(9), want(10))))
	})
	t.Run("a day without slots is opened all the same, once", func(t *testing.T) {
		t.Parallel()
		events := decide(t, schedule.Day{}, open())
		require.Len(t, events, 1)
		require.Empty(t, decide(t, domain.Fold(schedule.EvolveDay, schedule.Day{}, events...), open()))
	})
	t.Run("an opener with an older schedule loses", func(t *testing.T) {
		t.Parallel()
		c := open()
		c.Schedule = 0
		for _, c.Fence = range []bool{false, true} {
			_, err := schedule.DecideDay(opened, c)
			require.ErrorIs(t, err, schedule.ErrOvertaken)
		}
	})
	t.Run("a fence withdraws what is no longer wanted and opens nothing", func(t *testing.T) {
		t.Parallel()
		c := open(want(10), want(11))
		c.Schedule, c.Fence = 2, true
		events := decide(t, opened, c)
		require.Equal(t, []schedule.DayOpened{{Practitioner: "p", Day: "2026-06-01", Schedule: 2, Withdrawn: []domain.SlotID{first}, Fenced: true}}, events)
		fenced := domain.Fold(schedule.EvolveDay, opened, events...)
		require.Empty(t, decide(t, fenced, c), "twice is once")
		c.Fence = false
		events = decide(t, fenced, c)
		require.Len(t, events[0].Slots, 1)
		require.Equal(t, at(11), events[0].Slots[0].Period)
		require.False(t, events[0].Fenced, "then the day is done")
		require.Empty(t, decide(t, domain.Fold(schedule.EvolveDay, fenced, events...), c))
	})
	t.Run("a fence is put on a day that was never opened, too", func(t *testing.T) {
		t.Parallel()
		c := open()
		c.Fence = true
		require.Len(t, decide(t, schedule.Day{}, c), 1)
	})
	t.Run("a slot that has started stays, and keeps its time", func(t *testing.T) {
		t.Parallel()
		c := open()
		c.Schedule, c.Fence, c.Now = 2, true, at(10).Start
		require.Equal(t, []domain.SlotID{second}, decide(t, opened, c)[0].Withdrawn)
	})
	t.Run("a slot of another clinic is not what is wanted", func(t *testing.T) {
		t.Parallel()
		other := want(9)
		other.Clinic = "d"
		c := open(other, want(10))
		c.Schedule, c.Fence = 2, true
		require.Equal(t, []domain.SlotID{first}, decide(t, opened, c)[0].Withdrawn)
	})
	t.Run("what is wanted over owned time waits, and is opened when the time is free", func(t *testing.T) {
		t.Parallel()
		c := open(want(9), want(10))
		withdrawn := schedule.DayOpened{Schedule: 1, Withdrawn: []domain.SlotID{first}}
		c.Owned = []domain.Period{at(9)} // by a neighbouring day
		d := schedule.EvolveDay(opened, withdrawn)
		events := decide(t, d, c)
		require.Equal(t, []schedule.Want{want(9)}, events[0].Waiting)
		require.Empty(t, events[0].Slots)
		waiting := domain.Fold(schedule.EvolveDay, d, events...)
		require.Empty(t, decide(t, waiting, c), "waiting on is no news")
		c.Owned = nil
		events = decide(t, waiting, c)
		require.Len(t, events[0].Slots, 1)
		require.Equal(t, schedule.SlotID("p", "2026-06-01", 2), events[0].Slots[0].ID, "a slot's id is never used again")
		require.Empty(t, events[0].Waiting)
	})
}

func TestAWithdrawnSlotThatIsWantedAgainIsReinstated(t *testing.T) {
	t.Parallel()
	at := func(hour int) domain.Period {
		start := time.Date(2026, 6, 1, hour, 0, 0, 0, time.UTC)
		return domain.Period{Start: start, End: start.Add(time.Hour)}
	}
	want := func(hour int) schedule.Want { return schedule.Want{Clinic: "c", Capacity: 1, Period: at(hour)} }
	first, second := schedule.SlotID("p", "2026-06-01", 0), schedule.SlotID("p", "2026-06-01", 1)
	slots := []schedule.Slot{{ID: first, Clinic: "c", Capacity: 1, Period: at(9)}, {ID: second, Clinic: "c", Capacity: 1, Period: at(10)}}
	withdrawn := domain.Fold(schedule.EvolveDay, schedule.Day{}, schedule.DayOpened{Schedule: 1, Slots: slots}, schedule.DayOpened{Schedule: 2, Withdrawn: []domain.SlotID{first}})
	open := schedule.Open{Practitioner: "p", Day: "2026-06-01", Schedule: 3, Wanted: []schedule.Want{want(9), want(10)}, Occupied: []domain.SlotID{first}}
	back := schedule.DayOpened{Practitioner: "p", Day: "2026-06-01", Schedule: 3, Reinstated: []domain.SlotID{first}, Fenced: true}
	decide := func(t *testing.T, d schedule.Day, c schedule.Open) []schedule.DayOpened {
		t.Helper()
		events, err := schedule.DecideDay(d, c)
		require.NoError(t, err)
		return events
	}
	t.Run("while it is occupied, and its day is done once the slot knows", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []schedule.DayOpened{back}, decide(t, withdrawn, open))
		d := schedule.EvolveDay(withdrawn, back)
		require.Len(t, d.Kept(), 2)
		require.Equal(t, 1, d.Withdrawals(first))
		c := open
		c.Occupied = nil
		done := decide(t, d, c)
		require.Equal(t, []schedule.DayOpened{{Practitioner: "p", Day: "2026-06-01", Schedule: 3}}, done)
		require.Empty(t, decide(t, schedule.EvolveDay(d, done[0]), c), "twice is once")
	})
	t.Run("and may be withdrawn again", func(t *testing.T) {
		t.Parallel()
		c := open
		c.Fence, c.Schedule, c.Wanted = true, 4, []schedule.Want{want(10)}
		d := schedule.EvolveDay(withdrawn, back)
		events := decide(t, d, c)
		require.Equal(t, []domain.SlotID{first}, events[0].Withdrawn)
		require.Equal(t, 2, schedule.EvolveDay(d, events[0]).Withdrawals(first))
	})
	t.Run("not by a fence", func(t *testing.T) {
		t.Parallel()
		c := open
		c.Fence = true
		require.Empty(t, decide(t, withdrawn, c)[0].Reinstated)
	})
	t.Run("but opened anew when nobody is in it", func(t *testing.T) {
		t.Parallel()
		c := open
		c.Occupied = nil
		require.Equal(t, schedule.SlotID("p", "2026-06-01", 2), decide(t, withdrawn, c)[0].Slots[0].ID)
	})
	t.Run("not when another clinic wants the time, or another length", func(t *testing.T) {
		t.Parallel()
		other, long := want(9), want(9)
		other.Clinic, long.End = "d", long.End.Add(-time.Minute)
		for _, w := range []schedule.Want{other, long} {
			c := open
			c.Wanted = []schedule.Want{w, want(10)}
			events := decide(t, withdrawn, c)
			require.Empty(t, events[0].Reinstated)
			require.Equal(t, []schedule.Want{w}, events[0].Waiting)
		}
	})
	t.Run("not while somebody else owns its time", func(t *testing.T) {
		t.Parallel()
		c := open
		c.Owned = []domain.Period{at(9)}
		require.Equal(t, []schedule.Want{want(9)}, decide(t, withdrawn, c)[0].Waiting)
	})
	t.Run("with as many places as are wanted now", func(t *testing.T) {
		t.Parallel()
		more := want(9)
		more.Capacity = 2
		c := open
		c.Wanted = []schedule.Want{more, want(10)}
		require.Equal(t, []schedule.DayOpened{back}, decide(t, withdrawn, c), "the slot is told how many")
	})
}

// wantedOn returns what is wanted of one day.
func wantedOn(s schedule.State, day domain.Day, now time.Time) (slots, overlaps []schedule.Want, err error) {
	wants, err := s.Wanted(day, 1, now)
	if err != nil {
		return nil, nil, err
	}
	return wants[0].Slots, wants[0].Overlaps, nil
}
