package projections

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/series"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections/engine"
)

// AvailabilityModel returns the read model of slots.
func AvailabilityModel() engine.Model {
	return engine.Model{
		Name:    "availability",
		Version: 6,
		Interest: domain.Filter{
			Categories: []string{appointment.Category, schedule.Category, series.Category, slot.Category},
			Types: []string{
				schedule.DayOpened{}.EventType(),
				slot.Held{}.EventType(), slot.Booked{}.EventType(), slot.Released{}.EventType(), slot.Overbooked{}.EventType(),
				slot.Withdrawn{}.EventType(), slot.Reinstated{}.EventType(), slot.Resized{}.EventType(),
				appointment.WasProposed{}.EventType(), appointment.WasBooked{}.EventType(), appointment.WasRefused{}.EventType(),
				appointment.WasHeld{}.EventType(), appointment.WasRenewed{}.EventType(), appointment.WasReleased{}.EventType(),
				appointment.WasRequested{}.EventType(), appointment.WasDeclined{}.EventType(),
				appointment.HasLapsed{}.EventType(), appointment.WasCancelled{}.EventType(),
				series.WasBooked{}.EventType(), series.WasRefused{}.EventType(), series.HasLapsed{}.EventType(),
			},
		},
		Tables: []engine.Table{engine.NewTable("slot", slotDDL, slotKeys, evolveSlot)},
	}
}

const slotDDL = `
create table slot (
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
	full_until   timestamptz,
	booked       bigint           not null,
	changed      timestamptz[],
	free         text[] collate "C",
	full_since   timestamptz,
	freed        bigint           not null,
	filled       bigint           not null,
	unfilled     text[] collate "C"
) with (fillfactor = 55);
create index slot_practitioner on slot (practitioner, start, slot);
create index slot_clinic on slot (clinic, start, slot);
create index slot_start on slot (start, slot)`

// slotRow is a slot with its claims: taken_by says whose, and taken_until, in
// the same order, until when a claim can be live. full_until is what follows
// from them: until when every place is taken unless something happens.
//
// The rest is the slot through time, of which key figures are made: how many of
// its places were free when, and what became of places that cancellations gave
// back.
type slotRow struct {
	Slot         domain.SlotID         `db:"slot"`
	Practitioner domain.PractitionerID `db:"practitioner"`
	Clinic       domain.ClinicID       `db:"clinic"`
	Start        time.Time             `db:"start"`
	End          time.Time             `db:"end"`
	Places       int                   `db:"places"`
	Wanted       int                   `db:"wanted"` // fewer than Places while more are taken; 0 = Places
	Withdrawn    bool                  `db:"withdrawn"`
	TakenBy      []string              `db:"taken_by"`    // owner/set
	TakenUntil   []time.Time           `db:"taken_until"` // a pending set's deadline; forever or never when its fate is known; unheard
	FullUntil    time.Time             `db:"full_until"`  // zero when a place is free at any time
	Booked       int                   `db:"booked"`      // appointments
	Changed      []time.Time           `db:"changed"`     // when it became so, up to the start
	Free         []string              `db:"free"`        // in the same order: how many places, notOffered while it is withdrawn
	FullSince    time.Time             `db:"full_since"`  // of Changed, when no place is free in the end; else zero
	Freed        int                   `db:"freed"`       // places that cancellations gave back before the start
	Filled       int                   `db:"filled"`      // those of them that were booked again
	Unfilled     []string              `db:"unfilled"`    // whose cancellations gave back those that were not, the oldest first
}

// forever ends a claim whose set is live.
func forever() time.Time { return time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) }

// unheard ends a claim of whose set nothing is known: it takes its place, and
// is not yet part of the slot's history, which is that of the sets.
func unheard() time.Time { return forever().Add(time.Microsecond) }

// never ends a claim whose set is dead. It is kept until it is released: the
// claim itself may be recorded after its set has died, and is worth nothing
// then, as the write path sees it, too.
func never() time.Time { return time.Unix(0, 0).UTC() }

func slotKeys(r domain.Recorded) []string {
	switch e := r.Event.(type) {
	case schedule.DayOpened:
		keys := make([]string, len(e.Slots))
		for i, s := range e.Slots {
			keys[i] = string(s.ID)
		}
		return keys
	case slot.Booked:
		return []string{string(e.Slot)}
	case slot.Released:
		return []string{string(e.Slot)}
	case slot.Withdrawn:
		return []string{string(e.Slot)}
	case slot.Reinstated:
		return []string{string(e.Slot)}
	case slot.Resized:
		return []string{string(e.Slot)}
	case slot.Held:
		return []string{string(e.Slot)}
	case slot.Overbooked:
		return []string{string(e.Slot)}
	case appointment.Event:
		return slotsOf(e)
	case series.WasBooked:
		return slotsOfVisits(e.Visits)
	case series.WasRefused:
		return slotsOfVisits(e.Visits)
	case series.HasLapsed:
		return slotsOfVisits(e.Visits)
	}
	return nil
}

func slotsOfVisits(visits []series.Visit) []string {
	var keys []string
	for _, v := range visits {
		for _, id := range v.All() {
			keys = append(keys, string(id))
		}
	}
	return keys
}

// slotsOf returns the slots that a set is about, and those that it frees.
func slotsOf(e appointment.Event) []string {
	visit, _ := appointment.Of(e)
	slots := visit.Slots
	if booked, ok := e.(appointment.WasBooked); ok {
		slots = slices.Concat(slots, booked.Freed)
	}
	keys := make([]string, len(slots))
	for i, s := range slots {
		keys[i] = string(s)
	}
	return keys
}

// evolveSlot folds what a day opened, what happened to the slot, and what
// became of the sets that want it. Appointment and slot events of one booking
// come in either order.
func evolveSlot(s slotRow, exists bool, r domain.Recorded) (slotRow, bool) {
	if !exists {
		opened, ok := openedSlot(s.Slot, r)
		return opened.noted(r.RecordedAt), ok
	}
	switch e := r.Event.(type) {
	case slot.Booked:
		return s.claimed(e.Claim, e.Places), true
	case slot.Held:
		return s.claimed(e.Claim, e.Places), true
	case slot.Released:
		s = s.released(e.Claim)
		s.FullUntil = s.fullUntil()
		return s, true
	}
	before := s.Booked
	switch e := r.Event.(type) {
	case slot.Overbooked:
		s.Wanted, s.Places = cmp.Or(s.Wanted, s.Places), e.Places
	case slot.Withdrawn:
		s.Withdrawn = true
	case slot.Reinstated:
		s.Withdrawn = false
	case slot.Resized:
		s.Places, s.Wanted = e.Places, e.Wanted
	case appointment.Event:
		s = s.decided(e)
	case series.WasBooked:
		s = s.settled(e.Visits, forever())
	case series.WasRefused:
		s = s.settled(e.Visits, never())
	case series.HasLapsed:
		s = s.settled(e.Visits, never())
	}
	s.FullUntil, s.Booked = s.fullUntil(), s.booked()
	return s.filled(before, r).noted(r.RecordedAt), true
}

// claimed notes a claim of the slot's own stream. What becomes of it, its set
// says.
func (s slotRow) claimed(c claim.Claim, places int) slotRow {
	s.Places = places
	if !slices.Contains(s.TakenBy, claimText(c)) {
		s = s.taken(c, unheard())
	}
	s.FullUntil = s.fullUntil()
	return s
}

// limit returns how many places newcomers count on, as the write path does:
// where fewer are wanted than there are, a release takes its place with it.
func (s slotRow) limit() int { return cmp.Or(s.Wanted, s.Places) }

// fullUntil returns when the first place becomes free if no claim is decided
// or released before: with n places, the n-th latest end of the owners' claims.
// Several claims of one owner count once, until the latest.
func (s slotRow) fullUntil() time.Time {
	places := s.limit()
	if len(s.TakenBy) < places {
		return time.Time{}
	}
	ends := make(map[string]time.Time, len(s.TakenBy))
	for i, c := range s.TakenBy {
		owner := c[:strings.LastIndexByte(c, '/')]
		if s.TakenUntil[i].After(ends[owner]) {
			ends[owner] = s.TakenUntil[i]
		}
	}
	latest := slices.SortedFunc(maps.Values(ends), func(a, b time.Time) int { return b.Compare(a) })
	if len(latest) < places || latest[places-1].Equal(never()) {
		return time.Time{}
	}
	return latest[places-1]
}

func (s slotRow) decided(e appointment.Event) slotRow {
	visit, set := appointment.Of(e)
	c := claim.Claim{Owner: appointment.Stream(visit.Appointment), Set: set}
	switch e := e.(type) {
	case appointment.WasProposed:
		return s.taken(c, e.Deadline)
	case appointment.WasHeld:
		return s.taken(c, e.Deadline)
	case appointment.WasRenewed:
		return s.taken(c, e.Deadline)
	case appointment.WasRequested:
		return s.taken(c, e.Deadline)
	case appointment.WasBooked:
		s = s.dead(claim.Claim{Owner: c.Owner, Set: e.Replaces})
		if slices.Contains(visit.Slots, s.Slot) {
			return s.taken(c, forever())
		}
	case appointment.WasCancelled:
		return s.allDead(c.Owner)
	case appointment.WasDeclined:
		return s.allDead(c.Owner)
	case appointment.WasRefused, appointment.HasLapsed, appointment.WasReleased:
		return s.dead(c)
	case appointment.HasArrived, appointment.WasCheckedIn, appointment.WasFulfilled, appointment.WasMissed, appointment.WasReverted:
	}
	return s
}

// settled notes what a series has decided about the claims of its visits, as far
// as they are there: where all was stored in one append, the visits come later.
func (s slotRow) settled(visits []series.Visit, until time.Time) slotRow {
	for _, v := range visits {
		c := claim.Claim{Owner: appointment.Stream(v.Appointment), Set: v.Set}
		if slices.Contains(v.All(), s.Slot) && slices.Contains(s.TakenBy, claimText(c)) {
			s = s.taken(c, until)
		}
	}
	return s
}

// dead notes that a claim, if it is there, is worth nothing.
func (s slotRow) dead(c claim.Claim) slotRow {
	if !slices.Contains(s.TakenBy, claimText(c)) {
		return s
	}
	return s.taken(c, never())
}

// allDead notes that no claim of an owner is worth anything: with a booking end
// the moves that were under way, and with a request the hold that it came of.
func (s slotRow) allDead(owner domain.StreamName) slotRow {
	s.TakenUntil = slices.Clone(s.TakenUntil)
	for i, c := range s.TakenBy {
		if strings.HasPrefix(c, string(owner)+"/") {
			s.TakenUntil[i] = never()
		}
	}
	return s
}

func openedSlot(id domain.SlotID, r domain.Recorded) (slotRow, bool) {
	e, ok := r.Event.(schedule.DayOpened)
	if !ok {
		return slotRow{}, false
	}
	i := slices.IndexFunc(e.Slots, func(s schedule.Slot) bool { return s.ID == id })
	if i < 0 {
		return slotRow{}, false
	}
	s := e.Slots[i]
	return slotRow{Slot: id, Practitioner: e.Practitioner, Clinic: s.Clinic, Start: s.Start, End: s.End, Places: s.Capacity}, true
}

func claimText(c claim.Claim) string { return string(c.Owner) + "/" + strconv.Itoa(c.Set) }

func (s slotRow) taken(c claim.Claim, until time.Time) slotRow {
	s.TakenBy, s.TakenUntil = withClaim(s.TakenBy, s.TakenUntil, c, until)
	return s
}

func (s slotRow) released(c claim.Claim) slotRow {
	s.TakenBy, s.TakenUntil = withoutClaims(s.TakenBy, s.TakenUntil, func(text string) bool { return text == claimText(c) })
	return s
}

// withClaim returns claims, and until when each of them lasts, with one that lasts
// until an instant.
func withClaim(claims []string, ends []time.Time, c claim.Claim, until time.Time) ([]string, []time.Time) {
	text := claimText(c)
	ends = slices.Clone(ends)
	if i := slices.Index(claims, text); i >= 0 {
		ends[i] = until
		return claims, ends
	}
	return append(slices.Clone(claims), text), append(ends, until)
}

// withoutClaims returns claims, and until when each of them lasts, without those
// that are gone; nil when none is left.
func withoutClaims(claims []string, ends []time.Time, gone func(text string) bool) (left []string, until []time.Time) {
	for i, text := range claims {
		if !gone(text) {
			left, until = append(left, text), append(until, ends[i])
		}
	}
	return left, until
}
