package commands_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/review"
)

func TestOnlyAVisitThatTookPlaceIsReviewed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.open(w.silva, 1)[0]
		_, err := w.book(w.ana, s.ID)
		require.NoError(t, err)
		id := w.booking(w.ana, s.ID).Appointment
		before := len(w.log())
		_, err = w.h.WriteReview(w.ctx, w.request(), commands.Reviewing{Appointment: id, Stars: 5})
		require.ErrorIs(t, err, review.ErrNotFulfilled)
		_, err = w.h.WriteReview(w.ctx, w.request(), commands.Reviewing{Appointment: id})
		require.ErrorIs(t, err, review.ErrStars)
		_, err = w.h.WriteReview(w.ctx, w.request(), commands.Reviewing{Appointment: "nothing", Stars: 5})
		require.ErrorIs(t, err, appointment.ErrNotFound)
		require.Len(t, w.log(), before)
	})
}

func TestAReviewIsHiddenShownAndWithdrawn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		id := domain.AppointmentID(domain.NewID("a"))
		_, err := w.h.Review(w.ctx, id)
		require.ErrorIs(t, err, review.ErrNotFound)
		_, err = w.h.WithdrawReview(w.ctx, w.request(), id)
		require.ErrorIs(t, err, review.ErrNotFound)
		written := review.WasWritten{Visit: review.Visit{Appointment: id, Patient: w.ana, Practitioner: w.silva, Clinic: w.clinic}, Stars: 5}
		_, err = w.store.Append(w.ctx, commands.Write{Stream: review.Stream(id), Expected: domain.NoStream, Events: []commands.NewEvent{{ID: uuid.NewString(), Event: written}}})
		require.NoError(t, err)

		_, err = w.h.HideReview(w.ctx, w.request(), id, "too honest")
		require.ErrorIs(t, err, review.ErrReason)
		answer, err := w.h.HideReview(w.ctx, w.request(), id, review.Spam)
		require.NoError(t, err)
		require.Equal(t, review.Spam, answer.State.Hidden)
		answer, err = w.h.ShowReview(w.ctx, w.request(), id)
		require.NoError(t, err)
		require.Empty(t, answer.State.Hidden)
		for _, repeat := range []bool{false, true} {
			answer, err = w.h.WithdrawReview(w.ctx, w.request(), id)
			require.NoError(t, err)
			require.Equal(t, repeat, answer.Replayed, "twice is once")
		}
		answer, err = w.h.Review(w.ctx, id)
		require.NoError(t, err)
		require.Equal(t, review.Withdrawn, answer.State.Status)
	})
}
