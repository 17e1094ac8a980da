package projections

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/projections/engine"
)

// PatientsModel returns the read model of patients. It is the only one that
// holds opened text, for the search; open gives it, or "" for text that is
// gone for good. When it cannot tell now, it panics with an error of the kind
// [domain.Unavailable], and the batch is tried again. fetch, when not nil, is
// told whose text will be opened next.
func PatientsModel(open func(domain.Sealed) string, fetch Fetch) engine.Model {
	return engine.Model{
		Name:     "patients",
		Version:  3, // names without accents
		Interest: domain.Filter{Categories: []string{patient.Category}},
		Before:   fetch.registered(),
		Tables:   []engine.Table{engine.NewTable("patient", patientDDL, patientKeys, evolvePatient(open))},
	}
}

// Fetch gets the keys of several persons at once.
type Fetch func(ctx context.Context, persons []string) error

// registered fetches the keys of those whom the events register.
func (fetch Fetch) registered() func(context.Context, []domain.Recorded) error {
	if fetch == nil {
		return nil
	}
	return func(ctx context.Context, events []domain.Recorded) error {
		var persons []string
		for _, r := range events {
			if e, ok := r.Event.(patient.Registered); ok {
				persons = append(persons, string(e.Patient))
			}
		}
		return fetch(ctx, persons)
	}
}

const patientDDL = `
create table patient (
	patient     text collate "C" not null primary key,
	name        text,
	email       text,
	phone       text,
	search      text collate "C" not null,
	guardian    text collate "C",
	merged_into text collate "C"
);
create index patient_search on patient using gin (search gin_trgm_ops);
create index patient_name on patient (search, patient);
create index patient_guardian on patient (guardian, search, patient);
create index patient_merged_into on patient (merged_into, patient)`

// PatientAndMerged is a query for the ids of @patient and of those who were
// merged into that patient, for a condition such as a.patient in (...). It
// reads the model patients.
const PatientAndMerged = `
	select @patient::text
	union all
	select p.patient
	from patient p
	where p.merged_into = @patient`

// PatientAndFamily is a query for the ids that [PatientAndMerged] has and, with
// them, those of the dependents of @patient and of those who were merged into a
// dependent. Whoever was merged belongs where the patient belongs who is kept.
const PatientAndFamily = `
	select @patient::text
	union all
	select p.patient
	from patient p
	where p.merged_into = @patient or p.guardian = @patient and p.merged_into is null
	union all
	select d.patient
	from patient p
	join patient d on d.merged_into = p.patient
	where p.guardian = @patient and p.merged_into is null`

// patientRow is a patient. Search is the name as [folded] leaves it and then
// the digits of the telephone number: lists are ordered by it.
type patientRow struct {
	Patient    domain.PatientID `db:"patient"`
	Name       domain.Sealed    `db:"name"`
	Email      domain.Sealed    `db:"email"`
	Phone      domain.Sealed    `db:"phone"`
	Search     string           `db:"search"`
	Guardian   domain.PatientID `db:"guardian"`
	MergedInto domain.PatientID `db:"merged_into"`
}

// patientKeys names the rows that an event touches. What the other end of a tie
// says, such as patient.dependent-added, is in no row: it says nothing new.
func patientKeys(r domain.Recorded) []string {
	switch e := r.Event.(type) {
	case patient.Registered:
		return []string{string(e.Patient)}
	case patient.GuardianSet:
		return []string{string(e.Patient)}
	case patient.GuardianRemoved:
		return []string{string(e.Patient)}
	case patient.Merged:
		return []string{string(e.Patient)}
	case patient.Unmerged:
		return []string{string(e.Patient)}
	}
	return nil
}

func evolvePatient(open func(domain.Sealed) string) func(patientRow, bool, domain.Recorded) (patientRow, bool) {
	return func(p patientRow, exists bool, r domain.Recorded) (patientRow, bool) {
		if e, ok := r.Event.(patient.Registered); ok {
			search := folded(open(e.Name)) + " " + digits(open(e.Phone))
			return patientRow{Patient: e.Patient, Name: e.Name, Email: e.Email, Phone: e.Phone, Search: search}, true
		}
		switch e := r.Event.(type) {
		case patient.GuardianSet:
			p.Guardian = e.Guardian
		case patient.GuardianRemoved:
			p.Guardian = ""
		case patient.Merged:
			p.MergedInto = e.Into
		case patient.Unmerged:
			p.MergedInto = ""
		}
		return p, exists
	}
}

func digits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}

// Patient is a patient of a list, still sealed.
type Patient struct {
	ID         domain.PatientID
	Name       domain.Sealed
	Email      domain.Sealed
	Phone      domain.Sealed
	Search     string           // the order of lists; personal, not to be shown
	Guardian   domain.PatientID // who books for the patient, or ""
	MergedInto domain.PatientID // who is to be used instead, or ""
}

// Cursor returns the patient's place in a list. It holds personal text: seal
// it before it leaves the program.
func (p Patient) Cursor() NameCursor { return NameCursor{p.Search, string(p.ID)} }

// PatientFilter says which patients a list has.
type PatientFilter struct {
	// Query is a part of the name, in any case, with or without accents, or of
	// the telephone number; punctuation does not matter in either. Empty is
	// everybody; one of punctuation alone is nobody.
	Query    string
	Guardian domain.PatientID // only the dependents of this one; "" is everybody
	Merged   bool             // those too who were merged into others
	After    NameCursor
	Limit    int // 0 is 50; at most 1000
}

// Patients answers who is registered.
type Patients struct{ views Viewer }

// NewPatients returns the queries over the model patients.
func NewPatients(v Viewer) Patients { return Patients{v} }

// Search returns the patients of the filter in the order of name and id, names
// in lower case, without accents and by code point. A query that can be a
// telephone number is matched by its digits alone.
func (p Patients) Search(ctx context.Context, f PatientFilter, least domain.Position) (List[Patient], error) {
	limit := limited(f.Limit)
	sql := `
select patient as id, coalesce(name, 'null')::json as name, coalesce(email, 'null')::json as email,
	coalesce(phone, 'null')::json as phone, search, coalesce(guardian, '') as guardian, coalesce(merged_into, '') as merged_into
from patient
where true`
	args := pgx.NamedArgs{}
	if f.After.ID != "" {
		sql += "\n\tand (search, patient) > (@after, @after_id)"
		args["after"], args["after_id"] = f.After.Name, f.After.ID
	}
	if f.Query != "" {
		sql += "\n\tand search like @pattern"
		args["pattern"] = pattern(f.Query)
	}
	if f.Guardian != "" {
		sql += "\n\tand guardian = @guardian"
		args["guardian"] = f.Guardian
	}
	if !f.Merged {
		sql += "\n\tand merged_into is null"
	}
	once := len(telephone(f.Query)) >= fewHave
	var patients []Patient
	at, err := p.views.View(ctx, least, []string{"patients"}, func(r engine.Reader) (err error) {
		rows, _ := r.Last(ctx, sql+"\norder by search, patient"+first(limit+1), plannedOnce(once, args)...)
		patients, err = pgx.CollectRows(rows, pgx.RowToStructByName[Patient])
		return err
	})
	if err != nil {
		return List[Patient]{}, fmt.Errorf("search patients: %w", err)
	}
	return list(patients, limit, at), nil
}

// fewHave is of how many digits a part of a telephone number is that few people
// have. Such a list comes from the index of parts; a part of a name may be better
// looked for in the order of names, and is planned for itself.
const fewHave = 6

// telephone returns the digits of a query that can be a telephone number, else "".
func telephone(query string) string {
	if strings.Trim(query, "0123456789 +-()./") != "" {
		return ""
	}
	return digits(query)
}

// pattern returns the query as a pattern of SQL's like, one that nobody matches
// when nothing is left of the query: names hold no punctuation.
func pattern(query string) string {
	if number := telephone(query); number != "" {
		return "%" + number + "%"
	}
	if query = folded(query); query == "" {
		return ""
	}
	return "%" + query + "%"
}
