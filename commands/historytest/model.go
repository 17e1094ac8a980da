package historytest

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/slotbook/slotbook/domain/claim"
)

// slack is how long after a deadline others wait before they end what is overdue.
const slack = int64(claim.ClockSlack / 1000)

type phase int

const (
	held phase = iota
	requested
	booked
	cancelled // and can be booked again, until its time is up
)

// visit is an appointment that claims a place, or may claim it again. Its
// deadline is between from and to, which differ where nobody was told.
type visit struct {
	id       string
	phase    phase
	was      phase // before it was cancelled: requested or booked
	slot     int
	patient  string
	from, to int64
}

// state is every visit, sorted by id. What is not among them is gone, or never was.
type state []visit

func (s state) find(id string) (visit, bool) {
	i := slices.IndexFunc(s, func(v visit) bool { return v.id == id })
	if i < 0 {
		return visit{}, false
	}
	return s[i], true
}

func (s state) without(id string) state {
	return slices.DeleteFunc(slices.Clone(s), func(v visit) bool { return v.id == id })
}

func (s state) with(v visit) state {
	s = append(s.without(v.id), v)
	slices.SortFunc(s, func(a, b visit) int { return strings.Compare(a.id, b.id) })
	return s
}

func (v visit) compare(w visit) int {
	return cmp.Or(strings.Compare(v.id, w.id), cmp.Compare(v.phase, w.phase), cmp.Compare(v.was, w.was), cmp.Compare(v.slot, w.slot),
		strings.Compare(v.patient, w.patient), cmp.Compare(v.from, w.from), cmp.Compare(v.to, w.to))
}

func (v visit) pending() bool { return v.phase == held || v.phase == requested }

// overdue reports whether others may count the visit as ended, by some clock that
// the operation saw.
func (v visit) overdue(o *record) bool { return v.pending() && o.after >= v.from+slack }

// lapsed reports whether others must.
func (v visit) lapsed(o *record) bool { return v.pending() && o.before >= v.to+slack }

// inTime reports whether its owner may still act; tooLate, whether he may be told
// that his time is up.
func (v visit) inTime(o *record) bool  { return o.before < v.to }
func (v visit) tooLate(o *record) bool { return o.after >= v.from }

// world is a state, and which operations without an answer may still take effect:
// their numbers, in order.
//
// That an operation without an answer takes effect some time, or never, is kept
// here and not left to porcupine: to try each of many at each place among the
// others takes for ever.
type world struct {
	visits state
	latent []int
}

func (w world) compare(v world) int {
	return cmp.Or(slices.CompareFunc(w.visits, v.visits, visit.compare), slices.Compare(w.latent, v.latent))
}

func (w world) equal(v world) bool {
	return slices.Equal(w.visits, v.visits) && slices.Equal(w.latent, v.latent)
}

// worlds is all that may be the case, sorted. Of those in which the same is so
// there are none whose latent operations are among those of another: whatever
// becomes of these becomes of that one.
type worlds []world

func (w worlds) equal(v worlds) bool { return slices.EqualFunc(w, v, world.equal) }

func (w worlds) sorted() worlds {
	slices.SortFunc(w, world.compare)
	w = slices.CompactFunc(w, world.equal)
	var left worlds
	for len(w) > 0 {
		same := 1
		for same < len(w) && slices.Equal(w[same].visits, w[0].visits) {
			same++
		}
		for i, a := range w[:same] {
			if !slices.ContainsFunc(w[:same], func(b world) bool { return len(b.latent) > len(a.latent) && within(a.latent, b.latent) }) {
				left = append(left, w[i])
			}
		}
		w = w[same:]
	}
	return left
}

// within reports whether all of a, which is sorted, are among b, which is, too.
func within(a, b []int) bool {
	for _, n := range a {
		i, found := slices.BinarySearch(b, n)
		if !found {
			return false
		}
		b = b[i+1:]
	}
	return true
}

// rules is the model of a history.
type rules struct {
	Config
	unanswered []*record
}

func model(c Config, history []*record) porcupine.Model {
	r := rules{Config: c}
	for _, o := range history {
		if o.Outcome == Unknown {
			o.number = len(r.unanswered)
			r.unanswered = append(r.unanswered, o)
		}
	}
	return porcupine.Model{
		Init: func() any { return worlds{{}} },
		Step: func(w, in, _ any) (bool, any) {
			next := r.step(w.(worlds), in.(*record)) //nolint:forcetypeassert // the model's own values
			return len(next) > 0, next
		},
		Equal: func(a, b any) bool {
			return a.(worlds).equal(b.(worlds)) //nolint:forcetypeassert // the model's own values
		},
	}
}

// step returns what may be the case after an operation.
func (r rules) step(now worlds, o *record) worlds {
	var next worlds
	if o.Outcome == Unknown {
		for _, w := range now {
			at, _ := slices.BinarySearch(w.latent, o.number)
			next = append(next, world{visits: w.visits, latent: slices.Insert(slices.Clone(w.latent), at, o.number)})
		}
		return next.sorted()
	}
	for _, w := range r.before(now, o) {
		latent := slices.DeleteFunc(slices.Clone(w.latent), func(n int) bool { return r.unanswered[n].ended < o.called })
		for _, s := range endings(w.visits, o) {
			for _, then := range r.after(s, o) {
				next = append(next, world{visits: then, latent: latent})
			}
		}
	}
	return next.sorted()
}

// before returns what may be the case right before an operation, whichever of
// those without an answer have taken effect by then.
func (r rules) before(now worlds, o *record) worlds {
	all := slices.Clone(now)
	for len(now) > 0 {
		var next worlds
		for _, w := range now {
			next = append(next, r.one(w, o)...)
		}
		now = next.sorted()
		all = append(all, now...)
	}
	return all.sorted()
}

// one returns what may be the case when one of the operations without an answer
// takes effect before o.
func (r rules) one(w world, o *record) worlds {
	var next worlds
	for i, n := range w.latent {
		for _, s := range endings(w.visits, o) { // it is not later than o
			if done, can := r.effect(s, r.unanswered[n]); can && !slices.Equal(done, s) {
				next = append(next, world{visits: done, latent: slices.Delete(slices.Clone(w.latent), i, i+1)})
			}
		}
	}
	return next
}

// endings returns the states in which any of what is overdue was ended, by
// whoever met it.
func endings(s state, o *record) []state {
	all := []state{s}
	for _, v := range s {
		if !v.overdue(o) {
			continue
		}
		for _, t := range all {
			all = append(all, t.without(v.id))
		}
	}
	return all
}

// after returns the states in which the operation may have left things.
func (r rules) after(s state, o *record) []state {
	switch o.Kind {
	case Read:
		return only(s, r.reads(s, o))
	case Look:
		return only(s, o.other || looks(s, o))
	default:
	}
	done, can := r.effect(s, o)
	switch o.Outcome {
	case Done:
		return only(done, can)
	case Taken:
		return only(s, o.excused || r.blocked(s, o))
	case Refused:
		return only(s, o.other || refusable(s, o))
	case Unknown: // takes effect before another, or never
	}
	return []state{s}
}

func only(s state, ok bool) []state {
	if !ok {
		return nil
	}
	return []state{s}
}

func (r rules) reads(s state, o *record) bool {
	most, least := 0, 0
	for _, v := range s {
		if v.slot == o.Op.Slot && v.phase != cancelled && !v.lapsed(o) {
			most++
		}
		if v.slot == o.Op.Slot && v.phase != cancelled && !v.overdue(o) {
			least++
		}
	}
	if o.Free {
		return least < r.Slots[o.Op.Slot].Capacity
	}
	return o.excused || most >= r.Slots[o.Op.Slot].Capacity
}

func looks(s state, o *record) bool {
	v, there := s.find(o.Op.Appointment)
	switch {
	case !there || v.phase == cancelled:
		return o.Status == Gone
	case v.phase == booked:
		return o.Status == Booked && o.Answer.Slot == v.slot
	}
	return o.Status == Pending && o.Answer.Slot == v.slot
}

// effect returns what the operation does, and whether it can do anything.
func (r rules) effect(s state, o *record) (state, bool) {
	v, there := s.find(o.Op.Appointment)
	wish := r.wish(v, o)
	switch o.Kind {
	case Book, Request, Hold:
		return s.with(wish), !there && r.fits(s, wish)
	case Complete:
		same := v.patient == wish.patient
		if there && same && (v.phase == booked || v.phase == requested) {
			return s, true // twice is once
		}
		return s.with(wish), there && v.phase == held && v.inTime(o) && r.fits(s, wish)
	case Move:
		return s.with(wish), there && v.phase == booked && r.fits(s, wish)
	case Undo:
		if v.phase == booked || v.phase == requested {
			return s, there // it was undone before
		}
		return s.with(wish), there && v.phase == cancelled && o.before <= v.to && r.fits(s, wish)
	case Renew:
		return s.with(wish), there && v.phase == held && v.inTime(o)
	case Release:
		if there && v.phase == held {
			return s.without(v.id), true
		}
		return s, true
	case Cancel:
		switch {
		case there && v.phase == held: // is for its owner to release
			return s.without(v.id), v.tooLate(o)
		case there && v.phase != cancelled:
			return s.with(wish), true
		}
		return s, true
	case Approve:
		return s.with(wish), there && (v.phase == booked || v.phase == requested && v.inTime(o))
	case Decline:
		if there && v.phase == requested {
			return s.with(wish), v.inTime(o)
		}
		return s, !there || v.phase == cancelled // twice is once
	case Lapse, Read, Look: // what is overdue was ended before the step
	}
	return s, true
}

// wish returns what the operation makes of an appointment.
func (r rules) wish(v visit, o *record) visit {
	w := visit{id: o.Op.Appointment, slot: v.slot, patient: v.patient}
	switch o.Kind {
	case Book, Request, Hold, Move:
		w.slot = o.Op.Slot
	default:
	}
	if o.Patient != "" && o.Kind != Move {
		w.patient = o.Patient
	}
	switch {
	case o.Kind == Hold || o.Kind == Renew:
		w.phase = held
		w.from, w.to = o.until(o.For.Microseconds(), o.For.Microseconds())
		if o.Kind == Renew && o.Outcome == Unknown {
			w.from, w.to = max(v.from, w.from), max(v.to, w.to)
		}
	case o.Kind == Request || o.Kind == Complete && r.Slots[v.slot].Approval || o.Kind == Undo && v.was == requested:
		w.phase = requested
		w.from, w.to = o.until(0, math.MaxInt64/2)
	case o.Kind == Cancel || o.Kind == Decline:
		w.phase, w.was = cancelled, v.phase
		w.from, w.to = o.before+r.Undo.Microseconds(), o.after+r.Undo.Microseconds()
	default:
		w.phase = booked
	}
	return w
}

// until returns between which instants a deadline is: the one that the client was
// told, or else one of an operation that may have come about.
func (o *record) until(least, most int64) (from, to int64) {
	if o.Deadline.IsZero() {
		return o.before + least, o.after + most
	}
	return o.Deadline.UnixMicro(), o.Deadline.UnixMicro()
}

// fits reports whether nobody stands in the way of a wish.
func (r rules) fits(s state, wish visit) bool {
	count := 0
	for _, v := range s {
		if v.id == wish.id || v.phase == cancelled {
			continue
		}
		if v.slot == wish.slot {
			count++
		}
		if v.patient != "" && v.patient == wish.patient && r.Slots[v.slot].Start.Equal(r.Slots[wish.slot].Start) {
			return false
		}
	}
	return count < r.Slots[wish.slot].Capacity
}

// blocked reports whether somebody stands in the way of the operation, who is not
// surely overdue.
func (r rules) blocked(s state, o *record) bool {
	v, there := s.find(o.Op.Appointment)
	wants := map[Kind]phase{Complete: held, Move: booked, Undo: cancelled}
	if was, later := wants[o.Kind]; later && (!there || v.phase != was) {
		return false
	}
	others := slices.DeleteFunc(slices.Clone(s), func(v visit) bool { return v.lapsed(o) })
	return o.Kind.proposes() && !r.fits(others, r.wish(v, o))
}

// refusable reports whether the appointment is in no state for the operation, or
// its time may be up.
func refusable(s state, o *record) bool {
	v, there := s.find(o.Op.Appointment)
	switch o.Kind {
	case Complete, Renew:
		return !there || v.phase != held || v.tooLate(o)
	case Release:
		return !there || v.phase != held
	case Approve, Decline:
		return !there || v.phase != requested || v.tooLate(o)
	case Move:
		return !there || v.phase != booked
	case Undo:
		return !there || v.phase != cancelled || o.after >= v.from
	case Cancel:
		return !there || v.phase == held && v.inTime(o)
	case Lapse:
		return there && v.pending() && !v.lapsed(o)
	case Book, Request, Hold, Read, Look: // a new appointment is in every state for it
	}
	return false
}
