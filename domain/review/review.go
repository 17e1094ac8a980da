// Package review is what a patient says of a visit afterwards: one to five
// stars and, if they like, a text. There is one review of each appointment,
// since its stream is named after it.
//
//	                        Write                Withdraw
//	(nothing, withdrawn) ----------> published ------------> withdrawn
//	                                  |    ^
//	                                  +----+ Write (edits)
//
// Beside that, staff may hide a review and show it again. What is hidden stays
// hidden when it is edited, or withdrawn and written anew.
package review

import "github.com/slotbook/slotbook/domain"

// Category is the category of review streams.
const Category = "review"

// Stream returns the stream of the review of an appointment.
func Stream(id domain.AppointmentID) domain.StreamName { return domain.Stream(Category, string(id)) }

// MaxStars is the best that a patient can say; the worst is one.
const MaxStars = 5

// Status is what became of a review, apart from being hidden.
type Status string

// The statuses, "" being a review that does not exist.
const (
	Published Status = "published"
	Withdrawn Status = "withdrawn"
)

// Reason is why staff hide a review.
type Reason string

// The reasons, "" being that a review is not hidden.
const (
	Offensive   Reason = "offensive"
	PrivateData Reason = "private-data"
	Spam        Reason = "spam"
	Other       Reason = "other"
)

func (r Reason) known() bool {
	return r == Offensive || r == PrivateData || r == Spam || r == Other
}

// Visit is what a review is about. Every event repeats it, so that a reader
// needs no other event.
type Visit struct {
	Appointment  domain.AppointmentID  `json:"appointment"`
	Patient      domain.PatientID      `json:"patient"`
	Practitioner domain.PractitionerID `json:"practitioner"`
	Clinic       domain.ClinicID       `json:"clinic"`
}

// State is the review; the zero value is one that does not exist.
type State struct {
	Visit
	Status Status
	Stars  int           // 1 to [MaxStars]
	Text   domain.Sealed // none once it is withdrawn
	Hidden Reason        // why staff have hidden it, or ""
}

// Command is something to do to a review.
//
//sumtype:decl
type Command interface{ command() }

type (
	// Write says what the patient thinks, for the first time or anew.
	Write struct {
		Visit
		Stars     int
		Text      domain.Sealed // none is no text
		Fulfilled bool          // the visit took place
	}
	// Withdraw takes back what the patient said.
	Withdraw struct{}
	// Hide keeps the review from the public.
	Hide struct{ Reason Reason }
	// Show lets the public see the review again.
	Show struct{}
)

func (Write) command()    {}
func (Withdraw) command() {}
func (Hide) command()     {}
func (Show) command()     {}

// Event is a fact about a review.
//
//sumtype:decl
type Event interface {
	domain.Event
	reviewEvent()
}

type (
	// WasWritten says what the patient thinks of the visit.
	WasWritten struct {
		Visit
		Stars int           `json:"stars"`
		Text  domain.Sealed `json:"text,omitzero"`
	}
	// WasEdited says what the patient thinks now; the text before is replaced.
	WasEdited struct {
		Visit
		Stars int           `json:"stars"`
		Text  domain.Sealed `json:"text,omitzero"`
	}
	// WasWithdrawn says that the patient took the review back.
	WasWithdrawn struct{ Visit }
	// WasHidden says that staff keep the review from the public, and why.
	WasHidden struct {
		Visit
		Reason Reason `json:"reason"`
	}
	// WasShown says that the public may see the review again.
	WasShown struct{ Visit }
)

// EventType returns "review.written".
func (WasWritten) EventType() string { return "review.written" }

// EventType returns "review.edited".
func (WasEdited) EventType() string { return "review.edited" }

// EventType returns "review.withdrawn".
func (WasWithdrawn) EventType() string { return "review.withdrawn" }

// EventType returns "review.hidden".
func (WasHidden) EventType() string { return "review.hidden" }

// EventType returns "review.shown".
func (WasShown) EventType() string { return "review.shown" }

func (WasWritten) reviewEvent()   {}
func (WasEdited) reviewEvent()    {}
func (WasWithdrawn) reviewEvent() {}
func (WasHidden) reviewEvent()    {}
func (WasShown) reviewEvent()     {}

// The refusals of a review.
var (
	ErrNotFound     = domain.Refusal(domain.NotFound, "review.not-found", "there is no review of this appointment")
	ErrNotFulfilled = domain.Refusal(domain.Refused, "review.not-fulfilled", "only a visit that took place is reviewed")
	ErrStars        = domain.Refusal(domain.Invalid, "review.stars", "a review has one to five stars")
	ErrReason       = domain.Refusal(domain.Invalid, "review.reason", "a review is hidden for being offensive, private-data, spam or other")
)

// Decide returns what the command does to the review. Sealed text is compared
// as it is: whoever knows that the open text is the same sends the box again.
func Decide(s State, c Command) ([]Event, error) {
	if w, ok := c.(Write); ok {
		return write(s, w)
	}
	if s.Status == "" {
		return nil, ErrNotFound
	}
	switch c := c.(type) {
	case Write: // see above
	case Withdraw:
		if s.Status == Published {
			return []Event{WasWithdrawn{s.Visit}}, nil
		}
	case Hide:
		if !c.Reason.known() {
			return nil, ErrReason
		}
		if s.Hidden != c.Reason {
			return []Event{WasHidden{s.Visit, c.Reason}}, nil
		}
	case Show:
		if s.Hidden != "" {
			return []Event{WasShown{s.Visit}}, nil
		}
	}
	return nil, nil
}

func write(s State, c Write) ([]Event, error) {
	switch {
	case c.Stars < 1 || c.Stars > MaxStars:
		return nil, ErrStars
	case !c.Fulfilled:
		return nil, ErrNotFulfilled
	case s.Status != Published:
		return []Event{WasWritten{c.Visit, c.Stars, c.Text}}, nil
	case s.Stars == c.Stars && s.Text == c.Text:
		return nil, nil
	}
	return []Event{WasEdited{c.Visit, c.Stars, c.Text}}, nil
}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case WasWritten:
		s.Visit, s.Status, s.Stars, s.Text = e.Visit, Published, e.Stars, e.Text
	case WasEdited:
		s.Visit, s.Stars, s.Text = e.Visit, e.Stars, e.Text
	case WasWithdrawn:
		s.Status, s.Text = Withdrawn, domain.Sealed{}
	case WasHidden:
		s.Hidden = e.Reason
	case WasShown:
		s.Hidden = ""
	}
	return s
}
