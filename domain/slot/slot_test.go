package slot_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/domaintest"
	"github.com/slotbook/slotbook/domain/slot"
)

var (
	spec  = domaintest.Spec[slot.State, slot.Command, slot.Event]{Decide: slot.Decide, Evolve: slot.Evolve}
	nine  = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	terms = slot.Terms{Slot: "s", Practitioner: "p", Clinic: "c", Period: domain.Period{Start: nine, End: nine.Add(time.Hour)}}

	ana    = holder("ana", 1)
	ana2   = holder("ana", 2)
	boris  = holder("boris", 1)
	carlos = holder("carlos", 1)
)

func holder(who string, set int) slot.Holder {
	return slot.Holder{
		Claim:       claim.Claim{Owner: domain.Stream("appointment", who), Set: set},
		Appointment: domain.AppointmentID(who), Patient: domain.PatientID(who),
	}
}

func book(h slot.Holder, capacity int, dead ...slot.Holder) slot.Claim {
	fates := claim.Fates{}
	for _, d := range dead {
		fates[d.Claim] = claim.Dead
	}
	return slot.Claim{Terms: terms, Capacity: capacity, Holder: h, Fates: fates}
}

// at is the holder of another place than the first.
func at(h slot.Holder, place int) slot.Holder {
	h.Place = place
	return h
}

func booked(h slot.Holder, places int) slot.Booked {
	return slot.Booked{Terms: terms, Holder: h, Places: places}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	t.Run("a free slot is booked by who asks first",
		spec.Given().When(book(ana, 1)).Then(booked(ana, 1)))
	t.Run("a taken slot is refused",
		spec.Given(booked(ana, 1)).When(book(boris, 1)).ThenRefuse(slot.ErrTaken))
	t.Run("a slot of three places takes three",
		spec.Given(booked(ana, 3), booked(at(boris, 1), 3)).When(book(carlos, 3)).Then(booked(at(carlos, 2), 3)))
	t.Run("a slot of two places refuses the third",
		spec.Given(booked(ana, 2), booked(boris, 2)).When(book(carlos, 2)).ThenRefuse(slot.ErrTaken))
	t.Run("the same appointment and set is the same claim",
		spec.Given(booked(ana, 1)).When(book(ana, 1)).Then())
	t.Run("claims of one appointment never conflict with each other",
		spec.Given(booked(ana, 1)).When(book(ana2, 1)).Then(booked(ana2, 1)))
	t.Run("claims of one appointment count once",
		spec.Given(booked(ana, 2), booked(ana2, 2)).When(book(boris, 2)).Then(booked(at(boris, 1), 2)))
	t.Run("a dead claim in the way is released by whoever meets it",
		spec.Given(booked(ana, 1)).When(book(boris, 1, ana)).Then(slot.Released{Terms: terms, Holder: ana}, booked(boris, 1)))
	t.Run("a pending claim in the way is not released",
		spec.Given(booked(ana, 1)).When(slot.Claim{Terms: terms, Capacity: 1, Holder: boris, Fates: claim.Fates{ana.Claim: claim.Pending}}).ThenRefuse(slot.ErrTaken))
	t.Run("only as many dead claims are released as stand in the way",
		spec.Given(booked(ana, 2), booked(at(boris, 1), 2)).When(book(carlos, 2, ana, boris)).Then(slot.Released{Terms: terms, Holder: ana}, booked(carlos, 2)))
	t.Run("a live claim beside a dead one still stands in the way",
		spec.Given(booked(ana, 1), slot.Resized{Terms: terms, Places: 2}, booked(boris, 2), slot.Resized{Terms: terms, Places: 1}).
			When(book(carlos, 1, ana)).ThenRefuse(slot.ErrTaken))
	t.Run("a dead claim that is not in the way is left alone",
		spec.Given(booked(ana, 2)).When(book(boris, 2, ana)).Then(booked(at(boris, 1), 2)))
	t.Run("a withdrawn slot takes no new claim",
		spec.Given(slot.Withdrawn{Terms: terms}).When(book(ana, 1)).ThenRefuse(slot.ErrWithdrawn))
	t.Run("a place given back is free again",
		spec.Given(booked(ana, 1), slot.Released{Terms: terms, Holder: ana}).When(book(boris, 1)).Then(booked(boris, 1)))
	t.Run("the places in force are the slot's own, not those it was opened with",
		spec.Given(slot.Resized{Terms: terms, Places: 2}, booked(ana, 2)).When(book(boris, 1)).Then(booked(at(boris, 1), 2)))
}

func TestHold(t *testing.T) {
	t.Parallel()
	hold, held := book(ana, 1), slot.Held{Terms: terms, Holder: ana, Places: 1}
	hold.Tentative = true
	t.Run("keeps a place for a set that is not decided yet", spec.Given().When(hold).Then(held))
	t.Run("stands in the way of others", spec.Given(held).When(book(boris, 1)).ThenRefuse(slot.ErrTaken))
	t.Run("becomes a booking in its own place", spec.Given(held).When(book(ana, 1)).Then(booked(ana, 1)))
	t.Run("of what is booked changes nothing", spec.Given(booked(ana, 1)).When(hold).Then())
	t.Run("of what the clinic has withdrawn becomes no booking",
		spec.Given(held, slot.Withdrawn{Terms: terms, Displaced: []slot.Holder{ana}}).When(book(ana, 1)).ThenRefuse(slot.ErrWithdrawn))
	t.Run("of what the clinic has withdrawn becomes no request",
		spec.Given(held, slot.Withdrawn{Terms: terms, Displaced: []slot.Holder{ana}}).When(hold).ThenRefuse(slot.ErrWithdrawn))
	t.Run("twice is once", spec.Given(held).When(hold).Then())
	t.Run("that was given back leaves the place free", spec.Given(held).When(slot.Release{Claim: ana.Claim}).Then(slot.Released{Terms: terms, Holder: ana}))
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	t.Run("are told apart", spec.Given(booked(ana, 2)).When(book(boris, 2)).Then(booked(at(boris, 1), 2)))
	t.Run("of one that is held is told apart from one that is booked", spec.Given(slot.Held{Terms: terms, Holder: ana, Places: 2}).When(book(boris, 2)).
		Then(booked(at(boris, 1), 2)))
	t.Run("of a hold that nobody confirmed go to the next",
		spec.Given(slot.Held{Terms: terms, Holder: ana, Places: 1}).When(book(boris, 1, ana)).Then(slot.Released{Terms: terms, Holder: ana}, booked(boris, 1)))
	t.Run("stay with their holders when others leave",
		spec.Given(booked(ana, 3), booked(at(boris, 1), 3), slot.Released{Terms: terms, Holder: ana}).When(book(carlos, 3)).Then(booked(carlos, 3)))
}

func TestTurns(t *testing.T) {
	t.Parallel()
	minutes := func(t *testing.T, events ...slot.Event) (turns []any) {
		t.Helper()
		state := domain.Fold(slot.Evolve, slot.State{}, events...)
		for _, who := range []slot.Holder{ana, boris, carlos} {
			if at, shared := state.Turn(who.Claim); shared {
				turns = append(turns, int(at.Sub(terms.Start).Minutes()))
			} else {
				turns = append(turns, nil)
			}
		}
		return turns
	}
	more := slot.Resized{Terms: terms, Places: 4}
	t.Run("share the slot's time alike", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []any{0, 30, nil}, minutes(t, booked(ana, 2), booked(at(boris, 1), 2)))
		require.Equal(t, []any{0, 20, nil}, minutes(t, slot.Held{Terms: terms, Holder: ana, Places: 3}, booked(ana, 2), booked(at(boris, 1), 3)))
		require.Equal(t, []any{nil, nil, nil}, minutes(t, booked(ana, 1)), "who has the slot alone has no turn")
	})
	t.Run("stay when places are added, and the newcomers' are between them",
		spec.Given(booked(ana, 2), booked(at(boris, 1), 2), more).When(book(carlos, 2)).Then(booked(at(carlos, 1), 4)))
	t.Run("stay when places are added, each within the slot", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []any{0, 30, 15}, minutes(t, booked(ana, 2), booked(at(boris, 1), 2), more, booked(at(carlos, 1), 4)))
		require.Equal(t, []any{0, nil, 30}, minutes(t, booked(ana, 2), booked(at(boris, 1), 2), more, booked(at(carlos, 2), 4), slot.Released{Terms: terms, Holder: at(boris, 1)}))
	})
	t.Run("of a slot that was for one begin after the one",
		spec.Given(booked(ana, 1), more).When(book(boris, 1)).Then(booked(at(boris, 1), 4)))
	t.Run("of fewer places are given anew", spec.Given(
		booked(ana, 4), booked(at(boris, 1), 4), slot.Resized{Terms: terms, Places: 2}, slot.Released{Terms: terms, Holder: ana},
	).When(book(carlos, 2)).Then(booked(carlos, 2)))
}

func TestOverbook(t *testing.T) {
	t.Parallel()
	beyond := book(boris, 1)
	beyond.Beyond, beyond.Reason = true, domain.Open("boris", "in pain")
	added := slot.Overbooked{Terms: terms, Appointment: "boris", Places: 2, Reason: beyond.Reason}
	t.Run("adds a place and takes it", spec.Given(booked(ana, 1)).When(beyond).Then(added, booked(at(boris, 1), 2)))
	t.Run("adds none where one is left", spec.Given().When(beyond).Then(booked(boris, 1)))
	t.Run("adds one to as many as there are, also to more than are wanted",
		spec.Given(booked(ana, 2), booked(at(carlos, 1), 2), slot.Resized{Terms: terms, Places: 2, Wanted: 1}).When(beyond).
			Then(slot.Overbooked{Terms: terms, Appointment: "boris", Places: 3, Reason: beyond.Reason}, booked(at(boris, 2), 3)))
	t.Run("is known of who was taken in, until they leave", func(t *testing.T) {
		t.Parallel()
		state := domain.Fold(slot.Evolve, slot.State{}, []slot.Event{booked(ana, 1), added, booked(at(boris, 1), 2)}...)
		require.True(t, state.Added("boris"))
		require.False(t, state.Added("ana"))
		require.False(t, slot.Evolve(state, slot.Released{Terms: terms, Holder: at(boris, 1)}).Added("boris"))
	})
	t.Run("leaves the next one without staff refused",
		spec.Given(booked(ana, 1), added, booked(at(boris, 1), 2)).When(book(carlos, 1)).ThenRefuse(slot.ErrTaken))
	t.Run("does not open what was withdrawn", spec.Given(slot.Withdrawn{Terms: terms}).When(beyond).ThenRefuse(slot.ErrWithdrawn))
}

func TestARefusalNamesWhoStandsInTheWay(t *testing.T) {
	t.Parallel()
	state := domain.Fold(slot.Evolve, slot.State{}, slot.Event(booked(ana, 1)))
	_, err := slot.Decide(state, book(boris, 1))
	var taken *claim.Taken
	require.ErrorAs(t, err, &taken)
	require.Equal(t, []claim.Claim{ana.Claim}, taken.By)
}

func TestRelease(t *testing.T) {
	t.Parallel()
	t.Run("frees the place",
		spec.Given(booked(ana, 1)).When(slot.Release{Claim: ana.Claim}).Then(slot.Released{Terms: terms, Holder: ana}))
	t.Run("of set one leaves set two untouched",
		spec.Given(booked(ana2, 1)).When(slot.Release{Claim: ana.Claim}).Then())
}

func TestWithdraw(t *testing.T) {
	t.Parallel()
	t.Run("is always accepted",
		spec.Given().When(slot.Withdraw{Terms: terms}).Then(slot.Withdrawn{Terms: terms}))
	t.Run("leaves what is booked booked",
		spec.Given(booked(ana, 1), slot.Withdrawn{Terms: terms, Displaced: []slot.Holder{ana}}).When(book(ana, 1)).Then())
	t.Run("names those who are displaced",
		spec.Given(booked(ana, 1)).When(slot.Withdraw{Terms: terms}).Then(slot.Withdrawn{Terms: terms, Displaced: []slot.Holder{ana}}))
}

func TestReinstate(t *testing.T) {
	t.Parallel()
	withdrawn := slot.Withdrawn{Terms: terms, Displaced: []slot.Holder{ana}}
	reinstated := slot.Reinstated{Terms: terms, Holders: []slot.Holder{ana}}
	reinstate := slot.Reinstate{Terms: terms, Times: 1, Capacity: 1}
	t.Run("gives a withdrawn slot back to who has it", spec.Given(booked(ana, 1), withdrawn).When(reinstate).Then(reinstated))
	t.Run("twice is once", spec.Given(booked(ana, 1), withdrawn, reinstated).When(reinstate).Then())
	t.Run("does nothing to a slot that is on the schedule", spec.Given(booked(ana, 1)).When(reinstate).Then())
	t.Run("makes as many places as are wanted", spec.Given(booked(ana, 1), withdrawn).When(slot.Reinstate{Terms: terms, Times: 1, Capacity: 2}).
		Then(reinstated, slot.Resized{Terms: terms, Places: 2}))
	t.Run("keeps the places that are taken", spec.Given(booked(ana, 2), booked(at(boris, 1), 2), withdrawn).When(reinstate).
		Then(slot.Reinstated{Terms: terms, Holders: []slot.Holder{ana, at(boris, 1)}}, slot.Resized{Terms: terms, Places: 2, Wanted: 1}))
	t.Run("leaves the places alone where nothing is said of them", spec.Given(booked(ana, 2), withdrawn).When(slot.Reinstate{Terms: terms, Times: 1}).Then(reinstated))
	t.Run("lets others claim it again", spec.Given(booked(ana, 2), withdrawn, reinstated).When(book(boris, 2)).Then(booked(at(boris, 1), 2)))
	t.Run("lets what is held be booked again",
		spec.Given(slot.Held{Terms: terms, Holder: ana, Places: 1}, withdrawn, reinstated).When(book(ana, 1)).Then(booked(ana, 1)))
	t.Run("of a withdrawal does nothing after the next one, whether or not it came through",
		spec.Given(booked(ana, 1), withdrawn, withdrawn).When(reinstate).Then())
	t.Run("may be followed by another withdrawal", spec.Given(booked(ana, 1), withdrawn, reinstated).When(slot.Withdraw{Terms: terms, Times: 2}).Then(withdrawn))
	t.Run("that did not come through is shut out by the next withdrawal",
		spec.Given(booked(ana, 1), withdrawn).When(slot.Withdraw{Terms: terms, Times: 2}).Then(withdrawn))
	t.Run("is not undone by a withdrawal from before", spec.Given(booked(ana, 1), withdrawn, reinstated).When(slot.Withdraw{Terms: terms, Times: 1}).Then())
}

func TestResize(t *testing.T) {
	t.Parallel()
	t.Run("more places are open at once",
		spec.Given(booked(ana, 1)).When(slot.Resize{Terms: terms, Capacity: 2}).Then(slot.Resized{Terms: terms, Places: 2}))
	t.Run("fewer places never remove an occupied one",
		spec.Given(booked(ana, 3), booked(boris, 3)).When(slot.Resize{Terms: terms, Capacity: 1}).Then(slot.Resized{Terms: terms, Places: 2, Wanted: 1}))
	t.Run("fewer places refuse newcomers",
		spec.Given(booked(ana, 2), slot.Resized{Terms: terms, Places: 1}).When(book(boris, 2)).ThenRefuse(slot.ErrTaken))
	t.Run("each release then takes a place away",
		spec.Given(booked(ana, 3), booked(boris, 3), slot.Resized{Terms: terms, Places: 2, Wanted: 1}).
			When(slot.Release{Claim: ana.Claim}).
			Then(slot.Released{Terms: terms, Holder: ana}, slot.Resized{Terms: terms, Places: 1}))
	t.Run("a withdrawn slot is not resized",
		spec.Given(slot.Withdrawn{Terms: terms}).When(slot.Resize{Terms: terms, Capacity: 2}).Then())
}
