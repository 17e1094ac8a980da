package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/review"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// Review is what a patient says of a visit, as the API shows it.
type Review struct {
	AppointmentID  string  `json:"appointmentId" example:"018f6b1e-0000-7000-8000-000000000004"`
	PatientID      string  `json:"patientId" example:"018f6b1e-0000-7000-8000-000000000003"`
	PractitionerID string  `json:"practitionerId" example:"018f6b1e-0000-7000-8000-000000000002"`
	ClinicID       string  `json:"clinicId" example:"018f6b1e-0000-7000-8000-000000000001"`
	Status         string  `json:"status" enum:"published,withdrawn" doc:"withdrawn: the patient took it back" example:"published"`
	Stars          int     `json:"stars" minimum:"1" maximum:"5" example:"4"`
	Text           *string `json:"text,omitempty" example:"Took the time to explain everything."`
	Hidden         string  `json:"hidden,omitempty" enum:"offensive,private-data,spam,other" doc:"Why staff keep it from the public; absent = they do not" example:"spam"`
	Erased         bool    `json:"erased,omitempty" doc:"The text was erased with the patient's personal data"`
}

// ListedReview is a review of a list.
type ListedReview struct {
	Review
	WrittenAt time.Time `json:"writtenAt" doc:"UTC" example:"2026-04-01T10:00:00Z"`
	EditedAt  time.Time `json:"editedAt,omitzero" doc:"UTC; absent = never" example:"2026-04-02T10:00:00Z"`
}

// Rating is how something is rated.
type Rating struct {
	Average *float64    `json:"average" nullable:"true" doc:"Of the stars, in hundredths; null when there are no reviews" example:"4.33"`
	Count   int         `json:"count" doc:"How many reviews the public sees" example:"3"`
	Stars   RatingStars `json:"stars" doc:"How many reviews give how many stars"`
}

// RatingStars is how many reviews give how many stars.
type RatingStars struct {
	One   int `json:"1" example:"0"`
	Two   int `json:"2" example:"0"`
	Three int `json:"3" example:"0"`
	Four  int `json:"4" example:"2"`
	Five  int `json:"5" example:"1"`
}

// ReviewBody is what a patient says.
type ReviewBody struct {
	Stars int    `json:"stars" minimum:"1" maximum:"5" example:"4"`
	Text  string `json:"text,omitempty" maxLength:"4000" doc:"Sealed under the patient's key; absent = none" example:"Took the time to explain everything."`
}

type writeReviewInput struct {
	CommandParams
	ID   string `path:"id" doc:"The appointment" example:"018f6b1e-0000-7000-8000-000000000004"`
	Body ReviewBody
}

type ofAppointmentCommand struct {
	CommandParams
	ID string `path:"id" doc:"The appointment" example:"018f6b1e-0000-7000-8000-000000000004"`
}

type ofAppointmentInput struct {
	ReadParams
	ID string `path:"id" doc:"The appointment" example:"018f6b1e-0000-7000-8000-000000000004"`
}

// HidingBody says why a review is hidden.
type HidingBody struct {
	Reason string `json:"reason" enum:"offensive,private-data,spam,other" example:"spam"`
}

type hideReviewInput struct {
	CommandParams
	ID   string `path:"id" doc:"The appointment" example:"018f6b1e-0000-7000-8000-000000000004"`
	Body HidingBody
}

type reviewsInput struct {
	ListParams
	PractitionerID string `query:"practitionerId" maxLength:"64" doc:"Only of this practitioner"`
	ClinicID       string `query:"clinicId" maxLength:"64" doc:"Only of this clinic"`
	Hidden         bool   `query:"hidden" doc:"Those too that staff keep from the public"`
}

// Reviews answers what patients say: [projections.Reviews].
type Reviews interface {
	List(ctx context.Context, f projections.ReviewFilter, least domain.Position) (projections.List[projections.Review], error)
	OfPractitioner(ctx context.Context, id domain.PractitionerID, least domain.Position) (projections.Rating, domain.Position, error)
	OfClinic(ctx context.Context, id domain.ClinicID, least domain.Position) (projections.Rating, domain.Position, error)
}

func (a *api) reviewRoutes() {
	const path = "/v1/appointments/{id}/review"
	command(a, operation{
		id: "writeReview", method: http.MethodPut, path: path, tag: "Reviews",
		summary:  "Review a visit, or edit the review",
		detail:   "Only a visit that took place is reviewed. Putting what is there already changes nothing. A review that staff have hidden stays hidden.",
		refusals: []*domain.Error{appointment.ErrNotFound, review.ErrNotFulfilled, review.ErrStars},
	}, a.writeReview)
	command(a, operation{
		id: "withdrawReview", method: http.MethodDelete, path: path, tag: "Reviews",
		summary: "Take a review back", refusals: []*domain.Error{review.ErrNotFound},
	}, a.withdrawReview)
	one(a, operation{
		id: "getReview", method: http.MethodGet, path: path, tag: "Reviews",
		summary: "Get the review of an appointment", detail: "There is none while it is not fulfilled, as after the undoing of that.",
		refusals: []*domain.Error{review.ErrNotFound},
	}, a.review)
	command(a, operation{
		id: "hideReview", method: http.MethodPost, path: path + "/hide", tag: "Reviews",
		summary: "Keep a review from the public", refusals: []*domain.Error{review.ErrNotFound, review.ErrReason},
	}, a.hideReview)
	command(a, operation{
		id: "showReview", method: http.MethodPost, path: path + "/show", tag: "Reviews",
		summary: "Let the public see a review again", refusals: []*domain.Error{review.ErrNotFound},
	}, a.showReview)
	list(a, operation{
		id: "listReviews", method: http.MethodGet, path: "/v1/reviews", tag: "Reviews",
		summary: "List reviews, the newest first", detail: "Reviews that were withdrawn are not listed, nor those of visits that did not take place after all.",
	}, a.reviews)
	one(a, operation{
		id: "getPractitionerRating", method: http.MethodGet, path: "/v1/practitioners/{id}/rating", tag: "Reviews",
		summary:  "Get how a practitioner is rated by the reviews that the public sees",
		refusals: []*domain.Error{practitioner.ErrNotFound, engine.ErrAway},
	}, a.practitionerRating)
	one(a, operation{
		id: "getClinicRating", method: http.MethodGet, path: "/v1/clinics/{id}/rating", tag: "Reviews",
		summary:  "Get how a clinic is rated by the reviews that the public sees",
		refusals: []*domain.Error{clinic.ErrNotFound, engine.ErrAway},
	}, a.clinicRating)
}

func (a *api) writeReview(ctx context.Context, req commands.Request, in *writeReviewInput) (done[Review], error) {
	r := commands.Reviewing{Appointment: domain.AppointmentID(in.ID), Stars: in.Body.Stars, Text: in.Body.Text}
	var err error
	if r.Same, err = a.sameText(ctx, r); err != nil {
		return done[Review]{}, err
	}
	answer, err := a.Commands.WriteReview(ctx, req, r)
	return a.changedReview(ctx, answer, err)
}

// sameText returns the sealed text of the review when it says what is put now:
// then nothing is sealed anew, and putting it changes nothing.
func (a *api) sameText(ctx context.Context, r commands.Reviewing) (domain.Sealed, error) {
	if r.Text == "" {
		return domain.Sealed{}, nil
	}
	before, err := a.Commands.Review(ctx, r.Appointment)
	if errors.Is(err, review.ErrNotFound) {
		return domain.Sealed{}, nil
	}
	if err != nil {
		return domain.Sealed{}, err
	}
	text, err := open(ctx, a.Codec, before.State.Text)
	if err != nil || text == nil || *text != r.Text {
		return domain.Sealed{}, err
	}
	return before.State.Text, nil
}

func (a *api) withdrawReview(ctx context.Context, req commands.Request, in *ofAppointmentCommand) (done[Review], error) {
	answer, err := a.Commands.WithdrawReview(ctx, req, domain.AppointmentID(in.ID))
	return a.changedReview(ctx, answer, err)
}

func (a *api) hideReview(ctx context.Context, req commands.Request, in *hideReviewInput) (done[Review], error) {
	answer, err := a.Commands.HideReview(ctx, req, domain.AppointmentID(in.ID), review.Reason(in.Body.Reason))
	return a.changedReview(ctx, answer, err)
}

func (a *api) showReview(ctx context.Context, req commands.Request, in *ofAppointmentCommand) (done[Review], error) {
	answer, err := a.Commands.ShowReview(ctx, req, domain.AppointmentID(in.ID))
	return a.changedReview(ctx, answer, err)
}

func (a *api) changedReview(ctx context.Context, answer commands.Answer[review.State], err error) (done[Review], error) {
	if err != nil {
		return done[Review]{}, err
	}
	body, err := a.reviewOf(ctx, answer.State)
	return finish(answer, body, ""), err
}

func (a *api) review(ctx context.Context, in *ofAppointmentInput) (single[Review], error) {
	answer, err := a.Commands.Review(ctx, domain.AppointmentID(in.ID))
	if err != nil {
		return single[Review]{}, err
	}
	body, err := a.reviewOf(ctx, answer.State)
	return single[Review]{body, etag(answer.Revision), answer.Position}, err
}

func (a *api) reviewOf(ctx context.Context, s review.State) (Review, error) {
	text, err := open(ctx, a.Codec, s.Text)
	return Review{
		AppointmentID: string(s.Appointment), PatientID: string(s.Patient), PractitionerID: string(s.Practitioner), ClinicID: string(s.Clinic),
		Status: string(s.Status), Stars: s.Stars, Text: text, Hidden: string(s.Hidden), Erased: text == nil && !s.Text.IsZero(),
	}, err
}

func (a *api) reviews(ctx context.Context, in *reviewsInput, p page[projections.TimeCursor]) (found[ListedReview, projections.TimeCursor], error) {
	rows, err := a.Reviews.List(ctx, projections.ReviewFilter{
		Practitioner: domain.PractitionerID(in.PractitionerID), Clinic: domain.ClinicID(in.ClinicID), Hidden: in.Hidden, After: p.after, Limit: p.limit,
	}, in.atLeast())
	return shown(rows, err, func(r projections.Review) (ListedReview, error) {
		shown, err := a.reviewOf(ctx, review.State{
			Visit:  review.Visit{Appointment: r.Appointment, Patient: r.Patient, Practitioner: r.Practitioner, Clinic: r.Clinic},
			Status: review.Published, Stars: r.Stars, Text: r.Text, Hidden: r.Hidden,
		})
		return ListedReview{shown, r.WrittenAt, r.EditedAt}, err
	})
}

func (a *api) practitionerRating(ctx context.Context, in *byIDInput) (single[Rating], error) {
	id := domain.PractitionerID(in.ID)
	if _, err := a.Commands.Practitioner(ctx, id); err != nil {
		return single[Rating]{}, err
	}
	rating, at, err := a.Reviews.OfPractitioner(ctx, id, in.atLeast())
	return single[Rating]{body: ratingOf(rating), position: at}, err
}

func (a *api) clinicRating(ctx context.Context, in *byIDInput) (single[Rating], error) {
	id := domain.ClinicID(in.ID)
	if _, err := a.Commands.Clinic(ctx, id); err != nil {
		return single[Rating]{}, err
	}
	rating, at, err := a.Reviews.OfClinic(ctx, id, in.atLeast())
	return single[Rating]{body: ratingOf(rating), position: at}, err
}

func ratingOf(r projections.Rating) Rating {
	shown := Rating{Count: r.Count(), Stars: RatingStars{r.Counts[0], r.Counts[1], r.Counts[2], r.Counts[3], r.Counts[4]}}
	if shown.Count > 0 {
		average := float64(r.Hundredths()) / 100
		shown.Average = &average
	}
	return shown
}
