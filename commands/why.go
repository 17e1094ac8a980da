package commands

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/domain/visittype"
)

// Question is an instant that somebody would like to book.
type Question struct {
	Practitioner domain.PractitionerID
	At           time.Time
	VisitType    domain.VisitTypeID // "" = none
	Patient      domain.PatientID   // "" = nobody yet
}

// Explanation says why an instant cannot be booked.
type Explanation struct {
	Slot     domain.SlotID   // that starts at the instant; "" when none does
	Clinic   domain.ClinicID // of the slot, else of the first schedule; "" when there is none
	Reasons  []Reason        // the refusal of a booking first, then what would refuse it besides; none = it can be booked
	Earliest time.Time       // the policy books nothing before
	Latest   time.Time       // the policy books nothing after; zero = any
}

// Reason is one rule that stands in the way.
type Reason struct {
	Refusal *domain.Error
	Clinic  domain.ClinicID  // whose schedule it is about; "" where it is about none
	Until   time.Time        // when what stands in the way lapses if nobody confirms it; else zero
	Fact    *domain.Recorded // the event behind it; nil where there is none, such as the time of day
}

// The reasons why a schedule has no slot at an instant. They refuse nothing by
// themselves: a booking there is refused with [schedule.ErrSlotGone].
var (
	WhyNotOpen = domain.Refusal(domain.NotFound, "schedule.not-open", "the day lies beyond the horizon of the schedule, or is about to be opened")
	WhyOutside = domain.Refusal(domain.NotFound, "schedule.outside-hours", "the schedule has no hours at that time")
	WhyBreak   = domain.Refusal(domain.NotFound, "schedule.in-break", "the practitioner has a break at that time")
	WhyDayOff  = domain.Refusal(domain.NotFound, "schedule.day-off", "the practitioner has that day off")
	WhyClosed  = domain.Refusal(domain.NotFound, "schedule.clinic-closed", "the clinic is closed at that time")
	WhyBlocked = domain.Refusal(domain.NotFound, "schedule.time-blocked", "the practitioner's time is blocked")
	WhyLost    = domain.Refusal(domain.NotFound, "schedule.other-schedule", "another schedule of the practitioner has that time")
	WhyWaiting = domain.Refusal(domain.NotFound, "schedule.waiting", "an appointment of an earlier schedule still has that time")
	WhyNoStart = domain.Refusal(domain.NotFound, "schedule.no-start", "the practitioner works at that time, but no slot starts there")
)

// WhyNoSlots returns every reason why a schedule has no slot at an instant.
func WhyNoSlots() []*domain.Error {
	return []*domain.Error{
		schedule.ErrNotFound, WhyNotOpen, WhyOutside, WhyBreak, WhyDayOff, WhyClosed, WhyBlocked, WhyLost, WhyWaiting, WhyNoStart,
	}
}

// Why explains why an instant cannot be booked. It decides the booking for real,
// as a dry run, and then asks every other rule, too.
//
// Errors: [practitioner.ErrNotFound], [patient.ErrNotFound],
// [visittype.ErrNotFound].
func (h *Handler) Why(ctx context.Context, q Question) (Explanation, error) {
	if err := h.named(ctx, q); err != nil {
		return Explanation{}, err
	}
	id, err := h.SlotAt(ctx, q.Practitioner, q.At)
	if errors.Is(err, schedule.ErrSlotGone) {
		return h.whyNoSlot(ctx, q)
	}
	if err != nil {
		return Explanation{}, err
	}
	o, err := h.openedSlot(ctx, id)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{Slot: id, Clinic: o.terms.Clinic}
	if e.Reasons, err = h.whyNot(ctx, q, id); err != nil {
		return e, err
	}
	if slices.ContainsFunc(e.Reasons, func(r Reason) bool { return r.Refusal.Is(slot.ErrWithdrawn) }) {
		closed, err := h.closedBy(ctx, q)
		if err != nil {
			return e, err
		}
		e.Reasons = append(e.Reasons, closed...)
	}
	return h.bounded(ctx, q, e)
}

// closedBy returns what the schedule says against a slot that it has withdrawn.
func (h *Handler) closedBy(ctx context.Context, q Question) ([]Reason, error) {
	g, err := h.gapAt(ctx, q)
	if err != nil {
		return nil, err
	}
	reasons, err := g.reasons()
	return slices.DeleteFunc(reasons, func(r Reason) bool {
		return !slices.Contains([]*domain.Error{WhyBlocked, WhyClosed, WhyDayOff, WhyBreak, WhyOutside, WhyWaiting}, r.Refusal)
	}), err
}

// named sees to it that those whom a question names exist.
func (h *Handler) named(ctx context.Context, q Question) error {
	known := []knownBy{{practitioner.Stream(q.Practitioner), practitioner.ErrNotFound}}
	if q.Patient != "" {
		known = append(known, knownBy{patient.Stream(q.Patient), patient.ErrNotFound})
	}
	if q.VisitType != "" {
		known = append(known, knownBy{visittype.Stream(q.VisitType), visittype.ErrNotFound})
	}
	names := make([]domain.StreamName, len(known))
	for i, k := range known {
		names[i] = k.stream
	}
	loaded, err := h.Store.Load(ctx, names...)
	if err != nil {
		return err
	}
	for _, k := range known {
		if len(loaded[k.stream]) == 0 {
			return k.missing
		}
	}
	return nil
}

// bounded adds between which instants the policy books at all.
func (h *Handler) bounded(ctx context.Context, q Question, e Explanation) (Explanation, error) {
	now := h.now()
	e.Earliest = now
	if e.Clinic == "" {
		return e, nil
	}
	terms, err := h.EffectivePolicy(ctx, e.Clinic, q.Practitioner, q.VisitType)
	e.Earliest = now.Add(terms.MinNotice)
	if terms.Horizon > 0 {
		e.Latest = now.Add(terms.Horizon)
	}
	return e, err
}

// MayBook decides the booking of a slot for real, as a dry run. Errors: those of
// [Handler.Book].
func (h *Handler) MayBook(ctx context.Context, q Question, id domain.SlotID) error {
	_, err := h.Book(ctx, Request{Command: h.NewID(), Actor: system, DryRun: true}, h.wished(q, id))
	return err
}

func (h *Handler) wished(q Question, id domain.SlotID) Booking {
	return Booking{Appointment: domain.AppointmentID(h.NewID()), Slots: []domain.SlotID{id}, VisitType: q.VisitType, Patient: q.Patient}
}

// whyNot returns why a slot that is there cannot be booked.
func (h *Handler) whyNot(ctx context.Context, q Question, id domain.SlotID) ([]Reason, error) {
	refusal := h.MayBook(ctx, q, id)
	rule := domain.RuleOf(refusal)
	if refusal == nil {
		return nil, nil
	}
	if rule == nil || !refusesDate(rule.Kind) {
		return nil, refusal
	}
	reasons, err := again(ctx, h, func(ctx context.Context) ([]Reason, error) { return h.objections(ctx, q, id) })
	if err != nil {
		return nil, err
	}
	first := slices.IndexFunc(reasons, func(r Reason) bool { return r.Refusal.Is(rule) })
	if first < 0 {
		return append([]Reason{{Refusal: rule}}, reasons...), nil // it has ended meanwhile
	}
	decided := reasons[first]
	return append([]Reason{decided}, slices.Delete(reasons, first, first+1)...), nil
}

// objections asks each rule on its own, where a booking stops at the first.
func (h *Handler) objections(ctx context.Context, q Question, id domain.SlotID) ([]Reason, error) {
	reader, _ := h.rehearse() // nothing of it is stored
	b := h.wished(q, id)
	p, err := reader.planBooking(ctx, b)
	if err != nil {
		return reader.explained(ctx, q, nil, err)
	}
	a := &attempt{proposal: p, id: b.Appointment, req: Request{Command: h.NewID(), Actor: system}}
	if err := reader.loadAll(ctx, a); err != nil {
		return reader.explained(ctx, q, a, err)
	}
	refusals := []error{p.refusal}
	if other := p.wish.refusal(b.By); !errors.Is(p.refusal, other) {
		refusals = append(refusals, other)
	}
	if a.merged {
		refusals = append(refusals, patient.ErrMerged)
	}
	streams := a.streams() // before propose, which may refuse
	refusals = append(refusals, reader.propose(a))
	a.set = 1 // the first of a new appointment, also when it may not be proposed
	if err := reader.loadMore(ctx, a, streams); err != nil {
		return nil, err
	}
	for _, stream := range streams {
		_, err := reader.claim(ctx, a.req, a.arbiter(stream), a.loaded[stream])
		refusals = append(refusals, err)
	}
	return reader.explained(ctx, q, a, refusals...)
}

// explained turns refusals into reasons. What is no refusal of the booking is
// returned as an error.
func (h *Handler) explained(ctx context.Context, q Question, a *attempt, refusals ...error) ([]Reason, error) {
	var reasons []Reason
	for _, err := range refusals {
		rule := domain.RuleOf(err)
		switch {
		case err == nil:
			continue
		case rule == nil || !refusesDate(rule.Kind):
			return nil, err
		}
		r := Reason{Refusal: rule}
		if conflict, ok := errors.AsType[*Conflict](err); ok {
			r.Until, r.Fact = conflict.Until, inTheWay(a.loaded[conflict.Stream], err)
		} else if r.Fact, err = h.behind(ctx, q, a, rule); err != nil {
			return nil, err
		}
		reasons = append(reasons, r)
	}
	return reasons, nil
}

// inTheWay returns the latest event of an arbiter's stream that made it refuse.
func inTheWay(recorded []domain.Recorded, err error) *domain.Recorded {
	taken, _ := errors.AsType[*claim.Taken](err)
	return latest(recorded, func(e domain.Event) bool {
		if _, withdrawn := e.(slot.Withdrawn); taken == nil {
			return withdrawn
		}
		c, ok := claimOf(e)
		return ok && slices.Contains(taken.By, c)
	})
}

// claimOf returns the claim that an event of an arbiter took.
func claimOf(e domain.Event) (claim.Claim, bool) {
	switch e := e.(type) {
	case slot.Held:
		return e.Claim, true
	case slot.Booked:
		return e.Claim, true
	case occupancy.Held:
		return e.Claim, true
	case occupancy.Booked:
		return e.Claim, true
	case quota.Booked:
		return e.Claim, true
	}
	return claim.Claim{}, false
}

// latest returns the latest event that is wanted, nil when none is.
func latest(recorded []domain.Recorded, wanted func(domain.Event) bool) *domain.Recorded {
	for _, r := range slices.Backward(recorded) {
		if wanted(r.Event) {
			return &r
		}
	}
	return nil
}

// behind returns the event behind a refusal that is no arbiter's.
func (h *Handler) behind(ctx context.Context, q Question, a *attempt, rule *domain.Error) (*domain.Recorded, error) {
	stream, wanted := domain.StreamName(""), func(domain.Event) bool { return true }
	switch rule.Rule {
	case ErrNotice.Rule, ErrHorizon.Rule:
		var err error
		if stream, err = h.sourceOf(ctx, q, a.visit.Clinic, rule); err != nil {
			return nil, err
		}
	case visittype.ErrRetired.Rule:
		stream = visittype.Stream(q.VisitType)
	case patient.ErrMerged.Rule:
		stream = patient.Stream(q.Patient)
		wanted = func(e domain.Event) bool { _, merged := e.(patient.Merged); return merged }
	}
	if stream == "" {
		return nil, nil //nolint:nilnil // not every rule has an event behind it
	}
	loaded, err := h.Store.Load(ctx, stream)
	return latest(loaded[stream], wanted), err
}

// sourceOf returns the stream of the policy that says how early or late one
// books.
func (h *Handler) sourceOf(ctx context.Context, q Question, at domain.ClinicID, rule *domain.Error) (domain.StreamName, error) {
	terms, err := h.EffectivePolicy(ctx, at, q.Practitioner, q.VisitType)
	field := "minNotice"
	if rule.Is(ErrHorizon) {
		field = "horizon"
	}
	for _, s := range scopesOf(at, q.Practitioner, q.VisitType) {
		if s.Kind == terms.Sources[field] {
			return policy.Scope{Kind: s.Kind, ID: s.ID}.Stream(), err
		}
	}
	return "", err
}

// whyNoSlot returns why no slot starts at an instant.
func (h *Handler) whyNoSlot(ctx context.Context, q Question) (Explanation, error) {
	g, err := h.gapAt(ctx, q)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{Reasons: []Reason{{Refusal: schedule.ErrSlotGone}}}
	if !g.at.After(g.now) {
		e.Reasons = append(e.Reasons, Reason{Refusal: appointment.ErrPast})
	}
	if len(g.state.Patterns) == 0 {
		e.Reasons = append(e.Reasons, Reason{Refusal: schedule.ErrNotFound})
		return h.bounded(ctx, q, e)
	}
	e.Clinic = g.state.Patterns[0].Clinic
	reasons, err := g.reasons()
	if err != nil {
		return e, err
	}
	e.Reasons = append(e.Reasons, reasons...)
	return h.bounded(ctx, q, e)
}

func (h *Handler) gapAt(ctx context.Context, q Question) (gap, error) {
	own, day := schedule.Stream(q.Practitioner), schedule.DayStream(q.Practitioner, domain.DayOf(q.At))
	loaded, err := h.Store.Load(ctx, own, day)
	return gap{
		at: q.At, now: h.Now(), recorded: loaded[own], opened: loaded[day],
		state: domain.Replay(schedule.Evolve, schedule.State{}, loaded[own]), day: dayOf(loaded, q.Practitioner, domain.DayOf(q.At)),
	}, err
}

// gap is an instant at which a schedule has no slot.
type gap struct {
	at, now  time.Time
	state    schedule.State
	recorded []domain.Recorded // the schedule's events
	day      schedule.Day
	opened   []domain.Recorded // the day's events
}

// reasons returns the blocks at the instant, and for each clinic what its
// schedule says; where another schedule or an appointment has the time, that.
func (g gap) reasons() ([]Reason, error) {
	var all []Reason
	for _, b := range g.state.Blocks {
		if !b.Lifted && b.Holds(g.at) {
			all = append(all, Reason{Refusal: WhyBlocked, Fact: latest(g.recorded, func(e domain.Event) bool {
				blocked, ok := e.(schedule.Blocked)
				return ok && blocked.ID == b.ID
			})})
		}
	}
	blocked := len(all) > 0
	wants, err := g.state.Wanted(domain.DayOf(g.at), 1, g.now)
	if err != nil {
		return nil, err
	}
	for _, p := range g.state.Patterns {
		mine := func(w schedule.Want) bool { return w.Clinic == p.Clinic && w.Start.Equal(g.at) }
		r := Reason{Refusal: WhyWaiting, Fact: latest(g.opened, func(domain.Event) bool { return true })}
		switch {
		case slices.ContainsFunc(g.day.Waiting, mine):
		case slices.ContainsFunc(wants[0].Overlaps, mine):
			r = Reason{Refusal: WhyLost, Fact: g.setBy(p.Clinic)}
		default:
			if r, err = g.unwanted(p); err != nil {
				return nil, err
			}
		}
		if r.Clinic = p.Clinic; r.Refusal != WhyNoStart || !blocked && g.at.After(g.now) {
			all = append(all, r)
		}
	}
	return all, nil
}

// unwanted returns why a clinic's schedule wants no slot at the instant.
func (g gap) unwanted(p schedule.Pattern) (Reason, error) {
	said, date, err := g.state.At(p.Clinic, g.at, g.now)
	if err != nil {
		return Reason{}, err
	}
	r := Reason{Refusal: whyUnwanted(said), Fact: g.setBy(p.Clinic)}
	if set := g.exceptionOn(date, p.Clinic); set != nil {
		r.Fact = set
	}
	if said == schedule.Closed {
		r.Fact = latest(g.recorded, func(e domain.Event) bool {
			adopted, ok := e.(schedule.ClinicAdopted)
			return ok && adopted.Clinic == p.Clinic
		})
	}
	return r, nil
}

// whyUnwanted returns the reason that follows from what a schedule says of an
// instant without a slot: one that is wanted is about to be opened.
func whyUnwanted(said schedule.Said) *domain.Error {
	switch said {
	case schedule.Starts, schedule.OutOfReach:
		return WhyNotOpen
	case schedule.NoneStarts:
		return WhyNoStart
	case schedule.InBreak:
		return WhyBreak
	case schedule.OffDay:
		return WhyDayOff
	case schedule.Closed:
		return WhyClosed
	case schedule.OutOfHours:
	}
	return WhyOutside
}

// setBy returns the event that set a clinic's pattern.
func (g gap) setBy(clinic domain.ClinicID) *domain.Recorded {
	return latest(g.recorded, func(e domain.Event) bool {
		set, ok := e.(schedule.WasSet)
		return ok && set.Clinic == clinic
	})
}

// exceptionOn returns the event that made a date different at a clinic, nil
// when it is like others. A day off of all clinics counts first.
func (g gap) exceptionOn(date domain.Day, clinic domain.ClinicID) *domain.Recorded {
	for _, at := range []domain.ClinicID{"", clinic} {
		said := latest(g.recorded, func(e domain.Event) bool {
			switch e := e.(type) {
			case schedule.ExceptionSet:
				return e.Date == date && e.Clinic == at
			case schedule.ExceptionRemoved:
				return e.Date == date && e.Clinic == at
			}
			return false
		})
		if said == nil {
			continue
		}
		if _, set := said.Event.(schedule.ExceptionSet); set {
			return said
		}
	}
	return nil
}
