package projections_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/waitlist"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

func waitlistAlone(func(domain.Sealed) string) []engine.Model {
	return []engine.Model{projections.WaitlistModel()}
}

func wished(id domain.WishID, e waitlist.Event) fact { return on(waitlist.Stream(id), e) }

func joined(id domain.WishID, who domain.PatientID, change func(*waitlist.HasJoined)) fact {
	e := waitlist.HasJoined{Wish: waitlist.Wish{ID: id, Patient: who, Practitioners: []domain.PractitionerID{ana}}, Since: at(8, 0)}
	if change != nil {
		change(&e)
	}
	return wished(id, e)
}

// openingAt is Ana's slot at nine.
var openingAt = waitlist.Opening{Slot: slotID(ana, 0), Practitioner: ana, Clinic: centre, Period: half(9, 0)}

func offerOf(id domain.AppointmentID, set int) waitlist.Offer {
	return waitlist.Offer{Claim: claim.Claim{Owner: appointment.Stream(id), Set: set}, Appointment: id, Opening: openingAt, Until: at(8, 30)}
}

func inLine(want ...domain.WishID) func(*testing.T, *engine.Engine) {
	return func(t *testing.T, e *engine.Engine) {
		t.Helper()
		line, err := projections.NewWaitlist(e).Line(t.Context(), waitlist.Free{
			Opening: openingAt, Specialties: []string{"dermatology"}, Town: "lisbon", Zone: time.UTC,
		}, 0)
		require.NoError(t, err)
		require.Equal(t, want, line)
		waits, err := projections.NewWaitlist(e).Anybody(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, len(want) > 0, waits)
	}
}

func TestWhoIsInLine(t *testing.T) {
	t.Parallel()
	first, second := joined("z", pat, nil), joined("b", quinn, nil)
	then := func(to string, want []domain.WishID, facts ...fact) {
		t.Run(to, projectionstest.Given(waitlistAlone, facts...).Then(inLine(want...)))
	}
	of := func(ids ...domain.WishID) []domain.WishID { return ids }
	then("who joined first comes first", of("z", "b"), first, second)
	then("who has an offer is asked, and told why not", of("z", "b"), first, second, wished("z", waitlist.WasOffered{Wish: "z", Patient: pat, Offer: offerOf(visitA, 1)}))
	then("who has accepted is not", of("b"), first, second,
		wished("z", waitlist.WasOffered{Wish: "z", Patient: pat, Offer: offerOf(visitA, 1)}),
		wished("z", waitlist.WasAccepted{Wish: "z", Patient: pat, Offer: offerOf(visitA, 1)}))
	then("unless it came to nothing", of("z", "b"), first, second,
		wished("z", waitlist.WasOffered{Wish: "z", Patient: pat, Offer: offerOf(visitA, 1)}),
		wished("z", waitlist.WasAccepted{Wish: "z", Patient: pat, Offer: offerOf(visitA, 1)}),
		wished("z", waitlist.HasPassed{Wish: "z", Patient: pat, Offer: offerOf(visitA, 1), Why: waitlist.NotApproved}))
	then("nobody is when all have left", nil, first, wished("z", waitlist.HasEnded{Wish: "z", Patient: pat, Why: waitlist.HasLeft}))
	then("who has left is not", of("b"), first, second, wished("z", waitlist.HasEnded{Wish: "z", Patient: pat, Why: waitlist.HasLeft}))
	then("nor who left while something was offered", of("b"), first, second,
		wished("z", waitlist.WasOffered{Wish: "z", Patient: pat, Offer: offerOf(visitA, 1)}),
		wished("z", waitlist.HasEnded{Wish: "z", Patient: pat, Why: waitlist.HasLeft}),
		wished("z", waitlist.HasPassed{Wish: "z", Patient: pat, Offer: offerOf(visitA, 1), Why: waitlist.Declined}))
	for name, change := range map[string]func(*waitlist.HasJoined){
		"another practitioner": func(e *waitlist.HasJoined) { e.Practitioners = []domain.PractitionerID{bo} },
		"another specialty":    func(e *waitlist.HasJoined) { e.Specialty = "dentistry" },
		"another clinic":       func(e *waitlist.HasJoined) { e.Clinics = []domain.ClinicID{harbor} },
		"another town":         func(e *waitlist.HasJoined) { e.Town = "porto" },
		"another district":     func(e *waitlist.HasJoined) { e.District = "alfama" },
		"a later day":          func(e *waitlist.HasJoined) { e.Earliest = "2026-03-03" },
		"an earlier day":       func(e *waitlist.HasJoined) { e.Latest = "2026-03-01" },
		"the afternoon":        func(e *waitlist.HasJoined) { e.Times = []waitlist.Times{{From: 720, To: 1440}} },
	} {
		then("who wants "+name+" is not", of("b"), joined("z", pat, change), second)
	}
	then("who wants just this is", of("z"), joined("z", pat, func(e *waitlist.HasJoined) {
		e.Specialty, e.Clinics, e.Town, e.Earliest, e.Latest = "dermatology", []domain.ClinicID{harbor, centre}, "lisbon", "2026-03-02", "2026-03-02"
		e.Times = []waitlist.Times{{Weekdays: []int{1}, From: 540, To: 541}}
	}))
}

func TestWhoWaitsAndWhoWasAsked(t *testing.T) {
	t.Parallel()
	offered := wished("z", waitlist.WasOffered{Wish: "z", Patient: pat, Offer: offerOf(visitA, 1)})
	declined := wished("z", waitlist.HasPassed{Wish: "z", Patient: pat, Offer: offerOf(visitA, 1), Why: waitlist.Declined})
	skipped := wished("b", waitlist.WasSkipped{Wish: "b", Patient: quinn, Opening: openingAt, Rule: "occupancy.taken"})
	answers := func(check func(t *testing.T, w projections.Waitlist)) func(*testing.T, *engine.Engine) {
		return func(t *testing.T, e *engine.Engine) { t.Helper(); check(t, projections.NewWaitlist(e)) }
	}
	asked := func(t *testing.T, w projections.Waitlist, f projections.AskedFilter) []projections.Asked {
		t.Helper()
		list, err := w.Asked(t.Context(), f, 0)
		require.NoError(t, err)
		return list.Items
	}
	t.Run("a wish is shown as it stands", projectionstest.Given(waitlistAlone, joined("z", pat, func(e *waitlist.HasJoined) {
		e.Times, e.Appointment, e.Expires = []waitlist.Times{{Weekdays: []int{1}, From: 0, To: 60}}, visitB, at(23, 0)
	}), offered, skipped).Then(answers(func(t *testing.T, w projections.Waitlist) {
		list, err := w.Wishes(t.Context(), projections.WishFilter{Patient: pat, Practitioner: ana}, 0)
		require.NoError(t, err)
		require.Len(t, list.Items, 1)
		got := list.Items[0]
		require.Equal(t, waitlist.Offered, got.Status)
		require.Equal(t, []waitlist.Times{{Weekdays: []int{1}, From: 0, To: 60}}, got.Times)
		require.Equal(t, visitB, got.Appointment)
		require.Equal(t, visitA, got.OfferOf)
		require.Equal(t, at(8, 30), got.Until)
		require.Equal(t, at(23, 0), got.Expires)
	})))
	t.Run("those of a merged patient are those of who is kept",
		projectionstest.Given(waitlistAlone, joined("z", pat, nil), offered, wished("z", waitlist.WasMoved{Wish: "z", Patient: quinn, From: pat})).
			Then(answers(func(t *testing.T, w projections.Waitlist) {
				ids, err := w.OfPatient(t.Context(), quinn, 0)
				require.NoError(t, err)
				require.Equal(t, []domain.WishID{"z"}, ids)
				require.Len(t, asked(t, w, projections.AskedFilter{Patient: quinn, Offers: true}), 1)
				require.Empty(t, asked(t, w, projections.AskedFilter{Patient: pat}))
			})))
	t.Run("lists are read in pages, and leave out what has ended",
		projectionstest.Given(waitlistAlone, joined("z", pat, nil), joined("b", quinn, nil), joined("c", pat, nil),
			wished("b", waitlist.HasEnded{Wish: "b", Patient: quinn, Why: waitlist.HasExpired})).
			Then(answers(func(t *testing.T, w projections.Waitlist) {
				list, err := w.Wishes(t.Context(), projections.WishFilter{Limit: 1}, 0)
				require.NoError(t, err)
				require.True(t, list.More)
				next, err := w.Wishes(t.Context(), projections.WishFilter{Limit: 1, After: list.Items[0].Cursor()}, 0)
				require.NoError(t, err)
				require.Equal(t, domain.WishID("c"), next.Items[0].ID)
				all, err := w.Wishes(t.Context(), projections.WishFilter{Ended: true}, 0)
				require.NoError(t, err)
				require.Len(t, all.Items, 3)
				require.Equal(t, waitlist.HasExpired, all.Items[1].End)
			})))
	t.Run("who was offered a slot, and who was passed over",
		projectionstest.Given(waitlistAlone, joined("z", pat, nil), joined("b", quinn, nil), offered, declined, skipped).
			Then(answers(func(t *testing.T, w projections.Waitlist) {
				list := asked(t, w, projections.AskedFilter{Slot: slotID(ana, 0)})
				require.Len(t, list, 2)
				require.Equal(t, []string{"z", waitlist.Declined, ""}, []string{string(list[0].Wish), list[0].Ended, list[0].Rule})
				require.Equal(t, []string{"b", "", "occupancy.taken"}, []string{string(list[1].Wish), list[1].Ended, list[1].Rule})
				require.Len(t, asked(t, w, projections.AskedFilter{Offers: true}), 1)
				require.Len(t, asked(t, w, projections.AskedFilter{Wish: "b"}), 1)
				require.Len(t, asked(t, w, projections.AskedFilter{After: list[0].Cursor()}), 1)
			})))
	t.Run("an offer that they never had is none",
		projectionstest.Given(waitlistAlone, joined("z", pat, nil), offered, wished("z", waitlist.HasPassed{Wish: "z", Patient: pat, Offer: offerOf(visitA, 1)})).
			Then(answers(func(t *testing.T, w projections.Waitlist) { require.Empty(t, asked(t, w, projections.AskedFilter{})) })))
}

func TestAWishIsDueWhenItsLatestDateIsOver(t *testing.T) {
	t.Parallel()
	until := joined("z", pat, func(e *waitlist.HasJoined) { e.Expires = at(9, 0) })
	due := domain.Deadline{Kind: waitlist.DueExpire, Owner: waitlist.Stream("z"), At: at(9, 0)}
	offered := wished("z", waitlist.WasOffered{Wish: "z", Patient: pat, Offer: offerOf(visitA, 1)})
	accepted := wished("z", waitlist.WasAccepted{Wish: "z", Patient: pat, Offer: offerOf(visitA, 1)})
	passed := wished("z", waitlist.HasPassed{Wish: "z", Patient: pat, Offer: offerOf(visitA, 1), Why: waitlist.Declined})
	ended := wished("z", waitlist.HasEnded{Wish: "z", Patient: pat, Why: waitlist.HasLeft})
	for name, c := range map[string]struct {
		facts []fact
		want  []domain.Deadline
	}{
		"a wish until a date ends with it":           {[]fact{until}, []domain.Deadline{due}},
		"also while something is offered":            {[]fact{until, offered}, []domain.Deadline{due}},
		"not once that is accepted":                  {[]fact{until, offered, accepted}, nil},
		"but when that has come to nothing":          {[]fact{until, offered, accepted, passed}, []domain.Deadline{due}},
		"not once it has ended":                      {[]fact{until, ended}, nil},
		"not after an offer ended with it":           {[]fact{until, offered, ended, passed}, nil},
		"a wish without a date ends by itself never": {[]fact{joined("z", pat, nil)}, nil},
	} {
		t.Run(name, projectionstest.Given(dueAlone, c.facts...).Then(dueAre(c.want...)))
	}
	v := visit(visitA, pat, ana, 0, half(9, 0))
	t.Run("an offer lapses as a hold does", projectionstest.Given(dueAlone, proposed(v, 1, at(8, 1)),
		about(v, appointment.WasHeld{Visit: v, Set: 1, Deadline: at(8, 30), Ceiling: at(8, 30), Wish: "z"}), until).
		Then(dueAre(due, domain.Deadline{Kind: appointment.DueLapse, Owner: appointment.Stream(visitA), Set: 1, At: at(8, 30).Add(appointment.ClockSlack)})))
}

func TestAVisitStaysBookedWhileSomethingEarlierIsOffered(t *testing.T) {
	t.Parallel()
	v, sooner := visit(visitA, pat, ana, 1, half(11, 0)), visit(visitA, pat, ana, 0, half(9, 0))
	history := []fact{
		clinicFact(centre, "Centre", "UTC"), proposed(v, 1, at(8, 1)), booked(v, 1), proposed(sooner, 2, at(8, 2)),
		about(sooner, appointment.WasHeld{Visit: sooner, Set: 2, Deadline: at(8, 30), Ceiling: at(8, 30), Wish: "z"}),
	}
	alone := func(open func(domain.Sealed) string) []engine.Model {
		return []engine.Model{projections.AppointmentsModel(), projections.DirectoryModel(), projections.PatientsModel(open, nil)}
	}
	is := func(start time.Time) func(*testing.T, *engine.Engine) {
		return func(t *testing.T, e *engine.Engine) {
			t.Helper()
			list, err := projections.NewAppointments(e).List(t.Context(), projections.AppointmentFilter{}, at(8, 10), 0)
			require.NoError(t, err)
			require.Len(t, list.Items, 1)
			require.Equal(t, appointment.Booked, list.Items[0].Status)
			require.Equal(t, start, list.Items[0].Start.UTC())
		}
	}
	t.Run("at its own time", projectionstest.Given(alone, history...).Then(is(at(11, 0))))
	t.Run("when it is declined", projectionstest.Given(alone, append(history, about(sooner, appointment.WasReleased{Visit: sooner, Set: 2}))...).Then(is(at(11, 0))))
	t.Run("at the other when it is accepted", projectionstest.Given(alone, append(history[:5:5], about(sooner, appointment.WasBooked{Visit: sooner, Set: 2, Replaces: 1}))...).Then(is(at(9, 0))))
}
