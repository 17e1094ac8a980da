// Package demo makes up a year of two clinics from a seed: it sends real
// commands, in the order of business time, under a clock that it moves.
//
//	setUp --> a day's plan --> agenda, by time --> commands --> more on the agenda --> the next day
//
// The same seed sends the same commands. Refusals by rules are part of a
// clinic's life and are counted; any other error ends the year.
package demo

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

// Clock is the business time of a year. It is safe for concurrent use; the
// zero value stands at the beginning of 1970.
type Clock struct{ micros atomic.Int64 }

// Now returns the business time in UTC.
func (c *Clock) Now() time.Time { return time.UnixMicro(c.micros.Load()).UTC() }

func (c *Clock) set(t time.Time) { c.micros.Store(t.UnixMicro()) }

// Actor is who sends the commands of a year.
const Actor = "demo"

// Config says which year is made and where it goes.
type Config struct {
	Seed     uint64           // the same seed sends the same commands
	Store    commands.Store   // that nobody else writes to meanwhile; required
	NewID    func() string    // a fresh UUIDv7 in lower case; required
	HoldKey  []byte           // what the tokens of holds are made with
	NameKey  []byte           // what unique names are hashed with
	Clock    *Clock           // is moved as time passes; nil = one of its own
	First    domain.Day       // on which the year begins; required
	Until    time.Time        // nothing happens from then on; required
	Ahead    int              // days that are open and partly booked in the end, at most 365; 0 = as on any day
	Wishes   int              // for visits, a day; 0 = 8
	Progress func(domain.Day) // is told of each day that begins; nil = nobody is
}

// Report says what came of a year.
type Report struct {
	Done    map[string]int // commands that did what they were to do, by what that is
	Refused map[string]int // commands that a rule refused, by the rule
}

// Write makes a year up. Errors are those of the store, and refusals that a
// correct year never meets.
func Write(ctx context.Context, c Config) (Report, error) {
	if c.Clock == nil {
		c.Clock = &Clock{}
	}
	c.Wishes = cmp.Or(c.Wishes, 8)
	y := &year{
		Config: c, dice: rand.New(rand.NewPCG(c.Seed, 0x5107b00c)), //nolint:gosec // the same for the same seed
		h: commands.New(commands.Config{
			Store: Timed(c.Store, c.Clock.Now), Now: c.Clock.Now, NewID: c.NewID, HoldKey: c.HoldKey, NameKey: c.NameKey, Patience: time.Minute,
		}),
		report: Report{map[string]int{}, map[string]int{}},
		due:    map[domain.PractitionerID]time.Time{}, taken: map[domain.SlotID]int{},
		horizon: horizon, events: plannedEvents(c),
	}
	y.h.Refused = func(u commands.Unmet) { y.unmet = append(y.unmet, u) }
	c.Clock.set(c.First.Start())
	if err := y.setUp(ctx); err != nil {
		return y.report, err
	}
	for day := c.First; day.Start().Before(c.Until); day = day.Add(1) {
		if c.Progress != nil {
			c.Progress(day)
		}
		y.plan(day)
		if err := y.runUntil(ctx, day.Add(1).Start()); err != nil {
			return y.report, fmt.Errorf("%s: %w", c.Clock.Now().Format(time.RFC3339), err)
		}
	}
	if err := y.lookAhead(ctx); err != nil {
		return y.report, err
	}
	return y.report, y.keepUnmet(ctx)
}

// year is a year in the making.
type year struct {
	Config
	dice     *rand.Rand
	h        *commands.Handler
	report   Report
	agenda   agenda
	events   map[domain.Day][]act
	commands int // how many were sent
	items    int // how many were put on the agenda
	horizon  int // days that are open

	patients []domain.PatientID
	due      map[domain.PractitionerID]time.Time // when a horizon moves
	taken    map[domain.SlotID]int               // how often we booked a slot, as far as we remember
	unmet    []commands.Unmet                    // what was refused and is not stored yet
}

// act is something that happens.
type act func(ctx context.Context, y *year) error

// item is an act on the agenda; of two at the same time the first that was put
// there comes first.
type item struct {
	at time.Time
	n  int
	do act
}

type agenda []item

// Len returns how many items there are.
func (a agenda) Len() int { return len(a) }

// Less orders by time.
func (a agenda) Less(i, j int) bool {
	return cmp.Or(a[i].at.Compare(a[j].at), cmp.Compare(a[i].n, a[j].n)) < 0
}

// Swap swaps two items.
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push is for package heap.
func (a *agenda) Push(x any) { *a = append(*a, x.(item)) } //nolint:forcetypeassert // only items are pushed

// Pop is for package heap.
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// at puts an act on the agenda, at once when its time has passed.
func (y *year) at(t time.Time, do act) {
	if now := y.Clock.Now(); t.Before(now) {
		t = now
	}
	y.items++
	heap.Push(&y.agenda, item{t, y.items, do})
}

// after puts an act on the agenda.
func (y *year) after(d time.Duration, do act) { y.at(y.Clock.Now().Add(d), do) }

// runUntil does what the agenda says before an instant.
func (y *year) runUntil(ctx context.Context, end time.Time) error {
	if end.After(y.Until) {
		end = y.Until
	}
	for len(y.agenda) > 0 && y.agenda[0].at.Before(end) {
		if err := ctx.Err(); err != nil {
			return err
		}
		next := heap.Pop(&y.agenda).(item) //nolint:forcetypeassert // only items are pushed
		y.Clock.set(next.at)
		if err := next.do(ctx, y); err != nil {
			return err
		}
		if err := y.keepUnmet(ctx); err != nil {
			return err
		}
	}
	y.Clock.set(end)
	return nil
}

// keepUnmet stores what was refused.
func (y *year) keepUnmet(ctx context.Context) error {
	for _, u := range y.unmet {
		if _, err := y.Store.Append(ctx, u.Write(y.NewID())); err != nil {
			return err
		}
	}
	y.unmet = nil
	return nil
}

// plan puts on the agenda what a day brings by itself.
func (y *year) plan(day domain.Day) {
	for range y.Wishes/2 + y.dice.IntN(y.Wishes+1) {
		y.at(day.Start().Add(time.Duration(y.dice.IntN(24*60*60))*time.Second), wish)
	}
	if y.dice.IntN(3) == 0 {
		y.at(day.Start().Add(7*time.Hour), newPatient)
	}
	if y.dice.IntN(6) == 0 {
		y.at(day.Start().Add(8*time.Hour), otherHours)
	}
	if y.dice.IntN(8) == 0 {
		y.at(day.Start().Add(11*time.Hour), block)
	}
	for _, do := range y.events[day] {
		y.at(day.Start().Add(10*time.Hour), do)
	}
}

// request names the next command.
func (y *year) request() commands.Request {
	y.commands++
	return commands.Request{
		Command: domain.NewID("year", strconv.FormatUint(y.Seed, 10), "command", strconv.Itoa(y.commands)), Actor: Actor,
	}
}

// id returns the id of the n-th thing of a kind.
func (y *year) id(kind string, n int) string {
	return domain.NewID("year", strconv.FormatUint(y.Seed, 10), kind, strconv.Itoa(n))
}

// done counts what a command did, or by which rule it was refused. It reports
// whether the command did it, and returns an error that no year meets.
func (y *year) done(what string, err error) (bool, error) {
	if err == nil {
		y.report.Done[what]++
		return true, nil
	}
	if rule := domain.RuleOf(err); rule != nil {
		switch rule.Kind {
		case domain.Refused, domain.Conflict, domain.Gone, domain.Forbidden:
			y.report.Refused[rule.Rule]++
			return false, nil
		case domain.Internal, domain.Invalid, domain.NotFound, domain.Stale, domain.Unavailable, domain.Limited:
		}
	}
	return false, fmt.Errorf("%s: %w", what, err)
}

// chance is true in so many of a hundred cases.
func (y *year) chance(percent int) bool { return y.dice.IntN(100) < percent }

// between returns an instant between two.
func (y *year) between(from, to time.Time) time.Time {
	if !from.Before(to) {
		return from
	}
	return from.Add(time.Duration(y.dice.Int64N(int64(to.Sub(from))))).Truncate(time.Second)
}

// look does what the opener does when a day ends at a clinic.
func look(ctx context.Context, y *year) error {
	ids := everybody(y)
	standings, err := y.h.Standings(ctx, ids...)
	if err != nil {
		return err
	}
	var next time.Time
	for i, s := range standings {
		if s.Stale || !y.Clock.Now().Before(y.due[ids[i]]) {
			if err := y.open(ctx, ids[i]); err != nil {
				return err
			}
		}
		y.due[ids[i]] = s.NextDay
		if next.IsZero() || s.NextDay.Before(next) {
			next = s.NextDay
		}
	}
	y.at(next, look)
	return nil
}

// adopt is a look because a clinic has changed its calendar.
func adopt(ctx context.Context, y *year) error {
	for _, id := range everybody(y) {
		if err := y.open(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// open opens a practitioner's days.
func (y *year) open(ctx context.Context, id domain.PractitionerID) error {
	opening, err := y.h.OpenDays(ctx, y.request(), id)
	if len(opening.Opened) > 0 {
		y.report.Done["days opened"]++
	}
	y.displaced(opening)
	return err
}

// reopen opens what waited for time that a visit has given back, as the opener
// does.
func reopen(v appointment.Visit) act {
	return func(ctx context.Context, y *year) error {
		for _, id := range v.Slots {
			loaded, err := y.Store.Load(ctx, slot.Stream(id))
			if err != nil {
				return err
			}
			if domain.Replay(slot.Evolve, slot.State{}, loaded[slot.Stream(id)]).Withdrawn {
				return y.open(ctx, v.Practitioner)
			}
		}
		return nil
	}
}

// slots returns a practitioner's slots of a UTC day that are still offered and
// have not begun.
func (y *year) slots(ctx context.Context, id domain.PractitionerID, day domain.Day) ([]schedule.Slot, error) {
	stream := schedule.DayStream(id, day)
	loaded, err := y.Store.Load(ctx, stream)
	if err != nil {
		return nil, err
	}
	d := domain.Replay(schedule.EvolveDay, schedule.Day{}, loaded[stream])
	withdrawn := map[domain.SlotID]bool{}
	for _, gone := range d.Withdrawn {
		withdrawn[gone] = true
	}
	var slots []schedule.Slot
	for _, s := range d.Slots {
		if !withdrawn[s.ID] && s.Start.After(y.Clock.Now()) {
			slots = append(slots, s)
		}
	}
	return slots, nil
}
