package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/projections/engine"
)

// DirectoryModel returns the read model of clinics and practitioners.
func DirectoryModel() engine.Model {
	return engine.Model{
		Name:     "directory",
		Version:  4, // what a search looks for
		Interest: domain.Filter{Categories: []string{clinic.Category, practitioner.Category}},
		Tables: []engine.Table{
			engine.NewTable("clinic", clinicDDL, clinicKeys, evolveClinic),
			engine.NewTable("practitioner", practitionerDDL, practitionerKeys, evolvePractitioner),
		},
	}
}

const clinicDDL = `
create table clinic (
	clinic    text collate "C" not null primary key,
	name      text collate "C" not null,
	zone      text collate "C" not null,
	address   text collate "C",
	latitude  double precision,
	longitude double precision,
	town        text collate "C",
	district    text collate "C",
	postal_code text collate "C",
	country     text collate "C",
	phone       text collate "C",
	email       text collate "C",
	site        text collate "C",
	description text collate "C",
	ownership   text collate "C",
	closed      boolean not null,
	open24h     boolean not null,
	search      text collate "C",
	in_name     text collate "C",
	in_address  text collate "C"
);
create index clinic_name on clinic (name, clinic);
create index clinic_town on clinic (town, district, clinic);
create index clinic_open24h on clinic (clinic) where open24h;
create index clinic_ownership on clinic (ownership, clinic);
create index clinic_place on clinic using gist ((` + placeOfClinic + `));
create index clinic_in_name on clinic using gin (in_name gin_trgm_ops) with (fastupdate = off);
create index clinic_search on clinic using gin (search gin_trgm_ops) with (fastupdate = off)`

// placeOfClinic is where a clinic is, as a point on a sphere of radius 1.
const placeOfClinic = `case when latitude is not null then cube(array[
	cos(radians(latitude)) * cos(radians(longitude)), cos(radians(latitude)) * sin(radians(longitude)), sin(radians(latitude))
]) end`

type clinicRow struct {
	Clinic    domain.ClinicID `db:"clinic"`
	Name      string          `db:"name"`
	Zone      string          `db:"zone"`
	Address   string          `db:"address"`
	Latitude  *float64        `db:"latitude"`
	Longitude *float64        `db:"longitude"`

	Town        string `db:"town"`
	District    string `db:"district"`
	PostalCode  string `db:"postal_code"`
	Country     string `db:"country"`
	Phone       string `db:"phone"`
	Email       string `db:"email"`
	Site        string `db:"site"`
	Description string `db:"description"`
	Ownership   string `db:"ownership"`
	Closed      bool   `db:"closed"`

	Open24h   bool   `db:"open24h"`
	Search    string `db:"search"` // searchable, as those that follow: both of them
	InName    string `db:"in_name"`
	InAddress string `db:"in_address"`
}

func clinicKeys(r domain.Recorded) []string {
	switch e := r.Event.(type) {
	case clinic.Registered:
		return []string{string(e.Clinic)}
	case clinic.CalendarSet:
		return []string{string(e.Clinic)}
	case clinic.Changed:
		return []string{string(e.Clinic)}
	case clinic.WasClosed:
		return []string{string(e.Clinic)}
	}
	return nil
}

func evolveClinic(c clinicRow, exists bool, r domain.Recorded) (clinicRow, bool) {
	switch e := r.Event.(type) {
	case clinic.Registered:
		return clinicRowOf(e.Clinic, e.Profile), true
	case clinic.Changed:
		open24h := c.Open24h
		c = clinicRowOf(e.Clinic, e.Profile)
		c.Open24h = open24h
	case clinic.CalendarSet:
		c.Zone, c.Open24h = e.Zone, e.Open24h
	case clinic.WasClosed:
		c.Closed = true
	}
	return c, exists
}

func clinicRowOf(id domain.ClinicID, p clinic.Profile) clinicRow {
	c := clinicRow{
		Clinic: id, Name: p.Name, Zone: p.Zone, Address: p.Address, Town: p.Town, District: p.District, PostalCode: p.PostalCode, Country: p.Country,
		Phone: p.Phone, Email: p.Email, Site: p.Site, Description: p.Description, Ownership: p.Ownership,
		InName: searchable(p.Name), InAddress: searchable(p.Address),
	}
	c.Search = c.InName + c.InAddress
	if at := p.Location; at != nil {
		c.Latitude, c.Longitude = new(at.Latitude), new(at.Longitude)
	}
	return c
}

// Profiles change seldom and are searched often: the indexes keep no list of
// what is still to be sorted in, which every search would read.
const practitionerDDL = `
create table practitioner (
	practitioner text collate "C" not null primary key,
	name         text collate "C" not null,
	specialties  text[],
	clinics      text[],
	introduction text collate "C",
	treatments   text[],
	languages    text[],
	council      text collate "C",
	state        text collate "C",
	details      text collate "C" not null,
	picture      text collate "C",
	search            text collate "C",
	in_name           text collate "C",
	in_treatments     text collate "C",
	in_qualifications text collate "C",
	learnt            text[],
	treats            text[],
	speaks            text[]
);
create index practitioner_name on practitioner (name, practitioner);
create index practitioner_search on practitioner using gin (search gin_trgm_ops) with (fastupdate = off);
create index practitioner_specialties on practitioner using gin (specialties) with (fastupdate = off);
create index practitioner_clinics on practitioner using gin (clinics) with (fastupdate = off);
create index practitioner_learnt on practitioner using gin (learnt) with (fastupdate = off);
create index practitioner_treats on practitioner using gin (treats) with (fastupdate = off);
create index practitioner_speaks on practitioner using gin (speaks) with (fastupdate = off)`

type practitionerRow struct {
	Practitioner domain.PractitionerID `db:"practitioner"`
	Name         string                `db:"name"`
	Specialties  []string              `db:"specialties"`
	Clinics      []domain.ClinicID     `db:"clinics"`
	Introduction string                `db:"introduction"`
	Treatments   []string              `db:"treatments"`
	Languages    []string              `db:"languages"`
	Council      string                `db:"council"` // the number
	State        string                `db:"state"`   // of the number
	Details      string                `db:"details"` // JSON
	Picture      string                `db:"picture"`

	Search           string   `db:"search"` // searchable, as those that follow: all of them
	InName           string   `db:"in_name"`
	InTreatments     string   `db:"in_treatments"`
	InQualifications string   `db:"in_qualifications"`
	Learnt           []string `db:"learnt"` // codes of qualifications, and the folded names of those without
	Treats           []string `db:"treats"` // folded treatments
	Speaks           []string `db:"speaks"` // languages in lower case, and what they are of: pt-br is pt, too
}

// listedPractitioner is what is read of a practitionerRow.
type listedPractitioner struct {
	Practitioner domain.PractitionerID `db:"practitioner"`
	Name         string                `db:"name"`
	Specialties  []string              `db:"specialties"`
	Clinics      []domain.ClinicID     `db:"clinics"`
	Introduction string                `db:"introduction"`
	Treatments   []string              `db:"treatments"`
	Languages    []string              `db:"languages"`
	Council      string                `db:"council"`
	State        string                `db:"state"`
	Details      string                `db:"details"`
	Picture      string                `db:"picture"`
}

// details is what of a practitioner is only shown.
type details struct {
	Qualifications []practitioner.Qualification `json:"qualifications,omitempty"`
	Fees           []practitioner.Fee           `json:"fees,omitempty"`
}

func practitionerKeys(r domain.Recorded) []string {
	switch e := r.Event.(type) {
	case practitioner.Registered:
		return []string{string(e.Practitioner)}
	case practitioner.Changed:
		return []string{string(e.Practitioner)}
	case practitioner.CouncilMoved:
		return []string{string(e.Practitioner)}
	case practitioner.PictureShown:
		return []string{string(e.Practitioner)}
	case practitioner.PictureRemoved:
		return []string{string(e.Practitioner)}
	}
	return nil
}

func evolvePractitioner(p practitionerRow, exists bool, r domain.Recorded) (practitionerRow, bool) {
	switch e := r.Event.(type) {
	case practitioner.Registered:
		return practitionerRowOf(e.Practitioner, e.Profile), true
	case practitioner.Changed:
		picture := p.Picture
		p = practitionerRowOf(e.Practitioner, e.Profile)
		p.Picture = picture
	case practitioner.CouncilMoved:
		p.Council, p.State = e.Council.Number, e.Council.State
	case practitioner.PictureShown:
		p.Picture = e.Picture
	case practitioner.PictureRemoved:
		p.Picture = ""
	}
	return p, exists
}

func practitionerRowOf(id domain.PractitionerID, p practitioner.Profile) practitionerRow {
	shown, _ := json.Marshal(details{p.Qualifications, p.Fees}) // text and numbers
	row := practitionerRow{
		Practitioner: id, Name: p.Name, Introduction: p.Introduction, Council: p.Council.Number, State: p.Council.State, Details: string(shown),
	}
	if len(p.Specialties) > 0 {
		row.Specialties = p.Specialties
	}
	if len(p.Clinics) > 0 {
		row.Clinics = p.Clinics
	}
	if len(p.Treatments) > 0 {
		row.Treatments = p.Treatments
	}
	if len(p.Languages) > 0 {
		row.Languages = p.Languages
	}
	return row.sought(p)
}

// sought returns the row with what a search looks for.
func (row practitionerRow) sought(p practitioner.Profile) practitionerRow {
	var learnt []string
	for _, q := range p.Qualifications {
		if q.Code != "" {
			row.Learnt = append(row.Learnt, q.Code)
			continue
		}
		row.Learnt = append(row.Learnt, folded(q.Name))
		learnt = append(learnt, q.Name)
	}
	for _, t := range p.Treatments {
		row.Treats = append(row.Treats, folded(t))
	}
	for _, l := range p.Languages {
		for tag := strings.ToLower(l); tag != ""; tag = tag[:max(0, strings.LastIndexByte(tag, '-'))] {
			row.Speaks = append(row.Speaks, tag)
		}
	}
	row.InName, row.InTreatments, row.InQualifications = searchable(p.Name), searchable(p.Treatments...), searchable(learnt...)
	row.Search = row.InName + row.InTreatments + row.InQualifications
	return row
}

// Clinic is a clinic of the directory.
type Clinic struct {
	ID        domain.ClinicID
	Name      string
	Zone      string // IANA name
	Address   string
	Latitude  *float64 // WGS 84 degrees; nil with Longitude when unknown
	Longitude *float64

	Town        string // a code of the reference data, as District is
	District    string
	PostalCode  string
	Country     string // ISO 3166-1 alpha-2
	Phone       string
	Email       string
	Site        string
	Description string
	Ownership   string // "state", "private", or ""
	Closed      bool   // for good
}

// Practitioner is a practitioner of the directory.
type Practitioner struct {
	ID             domain.PractitionerID
	Name           string
	Specialties    []string
	Clinics        []domain.ClinicID
	Introduction   string
	Treatments     []string // that no insurance pays for
	Languages      []string // BCP 47
	Council        practitioner.Council
	Qualifications []practitioner.Qualification
	Fees           []practitioner.Fee
	Picture        string // as in [practitioner.State]
}

// Cursor returns the practitioner's place in a list.
func (p Practitioner) Cursor() NameCursor { return NameCursor{p.Name, string(p.ID)} }

// PractitionerFilter says which practitioners a list has; zero fields do not
// narrow it.
type PractitionerFilter struct {
	Clinic    domain.ClinicID
	Specialty string
	After     NameCursor
	Limit     int // 0 is 50; at most 1000
}

// Directory answers who works where.
type Directory struct{ views Viewer }

// NewDirectory returns the queries over the model directory.
func NewDirectory(v Viewer) Directory { return Directory{v} }

const clinicQuery = `
select clinic as id, name, zone, coalesce(address, '') as address, latitude, longitude, coalesce(town, '') as town,
	coalesce(district, '') as district, coalesce(postal_code, '') as postal_code, coalesce(country, '') as country,
	coalesce(phone, '') as phone, coalesce(email, '') as email, coalesce(site, '') as site,
	coalesce(description, '') as description, coalesce(ownership, '') as ownership, closed
from clinic`

const practitionerQuery = `
select practitioner, name, specialties, clinics, coalesce(introduction, '') as introduction, treatments, languages,
	coalesce(council, '') as council, coalesce(state, '') as state, details, coalesce(picture, '') as picture
from practitioner`

// practitioner returns what a row says.
func (r listedPractitioner) practitioner() (Practitioner, error) {
	var d details
	err := json.Unmarshal([]byte(r.Details), &d)
	return Practitioner{
		ID: r.Practitioner, Name: r.Name, Specialties: r.Specialties, Clinics: r.Clinics, Introduction: r.Introduction, Treatments: r.Treatments,
		Languages: r.Languages, Council: practitioner.Council{Number: r.Council, State: r.State}, Qualifications: d.Qualifications, Fees: d.Fees,
		Picture: r.Picture,
	}, err
}

func practitionersOf(rows []listedPractitioner) ([]Practitioner, error) {
	var all []Practitioner
	for _, row := range rows {
		p, err := row.practitioner()
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Practitioners returns the practitioners in the order of name and id, names
// by code point.
func (d Directory) Practitioners(ctx context.Context, f PractitionerFilter, least domain.Position) (List[Practitioner], error) {
	limit := limited(f.Limit)
	sql := practitionerQuery + "\nwhere (name, practitioner) > (@name, @id)"
	if f.Clinic != "" {
		sql += "\n\tand clinics @> array[@clinic::text]"
	}
	if f.Specialty != "" {
		sql += "\n\tand specialties @> array[@specialty::text]"
	}
	rows, at, err := directory[listedPractitioner](ctx, d.views, least, sql+"\norder by name, practitioner\nlimit @limit", pgx.NamedArgs{
		"name": f.After.Name, "id": f.After.ID, "clinic": f.Clinic, "specialty": f.Specialty, "limit": limit + 1,
	})
	if err != nil {
		return List[Practitioner]{}, fmt.Errorf("list practitioners: %w", err)
	}
	practitioners, err := practitionersOf(rows)
	if err != nil {
		return List[Practitioner]{}, fmt.Errorf("list practitioners: %w", err)
	}
	return list(practitioners, limit, at), nil
}

// Clinic returns a clinic and the position that it reflects, or
// [clinic.ErrNotFound].
func (d Directory) Clinic(ctx context.Context, id domain.ClinicID, least domain.Position) (Clinic, domain.Position, error) {
	clinics, at, err := directory[Clinic](ctx, d.views, least, clinicQuery+"\nwhere clinic = @id", pgx.NamedArgs{"id": id})
	c, err := one(clinics, err, clinic.ErrNotFound)
	return c, at, err
}

// Practitioner returns a practitioner and the position that it reflects, or
// [practitioner.ErrNotFound].
func (d Directory) Practitioner(ctx context.Context, id domain.PractitionerID, least domain.Position) (Practitioner, domain.Position, error) {
	found, at, err := directory[listedPractitioner](ctx, d.views, least, practitionerQuery+"\nwhere practitioner = @id", pgx.NamedArgs{"id": id})
	row, err := one(found, err, practitioner.ErrNotFound)
	if err != nil {
		return Practitioner{}, at, err
	}
	p, err := row.practitioner()
	return p, at, err
}

func one[T any](items []T, err error, missing *domain.Error) (T, error) {
	var none T
	switch {
	case err != nil:
		return none, fmt.Errorf("read the directory: %w", err)
	case len(items) == 0:
		return none, missing
	}
	return items[0], nil
}

func directory[T any](ctx context.Context, v Viewer, least domain.Position, sql string, args pgx.NamedArgs) ([]T, domain.Position, error) {
	var items []T
	at, err := v.View(ctx, least, []string{"directory"}, func(r engine.Reader) (err error) {
		rows, _ := r.Last(ctx, sql, args)
		items, err = pgx.CollectRows(rows, pgx.RowToStructByName[T])
		return err
	})
	return items, at, err
}
