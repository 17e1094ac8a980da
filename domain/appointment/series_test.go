package appointment_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
)

// waiting is a set that the series "weekly" decides.
var waiting = func() appointment.WasProposed {
	e := wasProposed(1)
	e.Series = "weekly"
	return e
}()

func TestASetThatASeriesProposes(t *testing.T) {
	t.Parallel()
	bySeries := propose(now)
	bySeries.Series = "weekly"
	late := bySeries
	late.At = until.Add(time.Minute)
	move := propose(now)
	move.Purpose = appointment.ToMove
	t.Run("names it", spec.Given().When(bySeries).Then(waiting))
	t.Run("is on its way, also after its deadline: the series judges that", spec.Given(waiting).When(late).Then())
	t.Run("keeps the id from others", spec.Given(waiting).When(propose(now)).ThenRefuse(appointment.ErrExists))
	t.Run("is not moved", spec.Given(waiting).When(move).ThenRefuse(appointment.ErrChanging))
	t.Run("is not booked alone", spec.Given(waiting).When(appointment.Commit{Set: 1, At: now}).ThenRefuse(appointment.ErrChanging))
	t.Run("is not cancelled alone",
		spec.Given(waiting).When(appointment.Cancel{Initiator: appointment.ByClinic, At: now}).ThenRefuse(appointment.ErrChanging))
	t.Run("is not refused alone", spec.Given(waiting).When(appointment.Refuse{Set: 1, Rule: "slot.taken"}).Then())
	t.Run("does not lapse alone", spec.Given(waiting).When(appointment.Lapse{Set: 1, At: until.Add(time.Hour)}).ThenRefuse(appointment.ErrNotDue))
	t.Run("is not held", spec.Given(waiting).When(appointment.Hold{Set: 1, Until: heldUntil, Ceiling: ceiling, At: now}).ThenRefuse(appointment.ErrChanging))
	t.Run("does not wait for approval",
		spec.Given(waiting).When(appointment.Request{Set: 1, Until: answerBy, At: now}).ThenRefuse(appointment.ErrChanging))
}

func TestSettle(t *testing.T) {
	t.Parallel()
	settle := func(fate claim.Fate) appointment.Settle { return appointment.Settle{Set: 1, Fate: fate} }
	refuse := settle(claim.Dead)
	refuse.Rule = "slot.taken"
	t.Run("books what the series has booked", spec.Given(waiting).When(settle(claim.Live)).Then(booked))
	t.Run("ends what has lapsed with the series", spec.Given(waiting).When(settle(claim.Dead)).Then(lapsed))
	t.Run("ends what was refused with the series", spec.Given(waiting).When(refuse).Then(refused))
	t.Run("waits while the series is pending", spec.Given(waiting).When(settle(claim.Pending)).Then())
	t.Run("knows nothing of a series that does not decide", spec.Given(waiting).When(settle(claim.Unknown)).Then())
	t.Run("does not decide what no series decides", spec.Given(proposed).When(settle(claim.Live)).Then())
	t.Run("has no say once the visit was cancelled", spec.Given(waiting, booked, gone).When(settle(claim.Live)).Then())
	t.Run("gives the turn in a session", func(t *testing.T) {
		t.Parallel()
		turn := nine.Add(10 * time.Minute)
		c := settle(claim.Live)
		c.ExpectedAt = &turn
		events, err := appointment.Decide(after(waiting), c)
		require.NoError(t, err)
		with := booked
		with.ExpectedAt = &turn
		require.Equal(t, []appointment.Event{with}, events)
	})
}
