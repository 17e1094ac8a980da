package projections_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

// rota is random practitioners at random clinics around the night on which
// summer begins in Lisbon, with their slots and what became of those.
type rota struct {
	clinics  []rotaClinic
	people   []practitioner.Registered
	patterns []schedule.WasSet
	notices  map[domain.PractitionerID]time.Duration
	slots    []rotaSlot
}

type rotaClinic struct {
	clinic.Registered
	calendar *domain.Calendar
	closed   bool
}

type rotaSlot struct {
	schedule.Slot
	practitioner domain.PractitionerID
	withdrawn    bool
	taken        time.Time // until when its place is; zero = free
}

var (
	summer    = time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	rotaBegan = summer.Add(-30 * time.Hour)
	zones     = []string{"Europe/Lisbon", "Asia/Tokyo", "America/Los_Angeles"}
)

const rotaLength = 72 * time.Hour

func drawRota(t *rapid.T) rota {
	r := rota{notices: map[domain.PractitionerID]time.Duration{}}
	for i := range rapid.IntRange(1, 5).Draw(t, "clinics") {
		c := rotaClinic{closed: rapid.IntRange(0, 7).Draw(t, "closed") == 0, Registered: clinic.Registered{
			Clinic: domain.ClinicID(fmt.Sprintf("c%d", i)),
			Profile: clinic.Profile{
				Name: rapid.SampledFrom(listedWords).Draw(t, "clinic"), Zone: rapid.SampledFrom(zones).Draw(t, "zone"),
				Town: rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "town"),
			},
		}}
		if rapid.Bool().Draw(t, "located") {
			c.Location = &clinic.Location{Latitude: rapid.Float64Range(-90, 90).Draw(t, "latitude"), Longitude: rapid.Float64Range(-180, 180).Draw(t, "longitude")}
		}
		c.calendar = drawCalendar(t)
		r.clinics = append(r.clinics, c)
	}
	for i := range rapid.IntRange(1, 12).Draw(t, "practitioners") {
		r.drawPractitioner(t, domain.PractitionerID(fmt.Sprintf("p%02d", i)))
	}
	return r
}

func drawHours(t *rapid.T) (weekday int, from, to domain.WallTime) {
	minute := rapid.IntRange(0, 23*4+3)
	from = domain.WallTime(minute.Draw(t, "from") * 15)
	return rapid.IntRange(0, 6).Draw(t, "weekday"), from, (from + domain.WallTime(minute.Draw(t, "length")+1)*15) % (24 * 60)
}

func drawCalendar(t *rapid.T) *domain.Calendar {
	var c domain.Calendar
	switch rapid.IntRange(0, 3).Draw(t, "calendar") {
	case 0:
		return nil
	case 1:
		c.Open24h = true
	case 2:
		for range rapid.IntRange(1, 8).Draw(t, "hours") {
			weekday, from, to := drawHours(t)
			c.Hours = append(c.Hours, domain.Hours{Weekday: weekday, From: from, To: to})
		}
	}
	for _, d := range rapid.SliceOfNDistinct(rapid.IntRange(27, 31), 0, 2, rapid.ID).Draw(t, "closing days") {
		c.ClosingDays = append(c.ClosingDays, domain.ClosingDay{Day: domain.Day(fmt.Sprintf("2026-03-%d", d)), Reason: "x"})
	}
	return &c
}

func (r *rota) drawPractitioner(t *rapid.T, id domain.PractitionerID) {
	p := practitioner.Registered{Practitioner: id, Profile: practitioner.Profile{
		Name:        rapid.SampledFrom(listedWords).Draw(t, "name"),
		Specialties: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"cardiology", "surgery", "dentistry"}), 0, 2, rapid.ID).Draw(t, "specialties"),
	}}
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(r.clinics)-1), 1, 2, rapid.ID).Draw(t, "works at") {
		at := r.clinics[n].Clinic
		p.Clinics = append(p.Clinics, at)
		week := schedule.WasSet{Practitioner: id, Pattern: schedule.Pattern{Clinic: at, Zone: r.clinics[n].Zone, HorizonDays: 3}}
		for range rapid.IntRange(0, 2).Draw(t, "intervals") {
			weekday, from, to := drawHours(t)
			week.Weekly = append(week.Weekly, schedule.Interval{Weekday: weekday, From: from, To: to, SlotMinutes: 15, Capacity: 1})
		}
		week.ValidUntil = rapid.SampledFrom([]domain.Day{"", "", "2026-03-28", "2026-03-29"}).Draw(t, "valid until")
		r.patterns = append(r.patterns, week)
	}
	r.people = append(r.people, p)
	if rapid.IntRange(0, 3).Draw(t, "noticed") == 0 {
		r.notices[id] = time.Duration(rapid.IntRange(1, 30).Draw(t, "notice")) * time.Hour
	}
	start := rotaBegan.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "begins")) * 30 * time.Minute)
	numbers := map[domain.Day]int{}
	for start.Before(rotaBegan.Add(rotaLength)) && len(numbers) < 4 {
		length := time.Duration(rapid.SampledFrom([]int{15, 30, 60, 600}).Draw(t, "minutes")) * time.Minute
		day := domain.DayOf(start)
		s := rotaSlot{practitioner: id, withdrawn: rapid.IntRange(0, 4).Draw(t, "withdrawn") == 0}
		s.Slot = schedule.Slot{
			ID: schedule.SlotID(id, day, numbers[day]), Clinic: rapid.SampledFrom(p.Clinics).Draw(t, "clinic"), Capacity: 1,
			Period: domain.Period{Start: start, End: start.Add(length)},
		}
		switch rapid.IntRange(0, 4).Draw(t, "taken") {
		case 0:
			s.taken = summer.AddDate(100, 0, 0)
		case 1:
			s.taken = rotaBegan.Add(time.Duration(rapid.IntRange(0, 72).Draw(t, "until")) * time.Hour)
		}
		r.slots = append(r.slots, s)
		numbers[day]++
		start = s.End.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 30, 300}).Draw(t, "gap")) * time.Minute)
	}
}

func (r rota) facts() (facts []fact) {
	for _, c := range r.clinics {
		facts = append(facts, on(clinic.Stream(c.Clinic), c.Registered))
		if c.calendar != nil {
			facts = append(facts, on(clinic.Stream(c.Clinic), clinic.CalendarSet{Clinic: c.Clinic, Zone: c.Zone, Calendar: *c.calendar}))
		}
		if c.closed {
			facts = append(facts, on(clinic.Stream(c.Clinic), clinic.WasClosed{Clinic: c.Clinic}))
		}
	}
	for _, p := range r.people {
		facts = append(facts, on(practitioner.Stream(p.Practitioner), p))
		if n := r.notices[p.Practitioner]; n > 0 {
			scope := policy.Scope{Kind: "practitioner", ID: string(p.Practitioner)}
			facts = append(facts, on(scope.Stream(), policy.WasSet{Scope: scope, Terms: policy.Terms{MinNotice: new(int(n.Minutes()))}}))
		}
	}
	for _, w := range r.patterns {
		facts = append(facts, on(schedule.Stream(w.Practitioner), w))
	}
	for i, s := range r.slots {
		facts = append(facts, s.facts(domain.AppointmentID(fmt.Sprintf("v%d", i)))...)
	}
	return facts
}

func (s rotaSlot) facts(id domain.AppointmentID) []fact {
	day := domain.DayOf(s.Start)
	opened := schedule.DayOpened{Practitioner: s.practitioner, Day: day, Slots: []schedule.Slot{s.Slot}}
	facts := []fact{on(schedule.DayStream(s.practitioner, day), opened)}
	if s.withdrawn {
		terms := slot.Terms{Slot: s.ID, Practitioner: s.practitioner, Clinic: s.Clinic, Period: s.Period}
		facts = append(facts, on(slot.Stream(s.ID), slot.Withdrawn{Terms: terms}))
	}
	if s.taken.IsZero() {
		return facts
	}
	v := appointment.Visit{
		Appointment: id, Patient: pat, Practitioner: s.practitioner, Clinic: s.Clinic, Slots: []domain.SlotID{s.ID}, Period: s.Period,
	}
	facts = append(facts, proposed(v, 1, s.taken))
	if s.taken.After(summer.AddDate(1, 0, 0)) {
		facts = append(facts, booked(v, 1))
	}
	return facts
}

func (r rota) engine(t *testing.T) *engine.Engine {
	t.Helper()
	e := engine.New(engine.Config{
		Pool: projectionstest.Pool(t), Log: projectionstest.Log(t, eventcodec.New(&eventcodec.MemoryKeys{}), r.facts()...),
		Models: projections.All(func(domain.Sealed) string { return "" }, nil), Owner: "test", Now: projectionstest.RecordedAt,
	})
	require.NoError(t, e.Prepare(t.Context()))
	require.NoError(t, e.CatchUp(t.Context()))
	return e
}

// area is the clinics of an area, all of them when it is everywhere.
func (r rota) area(a projections.Area) (ids []domain.ClinicID) {
	for _, c := range r.clinics {
		switch {
		case a == projections.Area{}:
		case c.closed:
			continue
		case a.Clinic != "" && a.Clinic != c.Clinic, a.Town != "" && a.Town != c.Town:
			continue
		case a.Near != nil && (c.Location == nil || distance(*c.Location, clinic.Location(*a.Near)) > a.Radius):
			continue
		}
		ids = append(ids, c.Clinic)
	}
	return ids
}

// slotArea is the clinics whose slots are listed: those of one that is closed,
// too, when it alone is asked for.
func (r rota) slotArea(a projections.Area) []domain.ClinicID {
	if a != (projections.Area{}) && a == (projections.Area{Clinic: a.Clinic}) {
		return []domain.ClinicID{a.Clinic}
	}
	return r.area(a)
}

func (r rota) clinic(id domain.ClinicID) rotaClinic {
	return r.clinics[slices.IndexFunc(r.clinics, func(c rotaClinic) bool { return c.Clinic == id })]
}

func (r rota) free(s rotaSlot, now time.Time) bool {
	taken := s.taken.After(now.Add(-appointment.ClockSlack))
	return !s.withdrawn && !taken && s.Start.After(now) && !s.Start.Before(now.Add(r.notices[s.practitioner]))
}

// next is the free slots in a period, of the clinics, in their order.
func (r rota) next(clinics []domain.ClinicID, from, to, now time.Time) (free []rotaSlot) {
	for _, s := range r.slots {
		if r.free(s, now) && slices.Contains(clinics, s.Clinic) && !s.Start.Before(from) && (to.IsZero() || s.Start.Before(to)) {
			free = append(free, s)
		}
	}
	slices.SortFunc(free, func(a, b rotaSlot) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID)) })
	return free
}

func of(id domain.PractitionerID) func(rotaSlot) bool {
	return func(s rotaSlot) bool { return s.practitioner == id }
}

func covers(s rotaSlot, at time.Time) bool {
	return !s.withdrawn && !at.Before(s.Start) && at.Before(s.End)
}

func (r rota) works(id domain.PractitionerID, on time.Weekday, clinics []domain.ClinicID, now time.Time) bool {
	return slices.ContainsFunc(r.patterns, func(w schedule.WasSet) bool {
		c := r.clinic(w.Clinic)
		zone, _ := time.LoadLocation(c.Zone)
		return w.Practitioner == id && slices.Contains(clinics, w.Clinic) && !c.closed &&
			(w.ValidUntil == "" || string(w.ValidUntil) >= now.In(zone).Format(time.DateOnly)) &&
			slices.ContainsFunc(w.Weekly, func(i schedule.Interval) bool {
				return i.Weekday == int(on) || (i.Weekday+1)%7 == int(on) && i.To <= i.From && i.To > 0
			})
	})
}

// find is the search by brute force, but for words and by name.
func (r rota) find(s projections.PractitionerSearch) (ids []domain.PractitionerID) {
	clinics := r.area(s.Area)
	window := projections.Starting{}
	if s.Free != nil {
		window = *s.Free
	}
	free := r.next(clinics, window.From, window.To, s.Now)
	people := slices.Clone(r.people)
	slices.SortFunc(people, func(a, b practitioner.Registered) int {
		order := cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Practitioner, b.Practitioner))
		if s.Sort == projections.ByEarliest {
			order = cmp.Compare(slices.IndexFunc(free, of(a.Practitioner)), slices.IndexFunc(free, of(b.Practitioner)))
		}
		return order
	})
	for _, p := range people {
		at := func(x rotaSlot) bool {
			return x.practitioner == p.Practitioner && slices.Contains(clinics, x.Clinic) && covers(x, s.OpenAt)
		}
		if slices.ContainsFunc(p.Clinics, func(c domain.ClinicID) bool { return slices.Contains(clinics, c) }) &&
			(s.Specialty == "" || slices.Contains(p.Specialties, s.Specialty)) &&
			(s.OpenAt.IsZero() || slices.ContainsFunc(r.slots, at)) &&
			(s.Weekday == nil || r.works(p.Practitioner, *s.Weekday, clinics, s.Now)) &&
			(s.Free == nil && s.Sort != projections.ByEarliest || slices.ContainsFunc(free, of(p.Practitioner))) {
			ids = append(ids, p.Practitioner)
		}
	}
	return ids
}

func drawInstant(t *rapid.T, label string) time.Time {
	return rotaBegan.Add(time.Duration(rapid.IntRange(-8, 72*4).Draw(t, label)) * 15 * time.Minute)
}

func (r rota) drawArea(t *rapid.T) (a projections.Area) {
	switch rapid.IntRange(0, 5).Draw(t, "area") {
	case 0:
		a.Clinic = rapid.SampledFrom(r.clinics).Draw(t, "at").Clinic
	case 1:
		a.Town = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "town")
	case 2:
		a.Near = &projections.Point{Latitude: rapid.Float64Range(-90, 90).Draw(t, "latitude"), Longitude: rapid.Float64Range(-180, 180).Draw(t, "longitude")}
		a.Radius = rapid.SampledFrom([]float64{3e6, 1e7, projections.MaxRadius}).Draw(t, "radius")
	}
	return a
}

func drawStarting(t *rapid.T) (s projections.Starting) {
	if rapid.Bool().Draw(t, "from") {
		s.From = drawInstant(t, "first start")
	}
	if rapid.Bool().Draw(t, "to") {
		s.To = drawInstant(t, "end of starts").Add(time.Minute)
		if !s.From.Before(s.To) {
			s.From, s.To = s.To, s.From.Add(time.Minute)
		}
	}
	return s
}

func (r rota) drawSearch(t *rapid.T) projections.PractitionerSearch {
	s := projections.PractitionerSearch{
		Specialty: rapid.SampledFrom([]string{"", "", "cardiology", "surgery"}).Draw(t, "specialty"), Area: r.drawArea(t),
		Now: drawInstant(t, "now"), Limit: rapid.IntRange(1, 5).Draw(t, "limit"),
		Sort: rapid.SampledFrom([]projections.Sort{projections.ByRelevance, projections.ByEarliest}).Draw(t, "sort"),
	}
	if rapid.IntRange(0, 2).Draw(t, "open") == 0 {
		s.OpenAt = drawInstant(t, "open at")
	}
	if rapid.IntRange(0, 2).Draw(t, "on a weekday") == 0 {
		s.Weekday = new(time.Weekday(rapid.IntRange(0, 6).Draw(t, "weekday")))
	}
	if rapid.IntRange(0, 2).Draw(t, "available") == 0 {
		s.Free = new(drawStarting(t))
	}
	return s.With(rapid.SampledFrom([]int{0, 3, 100}).Draw(t, "few"), rapid.SampledFrom([]int{1, 5, 50, 1000}).Draw(t, "ahead"), drawNear(t))
}

// rotas compares what is found with what looking at everything finds.
func rotas(t *testing.T, compare func(t *testing.T, rt *rapid.T, r rota, e *engine.Engine)) {
	t.Helper()
	for n := range 5 {
		t.Run(fmt.Sprint("rota ", n), func(t *testing.T) {
			t.Parallel()
			r := rapid.Custom(drawRota).Example(n)
			e := r.engine(t)
			rapid.Check(t, func(rt *rapid.T) { compare(t, rt, r, e) })
		})
	}
}

func TestWhoIsAtWorkAndWhoIsFreeFirstIsAsLookingAtEverybodyHasIt(t *testing.T) {
	t.Parallel()
	rotas(t, func(t *testing.T, rt *rapid.T, r rota, e *engine.Engine) {
		s := r.drawSearch(rt)
		want, got := r.find(s), []domain.PractitionerID(nil)
		free := r.next(r.area(s.Area), starting(s).From, starting(s).To, s.Now)
		for more := true; more; {
			page, err := projections.NewDirectory(e).FindPractitioners(t.Context(), s, 0)
			if errors.Is(err, projections.ErrOpenAt) {
				require.Empty(rt, want)
				return
			}
			require.NoError(rt, err)
			for _, f := range page.Items {
				require.Equal(rt, s.Sort == projections.ByEarliest, f.NextFree != nil)
				if f.NextFree != nil {
					require.Equal(rt, free[slices.IndexFunc(free, of(f.ID))].ID, f.NextFree.ID)
				}
				got, s.After = append(got, f.ID), f.Cursor()
			}
			more = page.More
		}
		require.Equal(rt, want, got, "%+v", s)
	})
}

func starting(s projections.PractitionerSearch) projections.Starting {
	if s.Free == nil {
		return projections.Starting{}
	}
	return *s.Free
}

// open reports whether a clinic is open, by the clock on its wall.
func (r rota) open(c rotaClinic, at time.Time) bool {
	zone, _ := time.LoadLocation(c.Zone)
	local := at.In(zone)
	closing := func(d time.Time) bool {
		return slices.ContainsFunc(c.calendar.ClosingDays, func(x domain.ClosingDay) bool { return string(x.Day) == d.Format(time.DateOnly) })
	}
	switch {
	case c.closed:
		return false
	case c.calendar == nil || !c.calendar.Open24h && len(c.calendar.Hours) == 0:
		return slices.ContainsFunc(r.slots, func(s rotaSlot) bool { return s.Clinic == c.Clinic && covers(s, at) })
	case closing(local):
		return false
	case c.calendar.Open24h:
		return true
	}
	minute, yesterday := domain.WallTime(local.Hour()*60+local.Minute()), local.AddDate(0, 0, -1)
	return slices.ContainsFunc(c.calendar.Hours, func(h domain.Hours) bool {
		past := h.To <= h.From
		return h.Weekday == int(local.Weekday()) && h.From <= minute && (past || minute < h.To) ||
			h.Weekday == int(yesterday.Weekday()) && past && minute < h.To && !closing(yesterday)
	})
}

func TestWhichClinicsAreFoundIsAsLookingAtEachHasIt(t *testing.T) {
	t.Parallel()
	rotas(t, func(t *testing.T, rt *rapid.T, r rota, e *engine.Engine) {
		s := projections.ClinicSearch{
			Area: r.drawArea(rt), Limit: rapid.IntRange(1, 4).Draw(rt, "limit"),
			Specialty: rapid.SampledFrom([]string{"", "", "cardiology"}).Draw(rt, "specialty"),
			Sort:      rapid.SampledFrom([]projections.Sort{"", projections.ByDistance}).Draw(rt, "sort"),
		}
		if s.Area.Near == nil {
			s.Sort = ""
		}
		if rapid.Bool().Draw(rt, "open") {
			s.OpenAt = drawInstant(rt, "open at")
		}
		if rapid.IntRange(0, 2).Draw(rt, "round the clock") == 0 {
			s.Open24h = new(rapid.Bool().Draw(rt, "open24h"))
		}
		if rapid.IntRange(0, 2).Draw(rt, "words") == 0 {
			s.Words = []string{rapid.SampledFrom(listedWords).Draw(rt, "word")}
		}
		now := drawInstant(rt, "now")
		want, got := r.findClinics(s, now), []string(nil)
		for more := true; more; {
			page, err := projections.NewDirectory(e).FindClinics(t.Context(), s, now, 0)
			require.NoError(rt, err)
			for _, f := range page.Items {
				got, s.After = append(got, fmt.Sprint(f.ID, f.Bookable, f.Specialties)), f.Cursor()
			}
			more = page.More
		}
		require.Equal(rt, want, got, "%+v", s)
	})
}

// findClinics is the search by brute force.
func (r rota) findClinics(s projections.ClinicSearch, now time.Time) (found []string) {
	clinics := slices.Clone(r.clinics)
	slices.SortFunc(clinics, func(a, b rotaClinic) int {
		order := strings.Compare(a.Name, b.Name)
		if s.Sort == projections.ByDistance && a.Location != nil && b.Location != nil {
			here := clinic.Location(*s.Area.Near)
			order = cmp.Compare(distance(*a.Location, here), distance(*b.Location, here))
		}
		return cmp.Or(order, cmp.Compare(a.Clinic, b.Clinic))
	})
	for _, c := range clinics {
		area := s.Area
		if area.Clinic != "" && area.Clinic != c.Clinic || area.Town != "" && area.Town != c.Town ||
			area.Near != nil && (c.Location == nil || distance(*c.Location, clinic.Location(*area.Near)) > area.Radius) {
			continue
		}
		offered := []string(nil)
		for _, p := range r.people {
			if slices.Contains(p.Clinics, c.Clinic) {
				offered = append(offered, p.Specialties...)
			}
		}
		slices.Sort(offered)
		offered = slices.Compact(offered)
		if (s.Specialty == "" || slices.Contains(offered, s.Specialty)) && (s.OpenAt.IsZero() || r.open(c, s.OpenAt)) &&
			(s.Open24h == nil || *s.Open24h == (c.calendar != nil && c.calendar.Open24h)) && (len(s.Words) == 0 || c.Name == s.Words[0]) {
			bookable := !c.closed && slices.ContainsFunc(r.slots, func(x rotaSlot) bool {
				return x.Clinic == c.Clinic && !x.withdrawn && !x.Start.Before(now) && !x.taken.After(now)
			})
			found = append(found, fmt.Sprint(c.Clinic, bookable, offered))
		}
	}
	return found
}

func (r rota) drawFilter(t *rapid.T) projections.SlotFilter {
	f := projections.SlotFilter{
		Area: r.drawArea(t), Limit: rapid.IntRange(1, 9).Draw(t, "limit"),
		Specialties: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"cardiology", "surgery", "dentistry"}), 0, 2, rapid.ID).Draw(t, "specialties"),
	}
	for _, p := range rapid.SliceOfN(rapid.SampledFrom(r.people), 0, 2).Draw(t, "practitioners") {
		f.Practitioners = append(f.Practitioners, p.Practitioner)
	}
	when := drawStarting(t)
	f.From, f.To = when.From, when.To
	return f.With(rapid.SampledFrom([]int{0, 3, 100}).Draw(t, "few"), rapid.SampledFrom([]int{1, 5, 50, 1000}).Draw(t, "ahead"), drawNear(t))
}

// list is the free slots of a filter by brute force.
func (r rota) list(f projections.SlotFilter, now time.Time) (found []rotaSlot) {
	return slices.DeleteFunc(r.next(r.slotArea(f.Area), f.From, f.To, now), func(s rotaSlot) bool {
		p := r.people[slices.IndexFunc(r.people, func(p practitioner.Registered) bool { return p.Practitioner == s.practitioner })]
		has := func(specialty string) bool { return slices.Contains(p.Specialties, specialty) }
		return len(f.Specialties) > 0 && !slices.ContainsFunc(f.Specialties, has) ||
			len(f.Practitioners) > 0 && !slices.Contains(f.Practitioners, s.practitioner)
	})
}

func idsOf(slots []rotaSlot) (ids []domain.SlotID) {
	for _, s := range slots {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestListsOfSlotsAreAsLookingAtEachHasThem(t *testing.T) {
	t.Parallel()
	rotas(t, func(t *testing.T, rt *rapid.T, r rota, e *engine.Engine) {
		a, f, now := projections.NewAvailability(e), r.drawFilter(rt), drawInstant(rt, "now")
		all := r.list(f, now)
		pages := func(of func(projections.SlotFilter) (projections.List[projections.Slot], error)) (ids []domain.SlotID) {
			f := f
			for more := true; more; {
				page, err := of(f)
				require.NoError(rt, err)
				for _, s := range page.Items {
					ids, f.After = append(ids, s.ID), s.Cursor()
				}
				more = page.More
			}
			return ids
		}
		require.Equal(rt, idsOf(all), pages(func(f projections.SlotFilter) (projections.List[projections.Slot], error) {
			return a.List(t.Context(), f, now, 0)
		}), "%+v", f)
		firsts := []rotaSlot(nil)
		for _, s := range all {
			if !slices.ContainsFunc(firsts, of(s.practitioner)) {
				firsts = append(firsts, s)
			}
		}
		require.Equal(rt, idsOf(firsts), pages(func(f projections.SlotFilter) (projections.List[projections.Slot], error) {
			return a.Next(t.Context(), f, now, 0)
		}), "%+v", f)
		f.From, f.To = time.Time{}, time.Time{}
		s := projections.Stretch{Days: rapid.IntRange(1, 4).Draw(rt, "days"), Most: rapid.IntRange(1, 30).Draw(rt, "most")}
		s.First = rapid.SampledFrom([]domain.Day{"", "2026-03-26", "2026-03-28", "2026-03-29"}).Draw(rt, "first")
		require.Equal(rt, r.days(f, s, now), datesOf(rt, t, a, f, s, now), "%+v %+v", f, s)
	})
}

// days is the dates with their free slots by brute force, to the last that has
// one or for the first stretch.
func (r rota) days(f projections.SlotFilter, s projections.Stretch, now time.Time) (days []string) {
	dated := map[domain.Day][]domain.SlotID{}
	var first, last domain.Day
	for _, x := range r.list(f, now) {
		zone, _ := time.LoadLocation(r.clinic(x.Clinic).Zone)
		d := domain.LocalDay(x.Start, zone)
		dated[d] = append(dated[d], x.ID)
		if first == "" || d < first {
			first = d
		}
		last = max(last, d)
	}
	if s.First != "" {
		first = s.First
	}
	if first == "" {
		return nil
	}
	for d, n := first, 0; n%s.Days != 0 || n == 0 || d <= last; d, n = d.Add(1), n+1 {
		days = append(days, fmt.Sprint(d, dated[d][:min(len(dated[d]), s.Most)], len(dated[d]) > s.Most))
	}
	return days
}

func datesOf(
	rt *rapid.T, t *testing.T, a projections.Availability, f projections.SlotFilter, s projections.Stretch, now time.Time,
) (days []string) {
	for more := true; more; {
		page, err := a.Days(t.Context(), f, s, now, 0)
		require.NoError(rt, err)
		for _, d := range page.Items {
			ids := []domain.SlotID{}
			for _, x := range d.Slots {
				ids = append(ids, x.ID)
			}
			days, s.First = append(days, fmt.Sprint(d.Day, ids, d.More)), d.Day.Add(1)
		}
		more = page.More
	}
	return days
}

// A clinic's own rule decides on the night on which the clocks go back.
func TestAClinicIsOpenOnceWhenTheClocksGoBack(t *testing.T) {
	t.Parallel()
	hours := domain.Calendar{Hours: []domain.Hours{{Weekday: 0, From: 30, To: 90}}} // 00:30 to 01:30 on Sunday
	facts := []fact{
		clinicFact(centre, "Centre", "Europe/Lisbon"), clinicFact(harbor, "Harbor", "Asia/Tokyo"),
		on(clinic.Stream(centre), clinic.CalendarSet{Clinic: centre, Zone: "Europe/Lisbon", Calendar: hours}),
		on(clinic.Stream(harbor), clinic.CalendarSet{Clinic: harbor, Zone: "Asia/Tokyo", Calendar: hours}),
	}
	t.Run("in each zone", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		for instant, want := range map[string][]domain.ClinicID{
			"2026-10-25T00:29:00Z": {centre}, // 01:29 for the first time
			"2026-10-25T00:30:00Z": nil,
			"2026-10-25T01:15:00Z": nil, // 01:15 again
			"2026-10-24T15:30:00Z": {harbor},
			"2026-10-24T16:30:00Z": nil,
			"2026-10-24T23:30:00Z": {centre},
		} {
			at, err := time.Parse(time.RFC3339, instant)
			require.NoError(t, err)
			list, err := projections.NewDirectory(e).FindClinics(t.Context(), projections.ClinicSearch{OpenAt: at}, at, 0)
			require.NoError(t, err)
			var got []domain.ClinicID
			for _, c := range list.Items {
				got = append(got, c.ID)
			}
			require.Equal(t, want, got, instant)
		}
	}))
}

func TestWhatTheScheduleDoesNotReachIsRefused(t *testing.T) {
	t.Parallel()
	search := func(e *engine.Engine, s projections.PractitionerSearch) error {
		_, err := projections.NewDirectory(e).FindPractitioners(t.Context(), s, 0)
		return err
	}
	t.Run("behind every slot", given(clinicDay()...).Then(func(t *testing.T, e *engine.Engine) {
		last := at(15, 0).Add(24 * time.Hour)
		require.NoError(t, search(e, projections.PractitionerSearch{OpenAt: last.Add(-time.Second)}))
		require.ErrorIs(t, search(e, projections.PractitionerSearch{OpenAt: last}), projections.ErrOpenAt)
		reversed := &projections.Starting{From: at(9, 0), To: at(9, 0)}
		require.ErrorIs(t, search(e, projections.PractitionerSearch{Now: at(8, 0), Free: reversed}), domain.ErrBadPeriod)
	}))
	t.Run("not where nothing was ever opened", given(clinicFact(centre, "Centre", "UTC")).Then(func(t *testing.T, e *engine.Engine) {
		require.NoError(t, search(e, projections.PractitionerSearch{OpenAt: at(9, 0)}))
	}))
}

func TestTheMinuteThatEndsIsClosed(t *testing.T) {
	t.Parallel()
	facts := []fact{
		clinicFact(centre, "Centre", "UTC"), practitionerFact(ana, "Ana", []domain.ClinicID{centre}), day(ana, centre, 1, half(9, 0), half(10, 0)),
	}
	t.Run("for practitioners and clinics", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		for instant, open := range map[time.Time]int{
			at(8, 59): 0, at(9, 0): 1, at(9, 29): 1, at(9, 30): 0, at(9, 59): 0, at(10, 0): 1, at(10, 30).Add(-time.Microsecond): 1, at(10, 30): 0,
		} {
			d := projections.NewDirectory(e)
			clinics, err := d.FindClinics(t.Context(), projections.ClinicSearch{OpenAt: instant}, at(8, 0), 0)
			require.NoError(t, err)
			require.Len(t, clinics.Items, open, instant)
			people, err := d.FindPractitioners(t.Context(), projections.PractitionerSearch{OpenAt: instant}, 0)
			require.NoError(t, err)
			require.Len(t, people.Items, open, instant)
		}
	}))
}

func TestWhatATownOffers(t *testing.T) {
	t.Parallel()
	facts := []fact{
		placed(centre, clinic.Profile{Name: "Centre", Town: "a"}), placed(harbor, clinic.Profile{Name: "Harbor", Town: "a"}),
		practitionerFact(ana, "Ana", []domain.ClinicID{centre, harbor}, "surgery", "cardiology"), practitionerFact(bo, "Bo", []domain.ClinicID{harbor}, "surgery"),
	}
	offers := func(town string, want ...projections.Offered) func(*testing.T, *engine.Engine) {
		return func(t *testing.T, e *engine.Engine) {
			offered, _, err := projections.NewDirectory(e).Offered(t.Context(), town, 0)
			require.NoError(t, err)
			require.ElementsMatch(t, want, offered)
		}
	}
	cardiology, surgery := projections.Offered{Specialty: "cardiology", Practitioners: 1}, projections.Offered{Specialty: "surgery", Practitioners: 2}
	t.Run("each practitioner counts once", given(facts...).Then(offers("a", cardiology, surgery)))
	t.Run("nothing elsewhere", given(facts...).Then(offers("b")))
	surgery.Practitioners = 1
	t.Run("nothing of clinics that are closed", given(append(facts, on(clinic.Stream(harbor), clinic.WasClosed{Clinic: harbor}))...).Then(
		offers("a", cardiology, surgery)))
}
