package occupancy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/domaintest"
	"github.com/slotbook/slotbook/domain/occupancy"
)

var (
	spec = domaintest.Spec[occupancy.State, occupancy.Command, occupancy.Event]{Decide: occupancy.Decide, Evolve: occupancy.Evolve}
	ana  = occupancy.Patient("ana")
)

func taken(owner string, set, from, to int) occupancy.Taken {
	day := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	hour := func(h int) time.Time { return day.Add(time.Duration(h) * time.Hour) }
	return occupancy.Taken{
		Claim:       claim.Claim{Owner: domain.Stream("appointment", owner), Set: set},
		Appointment: domain.AppointmentID(owner), Period: domain.Period{Start: hour(from), End: hour(to)},
	}
}

func booked(t occupancy.Taken) occupancy.Booked { return occupancy.Booked{Subject: ana, Taken: t} }

func released(t occupancy.Taken) occupancy.Released {
	return occupancy.Released{Subject: ana, Taken: t}
}

func claims(t occupancy.Taken, dead ...occupancy.Taken) occupancy.Claim {
	fates := claim.Fates{}
	for _, d := range dead {
		fates[d.Claim] = claim.Dead
	}
	return occupancy.Claim{Subject: ana, Taken: t, Fates: fates}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	first, overlapping, touching := taken("a", 1, 9, 10), taken("b", 1, 9, 11), taken("c", 1, 10, 11)
	moved, later := taken("a", 2, 9, 11), taken("a", 1, 10, 11)

	t.Run("free time is taken by who asks first",
		spec.Given().When(claims(first)).Then(booked(first)))
	t.Run("a patient cannot be in two places at once",
		spec.Given(booked(first)).When(claims(overlapping)).ThenRefuse(occupancy.ErrTaken))
	t.Run("a visit may start when another ends",
		spec.Given(booked(first)).When(claims(touching)).Then(booked(touching)))
	t.Run("the same appointment, set and period is the same claim",
		spec.Given(booked(first)).When(claims(first)).Then())
	t.Run("another period of the same set is another claim",
		spec.Given(booked(first)).When(claims(later)).Then(booked(later)))
	t.Run("claims of one appointment never conflict with each other",
		spec.Given(booked(first)).When(claims(moved)).Then(booked(moved)))
	t.Run("a dead claim in the way is released by whoever meets it",
		spec.Given(booked(first)).When(claims(overlapping, first)).Then(released(first), booked(overlapping)))
	t.Run("a pending claim in the way is not released",
		spec.Given(booked(first)).When(occupancy.Claim{Subject: ana, Taken: overlapping, Fates: claim.Fates{first.Claim: claim.Pending}}).
			ThenRefuse(occupancy.ErrTaken))
	t.Run("a dead claim does not hide a live one",
		spec.Given(booked(first), booked(touching)).When(claims(overlapping, first)).ThenRefuse(occupancy.ErrTaken))
}

func TestHold(t *testing.T) {
	t.Parallel()
	first, overlapping := taken("a", 1, 9, 10), taken("b", 1, 9, 11)
	hold, held := claims(first), occupancy.Held{Subject: ana, Taken: first}
	hold.Tentative = true
	t.Run("keeps the time for a set that is not decided yet", spec.Given().When(hold).Then(held))
	t.Run("stands in the way of others", spec.Given(held).When(claims(overlapping)).ThenRefuse(occupancy.ErrTaken))
	t.Run("becomes a booking", spec.Given(held).When(claims(first)).Then(booked(first)))
	t.Run("of what is booked changes nothing", spec.Given(booked(first)).When(hold).Then())
	t.Run("that nobody has confirmed is released by whoever meets it",
		spec.Given(held).When(claims(overlapping, first)).Then(released(first), booked(overlapping)))
	t.Run("that was given back leaves the time free",
		spec.Given(held).When(occupancy.Release{Subject: ana, Claim: first.Claim}).Then(released(first)))
}

func TestRoomsAndDevices(t *testing.T) {
	t.Parallel()
	room := occupancy.Subject{Kind: "room", ID: "one"}
	first, second := taken("a", 1, 9, 10), taken("b", 1, 9, 10)
	t.Run("a room is taken like a patient's time", spec.Given().When(occupancy.Claim{Subject: room, Taken: first}).
		Then(occupancy.Booked{Subject: room, Taken: first}))
	t.Run("and given to one visit at a time", spec.Given(occupancy.Booked{Subject: room, Taken: first}).
		When(occupancy.Claim{Subject: room, Taken: second}).ThenRefuse(occupancy.ErrTaken))
	t.Run("its stream says whose time it is", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, room, occupancy.SubjectOf(room.Stream("2026-03-02")))
		require.Equal(t, domain.Day("2026-03-02"), occupancy.DayOf(room.Stream("2026-03-02")))
	})
	later := taken("a", 1, 11, 12)
	t.Run("each period of one claim is booked by itself",
		spec.Given(occupancy.Held{Subject: ana, Taken: first}, occupancy.Held{Subject: ana, Taken: later}, booked(first)).
			When(claims(later)).Then(booked(later)))
}

func TestRelease(t *testing.T) {
	t.Parallel()
	first, second := taken("a", 1, 9, 10), taken("a", 2, 9, 11)
	t.Run("frees the time",
		spec.Given(booked(first)).When(occupancy.Release{Subject: ana, Claim: first.Claim}).Then(released(first)))
	again := taken("a", 1, 11, 12)
	t.Run("frees every period of the claim",
		spec.Given(booked(first), booked(again)).When(occupancy.Release{Subject: ana, Claim: first.Claim}).Then(released(first), released(again)))
	t.Run("of one period leaves the other taken",
		spec.Given(booked(first), booked(again), released(first)).When(claims(taken("b", 1, 11, 12))).ThenRefuse(occupancy.ErrTaken))
	t.Run("of set one leaves set two untouched",
		spec.Given(booked(second)).When(occupancy.Release{Subject: ana, Claim: first.Claim}).Then())
}
