package projections_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// TestWhoListensPicksWhatTheListHas compares the filter of those who listen with
// that of the list, for slots in every status and filters at random.
func TestWhoListensPicksWhatTheListHas(t *testing.T) {
	t.Parallel()
	periods := []domain.Period{half(9, 0), half(10, 0), half(11, 0), half(15, 0)}
	var facts []fact
	facts = append(facts, clinicFact(centre, "Centre", "Europe/Lisbon"), clinicFact(harbor, "Harbor", "Europe/Lisbon"))
	for _, p := range []struct {
		id domain.PractitionerID
		at domain.ClinicID
		of string
	}{{ana, centre, "dermatology"}, {bo, centre, "dermatology"}, {cy, centre, "dentistry"}, {dee, harbor, "dermatology"}} {
		facts = append(facts, practitionerFact(p.id, string(p.id), []domain.ClinicID{p.at}, p.of), day(p.id, p.at, 1, periods...))
	}
	a := visit(visitA, pat, ana, 0, periods[0])
	b := visit(visitB, quinn, bo, 1, periods[1])
	facts = append(facts, proposed(a, 1, at(8, 10)), claimed(a, 0, 1, 1), booked(a, 1), proposed(b, 1, at(8, 30)), claimed(b, 1, 1, 1))
	t.Run("random filters", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // for a test
		list, ids := projections.NewAvailability(e), []string{}
		for _, p := range []domain.PractitionerID{ana, bo, cy, dee} {
			for n := range periods {
				ids = append(ids, string(slotID(p, n)))
			}
		}
		touched, err := list.Touched(t.Context(), ids, []domain.VisitTypeID{""}, at(8, 0), 0)
		require.NoError(t, err)
		require.Len(t, touched[""], len(ids))
		for range 200 {
			f := randomFilter(random)
			found, err := list.List(t.Context(), f, at(8, 0), 0)
			require.NoError(t, err)
			within, err := list.Within(t.Context(), f.Area, 0)
			require.NoError(t, err)
			require.ElementsMatch(t, found.Items, projections.Picked(f, within, touched[""]), "%+v", f)
		}
	}))
}

func randomFilter(r *rand.Rand) projections.SlotFilter {
	f := projections.SlotFilter{
		Status: []projections.SlotStatus{
			"", projections.Free, projections.Busy, projections.BusyTentative, projections.BusyUnavailable, projections.AnyStatus,
		}[r.IntN(6)],
		Area: []projections.Area{
			{}, {Clinic: centre}, {Clinic: harbor}, {Clinic: "nowhere"}, {Town: "pt-lisboa"}, {Near: &projections.Point{Latitude: 38.7, Longitude: -9.1}},
		}[r.IntN(6)],
		Specialties: [][]string{nil, {"dermatology"}, {"dentistry", "dermatology"}, {"magic"}}[r.IntN(4)],
	}
	for _, p := range []domain.PractitionerID{ana, bo, cy, dee} {
		if r.IntN(4) == 0 {
			f.Practitioners = append(f.Practitioners, p)
		}
	}
	if r.IntN(2) == 0 {
		f.From = at(9+r.IntN(3), 0)
	}
	if r.IntN(2) == 0 {
		f.To = at(9, 0).Add(time.Duration(1+r.IntN(7)) * time.Hour)
	}
	return f
}

// TestWhoDoesNotKeepUpSeesEverythingAgain leaves more changes unread than are
// kept for a listener.
func TestWhoDoesNotKeepUpSeesEverythingAgain(t *testing.T) {
	t.Parallel()
	changes := make([]domain.Position, projections.Room+1)
	for i := range changes {
		changes[i] = domain.Position(i + 1)
	}
	require.Equal(t, []string{"missed", "99"}, projections.Listened(t.Context(), changes, 99))
	require.Equal(t, []string{"1", "99"}, projections.Listened(t.Context(), changes[:1], 99))
}
