// Package projections is what can be asked: one file for each read model, with
// its tables, the folds that fill them, and its queries.
//
//	availability   slots by practitioner, clinic and time; what is free
//	appointments   visits by patient, practitioner, clinic and time
//	directory      clinics and practitioners
//	catalogue      visit types, rooms and devices by clinic
//	patients       patients by a part of their name or telephone number; whose they are
//	due            what is to be done when, by the worker of deadlines
//	policies       what clinics, practitioners and visit types allow
//	hours          when clinics say that they are open, and on which weekdays practitioners work
//	reviews        what patients say of visits, by practitioner and clinic
//	standing       how practitioners and clinics are rated, and how much they are booked
//	waits          by when those who wait in queues are called, and how good such forecasts were
//	kpis           what key figures are counted from
//	waitlist       who waits for what, who was offered what, and who was passed over and why
//
// A row holds facts and instants. What depends on the time of asking, such as
// whether a slot is free, is an expression over the time in the query.
//
// Every list answers with the position that it reflects, and takes the position
// that it must reflect at least: 0 demands nothing; otherwise the list waits a
// while and then returns [engine.ErrNotYet], or at once
// [engine.ErrPositionUnknown] for a position beyond the log.
//
// Lists have a stable order that ends in an id, and are read on after a
// cursor: the Cursor of the last item of a list that has more.
package projections

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// Viewer runs queries over the read models: an [engine.Engine].
type Viewer interface {
	View(ctx context.Context, least domain.Position, models []string, read func(engine.Reader) error) (domain.Position, error)
}

// All returns every read model, in a fixed order. open opens sealed text for
// the search of patients, and fetch may be nil, as [PatientsModel] says.
func All(open func(domain.Sealed) string, fetch Fetch) []engine.Model {
	return []engine.Model{
		AvailabilityModel(), AppointmentsModel(), DirectoryModel(), PatientsModel(open, fetch), CatalogueModel(), ReviewsModel(),
		StandingModel(), DueModel(), PoliciesModel(), WaitsModel(), HoursModel(), KPIsModel(), WaitlistModel(),
	}
}

// plannedOnce returns the arguments of a query, which is planned once or as ever.
func plannedOnce(once bool, args pgx.NamedArgs) []any {
	if once {
		return []any{engine.PlanOnce, args}
	}
	return []any{args}
}

// List is a stretch of a list.
type List[T any] struct {
	Items    []T
	More     bool            // there are items after the last one
	Position domain.Position // that the items reflect
}

// TimeCursor is a place in a list by time. The zero value is the beginning.
type TimeCursor struct {
	Start time.Time
	ID    string
}

// NameCursor is a place in a list by name. The zero value is the beginning.
type NameCursor struct {
	Name string
	ID   string
}

// limited returns the limit of a list: 50 unless one is given, at most 1000.
func limited(limit int) int {
	const usual, most = 50, 1000
	if limit <= 0 {
		return usual
	}
	return min(limit, most)
}

// first is the clause that takes the first rows of a query. Their number is in
// the text: a plan that is kept for any number is made for a tenth of all rows.
func first(rows int) string { return "\nlimit " + strconv.Itoa(rows) }

// list makes a list of items of which one more than the limit was asked for.
func list[T any](items []T, limit int, at domain.Position) List[T] {
	if len(items) > limit {
		return List[T]{items[:limit], true, at}
	}
	return List[T]{items, false, at}
}
