package projections_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

// dueAre asks for everything that will ever be due.
func dueAre(want ...domain.Deadline) func(*testing.T, *engine.Engine) {
	return func(t *testing.T, e *engine.Engine) {
		t.Helper()
		agenda, err := projections.NewDue(e).At(t.Context(), at(23, 59), at(8, 0), 0, 0)
		require.NoError(t, err)
		require.ElementsMatch(t, want, agenda.Due)
		require.Zero(t, agenda.Retry)
	}
}

func dueAlone(func(domain.Sealed) string) []engine.Model {
	return []engine.Model{projections.DueModel()}
}

func TestWhatIsDue(t *testing.T) {
	t.Parallel()
	v, w := visit(visitA, pat, ana, 0, half(9, 0)), visit(visitA, pat, ana, 1, half(11, 0))
	decided, heldTo, answered, missedAt, missedLater := at(8, 0).Add(10*time.Second), at(8, 5), at(8, 30), at(9, 45), at(11, 45)
	lapse := func(set int, at time.Time) domain.Deadline {
		return domain.Deadline{Kind: appointment.DueLapse, Owner: appointment.Stream(visitA), Set: set, At: at.Add(appointment.ClockSlack)}
	}
	noShow := func(set int, at time.Time) domain.Deadline {
		return domain.Deadline{Kind: appointment.DueNoShow, Owner: appointment.Stream(visitA), Set: set, At: at}
	}
	expected := about(v, appointment.WasBooked{Visit: v, Set: 1, MissedAt: missedAt})
	arrived := about(v, appointment.HasArrived{Visit: v, Set: 1, At: at(8, 55)})
	inside := about(v, appointment.WasCheckedIn{Visit: v, Set: 1, At: at(9, 0)})
	missed := about(v, appointment.WasMissed{Visit: v, Set: 1, At: missedAt})
	back := func(to appointment.Status) fact {
		return about(v, appointment.WasReverted{Visit: v, Set: 1, Status: to})
	}
	begun := proposed(v, 1, decided)
	onHold := []fact{begun, held(v, 1, heldTo)}
	coming := []fact{begun, expected}
	then := func(to string, history []fact, want []domain.Deadline, more ...fact) {
		t.Run(to, projectionstest.Given(dueAlone, append(append([]fact{}, history...), more...)...).Then(dueAre(want...)))
	}
	of := func(d ...domain.Deadline) []domain.Deadline { return d }

	then("a set in decision lapses two seconds after its deadline", []fact{begun}, of(lapse(1, decided)))
	then("a hold lapses when its time is up", onHold, of(lapse(1, heldTo)))
	then("a renewed hold later", onHold, of(lapse(1, at(8, 9))), about(v, appointment.WasRenewed{Visit: v, Set: 1, Deadline: at(8, 9)}))
	then("a request when nobody has answered", []fact{begun, requested(v, 1, answered)}, of(lapse(1, answered)))
	then("a booking of a hold lapses for itself", onHold, of(lapse(1, heldTo), lapse(2, decided)), proposed(v, 2, decided))
	then("which leaves the hold", onHold, of(lapse(1, heldTo)), proposed(v, 2, decided), lapsed(v, 2))
	then("and so does a race that it lost", onHold, of(lapse(1, heldTo)), proposed(v, 2, decided), refused(v, 2))
	then("a request takes the place of the hold that it came of", onHold, of(lapse(2, answered)), proposed(v, 2, decided), requested(v, 2, answered))
	then("what is booked does not lapse", onHold, nil, proposed(v, 2, decided), booked(v, 2))
	then("nor does what has lapsed", onHold, nil, lapsed(v, 1))
	then("nor what was given back", onHold, nil, about(v, appointment.WasReleased{Visit: v, Set: 1}))
	then("nor what was declined", []fact{begun, requested(v, 1, answered)}, nil, about(v, appointment.WasDeclined{Visit: v, Set: 1}))
	then("nor what was cancelled", onHold, nil, cancelled(v, 1))

	then("who has not come is a no-show when the booking says", coming, of(noShow(1, missedAt)))
	then("and at no time when it does not", []fact{begun, booked(v, 1)}, nil)
	then("a visit that is being moved waits for both", coming, of(noShow(1, missedAt), lapse(2, decided)), proposed(w, 2, decided))
	then("a moved visit has its own time", coming, of(noShow(2, missedLater)),
		proposed(w, 2, decided), about(w, appointment.WasBooked{Visit: w, Set: 2, Replaces: 1, MissedAt: missedLater}))
	then("a visit that was moved to where nobody is given up on has none", coming, nil, proposed(w, 2, decided), moved(w, 2, v))
	then("who was cancelled is not awaited", coming, nil, cancelled(v, 1))
	then("nor is who has come", coming, nil, arrived)
	then("unless that was a mistake", coming, of(noShow(1, missedAt)), arrived, back(appointment.Booked))
	then("nor who is inside, or was taken for inside", coming, nil, arrived, inside, back(appointment.Arrived))
	then("nor who was noted, also when that was a mistake", coming, nil, missed, back(appointment.Booked))
	then("nor who came and left", coming, nil, arrived, missed, back(appointment.Arrived))
	then("who is booked again after a cancellation is awaited again", coming, of(noShow(2, missedAt)), cancelled(v, 1), proposed(v, 2, decided),
		about(v, appointment.WasBooked{Visit: v, Set: 2, MissedAt: missedAt}))
}

func TestTheAgenda(t *testing.T) {
	t.Parallel()
	v, w := visit(visitA, pat, ana, 0, half(9, 0)), visit(visitB, quinn, bo, 0, half(9, 0))
	pool := projectionstest.Pool(t)
	log := projectionstest.Log(t, eventcodec.New(&eventcodec.MemoryKeys{}),
		proposed(v, 1, at(8, 0)), held(v, 1, at(8, 5)), proposed(w, 1, at(8, 0)), requested(w, 1, at(8, 30)))
	e := engine.New(engine.Config{Pool: pool, Log: log, Models: dueAlone(nil), Owner: "test", Now: projectionstest.RecordedAt})
	require.NoError(t, e.Prepare(t.Context()))
	require.NoError(t, e.CatchUp(t.Context()))
	tries, due := postgres.NewDeadlines(pool), projections.NewDue(e)
	first, second := at(8, 5).Add(appointment.ClockSlack), at(8, 30).Add(appointment.ClockSlack)
	asked := func(at, now time.Time) projections.Agenda {
		agenda, err := due.At(t.Context(), at, now, 0, 0)
		require.NoError(t, err)
		return agenda
	}
	machine := projectionstest.RecordedAt()

	require.Equal(t, projections.Agenda{Due: []domain.Deadline{}, Next: first}, asked(first.Add(-time.Microsecond), machine))
	held := asked(first, machine)
	require.Equal(t, []domain.Deadline{{Kind: appointment.DueLapse, Owner: appointment.Stream(visitA), Set: 1, At: first}}, held.Due)
	require.Equal(t, second, held.Next)
	both := asked(second, machine)
	require.Len(t, both.Due, 2)
	require.Zero(t, both.Next)

	taken, err := tries.Take(t.Context(), held.Due, machine, machine.Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, map[string]int{held.Due[0].ID(): 1}, taken)
	while := asked(second, machine)
	require.Equal(t, both.Due[1:], while.Due, "what somebody has taken is not asked for twice")
	require.Equal(t, machine.Add(time.Minute), while.Retry)
	require.Len(t, asked(second, machine.Add(time.Minute)).Due, 2, "unless that process has died")
	require.NoError(t, tries.Settle(t.Context(), held.Due[0].ID(), "done", machine))
	after := asked(second, machine.Add(time.Hour))
	require.Equal(t, both.Due[1:], after.Due, "what is settled is left alone, also while the row is still there")
	require.Zero(t, after.Retry)
}
