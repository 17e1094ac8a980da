package projections

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// The refusals of a search.
var (
	ErrNear   = domain.Refusal(domain.Invalid, "search.near", "near is a latitude from -90 to 90 and a longitude from -180 to 180, in degrees, such as 38.7,-9.1")
	ErrRadius = domain.Refusal(domain.Invalid, "search.radius", "a radius is 1 to 20100000 metres around near, which it needs")
	ErrSort   = domain.Refusal(domain.Invalid, "search.sort", "sorting by distance needs near")
	ErrWords  = domain.Refusal(domain.Invalid, "search.words", "a search is for at most 8 words")
)

// The limits of a radius, and the one of a search that names none, in metres.
const (
	MinRadius   = 1
	MaxRadius   = 20_100_000 // more than half around the Earth
	UsualRadius = 50_000
)

// Sort is the order of what a search finds. It ends in the id.
type Sort string

// The orders.
const (
	ByRelevance Sort = "relevance" // what matches best first, and then by name; without words by name
	ByDistance  Sort = "distance"  // the nearest first
	ByRating    Sort = "rating"    // the best average first, and of the same one who has more reviews
	ByPopular   Sort = "popular"   // who is booked most these days first
)

// SearchCursor is a place in what a search found. The zero value is the
// beginning.
type SearchCursor struct {
	Rank int // as the order has it
	Name string
	ID   string
}

// Point is a place on Earth in WGS 84 degrees.
type Point struct{ Latitude, Longitude float64 }

// Area says where a clinic is to be; zero fields do not narrow it.
type Area struct {
	Clinic   domain.ClinicID
	Town     string // a code
	District string // a code
	Near     *Point
	Radius   float64 // metres around Near; 0 is [UsualRadius]
}

// Check returns what is wrong with the area: [ErrNear] or [ErrRadius].
func (a Area) Check() error {
	switch {
	case a.Near == nil && a.Radius != 0:
		return ErrRadius
	case a.Near == nil:
		return nil
	case !(math.Abs(a.Near.Latitude) <= 90 && math.Abs(a.Near.Longitude) <= 180):
		return ErrNear
	case a.Radius != 0 && !(a.Radius >= MinRadius && a.Radius <= MaxRadius):
		return ErrRadius
	}
	return nil
}

// PractitionerSearch says which practitioners are wanted; zero fields do not
// narrow it. One of their clinics, still open, has to be in the whole area.
type PractitionerSearch struct {
	Words         []string // each is found in the name, a specialty, a clinic's name, a treatment or a qualification: see [Words]
	Names         *Names   // of the reference data, when there are words
	Specialty     string   // a code
	Qualification string   // a code, or the name of one without
	Treatment     string   // its name
	Language      string   // BCP 47; pt is pt-BR, too
	Area          Area
	MinRating     float64       // stars
	OpenAt        time.Time     // at work then, booked or not; later than every slot is [ErrOpenAt]
	Weekday       *time.Weekday // at work on it by a weekly pattern
	Free          *Starting     // with a slot that is free now and starts then
	Now           time.Time     // the time of asking, for Weekday, Free and ByEarliest
	Sort          Sort          // "" is ByRelevance; ByEarliest goes by the slots of Free
	After         SearchCursor
	Limit         int // 0 is 50; at most 1000
	effort        effort
}

// PractitionerFound is a practitioner whom a search found.
type PractitionerFound struct {
	Practitioner
	Matched  []string // where the words were found: name, specialty, clinic, treatment, qualification
	Distance *float64 // metres to the nearest clinic in the area, when near was asked for
	Reviews  int      // that the public sees
	Stars    int      // the sum of theirs
	NextFree *Slot    // the first free slot, of a search ByEarliest
	Place    SearchCursor
}

// Cursor returns the practitioner's place in the list.
func (f PractitionerFound) Cursor() SearchCursor { return f.Place }

// ClinicSearch says which clinics are wanted; zero fields do not narrow it.
type ClinicSearch struct {
	Words     []string // each is found in the name, the address or a specialty on offer
	Names     *Names   // of the reference data, when there are words
	Specialty string   // the code of one on offer
	Ownership string
	Open24h   *bool
	OpenAt    time.Time // by what the clinic says of its hours or, when it says nothing, by a slot of anybody there
	Area      Area
	Sort      Sort // "" is ByRelevance; not ByPopular, not ByEarliest
	After     SearchCursor
	Limit     int // 0 is 50; at most 1000
}

// ClinicFound is a clinic that a search found.
type ClinicFound struct {
	Clinic
	Open24h     bool
	Bookable    bool     // there is a free slot from now on
	Specialties []string // of those who work there
	Matched     []string // where the words were found: name, address, specialty
	Distance    *float64 // metres, when near was asked for
	Reviews     int      // that the public sees
	Stars       int      // the sum of theirs
	Place       SearchCursor
}

// Cursor returns the clinic's place in the list.
func (f ClinicFound) Cursor() SearchCursor { return f.Place }

// FindPractitioners returns the practitioners of the search, in its order.
// Errors: [ErrNear], [ErrRadius], [ErrSort], [ErrWords], [ErrOpenAt],
// [domain.ErrBadPeriod].
func (d Directory) FindPractitioners(ctx context.Context, s PractitionerSearch, least domain.Position) (List[PractitionerFound], error) {
	if err := checkSearch(s.Area, s.Sort, s.Words); err != nil {
		return List[PractitionerFound]{}, err
	}
	if err := s.starting().check(s.Now); err != nil {
		return List[PractitionerFound]{}, err
	}
	limit := limited(s.Limit)
	var rows []practitionerFoundRow
	var free map[domain.SlotID]*Slot
	at, err := d.views.View(ctx, least, s.models(), func(r engine.Reader) (err error) {
		rows, free, err = s.read(ctx, r, limit+1)
		return err
	})
	if err != nil {
		return List[PractitionerFound]{}, fmt.Errorf("find practitioners: %w", err)
	}
	all := make([]PractitionerFound, len(rows))
	for i, row := range rows {
		if all[i].Practitioner, err = row.practitioner(); err != nil {
			return List[PractitionerFound]{}, fmt.Errorf("find practitioners: %w", err)
		}
		all[i].Matched, all[i].Distance, all[i].Reviews, all[i].Stars = row.Matched, row.Distance, row.Reviews, row.Stars
		all[i].Place = SearchCursor{row.Rank, row.Name, string(row.Practitioner)}
		if slot := free[row.Slot]; slot != nil {
			all[i].NextFree = slot
			all[i].Place = SearchCursor{int(slot.Start.UnixMicro()), string(slot.ID), string(row.Practitioner)}
		}
	}
	return list(all, limit, at), nil
}

func checkSearch(a Area, sort Sort, words []string) error {
	switch {
	case sort == ByDistance && a.Near == nil:
		return ErrSort
	case len(words) > MaxWords:
		return ErrWords
	}
	return a.Check()
}

// starting returns when the slots are to start that the search goes by.
func (s PractitionerSearch) starting() Starting {
	if s.Free == nil {
		return Starting{}
	}
	return *s.Free
}

// models returns the models that the search is over.
func (s PractitionerSearch) models() []string {
	models := []string{"directory", "standing"}
	if s.Weekday != nil {
		models = append(models, "hours")
	}
	if s.Free != nil || s.Sort == ByEarliest || !s.OpenAt.IsZero() {
		models = append(models, "availability", "policies", "appointments")
	}
	return models
}

// read returns who is found, and when they are searched by it the first free slot
// of each.
func (s PractitionerSearch) read(ctx context.Context, r engine.Reader, limit int) ([]practitionerFoundRow, map[domain.SlotID]*Slot, error) {
	if s.Area != (Area{}) && len(s.Words) == 0 && s.OpenAt.IsZero() && (s.Sort == ByDistance || s.Specialty != "" && s.Sort != ByEarliest) {
		if rows, wide, err := s.atOnce(ctx, r, limit); err != nil || !wide {
			return rows, nil, err
		}
	}
	m, err := meant(ctx, r, s.Words, s.Names, s.Area)
	if err == nil && !s.OpenAt.IsZero() {
		err = opened(ctx, r, s.OpenAt)
	}
	if err != nil {
		return nil, nil, err
	}
	if s.Sort != ByEarliest {
		rows, err := s.found(ctx, r, m, limit)
		return rows, nil, err
	}
	return s.earliest(ctx, r, m, limit)
}

// earliest returns who has a free slot first, and that slot.
func (s PractitionerSearch) earliest(ctx context.Context, r engine.Reader, m meaning, limit int) ([]practitionerFoundRow, map[domain.SlotID]*Slot, error) {
	q, chord := s.query(m, limit)
	q.shown = outOf
	after := TimeCursor{time.UnixMicro(int64(s.After.Rank)), s.After.Name}
	earliest, err := walked[earliestRow](ctx, r, q, s.effort.orUsual(), func(walk bool) string {
		return q.practitioners(q.soonest(walk, after, ", 0 as rank, "+chord+" as chord"), "f.start, f.slot")
	})
	rows, free := make([]practitionerFoundRow, len(earliest)), map[domain.SlotID]*Slot{}
	for i, row := range earliest {
		rows[i], free[row.Slot] = row.practitionerFoundRow, row.slot()
	}
	return rows, free, err
}

// atOnce is found without a look at the area first, when that has not too many
// clinics: they are a table of the query then.
func (s PractitionerSearch) atOnce(ctx context.Context, r engine.Reader, limit int) (rows []practitionerFoundRow, wide bool, err error) {
	area, box, chord := (&query{args: pgx.NamedArgs{}}).area(s.Area, "c")
	clinics := "\nfrom clinic c\nwhere not c.closed" + area + box
	// In the collation of arrays, or else their index would not serve.
	q, chord := s.query(meaning{area: []string{}, table: `select c.clinic collate "default" as clinic, ` + chord + " as chord" + clinics}, limit)
	sql, near := q.practitioners(q.ranked(s, chord, limit)), s.effort.orUsual().near
	unless := fmt.Sprintf("(select count(*) > %d from (select%s%s) a)", near, clinics, first(near+1))
	found, wide, err := plainly(ctx, r, unless, sql, q.args)
	if err == nil && !wide {
		rows, err = pgx.CollectRows(found, pgx.RowToStructByName[practitionerFoundRow])
	}
	return rows, wide, err
}

// found returns the first rows of the search by a rank. By distance the nearest
// clinics are enough when as many as are wanted work there: nobody else is
// nearer. Who has to be free at a time may be so at another clinic only.
func (s PractitionerSearch) found(ctx context.Context, r engine.Reader, m meaning, limit int) ([]practitionerFoundRow, error) {
	area, first := m.area, s.effort.orUsual().near
	timely := s.Free != nil || s.Weekday != nil || !s.OpenAt.IsZero()
	for near := first; ; near *= 10 {
		all := s.Sort != ByDistance || timely || near >= len(area)
		if all {
			near = len(area)
		}
		m.area = area[:near]
		q, chord := s.query(m, limit)
		sql := ""
		if s.Sort == ByRating {
			sql = q.inOrder(s, chord, limit)
		} else {
			sql = q.practitioners(q.ranked(s, chord, limit))
		}
		found, err := q.ask(ctx, r, all, sql)
		if err != nil {
			return nil, err
		}
		rows, err := pgx.CollectRows(found, pgx.RowToStructByName[practitionerFoundRow])
		if err != nil || all || len(rows) == limit && rows[limit-1].Rank < m.away[near] {
			return rows, err
		}
	}
}

// ask runs a query, the last of a view or one after which more may follow.
func (q *query) ask(ctx context.Context, r engine.Reader, last bool, sql string) (pgx.Rows, error) {
	if last {
		return q.last(ctx, r, sql, q.args)
	}
	return r.Query(ctx, sql, q.args)
}

type practitionerFoundRow struct {
	listedPractitioner
	Matched  []string      `db:"matched"`
	Distance *float64      `db:"distance"`
	Reviews  int           `db:"reviews"`
	Stars    int           `db:"stars"`
	Rank     int           `db:"rank"`
	Slot     domain.SlotID `db:"slot"` // the first free one, of a search ByEarliest
}

// earliestRow is a practitioner with the first free slot.
type earliestRow struct {
	practitionerFoundRow
	At        domain.ClinicID `db:"at"`
	Zone      string          `db:"zone"`
	Start     time.Time       `db:"start"`
	End       time.Time       `db:"end"`
	Places    int             `db:"places"`
	Free      int             `db:"free"`
	Status    SlotStatus      `db:"status"`
	Reason    string          `db:"reason"`
	HeldUntil *time.Time      `db:"held_until"`
}

func (r earliestRow) slot() *Slot {
	s := Slot{
		ID: r.Slot, Practitioner: r.Practitioner, Clinic: r.At, Zone: r.Zone, Period: domain.Period{Start: r.Start, End: r.End},
		Places: r.Places, Free: r.Free, Status: r.Status, Reason: r.Reason, HeldUntil: r.HeldUntil,
	}.inUTC()
	return &s
}

// query returns the conditions of the search, and the distance of a row.
func (s PractitionerSearch) query(m meaning, limit int) (q *query, chord string) {
	q = &query{from: "practitioner", rank: "0", args: pgx.NamedArgs{"limit": limit}, shown: ", f.slot"}
	q.look(s.Words, func(n int, w word) ([]string, map[string]string, string) { return q.practitionerWord(n, w, m.words[n]) })
	q.narrow(s.Specialty != "", "p.specialties @> array[@specialty::text]", "specialty", s.Specialty)
	q.narrow(s.Qualification != "", "p.learnt && @qualification::text[]", "qualification", []string{s.Qualification, folded(s.Qualification)})
	q.narrow(s.Treatment != "", "p.treats @> array[@treatment::text]", "treatment", folded(s.Treatment))
	q.narrow(s.Language != "", "p.speaks @> array[@language::text]", "language", strings.ToLower(s.Language))
	chord = "null::double precision"
	area, _, nearest := q.area(s.Area, "c")
	switch wide := len(m.area) > s.effort.orUsual().near; {
	case m.table != "" && s.Sort == ByDistance:
		q.with, chord = m.table, "p.chord"
	case m.table != "":
		q.with = m.table
		q.where = append(q.where, "p.clinics && "+q.clinics())
	case wide && s.Area.Near == nil:
		q.where = append(q.where, "exists (\nselect\nfrom clinic c\nwhere c.clinic = any(p.clinics) and not c.closed"+area+"\n)")
		q.args["area"] = m.area
	case wide && s.Sort != ByDistance:
		q.where = append(q.where, "n.chord is not null")
		q.args["area"] = m.area
	default:
		q.narrow(m.area != nil, "p.clinics && @area::text[]", "area", m.area)
	}
	if s.Area.Near != nil && chord != "p.chord" {
		q.joins += "\ncross join lateral (\nselect min(" + nearest + ") as chord\nfrom clinic c\nwhere c.clinic = any(p.clinics) and not c.closed" + area + "\n) n"
		chord = "n.chord"
	}
	s.inTime(q)
	q.sortedBy(s.Sort, "rated_practitioner", "practitioner", chord, s.MinRating)
	if chord == "p.chord" {
		q.among()
	}
	return q, chord
}

// among turns the question for practitioners around: they come from the clinics
// of the area, each once and with the smallest chord of those where they work.
func (q *query) among() {
	there := &query{joins: q.joins, where: append([]string{"p.clinics @> array[a.clinic]"}, q.where...)}
	q.from = "(\nselect w.practitioner, min(a.chord) as chord\nfrom area a\ncross join lateral (\nselect p.practitioner\nfrom practitioner p" +
		there.joins + there.conditions() + "\noffset 0\n) w\ngroup by w.practitioner\n)"
	q.joins, q.where = "", nil
}

// inTime adds what is asked for of hours and slots, all of it at the clinics in
// the area.
func (s PractitionerSearch) inTime(q *query) {
	q.asked(s.Now, "", s.starting())
	if s.Weekday != nil {
		q.narrow(true, q.worksOn(), "weekday", weekdayBit(*s.Weekday))
	}
	if !s.OpenAt.IsZero() {
		q.openAt(s.OpenAt, q.openBySlot())
	}
	if s.Free != nil && s.Sort != ByEarliest {
		q.where = append(q.where, "exists ("+q.firstFree()+"\n\toffset 0\n)")
	}
}

// ranked returns the query of the practitioners that are found in the order of
// a rank, and that order.
func (q *query) ranked(s PractitionerSearch, chord string, limit int) (found, order string) {
	columns := q.order(s.Sort, "practitioner", s.After)
	return "select p.practitioner, " + q.rank + " as rank, " + chord + " as chord, '' as slot\nfrom " + q.from + " p" +
		q.joins + q.conditions() + "\norder by " + columns + first(limit), outside(columns)
}

// shownPractitioner are the columns of what is shown of a practitioner.
const shownPractitioner = `p.practitioner, p.name, p.specialties, p.clinics, coalesce(p.introduction, '') as introduction, p.treatments, p.languages,
	coalesce(p.council, '') as council, coalesce(p.state, '') as state, p.details, coalesce(p.picture, '') as picture`

// practitioners returns the query of what is shown of those who are found.
func (q *query) practitioners(found, order string) string {
	return q.before("found as (\n"+found+"\n)") + "select " + shownPractitioner + ",\n\t" + q.matchedPractitioner() +
		" as matched, " + metres("f.chord") + ` as distance, coalesce(r.count, 0) as reviews, coalesce(r.stars, 0) as stars, f.rank` + q.shown + `
from found f
cross join lateral (select * from practitioner p where p.practitioner = f.practitioner offset 0) p
` + ratingOf("rated_practitioner", "practitioner") + `
order by ` + order
}

// inOrder is [query.practitioners] for an order in which an index of ratings gives
// them: what is shown is at hand when they are found.
func (q *query) inOrder(s PractitionerSearch, chord string, limit int) string {
	columns := q.order(s.Sort, "practitioner", s.After)
	return q.before() + "select " + shownPractitioner + ",\n\t" + q.matchedPractitioner() + " as matched, " + metres(chord) +
		" as distance, r.count as reviews, r.stars, r.rank, '' as slot\nfrom practitioner p" + q.joins + q.conditions() + "\norder by " + columns + first(limit)
}

// before returns what a query begins with: the area, if it is asked for, and others.
func (q *query) before(others ...string) string {
	if q.with != "" {
		others = append([]string{"area as materialized (\n" + q.with + "\n)"}, others...)
	}
	if len(others) == 0 {
		return ""
	}
	return "with " + strings.Join(others, ",\n") + "\n"
}

func (q *query) matchedPractitioner() string {
	return q.matched("name", "specialty", "clinic", "treatment", "qualification")
}

// ratingOf joins the rating of each row f, one by one, as the rows themselves
// are: they are few, whatever the planner expects.
func ratingOf(table, id string) string {
	return "left join lateral (\nselect r.count, r.stars\nfrom " + table + " r\nwhere r.subject = f." + id + "\noffset 0\n) r on true"
}

// outside returns the columns of an order for the rows that were found.
func outside(order string) string {
	if strings.HasPrefix(order, "p.name,") {
		return order
	}
	columns := strings.Split(order, ", p.")
	return "f.rank, p." + strings.Join(columns[1:], ", p.")
}

func (q *query) practitionerWord(n int, w word, meant map[string][]string) (arms []string, where map[string]string, exact string) {
	in := func(name, column string) string { return q.overlaps(column, name+strconv.Itoa(n), meant[name]) }
	specialty, clinic, learnt := in("specialty", "p.specialties"), in("clinic", "p.clinics"), in("qualification", "p.learnt")
	where = map[string]string{
		"name": w.in("p.in_name", n), "specialty": specialty, "clinic": clinic, "treatment": w.in("p.in_treatments", n),
		"qualification": "(" + learnt + " or " + w.in("p.in_qualifications", n) + ")",
	}
	exact = fmt.Sprintf("(p.search like @like%d or %s or %s)", n, clinic, learnt)
	return []string{w.in("p.search", n), specialty, clinic, learnt}, where, exact
}

// overlaps returns the condition that a column has one of the codes. None are
// asked for, too: the fewer texts a search has, the more often its plan is kept.
func (q *query) overlaps(column, name string, codes []string) string {
	if codes == nil {
		codes = []string{}
	}
	return column + " && " + q.keep(name, codes) + "::text[]"
}

// FindClinics returns the clinics of the search, in its order. Errors:
// [ErrNear], [ErrRadius], [ErrSort], [ErrWords].
func (d Directory) FindClinics(ctx context.Context, s ClinicSearch, now time.Time, least domain.Position) (List[ClinicFound], error) {
	if err := checkSearch(s.Area, s.Sort, s.Words); err != nil {
		return List[ClinicFound]{}, err
	}
	limit := limited(s.Limit)
	var rows []clinicFoundRow
	offered := map[domain.ClinicID][]string{}
	at, err := d.views.View(ctx, least, []string{"directory", "standing", "availability", "hours"}, func(r engine.Reader) error {
		m, err := s.meant(ctx, r)
		if err != nil {
			return err
		}
		sql, args := s.sql(m, now, limit+1)
		found, _ := r.Query(ctx, sql, args)
		if rows, err = pgx.CollectRows(found, pgx.RowToStructByName[clinicFoundRow]); err != nil {
			return err
		}
		return offers(ctx, r, rows, offered)
	})
	if err != nil {
		return List[ClinicFound]{}, fmt.Errorf("find clinics: %w", err)
	}
	all := make([]ClinicFound, len(rows))
	for i, row := range rows {
		all[i] = ClinicFound{
			row.Clinic, row.Open24h, row.Bookable, offered[row.ID], row.Matched, row.Distance, row.Reviews, row.Stars,
			SearchCursor{row.Rank, row.Name, string(row.ID)},
		}
	}
	return list(all, limit, at), nil
}

// meant returns what the words mean, and which clinics say that they are open.
func (s ClinicSearch) meant(ctx context.Context, r engine.Reader) (meaning, error) {
	m, err := meant(ctx, r, s.Words, s.Names, Area{})
	if err == nil && !s.OpenAt.IsZero() {
		m.open, err = openClinics(ctx, r, s.OpenAt)
	}
	return m, err
}

// offers adds the specialties of those who work at the clinics, in the order
// of their codes.
func offers(ctx context.Context, r engine.Reader, clinics []clinicFoundRow, offered map[domain.ClinicID][]string) error {
	ids := make([]domain.ClinicID, len(clinics))
	for i, c := range clinics {
		ids[i] = c.ID
	}
	rows, err := r.Last(ctx, offersQuery, pgx.NamedArgs{"clinics": ids})
	if err != nil {
		return err
	}
	var id domain.ClinicID
	var specialties []string
	_, err = pgx.ForEachRow(rows, []any{&id, &specialties}, func() error {
		offered[id] = specialties
		return nil
	})
	return err
}

const offersQuery = `
select c.clinic, array_agg(distinct s.specialty order by s.specialty)
from practitioner p
cross join unnest(p.clinics) as c(clinic)
cross join unnest(p.specialties) as s(specialty)
where p.clinics && @clinics::text[] and c.clinic = any(@clinics::text[])
group by c.clinic`

// Offered is a specialty with how many practitioners have it.
type Offered struct {
	Specialty     string // a code
	Practitioners int
}

// Offered returns the specialties of those who work at the open clinics of a
// town, in the order of their codes, and the position that they reflect.
func (d Directory) Offered(ctx context.Context, town string, least domain.Position) ([]Offered, domain.Position, error) {
	offered, at, err := directory[Offered](ctx, d.views, least, offeredQuery, pgx.NamedArgs{"town": town})
	if err != nil {
		err = fmt.Errorf("specialties of a town: %w", err)
	}
	return offered, at, err
}

const offeredQuery = `
select s.specialty, count(distinct p.practitioner) as practitioners
from practitioner p
cross join unnest(p.specialties) as s(specialty)
where p.clinics && array(
	select c.clinic
	from clinic c
	where c.town = @town and not c.closed
)
group by s.specialty
order by s.specialty collate "C"`

type clinicFoundRow struct {
	Clinic
	Open24h  bool     `db:"open24h"`
	Bookable bool     `db:"bookable"`
	Matched  []string `db:"matched"`
	Distance *float64 `db:"distance"`
	Reviews  int      `db:"reviews"`
	Stars    int      `db:"stars"`
	Rank     int      `db:"rank"`
}

// offering returns the condition that somebody at the clinic p has a specialty.
func offering(condition string) string {
	return "p.clinic = any(array(select unnest(s.clinics) from practitioner s where s." + condition + "))"
}

func (s ClinicSearch) sql(m meaning, now time.Time, limit int) (string, pgx.NamedArgs) {
	q := &query{rank: "0", args: pgx.NamedArgs{"now": now}}
	q.look(s.Words, func(n int, w word) ([]string, map[string]string, string) {
		return q.clinicWord(n, w, m.words[n]["specialty"])
	})
	q.narrow(s.Specialty != "", offering("specialties @> array[@specialty::text]"), "specialty", s.Specialty)
	q.narrow(s.Ownership != "", "p.ownership = @ownership", "ownership", s.Ownership)
	if s.Open24h != nil {
		q.where = append(q.where, map[bool]string{true: "p.open24h", false: "not p.open24h"}[*s.Open24h])
	}
	if !s.OpenAt.IsZero() {
		q.openAt(s.OpenAt, openClinic)
		q.args["open"] = m.open
	}
	area, box, chord := q.area(s.Area, "p")
	if area != "" {
		q.where = append(q.where, strings.TrimPrefix(area+box, "\n\tand "))
	}
	q.sortedBy(s.Sort, "rated_clinic", "clinic", chord, 0)
	order := q.order(s.Sort, "clinic", s.After)
	found := "with found as (\nselect p.clinic, " + q.rank + " as rank, " + chord + " as chord\nfrom clinic p" + q.joins + q.conditions() +
		"\norder by " + order + first(limit) + "\n)"
	return found + strings.Replace(strings.Replace(clinicQuery, "clinic as id, name", "p.clinic as id, p.name", 1), "\nfrom clinic", "", 1) + `, p.open24h,
	not p.closed and exists (
		select
		from slot s
		where s.clinic = p.clinic and s.start >= @now and not s.withdrawn and (s.full_until is null or s.full_until <= @now)
	) as bookable,
	` + q.matched("name", "address", "specialty") + ` as matched,
	` + metres("f.chord") + ` as distance, coalesce(r.count, 0) as reviews, coalesce(r.stars, 0) as stars, f.rank
from found f
cross join lateral (select * from clinic p where p.clinic = f.clinic offset 0) p
` + ratingOf("rated_clinic", "clinic") + `
order by ` + outside(order), q.args
}

func (q *query) clinicWord(n int, w word, meant []string) (arms []string, where map[string]string, exact string) {
	specialty := offering(q.overlaps("specialties", "specialty"+strconv.Itoa(n), meant))
	where = map[string]string{"name": w.in("p.in_name", n), "address": w.in("p.in_address", n), "specialty": specialty}
	return []string{w.in("p.search", n), specialty}, where, fmt.Sprintf("p.in_address like @like%d", n)
}
