package queue_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/queue"
)

// guest is somebody who comes to the simulated clinic.
type guest struct {
	entry    queue.Entry
	urgent   bool
	service  time.Duration
	patience time.Duration // who waits longer leaves
}

// practice is a simulated practitioner: one who is faster than scheduled or
// slower, every day by another factor, and at every hour.
type practice struct {
	r     *rand.Rand
	pace  float64
	desks int
	watch queue.Watch
	told  []told
}

// told is a forecast and what became of it.
type told struct {
	queue.Forecast
	day     int
	at      time.Time
	joining bool
	naive   time.Duration // mean duration times position
	kinder  time.Duration // mean duration times how many are ahead
	actual  time.Duration // -1 = left before being called
}

func (p *practice) lognormal(mean, sigma float64) float64 {
	return mean * math.Exp(sigma*p.r.NormFloat64()-sigma*sigma/2)
}

var kinds = []struct {
	name    string
	planned int
	mean    float64 // minutes
}{{"check", 15, 12}, {"consult", 20, 17}, {"procedure", 30, 26}, {"", 0, 13}}

func (p *practice) guestAt(n int, since time.Time, kind int, today float64) guest {
	k := kinds[kind]
	byHour := map[int]float64{8: 1.15, 10: 1, 12: 0.85, 14: 1, 16: 0.9}[since.Hour()/2*2]
	minutes := p.lognormal(k.mean*p.pace*today*max(byHour, 0.85), 0.4)
	return guest{
		entry: queue.Entry{
			ID: fmt.Sprint(n), Practitioner: "silva", Clinic: "c", Since: since.Truncate(time.Second), VisitType: k.name, Planned: k.planned,
		},
		service: time.Duration(minutes * float64(time.Minute)).Truncate(time.Second), patience: 5 * time.Hour,
	}
}

// guests are those who come on a day: a booking every 20 minutes of which one
// in eight does not come and many are early or late, and walk-ins, some urgent
// and some impatient.
func (p *practice) guests(opens time.Time) []guest {
	var all []guest
	today := p.lognormal(1, 0.12)
	for due := opens; due.Before(opens.Add(8 * time.Hour)); due = due.Add(20 * time.Minute / time.Duration(p.desks)) {
		if due.Hour() == 12 || p.r.Float64() < 0.125 {
			continue
		}
		late := time.Duration((p.r.NormFloat64()*9 - 7) * float64(time.Minute))
		g := p.guestAt(len(all), due.Add(late), p.r.IntN(3), today)
		g.entry.Due = due
		all = append(all, g)
	}
	for since := opens; ; {
		since = since.Add(time.Duration(p.r.ExpFloat64() * 70 / float64(p.desks) * float64(time.Minute)))
		if since.After(opens.Add(7 * time.Hour)) {
			break
		}
		g := p.guestAt(len(all), since, 3, today)
		g.urgent = p.r.Float64() < 0.08
		if p.r.Float64() < 0.15 {
			g.patience = time.Duration(30+p.r.IntN(60)) * time.Minute
		}
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b guest) int { return a.entry.Since.Compare(b.entry.Since) })
	return all
}

// clinicDay is one day while it goes on.
type clinicDay struct {
	*practice
	n      int
	day    domain.Day
	state  queue.State
	guests []guest           // in the order of tickets, once they have come
	free   []time.Time       // when each desk can call
	ends   map[int]time.Time // of who is in service, by ticket
	open   []int             // indexes of told that are not settled
}

func (d *clinicDay) happens(e queue.Event, at time.Time, ticket int) {
	d.state = queue.Evolve(d.state, e)
	after, when, fresh := d.watch.After(e, at)
	d.watch = after
	if _, called := e.(queue.WasCalled); called {
		d.settle(ticket, func(t told) time.Duration { return at.Sub(t.at) })
	}
	if _, left := e.(queue.HasLeft); left {
		d.settle(ticket, func(told) time.Duration { return -1 })
	}
	_, joined := e.(queue.HasJoined)
	for _, f := range fresh {
		d.open = append(d.open, len(d.told))
		d.told = append(d.told, told{
			Forecast: f, day: d.n, at: when, joining: joined && f.Ticket == ticket,
			naive: d.mean() * time.Duration(f.Before+1), kinder: d.mean() * time.Duration(f.Before),
		})
	}
}

func (d *clinicDay) mean() time.Duration {
	sum, n := 0, 0
	for _, c := range d.watch.Learned.Durations {
		for _, s := range c.Seconds {
			sum, n = sum+s, n+1
		}
	}
	return time.Duration(sum/max(n, 1)) * time.Second
}

func (d *clinicDay) settle(ticket int, actual func(told) time.Duration) {
	d.open = slices.DeleteFunc(d.open, func(i int) bool {
		if d.told[i].Ticket != ticket {
			return false
		}
		d.told[i].actual = actual(d.told[i])
		return true
	})
}

// run lets the day go on, minute by minute.
func (d *clinicDay) run(opens time.Time) {
	coming := d.practice.guests(opens)
	for now := opens.Add(-time.Hour); now.Before(opens.Add(16*time.Hour)) && (len(coming) > 0 || len(queue.Order(d.state, now)) > 0 || len(d.ends) > 0); now = now.Add(10 * time.Second) {
		for len(coming) > 0 && !coming[0].entry.Since.After(now) {
			d.comes(coming[0])
			coming = coming[1:]
		}
		for _, t := range d.state.Tickets {
			if end, ok := d.ends[t.Entry.Ticket]; ok && !end.After(now) {
				delete(d.ends, t.Entry.Ticket)
				d.happens(queue.HasFinished{Entry: t.Entry, At: now}, now, t.Entry.Ticket)
			} else if t.Status == queue.Waiting && now.Sub(t.Since) > d.guests[t.Entry.Ticket-1].patience {
				d.happens(queue.HasLeft{Entry: t.Entry, At: now}, now, t.Entry.Ticket)
			}
		}
		for desk := range d.free {
			d.calls(desk, now, opens)
		}
	}
}

func (d *clinicDay) comes(g guest) {
	g.entry.Ticket, g.entry.Day = len(d.guests)+1, d.day
	d.guests = append(d.guests, g)
	d.happens(queue.HasJoined{Entry: g.entry}, g.entry.Since, g.entry.Ticket)
	if g.urgent {
		d.happens(queue.WasMarkedUrgent{Entry: g.entry, Reason: queue.Pain, At: g.entry.Since}, g.entry.Since, g.entry.Ticket)
	}
}

func (d *clinicDay) calls(desk int, now, opens time.Time) {
	order := queue.Order(d.state, now)
	if now.Before(opens) || now.Before(d.free[desk]) || len(order) == 0 {
		return
	}
	e := order[0].Entry
	d.happens(queue.WasCalled{Entry: e, Desk: fmt.Sprint(desk), Place: 1, At: now}, now, e.Ticket)
	in := now.Add(time.Duration(d.r.IntN(60)) * time.Second)
	d.happens(queue.HasStarted{Entry: e, At: in}, in, e.Ticket)
	d.ends[e.Ticket] = in.Add(d.guests[e.Ticket-1].service)
	d.free[desk] = d.ends[e.Ticket].Add(time.Duration(d.r.ExpFloat64() * float64(time.Minute)))
}

// month simulates so many days of a practitioner, the same for one seed.
func month(seed uint64, pace float64, desks, days int) []told {
	p := &practice{r: rand.New(rand.NewPCG(seed, 1)), pace: pace, desks: desks} //nolint:gosec // a simulation
	first := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for n := range days {
		opens := first.AddDate(0, 0, n)
		d := &clinicDay{practice: p, n: n, day: domain.LocalDay(opens, time.UTC), free: make([]time.Time, desks), ends: map[int]time.Time{}}
		d.run(opens)
	}
	return p.told
}

type score struct {
	n, left, above, below       int
	errors, naive, kinder, rule []time.Duration
}

func (s *score) add(t told) {
	if t.actual < 0 {
		s.left++
		return
	}
	s.n++
	called := t.at.Add(t.actual)
	if called.After(t.P90) {
		s.above++
	}
	if called.Before(t.P50) {
		s.below++
	}
	s.errors = append(s.errors, called.Sub(t.P50).Abs())
	s.rule = append(s.rule, called.Sub(t.Base).Abs())
	s.naive = append(s.naive, (t.actual - t.naive).Abs())
	s.kinder = append(s.kinder, (t.actual - t.kinder).Abs())
}

func (s score) share(n int) float64 { return 100 * float64(n) / float64(max(s.n, 1)) }

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func (s score) String() string {
	return fmt.Sprintf("%d waits, %d left; above P90 %.1f %%, below P50 %.1f %%; median error %v, of the rule alone %v, of mean x position %v, of mean x ahead %v",
		s.n, s.left, s.share(s.above), s.share(s.below), median(s.errors), median(s.rule), median(s.naive), median(s.kinder))
}

func TestForecastsOfASimulatedMonthAreCalibrated(t *testing.T) {
	t.Parallel()
	const warmUp, days = 10, 32
	var joining, every score
	for i, pace := range []float64{0.9, 1, 1.1, 1.2, 1} {
		desks := 1 + i/4
		for _, said := range month(uint64(i), pace, desks, days) {
			if said.day < warmUp {
				continue
			}
			every.add(said)
			if said.joining {
				joining.add(said)
			}
		}
	}
	t.Logf("at joining: %v", joining)
	t.Logf("all: %v", every)
	for _, s := range []score{joining, every} {
		require.Greater(t, s.n, 1000)
		require.InDelta(t, 10, s.share(s.above), 3, "per cent of waits above P90")
		require.InDelta(t, 50, s.share(s.below), 10, "per cent of waits below P50")
		require.Less(t, median(s.errors), median(s.naive), "the estimate beats mean duration times position")
		require.Less(t, median(s.errors), median(s.kinder), "and mean duration times how many are ahead")
	}
}
