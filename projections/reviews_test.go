package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/review"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

func reviewOf(id domain.AppointmentID, with domain.PractitionerID, stars int) review.WasWritten {
	return review.WasWritten{
		Visit: review.Visit{Appointment: id, Patient: pat, Practitioner: with, Clinic: centre}, Stars: stars, Text: domain.Open(string(pat), "kind"),
	}
}

func TestWhatPatientsSay(t *testing.T) {
	t.Parallel()
	a, b, c := reviewOf(visitA, ana, 5), reviewOf(visitB, bo, 4), reviewOf(visitC, ana, 4)
	var all []fact
	v := visit(visitA, pat, ana, 0, half(9, 0))
	for _, done := range []appointment.Visit{v, visit(visitB, pat, bo, 0, half(10, 0)), visit(visitC, pat, ana, 1, half(11, 0))} {
		all = append(all, proposed(done, 1, at(8, 10)), booked(done, 1), about(done, appointment.WasFulfilled{Visit: done, Set: 1, At: done.End}))
	}
	undone := about(v, appointment.WasReverted{Visit: v, Set: 1, Status: appointment.CheckedIn, At: at(12, 0)})
	again := about(v, appointment.WasFulfilled{Visit: v, Set: 1, At: at(12, 1)})
	all = append(all, on(review.Stream(visitA), a), on(review.Stream(visitB), b), on(review.Stream(visitC), c))
	and := func(more ...fact) projectionstest.Sentence { return given(append(all, more...)...) }
	edited := review.WasEdited{Visit: a.Visit, Stars: 1}
	hidden := on(review.Stream(visitA), review.WasHidden{Visit: a.Visit, Reason: review.Spam})
	withdrawn := on(review.Stream(visitA), review.WasWithdrawn{Visit: a.Visit})
	listed := func(t *testing.T, e *engine.Engine, f projections.ReviewFilter) (ids []domain.AppointmentID) {
		t.Helper()
		list, err := projections.NewReviews(e).List(t.Context(), f, 0)
		require.NoError(t, err)
		for _, r := range list.Items {
			ids = append(ids, r.Appointment)
		}
		return ids
	}
	rated := func(t *testing.T, e *engine.Engine, want projections.Rating) {
		t.Helper()
		got, at, err := projections.NewReviews(e).OfPractitioner(t.Context(), ana, 1)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.NotZero(t, at)
	}
	t.Run("a review says what was written, sealed", and().Then(func(t *testing.T, e *engine.Engine) {
		list, err := projections.NewReviews(e).List(t.Context(), projections.ReviewFilter{Practitioner: bo}, 0)
		require.NoError(t, err)
		require.Len(t, list.Items, 1)
		got := list.Items[0]
		require.NotEmpty(t, got.Text.Box)
		got.Text = domain.Sealed{}
		require.Equal(t, projections.Review{
			Appointment: visitB, Patient: pat, Practitioner: bo, Clinic: centre, Stars: 4, WrittenAt: projectionstest.RecordedAt(),
		}, got)
	}))
	t.Run("reviews are found by practitioner and clinic, and read on after a cursor", and().Then(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, []domain.AppointmentID{visitC, visitB, visitA}, listed(t, e, projections.ReviewFilter{Clinic: centre}))
		require.Equal(t, []domain.AppointmentID{visitC, visitA}, listed(t, e, projections.ReviewFilter{Practitioner: ana}))
		require.Empty(t, listed(t, e, projections.ReviewFilter{Clinic: harbor}))
		first, err := projections.NewReviews(e).List(t.Context(), projections.ReviewFilter{Limit: 1}, 0)
		require.NoError(t, err)
		require.True(t, first.More)
		require.Equal(t, []domain.AppointmentID{visitB, visitA}, listed(t, e, projections.ReviewFilter{After: first.Items[0].Cursor()}))
	}))
	t.Run("a rating counts stars", and().Then(func(t *testing.T, e *engine.Engine) {
		rated(t, e, projections.Rating{Counts: [5]int{0, 0, 0, 1, 1}})
		clinic, _, err := projections.NewReviews(e).OfClinic(t.Context(), centre, 0)
		require.NoError(t, err)
		require.Equal(t, projections.Rating{Counts: [5]int{0, 0, 0, 2, 1}}, clinic)
		require.Equal(t, 433, clinic.Hundredths())
		nobody, _, err := projections.NewReviews(e).OfClinic(t.Context(), harbor, 0)
		require.NoError(t, err)
		require.Zero(t, nobody)
	}))
	t.Run("an edit replaces stars and text", and(on(review.Stream(visitA), edited)).Then(func(t *testing.T, e *engine.Engine) {
		list, err := projections.NewReviews(e).List(t.Context(), projections.ReviewFilter{Practitioner: ana}, 0)
		require.NoError(t, err)
		require.Equal(t, projections.Review{
			Appointment: visitA, Patient: pat, Practitioner: ana, Clinic: centre, Stars: 1,
			WrittenAt: projectionstest.RecordedAt(), EditedAt: projectionstest.RecordedAt(),
		}, list.Items[1])
		rated(t, e, projections.Rating{Counts: [5]int{1, 0, 0, 1, 0}})
	}))
	t.Run("a hidden review is shown only when asked for, and does not count", and(hidden).Then(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, []domain.AppointmentID{visitC}, listed(t, e, projections.ReviewFilter{Practitioner: ana}))
		list, err := projections.NewReviews(e).List(t.Context(), projections.ReviewFilter{Practitioner: ana, Hidden: true}, 0)
		require.NoError(t, err)
		require.Len(t, list.Items, 2)
		require.Equal(t, review.Spam, list.Items[1].Hidden)
		rated(t, e, projections.Rating{Counts: [5]int{0, 0, 0, 1, 0}})
	}))
	t.Run("a review that is shown again counts again",
		and(hidden, on(review.Stream(visitA), review.WasShown{Visit: a.Visit})).Then(func(t *testing.T, e *engine.Engine) {
			rated(t, e, projections.Rating{Counts: [5]int{0, 0, 0, 1, 1}})
		}))
	t.Run("a review of a visit that did not take place after all is in no list, and does not count", and(undone).Then(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, []domain.AppointmentID{visitC}, listed(t, e, projections.ReviewFilter{Practitioner: ana, Hidden: true}))
		rated(t, e, projections.Rating{Counts: [5]int{0, 0, 0, 1, 0}})
	}))
	t.Run("until it did", and(undone, again).Then(func(t *testing.T, e *engine.Engine) {
		rated(t, e, projections.Rating{Counts: [5]int{0, 0, 0, 1, 1}})
	}))
	t.Run("a withdrawn review is in no list", and(withdrawn).Then(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, []domain.AppointmentID{visitC}, listed(t, e, projections.ReviewFilter{Practitioner: ana, Hidden: true}))
		rated(t, e, projections.Rating{Counts: [5]int{0, 0, 0, 1, 0}})
	}))
	t.Run("a review written anew counts, unless it was hidden before it was withdrawn",
		and(withdrawn, on(review.Stream(visitA), reviewOf(visitA, ana, 2)), on(review.Stream(visitC), review.WasHidden{Visit: c.Visit, Reason: review.Other}),
			on(review.Stream(visitC), review.WasWithdrawn{Visit: c.Visit}), on(review.Stream(visitC), c)).Then(func(t *testing.T, e *engine.Engine) {
			rated(t, e, projections.Rating{Counts: [5]int{0, 1, 0, 0, 0}})
		}))
	t.Run("what happens to a review that nobody wrote makes no row", given(hidden).Then(func(t *testing.T, e *engine.Engine) {
		require.Empty(t, listed(t, e, projections.ReviewFilter{Hidden: true}))
	}))
}

func TestAnAverageIsRoundedToHundredths(t *testing.T) {
	t.Parallel()
	require.Equal(t, 0, projections.Rating{}.Hundredths())
	require.Equal(t, 500, projections.Rating{Counts: [5]int{0, 0, 0, 0, 7}}.Hundredths())
	require.Equal(t, 467, projections.Rating{Counts: [5]int{0, 0, 0, 1, 2}}.Hundredths())
	require.Equal(t, 113, projections.Rating{Counts: [5]int{7, 1, 0, 0, 0}}.Hundredths(), "1.125 is rounded up")
}
