package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/domaintest"
	"github.com/slotbook/slotbook/domain/queue"
)

var spec = domaintest.Spec[queue.State, queue.Command, queue.Event]{Decide: queue.Decide, Evolve: queue.Evolve}

const day = domain.Day("2026-03-02")

// at is a time of the day.
func at(hour, minute int) time.Time { return time.Date(2026, 3, 2, hour, minute, 0, 0, time.UTC) }

func walkIn(n int, since time.Time) queue.Entry {
	return queue.Entry{ID: fmt.Sprint("w", n), Ticket: n, Practitioner: "silva", Day: day, Clinic: "c", Since: since}
}

func booked(n int, due, since time.Time) queue.Entry {
	e := walkIn(n, since)
	e.ID, e.Appointment, e.Patient, e.Due = fmt.Sprint("a", n), domain.AppointmentID(fmt.Sprint("a", n)), domain.PatientID(fmt.Sprint("p", n)), due
	return e
}

func joined(e queue.Entry) queue.Event { return queue.HasJoined{Entry: e, By: "x"} }

// unnumbered is what a command knows of an entry.
func unnumbered(e queue.Entry) queue.Entry {
	e.Ticket = 0
	return e
}

func called(e queue.Entry, desk string, t time.Time) queue.Event {
	return queue.WasCalled{Entry: e, Desk: desk, Place: 1, At: t, By: "x"}
}

func call(desk string) queue.Call { return queue.Call{Desk: desk, At: at(11, 0), By: "x"} }

var (
	ana       = booked(1, at(10, 20), at(10, 5))
	boris     = walkIn(2, at(10, 11))
	anaCalled = called(ana, "1", at(11, 0))
	skipped   = queue.WasSkipped{Entry: ana, At: at(11, 1), By: "x"}
	started   = queue.HasStarted{Entry: ana, At: at(11, 2), By: "x"}
	finished  = queue.HasFinished{Entry: ana, At: at(11, 30), By: "x"}
	withdrawn = queue.WasWithdrawn{Entry: ana, At: at(11, 0), By: "x"}
	sent      = queue.WasTransferred{Entry: ana, To: "souza", At: at(11, 0), By: "x"}
	gone      = queue.HasLeft{Entry: ana, At: at(11, 5), By: "x"}
	returned  = queue.HasReturned{Entry: ana, At: at(11, 6), By: "x"}
	room      = queue.WasMoved{Entry: ana, Room: "B", At: at(11, 3), By: "x"}
)

func TestJoin(t *testing.T) {
	t.Parallel()
	join := queue.Join{Entry: unnumbered(boris), Today: day, By: "x"}
	known := boris
	known.Patient = ana.Patient
	again := queue.Join{Entry: unnumbered(known), Today: day, By: "x"}
	t.Run("gives the next number", spec.Given(joined(ana)).When(join).Then(joined(boris)))
	t.Run("on another day is refused", spec.Given().When(queue.Join{Entry: unnumbered(boris), Today: day.Add(1)}).ThenRefuse(queue.ErrNotToday))
	t.Run("of a patient who waits is refused", spec.Given(joined(ana)).When(again).ThenRefuse(queue.ErrAlready))
	t.Run("of a patient who was seen is a new ticket", spec.Given(joined(ana), anaCalled, started, finished).When(again).Then(joined(known)))
}

func TestFollow(t *testing.T) {
	t.Parallel()
	is := func(s queue.Status, undoes bool, at time.Time) queue.Follow {
		return queue.Follow{Entry: unnumbered(ana), Is: s, Undoes: undoes, At: at, By: "x"}
	}
	anew := ana
	anew.Ticket = 2
	t.Run("who arrives joins", spec.Given().When(is(queue.Waiting, false, at(10, 5))).Then(joined(ana)))
	t.Run("who arrives after the arrival was undone has a new ticket",
		spec.Given(joined(ana), withdrawn).When(is(queue.Waiting, false, at(11, 5))).Then(joined(anew)))
	t.Run("who has left is not brought back by a repeat", spec.Given(joined(ana), gone).When(is(queue.Waiting, false, at(11, 5))).Then())
	t.Run("who is in service is not brought back by a repeat",
		spec.Given(joined(ana), anaCalled, started).When(is(queue.Waiting, false, at(11, 5))).Then())
	t.Run("who is checked in is in service, called or not", spec.Given(joined(ana)).When(is(queue.InService, false, at(11, 2))).Then(started))
	t.Run("who was done is not in service by a repeat",
		spec.Given(joined(ana), anaCalled, started, finished).When(is(queue.InService, false, at(11, 2))).Then())
	t.Run("who is done is finished", spec.Given(joined(ana), started).When(is(queue.Finished, false, at(11, 30))).Then(finished))
	t.Run("an undone end has them in service", spec.Given(joined(ana), started, finished).When(is(queue.InService, true, at(11, 2))).Then(started))
	t.Run("an undone check-in has them wait", spec.Given(joined(ana), started).When(is(queue.Waiting, true, at(11, 6))).Then(returned))
	t.Run("an undone arrival withdraws them", spec.Given(joined(ana)).When(is(queue.Withdrawn, true, at(11, 0))).Then(withdrawn))
	t.Run("who never was here is not withdrawn", spec.Given().When(is(queue.Withdrawn, true, at(11, 0))).Then())
	t.Run("who is elsewhere is followed there", spec.Given(joined(ana), sent).When(is(queue.InService, false, at(11, 2))).Then())
}

func TestCall(t *testing.T) {
	t.Parallel()
	turn := func(n int, r queue.Reason) queue.Call {
		return queue.Call{Desk: "1", Ticket: n, Reason: r, At: at(11, 0), By: "x"}
	}
	jumped := queue.WasCalled{Entry: boris, Desk: "1", Place: 2, Reason: queue.Agreed, At: at(11, 0), By: "x"}
	t.Run("is of whoever is next", spec.Given(joined(ana), joined(boris)).When(call("1")).Then(anaCalled))
	t.Run("of another desk is of somebody else", spec.Given(joined(ana), joined(boris), anaCalled).When(call("2")).Then(called(boris, "2", at(11, 0))))
	t.Run("again, by the same desk, is of the same person", spec.Given(joined(ana), joined(boris), anaCalled).When(call("1")).Then())
	t.Run("by a desk that has somebody in service is refused",
		spec.Given(joined(ana), joined(boris), anaCalled, started).When(call("1")).ThenRefuse(queue.ErrDeskBusy))
	t.Run("is of the next once the person is in a room",
		spec.Given(joined(ana), joined(boris), anaCalled, started, room).When(call("1")).Then(called(boris, "1", at(11, 0))))
	t.Run("is of the next once the person is finished",
		spec.Given(joined(ana), joined(boris), anaCalled, started, finished).When(call("1")).Then(called(boris, "1", at(11, 0))))
	t.Run("without a desk is refused", spec.Given(joined(ana)).When(call(" ")).ThenRefuse(queue.ErrDesk))
	t.Run("where nobody waits is refused", spec.Given(joined(ana), skipped).When(call("1")).ThenRefuse(queue.ErrEmpty))
	t.Run("out of turn says why", spec.Given(joined(ana), joined(boris)).When(turn(2, queue.Agreed)).Then(jumped))
	t.Run("out of turn without a reason is refused", spec.Given(joined(ana), joined(boris)).When(turn(2, "")).ThenRefuse(queue.ErrReason))
	t.Run("of who is next needs no reason", spec.Given(joined(ana), joined(boris)).When(turn(1, queue.Agreed)).Then(anaCalled))
	t.Run("of nobody is refused", spec.Given(joined(ana)).When(turn(9, queue.Agreed)).ThenRefuse(queue.ErrNoTicket))
	t.Run("of who was skipped is refused", spec.Given(joined(ana), skipped).When(turn(1, queue.Agreed)).ThenRefuse(queue.ErrStatus))
	t.Run("of another while the desk has somebody is refused",
		spec.Given(joined(ana), joined(boris), anaCalled).When(turn(2, queue.Agreed)).ThenRefuse(queue.ErrDeskBusy))
}

func TestWhoWasCalled(t *testing.T) {
	t.Parallel()
	recall := queue.Recall{Ticket: 1, At: at(11, 1), By: "x"}
	skip := queue.Skip{Ticket: 1, At: at(11, 1), By: "x"}
	comeBack := queue.Return{Ticket: 1, At: at(11, 6), By: "x"}
	start, finish := queue.Start{Ticket: 1, At: at(11, 2), By: "x"}, queue.Finish{Ticket: 1, At: at(11, 30), By: "x"}
	leave := queue.Leave{Ticket: 1, At: at(11, 5), By: "x"}
	miss := leave
	miss.Missed = true
	missed := queue.WasMissed{Entry: ana, At: at(11, 5), By: "x"}
	toRoom := queue.Move{Ticket: 1, Room: "B", At: at(11, 3), By: "x"}

	t.Run("is called once more", spec.Given(joined(ana), anaCalled).When(recall).Then(queue.WasRecalled{Entry: ana, Desk: "1", At: at(11, 1), By: "x"}))
	t.Run("is called once more only if called", spec.Given(joined(ana)).When(recall).ThenRefuse(queue.ErrStatus))
	t.Run("is skipped", spec.Given(joined(ana), anaCalled).When(skip).Then(skipped))
	t.Run("is skipped not in service", spec.Given(joined(ana), anaCalled, started).When(skip).ThenRefuse(queue.ErrStatus))
	t.Run("returns", spec.Given(joined(ana), anaCalled, skipped).When(comeBack).Then(returned))
	t.Run("returns also after leaving", spec.Given(joined(ana), gone).When(comeBack).Then(returned))
	t.Run("returns not once finished", spec.Given(joined(ana), anaCalled, started, finished).When(comeBack).ThenRefuse(queue.ErrStatus))
	t.Run("begins", spec.Given(joined(ana), anaCalled).When(start).Then(started))
	t.Run("begins only if called", spec.Given(joined(ana)).When(start).ThenRefuse(queue.ErrStatus))
	t.Run("is finished", spec.Given(joined(ana), anaCalled, started).When(finish).Then(finished))
	t.Run("is finished not while waiting", spec.Given(joined(ana)).When(finish).ThenRefuse(queue.ErrStatus))
	t.Run("leaves without being seen", spec.Given(joined(ana)).When(leave).Then(gone))
	t.Run("leaves not while in service", spec.Given(joined(ana), anaCalled, started).When(leave).ThenRefuse(queue.ErrStatus))
	t.Run("is missed", spec.Given(joined(ana), anaCalled).When(miss).Then(missed))
	t.Run("is missed only when called", spec.Given(joined(ana)).When(miss).ThenRefuse(queue.ErrStatus))
	t.Run("goes to a room", spec.Given(joined(ana), anaCalled, started).When(toRoom).Then(room))
	t.Run("goes to a room only from a desk", spec.Given(joined(ana)).When(toRoom).ThenRefuse(queue.ErrStatus))
	t.Run("goes to a room that has a name", spec.Given(joined(ana), anaCalled).When(queue.Move{Ticket: 1}).ThenRefuse(queue.ErrDesk))
	for _, c := range []queue.Command{recall, skip, comeBack, start, finish, leave, miss, toRoom} {
		t.Run(fmt.Sprintf("is somebody for %T", c), spec.Given().When(c).ThenRefuse(queue.ErrNoTicket))
	}
}

func TestMarkUrgent(t *testing.T) {
	t.Parallel()
	mark := func(r queue.Reason) queue.MarkUrgent {
		return queue.MarkUrgent{Ticket: 1, Reason: r, At: at(11, 0), By: "x"}
	}
	urgent := queue.WasMarkedUrgent{Entry: ana, Reason: queue.Pain, At: at(10, 50), By: "x"}
	t.Run("says why", spec.Given(joined(ana)).When(mark(queue.Pain)).Then(queue.WasMarkedUrgent{Entry: ana, Reason: queue.Pain, At: at(11, 0), By: "x"}))
	t.Run("for another reason keeps the place",
		spec.Given(joined(ana), urgent).When(mark(queue.Child)).Then(queue.WasMarkedUrgent{Entry: ana, Reason: queue.Child, At: at(10, 50), By: "x"}))
	t.Run("without a reason is refused", spec.Given(joined(ana)).When(mark("")).ThenRefuse(queue.ErrReason))
	t.Run("of nobody is refused", spec.Given().When(mark(queue.Pain)).ThenRefuse(queue.ErrNoTicket))
	t.Run("of who is called is refused", spec.Given(joined(ana), anaCalled).When(mark(queue.Pain)).ThenRefuse(queue.ErrStatus))
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	to := func(p domain.PractitionerID) queue.Transfer {
		return queue.Transfer{Ticket: 1, To: p, At: at(11, 0), By: "x"}
	}
	t.Run("sends the person elsewhere", spec.Given(joined(ana)).When(to("souza")).Then(sent))
	t.Run("to the same practitioner is refused", spec.Given(joined(ana)).When(to("silva")).ThenRefuse(queue.ErrSame))
	t.Run("of nobody is refused", spec.Given().When(to("souza")).ThenRefuse(queue.ErrNoTicket))
	t.Run("of who is elsewhere by now is refused", spec.Given(joined(ana), sent).When(to("lima")).ThenRefuse(queue.ErrStatus))
	from := queue.Origin{Practitioner: "silva", Ticket: 4}
	receive := queue.Receive{Entry: unnumbered(boris), From: from, Urgent: queue.Pain, UrgentAt: at(10, 30), UrgentBy: "x", By: "x"}
	t.Run("is received once, and stays urgent", spec.Given(joined(ana)).When(receive).Then(
		queue.HasJoined{Entry: boris, From: &from, By: "x"}, queue.WasMarkedUrgent{Entry: boris, Reason: queue.Pain, At: at(10, 30), By: "x"}))
}

// state is the queue after the events.
func state(events ...queue.Event) queue.State {
	return domain.Fold(queue.Evolve, queue.State{}, events...)
}

func TestOrder(t *testing.T) {
	t.Parallel()
	late := booked(3, at(10, 0), at(10, 30))
	early := walkIn(4, at(9, 40))
	places := queue.Order(state(joined(ana), joined(boris), joined(late), joined(early),
		joined(walkIn(5, at(10, 59))), queue.WasMarkedUrgent{Entry: walkIn(5, at(10, 59)), Reason: queue.Pain, At: at(11, 0)}), at(11, 0))
	var got []string
	for _, p := range places {
		got = append(got, fmt.Sprint(p.Position, " ", p.Ticket.Ticket, " ", p.Why(time.UTC), ", ", p.Waited))
	}
	require.Equal(t, []string{
		"1 5 urgent, 1m0s",
		"2 4 walk-in since 09:40, 1h20m0s",
		"3 1 booked 10:20, arrived 10:05, 55m0s",
		"4 3 booked 10:00, arrived 10:30, 30m0s",
		"5 2 walk-in since 10:11, 49m0s",
	}, got)
}

// next draws a command that may come at any time.
func next(t *rapid.T, s queue.State, now time.Time, n int) queue.Command {
	ticket := rapid.IntRange(1, max(1, len(s.Tickets))).Draw(t, "ticket")
	desk := rapid.SampledFrom([]string{"1", "2"}).Draw(t, "desk")
	due := time.Time{}
	if rapid.Bool().Draw(t, "booked") {
		due = now.Add(time.Duration(rapid.IntRange(-30, 30).Draw(t, "due")) * time.Minute)
	}
	entry := booked(0, due, now)
	entry.ID, entry.Patient = fmt.Sprint("e", n), ""
	return rapid.SampledFrom([]queue.Command{
		queue.Join{Entry: entry, Today: day},
		queue.Follow{Entry: entry, Is: queue.Waiting, At: now},
		queue.Call{Desk: desk, At: now},
		queue.Call{Desk: desk, Ticket: ticket, Reason: queue.Agreed, At: now},
		queue.MarkUrgent{Ticket: ticket, Reason: queue.Pain, At: now},
		queue.Recall{Ticket: ticket, At: now},
		queue.Skip{Ticket: ticket, At: now},
		queue.Start{Ticket: ticket, At: now},
		queue.Finish{Ticket: ticket, At: now},
		queue.Leave{Ticket: ticket, At: now},
		queue.Transfer{Ticket: ticket, To: "souza", At: now},
		queue.Move{Ticket: ticket, Room: "B", At: now},
	}).Draw(t, "command")
}

// Nobody is called twice who has not returned in between, a desk has one
// person at a time, and of two who wait the order changes only when one of them
// is marked urgent.
func TestNobodyIsCalledTwiceAndTheOrderIsTotalAndStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s queue.State
		calls, now := map[int]int{}, at(9, 0)
		for n := range rapid.IntRange(1, 60).Draw(t, "commands") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "minutes")) * time.Minute)
			before := queue.Order(s, now)
			events, err := queue.Decide(s, next(t, s, now, n))
			if err != nil {
				require.Empty(t, events)
			}
			s = domain.Fold(queue.Evolve, s, events...)
			marked := 0
			for _, e := range events {
				if e, ok := e.(queue.WasCalled); ok {
					calls[e.Ticket]++
					require.LessOrEqual(t, calls[e.Ticket], 1, "twice")
				}
				if e, ok := e.(queue.WasMarkedUrgent); ok {
					marked = e.Ticket
				}
			}
			requireStable(t, before, queue.Order(s, now.Add(time.Hour)), marked)
			requireOnePerDesk(t, s)
		}
	})
}

// requireStable requires that those who wait in both are in the same order, but
// for who was marked, and that positions are 1, 2, 3 and so on.
func requireStable(t *rapid.T, before, after []queue.Place, marked int) {
	position := map[int]int{}
	for i, p := range after {
		require.Equal(t, i+1, p.Position)
		require.NotContains(t, position, p.Ticket.Ticket)
		position[p.Ticket.Ticket] = p.Position
	}
	last := 0
	for _, p := range before {
		if n, waits := position[p.Ticket.Ticket]; waits && p.Ticket.Ticket != marked {
			require.Greater(t, n, last)
			last = n
		}
	}
}

func requireOnePerDesk(t *rapid.T, s queue.State) {
	at := map[string]int{}
	for _, ticket := range s.Tickets {
		if ticket.Room == "" && (ticket.Status == queue.Called || ticket.Status == queue.InService) {
			at[ticket.Desk]++
			require.Equal(t, 1, at[ticket.Desk])
		}
	}
}
