package commands_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/resource"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

const subject domain.AppointmentID = "3c6f8a60-0000-4000-8000-000000000001"

// scene is a clinic in which a command of the booking protocol is about to be
// sent, with all that a command may claim: a slot, the patient's time, a room
// and quotas.
type scene struct {
	*world
	silvas, souzas []schedule.Slot
	token          string
}

func (s *scene) wish(who domain.PatientID, at domain.SlotID) commands.Booking {
	return commands.Booking{Appointment: subject, Slots: []domain.SlotID{at}, Patient: who, Uses: []commands.Use{{Resource: room}}}
}

func (s *scene) done(_ commands.Answer[appointment.State], err error) { require.NoError(s.t, err) }

func (s *scene) terms(terms policy.Terms) {
	_, err := s.h.SetPolicy(s.ctx, s.request(), policy.Set{Scope: policy.Scope{Kind: policy.OfClinic, ID: string(s.clinic)}, Terms: terms})
	require.NoError(s.t, err)
}

func (s *scene) hold(who domain.PatientID) {
	answer, err := s.h.Hold(s.ctx, s.request(), commands.Holding{Booking: s.wish(who, first(s)), For: 15 * time.Minute})
	require.NoError(s.t, err)
	_, n := answer.State.Latest()
	s.token = s.h.Token(subject, n)
}

func newScene(t require.TestingT, stepByStep, approval bool) *scene {
	s := &scene{world: newWorld(t, stepByStep)}
	s.silvas = s.set(s.silva, s.weekdays("09:00", "12:00", 30, 1, 2)).Opened // two days
	s.souzas = s.open(s.souza, 1)
	_, err := s.h.AddResource(s.ctx, s.request(), resource.Add{Resource: room, Clinic: s.clinic, Kind: resource.Room, Name: "Room 1"})
	require.NoError(t, err)
	s.terms(policy.Terms{
		PractitionerDay: new(9), PatientDay: new(2), PatientActive: new(2), PatientPractitioner: new(2), UndoGrace: new(60), Approval: &approval,
	})
	return s
}

// step is a command of the protocol with what comes before it.
type step struct {
	name     string
	approval bool
	before   func(s *scene)
	do       func(s *scene, h *commands.Handler, req commands.Request) (commands.Answer[appointment.State], error)
	was, is  appointment.Status // before and after; "" = there is no appointment
	freed    func(s *scene) domain.SlotID
}

// Visits start an hour after the opening: a request may be answered until 15
// minutes after it.
func first(s *scene) domain.SlotID     { return s.silvas[2].ID }
func second(s *scene) domain.SlotID    { return s.silvas[3].ID }
func tomorrow(s *scene) domain.SlotID  { return s.silvas[8].ID }
func elsewhere(s *scene) domain.SlotID { return s.souzas[2].ID }

// steps returns every command of the protocol.
func steps() []step {
	nothing := func(*scene) {}
	held := func(s *scene) { s.hold("") }
	heldForAna := func(s *scene) { s.hold(s.ana) }
	book := func(s *scene, h *commands.Handler, req commands.Request) (commands.Answer[appointment.State], error) {
		return h.Book(s.ctx, req, s.wish(s.ana, first(s)))
	}
	booked := func(s *scene) { s.done(book(s, s.h, s.request())) }
	complete := func(s *scene, h *commands.Handler, req commands.Request) (commands.Answer[appointment.State], error) {
		return h.Complete(s.ctx, req, commands.Completion{Appointment: subject, Token: s.token, Patient: s.ana})
	}
	cancel := func(s *scene, h *commands.Handler, req commands.Request) (commands.Answer[appointment.State], error) {
		return h.Cancel(s.ctx, req, commands.Cancellation{Appointment: subject, Initiator: appointment.ByPatient})
	}
	move := func(to func(s *scene) domain.SlotID) func(*scene, *commands.Handler, commands.Request) (commands.Answer[appointment.State], error) {
		return func(s *scene, h *commands.Handler, req commands.Request) (commands.Answer[appointment.State], error) {
			wish := s.wish("", to(s))
			wish.By = appointment.ByPatient
			return h.Reschedule(s.ctx, req, commands.Move{Booking: wish})
		}
	}
	longer := func(s *scene, h *commands.Handler, req commands.Request) (commands.Answer[appointment.State], error) {
		wish := s.wish("", first(s))
		wish.Slots, wish.By = append(wish.Slots, second(s)), appointment.ByPatient
		return h.Reschedule(s.ctx, req, commands.Move{Booking: wish})
	}
	undo := func(s *scene, h *commands.Handler, req commands.Request) (commands.Answer[appointment.State], error) {
		return h.Undo(s.ctx, req, subject)
	}
	merged := func(s *scene) { require.NoError(s.t, s.merge(s.carlos, s.ana)) }
	const b, p, c = appointment.Booked, appointment.Pending, appointment.Cancelled
	return []step{
		{name: "book", before: nothing, do: book, is: b},
		{name: "hold", before: nothing, is: p, do: func(s *scene, h *commands.Handler, req commands.Request) (commands.Answer[appointment.State], error) {
			return h.Hold(s.ctx, req, commands.Holding{Booking: s.wish("", first(s)), For: time.Minute})
		}},
		{name: "complete what was held for the patient", before: heldForAna, do: complete, was: p, is: b},
		{name: "complete with a patient", before: held, do: complete, was: p, is: b},
		{name: "complete to be approved", approval: true, before: held, do: complete, was: p, is: p},
		{name: "complete what was held for the patient, to be approved", approval: true, before: heldForAna, do: complete, was: p, is: p},
		{name: "request", approval: true, before: nothing, do: book, is: p},
		{name: "approve", approval: true, before: booked, was: p, is: b, do: func(s *scene, h *commands.Handler, req commands.Request) (commands.Answer[appointment.State], error) {
			return h.Approve(s.ctx, req, subject)
		}},
		{name: "decline", approval: true, before: booked, was: p, is: c, freed: first, do: func(s *scene, h *commands.Handler, req commands.Request) (commands.Answer[appointment.State], error) {
			return h.Decline(s.ctx, req, commands.Refusal{Appointment: subject})
		}},
		{name: "release", before: held, was: p, is: c, freed: first, do: func(s *scene, h *commands.Handler, req commands.Request) (commands.Answer[appointment.State], error) {
			return h.Release(s.ctx, req, subject, s.token)
		}},
		{name: "lapse", before: func(s *scene) { s.hold(""); s.clock.advance(16 * time.Minute) }, was: p, is: c, freed: first, do: func(s *scene, h *commands.Handler, req commands.Request) (commands.Answer[appointment.State], error) {
			return h.Lapse(s.ctx, req, subject, 1)
		}},
		{name: "reschedule to another day", before: booked, do: move(tomorrow), was: b, is: b, freed: first},
		{name: "reschedule to another practitioner at the same time", before: booked, do: move(elsewhere), was: b, is: b, freed: first},
		{name: "reschedule within the day", before: booked, do: move(second), was: b, is: b, freed: first},
		{name: "reschedule to what overlaps", before: booked, do: longer, was: b, is: b},
		{name: "cancel", before: booked, do: cancel, was: b, is: c, freed: first},
		{name: "undo a cancellation", before: func(s *scene) { booked(s); s.done(cancel(s, s.h, s.request())) }, was: c, is: b, do: undo},
		{name: "undo the cancellation of a request", approval: true, before: func(s *scene) { booked(s); s.done(cancel(s, s.h, s.request())) }, was: c, is: p, do: undo},
		{name: "undo a refusal", approval: true, before: func(s *scene) {
			booked(s)
			s.done(s.h.Decline(s.ctx, s.request(), commands.Refusal{Appointment: subject}))
		}, was: c, is: p, do: undo},
		{name: "book who was merged", before: merged, do: book, is: b},
		{name: "reschedule who was merged", before: func(s *scene) { merged(s); booked(s) }, do: move(tomorrow), was: b, is: b, freed: first},
		{name: "reschedule what a duplicate has", before: func(s *scene) { booked(s); require.NoError(s.t, s.merge(s.ana, s.carlos)) }, do: move(second), was: b, is: b, freed: first},
	}
}

// eachDeath lets a command die at each of its appends, until it needs no more.
func eachDeath(t *testing.T, test func(t *testing.T, s *scene, c step, req commands.Request)) {
	t.Helper()
	for _, c := range steps() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for n := 0; ; n++ {
				died := false
				for _, after := range []bool{false, true} {
					s := newScene(t, true, c.approval)
					c.before(s)
					req := s.request()
					store := &crashing{Store: s.store, appends: n, after: after}
					_, err := c.do(s, s.handler(store), req)
					if err != nil {
						require.ErrorIs(t, err, errCrash)
					}
					s.audit()
					died = store.dead
					test(t, s, c, req)
				}
				if !died {
					require.Positive(t, n)
					return
				}
			}
		})
	}
}

func TestADeadCommandIsFinishedWhenItIsSentAgain(t *testing.T) {
	t.Parallel()
	eachDeath(t, func(t *testing.T, s *scene, c step, req commands.Request) {
		answer, err := c.do(s, s.h, req)
		require.NoError(t, err)
		require.Equal(t, c.is, answer.State.Status)
		s.audit()
		s.nothingIsOwed()
		if c.freed != nil {
			require.Equal(t, 1, s.slot(c.freed(s)).Free())
			s.done(s.h.Book(s.ctx, s.request(), s.booking(s.boris, c.freed(s))))
		}
		before := len(s.log())
		again, err := c.do(s, s.handler(s.store), req)
		require.NoError(t, err)
		require.True(t, again.Replayed)
		require.Equal(t, answer.Revision, again.Revision)
		require.Equal(t, answer.State.Status, again.State.Status)
		require.Len(t, s.log(), before, "a repeat stores nothing")
		s.audit()
	})
}

func TestADeadCommandIsRepeatedAfterItsDeadline(t *testing.T) {
	t.Parallel()
	eachDeath(t, func(t *testing.T, s *scene, c step, req commands.Request) {
		s.clock.advance(time.Minute / 2)
		answer, err := c.do(s, s.h, req)
		require.NoError(t, err)
		require.Equal(t, c.is, answer.State.Status)
		require.GreaterOrEqual(t, s.audit().Live(), live(c.is))
		s.nothingIsOwed()
	})
}

func TestADeadCommandIsInNobodysWayAfterItsDeadline(t *testing.T) {
	t.Parallel()
	eachDeath(t, func(t *testing.T, s *scene, c step, _ commands.Request) {
		s.clock.advance(s.silvas[0].Start.Add(20 * time.Minute).Sub(s.clock.now())) // no hold or request has that long
		answer, err := s.h.Appointment(s.ctx, subject)
		status := answer.State.Status
		if err != nil {
			require.ErrorIs(t, err, appointment.ErrNotFound)
		}
		if c.was == appointment.Booked && c.is == appointment.Booked {
			require.Equal(t, appointment.Booked, status, "whatever dies, the appointment stands")
		}
		s.others(answer.State)
		s.audit()
	})
}

// others lets boris book every slot that the subject, by its own stream, has no
// right to any more.
func (s *scene) others(state appointment.State) {
	current, n := state.Current()
	for _, at := range []domain.SlotID{first(s), second(s), tomorrow(s), elsewhere(s)} {
		b := s.booking(s.boris, at)
		_, err := s.h.Book(s.ctx, s.request(), b)
		if state.Fate(n) == claim.Live && slices.Contains(current.Slots, at) {
			require.ErrorIs(s.t, err, slot.ErrTaken)
			continue
		}
		require.NoError(s.t, err)
		s.done(s.h.Cancel(s.ctx, s.request(), commands.Cancellation{Appointment: b.Appointment, Initiator: appointment.ByClinic}))
	}
}

func live(s appointment.Status) int {
	if s == appointment.Booked {
		return 1
	}
	return 0
}

// nothingIsOwed fails the test when a dead set still has a claim.
func (s *scene) nothingIsOwed() {
	state := map[domain.StreamName]appointment.State{}
	held := map[string]bool{}
	for _, r := range s.log() {
		if e, ok := r.Event.(appointment.Event); ok {
			state[r.Stream] = appointment.Evolve(state[r.Stream], e)
		}
		if c, taken, ok := claimOf(r.Event); ok {
			held[fmt.Sprint(r.Stream, " ", c.Owner, " ", c.Set)] = taken
		}
	}
	for owner, st := range state {
		for i, set := range st.Sets {
			for _, stream := range set.Claims {
				if set.Fate == claim.Dead {
					require.False(s.t, held[fmt.Sprint(stream, " ", owner, " ", i+1)], "set %d of %s is dead and has %s", i+1, owner, stream)
				}
			}
		}
	}
}

func TestDryRunsPlanWhatIsDone(t *testing.T) {
	t.Parallel()
	for _, c := range steps() {
		for _, stepByStep := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, step by step %t", c.name, stepByStep), func(t *testing.T) {
				t.Parallel()
				s := newScene(t, stepByStep, c.approval)
				c.before(s)
				before := len(s.log())
				req := s.request()
				req.DryRun = true
				dry, err := c.do(s, s.h, req)
				require.NoError(t, err)
				require.Len(t, s.log(), before)
				req.DryRun = false
				stored, err := c.do(s, s.h, req)
				require.NoError(t, err)
				log := s.log()
				var plan, did []string
				for _, p := range dry.Planned {
					plan = append(plan, string(p.Stream)+" "+p.Event.EventType())
				}
				for _, r := range log[before:] {
					did = append(did, string(r.Stream)+" "+r.Event.EventType())
				}
				require.Equal(t, did, plan)
				require.Equal(t, stored.Revision, dry.Revision)
				require.Equal(t, stored.State.Status, dry.State.Status)
				require.Equal(t, log[len(log)-1].Position, stored.Position, "of the last event that was stored")
				now, err := s.h.Appointment(s.ctx, subject)
				require.NoError(t, err)
				require.Equal(t, now.Revision, stored.Revision)
				require.Equal(t, now.State, stored.State)
				s.audit()
			})
		}
	}
}

func TestIfMatchWorksOnEveryCommandOfTheProtocol(t *testing.T) {
	t.Parallel()
	for _, c := range steps() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, stepByStep := range []bool{false, true} {
				s := newScene(t, stepByStep, c.approval)
				c.before(s)
				req, before := s.request(), len(s.log())
				seen := domain.NoStream
				if now, err := s.h.Appointment(s.ctx, subject); err == nil {
					seen = now.Revision
				}
				old := seen + 1
				req.Expected = &old
				_, err := c.do(s, s.h, req)
				require.ErrorIs(t, err, commands.ErrStale)
				require.Len(t, s.log(), before)
				req.Expected = &seen
				_, err = c.do(s, s.h, req)
				require.NoError(t, err)
				_, err = c.do(s, s.h, req)
				require.NoError(t, err, "a repeat does not ask again")
			}
		})
	}
}

func TestBothStoresKeepTheSameHistoryOfEveryCommand(t *testing.T) {
	t.Parallel()
	for _, c := range steps() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var all [2]map[domain.StreamName][]string
			for i, stepByStep := range []bool{false, true} {
				s := newScene(t, stepByStep, c.approval)
				c.before(s)
				s.done(c.do(s, s.h, s.request()))
				s.nothingIsOwed()
				all[i] = s.histories()
			}
			require.Equal(t, all[0], all[1])
		})
	}
}

func TestAPlainBookingIsOneLoadAndOneAppend(t *testing.T) {
	t.Parallel()
	s := newScene(t, false, false)
	store := &counting{Store: s.store}
	h := s.handler(store)
	s.done(h.Book(s.ctx, s.request(), s.booking(s.ana, s.souzas[0].ID))) // fills the caches
	store.loads, store.appends = 0, 0
	s.done(h.Book(s.ctx, s.request(), s.booking(s.ana, s.souzas[1].ID)))
	require.Equal(t, 1, store.loads)
	require.Equal(t, 1, store.appends)
}
