package whatif

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/demand"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/resource"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/domain/visittype"
)

// replay is one world and what is done in it.
type replay struct {
	change  Change
	real    *reality
	clock   time.Time
	world   *world
	h       *commands.Handler
	tally   *tally
	agenda  agenda
	items   int                                 // how many were put on the agenda
	ids     int                                 // how many were given out
	looks   map[domain.PractitionerID]time.Time // when a practitioner's days are opened next: a day ends at a clinic
	away    map[domain.AppointmentID]bool       // whose patients would have cancelled, and do not come
	drift   Drift
	replays Replayed
}

func newReplay(c Change, real *reality, from time.Time) *replay {
	r := &replay{
		change: c, real: real, clock: from, tally: newTally(real.past, from),
		looks: map[domain.PractitionerID]time.Time{}, away: map[domain.AppointmentID]bool{},
		drift: Drift{Differences: map[string]int{}},
	}
	maps.Copy(r.tally.slots, real.tally.slots)
	maps.Copy(r.tally.visits, real.tally.visits)
	r.world = newWorld(real.past, r.now)
	r.renew()
	return r
}

func (r *replay) now() time.Time { return r.clock }

// renew begins a new process, so to speak: one that remembers nothing of what is
// changed behind its back.
func (r *replay) renew() {
	r.h = commands.New(commands.Config{
		Store: r.world, Now: r.now, NewID: func() string { return r.id("id") }, HoldKey: []byte("what if"), NameKey: []byte("what if"),
		Patience: time.Minute,
	})
}

func (r *replay) id(kind string) string {
	r.ids++
	return domain.NewID("what if", kind, strconv.Itoa(r.ids))
}

func (r *replay) request(actor string) commands.Request {
	return commands.Request{Command: r.id("command"), Actor: actor}
}

// system is the actor of what nobody asks for.
const system = "system"

// act is something that happens.
type act func(ctx context.Context, r *replay) error

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
func (r *replay) at(t time.Time, do act) {
	if t.Before(r.clock) {
		t = r.clock
	}
	r.items++
	heap.Push(&r.agenda, item{t, r.items, do})
}

// runUntil does what the agenda says up to an instant, and lets it be then.
func (r *replay) runUntil(ctx context.Context, t time.Time) error {
	for len(r.agenda) > 0 && !r.agenda[0].at.After(t) {
		if err := ctx.Err(); err != nil {
			return err
		}
		next := heap.Pop(&r.agenda).(item) //nolint:forcetypeassert // only items are pushed
		r.clock = next.at
		if err := next.do(ctx, r); err != nil {
			return err
		}
		if err := r.heed(ctx); err != nil {
			return err
		}
	}
	r.clock = t
	return nil
}

// heed counts what the last command did, and puts on the agenda what follows.
func (r *replay) heed(ctx context.Context) error {
	for _, e := range r.world.take() {
		if _, err := r.tally.add(ctx, r.clock, e.Event); err != nil {
			return err
		}
		switch e := e.Event.(type) {
		case slot.Released:
			if r.tally.slots[e.Slot].withdrawn {
				r.at(r.clock, open(e.Practitioner)) // what waited for its time
			}
		case appointment.WasHeld:
			r.at(e.Deadline.Add(appointment.ClockSlack), lapse(e.Appointment, e.Set))
		case appointment.WasRenewed:
			r.at(e.Deadline.Add(appointment.ClockSlack), lapse(e.Appointment, e.Set))
		case appointment.WasRequested:
			r.at(e.Deadline.Add(appointment.ClockSlack), lapse(e.Appointment, e.Set))
		case appointment.WasBooked:
			if !e.MissedAt.IsZero() {
				r.at(e.MissedAt, giveUp(e.Appointment, e.Set))
			}
		}
	}
	return nil
}

// lapse ends a set that nobody has confirmed in time.
func lapse(id domain.AppointmentID, set int) act {
	return func(ctx context.Context, r *replay) error {
		_, err := r.h.Lapse(ctx, r.request(system), id, set)
		_, err = ruled(err)
		return err
	}
}

// giveUp notes that nobody has come.
func giveUp(id domain.AppointmentID, set int) act {
	return func(ctx context.Context, r *replay) error {
		_, err := r.h.GiveUp(ctx, r.request(system), id, set)
		_, err = ruled(err)
		return err
	}
}

// open opens a practitioner's days.
func open(id domain.PractitionerID) act {
	return func(ctx context.Context, r *replay) error {
		_, err := r.h.OpenDays(ctx, r.request(system), id)
		_, err = ruled(err)
		return err
	}
}

// look opens a practitioner's days, and again whenever a day ends at a clinic.
func look(id domain.PractitionerID) act {
	return func(ctx context.Context, r *replay) error {
		if err := open(id)(ctx, r); err != nil {
			return err
		}
		return r.lookAgain(ctx, id)
	}
}

// lookAgain puts the next look on the agenda.
func (r *replay) lookAgain(ctx context.Context, id domain.PractitionerID) error {
	standings, err := r.h.Standings(ctx, id)
	if err != nil {
		return err
	}
	next := standings[0].NextDay
	if next.IsZero() || next.Equal(r.looks[id]) {
		return nil
	}
	r.looks[id] = next
	r.at(next, func(ctx context.Context, r *replay) error {
		if !r.looks[id].Equal(next) {
			return nil // it is another time by now
		}
		return look(id)(ctx, r)
	})
	return nil
}

// ruled returns the rule that refused a command, "" when none did, and an error
// that is no refusal.
func ruled(err error) (rule string, fault error) {
	refusal := domain.RuleOf(err)
	switch {
	case err == nil:
		return "", nil
	case refusal == nil || refusal.Kind == domain.Unavailable || refusal.Kind == domain.Internal:
		return "", err
	}
	return refusal.Rule, nil
}

// begin puts the change in force.
func (r *replay) begin(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(r.real.schedules)) {
		if err := look(id)(ctx, r); err != nil { // a day may end as the period begins
			return err
		}
	}
	if err := r.heed(ctx); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(r.real.ahead)) {
		r.expect(id, r.tally.visits[id])
	}
	return r.apply(ctx)
}

// expect puts on the agenda what the passing of time does to an appointment.
func (r *replay) expect(id domain.AppointmentID, s appointment.State) {
	for _, phase := range []func(appointment.State) (appointment.Set, int){holding, asking} {
		if set, n := phase(s); n > 0 {
			r.at(set.Deadline.Add(appointment.ClockSlack), lapse(id, n))
		}
	}
	if set, n := s.Current(); isLive(s) && !set.MissedAt.IsZero() {
		r.at(set.MissedAt, giveUp(id, n))
	}
}

// take replays an event of the log. Before is the appointment that it is about as
// it really was.
func (r *replay) take(ctx context.Context, m moment, before appointment.State) error {
	if err := r.runUntil(ctx, m.at); err != nil {
		return err
	}
	var err error
	switch e := m.Event.(type) {
	case appointment.Event:
		err = r.visit(ctx, m, e, before)
	case demand.Refused:
		err = r.unmet(ctx, m, e)
	case policy.WasSet:
		err = r.setPolicy(ctx, e.Scope, e.Terms)
	case schedule.Event:
		err = r.setSchedule(ctx, m, e)
	case clinic.CalendarSet:
		if _, changed := r.change.Calendars[e.Clinic]; !changed {
			err = r.copy(ctx, m, m.Event)
		}
	case visittype.Defined:
		e.Terms = r.change.visitTerms(e.VisitType, e.Terms)
		err = r.copy(ctx, m, e)
	case visittype.Changed:
		e.Terms = r.change.visitTerms(e.VisitType, e.Terms)
		err = r.copy(ctx, m, e)
	default:
		if slices.Contains(copied, m.Stream.Category()) {
			err = r.copy(ctx, m, m.Event)
		}
	}
	if err != nil {
		return err
	}
	return r.heed(ctx)
}

// copied are the categories whose events happen in every world as they happened.
var copied = []string{clinic.Category, practitioner.Category, patient.Category, resource.Category, visittype.Category}

// copy has an event happen as it happened.
func (r *replay) copy(ctx context.Context, m moment, e domain.Event) error {
	known, err := r.world.Load(ctx, m.Stream)
	if err != nil {
		return err
	}
	if _, err := r.world.Append(ctx, commands.Write{
		Stream: m.Stream, Expected: domain.Any, Events: []commands.NewEvent{{ID: m.ID, Event: e, Metadata: m.Metadata}},
	}); err != nil {
		return err
	}
	if len(known[m.Stream]) == 0 {
		return r.applyTo(ctx, e)
	}
	r.renew()
	if _, ok := e.(clinic.Event); ok {
		for _, id := range slices.Sorted(maps.Keys(r.looks)) {
			r.at(r.clock, look(id)) // those who are there adopt it
		}
	}
	return nil
}

// setPolicy puts a policy in force, with the change laid over it.
func (r *replay) setPolicy(ctx context.Context, s policy.Scope, terms policy.Terms) error {
	_, err := r.h.SetPolicy(ctx, r.request(system), policy.Set{Scope: s, Terms: r.change.terms(s).Over(terms)})
	return saying(err, "the policy of the %s %s", s.Kind, s.ID)
}

func saying(err error, format string, args ...any) error {
	if err != nil {
		return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
	}
	return nil
}

// setSchedule changes a schedule as it was changed, unless the change says
// otherwise. What a clinic decides is adopted by itself.
func (r *replay) setSchedule(ctx context.Context, m moment, event schedule.Event) error {
	req, err := r.request(m.Metadata.Actor), error(nil)
	var whose domain.PractitionerID
	switch e := event.(type) {
	case schedule.WasSet:
		whose = e.Practitioner
		_, _, err = r.h.SetSchedule(ctx, req, schedule.Set{Practitioner: whose, Pattern: r.change.pattern(whose, e.Pattern)})
	case schedule.ExceptionSet:
		_, _, err = r.h.SetException(ctx, req, schedule.SetException{Practitioner: e.Practitioner, Exception: e.Exception})
	case schedule.ExceptionRemoved:
		_, _, err = r.h.RemoveException(ctx, req, schedule.RemoveException(e))
	case schedule.Blocked:
		_, _, err = r.h.Block(ctx, req, schedule.BlockTime{Practitioner: e.Practitioner, Block: e.Block})
	case schedule.Unblocked:
		_, _, err = r.h.Unblock(ctx, req, schedule.Unblock{Practitioner: e.Practitioner, Block: e.ID})
	case schedule.ClinicAdopted:
		return nil
	}
	rule, err := ruled(err)
	if err != nil {
		return err
	}
	r.compare(m, "", "done", cmp.Or(rule, "done"))
	if whose != "" {
		return r.lookAgain(ctx, whose)
	}
	return nil
}
