package commands

import (
	"context"
	"slices"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/schedule"
)

// MaxAbsent is how many appointments one absence reaches.
const MaxAbsent = 500

// Absence is a period in which a practitioner sees nobody.
type Absence struct {
	Practitioner domain.PractitionerID
	domain.Period
	Code     appointment.Code
	Reason   string // of the cancellations, sealed for each patient; "" = none
	Displace bool   // leave the appointments displaced, to be moved one by one; else they are cancelled

	// Appointments are those of the practitioner in the period, as far as the
	// caller knows; those that it does not know yet are found on the way.
	Appointments []domain.AppointmentID
	Earlier      []domain.AppointmentID // those cancelled already, by an earlier run of the same command perhaps

	displaced []domain.AppointmentID // by the block
}

// Outcome is what an absence did to an appointment.
type Outcome string

// The outcomes.
const (
	OutcomeCancelled Outcome = "cancelled"
	OutcomeDisplaced Outcome = "displaced"
	OutcomeRefused   Outcome = "refused"
)

// Absent is an appointment that an absence reached.
type Absent struct {
	Appointment appointment.Visit
	Outcome     Outcome
	Refusal     *domain.Error // of what was refused; nil where a fault ended the run
}

// Absences reports what an absence did. A run that could not do everything is
// finished by a repeat of the same command.
type Absences struct {
	Block     string // the block that closes the period
	Withdrawn int    // slots that were closed now
	Visits    []Absent
	Complete  bool // every appointment was looked at; else the last ones are refused by what ended the run
}

// ErrAbsenceLarge refuses an absence that reaches too much.
var ErrAbsenceLarge = domain.Refusal(domain.Refused, "absence.too-many", "one absence reaches at most 500 appointments; split the period")

// Absent closes a period of a practitioner by a block, which withdraws the free
// slots at once, and then cancels each appointment in it, or leaves it
// displaced. Each step is a command of its own under an id that follows from
// the request's: a repeat finishes what was interrupted and does nothing twice.
// A hold is let be: it cannot be renewed for long.
//
// Errors: [domain.ErrBadPeriod], [ErrAbsenceLarge],
// [appointment.ErrBadCode], [practitioner.ErrNotFound], the refusals of a block,
// [ErrStale] for any expected revision, and those of every command.
func (h *Handler) Absent(ctx context.Context, req Request, c Absence) (Answer[Absences], error) {
	if err := c.check(req); err != nil {
		return Answer[Absences]{}, err
	}
	return execute(h, req, func(h *Handler, req Request) (Answer[Absences], error) {
		done := Answer[Absences]{Revision: domain.NoStream}
		var err error
		if c.displaced, err = h.close(ctx, req, c, &done); err != nil {
			return done, err
		}
		h.absentAll(ctx, req, c, &done)
		return done, nil
	})
}

func (c Absence) check(req Request) error {
	switch {
	case req.Expected != nil:
		return ErrStale // there is no revision of a period
	case !c.Start.Before(c.End):
		return domain.ErrBadPeriod
	case c.Code == "":
		return appointment.ErrBadCode.Because("an absence has a code")
	case len(c.Appointments) > MaxAbsent:
		return ErrAbsenceLarge
	}
	_, err := appointment.Decide(appointment.State{Status: appointment.Booked}, c.cancellation()) // of any visit: does it make sense?
	return err
}

func (c Absence) cancellation() appointment.Cancel {
	return appointment.Cancel{Initiator: appointment.ByPractitioner, Code: c.Code}
}

// of returns the request of one step.
func (c Absence) of(req Request, step string) Request {
	return Request{Command: domain.NewID(req.Command, "absence", step), Hash: req.Hash, Actor: req.Actor, Correlation: req.Correlation, Causation: req.Causation}
}

// close blocks the period. It returns the appointments that had the slots.
func (h *Handler) close(ctx context.Context, req Request, c Absence, done *Answer[Absences]) ([]domain.AppointmentID, error) {
	step := c.of(req, "block")
	b := schedule.Block{ID: step.Command, Period: c.Period, Reason: string(c.Code)}
	answer, opening, err := h.Block(ctx, step, schedule.BlockTime{Practitioner: c.Practitioner, Block: b})
	done.State.Block, done.State.Withdrawn, done.Position, done.Replayed = b.ID, len(opening.Withdrawn), answer.Position, answer.Replayed
	return opening.Displaced, err
}

// absentAll goes through the appointments. What refuses one lets the others go
// on; a fault ends the run, and every appointment that is left says so.
func (h *Handler) absentAll(ctx context.Context, req Request, c Absence, done *Answer[Absences]) {
	var ended error
	for _, id := range c.all() {
		visit := appointment.Visit{Appointment: id}
		outcome, err := OutcomeRefused, ended
		if ended == nil {
			visit, outcome, err = h.absent(ctx, req, c, id, done)
		}
		rule := domain.RuleOf(err)
		if err != nil && (rule == nil || rule.Kind == domain.Unavailable || rule.Kind == domain.Internal) {
			ended = err
		}
		if outcome != "" {
			done.State.Visits = append(done.State.Visits, Absent{visit, outcome, rule})
		}
	}
	done.State.Complete = ended == nil
	slices.SortStableFunc(done.State.Visits, func(a, b Absent) int { return a.Appointment.Start.Compare(b.Appointment.Start) })
}

// all returns every appointment that the absence may reach, each once; those
// last that were booked since the caller looked.
func (c Absence) all() []domain.AppointmentID {
	var ids []domain.AppointmentID
	for _, id := range slices.Concat(c.Earlier, c.Appointments, c.displaced) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// absent does what the absence wants of one appointment. The outcome is "" for
// one that has nothing to do with it.
func (h *Handler) absent(
	ctx context.Context, req Request, c Absence, id domain.AppointmentID, done *Answer[Absences],
) (appointment.Visit, Outcome, error) {
	now, err := h.Appointment(ctx, id)
	if err != nil {
		return appointment.Visit{Appointment: id}, OutcomeRefused, err
	}
	current, _ := now.State.Current()
	own, err := h.cancelledBy(ctx, c.of(req, string(id)), id)
	meant := slices.Contains(c.displaced, id)
	if err == nil && !meant {
		meant, err = h.hasPart(ctx, current.Visit, c)
	}
	switch s := now.State.Status; {
	case err != nil:
		return current.Visit, OutcomeRefused, err
	case own:
		return current.Visit, OutcomeCancelled, nil // by an earlier run
	case !meant, s == appointment.Cancelled, s == appointment.Fulfilled, s == appointment.NoShow,
		s == appointment.Proposed, s == appointment.Pending && current.Phase != appointment.OnRequest:
		return current.Visit, "", nil
	case s == appointment.CheckedIn:
		return current.Visit, OutcomeRefused, appointment.ErrStatus
	case !current.Start.After(h.Now()):
		return current.Visit, OutcomeRefused, appointment.ErrPast
	case c.Displace:
		return current.Visit, OutcomeDisplaced, nil
	}
	answer, err := h.Cancel(ctx, c.of(req, string(id)), Cancellation{
		Appointment: id, Initiator: appointment.ByPractitioner, Code: c.Code, Reason: c.Reason,
	})
	if err != nil {
		return current.Visit, OutcomeRefused, err
	}
	done.Position, done.Replayed = max(done.Position, answer.Position), done.Replayed && answer.Replayed
	return current.Visit, OutcomeCancelled, nil
}

// hasPart reports whether a visit takes a slot of the practitioner in the
// period: one of several practitioners may take those of another.
func (h *Handler) hasPart(ctx context.Context, v appointment.Visit, c Absence) (bool, error) {
	for _, id := range v.Slots {
		o, err := h.openedSlot(ctx, id)
		if err != nil {
			return false, err
		}
		if o.terms.Practitioner == c.Practitioner && o.terms.Overlaps(c.Period) {
			return true, nil
		}
	}
	return false, nil
}

// cancelledBy reports whether a step of the same absence has cancelled the
// appointment.
func (h *Handler) cancelledBy(ctx context.Context, step Request, id domain.AppointmentID) (bool, error) {
	recorded, err := h.History(ctx, id)
	if err != nil {
		return false, err
	}
	upTo, err := replay(recorded, step)
	if err != nil || upTo == 0 {
		return false, err
	}
	_, cancelled := recorded[upTo-1].Event.(appointment.WasCancelled)
	return cancelled, nil
}
