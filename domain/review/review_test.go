package review_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/domaintest"
	"github.com/slotbook/slotbook/domain/review"
)

var (
	spec      = domaintest.Spec[review.State, review.Command, review.Event]{Decide: review.Decide, Evolve: review.Evolve}
	visit     = review.Visit{Appointment: "a", Patient: "ana", Practitioner: "p", Clinic: "c"}
	text      = domain.Sealed{Person: "ana", Box: "sealed"}
	written   = review.WasWritten{Visit: visit, Stars: 4, Text: text}
	withdrawn = review.WasWithdrawn{Visit: visit}
	hidden    = review.WasHidden{Visit: visit, Reason: review.Spam}
	shown     = review.WasShown{Visit: visit}
)

func write(stars int, text domain.Sealed) review.Write {
	return review.Write{Visit: visit, Stars: stars, Text: text, Fulfilled: true}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	missed := write(4, text)
	missed.Fulfilled = false
	t.Run("says what the patient thinks", spec.Given().When(write(4, text)).Then(written))
	t.Run("needs no text", spec.Given().When(write(1, domain.Sealed{})).Then(review.WasWritten{Visit: visit, Stars: 1}))
	t.Run("again edits the stars", spec.Given(written).When(write(5, text)).Then(review.WasEdited{Visit: visit, Stars: 5, Text: text}))
	t.Run("again edits the text", spec.Given(written).When(write(4, domain.Sealed{})).Then(review.WasEdited{Visit: visit, Stars: 4}))
	t.Run("is accepted after a withdrawal", spec.Given(written, withdrawn).When(write(4, text)).Then(written))
	t.Run("is refused before the visit took place", spec.Given().When(missed).ThenRefuse(review.ErrNotFulfilled))
	t.Run("is refused without a star", spec.Given().When(write(0, text)).ThenRefuse(review.ErrStars))
	t.Run("is refused with six stars", spec.Given().When(write(6, text)).ThenRefuse(review.ErrStars))
}

func TestWithdraw(t *testing.T) {
	t.Parallel()
	t.Run("takes the review back", spec.Given(written).When(review.Withdraw{}).Then(withdrawn))
	t.Run("of nothing is refused", spec.Given().When(review.Withdraw{}).ThenRefuse(review.ErrNotFound))
}

func TestHide(t *testing.T) {
	t.Parallel()
	t.Run("keeps the review from the public", spec.Given(written).When(review.Hide{Reason: review.Spam}).Then(hidden))
	t.Run("for another reason says so",
		spec.Given(written, hidden).When(review.Hide{Reason: review.Offensive}).Then(review.WasHidden{Visit: visit, Reason: review.Offensive}))
	t.Run("without a reason is refused", spec.Given(written).When(review.Hide{}).ThenRefuse(review.ErrReason))
	t.Run("for a reason that is none is refused", spec.Given(written).When(review.Hide{Reason: "too honest"}).ThenRefuse(review.ErrReason))
	t.Run("of nothing is refused", spec.Given().When(review.Hide{Reason: review.Spam}).ThenRefuse(review.ErrNotFound))
}

func TestShow(t *testing.T) {
	t.Parallel()
	t.Run("lets the public see it again", spec.Given(written, hidden).When(review.Show{}).Then(shown))
	t.Run("of what is not hidden changes nothing", spec.Given(written).When(review.Show{}).Then())
	t.Run("of nothing is refused", spec.Given().When(review.Show{}).ThenRefuse(review.ErrNotFound))
}

func TestNoEditGetsAroundModeration(t *testing.T) {
	t.Parallel()
	s := domain.Fold(review.Evolve, review.State{}, []review.Event{written, hidden, review.WasEdited{Visit: visit, Stars: 5}, withdrawn, written}...)
	require.Equal(t, review.State{Visit: visit, Status: review.Published, Stars: 4, Text: text, Hidden: review.Spam}, s)
}
