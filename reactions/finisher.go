package reactions

import (
	"context"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/series"
)

// Finisher finishes what processes had begun that died between two appends:
//
//	an appointment's set is over    --> what it still holds is given back
//	a series is booked or has ended --> its appointments say so
//	a patient has come, or is done  --> the queue and the quotas know
//
// Sets that nobody has decided are ended by [Deadlines]. Nothing depends on
// either: whoever meets what was left behind does the same.
type Finisher struct{ Handler *commands.Handler }

// Wants returns the types of events after which something may be left to do. On
// a store that takes several writes at once these are few.
func (f Finisher) Wants() []string {
	types := []string{series.WasBooked{}.EventType(), series.WasRefused{}.EventType(), series.HasLapsed{}.EventType()}
	if f.Handler.Atomic() {
		return types
	}
	return append(types,
		appointment.WasBooked{}.EventType(), appointment.WasRefused{}.EventType(), appointment.HasLapsed{}.EventType(),
		appointment.WasReleased{}.EventType(), appointment.WasDeclined{}.EventType(), appointment.WasCancelled{}.EventType(),
		appointment.HasArrived{}.EventType(), appointment.WasCheckedIn{}.EventType(), appointment.WasFulfilled{}.EventType(),
		appointment.WasMissed{}.EventType(),
	)
}

// React finishes what an event may have left to do.
func (f Finisher) React(ctx context.Context, r domain.Recorded) error {
	req := commands.CausedBy(r, "finisher")
	var err error
	switch r.Stream.Category() {
	case series.Category:
		_, err = f.Handler.FinishSeries(ctx, req, domain.SeriesID(r.Stream.ID()))
	case appointment.Category:
		if e, ok := r.Event.(appointment.WasBooked); ok && e.Set == 1 {
			return nil // there is no set before
		}
		_, err = f.Handler.Finish(ctx, req, domain.AppointmentID(r.Stream.ID()))
	}
	return err
}
