package historytest

import (
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

// rules is the model.
type rules struct{ Config }

func model(c Config) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{state{}} },
		Step: func(s, in, _ any) []any {
			return rules{c}.step(s.(state), in.(*record)) //nolint:forcetypeassert // the model's own values
		},
		Equal: func(a, b any) bool {
			return slices.Equal(a.(state), b.(state)) //nolint:forcetypeassert // the model's own values
		},
	}
	return m.ToModel()
}

func (r rules) step(s state, o *record) []any {
	var next []any
	for _, s := range endings(s, o) {
		for _, then := range r.after(s, o) {
			next = append(next, then)
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
	switch {
	case o.Outcome == Done:
		return only(done, can)
	case o.Outcome == Unknown && can:
		return []state{s, done}
	case o.Outcome == Taken:
		return only(s, o.excused || r.blocked(s, o))
	case o.Outcome == Refused:
		return only(s, o.other || refusable(s, o))
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
