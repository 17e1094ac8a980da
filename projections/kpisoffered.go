package projections

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/series"
	"github.com/slotbook/slotbook/domain/slot"
)

const offeredDDL = `
create table offered (
	slot         text collate "C" not null primary key,
	practitioner text collate "C" not null,
	clinic       text collate "C" not null,
	start        timestamptz      not null,
	"end"        timestamptz      not null,
	places       bigint           not null,
	wanted       bigint           not null,
	withdrawn    boolean          not null,
	taken_by     text[] collate "C",
	taken_until  timestamptz[],
	booked       bigint           not null,
	changed      timestamptz[],
	free         text[] collate "C",
	full_since   timestamptz,
	freed        bigint           not null,
	filled       bigint           not null,
	unfilled     text[] collate "C"
) with (fillfactor = 55);
create index offered_practitioner on offered (practitioner, clinic, start, slot);
create index offered_clinic on offered (clinic, start, slot)`

// offeredRow is a slot through time: how many of its places were free when, as
// the list of slots would have said, and what became of places that
// cancellations gave back.
//
// A place is taken by a set from the moment that the set is proposed until it
// dies, or until [appointment.ClockSlack] after the deadline that it has
// meanwhile. That instant lies ahead when it is noted; what happens before it
// takes it back.
type offeredRow struct {
	Slot         domain.SlotID         `db:"slot"`
	Practitioner domain.PractitionerID `db:"practitioner"`
	Clinic       domain.ClinicID       `db:"clinic"`
	Start        time.Time             `db:"start"`
	End          time.Time             `db:"end"`
	Places       int                   `db:"places"`
	Wanted       int                   `db:"wanted"` // fewer than Places while more are taken; 0 = Places
	Withdrawn    bool                  `db:"withdrawn"`
	TakenBy      []string              `db:"taken_by"`    // owner/set, of sets that are not dead
	TakenUntil   []time.Time           `db:"taken_until"` // in the same order; forever when it is booked
	Booked       int                   `db:"booked"`      // appointments
	Changed      []time.Time           `db:"changed"`     // when it became so, up to the start
	Free         []string              `db:"free"`        // in the same order: how many places, notOffered while it is withdrawn
	FullSince    time.Time             `db:"full_since"`  // of Changed, when no place is free in the end; else zero
	Freed        int                   `db:"freed"`       // places that cancellations gave back before the start
	Filled       int                   `db:"filled"`      // those of them that were booked again
	Unfilled     []string              `db:"unfilled"`    // whose cancellations gave back those that were not, the oldest first
}

const notOffered = "-1"

func offeredKeys(r domain.Recorded) []string {
	switch r.Event.(type) {
	case slot.Held, slot.Booked, slot.Released:
		return nil // their sets say so, too
	case appointment.HasArrived, appointment.WasCheckedIn, appointment.WasFulfilled, appointment.WasMissed, appointment.WasReverted:
		return nil
	}
	return slotKeys(r)
}

func evolveOffered(o offeredRow, exists bool, r domain.Recorded) (offeredRow, bool) {
	if !exists {
		opened, ok := openedSlot(o.Slot, r)
		o = offeredRow{
			Slot: opened.Slot, Practitioner: opened.Practitioner, Clinic: opened.Clinic, Start: opened.Start, End: opened.End, Places: opened.Places,
		}
		return o.noted(r.RecordedAt), ok
	}
	before := o.Booked
	switch e := r.Event.(type) {
	case slot.Overbooked:
		o.Wanted, o.Places = cmp.Or(o.Wanted, o.Places), e.Places
	case slot.Withdrawn:
		o.Withdrawn = true
	case slot.Reinstated:
		o.Withdrawn = false
	case slot.Resized:
		o.Places, o.Wanted = e.Places, e.Wanted
	case appointment.Event:
		o = o.decided(e)
	case series.WasBooked:
		o = o.settled(e.Visits, true)
	case series.WasRefused:
		o = o.settled(e.Visits, false)
	case series.HasLapsed:
		o = o.settled(e.Visits, false)
	}
	o.Booked = o.booked()
	return o.filled(before, r).noted(r.RecordedAt), true
}

// decided folds what became of a set.
func (o offeredRow) decided(e appointment.Event) offeredRow {
	visit, set := appointment.Of(e)
	c := claim.Claim{Owner: appointment.Stream(visit.Appointment), Set: set}
	switch e := e.(type) {
	case appointment.WasProposed:
		return o.taken(c, e.Deadline.Add(appointment.ClockSlack))
	case appointment.WasHeld:
		return o.taken(c, e.Deadline.Add(appointment.ClockSlack))
	case appointment.WasRenewed:
		return o.taken(c, e.Deadline.Add(appointment.ClockSlack))
	case appointment.WasRequested:
		return o.taken(c, e.Deadline.Add(appointment.ClockSlack))
	case appointment.WasBooked:
		o = o.without(func(text string) bool { return text == claimText(claim.Claim{Owner: c.Owner, Set: e.Replaces}) })
		if slices.Contains(visit.Slots, o.Slot) {
			return o.taken(c, forever())
		}
	case appointment.WasCancelled, appointment.WasDeclined:
		return o.without(func(text string) bool { return strings.HasPrefix(text, string(c.Owner)+"/") })
	case appointment.WasRefused, appointment.HasLapsed, appointment.WasReleased:
		return o.without(func(text string) bool { return text == claimText(c) })
	case appointment.HasArrived, appointment.WasCheckedIn, appointment.WasFulfilled, appointment.WasMissed, appointment.WasReverted:
	}
	return o
}

// settled folds what a series decided about the sets that are known.
func (o offeredRow) settled(visits []series.Visit, live bool) offeredRow {
	for _, v := range visits {
		c := claim.Claim{Owner: appointment.Stream(v.Appointment), Set: v.Set}
		switch known := slices.Contains(o.TakenBy, claimText(c)); {
		case known && live:
			o = o.taken(c, forever())
		case known:
			o = o.without(func(text string) bool { return text == claimText(c) })
		}
	}
	return o
}

func (o offeredRow) taken(c claim.Claim, until time.Time) offeredRow {
	o.TakenBy, o.TakenUntil = withClaim(o.TakenBy, o.TakenUntil, c, until)
	return o
}

// without returns the slot without the claims of sets that are dead.
func (o offeredRow) without(dead func(text string) bool) offeredRow {
	o.TakenBy, o.TakenUntil = withoutClaims(o.TakenBy, o.TakenUntil, dead)
	return o
}

// live counts the appointments that have a place at an instant.
func (o offeredRow) live(at time.Time) int {
	var owners []string
	for i, text := range o.TakenBy {
		owner := text[:strings.LastIndexByte(text, '/')]
		if o.TakenUntil[i].After(at) && !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	return len(owners)
}

// booked counts the appointments that have a place for good.
func (o offeredRow) booked() int { return o.live(forever().Add(-time.Microsecond)) }

func (o offeredRow) limit() int { return cmp.Or(o.Wanted, o.Places) }

// filled notes a place that a cancellation gives back, and one of those that is
// booked again. Places are alike: the first who books has the one that was given
// back first. Whoever takes back a cancellation has given nothing back.
func (o offeredRow) filled(before int, r domain.Recorded) offeredRow {
	e, ok := r.Event.(appointment.Event)
	if !ok || !r.RecordedAt.Before(o.Start) {
		return o
	}
	visit, _ := appointment.Of(e)
	id := string(visit.Appointment)
	_, cancelled := e.(appointment.WasCancelled)
	switch mine := slices.Index(o.Unfilled, id); {
	case cancelled && o.Booked < before && !o.Withdrawn && o.Booked < o.limit():
		o.Freed++
		o.Unfilled = append(slices.Clone(o.Unfilled), id)
	case o.Booked <= before || len(o.Unfilled) == 0:
	case mine >= 0:
		o.Freed--
		o.Unfilled = removed(o.Unfilled, mine)
	default:
		o.Filled++
		o.Unfilled = removed(o.Unfilled, 0)
	}
	return o
}

func removed(texts []string, i int) []string {
	if len(texts) == 1 {
		return nil
	}
	return slices.Delete(slices.Clone(texts), i, i+1)
}

// noted notes how many places are free from an instant on, and from when that
// changes if nothing else happens. What was noted of later is forgotten.
func (o offeredRow) noted(at time.Time) offeredRow {
	n := 0
	for n < len(o.Changed) && o.Changed[n].Before(at) {
		n++
	}
	changed, free := slices.Clone(o.Changed[:n]), slices.Clone(o.Free[:n])
	instants := []time.Time{at}
	for _, until := range o.TakenUntil {
		if until.After(at) && until.Before(forever()) {
			instants = append(instants, until)
		}
	}
	slices.SortFunc(instants, time.Time.Compare)
	for _, t := range slices.CompactFunc(instants, time.Time.Equal) {
		if !t.After(o.Start) {
			changed, free = append(changed, t), append(free, o.free(t))
		}
	}
	o.Changed, o.Free = compacted(changed, free, at)
	o.FullSince = time.Time{}
	if n := len(o.Free); n > 0 && (o.Free[n-1] == "0" || o.Free[n-1] == notOffered) {
		o.FullSince = o.Changed[n-1]
	}
	return o
}

func (o offeredRow) free(at time.Time) string {
	if o.Withdrawn {
		return notOffered
	}
	return strconv.Itoa(max(o.limit()-o.live(at), 0))
}

// compacted leaves out what changes nothing, and what was over, by an instant,
// before it had lasted over a full quarter of an hour of the clock: days begin
// at such instants in every zone. So a row stays short, however often a slot is
// held and given back.
func compacted(changed []time.Time, free []string, now time.Time) (at []time.Time, was []string) {
	for i, t := range changed {
		over := i+1 < len(changed) && !changed[i+1].After(now)
		if over && !nextQuarter(t).Before(changed[i+1]) {
			continue
		}
		if n := len(was); n == 0 || was[n-1] != free[i] {
			at, was = append(at, t), append(was, free[i])
		}
	}
	return at, was
}

// nextQuarter returns the first full quarter of an hour at or after an instant.
func nextQuarter(t time.Time) time.Time {
	const quarter = 15 * time.Minute
	return t.Add(quarter - 1).Truncate(quarter)
}
