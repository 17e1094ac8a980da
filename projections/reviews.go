package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/review"
	"github.com/slotbook/slotbook/projections/engine"
)

// ReviewsModel returns the read model of reviews.
func ReviewsModel() engine.Model {
	return engine.Model{
		Name:     "reviews",
		Version:  1,
		Interest: domain.Filter{Categories: []string{review.Category}},
		Tables:   []engine.Table{engine.NewTable("review", reviewDDL, reviewKeys, evolveReview)},
	}
}

const reviewDDL = `
create table review (
	appointment  text collate "C" not null primary key,
	patient      text collate "C" not null,
	practitioner text collate "C" not null,
	clinic       text collate "C" not null,
	stars        bigint           not null,
	text         text,
	written_at   timestamptz      not null,
	edited_at    timestamptz,
	withdrawn    boolean          not null,
	hidden       text collate "C"
);
create index review_practitioner on review (practitioner, written_at, appointment);
create index review_clinic on review (clinic, written_at, appointment);
create index review_written on review (written_at, appointment)`

// reviewRow is a review. Hidden is why staff have hidden it.
type reviewRow struct {
	Appointment  domain.AppointmentID  `db:"appointment"`
	Patient      domain.PatientID      `db:"patient"`
	Practitioner domain.PractitionerID `db:"practitioner"`
	Clinic       domain.ClinicID       `db:"clinic"`
	Stars        int                   `db:"stars"`
	Text         domain.Sealed         `db:"text"`
	WrittenAt    time.Time             `db:"written_at"`
	EditedAt     time.Time             `db:"edited_at"`
	Withdrawn    bool                  `db:"withdrawn"`
	Hidden       review.Reason         `db:"hidden"`
}

func reviewKeys(r domain.Recorded) []string {
	if _, ok := r.Event.(review.Event); ok {
		return []string{r.Stream.ID()}
	}
	return nil
}

func evolveReview(row reviewRow, exists bool, r domain.Recorded) (reviewRow, bool) {
	event, ok := r.Event.(review.Event)
	if _, written := event.(review.WasWritten); !ok || !exists && !written {
		return row, exists
	}
	switch e := event.(type) {
	case review.WasWritten:
		row = row.of(e.Visit, e.Stars, e.Text)
		row.WrittenAt, row.EditedAt, row.Withdrawn = r.RecordedAt, time.Time{}, false
	case review.WasEdited:
		row = row.of(e.Visit, e.Stars, e.Text)
		row.EditedAt = r.RecordedAt
	case review.WasWithdrawn:
		row.Withdrawn, row.Text = true, domain.Sealed{}
	case review.WasHidden:
		row.Hidden = e.Reason
	case review.WasShown:
		row.Hidden = ""
	}
	return row, true
}

func (row reviewRow) of(v review.Visit, stars int, text domain.Sealed) reviewRow {
	row.Patient, row.Practitioner, row.Clinic, row.Stars, row.Text = v.Patient, v.Practitioner, v.Clinic, stars, text
	return row
}

// Review is a review of a list, its text still sealed.
type Review struct {
	Appointment  domain.AppointmentID
	Patient      domain.PatientID
	Practitioner domain.PractitionerID
	Clinic       domain.ClinicID
	Stars        int // 1 to 5
	Text         domain.Sealed
	WrittenAt    time.Time
	EditedAt     time.Time     // zero when it was never edited
	Hidden       review.Reason // why staff have hidden it, or ""
}

// Cursor returns the review's place in a list.
func (r Review) Cursor() TimeCursor { return TimeCursor{r.WrittenAt, string(r.Appointment)} }

// ReviewFilter says which reviews a list has; zero fields do not narrow it.
type ReviewFilter struct {
	Practitioner domain.PractitionerID
	Clinic       domain.ClinicID
	Hidden       bool // those too that staff have hidden
	After        TimeCursor
	Limit        int // 0 is 50; at most 1000
}

// Rating is how many reviews that the public sees give how many stars.
type Rating struct {
	Counts [review.MaxStars]int // of one star, of two, and so on
}

// Count returns how many reviews there are.
func (r Rating) Count() (n int) {
	for _, c := range r.Counts {
		n += c
	}
	return n
}

// Hundredths returns the average in hundredths of a star, rounded half up; 0
// when there are no reviews.
func (r Rating) Hundredths() int {
	n, stars := r.Count(), 0
	if n == 0 {
		return 0
	}
	for i, c := range r.Counts {
		stars += (i + 1) * c
	}
	return (200*stars + n) / (2 * n)
}

// Reviews answers what patients say.
type Reviews struct{ views Viewer }

// NewReviews returns the queries over the models reviews and appointments.
func NewReviews(v Viewer) Reviews { return Reviews{v} }

// reviewed is the reviews that were not withdrawn, of visits that took place: a
// visit may turn out not to have, after it was reviewed.
const reviewed = `
from review r
join appointment a on a.appointment = r.appointment and a.status = 'fulfilled'
where not r.withdrawn`

// List returns the reviews of the filter, the newest first and then by id
// backwards. Those that were withdrawn are not listed.
func (r Reviews) List(ctx context.Context, f ReviewFilter, least domain.Position) (List[Review], error) {
	limit := limited(f.Limit)
	sql := `
select r.appointment, r.patient, r.practitioner, r.clinic, r.stars, coalesce(r.text, 'null')::json as text, r.written_at,
	coalesce(r.edited_at, '0001-01-01T00:00:00Z') as edited_at, coalesce(r.hidden, '') as hidden` + reviewed
	args := pgx.NamedArgs{"after_id": f.After.ID, "limit": limit + 1}
	narrow := func(wanted bool, name string, value any, condition string) {
		if wanted {
			sql, args[name] = sql+"\n\tand "+condition, value
		}
	}
	narrow(f.Practitioner != "", "practitioner", f.Practitioner, "r.practitioner = @practitioner")
	narrow(f.Clinic != "", "clinic", f.Clinic, "r.clinic = @clinic")
	narrow(f.After.ID != "", "after", f.After.Start, "(r.written_at, r.appointment) < (@after, @after_id)")
	if !f.Hidden {
		sql += "\n\tand r.hidden is null"
	}
	var reviews []Review
	at, err := r.views.View(ctx, least, []string{"reviews", "appointments"}, func(reader engine.Reader) (err error) {
		rows, _ := reader.Last(ctx, sql+"\norder by r.written_at desc, r.appointment desc\nlimit @limit", args)
		reviews, err = pgx.CollectRows(rows, pgx.RowToStructByName[Review])
		return err
	})
	if err != nil {
		return List[Review]{}, fmt.Errorf("list reviews: %w", err)
	}
	for i, row := range reviews {
		reviews[i].WrittenAt, reviews[i].EditedAt = row.WrittenAt.UTC(), row.EditedAt.UTC()
	}
	return list(reviews, limit, at), nil
}

// OfPractitioner returns how a practitioner is rated, and the position that the
// rating reflects. Reviews that were withdrawn or hidden do not count.
func (r Reviews) OfPractitioner(ctx context.Context, id domain.PractitionerID, least domain.Position) (Rating, domain.Position, error) {
	return r.rating(ctx, "practitioner = @id", string(id), least)
}

// OfClinic returns how a clinic is rated, as [Reviews.OfPractitioner] does.
func (r Reviews) OfClinic(ctx context.Context, id domain.ClinicID, least domain.Position) (Rating, domain.Position, error) {
	return r.rating(ctx, "clinic = @id", string(id), least)
}

func (r Reviews) rating(ctx context.Context, condition, id string, least domain.Position) (Rating, domain.Position, error) {
	var rating Rating
	at, err := r.views.View(ctx, least, []string{"reviews", "appointments"}, func(reader engine.Reader) error {
		rows, err := reader.Query(ctx, `
select r.stars, count(*)`+reviewed+`
	and r.hidden is null
	and r.`+condition+`
group by r.stars
order by r.stars`, pgx.NamedArgs{"id": id})
		if err != nil {
			return err
		}
		rating = Rating{}
		var stars, n int
		_, err = pgx.ForEachRow(rows, []any{&stars, &n}, func() error {
			rating.Counts[stars-1] = n
			return nil
		})
		return err
	})
	if err != nil {
		return Rating{}, 0, fmt.Errorf("rate: %w", err)
	}
	return rating, at, nil
}
