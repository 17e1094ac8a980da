package projections_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	googleuuid "github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/memory"
	"github.com/slotbook/slotbook/commands/demo"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

// TestKeyFiguresOfAMadeUpTimeAreThoseOfItsLog compares every figure of some
// weeks of two clinics with one that is computed from the log by the folds of
// the write path, without the read model.
func TestKeyFiguresOfAMadeUpTimeAreThoseOfItsLog(t *testing.T) {
	t.Parallel()
	for _, stepByStep := range []bool{false, true} {
		t.Run(fmt.Sprint("step by step: ", stepByStep), func(t *testing.T) {
			t.Parallel()
			log := madeUp(t, stepByStep)
			e := engine.New(engine.Config{
				Pool: projectionstest.Pool(t), Log: log, Models: kpiModels(nil), Owner: "test", Now: time.Now, Batch: 300,
			})
			require.NoError(t, e.Prepare(t.Context()))
			require.NoError(t, e.CatchUp(t.Context()))
			f := projections.KPIFilter{
				First: "2026-03-02", Last: "2026-04-05", By: projections.KPIDimensions{Week: true, Clinic: true, Practitioner: true},
			}
			found, _, err := projections.NewKPIs(e).Figures(t.Context(), f, moment("2026-04-06 12:00"), 0)
			require.NoError(t, err)
			want := newLedger(log).figures(t, f)
			require.Greater(t, len(want), 15)
			var freed, filled, waits, requests, out int
			for _, k := range found {
				require.Equal(t, want[k.KPIGroup], k, "%v", k.KPIGroup)
				freed, filled, waits, requests = freed+k.Fill.Freed, filled+k.Fill.Filled, waits+k.Wait.Count, requests+k.Requests.Approval.Count
				out += k.Access.BookedOut
				delete(want, k.KPIGroup)
			}
			require.Empty(t, want)
			require.Positive(t, min(freed, filled, waits, requests), "%d freed, %d filled, %d waits, %d approvals, %d booked out", freed, filled, waits, requests, out)
		})
	}
}

// madeUp is six weeks around the change of the clocks, in a log whose clock is
// that of the business.
func madeUp(t *testing.T, stepByStep bool) history {
	t.Helper()
	clock := &demo.Clock{}
	store := memory.New(memory.Config{Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Now: clock.Now, StepByStep: stepByStep})
	_, err := demo.Write(t.Context(), demo.Config{
		Seed: 11, Store: store, Clock: clock, NewID: func() string { return googleuuid.Must(googleuuid.NewV7()).String() },
		First: "2026-02-23", Until: domain.Day("2026-04-06").Start(), Wishes: 14,
	})
	require.NoError(t, err)
	page, err := store.ReadAll(t.Context(), 0, domain.Filter{}, 1_000_000)
	require.NoError(t, err)
	require.Greater(t, len(page.Events), 3000)
	return page.Events
}

// ledger is a log by streams, as it was recorded until an instant.
type ledger struct {
	until   time.Time
	streams map[domain.StreamName][]domain.Recorded
}

func newLedger(log history) ledger {
	l := ledger{forEver, map[domain.StreamName][]domain.Recorded{}}
	for _, r := range log {
		l.streams[r.Stream] = append(l.streams[r.Stream], r)
	}
	return l
}

var forEver = time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)

func (l ledger) at(t time.Time) ledger { return ledger{t, l.streams} }

func (l ledger) of(stream domain.StreamName) []domain.Recorded {
	all := l.streams[stream]
	n, _ := slices.BinarySearchFunc(all, l.until, func(r domain.Recorded, t time.Time) int { return cmp.Or(r.RecordedAt.Compare(t), -1) })
	return all[:n]
}

func (l ledger) appointment(stream domain.StreamName) appointment.State {
	return domain.Replay(appointment.Evolve, appointment.State{}, l.of(stream))
}

// offered is a slot that there is, with how many of its places are free, or
// booked.
type offered struct {
	schedule.Slot
	practitioner        domain.PractitionerID
	limit, free, booked int
	withdrawn           bool
}

// slots returns all slots that were opened by now.
func (l ledger) slots() []offered {
	var all []offered
	for stream := range l.streams {
		for _, r := range l.of(stream) {
			e, ok := r.Event.(schedule.DayOpened)
			for i := 0; ok && i < len(e.Slots); i++ {
				all = append(all, l.offered(e.Practitioner, e.Slots[i]))
			}
		}
	}
	slices.SortFunc(all, func(a, b offered) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID)) })
	return all
}

func (l ledger) offered(id domain.PractitionerID, s schedule.Slot) offered {
	state := domain.Replay(slot.Evolve, slot.State{}, l.of(slot.Stream(s.ID)))
	o := offered{Slot: s, practitioner: id, withdrawn: state.Withdrawn, limit: cmp.Or(state.Wanted, state.Places, s.Capacity)}
	taken := map[domain.StreamName]bool{}
	for _, h := range state.Claims {
		of := l.appointment(h.Owner)
		switch set := h.Set; of.Fate(set) {
		case claim.Live:
			o.booked++
			taken[h.Owner] = true
		case claim.Pending:
			if l.until.Before(of.Sets[set-1].Deadline.Add(appointment.ClockSlack)) {
				taken[h.Owner] = true
			}
		case claim.Dead, claim.Unknown:
		}
	}
	if o.free = max(o.limit-len(taken), 0); o.withdrawn {
		o.free = 0
	}
	return o
}

// figures computes every figure the long way.
func (l ledger) figures(t *testing.T, f projections.KPIFilter) map[projections.KPIGroup]projections.KPI {
	t.Helper()
	b := &brute{ledger: l, filter: f, zones: map[domain.ClinicID]*time.Location{}, figures: map[projections.KPIGroup]*tally{}}
	for _, all := range l.streams {
		if e, ok := all[0].Event.(clinic.Registered); ok {
			zone, err := domain.Zone(e.Zone)
			require.NoError(t, err)
			b.zones[e.Clinic] = zone
		}
	}
	b.countSlots()
	b.countAccess()
	for stream := range l.streams {
		if stream.Category() == appointment.Category {
			b.countVisit(stream)
		}
	}
	found := map[projections.KPIGroup]projections.KPI{}
	for g, tally := range b.figures {
		found[g] = tally.figures(g)
	}
	return found
}

type brute struct {
	ledger
	filter  projections.KPIFilter
	zones   map[domain.ClinicID]*time.Location
	figures map[projections.KPIGroup]*tally
}

// tally is what is counted of a group.
type tally struct {
	thirds                []int // -1 = there is none
	offered, booked       float64
	freed, filled         int
	leads, waits, answers []time.Duration
	came, missed          map[string]int
	requests              projections.Requests
}

// in returns the tally of an instant, or one that nobody looks at.
func (b *brute) in(id domain.ClinicID, who domain.PractitionerID, at time.Time) *tally {
	day := domain.LocalDay(at, b.zones[id])
	if day < b.filter.First || day > b.filter.Last {
		return &tally{came: map[string]int{}, missed: map[string]int{}}
	}
	g := projections.KPIGroup{Period: projections.WeekOf(day), Clinic: id, Practitioner: who}
	if b.figures[g] == nil {
		b.figures[g] = &tally{came: map[string]int{}, missed: map[string]int{}}
	}
	return b.figures[g]
}

func (b *brute) countSlots() {
	for _, o := range b.slots() {
		if o.withdrawn {
			continue
		}
		at := b.in(o.Clinic, o.practitioner, o.Start)
		seconds := o.End.Sub(o.Start).Seconds()
		at.offered += seconds
		at.booked += seconds * float64(o.booked) / float64(o.limit)
		freed, filled := b.fills(o)
		at.freed += freed
		at.filled += filled
	}
}

// fills walks through what was booked and cancelled in a slot before it began,
// in the order of the log.
func (b *brute) fills(o offered) (freed, filled int) {
	var all []domain.Recorded
	for stream, recorded := range b.streams {
		if stream.Category() == appointment.Category || stream == slot.Stream(o.ID) {
			for _, r := range recorded {
				if e, ok := r.Event.(appointment.Event); !ok || slices.Contains(visitOf(e).Slots, o.ID) || freedBy(e, o.ID) {
					all = append(all, r)
				}
			}
		}
	}
	slices.SortFunc(all, func(r, q domain.Recorded) int { return cmp.Compare(r.Position, q.Position) })
	live, open := map[domain.AppointmentID]bool{}, []domain.AppointmentID{}
	for _, r := range all {
		e, ok := r.Event.(appointment.Event)
		if !ok {
			continue
		}
		id := visitOf(e).Appointment
		before, was := len(live), live[id]
		switch e := r.Event.(type) {
		case appointment.WasBooked:
			if delete(live, id); slices.Contains(e.Slots, o.ID) {
				live[id] = true
			}
		case appointment.WasCancelled:
			delete(live, id)
			now := b.at(r.RecordedAt).offered(o.practitioner, o.Slot)
			if was && r.RecordedAt.Before(o.Start) && !now.withdrawn && len(live) < now.limit {
				freed, open = freed+1, append(open, id)
			}
		}
		if len(live) <= before || len(open) == 0 || !r.RecordedAt.Before(o.Start) {
			continue
		}
		if i := slices.Index(open, id); i >= 0 {
			freed, open = freed-1, slices.Delete(open, i, i+1)
			continue
		}
		filled, open = filled+1, open[1:]
	}
	return freed, filled
}

func visitOf(e appointment.Event) appointment.Visit {
	visit, _ := appointment.Of(e)
	return visit
}

func freedBy(e appointment.Event, id domain.SlotID) bool {
	booked, ok := e.(appointment.WasBooked)
	return ok && slices.Contains(booked.Freed, id)
}

func (b *brute) countAccess() {
	for id, zone := range b.zones {
		for day := b.filter.First; day <= b.filter.Last; day = day.Add(1) {
			start := domain.WallTime(0).On(day, zone)
			thirds, places := map[domain.PractitionerID]int{}, map[domain.PractitionerID]int{}
			for _, o := range b.at(start).slots() {
				if o.Clinic != id || o.withdrawn || o.Start.Before(start) {
					continue
				}
				if _, known := thirds[o.practitioner]; !known {
					thirds[o.practitioner] = -1
				}
				if places[o.practitioner] += o.free; places[o.practitioner] >= 3 && thirds[o.practitioner] < 0 {
					on := domain.LocalDay(o.Start, zone).Start().Sub(day.Start())
					thirds[o.practitioner] = int(on.Hours() / 24)
				}
			}
			for who, third := range thirds {
				at := b.in(id, who, start)
				at.thirds = append(at.thirds, third)
			}
		}
	}
}

func (b *brute) countVisit(stream domain.StreamName) {
	var requested time.Time
	booked := map[int]time.Time{}
	for _, r := range b.streams[stream] {
		switch e := r.Event.(type) {
		case appointment.WasRequested:
			requested = r.RecordedAt
			b.in(e.Clinic, e.Practitioner, requested).requests.Requested++
		case appointment.WasBooked:
			booked[e.Set] = r.RecordedAt
			if at := b.in(e.Clinic, e.Practitioner, requested); !requested.IsZero() {
				at.requests.Approved++
				at.answers = append(at.answers, r.RecordedAt.Sub(requested))
				requested = time.Time{}
			}
		case appointment.WasDeclined:
			b.in(e.Clinic, e.Practitioner, requested).requests.Declined++
			requested = time.Time{}
		case appointment.HasLapsed:
			if !requested.IsZero() {
				b.in(e.Clinic, e.Practitioner, requested).requests.Lapsed++
			}
			requested = time.Time{}
		case appointment.WasCancelled:
			requested = time.Time{}
		}
	}
	state := b.appointment(stream)
	set, n := state.Current()
	if n == 0 || set.Fate != claim.Live {
		return
	}
	at := b.in(set.Clinic, set.Practitioner, set.Start)
	at.leads = append(at.leads, max(set.Start.Sub(booked[n]), 0))
	zone := b.zones[set.Clinic]
	days := int(domain.LocalDay(set.Start, zone).Start().Sub(domain.LocalDay(booked[n], zone).Start()).Hours() / 24)
	switch state.Status {
	case appointment.NoShow:
		at.missed[bandOf(days)]++
	case appointment.Arrived, appointment.CheckedIn, appointment.Fulfilled:
		at.came[bandOf(days)]++
	case appointment.Booked, appointment.Proposed, appointment.Pending, appointment.Cancelled:
	}
	if !state.Arrived.IsZero() && !state.Started.IsZero() {
		came := b.in(set.Clinic, set.Practitioner, state.Arrived)
		came.waits = append(came.waits, max(state.Started.Sub(state.Arrived), 0))
	}
}

func bandOf(days int) string {
	switch {
	case days < 1:
		return "0"
	case days < 3:
		return "1-2"
	case days < 8:
		return "3-7"
	case days < 15:
		return "8-14"
	case days < 31:
		return "15-30"
	}
	return "31+"
}

func (t *tally) figures(g projections.KPIGroup) projections.KPI {
	k := projections.KPI{
		KPIGroup: g, Fill: projections.Fill{Freed: t.freed, Filled: t.filled}, Lead: spreadOf(t.leads), Wait: spreadOf(t.waits), Requests: t.requests,
		Utilisation: projections.Utilisation{
			Offered: time.Duration(t.offered) * time.Second, Booked: time.Duration(math.Round(t.booked)) * time.Second,
		},
	}
	k.Requests.Approval = spreadOf(t.answers)
	for _, name := range projections.Bands() {
		if n := t.came[name] + t.missed[name]; n > 0 {
			k.NoShows = append(k.NoShows, projections.Band{Name: name, Visits: n, Missed: t.missed[name]})
		}
	}
	slices.Sort(t.thirds)
	k.Access.Days = len(t.thirds)
	there := slices.DeleteFunc(t.thirds, func(third int) bool { return third < 0 })
	k.Access.BookedOut = k.Access.Days - len(there)
	if n := len(there); n > 0 {
		sum := 0
		for _, third := range there {
			sum += third
		}
		k.Access.Average = math.Round(float64(sum)*100/float64(n)) / 100
		k.Access.Median, k.Access.P90 = there[rank(n, 0.5)], there[rank(n, 0.9)]
	}
	return k
}

func rank(n int, p float64) int { return max(int(math.Ceil(p*float64(n))), 1) - 1 }

func spreadOf(all []time.Duration) projections.Spread {
	if len(all) == 0 {
		return projections.Spread{}
	}
	slices.Sort(all)
	return projections.Spread{
		Count: len(all), P50: all[rank(len(all), 0.5)].Truncate(time.Second), P90: all[rank(len(all), 0.9)].Truncate(time.Second),
	}
}
