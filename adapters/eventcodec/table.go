package eventcodec

import (
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

// table holds every event type that may ever be in a store. A line is never
// removed and its golden file never edited.
var table = index(
	event(func(e *appointment.WasProposed) map[string]*domain.Sealed {
		return map[string]*domain.Sealed{"reason": &e.Reason}
	}),
	event[appointment.WasBooked](),
	event[appointment.WasRefused](),
	event[appointment.HasLapsed](),
	event(func(e *appointment.WasCancelled) map[string]*domain.Sealed {
		return map[string]*domain.Sealed{"reason": &e.Reason}
	}),
	event[clinic.Registered](),
	event[clinic.CalendarSet](),
	event[occupancy.Booked](),
	event[occupancy.Released](),
	event(func(e *patient.Registered) map[string]*domain.Sealed {
		return map[string]*domain.Sealed{"name": &e.Name, "email": &e.Email, "phone": &e.Phone}
	}),
	event[practitioner.Registered](),
	event[schedule.WasSet](),
	event[schedule.ClinicAdopted](),
	event[schedule.ExceptionSet](),
	event[schedule.ExceptionRemoved](),
	event[schedule.Blocked](),
	event[schedule.Unblocked](),
	event[schedule.DayOpened](),
	event[slot.Booked](),
	event[slot.Released](),
	event[slot.Withdrawn](),
	event[slot.Resized](),
)
