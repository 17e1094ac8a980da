package waitlist_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/domaintest"
	"github.com/slotbook/slotbook/domain/waitlist"
)

var (
	spec   = domaintest.Spec[waitlist.State, waitlist.Command, waitlist.Event]{Decide: waitlist.Decide, Evolve: waitlist.Evolve}
	now    = time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC) // a Monday
	wish   = waitlist.Wish{ID: "w", Patient: "ana", Practitioners: []domain.PractitionerID{"silva"}}
	joined = waitlist.HasJoined{Wish: wish, Since: now}
	place  = waitlist.Opening{
		Slot: "s", Practitioner: "silva", Clinic: "c", Period: domain.Period{Start: now.Add(24 * time.Hour), End: now.Add(25 * time.Hour)},
	}
	offer    = offerOf("appointment-a", 1)
	offered  = waitlist.WasOffered{Wish: "w", Patient: "ana", Offer: offer}
	accepted = waitlist.WasAccepted{Wish: "w", Patient: "ana", Offer: offer}
	declined = waitlist.HasPassed{Wish: "w", Patient: "ana", Offer: offer, Why: "declined"}
	left     = waitlist.HasEnded{Wish: "w", Patient: "ana", Why: waitlist.HasLeft}
)

func offerOf(owner domain.StreamName, set int) waitlist.Offer {
	return waitlist.Offer{
		Claim: claim.Claim{Owner: owner, Set: set}, Appointment: domain.AppointmentID(owner.ID()), Opening: place, Until: now.Add(2 * time.Hour),
	}
}

func join(change func(*waitlist.Wish)) waitlist.Join {
	w := wish
	change(&w)
	return waitlist.Join{Wish: w, At: now, Zone: "Europe/Lisbon"}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	t.Run("begins to wait", spec.Given().When(join(func(*waitlist.Wish) {})).Then(joined))
	t.Run("with another wish under the same id is refused",
		spec.Given(joined).When(join(func(w *waitlist.Wish) { w.Town = "lisbon" })).ThenRefuse(waitlist.ErrExists))
	latest := join(func(w *waitlist.Wish) { w.Latest = "2026-06-01" })
	t.Run("until a date waits until that day is over at the clinic",
		spec.Given().When(latest).Then(waitlist.HasJoined{Wish: latest.Wish, Since: now, Expires: time.Date(2026, 6, 1, 23, 0, 0, 0, time.UTC)}))
	for name, change := range map[string]func(*waitlist.Wish){
		"for nothing in particular is refused":       func(w *waitlist.Wish) { w.Practitioners = nil },
		"for the same practitioner twice is refused": func(w *waitlist.Wish) { w.Practitioners = []domain.PractitionerID{"silva", "silva"} },
		"at more clinics than anybody goes is refused": func(w *waitlist.Wish) {
			for i := range 21 {
				w.Clinics = append(w.Clinics, domain.ClinicID(domain.NewID(string(rune('a'+i)))))
			}
		},
	} {
		t.Run(name, spec.Given().When(join(change)).ThenRefuse(waitlist.ErrNothing))
	}
	for name, times := range map[string]waitlist.Times{
		"on an eighth day of the week is refused": {Weekdays: []int{7}, From: 0, To: 60},
		"on a day twice is refused":               {Weekdays: []int{1, 1}, From: 0, To: 60},
		"at a time that ends first is refused":    {From: 600, To: 540},
		"at no time is refused":                   {From: 600, To: 600},
		"past midnight is refused":                {From: 600, To: 1441},
	} {
		t.Run(name, spec.Given().When(join(func(w *waitlist.Wish) { w.Times = []waitlist.Times{times} })).ThenRefuse(waitlist.ErrTimes))
	}
	t.Run("until a day that is over is refused",
		spec.Given().When(join(func(w *waitlist.Wish) { w.Latest = "2026-05-31" })).ThenRefuse(waitlist.ErrDates))
	t.Run("until before it begins is refused",
		spec.Given().When(join(func(w *waitlist.Wish) { w.Earliest, w.Latest = "2026-07-02", "2026-07-01" })).ThenRefuse(waitlist.ErrDates))
	astray := join(func(w *waitlist.Wish) { w.Latest = "2026-07-01" })
	astray.Zone = "Nowhere"
	t.Run("in no zone is refused", spec.Given().When(astray).ThenRefuse(domain.ErrBadZone))
}

func TestOffers(t *testing.T) {
	t.Parallel()
	claims := waitlist.Claim{Offer: offer}
	another := waitlist.Claim{Offer: offerOf("appointment-b", 1)}
	dead := another
	dead.Fates, dead.Ends = claim.Fates{offer.Claim: claim.Dead}, map[claim.Claim]string{offer.Claim: "declined"}
	pending := another
	pending.Fates = claim.Fates{offer.Claim: claim.Pending}
	nextOffered := waitlist.WasOffered{Wish: "w", Patient: "ana", Offer: another.Offer}

	t.Run("go to who waits", spec.Given(joined).When(claims).Then(offered))
	t.Run("come one at a time", spec.Given(joined, offered).When(another).ThenRefuse(waitlist.ErrHasOffer))
	t.Run("come one at a time while the first is open", spec.Given(joined, offered).When(pending).ThenRefuse(waitlist.ErrHasOffer))
	t.Run("follow one another once the first is dead", spec.Given(joined, offered).When(dead).Then(declined, nextOffered))
	t.Run("may come again after they were passed on", spec.Given(joined, offered, declined).When(another).Then(nextOffered))
	t.Run("of what they had are not declined twice", func(t *testing.T) {
		t.Parallel()
		had := domain.Fold(waitlist.Evolve, waitlist.State{}, []waitlist.Event{joined, offered, declined}...)
		require.Equal(t, []domain.SlotID{"s"}, had.Had)
		never := domain.Fold(waitlist.Evolve, waitlist.State{}, []waitlist.Event{joined, offered, waitlist.HasPassed{Wish: "w", Offer: offer}}...)
		require.Empty(t, never.Had, "what came to nothing may be offered again")
	})
	t.Run("do not go to who has left", spec.Given(joined, left).When(claims).ThenRefuse(waitlist.ErrEnded))
	t.Run("do not go to who never came", spec.Given().When(claims).ThenRefuse(waitlist.ErrNotFound))
	t.Run("do not go to who has accepted one", spec.Given(joined, offered, accepted).When(another).ThenRefuse(waitlist.ErrHasOffer))
	t.Run("go to who has accepted one that came to nothing", spec.Given(joined, offered, accepted).When(dead).Then(declined, nextOffered))
	t.Run("are accepted", spec.Given(joined, offered).When(waitlist.Claim{Offer: offer, Accepting: true}).Then(accepted))
	t.Run("are not accepted by who has left", spec.Given(joined, offered, left).When(waitlist.Claim{Offer: offer, Accepting: true}).ThenRefuse(waitlist.ErrEnded))
	t.Run("are passed on", spec.Given(joined, offered).When(waitlist.Release{Claim: offer.Claim, Why: "declined"}).Then(declined))
	t.Run("of before are passed on once", spec.Given(joined, offered, declined).When(waitlist.Release{Claim: offer.Claim}).Then())
	t.Run("of somebody else are nothing to pass on", spec.Given(joined).When(waitlist.Release{}).Then())
}

func TestSkips(t *testing.T) {
	t.Parallel()
	skip := waitlist.Skip{Opening: place, Rule: "occupancy.taken"}
	skipped := waitlist.WasSkipped{Wish: "w", Patient: "ana", Opening: place, Rule: "occupancy.taken"}
	notice := waitlist.WasSkipped{Wish: "w", Patient: "ana", Opening: place, Rule: "policy.notice"}
	t.Run("have their reason", spec.Given(joined).When(skip).Then(skipped))
	t.Run("for another reason are noted anew", spec.Given(joined, skipped).When(waitlist.Skip{Opening: place, Rule: "policy.notice"}).Then(notice))
	t.Run("of what was offered have the offer for a reason", spec.Given(joined, offered, declined).When(skip).Then())
	t.Run("of who has left need none", spec.Given(joined, left).When(skip).Then())
}

func TestEnds(t *testing.T) {
	t.Parallel()
	until := joined
	until.Expires = now.Add(time.Hour)
	expired := waitlist.HasEnded{Wish: "w", Patient: "ana", Why: waitlist.HasExpired}
	t.Run("leaving ends the wish", spec.Given(joined).When(waitlist.Leave{}).Then(left))
	t.Run("leaving ends it while something is offered", spec.Given(joined, offered).When(waitlist.Leave{}).Then(left))
	t.Run("what was offered then is passed on, and the wish stays ended",
		spec.Given(joined, offered, left).When(waitlist.Release{Claim: offer.Claim, Why: "declined"}).Then(declined))
	t.Run("who has accepted does not leave", spec.Given(joined, offered, accepted).When(waitlist.Leave{}).ThenRefuse(waitlist.ErrAccepted))
	t.Run("nobody leaves who never came", spec.Given().When(waitlist.Leave{}).ThenRefuse(waitlist.ErrNotFound))
	t.Run("a wish ends with its latest date",
		spec.Given(until).When(waitlist.Expire{At: now.Add(time.Hour), End: waitlist.HasExpired}).Then(expired))
	t.Run("a wish does not end before",
		spec.Given(until).When(waitlist.Expire{At: now, End: waitlist.HasExpired}).ThenRefuse(waitlist.ErrNotDue))
	t.Run("a wish without a latest date does not expire",
		spec.Given(joined).When(waitlist.Expire{At: now, End: waitlist.HasExpired}).ThenRefuse(waitlist.ErrNotDue))
	t.Run("a wish for something earlier ends with what it was to be earlier than",
		spec.Given(joined).When(waitlist.Expire{At: now, End: waitlist.NoLonger}).Then(waitlist.HasEnded{Wish: "w", Patient: "ana", Why: waitlist.NoLonger}))
	t.Run("what is accepted does not expire", spec.Given(until, offered, accepted).When(waitlist.Expire{At: now, End: waitlist.HasExpired}).Then())
	t.Run("a wish goes with its patient", spec.Given(joined).When(waitlist.Move{Patient: "anna"}).
		Then(waitlist.WasMoved{Wish: "w", Patient: "anna", From: "ana"}))
	t.Run("a wish that has ended stays where it is", spec.Given(joined, left).When(waitlist.Move{Patient: "anna"}).Then())
}

func TestWhoWantsWhat(t *testing.T) {
	t.Parallel()
	lisbon, err := domain.Zone("Europe/Lisbon")
	require.NoError(t, err)
	free := waitlist.Free{Opening: place, Specialties: []string{"cardiology"}, Town: "lisbon", District: "lisbon-alfama", Zone: lisbon}
	for name, c := range map[string]struct {
		change func(*waitlist.Wish)
		wants  bool
	}{
		"this practitioner":               {func(*waitlist.Wish) {}, true},
		"another practitioner":            {func(w *waitlist.Wish) { w.Practitioners = []domain.PractitionerID{"souza"} }, false},
		"this specialty":                  {func(w *waitlist.Wish) { w.Specialty = "cardiology" }, true},
		"another specialty":               {func(w *waitlist.Wish) { w.Specialty = "oncology" }, false},
		"one of these clinics":            {func(w *waitlist.Wish) { w.Clinics = []domain.ClinicID{"d", "c"} }, true},
		"another clinic":                  {func(w *waitlist.Wish) { w.Clinics = []domain.ClinicID{"d"} }, false},
		"this town":                       {func(w *waitlist.Wish) { w.Town = "lisbon" }, true},
		"another town":                    {func(w *waitlist.Wish) { w.Town = "porto" }, false},
		"another district":                {func(w *waitlist.Wish) { w.District = "lisbon-belem" }, false},
		"from that day on":                {func(w *waitlist.Wish) { w.Earliest = "2026-06-02" }, true},
		"from a later day on":             {func(w *waitlist.Wish) { w.Earliest = "2026-06-03" }, false},
		"until that day":                  {func(w *waitlist.Wish) { w.Latest = "2026-06-02" }, true},
		"until the day before":            {func(w *waitlist.Wish) { w.Latest = "2026-06-01" }, false},
		"on Tuesdays at ten":              {func(w *waitlist.Wish) { w.Times = []waitlist.Times{{Weekdays: []int{2}, From: 600, To: 601}} }, true},
		"on Mondays":                      {func(w *waitlist.Wish) { w.Times = []waitlist.Times{{Weekdays: []int{1}, From: 0, To: 1440}} }, false},
		"before ten":                      {func(w *waitlist.Wish) { w.Times = []waitlist.Times{{From: 0, To: 600}} }, false},
		"before ten, or in the afternoon": {func(w *waitlist.Wish) { w.Times = []waitlist.Times{{From: 0, To: 600}, {From: 720, To: 1440}} }, false},
	} {
		w := wish
		c.change(&w)
		require.Equal(t, c.wants, w.Wants(free), name)
	}
}

func TestAnOfferRunsInWakingHours(t *testing.T) {
	t.Parallel()
	lisbon, err := domain.Zone("Europe/Lisbon")
	require.NoError(t, err)
	const eight, twenty = 8 * 60, 20 * 60
	at := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, lisbon)
	}
	for name, c := range map[string]struct{ made, until time.Time }{
		"at noon": {at(6, 1, 12, 0), at(6, 1, 14, 0)},
		"in the evening it runs on in the morning":      {at(6, 1, 19, 30), at(6, 2, 9, 30)},
		"at night it begins in the morning":             {at(6, 1, 23, 0), at(6, 2, 10, 0)},
		"before dawn it begins in the morning":          {at(6, 1, 3, 0), at(6, 1, 10, 0)},
		"at the end of the day it begins the day after": {at(6, 1, 20, 0), at(6, 2, 10, 0)},
		"over the night in which the clocks change":     {at(3, 28, 19, 0), at(3, 29, 9, 0)},
	} {
		require.WithinDuration(t, c.until, waitlist.Until(c.made, 2*time.Hour, eight, twenty, lisbon), 0, name)
	}
	require.Equal(t, now.Add(2*time.Hour), waitlist.Until(now, 2*time.Hour, 600, 600, lisbon), "without waking hours it runs by any clock")
	require.WithinDuration(t, at(6, 3, 9, 0), waitlist.Until(at(6, 1, 12, 0), 21*time.Hour, eight, twenty, lisbon), 0, "a long one runs over several days")
}
