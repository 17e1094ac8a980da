package commands

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/resource"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/visittype"
)

// Booking is a wish for one slot, or for several in a row.
type Booking struct {
	Appointment domain.AppointmentID
	Slots       []domain.SlotID // with a visit type, the first one is enough
	VisitType   domain.VisitTypeID
	Uses        []Use
	Patient     domain.PatientID
	Reason      string                // open text, sealed before it is stored
	By          appointment.Initiator // whose wish it is; "" is the patient's
	Beyond      string                // unless blank: why staff take the patient in where no place is left; "" = they do not

	follows *appointment.Visit // whose rooms and devices it has at its own time; nil = Uses says which
}

// Use is a wish for a room or a device: for the whole visit, or for a part.
type Use struct {
	Resource domain.ResourceID
	Period   domain.Period // zero = the whole visit
}

// Conflict is a refusal by an arbiter: which stream refused, at which
// revision, and when what stands in the way lapses if nobody confirms it. It
// unwraps to the rule.
type Conflict struct {
	Err      error
	Stream   domain.StreamName
	Revision domain.Revision
	Until    time.Time // zero when nothing that stands in the way is held or requested
}

// Error returns the rule's text.
func (c *Conflict) Error() string { return c.Err.Error() }

// Unwrap returns the rule, for errors.Is.
func (c *Conflict) Unwrap() error { return c.Err }

// The refusals of a wish.
var (
	ErrNoSlots   = domain.Refusal(domain.Invalid, "appointment.slots", "an appointment takes one slot or several, each named once, at one clinic")
	ErrGap       = domain.Refusal(domain.Refused, "appointment.gap", "several slots of one practitioner are named in order, and follow one another without a gap")
	ErrSession   = domain.Refusal(domain.Refused, "appointment.session", "in a slot of several places a visit takes one place and no other slot")
	ErrNoRoom    = domain.Refusal(domain.Refused, "appointment.no-room", "there are not as many slots in a row as the visit takes")
	ErrSpecialty = domain.Refusal(domain.Refused, "appointment.specialty", "nobody whose slots are named has the specialty that the visit type asks for")
	ErrUseTime   = domain.Refusal(domain.Invalid, "appointment.resource-time", "a room or device is used within the slots of the visit")
	ErrElsewhere = domain.Refusal(domain.Refused, "appointment.elsewhere", "the visit type, room or device is another clinic's")
	ErrNotice    = domain.Refusal(domain.Refused, "policy.notice", "the visit starts too soon: the clinic wants more notice")
	ErrHorizon   = domain.Refusal(domain.Refused, "policy.horizon", "the clinic does not book so far ahead yet")
	ErrApproval  = domain.Refusal(domain.Refused, "policy.approval", "the clinic approves each visit: its staff reschedule it, or the patient asks for another and cancels")
	ErrStaffOnly = domain.Refusal(domain.Forbidden, "appointment.staff-only", "only the practitioner or the clinic may do this")
)

// Book books slots for a patient; where the policy wants approval, it
// requests them. A booking that was interrupted is continued by a repeat of the
// same command.
//
// Errors: [schedule.ErrSlotGone], the not-found refusals of patient, visit type
// and resource, the refusals of a wish, those of package appointment; a
// [Conflict] over [slot.ErrTaken], [slot.ErrWithdrawn], [occupancy.ErrTaken] or
// a refusal of package quota; and those of every command.
func (h *Handler) Book(ctx context.Context, req Request, b Booking) (Answer[appointment.State], error) {
	ctx, cancel := context.WithTimeout(ctx, h.Patience)
	defer cancel()
	done, err := execute(h, req, func(h *Handler, req Request) (Answer[appointment.State], error) {
		p, err := retry(ctx, h, func(ctx context.Context) (proposal, error) { return h.planBooking(ctx, b) })
		if err != nil {
			return Answer[appointment.State]{}, err
		}
		return h.transact(ctx, req, b.Appointment, p, func(ctx context.Context, h *Handler, _ appointment.State) (proposal, error) {
			return h.planBooking(ctx, b)
		})
	})
	h.unmet(ctx, req, "book", b, err)
	return done, err
}

// planBooking plans a booking, or a request where the policy wants approval.
func (h *Handler) planBooking(ctx context.Context, b Booking) (proposal, error) {
	w, place, err := h.wish(ctx, b)
	if err != nil {
		return proposal{}, err
	}
	p := proposal{
		wish: w, reason: b.Reason, by: b.staff(), policies: place.revisions(), giveUp: place.NoShowAfter, stateless: true,
	}
	if p.refusal = place.refusal(w.visit, h.Now()); p.refusal == nil || b.staff() != "" {
		p.refusal = w.refusal(b.By)
	}
	p.limits = place.limits(w.visit)
	if place.Approval && b.staff() == "" {
		p.request = true
		p.until, err = h.replyBy(ctx, w.visit)
	}
	return p, err
}

// staff returns who of the staff books, "" when it is the patient.
func (b Booking) staff() appointment.Initiator {
	if b.By == appointment.ByPatient {
		return ""
	}
	return b.By
}

// refusal returns why nobody, or not this one, may have the wish, or nil.
func (w wish) refusal(by appointment.Initiator) error {
	if w.beyond != "" && (by == "" || by == appointment.ByPatient) {
		return ErrStaffOnly
	}
	for _, id := range w.visit.Slots {
		if w.opened[id].capacity > 1 && len(w.visit.Slots) > 1 {
			return ErrSession
		}
	}
	return nil
}

// wish finds out what a booking is about.
func (h *Handler) wish(ctx context.Context, b Booking) (wish, place, error) {
	w := wish{opened: map[domain.SlotID]opened{}, beyond: strings.TrimSpace(b.Beyond)}
	if len(b.Slots) == 0 {
		return w, place{}, ErrNoSlots
	}
	first, err := h.openedSlot(ctx, b.Slots[0])
	if err != nil {
		return w, place{}, err
	}
	w.visit = appointment.Visit{
		Appointment: b.Appointment, Patient: b.Patient, Practitioner: first.terms.Practitioner, Clinic: first.terms.Clinic,
		VisitType: string(b.VisitType),
	}
	offered, slots, err := h.slotsOf(ctx, &w, b, first)
	if errors.Is(err, ErrNoRoom) {
		if resized, failed := h.look(ctx, first); failed != nil {
			return w, place{}, failed
		} else if resized {
			return h.wish(ctx, b)
		}
	}
	if err != nil {
		return w, place{}, err
	}
	if err := h.addSlots(ctx, &w, slots); err != nil {
		return w, place{}, err
	}
	whole := w.visit.Period
	if b.VisitType != "" && first.capacity == 1 {
		w.visit.Period = w.between(offered.Terms)
	}
	if err := h.addUses(ctx, &w, b.uses(w.visit.Period), whole); err != nil {
		return w, place{}, err
	}
	there, err := h.openPlaceOf(ctx, w.visit)
	return w, there, err
}

// openPlaceOf is placeOf for what is to be booked: at a closed clinic there is
// nothing. Errors: [clinic.ErrClosed].
func (h *Handler) openPlaceOf(ctx context.Context, v appointment.Visit) (place, error) {
	there, err := h.placeOf(ctx, v)
	if err == nil && there.closed {
		err = clinic.ErrClosed
	}
	return there, err
}

// slotsOf returns the slots that a booking takes: of each of its practitioners as
// many in a row as its visit type needs, if it has one.
func (h *Handler) slotsOf(ctx context.Context, w *wish, b Booking, first opened) (visittype.State, []domain.SlotID, error) {
	if b.VisitType == "" {
		return visittype.State{}, b.Slots, nil
	}
	stream := visittype.Stream(b.VisitType)
	offered, check, err := profile(ctx, h, stream, visittype.Evolve, visittype.ErrNotFound)
	if err != nil {
		return offered, nil, err
	}
	w.checks = append(w.checks, check)
	switch {
	case offered.Retired:
		return offered, nil, visittype.ErrRetired
	case offered.Clinic != first.terms.Clinic:
		return offered, nil, ErrElsewhere
	}
	if err := h.qualified(ctx, w, b.Slots, offered.Specialty); err != nil {
		return offered, nil, err
	}
	if first.capacity > 1 {
		return offered, b.Slots, nil
	}
	slots, err := h.rows(ctx, b.Slots, offered.Whole())
	return offered, slots, err
}

// qualified returns [ErrSpecialty] unless one of the practitioners whose slots are
// named has the specialty; "" asks for none.
func (h *Handler) qualified(ctx context.Context, w *wish, named []domain.SlotID, specialty string) error {
	if specialty == "" {
		return nil
	}
	first := w.visit.Practitioner
	for _, id := range append([]domain.PractitionerID{first}, others(appointment.Visit{Practitioner: first, Slots: named})...) {
		who, check, err := profile(ctx, h, practitioner.Stream(id), practitioner.Evolve, practitioner.ErrNotFound)
		if err != nil {
			return err
		}
		w.checks = append(w.checks, check)
		if slices.Contains(who.Specialties, specialty) {
			return nil
		}
	}
	return ErrSpecialty
}

// rows returns the slots that a visit of that length takes of each practitioner
// whose slots are named: their first one is enough, and more of them are all
// that it takes.
func (h *Handler) rows(ctx context.Context, named []domain.SlotID, length time.Duration) ([]domain.SlotID, error) {
	var slots []domain.SlotID
	for _, row := range byPractitioner(named) {
		first, err := h.openedSlot(ctx, row[0])
		if err != nil {
			return nil, err
		}
		taken, err := h.following(ctx, first, length)
		if err != nil {
			return nil, err
		}
		if len(row) > 1 && !slices.Equal(row, taken) {
			return nil, ErrNoRoom
		}
		slots = append(slots, taken...)
	}
	return slots, nil
}

// byPractitioner returns the slots of each practitioner, in the order in which
// they are named.
func byPractitioner(named []domain.SlotID) [][]domain.SlotID {
	if len(named) == 1 {
		return [][]domain.SlotID{named}
	}
	var rows [][]domain.SlotID
	var whose []domain.PractitionerID
	for _, id := range named {
		of, _, _ := schedule.DayOfSlot(id) // what is no slot is found out when it is looked up
		i := slices.Index(whose, of)
		if i < 0 {
			i, whose, rows = len(rows), append(whose, of), append(rows, nil)
		}
		rows[i] = append(rows[i], id)
	}
	return rows
}

// following returns the slots of a practitioner that a visit of that length takes
// when it begins with the first: one after the other, without a gap.
func (h *Handler) following(ctx context.Context, first opened, length time.Duration) ([]domain.SlotID, error) {
	slots := []domain.SlotID{first.terms.Slot}
	until := first.terms.Start.Add(length)
	for end := first.terms.End; end.Before(until); {
		id, err := h.SlotAt(ctx, first.terms.Practitioner, end)
		if err != nil {
			return nil, noRoom(err)
		}
		next, err := h.openedSlot(ctx, id)
		if err != nil {
			return nil, err
		}
		if next.terms.Clinic != first.terms.Clinic {
			return nil, ErrNoRoom
		}
		slots, end = append(slots, id), next.terms.End
	}
	return slots, nil
}

// between returns when the patient is seen: without the buffers that the visit
// type keeps free before and after it.
func (w wish) between(t visittype.Terms) domain.Period {
	var p domain.Period
	for i, id := range w.visit.Slots {
		o := w.opened[id].terms
		if i > 0 && w.opened[w.visit.Slots[i-1]].terms.Practitioner == o.Practitioner {
			continue // the row goes on
		}
		start := o.Start.Add(time.Duration(t.BufferBefore) * time.Minute)
		p = spanning(p, domain.Period{Start: start, End: start.Add(time.Duration(t.Duration) * time.Minute)})
	}
	return p
}

func noRoom(err error) error {
	if errors.Is(err, schedule.ErrSlotGone) {
		return ErrNoRoom
	}
	return err
}

// addSlots adds the slots' terms and the time that they span.
func (h *Handler) addSlots(ctx context.Context, w *wish, slots []domain.SlotID) error {
	ends := map[domain.PractitionerID]time.Time{}
	for _, id := range slots {
		o, err := h.openedSlot(ctx, id)
		if err != nil {
			return err
		}
		if _, twice := w.opened[id]; twice || o.terms.Clinic != w.visit.Clinic {
			return ErrNoSlots
		}
		if end, more := ends[o.terms.Practitioner]; more && !end.Equal(o.terms.Start) {
			return ErrGap
		}
		ends[o.terms.Practitioner], w.opened[id] = o.terms.End, o
		w.visit.Period = spanning(w.visit.Period, o.terms.Period)
	}
	w.visit.Slots = slots
	return nil
}

// spanning returns the period from the earlier start to the later end.
func spanning(p, q domain.Period) domain.Period {
	if p.Start.IsZero() || q.Start.Before(p.Start) {
		p.Start = q.Start
	}
	if q.End.After(p.End) {
		p.End = q.End
	}
	return p
}

// uses returns the rooms and devices that are wanted: those that are named, or
// those of the visit that the booking follows, as far from its start as before.
func (b Booking) uses(at domain.Period) []Use {
	if b.follows == nil {
		return b.Uses
	}
	uses := make([]Use, len(b.follows.Uses))
	for i, u := range b.follows.Uses {
		uses[i].Resource = domain.ResourceID(u.ID)
		if !u.Period.Equal(b.follows.Period) {
			by := at.Start.Sub(b.follows.Start)
			uses[i].Period = domain.Period{Start: u.Start.Add(by), End: u.End.Add(by)}
		}
	}
	return uses
}

// use adds a room or a device for a part of the visit; named twice it is used
// once.
func (w *wish) use(u appointment.Use) {
	if !slices.ContainsFunc(w.visit.Uses, func(v appointment.Use) bool { return v.Kind == u.Kind && v.ID == u.ID && v.Period.Equal(u.Period) }) {
		w.visit.Uses = append(w.visit.Uses, u)
	}
}

// addUses adds rooms and devices; each is claimed for its own part of the whole
// time of the slots.
func (h *Handler) addUses(ctx context.Context, w *wish, uses []Use, whole domain.Period) error {
	for _, u := range uses {
		state, check, err := profile(ctx, h, resource.Stream(u.Resource), resource.Evolve, resource.ErrNotFound)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(w.checks, func(c Write) bool { return c.Stream == check.Stream }) {
			w.checks = append(w.checks, check)
		}
		switch {
		case state.Retired:
			return resource.ErrRetired
		case state.Clinic != w.visit.Clinic:
			return ErrElsewhere
		}
		if u.Period.Start.IsZero() {
			u.Period = w.visit.Period
		}
		switch {
		case !u.Period.Start.Before(u.Period.End):
			return domain.ErrBadPeriod
		case !whole.Contains(u.Period):
			return ErrUseTime
		}
		w.use(appointment.Use{Kind: state.Kind, ID: string(u.Resource), Period: u.Period})
	}
	slices.SortFunc(w.visit.Uses, func(a, b appointment.Use) int { return cmp.Compare(a.Kind+a.ID, b.Kind+b.ID) })
	return nil
}
