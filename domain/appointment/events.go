package appointment

import (
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Event is a fact about an appointment.
//
//sumtype:decl
type Event interface {
	domain.Event
	appointmentEvent()
}

type (
	// WasProposed says which claims a set needs and until when it may be decided.
	WasProposed struct {
		Visit
		Set      int                 `json:"set"`
		Claims   []domain.StreamName `json:"claims"`
		Reason   domain.Sealed       `json:"reason,omitzero"`
		Deadline time.Time           `json:"deadline"`
		Policies []string            `json:"policies,omitempty"` // the revisions that it was decided under
		Series   domain.SeriesID     `json:"series,omitempty"`   // whose stream decides the set; absent = the appointment's own
	}
	// WasHeld says that a frontend keeps a set while a person fills a form; or
	// that it is offered to somebody of the waiting list.
	WasHeld struct {
		Visit
		Set      int           `json:"set"`
		Deadline time.Time     `json:"deadline"`
		Ceiling  time.Time     `json:"ceiling"`        // it is not renewed beyond
		Wish     domain.WishID `json:"wish,omitempty"` // of the waiting list, for which it is offered; absent = a frontend keeps it
	}
	// WasRenewed says that a hold lasts longer.
	WasRenewed struct {
		Visit
		Set      int       `json:"set"`
		Deadline time.Time `json:"deadline"`
	}
	// WasReleased says that a hold was given back by its owner, or that an offer of
	// the waiting list has ended.
	WasReleased struct {
		Visit
		Set  int  `json:"set"`
		Code Code `json:"code,omitempty"` // why: "moved", its appointment was rescheduled; "displaced", the clinic has withdrawn its slot; absent = whoever it was for gave it back
	}
	// WasRequested says that a set waits for approval.
	WasRequested struct {
		Visit
		Set      int       `json:"set"`
		Deadline time.Time `json:"deadline"`
	}
	// WasDeclined says that a request was not approved.
	WasDeclined struct {
		Visit
		Set    int           `json:"set"`
		Code   string        `json:"code,omitempty"`
		Reason domain.Sealed `json:"reason,omitzero"`
		By     string        `json:"by,omitempty"`
		At     time.Time     `json:"at,omitzero"`
	}
	// WasBooked says that a set is live: the commit point of a booking. Every
	// other set of the appointment is dead from then on.
	WasBooked struct {
		Visit
		Set      int             `json:"set"`
		Replaces int             `json:"replaces,omitempty"` // the set that was live or held before
		Freed    []domain.SlotID `json:"freed,omitempty"`    // the slots of the replaced set that this one does not want
		MissedAt time.Time       `json:"missedAt,omitzero"`  // from when a patient who has not come counts as a no-show; zero = never
		By       Initiator       `json:"by,omitempty"`       // whose wish it was; "" = the patient's
		Note     domain.Sealed   `json:"note,omitzero"`      // why it was moved
		Mends    bool            `json:"mends,omitempty"`    // it was moved because the clinic had withdrawn its slot
	}
	// WasRefused says that a set died because a race was lost half-way.
	WasRefused struct {
		Visit
		Set  int    `json:"set"`
		Rule string `json:"rule"`
	}
	// HasLapsed says that a set died because its deadline passed.
	HasLapsed struct {
		Visit
		Set int `json:"set"`
	}
	// WasCancelled says that the appointment ended and its sets with it.
	WasCancelled struct {
		Visit
		Set       int           `json:"set"`
		Initiator Initiator     `json:"initiator"`
		Code      Code          `json:"code,omitempty"`
		Reason    domain.Sealed `json:"reason,omitzero"`
		At        time.Time     `json:"at,omitzero"`
		By        string        `json:"by,omitempty"`
	}
	// HasArrived says that the patient is in the building.
	HasArrived struct {
		Visit
		Set int       `json:"set"`
		At  time.Time `json:"at"`
		By  string    `json:"by"`
	}
	// WasCheckedIn says that the visit has begun: the patient is in the room.
	WasCheckedIn struct {
		Visit
		Set int       `json:"set"`
		At  time.Time `json:"at"`
		By  string    `json:"by"`
	}
	// WasFulfilled says that the visit is done.
	WasFulfilled struct {
		Visit
		Set int       `json:"set"`
		At  time.Time `json:"at"`
		By  string    `json:"by"`
	}
	// WasMissed says that the patient did not come.
	WasMissed struct {
		Visit
		Set int       `json:"set"`
		At  time.Time `json:"at"`
		By  string    `json:"by"`
	}
	// WasReverted says that the last change of status was undone.
	WasReverted struct {
		Visit
		Set    int       `json:"set"`
		Status Status    `json:"status"` // the one that holds again
		At     time.Time `json:"at"`
		By     string    `json:"by"`
	}
)

// EventType returns "appointment.proposed".
func (WasProposed) EventType() string { return "appointment.proposed" }

// EventType returns "appointment.held".
func (WasHeld) EventType() string { return "appointment.held" }

// EventType returns "appointment.renewed".
func (WasRenewed) EventType() string { return "appointment.renewed" }

// EventType returns "appointment.released".
func (WasReleased) EventType() string { return "appointment.released" }

// EventType returns "appointment.requested".
func (WasRequested) EventType() string { return "appointment.requested" }

// EventType returns "appointment.declined".
func (WasDeclined) EventType() string { return "appointment.declined" }

// EventType returns "appointment.booked".
func (WasBooked) EventType() string { return "appointment.booked" }

// EventType returns "appointment.refused".
func (WasRefused) EventType() string { return "appointment.refused" }

// EventType returns "appointment.lapsed".
func (HasLapsed) EventType() string { return "appointment.lapsed" }

// EventType returns "appointment.cancelled".
func (WasCancelled) EventType() string { return "appointment.cancelled" }

// EventType returns "appointment.arrived".
func (HasArrived) EventType() string { return "appointment.arrived" }

// EventType returns "appointment.checked-in".
func (WasCheckedIn) EventType() string { return "appointment.checked-in" }

// EventType returns "appointment.fulfilled".
func (WasFulfilled) EventType() string { return "appointment.fulfilled" }

// EventType returns "appointment.missed".
func (WasMissed) EventType() string { return "appointment.missed" }

// EventType returns "appointment.reverted".
func (WasReverted) EventType() string { return "appointment.reverted" }

func (WasProposed) appointmentEvent()  {}
func (WasHeld) appointmentEvent()      {}
func (WasRenewed) appointmentEvent()   {}
func (WasReleased) appointmentEvent()  {}
func (WasRequested) appointmentEvent() {}
func (WasDeclined) appointmentEvent()  {}
func (WasBooked) appointmentEvent()    {}
func (WasRefused) appointmentEvent()   {}
func (HasLapsed) appointmentEvent()    {}
func (WasCancelled) appointmentEvent() {}
func (HasArrived) appointmentEvent()   {}
func (WasCheckedIn) appointmentEvent() {}
func (WasFulfilled) appointmentEvent() {}
func (WasMissed) appointmentEvent()    {}
func (WasReverted) appointmentEvent()  {}

// Of returns the visit and the number of the set that an event is about.
func Of(e Event) (Visit, int) {
	switch e := e.(type) {
	case WasProposed:
		return e.Visit, e.Set
	case WasHeld:
		return e.Visit, e.Set
	case WasRenewed:
		return e.Visit, e.Set
	case WasReleased:
		return e.Visit, e.Set
	case WasRequested:
		return e.Visit, e.Set
	case WasDeclined:
		return e.Visit, e.Set
	case WasBooked:
		return e.Visit, e.Set
	case WasRefused:
		return e.Visit, e.Set
	case HasLapsed:
		return e.Visit, e.Set
	case WasCancelled:
		return e.Visit, e.Set
	case HasArrived:
		return e.Visit, e.Set
	case WasCheckedIn:
		return e.Visit, e.Set
	case WasFulfilled:
		return e.Visit, e.Set
	case WasMissed:
		return e.Visit, e.Set
	case WasReverted:
		return e.Visit, e.Set
	}
	return Visit{}, 0
}

// by returns whose wish a booking was. Those that do not say were the patient's
// as far as limits go.
func (e WasBooked) by() Initiator {
	if e.By == "" {
		return ByPatient
	}
	return e.By
}
