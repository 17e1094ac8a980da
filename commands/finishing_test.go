package commands_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/series"
)

// finishedBy returns the request of a reaction to the last event of a stream.
func (w *world) finishedBy(stream domain.StreamName) commands.Request {
	loaded, err := w.store.Load(w.ctx, stream)
	require.NoError(w.t, err)
	require.NotEmpty(w.t, loaded[stream])
	return commands.CausedBy(loaded[stream][len(loaded[stream])-1], "test")
}

// taken returns the claims that the log has taken and not given back.
func (w *world) taken() (claims int) {
	open := map[domain.StreamName]map[claim.Claim]bool{}
	for _, r := range w.log() {
		if c, taken, ok := claimOf(r.Event); ok {
			if open[r.Stream] == nil {
				open[r.Stream] = map[claim.Claim]bool{}
			}
			open[r.Stream][c] = taken
		}
	}
	for _, of := range open {
		for _, taken := range of {
			if taken {
				claims++
			}
		}
	}
	return claims
}

func TestACancellationThatDiedIsFinishedByAReaction(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		t.Run(fmt.Sprintf("after append %d", n+1), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, true)
			s := w.open(w.silva, 1)[0]
			_, err := w.book(w.ana, s.ID)
			require.NoError(t, err)
			id := w.booking(w.ana, s.ID).Appointment
			_, _ = w.handler(&crashing{Store: w.store, appends: n, after: true}).Cancel(w.ctx, w.request(), commands.Cancellation{
				Appointment: id, Initiator: appointment.ByClinic,
			})
			req := w.finishedBy(appointment.Stream(id))
			at, err := w.h.Finish(w.ctx, req, id)
			require.NoError(t, err)
			require.Zero(t, w.taken())
			log := w.log()
			if n < 2 {
				require.Equal(t, log[len(log)-1].Position, at)
				require.Equal(t, req.Causation, log[len(log)-1].Metadata.Causation)
				require.NotEmpty(t, log[len(log)-1].Metadata.Correlation, "the conversation goes on")
			}
			at, err = w.h.Finish(w.ctx, req, id)
			require.NoError(t, err)
			require.Zero(t, at)
			require.Len(t, w.log(), len(log), "twice is once")
			w.audit()
		})
	}
}

// What dies before its commit point is undone from its deadline on, what dies
// after it is finished.
func TestASeriesThatDiedIsFinishedOrUndoneByReactions(t *testing.T) {
	t.Parallel()
	for n := range 14 {
		t.Run(fmt.Sprintf("after append %d", n+1), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, true)
			w.openLong()
			wish := w.whole(2)
			_, _ = w.handler(&crashing{Store: w.store, appends: n, after: true}).BookSeries(w.ctx, w.request(), wish)
			stream := series.Stream(wish.Series)
			state, err := w.h.Series(w.ctx, wish.Series)
			require.NoError(t, err)
			booked := state.State.Status == series.Booked
			require.Equal(t, n >= 7, booked, "the commit point")
			if !booked {
				w.clock.advance(time.Minute)
			}
			_, err = w.h.FinishSeries(w.ctx, w.finishedBy(stream), wish.Series)
			require.NoError(t, err)
			if !booked {
				w.lapseAll()
				require.Zero(t, w.taken())
				w.has(0)
				return
			}
			for _, v := range state.State.Visits {
				require.Equal(t, []string{"appointment.proposed", "appointment.booked"}, w.types(appointment.Stream(v.Appointment)))
			}
			w.has(2)
			w.audit()
		})
	}
}

// lapseAll ends every set that nobody has decided, as the worker of deadlines
// does.
func (w *world) lapseAll() {
	for _, r := range w.log() {
		if e, ok := r.Event.(appointment.WasProposed); ok {
			_, err := w.h.Lapse(w.ctx, w.request(), domain.AppointmentID(r.Stream.ID()), e.Set)
			require.NoError(w.t, err)
		}
	}
}
