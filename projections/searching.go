package projections

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// query is a search as it is put together. Its conditions are about a row p of
// what is looked for.
type query struct {
	with  string // a table "area" of the clinics in the area, which comes before the others; "" = they are an argument, or everywhere
	from  string // what is found: the table of practitioners, or those of the area with their chords
	joins string
	where []string
	rank  string // "0" for none
	args  pgx.NamedArgs
	words []word

	visitType domain.VisitTypeID // that is wanted; "" = none

	shown string // the columns of the slot of what is found

	limits *bool // whether anybody has limits of visits; nil = that was not asked yet
}

// word is a word of a search.
type word struct {
	mistyped bool              // others that are like it count
	fields   map[string]string // the condition that it is found there, by the name of the field
}

func (q *query) narrow(wanted bool, condition, name string, value any) {
	if wanted {
		q.where = append(q.where, condition)
		q.args[name] = value
	}
}

func (q *query) keep(name string, value any) string {
	q.args[name] = value
	return "@" + name
}

// earth is the mean radius of the Earth in metres (IUGG).
const earth = 6_371_008.8

// area returns the conditions that an area puts on a row of clinics, by its
// alias, and the distance of the clinic as a chord of a sphere of radius 1.
// The conditions are exact by themselves; those of the box let an index find
// what may be near.
func (q *query) area(a Area, alias string) (conditions, box, chord string) {
	add := func(wanted bool, column, name, value string) {
		if wanted {
			conditions += "\n\tand " + alias + "." + column + " = " + q.keep(name, value)
		}
	}
	add(a.Clinic != "", "clinic", "clinic", string(a.Clinic))
	add(a.Town != "", "town", "town", a.Town)
	add(a.District != "", "district", "district", a.District)
	if a.Near == nil {
		return conditions, "", "null::double precision"
	}
	radius := a.Radius
	if radius == 0 {
		radius = UsualRadius
	}
	q.args["here"] = a.Near.onSphere()
	q.args["chord"] = 2 * math.Sin(min(radius/earth/2, math.Pi/2))
	place := strings.NewReplacer("latitude", alias+".latitude", "longitude", alias+".longitude").Replace(placeOfClinic)
	chord = "((" + place + ") <-> cube(@here::double precision[]))"
	box = "\n\tand (" + place + ") <@ cube_enlarge(cube(@here::double precision[]), @chord::double precision, 3)"
	return conditions + "\n\tand " + chord + " <= @chord", box, chord
}

func (p Point) onSphere() []float64 {
	latitude, longitude := p.Latitude*math.Pi/180, p.Longitude*math.Pi/180
	return []float64{math.Cos(latitude) * math.Cos(longitude), math.Cos(latitude) * math.Sin(longitude), math.Sin(latitude)}
}

// rankByDistance returns whole millimetres; 0 of none.
func rankByDistance(chord string) string {
	return "coalesce(round(1000 * " + metres(chord) + ")::bigint, 0)"
}

// metres returns the length of the great circle over a chord; null is of none.
func metres(chord string) string {
	return fmt.Sprintf("2 * %.1f * asin(case when %[2]s > 2 then 1 else %[2]s / 2 end)", earth, chord)
}

// in returns the condition that a column of searchable text holds the word.
func (w word) in(column string, n int) string {
	c := fmt.Sprintf("%s like @like%d", column, n)
	if w.mistyped {
		c += fmt.Sprintf(" or %s %%> @word%d", column, n)
	}
	return "(" + c + ")"
}

// meaning is what a search means in rows of other tables, which the planner
// judges best when it sees them.
type meaning struct {
	words []codes  // for each word the ids that it may mean: of a specialty, a qualification or a clinic
	area  []string // the clinics in the area, the nearest first; nil = everywhere
	away  []int    // the rank of each by distance
	open  []string // the clinics that say that they are open at the instant that is asked for
	table string   // the query of the clinics in the area with their chords, which is not asked by itself; "" = it was, or everywhere
}

// meant returns what the words and the area mean.
func meant(ctx context.Context, r engine.Reader, words []string, names *Names, a Area) (meaning, error) {
	m := meaning{words: make([]codes, len(words))}
	coded, err := names.meant(ctx, r, words)
	if err != nil {
		return m, err
	}
	for i, c := range coded {
		m.words[i] = codes{}
		maps.Copy(m.words[i], c)
	}
	q := &query{args: pgx.NamedArgs{}}
	var finds []string
	for n, text := range words {
		q.args["word"+strconv.Itoa(n)], q.args["like"+strconv.Itoa(n)] = text, wordPattern(text)
		finds = append(finds, fmt.Sprintf("select %d, c.clinic, 0::bigint\nfrom clinic c\nwhere %s", n+1, word{mistyped: mayBeMistyped(text)}.in("c.in_name", n)))
	}
	if area, box, chord := q.area(a, "c"); area != "" {
		m.area = []string{}
		finds = append(finds, "(\nselect 0, c.clinic, "+rankByDistance(chord)+"\nfrom clinic c\nwhere not c.closed"+area+box+"\norder by "+chord+"\n)")
	}
	if len(finds) == 0 {
		return m, nil
	}
	rows, err := r.Query(ctx, strings.Join(finds, "\nunion all\n"), q.args)
	if err != nil {
		return m, err
	}
	var n int
	var id string
	var away int
	_, err = pgx.ForEachRow(rows, []any{&n, &id, &away}, func() error {
		if n == 0 {
			m.area, m.away = append(m.area, id), append(m.away, away)
		} else {
			m.words[n-1]["clinic"] = append(m.words[n-1]["clinic"], id)
		}
		return nil
	})
	return m, err
}

// The points of a word for where it is found, the best place counting.
const (
	wholeName      = 100
	beginName      = 80
	insideName     = 60
	specialist     = 50
	elsewhereFound = 40
	mistypedWord   = 10
)

// look adds the words, which are found by the conditions that fields return for
// each: where it is found by the field's name. One of them has to hold; exact is
// the one that is no typing error.
func (q *query) look(words []string, fields func(n int, w word) (arms []string, where map[string]string, exact string)) {
	var points []string
	for n, text := range words {
		w := word{mistyped: mayBeMistyped(text)}
		q.args["word"+strconv.Itoa(n)], q.args["like"+strconv.Itoa(n)] = text, wordPattern(text)
		q.args["begin"+strconv.Itoa(n)], q.args["whole"+strconv.Itoa(n)] = "% "+text+"%", "% "+text+" %"
		arms, where, exact := fields(n, w)
		w.fields = where
		q.words = append(q.words, w)
		q.where = append(q.where, "("+strings.Join(arms, " or ")+")")
		points = append(points, fmt.Sprintf(
			"case when p.in_name like @whole%[1]d then %[2]d when p.in_name like @begin%[1]d then %[3]d when p.in_name like @like%[1]d then %[4]d "+
				"when %[5]s then %[6]d when %[7]s then %[8]d else %[9]d end",
			n, wholeName, beginName, insideName, where["specialty"], specialist, exact, elsewhereFound, mistypedWord))
	}
	if len(points) > 0 {
		q.rank = "-(" + strings.Join(points, " + ") + ")"
	}
}

// matched returns the names of the fields in which any of the words is found.
func (q *query) matched(names ...string) string {
	var all []string
	for _, name := range names {
		var any []string
		for _, w := range q.words {
			any = append(any, w.fields[name])
		}
		if len(any) > 0 {
			all = append(all, "case when "+strings.Join(any, " or ")+" then '"+name+"' end")
		}
	}
	if len(all) == 0 {
		return "'{}'::text[]"
	}
	return "array_remove(array[" + strings.Join(all, ", ") + "], null)"
}

// order adds the place after which to go on, and returns the columns of the
// order of rows p with an id.
func (q *query) order(sort Sort, id string, after SearchCursor) string {
	columns, arguments := q.rank+", p."+id, "@after_rank, @after_id"
	switch {
	case (sort == "" || sort == ByRelevance) && q.rank == "0":
		columns, arguments = "p.name, p."+id, "@after_name, @after_id"
	case sort == "" || sort == ByRelevance:
		columns, arguments = q.rank+", p.name, p."+id, "@after_rank, @after_name, @after_id"
	}
	if after.ID != "" {
		maps.Copy(q.args, pgx.NamedArgs{"after_rank": after.Rank, "after_name": after.Name, "after_id": after.ID})
		q.where = append(q.where, "("+columns+") > ("+arguments+")")
		if sort == ByRating || sort == ByPopular {
			q.where = append(q.where, q.rank+" >= @after_rank")
		}
	}
	return columns
}

func (q *query) conditions() string {
	if len(q.where) == 0 {
		return ""
	}
	return "\nwhere " + strings.Join(q.where, "\n\tand ")
}

// sortedBy joins what the rows are ranked by. at is the distance of a row.
func (q *query) sortedBy(sort Sort, rated, id, chord string, minRating float64) {
	if sort == ByRating || minRating > 0 {
		q.joins += "\njoin " + rated + " r on r.subject = p." + id
	}
	if minRating > 0 {
		// In hundredths; the number of reviews only adds to the rank's size.
		q.narrow(true, "r.rank <= @least_rating", "least_rating", -int(math.Round(minRating*100))*perHundredth)
	}
	switch sort {
	case ByRating:
		q.rank = "r.rank"
	case ByPopular:
		q.joins += "\njoin popular b on b.subject = p." + id
		q.rank = "b.rank"
	case ByDistance:
		q.rank = rankByDistance(chord)
	case ByRelevance, ByEarliest, "":
	}
}
