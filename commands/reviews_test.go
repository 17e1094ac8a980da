package commands_test

import (
	"context"
	"testing"
	"time"

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
		id := w.reviewable()
		_, err := w.h.Review(w.ctx, id)
		require.ErrorIs(t, err, review.ErrNotFound)
		_, err = w.h.WithdrawReview(w.ctx, w.request(), id)
		require.ErrorIs(t, err, review.ErrNotFound)
		_, err = w.h.WriteReview(w.ctx, w.request(), commands.Reviewing{Appointment: id, Stars: 5})
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

// reviewable is an appointment of Ana's that took place.
func (w *world) reviewable() domain.AppointmentID {
	s := w.open(w.silva, 1)[0]
	done, err := w.book(w.ana, s.ID)
	require.NoError(w.t, err)
	id := w.idOf(done)
	w.clock.t = s.End
	for _, step := range []func(context.Context, commands.Request, domain.AppointmentID, time.Time) (commands.Answer[appointment.State], error){
		w.h.Arrive, w.h.CheckIn, w.h.Fulfil,
	} {
		_, err = step(w.ctx, w.request(), id, time.Time{})
		require.NoError(w.t, err)
	}
	return id
}

func TestAReviewOfAVisitThatDidNotTakePlaceAfterAllIsNotThere(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		id := w.reviewable()
		_, err := w.h.WriteReview(w.ctx, w.request(), commands.Reviewing{Appointment: id, Stars: 5})
		require.NoError(t, err)
		_, err = w.h.Undo(w.ctx, w.request(), id)
		require.NoError(t, err)
		_, err = w.h.Review(w.ctx, id)
		require.ErrorIs(t, err, review.ErrNotFound)
		_, err = w.h.Fulfil(w.ctx, w.request(), id, time.Time{})
		require.NoError(t, err)
		found, err := w.h.Review(w.ctx, id)
		require.NoError(t, err)
		require.Equal(t, 5, found.State.Stars)
	})
}
