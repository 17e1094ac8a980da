package queue

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Watch is what the forecasts of one line of queues go by: what the past has
// taught, and the queues of its latest days. It is a fold of the queues' events.
type Watch struct {
	Learned Learned `json:"learned"`
	Days    []Today `json:"days,omitempty"` // the latest is the last
}

// Today is the queue of a day, and what was said of those who wait.
type Today struct {
	Day  domain.Day `json:"day"`
	At   time.Time  `json:"at"` // of the latest event, by business time
	Now  State      `json:"now"`
	Said []Said     `json:"said,omitempty"`
}

// Said is what was said of somebody who waits.
type Said struct {
	Forecast
	Tests []Test `json:"tests,omitempty"`
}

// Test is what the rule said of somebody: a residual is learned of it when they
// are called. Of those of one likeness the first and the latest are kept.
type Test struct {
	Likeness
	At   time.Time `json:"at"`
	Base time.Time `json:"base"`
}

// keptDays is how many days a watch knows: what is noted after midnight belongs
// to the day before.
const keptDays = 2

// After returns w after an event of a queue, when that was, and the forecasts
// that are new then: of who has just joined or returned, and of everybody of whom
// another is true now. An event of a day that is over changes nothing.
func (w Watch) After(e Event, recorded time.Time) (Watch, time.Time, []Forecast) {
	entry, at := About(e, recorded)
	i := slices.IndexFunc(w.Days, func(d Today) bool { return d.Day == entry.Day })
	if i < 0 && len(w.Days) > 0 && entry.Day < w.Days[0].Day {
		return w, at, nil
	}
	w.Days = slices.Clone(w.Days)
	if i < 0 {
		w.Days = append(w.Days, Today{Day: entry.Day})
		slices.SortFunc(w.Days, func(a, b Today) int { return a.Day.Start().Compare(b.Day.Start()) })
		w.Days = w.Days[max(0, len(w.Days)-keptDays):]
		if i = slices.IndexFunc(w.Days, func(d Today) bool { return d.Day == entry.Day }); i < 0 {
			return w, at, nil
		}
	}
	day := w.Days[i]
	before, _ := day.Now.Ticket(entry.Ticket)
	day.At = later(day.At, at)
	day.Now = nameless(Evolve(day.Now, e), entry.Ticket)
	w.Learned = w.Learned.taught(day, before)
	var fresh []Forecast
	day.Said, fresh = day.said(Estimate(day.Now, w.Learned, joined(e), day.At))
	w.Days[i] = day
	return w, day.At, fresh
}

// joined returns the ticket that an event gives somebody, 0 for none.
func joined(e Event) int {
	if e, ok := e.(HasJoined); ok {
		return e.Ticket
	}
	return 0
}

// About returns whom an event is about, and when it happened by business time.
// Whoever is transferred came before, and joins when it is recorded.
func About(e Event, recorded time.Time) (Entry, time.Time) {
	switch e := e.(type) {
	case HasJoined:
		if e.From != nil {
			return e.Entry, recorded
		}
		return e.Entry, e.Since
	case WasMarkedUrgent:
		return e.Entry, e.At
	case WasCalled:
		return e.Entry, e.At
	case WasRecalled:
		return e.Entry, e.At
	case WasSkipped:
		return e.Entry, e.At
	case HasReturned:
		return e.Entry, e.At
	case HasStarted:
		return e.Entry, e.At
	case HasFinished:
		return e.Entry, e.At
	case HasLeft:
		return e.Entry, e.At
	case WasMissed:
		return e.Entry, e.At
	case WasWithdrawn:
		return e.Entry, e.At
	case WasTransferred:
		return e.Entry, e.At
	case WasMoved:
		return e.Entry, e.At
	}
	return Entry{}, recorded
}

// nameless returns the state without what a forecast does not need of a ticket:
// who it is, above all.
func nameless(s State, ticket int) State {
	return s.with(ticket, func(t *Ticket) {
		t.ID, t.Practitioner, t.Service, t.Day, t.Appointment, t.Patient = "", "", "", "", "", ""
		t.UrgentBy, t.CalledBy, t.From, t.To = "", "", Origin{}, ""
	})
}

// taught returns l having seen what became of a ticket: how long a visit took
// that is finished, and how long somebody waited who is called or served.
func (l Learned) taught(day Today, before Ticket) Learned {
	now, ok := day.Now.Ticket(before.Ticket)
	if !ok {
		return l
	}
	from := before.serving()
	if now.Status == Finished && (before.Status == InService || before.Status == Called) && !from.IsZero() {
		l = l.lasted(now.VisitType, Band(from, now.Offset), now.Ended.Sub(from))
	}
	if before.Status == Waiting && (now.Status == Called || now.Status == InService) {
		for _, said := range day.Said {
			if said.Ticket != now.Ticket {
				continue
			}
			for _, test := range said.Tests {
				l = l.waited(test.Likeness, test.Base.Sub(test.At), now.serving().Sub(test.At))
			}
		}
	}
	return l
}

// said returns what is said of those who wait from now on, and what of it is
// new.
func (d Today) said(forecasts []Forecast) (said []Said, fresh []Forecast) {
	for _, f := range forecasts {
		i := slices.IndexFunc(d.Said, func(s Said) bool { return s.Ticket == f.Ticket })
		now := Said{Forecast: f}
		if i >= 0 {
			now.Tests = d.Said[i].Tests
		}
		if i < 0 || !f.same(d.Said[i].Forecast) {
			fresh = append(fresh, f)
		}
		now.Tests = tested(now.Tests, Test{f.Likeness, d.At, f.Base})
		said = append(said, now)
	}
	return said, fresh
}

// tested returns the tests with one more.
func tested(tests []Test, test Test) []Test {
	of, last := 0, -1
	for i, t := range tests {
		if t.Likeness == test.Likeness {
			of, last = of+1, i
		}
	}
	tests = slices.Clone(tests)
	if of > 1 {
		tests[last] = test
		return tests
	}
	return append(tests, test)
}

func (f Forecast) same(g Forecast) bool {
	return f.Before == g.Before && f.P50.Equal(g.P50) && f.P90.Equal(g.P90) && f.Basis == g.Basis
}
