package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/review"
	"github.com/slotbook/slotbook/projections"
)

// foldedReviews answers lists of reviews from their streams.
type foldedReviews struct{ *folded }

func (l foldedReviews) all(ctx context.Context, least domain.Position) ([]projections.Review, domain.Position, error) {
	var reviews []projections.Review
	head, err := l.read(ctx, least, func(e domain.Event) error {
		written, ok := e.(review.WasWritten)
		if !ok {
			return nil
		}
		now, err := l.commands.Review(ctx, written.Appointment)
		if s := now.State; s.Status == review.Published {
			reviews = append(reviews, projections.Review{
				Appointment: s.Appointment, Patient: s.Patient, Practitioner: s.Practitioner, Clinic: s.Clinic, Stars: s.Stars, Text: s.Text,
				WrittenAt: at("2026-03-04T08:00:00Z"), Hidden: s.Hidden,
			})
		}
		return err
	})
	return reviews, head, err
}

func (l foldedReviews) List(ctx context.Context, f projections.ReviewFilter, least domain.Position) (projections.List[projections.Review], error) {
	all, head, err := l.all(ctx, least)
	return cut(all, func(r projections.Review) bool {
		return (f.Practitioner == "" || r.Practitioner == f.Practitioner) && (f.Clinic == "" || r.Clinic == f.Clinic) &&
			(f.Hidden || r.Hidden == "") && (f.After.ID == "" || byTime(r.Cursor(), f.After) < 0)
	}, f.Limit, head, func(a, b projections.Review) int { return byTime(b.Cursor(), a.Cursor()) }), err
}

func (l foldedReviews) rating(ctx context.Context, of func(projections.Review) bool, least domain.Position) (r projections.Rating, head domain.Position, err error) {
	all, head, err := l.all(ctx, least)
	for _, v := range all {
		if of(v) && v.Hidden == "" {
			r.Counts[v.Stars-1]++
		}
	}
	return r, head, err
}

func (l foldedReviews) OfPractitioner(ctx context.Context, id domain.PractitionerID, least domain.Position) (projections.Rating, domain.Position, error) {
	return l.rating(ctx, func(r projections.Review) bool { return r.Practitioner == id }, least)
}

func (l foldedReviews) OfClinic(ctx context.Context, id domain.ClinicID, least domain.Position) (projections.Rating, domain.Position, error) {
	return l.rating(ctx, func(r projections.Review) bool { return r.Clinic == id }, least)
}

// fulfilled books the n-th slot for Maria, who comes, goes in and is done, and
// reviews the visit. It returns the review's path.
func (w *world) fulfilled(t testing.TB, d clinicDay, n, stars int, text string) (path string) {
	t.Helper()
	booked := w.book(t, d.slot(n), d.maria)
	require.Equal(t, http.StatusCreated, booked.Code, booked.Body.String())
	visit := booked.Header().Get("Location")
	defer w.setNow(w.now())
	w.setNow(at("2026-03-03T09:00:00Z"))
	for _, step := range []string{"arrive", "check-in", "fulfil"} {
		answer := w.call(t, http.MethodPost, visit+"/"+step, `{"at": "2026-03-03T09:00:00Z"}`)
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
	}
	reviewed(t, w.call(t, http.MethodPut, visit+"/review", fmt.Sprintf(`{"stars": %d, "text": %q}`, stars, text)))
	return visit + "/review"
}

func reviewed(t testing.TB, answer *httptest.ResponseRecorder) httpapi.Review {
	t.Helper()
	require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
	var r httpapi.Review
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &r))
	return r
}

func TestAVisitIsReviewed(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]*world{"memory": newWorld(t), "postgres": newRealWorld(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := w.open(t)
			path, other := w.fulfilled(t, d, 0, 4, "very kind"), w.fulfilled(t, d, 1, 5, "")
			got := reviewed(t, w.call(t, http.MethodGet, path, ""))
			require.Equal(t, "very kind", *got.Text)
			require.Equal(t, "published", got.Status)
			written := w.call(t, http.MethodPut, path, `{"stars": 4, "text": "very kind"}`)
			require.Equal(t, `"0"`, written.Header().Get("ETag"), "the same review again is no edit")
			edited := w.call(t, http.MethodPut, path, `{"stars": 2, "text": "less kind"}`)
			require.Equal(t, "less kind", *reviewed(t, edited).Text)
			require.Equal(t, `"1"`, edited.Header().Get("ETag"))
			reviewed(t, w.call(t, http.MethodPut, path, `{"stars": 4, "text": "very kind"}`))

			rating := func(of, want string) {
				t.Helper()
				head, err := w.events.Head(t.Context())
				require.NoError(t, err)
				answer := w.call(t, http.MethodGet, fmt.Sprintf("/v1/%s/rating?minPosition=%d", of, head), "")
				require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
				require.JSONEq(t, want, answer.Body.String())
			}
			listed := func(query string) int {
				t.Helper()
				head, err := w.events.Head(t.Context())
				require.NoError(t, err)
				return len(items(t, w.call(t, http.MethodGet, fmt.Sprintf("/v1/reviews?practitionerId=%s&%s&minPosition=%d", d.practitioner, query, head), "")))
			}
			rating("practitioners/"+d.practitioner, `{"average": 4.5, "count": 2, "stars": {"1": 0, "2": 0, "3": 0, "4": 1, "5": 1}}`)

			hidden := reviewed(t, w.call(t, http.MethodPost, path+"/hide", `{"reason": "private-data"}`))
			require.Equal(t, "private-data", hidden.Hidden)
			rating("clinics/"+d.clinic, `{"average": 5, "count": 1, "stars": {"1": 0, "2": 0, "3": 0, "4": 0, "5": 1}}`)
			require.Equal(t, 1, listed(""))
			require.Equal(t, 2, listed("hidden=true"))
			require.Empty(t, reviewed(t, w.call(t, http.MethodPost, path+"/show", "")).Hidden)
			require.Equal(t, 2, listed("clinicId="+d.clinic))
			require.Equal(t, 0, listed("clinicId="+d.maria))

			withdrawn := w.call(t, http.MethodDelete, path, "", "Idempotency-Key", "take it back")
			require.Equal(t, "withdrawn", reviewed(t, withdrawn).Status)
			require.NotContains(t, withdrawn.Body.String(), "kind")
			require.Equal(t, withdrawn.Body.String(), w.call(t, http.MethodDelete, path, "", "Idempotency-Key", "take it back").Body.String())
			reviewed(t, w.call(t, http.MethodDelete, other, ""))
			rating("practitioners/"+d.practitioner, `{"average": null, "count": 0, "stars": {"1": 0, "2": 0, "3": 0, "4": 0, "5": 0}}`)
			require.Equal(t, 0, listed("hidden=true"))
		})
	}
}

func TestReviewsAreReadInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	for n := range 3 {
		w.fulfilled(t, d, n, 5, "kind")
	}
	var seen []string
	for next := "/v1/reviews?limit=1"; next != ""; {
		answer := w.call(t, http.MethodGet, next, "")
		var list httpapi.List[httpapi.ListedReview]
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &list))
		require.Len(t, list.Items, 1)
		seen = append(seen, list.Items[0].AppointmentID)
		next, _, _ = strings.Cut(strings.TrimPrefix(answer.Header().Get("Link"), "<"), ">")
	}
	require.Len(t, seen, 3)
}

func TestErasedReviewsAreNull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	path := w.fulfilled(t, d, 0, 4, "very kind")
	w.keys.Destroy(d.maria)
	for _, address := range []string{path, "/v1/reviews"} {
		answer := w.call(t, http.MethodGet, address, "").Body.String()
		require.Contains(t, answer, `"erased":true`)
		require.NotContains(t, answer, `"text"`)
	}
}

func TestAReviewOfAVisitThatDidNotTakePlaceIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	path := w.book(t, d.slot(0), d.maria).Header().Get("Location") + "/review"
	answer := w.call(t, http.MethodPut, path, `{"stars": 4, "text": "very kind"}`)
	require.Equal(t, http.StatusUnprocessableEntity, answer.Code)
	require.Equal(t, "review.not-fulfilled", rule(t, answer))
}
