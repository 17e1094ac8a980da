package projections

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/series"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections/engine"
)

// MostPast is how many slots, or visits, are folded for one answer about how
// things were.
const MostPast = 1000

// ErrPastTooBroad refuses to find out how more things were than [MostPast].
var ErrPastTooBroad = domain.Refusal(domain.Refused, "as-of.too-broad",
	"more than 1,000 slots or visits would have to be looked at as they were: name a practitioner, or a shorter time")

// past is how rows were when the log ended at a position: those that one answer
// is about, and what it goes by. They are folded out of the streams by the
// models' own folds, and the queries are those of now: they find them in place
// of the tables. A nil past is the present.
type past struct {
	position domain.Position
	rows     map[string]map[string]json.RawMessage // by model and table
	cut      bool                                  // only the first that may be meant are there
	until    time.Time                             // when the last of them starts
}

// whole returns [ErrPastTooBroad] when rows are missing.
func (p *past) whole() error {
	if p != nil && p.cut {
		return ErrPastTooBroad
	}
	return nil
}

// view runs read over the models; over how the rows were, when there is a past, and
// its position is then the past's.
func (p *past) view(ctx context.Context, v Viewer, least domain.Position, models []string, read func(engine.Reader) error) (domain.Position, error) {
	at, err := v.View(ctx, least, models, func(r engine.Reader) error { return read(p.over(r, models)) })
	if p != nil {
		at = p.position
	}
	return at, err
}

// over returns a reader whose queries find the rows as they were, in place of the
// tables of these models.
func (p *past) over(r engine.Reader, models []string) engine.Reader {
	if p == nil {
		return r
	}
	was := pastReader{Reader: r, args: pgx.NamedArgs{}}
	var tables []string
	for _, m := range models {
		for _, table := range slices.Sorted(maps.Keys(p.rows[m])) {
			tables = append(tables, fmt.Sprintf(
				"%[1]s as materialized (\n\tselect *\n\tfrom jsonb_populate_recordset(null::%[1]s, @was_%[1]s::text::jsonb)\n)", table))
			was.args["was_"+table] = string(p.rows[m][table])
		}
	}
	was.with = strings.Join(tables, ",\n")
	return was
}

// pastReader reads what [past.over] says. Queries take named arguments.
type pastReader struct {
	engine.Reader
	with string
	args pgx.NamedArgs
}

// Query runs a query over the rows as they were.
func (r pastReader) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	sql, args = r.before(sql, args)
	return r.Reader.Query(ctx, sql, args...)
}

// Last runs the last query, over the rows as they were.
func (r pastReader) Last(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	sql, args = r.before(sql, args)
	return r.Reader.Last(ctx, sql, args...)
}

// LastUnless runs the last query where the condition does not hold, both over the
// rows as they were.
func (r pastReader) LastUnless(ctx context.Context, condition, sql string, args ...any) (rows pgx.Rows, holds bool, err error) {
	if err := r.QueryRow(ctx, "select "+condition, args...).Scan(&holds); err != nil || holds {
		return nil, holds, err
	}
	rows, err = r.Last(ctx, sql, args...)
	return rows, false, err
}

// QueryRow runs a query for one row over the rows as they were.
func (r pastReader) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	sql, args = r.before(sql, args)
	return r.Reader.QueryRow(ctx, sql, args...)
}

func (r pastReader) before(sql string, args []any) (string, []any) {
	all := maps.Clone(r.args)
	for _, a := range args {
		if named, ok := a.(pgx.NamedArgs); ok {
			maps.Copy(all, named)
		}
	}
	if own, ok := strings.CutPrefix(sql, "with "); ok {
		return "with " + r.with + ",\n" + own, []any{all}
	}
	return "with " + r.with + "\n" + sql, []any{all}
}

// errNoPast says that nobody has said where the streams are.
var errNoPast = errors.New("no streams to fold how things were")

// pastSlot is a slot that may have been in a list.
type pastSlot struct {
	Slot         domain.SlotID
	Practitioner domain.PractitionerID
	Clinic       domain.ClinicID
	Start        time.Time
}

// past returns how the slots were that a list of now is about, nil when it is
// about the present. Rows of slots stay, and never move: those that were there
// are there. Which specialties and areas they are of is as it was, too, so that
// it narrows the answer, but not what is looked at.
func (a Availability) past(ctx context.Context, f SlotFilter, least domain.Position) (*past, error) {
	if f.AsOf == nil {
		return nil, nil //nolint:nilnil // the present
	}
	if a.streams == nil {
		return nil, errNoPast
	}
	f.Specialties = nil
	args := pgx.NamedArgs{"limit": MostPast + 1}
	slots, err := pastRows[pastSlot](ctx, a.views, max(least, *f.AsOf), "availability",
		"select s.slot, s.practitioner, s.clinic, s.start\nfrom slot s\nwhere true"+f.where(nil, args)+"\norder by s.start, s.slot\nlimit @limit", args)
	if err != nil {
		return nil, err
	}
	p := &past{position: *f.AsOf, cut: len(slots) > MostPast}
	if p.cut {
		slots = slots[:MostPast]
		p.until = slots[MostPast-1].Start
	}
	g := &gathering{streams: a.streams, position: *f.AsOf, loaded: map[domain.StreamName][]domain.Recorded{}}
	if err := g.slots(ctx, slots, f.VisitType); err != nil {
		return nil, err
	}
	p.rows, err = g.fold(only(slots), AvailabilityModel(), AppointmentsModel(), DirectoryModel(), PoliciesModel(), HoursModel())
	return p, err
}

// only wants the rows of some slots, and every row of other tables.
func only(slots []pastSlot) func(table, key string) bool {
	wanted := make(map[string]bool, len(slots))
	for _, s := range slots {
		wanted[string(s.Slot)] = true
	}
	return func(table, key string) bool { return table != "slot" || wanted[key] }
}

// past returns how a practitioner's day was, nil when it is about the present: the
// arguments are those of [dayQuery]. The other slots of its visits are looked at,
// too, since the clinic may have withdrawn them.
func (d DaySheets) past(ctx context.Context, asOf *domain.Position, args pgx.NamedArgs, least domain.Position) (*past, error) {
	if asOf == nil {
		return nil, nil //nolint:nilnil // the present
	}
	if d.streams == nil {
		return nil, errNoPast
	}
	args["most"] = MostPast + 1
	slots, err := pastRows[pastSlot](ctx, d.views, max(least, *asOf), "availability",
		"select s.slot, s.practitioner, s.clinic, s.start\nfrom slot s\nwhere true"+ofDay+"\nlimit @most", args)
	if err == nil && len(slots) > MostPast {
		err = ErrPastTooBroad
	}
	if err != nil {
		return nil, err
	}
	p, g := &past{position: *asOf}, &gathering{streams: d.streams, position: *asOf, loaded: map[domain.StreamName][]domain.Recorded{}}
	if err := g.slots(ctx, slots, ""); err != nil {
		return nil, err
	}
	if err := g.load(ctx, g.places()); err != nil {
		return nil, err
	}
	p.rows, err = g.fold(only(slots), AvailabilityModel(), AppointmentsModel(), DirectoryModel())
	return p, err
}

// pastRows reads rows of what there is now.
func pastRows[R any](ctx context.Context, v Viewer, least domain.Position, model, sql string, args pgx.NamedArgs) (found []R, err error) {
	_, err = v.View(ctx, least, []string{model}, func(r engine.Reader) (err error) {
		rows, _ := r.Query(ctx, sql, args)
		found, err = pgx.CollectRows(rows, pgx.RowToStructByName[R])
		return err
	})
	return found, err
}

// pastVisit is a visit that may have been in a list.
type pastVisit struct{ Appointment domain.AppointmentID }

// past returns how the visits were that a list of now is about, nil when it is
// about the present. The visits of a patient are theirs for ever; the others are
// found by the slots that they ever claimed, for they may have been moved since.
func (a Appointments) past(ctx context.Context, f AppointmentFilter, least domain.Position) (*past, error) {
	if f.AsOf == nil {
		return nil, nil //nolint:nilnil // the present
	}
	if a.streams == nil {
		return nil, errNoPast
	}
	p := &past{position: *f.AsOf}
	g := &gathering{streams: a.streams, position: *f.AsOf, loaded: map[domain.StreamName][]domain.Recorded{}}
	var err error
	if f.Patient != "" {
		err = g.visitsOfPatient(ctx, a.views, f.Patient, max(least, *f.AsOf))
	} else {
		err = g.visitsAtSlots(ctx, a.views, f, max(least, *f.AsOf))
	}
	if err != nil {
		return nil, err
	}
	for _, more := range []func() []domain.StreamName{g.deciders, g.places} {
		if err := g.load(ctx, more()); err != nil {
			return nil, err
		}
	}
	nobody := func(domain.Sealed) string { return "" }
	p.rows, err = g.fold(func(string, string) bool { return true }, AppointmentsModel(), DirectoryModel(), PatientsModel(nobody, nil))
	return p, err
}

// visitsOfPatient loads the visits of a patient and of everybody who was ever
// tied to them.
func (g *gathering) visitsOfPatient(ctx context.Context, v Viewer, id domain.PatientID, least domain.Position) error {
	if err := g.load(ctx, []domain.StreamName{patient.Stream(id)}); err != nil {
		return err
	}
	for range 2 { // there are no longer chains than duplicates of dependents
		if err := g.load(ctx, g.tied()); err != nil {
			return err
		}
	}
	var family []string
	for name := range g.loaded {
		family = append(family, name.ID())
	}
	visits, err := pastRows[pastVisit](ctx, v, least, "appointments",
		"select a.appointment\nfrom appointment a\nwhere a.patient = any(@family)\nlimit @limit", pgx.NamedArgs{"family": family, "limit": MostPast + 1})
	if err == nil && len(visits) > MostPast {
		err = ErrPastTooBroad
	}
	if err != nil {
		return err
	}
	names := make([]domain.StreamName, len(visits))
	for i, visit := range visits {
		names[i] = appointment.Stream(visit.Appointment)
	}
	return g.load(ctx, names)
}

// tied returns the streams of the dependents and duplicates of those who are
// loaded.
func (g *gathering) tied() (names []domain.StreamName) {
	for _, recorded := range g.loaded {
		for _, r := range upTo(recorded, g.position+oneAppend) {
			switch e := r.Event.(type) {
			case patient.DependentAdded:
				names = append(names, patient.Stream(e.Dependent))
			case patient.DuplicateAdded:
				names = append(names, patient.Stream(e.Duplicate))
			}
		}
	}
	return names
}

// visitsAtSlots loads the visits that claimed slots which start when the filter
// says, or a day before or after: a visit may begin with the slot of another
// practitioner.
func (g *gathering) visitsAtSlots(ctx context.Context, v Viewer, f AppointmentFilter, least domain.Position) error {
	of := SlotFilter{Area: Area{Clinic: f.Clinic}}
	if f.Practitioner != "" {
		of.Practitioners = []domain.PractitionerID{f.Practitioner}
	}
	const aside = 24 * time.Hour
	if !f.From.IsZero() {
		of.From = f.From.Add(-aside)
	}
	if !f.To.IsZero() {
		of.To = f.To.Add(aside)
	}
	args := pgx.NamedArgs{"limit": MostPast + 1}
	slots, err := pastRows[pastSlot](ctx, v, least, "availability",
		"select s.slot, s.practitioner, s.clinic, s.start\nfrom slot s\nwhere true"+of.where(nil, args)+"\nlimit @limit", args)
	if err == nil && len(slots) > MostPast {
		err = ErrPastTooBroad
	}
	if err != nil {
		return err
	}
	names := make([]domain.StreamName, len(slots))
	for i, s := range slots {
		names[i] = slot.Stream(s.Slot)
	}
	if err := g.load(ctx, names); err != nil {
		return err
	}
	return g.load(ctx, g.owners())
}

// places returns the streams of the slots and clinics of visits.
func (g *gathering) places() (names []domain.StreamName) {
	for _, recorded := range g.loaded {
		for _, r := range upTo(recorded, g.position) {
			if e, ok := r.Event.(appointment.WasProposed); ok {
				names = append(names, clinic.Stream(e.Clinic))
				for _, id := range e.Slots {
					names = append(names, slot.Stream(id))
				}
			}
		}
	}
	return names
}

// gathering is the streams that an answer about how things were goes by.
type gathering struct {
	streams  Streams
	position domain.Position
	loaded   map[domain.StreamName][]domain.Recorded
}

// loadedAtOnce is how many streams are loaded together, so that commands do not
// wait long for theirs: what has been recorded up to a position stays the same.
const loadedAtOnce = 200

// load loads streams that are not there yet.
func (g *gathering) load(ctx context.Context, names []domain.StreamName) error {
	names = slices.DeleteFunc(names, func(name domain.StreamName) bool {
		_, known := g.loaded[name]
		return known
	})
	slices.Sort(names)
	for some := range slices.Chunk(slices.Compact(names), loadedAtOnce) {
		loaded, err := g.streams.Load(ctx, some...)
		if err != nil {
			return err
		}
		for _, name := range some {
			g.loaded[name] = loaded[name]
		}
	}
	return nil
}

// fold returns the rows of models by model and table.
func (g *gathering) fold(want func(table, key string) bool, models ...engine.Model) (map[string]map[string]json.RawMessage, error) {
	var events []domain.Recorded
	for _, recorded := range g.loaded {
		events = append(events, upTo(recorded, g.position)...)
	}
	slices.SortFunc(events, func(a, b domain.Recorded) int { return cmp.Compare(a.Position, b.Position) })
	rows := map[string]map[string]json.RawMessage{}
	for _, m := range models {
		var err error
		if rows[m.Name], err = m.Fold(events, want); err != nil {
			return nil, fmt.Errorf("as of %d: model %s: %w", g.position, m.Name, err)
		}
	}
	return rows, nil
}

// upTo returns the events of a stream that were recorded up to a position.
func upTo(recorded []domain.Recorded, last domain.Position) []domain.Recorded {
	later := slices.IndexFunc(recorded, func(r domain.Recorded) bool { return r.Position > last })
	if later < 0 {
		return recorded
	}
	return recorded[:later]
}

// slots loads what slots go by: their days and their own streams, the sets that
// want them, whose they are, what is allowed there, and what is counted.
func (g *gathering) slots(ctx context.Context, slots []pastSlot, visitType domain.VisitTypeID) error {
	names := []domain.StreamName{policy.Scope{Kind: policy.OfVisitType, ID: string(visitType)}.Stream()}
	for _, s := range slots {
		names = append(names, slot.Stream(s.Slot), clinic.Stream(s.Clinic), practitioner.Stream(s.Practitioner),
			policy.Scope{Kind: policy.OfClinic, ID: string(s.Clinic)}.Stream(),
			policy.Scope{Kind: policy.OfPractitioner, ID: string(s.Practitioner)}.Stream())
		if who, day, err := schedule.DayOfSlot(s.Slot); err == nil {
			names = append(names, schedule.DayStream(who, day))
		}
	}
	if err := g.load(ctx, names); err != nil {
		return err
	}
	if err := g.load(ctx, g.quotas(slots)); err != nil {
		return err
	}
	if err := g.load(ctx, g.owners()); err != nil {
		return err
	}
	return g.load(ctx, g.deciders())
}

// quotas returns the streams that count the visits of the slots' practitioners,
// none where nobody ever had a limit.
func (g *gathering) quotas(slots []pastSlot) (names []domain.StreamName) {
	limits := false
	for _, recorded := range g.loaded {
		for _, r := range upTo(recorded, g.position) {
			e, ok := r.Event.(policy.WasSet)
			limits = limits || ok && (e.PractitionerDay != nil || e.PractitionerWeek != nil)
		}
	}
	if !limits {
		return nil
	}
	for _, s := range slots {
		at := domain.Replay(clinic.Evolve, clinic.State{}, upTo(g.loaded[clinic.Stream(s.Clinic)], g.position))
		zone, err := domain.Zone(at.Zone)
		if err != nil {
			continue // nothing was known of the clinic
		}
		year, week := s.Start.In(zone).ISOWeek()
		names = append(names,
			quota.Quota{Rule: quota.PractitionerDay, Subject: string(s.Practitioner), Bucket: string(domain.LocalDay(s.Start, zone))}.Stream(),
			quota.Quota{Rule: quota.PractitionerWeek, Subject: string(s.Practitioner), Bucket: fmt.Sprintf("%d-W%02d", year, week)}.Stream())
	}
	return names
}

// oneAppend is how many positions one append takes at most.
const oneAppend = 500

// owners returns the streams of the appointments that slots or quotas have
// claims of. A proposal and its claims are one append, and so a little apart: a
// position between them knows the one, but not yet the others.
func (g *gathering) owners() (names []domain.StreamName) {
	for _, recorded := range g.loaded {
		for _, r := range upTo(recorded, g.position+oneAppend) {
			switch e := r.Event.(type) {
			case slot.Held:
				names = append(names, appointment.Stream(e.Holder.Appointment))
			case slot.Booked:
				names = append(names, appointment.Stream(e.Holder.Appointment))
			case quota.Booked:
				names = append(names, appointment.Stream(e.Counted.Appointment))
			}
		}
	}
	return names
}

// deciders returns the streams of the series that decide sets of appointments.
func (g *gathering) deciders() (names []domain.StreamName) {
	for _, recorded := range g.loaded {
		for _, r := range upTo(recorded, g.position) {
			if e, ok := r.Event.(appointment.WasProposed); ok && e.Series != "" {
				names = append(names, series.Stream(e.Series))
			}
		}
	}
	return names
}
