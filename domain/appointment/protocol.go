package appointment

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
)

// Purpose says what a proposed set is for.
type Purpose int

// The purposes.
const (
	ToBook     Purpose = iota // the first set, or the next after a refusal or a lapse
	ToComplete                // to book what is on hold, with what the hold did not know
	ToMove                    // to reschedule what is booked
	ToRestore                 // to undo a cancellation
)

type (
	// Propose begins the protocol for the next set.
	Propose struct {
		Visit    Visit
		Claims   []domain.StreamName
		Reason   domain.Sealed
		Deadline time.Time
		At       time.Time
		Policies []string
		Purpose  Purpose
		Series   domain.SeriesID // whose stream decides the set; "" = the appointment's own
	}
	// Commit makes a pending set live. All its claims are held by then.
	// ExpectedAt is the turn in a session, or nil; MissedAt is when a patient who
	// has not come counts as a no-show, zero for never.
	Commit struct {
		Set        int
		At         time.Time
		ExpectedAt *time.Time
		MissedAt   time.Time
		Overbooked bool          // a place was added for it
		By         Initiator     // whose wish it is; "" = the patient's
		Note       domain.Sealed // why it is moved
		Mends      bool          // it is moved because the clinic has withdrawn its slot
	}
	// Refuse ends a pending set whose claims could not all be had.
	Refuse struct {
		Set  int
		Rule string
	}
	// Lapse ends a pending set whose deadline has passed.
	Lapse struct {
		Set int
		At  time.Time
	}
	// Settle notes what a series has decided about the set that waits for it:
	// [claim.Live] or [claim.Dead]; anything else settles nothing.
	Settle struct {
		Set        int
		Fate       claim.Fate
		Rule       string     // that refused the series; "" when it lapsed
		ExpectedAt *time.Time // as in Commit
		MissedAt   time.Time  // as in Commit
	}
	// Hold keeps a proposed set until a deadline. Its claims are taken by then.
	Hold struct {
		Set            int
		Until, Ceiling time.Time
		At             time.Time
		Wish           domain.WishID // for which it is offered; "" = a frontend keeps it
	}
	// Renew makes a hold last until a later instant, not beyond its ceiling.
	Renew struct {
		Until time.Time
		At    time.Time
	}
	// Release gives a hold back.
	Release struct{}
	// EndOffer gives back what is offered for a wish of the waiting list.
	EndOffer struct {
		Set  int
		Code Code // why; "" = the patient declines it
		At   time.Time
	}
	// Request leaves a proposed set for somebody to approve until a deadline.
	Request struct {
		Set   int
		Until time.Time
		At    time.Time
	}
	// Approve books what was requested.
	Approve struct{ At time.Time }
	// Decline refuses what was requested.
	Decline struct {
		Code   string
		Reason domain.Sealed
		By     string
		At     time.Time
	}
)

func (Propose) command()  {}
func (Commit) command()   {}
func (Refuse) command()   {}
func (Lapse) command()    {}
func (Settle) command()   {}
func (Hold) command()     {}
func (Renew) command()    {}
func (Release) command()  {}
func (EndOffer) command() {}
func (Request) command()  {}
func (Approve) command()  {}
func (Decline) command()  {}

// The refusals of the protocol.
var (
	ErrNotFound     = domain.Refusal(domain.NotFound, "appointment.not-found", "there is no such appointment")
	ErrExists       = domain.Refusal(domain.Conflict, "appointment.exists", "an appointment with this id exists already and says something else")
	ErrLapsed       = domain.Refusal(domain.Gone, "appointment.lapsed", "the time to complete the booking has passed")
	ErrNotDue       = domain.Refusal(domain.Conflict, "appointment.not-due", "the deadline of the booking has not passed yet")
	ErrPast         = domain.Refusal(domain.Refused, "appointment.past", "the slot has started already")
	ErrCeiling      = domain.Refusal(domain.Refused, "hold.ceiling", "the hold has been renewed for as long as it may last")
	ErrNotHeld      = domain.Refusal(domain.Conflict, "hold.not-held", "the appointment is not on hold")
	ErrNoOffer      = domain.Refusal(domain.NotFound, "offer.not-found", "there is no such offer")
	ErrOfferTaken   = domain.Refusal(domain.Conflict, "offer.accepted", "the offer was accepted: cancel the appointment instead")
	ErrOfferOver    = domain.Refusal(domain.Gone, "offer.over", "the offer has lapsed, was declined, or is for nothing any more")
	ErrNotRequested = domain.Refusal(domain.Conflict, "appointment.not-requested", "the appointment does not wait for approval")
	ErrChanging     = domain.Refusal(domain.Conflict, "appointment.changing", "another change of the appointment is under way")
)

func propose(s State, c Propose) ([]Event, error) {
	events, proceed, err := before(s, c)
	if err != nil || !proceed {
		return nil, err
	}
	if !c.At.Before(c.Visit.Start) {
		return nil, ErrPast
	}
	return append(events, WasProposed{c.Visit, len(s.Sets) + 1, c.Claims, c.Reason, c.Deadline, c.Policies, c.Series}), nil
}

// before returns what has to happen before the next set is proposed, and
// whether one is to be proposed at all.
func before(s State, c Propose) (events []Event, proceed bool, err error) {
	last, n := s.Latest()
	if n > 0 && last.Fate == claim.Pending && last.Phase == InDecision {
		switch {
		case last.waits() && last.Series == c.Series && last.Same(c.Visit):
			return nil, false, nil // on its way already
		case last.waits() && c.Purpose == ToBook:
			return nil, false, ErrExists
		case last.waits():
			return nil, false, ErrChanging
		case !c.At.Before(last.Deadline):
			events = []Event{HasLapsed{last.Visit, n}}
			s, last.Fate = Evolve(s, events[0]), claim.Dead
		case last.Same(c.Visit) && s.goesOn(n, c.Purpose):
			return nil, false, nil // on its way already
		case c.Purpose == ToBook:
			return nil, false, ErrExists
		default:
			return nil, false, ErrChanging
		}
	}
	switch c.Purpose {
	case ToBook:
		proceed, err = anew(s, last, c)
		if last.Phase != InDecision && last.Fate == claim.Pending && err == nil {
			events = []Event{HasLapsed{last.Visit, n}}
		}
	case ToComplete:
		proceed, err = completes(s, c)
	case ToMove:
		proceed, err = moves(s, c)
		if proceed && last.Phase == OnOffer && last.Fate == claim.Pending {
			events = []Event{withdrawn(last, n, c.At)}
		}
	case ToRestore:
		proceed = s.Status == Cancelled && s.Change.From != ""
	}
	return events, proceed, err
}

// withdrawn ends what is offered: it was for the appointment as it was.
func withdrawn(offered Set, n int, at time.Time) Event {
	if at.Before(offered.Deadline) {
		return WasReleased{offered.Visit, n, Moved}
	}
	return HasLapsed{offered.Visit, n}
}

// goesOn reports whether a set that is in decision may still become what it was
// proposed for.
func (s State) goesOn(n int, purpose Purpose) bool {
	switch purpose {
	case ToBook:
		return !slices.ContainsFunc(s.Sets[:n-1], func(t Set) bool { return t.Fate != claim.Dead })
	case ToMove:
		return s.Status == Booked
	case ToComplete, ToRestore:
	}
	return true
}

// anew reports whether a set begins the appointment, again after a refusal or
// a lapse.
func anew(s State, last Set, c Propose) (bool, error) {
	switch {
	case len(s.Sets) == 0 || last.Fate == claim.Dead && !s.Decided:
		return true, nil
	case last.Fate == claim.Pending && !s.Decided && !c.At.Before(last.Deadline):
		return true, nil // a hold or a request that nobody has ended
	case s.Status == Booked && s.Moves == 0 && s.set(s.live()).Same(c.Visit):
		return false, nil // the same visit, booked
	}
	return false, ErrExists
}

// completes reports whether a hold needs another set to be booked: what it did
// not know is claimed by the next one.
func completes(s State, c Propose) (bool, error) {
	held, n := s.held()
	switch {
	case n == 0 || s.live() > 0:
		return false, ErrNotHeld
	case held.Fate != claim.Pending || !c.At.Before(held.Deadline):
		return false, ErrLapsed
	}
	return n < len(s.Sets) || !held.Same(c.Visit), nil
}

func moves(s State, c Propose) (bool, error) {
	if s.Status != Booked {
		return false, s.errStatus(Booked)
	}
	return !s.set(s.live()).Same(c.Visit), nil
}

func commit(s State, c Commit) ([]Event, error) {
	switch s.Fate(c.Set) {
	case claim.Live:
		return nil, nil
	case claim.Pending:
		if s.live() > 0 && s.Status != Booked {
			return nil, s.errStatus(Booked) // the visit has begun: it is not moved any more
		}
		switch set := s.set(c.Set); {
		case set.waits():
			return nil, ErrChanging
		case c.At.Before(set.Deadline):
			e := s.booking(c.Set, c.ExpectedAt, c.MissedAt)
			e.Overbooked, e.By, e.Note, e.Mends = c.Overbooked, c.By, c.Note, c.Mends
			return []Event{e}, nil
		}
	case claim.Dead, claim.Unknown:
	}
	return nil, ErrLapsed
}

// booking returns the event that makes a set live.
func (s State) booking(n int, expected *time.Time, missed time.Time) WasBooked {
	e := WasBooked{Visit: s.set(n).Visit, Set: n, MissedAt: missed}
	e.ExpectedAt = expected
	for i, t := range s.Sets {
		if i != n-1 && t.Fate != claim.Dead {
			e.Replaces = i + 1
			e.Freed = slices.DeleteFunc(slices.Clone(t.Slots), func(id domain.SlotID) bool { return slices.Contains(e.Slots, id) })
		}
	}
	return e
}

func refuse(s State, c Refuse) []Event {
	if s.Fate(c.Set) != claim.Pending || s.set(c.Set).waits() {
		return nil
	}
	return []Event{WasRefused{s.set(c.Set).Visit, c.Set, c.Rule}}
}

func lapse(s State, c Lapse) ([]Event, error) {
	if s.Fate(c.Set) != claim.Pending {
		return nil, nil
	}
	set := s.set(c.Set)
	if set.waits() || c.At.Before(set.Deadline.Add(ClockSlack)) {
		return nil, ErrNotDue
	}
	return []Event{HasLapsed{set.Visit, c.Set}}, nil
}

func settle(s State, c Settle) []Event {
	set, n := s.Waiting()
	switch {
	case n == 0 || n != c.Set:
		return nil
	case c.Fate == claim.Live:
		return []Event{s.booking(n, c.ExpectedAt, c.MissedAt)}
	case c.Fate == claim.Dead && c.Rule != "":
		return []Event{WasRefused{set.Visit, n, c.Rule}}
	case c.Fate == claim.Dead:
		return []Event{HasLapsed{set.Visit, n}}
	}
	return nil
}

func hold(s State, c Hold) ([]Event, error) {
	set, err := s.undecided(c.Set, c.At, c.phase())
	switch {
	case err != nil || set.Phase == c.phase():
		return nil, err
	case set.Phase != InDecision:
		return nil, ErrNotHeld
	case s.live() > 0 && s.Status != Booked:
		return nil, s.errStatus(Booked) // the visit has begun
	}
	return []Event{WasHeld{set.Visit, c.Set, c.Until, c.Ceiling, c.Wish}}, nil
}

// phase is what the set comes into.
func (c Hold) phase() Phase {
	if c.Wish != "" {
		return OnOffer
	}
	return OnHold
}

// Offered returns a set that is or was offered for a wish of the waiting list.
// Errors: [ErrNoOffer].
func (s State) Offered(n int) (Set, error) {
	if n < 1 || n > len(s.Sets) || s.set(n).Wish == "" {
		return Set{}, ErrNoOffer
	}
	return s.set(n), nil
}

// OnOffer returns the set that is offered at an instant, and its number; number 0
// when none is.
func (s State) OnOffer(at time.Time) (Set, int) {
	last, n := s.Latest()
	if n == 0 || last.Phase != OnOffer || last.Fate != claim.Pending || !at.Before(last.Deadline) {
		return Set{}, 0
	}
	return last, n
}

func endOffer(s State, c EndOffer) ([]Event, error) {
	set, err := s.Offered(c.Set)
	switch {
	case err != nil:
		return nil, err
	case set.WasLive || set.Phase == OnRequest:
		return nil, ErrOfferTaken
	case set.Released && set.Code == c.Code:
		return nil, nil
	case set.Fate != claim.Pending || !c.At.Before(set.Deadline):
		return nil, ErrOfferOver
	}
	return []Event{WasReleased{set.Visit, c.Set, c.Code}}, nil
}

func request(s State, c Request) ([]Event, error) {
	set, err := s.undecided(c.Set, c.At, OnRequest)
	if err != nil || set.Phase == OnRequest {
		return nil, err
	}
	return []Event{WasRequested{set.Visit, c.Set, c.Until}}, nil
}

// undecided returns a pending set that may still come into a phase.
func (s State) undecided(n int, at time.Time, to Phase) (Set, error) {
	if s.Fate(n) != claim.Pending {
		return Set{}, ErrLapsed
	}
	set := s.set(n)
	switch {
	case set.waits():
		return Set{}, ErrChanging
	case set.Phase != to && !at.Before(set.Deadline):
		return Set{}, ErrLapsed
	}
	return set, nil
}

func renew(s State, c Renew) ([]Event, error) {
	set, n, err := s.Holding(c.At)
	until := earlier(c.Until, set.Ceiling)
	switch {
	case err != nil:
		return nil, err
	case !set.Deadline.Before(set.Ceiling) && c.Until.After(set.Ceiling):
		return nil, ErrCeiling
	case !until.After(set.Deadline):
		return nil, nil
	}
	return []Event{WasRenewed{set.Visit, n, until}}, nil
}

// Holding returns the set that is on hold at an instant, and its number. Errors:
// [ErrNotFound], [ErrNotHeld], [ErrLapsed].
func (s State) Holding(at time.Time) (Set, int, error) {
	set, n := s.held()
	switch {
	case s.Status == "":
		return Set{}, 0, ErrNotFound
	case n == 0 || s.live() > 0:
		return Set{}, 0, ErrNotHeld
	case set.Fate != claim.Pending || !at.Before(set.Deadline):
		return Set{}, 0, ErrLapsed
	}
	return set, n, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// release gives back what is on hold, also when its time is up; what is
// something else by now is left alone.
func release(s State) []Event {
	set, n := s.held()
	if n == 0 || set.Fate != claim.Pending {
		return nil
	}
	return []Event{WasReleased{Visit: set.Visit, Set: n}}
}

func approve(s State, c Approve) ([]Event, error) {
	set, n := s.Latest()
	switch {
	case n == 0:
		return nil, ErrNotFound
	case set.Phase != OnRequest:
		return nil, ErrNotRequested
	case set.Fate == claim.Live:
		return nil, nil
	case set.Fate != claim.Pending && s.Decided:
		return nil, ErrNotRequested
	case set.Fate != claim.Pending || !c.At.Before(set.Deadline):
		return nil, ErrLapsed
	}
	return []Event{s.booking(n, set.ExpectedAt, time.Time{})}, nil
}

func decline(s State, c Decline) ([]Event, error) {
	set, n := s.Latest()
	switch {
	case n == 0:
		return nil, ErrNotFound
	case set.Phase != OnRequest || set.Fate == claim.Live:
		return nil, ErrNotRequested
	case set.Fate == claim.Dead && s.Decided:
		return nil, nil
	case set.Fate == claim.Dead || !c.At.Before(set.Deadline):
		return nil, ErrLapsed
	}
	return []Event{WasDeclined{set.Visit, n, c.Code, c.Reason, c.By, c.At}}, nil
}
