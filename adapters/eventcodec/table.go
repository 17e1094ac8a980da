package eventcodec

import (
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/demand"
	"github.com/slotbook/slotbook/domain/name"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/queue"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/resource"
	"github.com/slotbook/slotbook/domain/review"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/series"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/domain/waitlist"
)

// table holds every event type that may ever be in a store. A line is never
// removed and its golden file never edited.
var table = index(
	event(func(e *appointment.WasProposed, seal sealer) error { return seal("reason", &e.Reason) }),
	event[appointment.WasHeld](),
	event[appointment.WasRenewed](),
	event[appointment.WasReleased](),
	event[appointment.WasRequested](),
	event(func(e *appointment.WasDeclined, seal sealer) error { return seal("reason", &e.Reason) }),
	event(func(e *appointment.WasBooked, seal sealer) error { return seal("note", &e.Note) }),
	event[appointment.WasRefused](),
	event[appointment.HasLapsed](),
	event(func(e *appointment.WasCancelled, seal sealer) error { return seal("reason", &e.Reason) }),
	event[appointment.HasArrived](),
	event[appointment.WasCheckedIn](),
	event[appointment.WasFulfilled](),
	event[appointment.WasMissed](),
	event[appointment.WasReverted](),
	event[clinic.Registered](),
	event[demand.Refused](),
	event[occupancy.Held](),
	event[clinic.CalendarSet](),
	event[clinic.Changed](),
	event[clinic.WasClosed](),
	event[clinic.NameLapsed](),
	event[name.Taken](),
	event[name.Released](),
	event[occupancy.Booked](),
	event[occupancy.Released](),
	event(func(e *patient.Registered, seal sealer) error {
		if err := seal("name", &e.Name); err != nil {
			return err
		}
		if err := seal("email", &e.Email); err != nil {
			return err
		}
		return seal("phone", &e.Phone)
	}),
	event[policy.WasSet](),
	event[practitioner.Registered](),
	event[practitioner.Changed](),
	event[practitioner.CouncilMoved](),
	event[practitioner.PictureShown](),
	event[practitioner.PictureRemoved](),
	event[practitioner.CouncilLapsed](),
	event[queue.HasJoined](),
	event[queue.WasMarkedUrgent](),
	event[queue.WasCalled](),
	event[queue.WasRecalled](),
	event[queue.WasSkipped](),
	event[queue.HasReturned](),
	event[queue.HasStarted](),
	event[queue.HasFinished](),
	event[queue.HasLeft](),
	event[queue.WasMissed](),
	event[queue.WasWithdrawn](),
	event[queue.WasTransferred](),
	event[queue.WasMoved](),
	event[quota.Booked](),
	event[quota.Released](),
	event[resource.Added](),
	event[resource.Renamed](),
	event[resource.WasRetired](),
	event[patient.GuardianSet](),
	event[patient.GuardianRemoved](),
	event[patient.DependentAdded](),
	event[patient.DependentRemoved](),
	event[patient.Merged](),
	event[patient.Unmerged](),
	event[patient.DuplicateAdded](),
	event[patient.DuplicateRemoved](),
	event(func(e *review.WasWritten, seal sealer) error { return seal("text", &e.Text) }),
	event(func(e *review.WasEdited, seal sealer) error { return seal("text", &e.Text) }),
	event[review.WasWithdrawn](),
	event[review.WasHidden](),
	event[review.WasShown](),
	event[schedule.WasSet](),
	event[schedule.ClinicAdopted](),
	event[schedule.ExceptionSet](),
	event[schedule.ExceptionRemoved](),
	event[schedule.Blocked](),
	event[schedule.Unblocked](),
	event[schedule.DayOpened](),
	event[series.Accepted](),
	event[series.WasProposed](),
	event[series.WasBooked](),
	event[series.WasRefused](),
	event[series.HasLapsed](),
	event[slot.Held](),
	event(func(e *slot.Overbooked, seal sealer) error { return seal("reason", &e.Reason) }),
	event[slot.Booked](),
	event[slot.Released](),
	event[slot.Withdrawn](),
	event[slot.Reinstated](),
	event[slot.Resized](),
	event[visittype.Defined](),
	event[visittype.Changed](),
	event[visittype.WasRetired](),
	event[waitlist.HasJoined](),
	event[waitlist.WasOffered](),
	event[waitlist.WasAccepted](),
	event[waitlist.HasPassed](),
	event[waitlist.WasSkipped](),
	event[waitlist.HasEnded](),
	event[waitlist.WasMoved](),
)
