package appointment

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
)

// Initiator is who cancels or moves an appointment.
type Initiator string

// The initiators.
const (
	ByPatient      Initiator = "patient"
	ByPractitioner Initiator = "practitioner"
	ByClinic       Initiator = "clinic"
)

// Check returns [ErrBadInitiator] for anybody else.
func (i Initiator) Check() error {
	if i != ByPatient && i != ByPractitioner && i != ByClinic {
		return ErrBadInitiator
	}
	return nil
}

// Code says why in a way that can be counted.
type Code string

// The codes of a cancellation; "" says nothing.
const (
	NoLongerNeeded     Code = "no-longer-needed"
	PatientUnavailable Code = "patient-unavailable"
	StaffUnavailable   Code = "practitioner-unavailable"
	Displaced          Code = "displaced"
	ByMistake          Code = "mistake"
	OtherReason        Code = "other"
)

// Moved is the code of an offer that ended because its appointment was rescheduled
// otherwise.
const Moved Code = "moved"

func codes() []Code {
	return []Code{"", NoLongerNeeded, PatientUnavailable, StaffUnavailable, Displaced, ByMistake, OtherReason}
}

// Automatic is the actor of what comes about by itself, such as a no-show that
// nobody has noted.
const Automatic = "system"

// earliest is how long before its start a visit's patient may be recorded as
// having come.
const earliest = 12 * time.Hour

// ahead is how far the clock of whoever notes something may be ahead.
const ahead = time.Minute

type (
	// Arrive says that the patient is there.
	Arrive struct {
		At  time.Time
		Now time.Time // when it is noted
		By  string
	}
	// CheckIn begins the visit.
	CheckIn struct {
		At  time.Time
		Now time.Time // when it is noted
		By  string
	}
	// Fulfil ends the visit.
	Fulfil struct {
		At  time.Time
		Now time.Time // when it is noted
		By  string
	}
	// Miss says that the patient did not come.
	Miss struct {
		At time.Time
		By string
	}
	// GiveUp says of a booked set that its patient has not come by the time by
	// which the policy wanted it, without anybody having said so.
	GiveUp struct {
		Set int
		At  time.Time
	}
	// Cancel ends the appointment. A patient may do so until NotAfter, the clinic
	// also later, with a reason; what the clinic has displaced at any time.
	Cancel struct {
		Initiator Initiator
		Code      Code
		Reason    domain.Sealed
		NotAfter  time.Time // zero = the start of the visit
		Displaced bool      // the clinic has withdrawn its slot: it is never too late
		At        time.Time
		By        string
	}
	// Undo takes the last change of status back: whoever made it may, within the
	// grace period; and anybody, if it came about by itself. A cancellation is undone by the protocol instead, which has to
	// claim everything again; see [State.MayUndo].
	Undo struct {
		At    time.Time
		By    string
		Grace time.Duration
	}
)

func (Arrive) command()  {}
func (CheckIn) command() {}
func (Fulfil) command()  {}
func (Miss) command()    {}
func (GiveUp) command()  {}
func (Cancel) command()  {}
func (Undo) command()    {}

// The refusals of an appointment's life.
var (
	ErrBadInitiator = domain.Refusal(domain.Invalid, "appointment.initiator", "the initiator is patient, practitioner or clinic")
	ErrBadCode      = domain.Refusal(domain.Invalid, "appointment.code", "the code of a cancellation is one of those that the API lists")
	ErrStatus       = domain.Refusal(domain.Conflict, "appointment.status", "the appointment's status does not allow this")
	ErrOrder        = domain.Refusal(domain.Invalid, "appointment.order", "a patient comes, goes in and is done in this order")
	ErrFuture       = domain.Refusal(domain.Refused, "appointment.future", "what happens is noted when it has happened, not before")
	ErrHeld         = domain.Refusal(domain.Forbidden, "hold.not-yours", "what is on hold is given back by whoever has its token, or by staff")
	ErrTooEarly     = domain.Refusal(domain.Refused, "appointment.too-early", "the visit is too far away for this")
	ErrCancelLate   = domain.Refusal(domain.Refused, "appointment.cancel-late", "it is too late for the patient to cancel; the clinic can, with a reason")
	ErrNoReason     = domain.Refusal(domain.Refused, "appointment.reason", "so shortly before the start the clinic cancels with a reason, or moves with a note")
	ErrMoveLate     = domain.Refusal(domain.Refused, "appointment.reschedule-late", "it is too late for the patient to reschedule; the clinic can, with a reason")
	ErrMoves        = domain.Refusal(domain.Refused, "appointment.reschedules", "the appointment has been rescheduled as often as its patient may")
	ErrNoChange     = domain.Refusal(domain.Conflict, "undo.nothing", "there is nothing to undo")
	ErrApproved     = domain.Refusal(domain.Conflict, "undo.approved", "an approval is not undone: people rely on it; cancel the appointment, or move it")
	ErrNotYours     = domain.Refusal(domain.Forbidden, "undo.not-yours", "only whoever made the last change can undo it")
	ErrUndoLate     = domain.Refusal(domain.Refused, "undo.late", "it is too late to undo the last change")
)

func (s State) errStatus(wanted ...Status) error {
	if s.Status == "" {
		return ErrNotFound
	}
	text := "the appointment is " + string(s.Status) + ", not " + string(wanted[0])
	for _, w := range wanted[1:] {
		text += " or " + string(w)
	}
	return ErrStatus.Because(text)
}

func arrive(s State, c Arrive) ([]Event, error) {
	visit, n := s.Current()
	switch {
	case s.Status == Arrived:
		return nil, nil
	case s.Status != Booked:
		return nil, s.errStatus(Booked)
	case c.At.After(c.Now.Add(ahead)):
		return nil, ErrFuture
	case c.At.Before(visit.Start.Add(-earliest)):
		return nil, ErrTooEarly.Because("a patient arrives at most 12 hours before the visit")
	}
	return []Event{HasArrived{visit.Visit, n, c.At, c.By}}, nil
}

func checkIn(s State, c CheckIn) ([]Event, error) {
	if s.Status == CheckedIn {
		return nil, nil
	}
	if s.Status != Arrived {
		return nil, s.errStatus(Arrived)
	}
	if c.At.After(c.Now.Add(ahead)) {
		return nil, ErrFuture
	}
	if c.At.Before(s.Arrived) {
		return nil, ErrOrder
	}
	visit, n := s.Current()
	return []Event{WasCheckedIn{visit.Visit, n, c.At, c.By}}, nil
}

func fulfil(s State, c Fulfil) ([]Event, error) {
	if s.Status == Fulfilled {
		return nil, nil
	}
	if s.Status != CheckedIn {
		return nil, s.errStatus(CheckedIn)
	}
	if c.At.After(c.Now.Add(ahead)) {
		return nil, ErrFuture
	}
	if c.At.Before(s.Started) {
		return nil, ErrOrder
	}
	visit, n := s.Current()
	return []Event{WasFulfilled{visit.Visit, n, c.At, c.By}}, nil
}

func miss(s State, c Miss) ([]Event, error) {
	visit, n := s.Current()
	switch {
	case s.Status == NoShow:
		return nil, nil
	case s.Status != Booked:
		return nil, s.errStatus(Booked)
	case c.At.Before(visit.Start):
		return nil, ErrTooEarly.Because("nobody has missed a visit that has not started")
	}
	return []Event{WasMissed{visit.Visit, n, c.At, c.By}}, nil
}

// giveUp notes a no-show that is overdue. Who is in the building is given up by
// nobody, and neither is a visit that was moved meanwhile.
func giveUp(s State, c GiveUp) ([]Event, error) {
	visit, n := s.Current()
	switch {
	case s.Status == NoShow:
		return nil, nil
	case s.Status != Booked:
		return nil, s.errStatus(Booked)
	case n != c.Set || visit.MissedAt.IsZero() || c.At.Before(visit.MissedAt):
		return nil, ErrNotDue.Because("nobody has to be given up on at this time")
	}
	return []Event{WasMissed{visit.Visit, n, c.At, Automatic}}, nil
}

// cancel ends also what was refused or lapsed already: a late repeat of the
// booking must not revive what somebody was told is cancelled. Only what is
// booked can be too late to cancel: what is requested may be taken back for as
// long as nobody has approved it.
func cancel(s State, c Cancel) ([]Event, error) {
	visit, n := s.Current()
	if c.NotAfter.IsZero() {
		c.NotAfter = visit.Start
	}
	late := s.live() > 0 && !c.Displaced && c.At.After(c.NotAfter)
	_, waiting := s.Waiting()
	switch {
	case s.Status == "":
		return nil, ErrNotFound
	case c.Initiator.Check() != nil:
		return nil, ErrBadInitiator
	case !slices.Contains(codes(), c.Code):
		return nil, ErrBadCode
	case s.Status == Cancelled && s.Decided:
		return nil, nil // cancelled is cancelled, whoever asks again
	case waiting > 0:
		return nil, ErrChanging
	case c.Initiator == ByPatient && s.onHold(c.At):
		return nil, ErrHeld
	case s.Status == CheckedIn || s.Status == Fulfilled || s.Status == NoShow:
		return nil, s.errStatus(Booked, Arrived)
	case late && c.Initiator == ByPatient:
		return nil, ErrCancelLate
	case late && c.Code == "" && c.Reason.IsZero():
		return nil, ErrNoReason
	}
	return []Event{WasCancelled{visit.Visit, n, c.Initiator, c.Code, c.Reason, c.At, c.By}}, nil
}

// onHold reports whether a frontend keeps the appointment for somebody, also
// while that is about to be booked.
func (s State) onHold(at time.Time) bool {
	held, n := s.held()
	return n > 0 && held.Fate == claim.Pending && at.Before(held.Deadline) && s.live() == 0
}

// MayUndo returns why the last change of status cannot be undone, or nil.
func (s State) MayUndo(c Undo) error {
	current, _ := s.Current()
	switch {
	case s.Status == "":
		return ErrNotFound
	case s.Status == Booked && s.Change == Change{} && current.Phase == OnRequest:
		return ErrApproved
	case s.Change.From == "":
		return ErrNoChange // also of a hold that was given back
	case s.Change.By != c.By && s.Change.By != Automatic:
		return ErrNotYours
	case c.At.After(s.Change.At.Add(c.Grace)):
		return ErrUndoLate
	}
	return nil
}

func undo(s State, c Undo) ([]Event, error) {
	if s.Change.Undone {
		return nil, nil
	}
	if err := s.MayUndo(c); err != nil {
		return nil, err
	}
	if s.Status == Cancelled {
		return nil, ErrNoChange
	}
	visit, n := s.Current()
	return []Event{WasReverted{visit.Visit, n, s.Change.From, c.At, c.By}}, nil
}

// Moving is a wish to reschedule. A patient may until NotAfter and so often, the
// clinic also later, with a reason; what the clinic has displaced is moved at any
// time, and however often.
type Moving struct {
	By        Initiator
	At        time.Time
	NotAfter  time.Time
	Limit     int  // of the patient's own moves; 0 = any number
	Reasoned  bool // it comes with a reason
	Displaced bool // the clinic has withdrawn its slot
}

// MayMove returns why the appointment may not be rescheduled, or nil.
func (s State) MayMove(m Moving) error {
	late := !m.Displaced && m.At.After(m.NotAfter)
	switch {
	case s.Status != Booked:
		return s.errStatus(Booked)
	case m.By.Check() != nil:
		return ErrBadInitiator
	case late && m.By == ByPatient:
		return ErrMoveLate
	case late && !m.Reasoned:
		return ErrNoReason
	case m.Limit > 0 && s.OwnMoves >= m.Limit && m.By == ByPatient && !m.Displaced:
		return ErrMoves
	}
	return nil
}
