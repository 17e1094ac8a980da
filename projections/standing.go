package projections

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/review"
	"github.com/slotbook/slotbook/projections/engine"
)

// StandingModel returns the read model of how practitioners and clinics stand:
// how they are rated, and how much booked practitioners are. It has what a
// search sorts by, in the order of an index.
func StandingModel() engine.Model {
	rated := func(name string, of func(domain.Recorded) string) engine.Table {
		ddl := strings.ReplaceAll(ratedDDL, "rated", name)
		return engine.NewTable(name, ddl, func(r domain.Recorded) []string { return key(of(r)) }, evolveRated)
	}
	return engine.Model{
		Name:    "standing",
		Version: 1,
		Interest: domain.Filter{
			Categories: []string{appointment.Category, clinic.Category, practitioner.Category, review.Category},
			Types: []string{
				appointment.WasBooked{}.EventType(), appointment.WasFulfilled{}.EventType(), appointment.WasReverted{}.EventType(),
				clinic.Registered{}.EventType(), practitioner.Registered{}.EventType(),
				review.WasWritten{}.EventType(), review.WasEdited{}.EventType(), review.WasWithdrawn{}.EventType(),
				review.WasHidden{}.EventType(), review.WasShown{}.EventType(),
			},
		},
		Tables: []engine.Table{
			rated("rated_practitioner", ratedPractitioner),
			rated("rated_clinic", ratedClinic),
			engine.NewTable("popular", popularDDL, func(r domain.Recorded) []string { return key(bookedPractitioner(r)) }, evolvePopular),
		},
	}
}

func key(id string) []string {
	if id == "" {
		return nil
	}
	return []string{id}
}

const ratedDDL = `
create table rated (
	subject text collate "C" not null primary key,
	reviews text[] collate "C",
	count   bigint not null,
	stars   bigint not null,
	rank    bigint not null
);
create index rated_rank on rated (rank, subject)`

// ratedRow is how a practitioner or a clinic is rated. Since an edit does not
// say what it replaces, the row keeps the stars of each review.
type ratedRow struct {
	Subject string   `db:"subject"`
	Reviews []string `db:"reviews"` // rating's text
	Count   int      `db:"count"`   // of the reviews that the public sees
	Stars   int      `db:"stars"`   // the sum of theirs
	Rank    int      `db:"rank"`    // orders the best first: see rank
}

// rating is what of a review counts. Its text is "appointment/stars/why": the
// letters say why it does not count.
type rating struct {
	appointment domain.AppointmentID
	stars       int
	why         string // of w: withdrawn, h: hidden, u: the visit did not take place after all
}

func parseRating(text string) rating {
	parts := strings.Split(text, "/")
	stars, _ := strconv.Atoi(parts[1]) // written by String
	return rating{domain.AppointmentID(parts[0]), stars, parts[2]}
}

func (r rating) String() string {
	return string(r.appointment) + "/" + strconv.Itoa(r.stars) + "/" + r.why
}

func (r rating) but(why string, so bool) rating {
	r.why = strings.ReplaceAll(r.why, why, "")
	if so {
		r.why += why
	}
	return r
}

func ratedPractitioner(r domain.Recorded) string {
	if e, ok := r.Event.(practitioner.Registered); ok {
		return string(e.Practitioner)
	}
	if e, ok := r.Event.(review.Event); ok {
		return string(reviewOf(e).Practitioner)
	}
	return string(undone(r).Practitioner)
}

func ratedClinic(r domain.Recorded) string {
	if e, ok := r.Event.(clinic.Registered); ok {
		return string(e.Clinic)
	}
	if e, ok := r.Event.(review.Event); ok {
		return string(reviewOf(e).Clinic)
	}
	return string(undone(r).Clinic)
}

func reviewOf(e review.Event) review.Visit {
	switch e := e.(type) {
	case review.WasWritten:
		return e.Visit
	case review.WasEdited:
		return e.Visit
	case review.WasWithdrawn:
		return e.Visit
	case review.WasHidden:
		return e.Visit
	case review.WasShown:
		return e.Visit
	}
	return review.Visit{}
}

// undone returns the visit that took place after all, or did not.
func undone(r domain.Recorded) appointment.Visit {
	switch e := r.Event.(type) {
	case appointment.WasReverted:
		return e.Visit
	case appointment.WasFulfilled:
		return e.Visit
	}
	return appointment.Visit{}
}

func evolveRated(row ratedRow, _ bool, r domain.Recorded) (ratedRow, bool) {
	switch e := r.Event.(type) {
	case review.Event:
		row = row.with(reviewOf(e).Appointment, func(of rating, known bool) (rating, bool) { return of.after(e, known) })
	case appointment.WasReverted:
		row = row.with(e.Appointment, func(of rating, _ bool) (rating, bool) { return of.but("u", e.Status != appointment.Fulfilled), true })
	case appointment.WasFulfilled:
		row = row.with(e.Appointment, func(of rating, known bool) (rating, bool) { return of.but("u", false), known })
	}
	row.Count, row.Stars = 0, 0
	for _, text := range row.Reviews {
		if of := parseRating(text); of.why == "" && of.stars > 0 {
			row.Count++
			row.Stars += of.stars
		}
	}
	row.Rank = row.rank()
	return row, true
}

// after returns the rating after an event of its review, and whether there is
// one.
func (r rating) after(e review.Event, known bool) (rating, bool) {
	switch e := e.(type) {
	case review.WasWritten:
		r.stars = e.Stars
		return r.but("w", false), true
	case review.WasEdited:
		r.stars = e.Stars
	case review.WasWithdrawn:
		r = r.but("w", true)
	case review.WasHidden:
		r = r.but("h", true)
	case review.WasShown:
		r = r.but("h", false)
	}
	return r, known
}

// with returns the row with the rating of an appointment changed.
func (row ratedRow) with(id domain.AppointmentID, change func(of rating, known bool) (rating, bool)) ratedRow {
	i := slices.IndexFunc(row.Reviews, func(text string) bool { return strings.HasPrefix(text, string(id)+"/") })
	of := rating{appointment: id}
	if i >= 0 {
		of = parseRating(row.Reviews[i])
	}
	of, keep := change(of, i >= 0)
	switch {
	case !keep:
	case i < 0:
		row.Reviews = append(slices.Clone(row.Reviews), of.String())
	default:
		row.Reviews = slices.Clone(row.Reviews)
		row.Reviews[i] = of.String()
	}
	return row
}

// perHundredth is how much a hundredth of a star weighs in a rank: more than
// any number of reviews.
const perHundredth = 1_000_000

// rank orders by the average in hundredths, the best first, and of the same
// average who has more reviews; 0 is without any.
func (row ratedRow) rank() int {
	if row.Count == 0 {
		return 0
	}
	hundredths := (row.Stars*100*2 + row.Count) / (row.Count * 2)
	return -hundredths*perHundredth - min(row.Count, perHundredth-1)
}

const popularDDL = `
create table popular (
	subject text collate "C" not null primary key,
	weight  bigint not null,
	day     bigint not null,
	rank    bigint not null
);
create index popular_rank on popular (rank, subject)`

// popularRow is how much a practitioner is booked: each booking weighs
// perBooking when it is made and half as much every ten days, so that one of 30
// days ago counts an eighth, and an older one next to nothing. Weight is as of
// Day. Rank makes rows of different days comparable and does not change as time
// goes by, for everybody's weight fades alike.
type popularRow struct {
	Subject string `db:"subject"`
	Weight  int    `db:"weight"`
	Day     int    `db:"day"`  // since 1970, UTC
	Rank    int    `db:"rank"` // orders those who are booked most first; 0 = never booked
}

const (
	perBooking  = 1 << 20
	halfLife    = 10                // days
	daily       = 4_007_346_185     // what is left after a day, of 1<<32: two to the power of -1/halfLife
	perDay      = 1 << 16           // how much a day weighs in a rank
	perHalving  = halfLife * perDay // and hence a halving
	fadedAway   = 40 * halfLife     // days after which nothing is left of any weight
	secondsADay = 24 * 60 * 60
)

func bookedPractitioner(r domain.Recorded) string {
	switch e := r.Event.(type) {
	case practitioner.Registered:
		return string(e.Practitioner)
	case appointment.WasBooked:
		if len(e.Freed) == 0 && !e.Mends { // a move is no booking of its own
			return string(e.Practitioner)
		}
	}
	return ""
}

func evolvePopular(row popularRow, exists bool, r domain.Recorded) (popularRow, bool) {
	if _, booked := r.Event.(appointment.WasBooked); !booked {
		return row, true
	}
	if !exists {
		row = popularRow{Subject: row.Subject}
	}
	return row.booked(r.RecordedAt), true
}

func (row popularRow) booked(now time.Time) popularRow {
	day := max(int(now.Unix()/secondsADay), row.Day)
	row.Weight, row.Day = fade(row.Weight, day-row.Day)+perBooking, day
	row.Rank = -(day*perDay + halvings(row.Weight))
	return row
}

// fade returns what is left of a weight after some days.
func fade(weight, days int) int {
	if days >= fadedAway {
		return 0
	}
	for range days {
		high, low := bits.Mul64(uint64(weight), daily) //nolint:gosec // not negative
		weight = int(high<<32 | low>>32)               //nolint:gosec // less than it was
	}
	return weight
}

// halvings returns how many halvings a weight of 1 or more is above 1, in units
// of 1/perHalving: its logarithm to the base of 2, computed without floats, so
// that every machine finds the same.
func halvings(weight int) int {
	const fraction = 24
	n := bits.Len64(uint64(weight)) - 1         //nolint:gosec // positive
	x, log := uint64(weight)<<(63-n), uint64(n) //nolint:gosec // x is in [1, 2), in units of 1/2^63
	for range fraction {
		x, _ = bits.Mul64(x, x) // in [1, 4), in units of 1/2^62
		log <<= 1
		if x >= 1<<63 {
			log |= 1
		} else {
			x <<= 1
		}
	}
	return int(log * perHalving >> fraction) //nolint:gosec // far below 2^63
}
