package schedule_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/schedule"
)

const lisbon = "Europe/Lisbon"

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func was(p schedule.Pattern) schedule.WasSet { return schedule.WasSet{Practitioner: "p", Pattern: p} }

func exception(date domain.Day, clinic domain.ClinicID, kind schedule.Kind, reason string, intervals ...schedule.Interval) schedule.Exception {
	return schedule.Exception{Date: date, Clinic: clinic, Kind: kind, Reason: reason, Intervals: intervals}
}

func TestSetOfATimelyPattern(t *testing.T) {
	t.Parallel()
	set := func(change func(*schedule.Pattern)) schedule.Set {
		p := pattern("c", lisbon, every(time.Monday, "09:00", "12:00", 30))
		change(&p)
		return schedule.Set{Practitioner: "p", Pattern: p}
	}
	fine := func(rule string, change func(*schedule.Pattern)) {
		c := set(change)
		t.Run(rule, spec.Given().When(c).Then(was(c.Pattern)))
	}
	fine("a pattern is valid for one day", func(p *schedule.Pattern) { p.ValidFrom, p.ValidUntil = "2026-06-01", "2026-06-01" })
	fine("an interval may end on the next day", func(p *schedule.Pattern) {
		p.Weekly = []schedule.Interval{every(time.Saturday, "22:00", "02:00", 30), every(time.Sunday, "02:00", "04:00", 30)}
	})
	fine("an interval may last a day", func(p *schedule.Pattern) {
		p.Weekly = []schedule.Interval{every(time.Saturday, "08:00", "08:00", 30)}
	})
	fine("a break may lie past midnight, or begin before it and end after it", func(p *schedule.Pattern) {
		p.Weekly = []schedule.Interval{every(
			time.Saturday, "20:00", "06:00", 30,
			schedule.Break{From: wall("23:30"), To: wall("00:30")}, schedule.Break{From: wall("03:00"), To: wall("04:00")},
		)}
	})
	refused := func(rule string, err error, change func(*schedule.Pattern)) {
		t.Run("refuses "+rule, spec.Given().When(set(change)).ThenRefuse(err))
	}
	refused("a validity that ends before it begins", schedule.ErrValidity, func(p *schedule.Pattern) { p.ValidFrom, p.ValidUntil = "2026-06-02", "2026-06-01" })
	refused("a validity that is no date", domain.ErrBadDay, func(p *schedule.Pattern) { p.ValidFrom = "2026-02-29" })
	refused("an interval that overlaps the night before it", schedule.ErrOverlap, func(p *schedule.Pattern) {
		p.Weekly = []schedule.Interval{every(time.Saturday, "22:00", "02:00", 30), every(time.Sunday, "01:30", "04:00", 30)}
	})
	refused("a break past the end of the night", schedule.ErrBreak, func(p *schedule.Pattern) {
		p.Weekly = []schedule.Interval{every(time.Saturday, "22:00", "02:00", 30, schedule.Break{From: wall("01:00"), To: wall("03:00")})}
	})
	refused("a break of no time", schedule.ErrBreak, func(p *schedule.Pattern) {
		p.Weekly = []schedule.Interval{every(time.Saturday, "08:00", "08:00", 30, schedule.Break{From: wall("12:00"), To: wall("12:00")})}
	})
}

func TestSetException(t *testing.T) {
	t.Parallel()
	known := was(pattern("c", lisbon, every(time.Monday, "09:00", "12:00", 30)))
	set := func(e schedule.Exception) schedule.SetException {
		return schedule.SetException{Practitioner: "p", Exception: e}
	}
	is := func(e schedule.Exception) schedule.ExceptionSet {
		return schedule.ExceptionSet{Practitioner: "p", Exception: e}
	}
	evening := every(time.Monday, "18:00", "20:00", 30)
	off := exception("2026-06-01", "", schedule.DayOff, "holiday")
	extra := exception("2026-06-01", "c", schedule.ExtraHours, "", evening)

	t.Run("gives a day off at all clinics", spec.Given().When(set(off)).Then(is(off)))
	t.Run("gives a day off at one clinic", spec.Given(known).When(set(exception("2026-06-01", "c", schedule.DayOff, "personal"))).
		Then(is(exception("2026-06-01", "c", schedule.DayOff, "personal"))))
	t.Run("puts intervals on the weekday of the date", spec.Given(known).
		When(set(exception("2026-06-01", "c", schedule.ExtraHours, "", every(time.Friday, "18:00", "20:00", 30)))).Then(is(extra)))
	t.Run("replaces what the clinic had on the date", spec.Given(known, is(extra)).
		When(set(exception("2026-06-01", "c", schedule.ChangedHours, "other", evening))).
		Then(is(exception("2026-06-01", "c", schedule.ChangedHours, "other", evening))))
	t.Run("a date has one exception for each clinic and one for all", spec.Given(known, is(off)).When(set(extra)).Then(is(extra)))
	t.Run("set after it was removed, it counts again", spec.Given(is(off), schedule.ExceptionRemoved{Practitioner: "p", Date: "2026-06-01"}).
		When(set(off)).Then(is(off)))

	t.Run("is refused without a reason for a day off", spec.Given().When(set(exception("2026-06-01", "", schedule.DayOff, ""))).ThenRefuse(schedule.ErrReason))
	t.Run("is refused for a reason of another kind", spec.Given(known).When(set(exception("2026-06-01", "c", schedule.ExtraHours, "golf", evening))).ThenRefuse(schedule.ErrReason))
	t.Run("is refused of an unknown kind", spec.Given(known).When(set(exception("2026-06-01", "c", "siesta", "other"))).ThenRefuse(schedule.ErrException))
	t.Run("is refused for a day off with hours", spec.Given(known).When(set(exception("2026-06-01", "c", schedule.DayOff, "other", evening))).ThenRefuse(schedule.ErrException))
	t.Run("is refused for changed hours without hours", spec.Given(known).When(set(exception("2026-06-01", "c", schedule.ChangedHours, ""))).ThenRefuse(schedule.ErrException))
	t.Run("is refused for extra hours at no clinic", spec.Given(known).When(set(exception("2026-06-01", "", schedule.ExtraHours, "", evening))).ThenRefuse(schedule.ErrException))
	t.Run("is refused at a clinic without a pattern", spec.Given(known).When(set(exception("2026-06-01", "d", schedule.ExtraHours, "", evening))).ThenRefuse(schedule.ErrNotFound))
	t.Run("is refused on a date that no calendar has", spec.Given(known).When(set(exception("2026-06-31", "", schedule.DayOff, "other"))).ThenRefuse(domain.ErrBadDay))
	t.Run("is refused with hours that overlap", spec.Given(known).
		When(set(exception("2026-06-01", "c", schedule.ExtraHours, "", evening, every(time.Monday, "19:00", "21:00", 30)))).ThenRefuse(schedule.ErrOverlap))
}

func TestRemoveException(t *testing.T) {
	t.Parallel()
	off := schedule.ExceptionSet{Practitioner: "p", Exception: exception("2026-06-01", "", schedule.DayOff, "holiday")}
	removed := schedule.ExceptionRemoved{Practitioner: "p", Date: "2026-06-01"}
	t.Run("makes the date like others again", spec.Given(off).When(schedule.RemoveException(removed)).Then(removed))
	t.Run("twice is once", spec.Given(off, removed).When(schedule.RemoveException(removed)).Then())
	t.Run("is refused where nothing differs", spec.Given().When(schedule.RemoveException(removed)).ThenRefuse(schedule.ErrNoException))
	t.Run("is refused for a clinic when the exception is for all",
		spec.Given(off).When(schedule.RemoveException{Practitioner: "p", Date: "2026-06-01", Clinic: "c"}).ThenRefuse(schedule.ErrNoException))
}

func TestBlock(t *testing.T) {
	t.Parallel()
	period := domain.Period{Start: at("2026-06-01T09:00:00Z"), End: at("2026-06-01T10:00:00Z")}
	blocked := schedule.Blocked{Practitioner: "p", Block: schedule.Block{ID: "b", Period: period, Reason: "fire drill"}}
	unblocked := schedule.Unblocked(blocked)
	block := func(change func(*schedule.Block)) schedule.BlockTime {
		b := blocked.Block
		change(&b)
		return schedule.BlockTime{Practitioner: "p", Block: b}
	}
	lift := schedule.Unblock{Practitioner: "p", Block: "b"}
	t.Run("closes time", spec.Given().When(block(func(*schedule.Block) {})).Then(blocked))
	t.Run("is lifted", spec.Given(blocked).When(lift).Then(unblocked))
	t.Run("is lifted once", spec.Given(blocked, unblocked).When(lift).Then())
	t.Run("that is not there cannot be lifted", spec.Given().When(lift).ThenRefuse(schedule.ErrNoBlock))
	t.Run("that ends before it begins is refused", spec.Given().When(block(func(b *schedule.Block) { b.End = b.Start })).ThenRefuse(schedule.ErrBlock))
	t.Run("of more than a year is refused", spec.Given().When(block(func(b *schedule.Block) { b.End = b.Start.AddDate(2, 0, 0) })).ThenRefuse(schedule.ErrBlock))
	t.Run("without a reason is refused", spec.Given().When(block(func(b *schedule.Block) { b.Reason = " " })).ThenRefuse(schedule.ErrBlock))
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	p := pattern("c", lisbon, every(time.Monday, "09:00", "12:00", 30))
	night := domain.Calendar{Open24h: true}
	adopted := func(zone string, c domain.Calendar, revision domain.Revision) schedule.ClinicAdopted {
		return schedule.ClinicAdopted{Practitioner: "p", Clinic: "c", Zone: zone, Calendar: c, Revision: revision}
	}
	adopt := func(zone string, c domain.Calendar, revision domain.Revision) schedule.Adopt {
		return schedule.Adopt{Practitioner: "p", Clinic: "c", Zone: zone, Calendar: c, Revision: revision}
	}
	t.Run("of what the pattern was set under is no news", spec.Given(was(p)).When(adopt(lisbon, domain.Calendar{}, 0)).Then())
	t.Run("takes a calendar over", spec.Given(was(p)).When(adopt(lisbon, night, 1)).Then(adopted(lisbon, night, 1)))
	t.Run("takes a zone over", spec.Given(was(p)).When(adopt("Atlantic/Azores", domain.Calendar{}, 1)).Then(adopted("Atlantic/Azores", domain.Calendar{}, 1)))
	t.Run("of what is older than what counts already does nothing",
		spec.Given(was(p), adopted(lisbon, night, 2)).When(adopt(lisbon, domain.Calendar{}, 1)).Then())

	set := schedule.Set{Practitioner: "p", Pattern: p, Calendar: night, Revision: 1}
	t.Run("comes with a first pattern where the clinic has a calendar", spec.Given().When(set).Then(adopted(lisbon, night, 1), was(p)))
	t.Run("comes alone when the pattern is what it was", spec.Given(was(p)).When(set).Then(adopted(lisbon, night, 1)))
	azores := p
	azores.Zone = "Atlantic/Azores"
	t.Run("a pattern set by somebody who knew an older zone is in the later one",
		spec.Given(was(p), adopted("Atlantic/Azores", night, 2)).
			When(schedule.Set{Practitioner: "p", Pattern: pattern("c", lisbon), Revision: 0}).
			Then(was(pattern("c", "Atlantic/Azores"))))
}

// starts folds events and returns the starts of what is wanted on local dates
// of Lisbon, as its clock shows them.
func starts(t *testing.T, from, to domain.Day, events ...schedule.Event) []string {
	t.Helper()
	zone, err := domain.Zone(lisbon)
	require.NoError(t, err)
	s := domain.Fold(schedule.Evolve, schedule.State{}, events...)
	var all []string
	for d := from.Add(-1); d <= to.Add(1); d = d.Add(1) {
		wants, _, err := wantedOn(s, d, from.Add(-5).Start())
		require.NoError(t, err)
		for _, w := range wants {
			if local := domain.LocalDay(w.Start, zone); from <= local && local <= to {
				all = append(all, w.Start.In(zone).Format("Mon 15:04"))
			}
		}
	}
	return all
}

func TestWhatADateWants(t *testing.T) {
	t.Parallel()
	mornings := pattern("c", lisbon, every(time.Monday, "09:00", "11:00", 60), every(time.Tuesday, "09:00", "11:00", 60))
	nights := pattern("c", lisbon, every(time.Monday, "23:00", "01:00", 60), every(time.Tuesday, "23:00", "01:00", 60))
	except := func(e schedule.Exception) schedule.Event {
		return schedule.ExceptionSet{Practitioner: "p", Exception: e}
	}
	calendar := func(c domain.Calendar) schedule.Event {
		return schedule.ClinicAdopted{Practitioner: "p", Clinic: "c", Zone: lisbon, Calendar: c}
	}
	hours := func(weekday time.Weekday, from, to string) domain.Hours {
		return domain.Hours{Weekday: int(weekday), From: wall(from), To: wall(to)}
	}
	blocked := func(from, to string) schedule.Event {
		return schedule.Blocked{Practitioner: "p", Block: schedule.Block{ID: "b", Period: domain.Period{Start: at(from), End: at(to)}, Reason: "drill"}}
	}
	valid := func(p schedule.Pattern, from, until domain.Day) schedule.Event {
		p.ValidFrom, p.ValidUntil = from, until
		return was(p)
	}
	evening := every(time.Monday, "18:00", "19:00", 60)
	const monday, tuesday = domain.Day("2026-06-01"), domain.Day("2026-06-02")
	cases := []struct {
		rule   string
		events []schedule.Event
		want   []string // on Monday and Tuesday
	}{
		{"a pattern counts from the first date of its validity", []schedule.Event{valid(mornings, tuesday, "")}, []string{"Tue 09:00", "Tue 10:00"}},
		{"and until the last, included", []schedule.Event{valid(mornings, "", monday)}, []string{"Mon 09:00", "Mon 10:00"}},
		{
			"a night that begins on the last date is wanted to its end",
			[]schedule.Event{valid(nights, "", monday)},
			[]string{"Mon 23:00", "Tue 00:00"},
		},
		{"a night's slot that would overrun it is not opened", []schedule.Event{was(pattern("c", lisbon, every(time.Monday, "23:00", "00:50", 60)))}, []string{"Mon 23:00"}},
		{"a night has its breaks past midnight", []schedule.Event{was(pattern("c", lisbon, every(
			time.Monday, "22:00", "03:00", 60, schedule.Break{From: wall("23:30"), To: wall("00:30")},
		)))}, []string{"Mon 22:00", "Tue 00:30", "Tue 01:30"}},
		{"on a day off nobody is seen", []schedule.Event{was(mornings), except(exception(monday, "", schedule.DayOff, "holiday"))}, []string{"Tue 09:00", "Tue 10:00"}},
		{
			"a day off leaves the night that began the day before, and takes its own",
			[]schedule.Event{was(nights), except(exception(tuesday, "c", schedule.DayOff, "holiday"))},
			[]string{"Mon 23:00", "Tue 00:00"},
		},
		{
			"a day off at another clinic changes nothing",
			[]schedule.Event{was(mornings), except(exception(monday, "d", schedule.DayOff, "holiday"))},
			[]string{"Mon 09:00", "Mon 10:00", "Tue 09:00", "Tue 10:00"},
		},
		{
			"extra hours are added",
			[]schedule.Event{was(mornings), except(exception(monday, "c", schedule.ExtraHours, "", evening))},
			[]string{"Mon 09:00", "Mon 10:00", "Mon 18:00", "Tue 09:00", "Tue 10:00"},
		},
		{
			"extra hours lose where the pattern wants the time",
			[]schedule.Event{was(mornings), except(exception(monday, "c", schedule.ExtraHours, "", every(time.Monday, "10:30", "12:30", 60)))},
			[]string{"Mon 09:00", "Mon 10:00", "Mon 11:30", "Tue 09:00", "Tue 10:00"},
		},
		{
			"changed hours take the place of the pattern's",
			[]schedule.Event{was(mornings), except(exception(monday, "c", schedule.ChangedHours, "", evening))},
			[]string{"Mon 18:00", "Tue 09:00", "Tue 10:00"},
		},
		{
			"extra hours are kept outside the pattern's validity",
			[]schedule.Event{valid(mornings, tuesday, ""), except(exception(monday, "c", schedule.ExtraHours, "", evening))},
			[]string{"Mon 18:00", "Tue 09:00", "Tue 10:00"},
		},
		{
			"a day off at all clinics counts before extra hours",
			[]schedule.Event{
				was(mornings), except(exception(monday, "c", schedule.ExtraHours, "", evening)), except(exception(monday, "", schedule.DayOff, "personal")),
			},
			[]string{"Tue 09:00", "Tue 10:00"},
		},
		{
			"an exception that is removed leaves the pattern",
			[]schedule.Event{
				was(mornings), except(exception(monday, "", schedule.DayOff, "personal")), schedule.ExceptionRemoved{Practitioner: "p", Date: monday},
			},
			[]string{"Mon 09:00", "Mon 10:00", "Tue 09:00", "Tue 10:00"},
		},
		{
			"a block closes what overlaps it, and moves nothing",
			[]schedule.Event{was(mornings), blocked("2026-06-01T09:30:00Z", "2026-06-02T08:00:00Z")},
			[]string{"Mon 09:00", "Tue 09:00", "Tue 10:00"},
		},
		{
			"a block that is lifted closes nothing",
			[]schedule.Event{
				was(mornings), blocked("2026-05-01T00:00:00Z", "2026-07-01T00:00:00Z"), schedule.Unblocked{Practitioner: "p", Block: schedule.Block{ID: "b"}},
			},
			[]string{"Mon 09:00", "Mon 10:00", "Tue 09:00", "Tue 10:00"},
		},
		{
			"what lies outside the clinic's hours, or only in part inside, is not opened",
			[]schedule.Event{was(mornings), calendar(domain.Calendar{Hours: []domain.Hours{hours(time.Monday, "09:30", "12:00")}})},
			[]string{"Mon 10:00"},
		},
		{
			"a clinic that is open past midnight lets a night pass",
			[]schedule.Event{was(nights), calendar(domain.Calendar{Hours: []domain.Hours{hours(time.Monday, "20:00", "01:00")}})},
			[]string{"Mon 23:00", "Tue 00:00"},
		},
		{
			"round the clock is no restriction, but for closing days",
			[]schedule.Event{was(mornings), calendar(domain.Calendar{Open24h: true, ClosingDays: []domain.ClosingDay{{Day: monday}}})},
			[]string{"Tue 09:00", "Tue 10:00"},
		},
		{
			"a clinic that says nothing closes on its closing days all the same",
			[]schedule.Event{was(nights), calendar(domain.Calendar{ClosingDays: []domain.ClosingDay{{Day: tuesday}}})},
			[]string{"Mon 23:00"},
		},
		{
			"a clinic's new zone moves its wall times",
			[]schedule.Event{was(mornings), schedule.ClinicAdopted{Practitioner: "p", Clinic: "c", Zone: "Europe/Madrid"}},
			[]string{"Mon 08:00", "Mon 09:00", "Tue 08:00", "Tue 09:00"},
		},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, starts(t, monday, tuesday, c.events...))
		})
	}
}

func TestANightOnTheDaysWhenTheClocksChange(t *testing.T) {
	t.Parallel()
	nights := was(pattern("c", lisbon, every(time.Saturday, "23:00", "03:00", 60)))
	require.Equal(t, []string{"Sat 23:00", "Sun 00:00", "Sun 02:00"}, starts(t, "2026-03-28", "2026-03-29", nights), "an hour is skipped")
	require.Equal(t, []string{"Sat 23:00", "Sun 00:00", "Sun 01:00", "Sun 01:00", "Sun 02:00"}, starts(t, "2026-10-24", "2026-10-25", nights), "an hour is repeated")
}

func TestTheNextDayIsTheFirstThatEndsAtAnyClinic(t *testing.T) {
	t.Parallel()
	s := domain.Fold(schedule.Evolve, schedule.State{})
	require.Zero(t, s.NextDay(at("2026-06-01T12:00:00Z")), "without a pattern there is none")
	for clinic, zone := range map[string]string{"c": lisbon, "d": "Asia/Kolkata"} {
		s = schedule.Evolve(s, was(pattern(clinic, zone)))
	}
	require.Equal(t, at("2026-06-01T18:30:00Z"), s.NextDay(at("2026-06-01T12:00:00Z")).UTC(), "half past six in the evening: midnight in Kolkata")
	require.Equal(t, at("2026-06-01T23:00:00Z"), s.NextDay(at("2026-06-01T18:30:00Z")).UTC())
	require.Equal(t, at("2026-10-25T00:00:00Z").Add(24*time.Hour), schedule.Evolve(schedule.State{}, was(pattern("c", lisbon))).
		NextDay(at("2026-10-24T23:30:00Z")).UTC(), "a day of 25 hours")
}

// TestOnlyDaysThatAChangeReachesAreFenced holds the revisions by which days
// are ordered to what is wanted: a day whose wants a change alters is fenced
// since that change.
func TestOnlyDaysThatAChangeReachesAreFenced(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zones := []string{"Pacific/Kiritimati", "Asia/Kolkata", lisbon, "Pacific/Niue"}
		origin := domain.Day("2026-06-01")
		date := func() domain.Day { return origin.Add(rapid.IntRange(-4, 18).Draw(t, "date")) }
		weekly := func() (all []schedule.Interval) {
			for weekday := range 7 {
				all = append(all, every(time.Weekday(weekday), "20:00", rapid.SampledFrom([]string{"22:00", "02:00", "19:00"}).Draw(t, "to"), rapid.SampledFrom([]int{30, 90, 600}).Draw(t, "minutes")))
			}
			return all[:rapid.IntRange(1, 7).Draw(t, "weekdays")]
		}
		clinic := func() string { return rapid.SampledFrom([]string{"c", "d"}).Draw(t, "clinic") }
		command := func(n int) schedule.Command {
			switch rapid.IntRange(0, 5).Draw(t, "command") {
			case 0:
				return schedule.SetException{Practitioner: "p", Exception: exception(date(), "", schedule.DayOff, "other")}
			case 1:
				return schedule.SetException{Practitioner: "p", Exception: exception(
					date(), domain.ClinicID(clinic()), schedule.ExtraHours, "", every(time.Monday, "06:00", "05:00", 120),
				)}
			case 2:
				return schedule.RemoveException{Practitioner: "p", Date: date()}
			case 3:
				from := date().Start().Add(time.Duration(rapid.IntRange(0, 47).Draw(t, "half")) * 30 * time.Minute)
				return schedule.BlockTime{Practitioner: "p", Block: schedule.Block{
					ID: string(rune('a' + n)), Reason: "drill", Period: domain.Period{Start: from, End: from.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "hours")) * time.Hour)},
				}}
			case 4:
				return schedule.Unblock{Practitioner: "p", Block: string(rune('a' + rapid.IntRange(0, n).Draw(t, "block")))}
			}
			c := domain.Calendar{ClosingDays: []domain.ClosingDay{{Day: date(), Reason: "works"}}}
			if rapid.Bool().Draw(t, "hours") {
				c.Hours = []domain.Hours{{Weekday: 1, From: wall("18:00"), To: wall("01:00")}}
			}
			return schedule.Adopt{Practitioner: "p", Clinic: domain.ClinicID(clinic()), Zone: rapid.SampledFrom(zones).Draw(t, "zone"), Calendar: c, Revision: domain.Revision(n)}
		}
		long := func(p schedule.Pattern) schedule.Event {
			p.HorizonDays = 365
			return was(p)
		}
		s := domain.Fold(schedule.Evolve, schedule.State{}, long(pattern("c", zones[0], weekly()...)), long(pattern("d", zones[3], weekly()...)))
		type day struct{ wanted, overlaps []schedule.Want }
		month := func() (days []day) {
			for d := origin.Add(-6); d <= origin.Add(20); d = d.Add(1) {
				wanted, overlaps, err := wantedOn(s, d, origin.Add(-12).Start())
				require.NoError(t, err)
				days = append(days, day{wanted, overlaps})
			}
			return days
		}
		was, revision := month(), domain.Revision(1)
		for n := range 6 {
			events, err := schedule.Decide(s, command(n))
			if err != nil {
				continue
			}
			for _, e := range events {
				s = schedule.Evolve(s, e)
				revision++
				is := month()
				for i := range is {
					if slices.EqualFunc(was[i].wanted, is[i].wanted, same) && slices.EqualFunc(was[i].overlaps, is[i].overlaps, same) {
						continue
					}
					since, changed := s.FenceSince(origin.Add(i - 6))
					require.True(t, changed)
					require.Equal(t, revision, since, "%T changes %s", e, origin.Add(i-6))
				}
				was = is
			}
		}
	})
}

func same(a, b schedule.Want) bool { return a.Clinic == b.Clinic && a.Period.Equal(b.Period) }

func TestABlockLeavesDaysFarAwayAlone(t *testing.T) {
	t.Parallel()
	s := domain.Fold(schedule.Evolve, schedule.State{}, []schedule.Event{
		was(pattern("c", lisbon, every(time.Monday, "09:00", "12:00", 30))),
		schedule.Blocked{Practitioner: "p", Block: schedule.Block{ID: "b", Period: domain.Period{Start: at("2026-06-15T09:00:00Z"), End: at("2026-06-15T10:00:00Z")}}},
	}...)
	since, changed := s.FenceSince("2026-06-15")
	require.True(t, changed)
	require.Equal(t, domain.Revision(1), since)
	for _, d := range []domain.Day{"2026-06-01", "2026-06-30"} {
		_, changed := s.FenceSince(d)
		require.False(t, changed)
	}
}
