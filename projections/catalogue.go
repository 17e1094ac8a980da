package projections

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/resource"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/projections/engine"
)

// CatalogueModel returns the read model of visit types, rooms and devices.
func CatalogueModel() engine.Model {
	return engine.Model{
		Name:     "catalogue",
		Version:  1,
		Interest: domain.Filter{Categories: []string{visittype.Category, resource.Category}},
		Tables: []engine.Table{
			engine.NewTable("visit_type", visitTypeDDL, visitTypeKeys, evolveVisitType),
			engine.NewTable("resource", resourceDDL, resourceKeys, evolveResource),
		},
	}
}

const visitTypeDDL = `
create table visit_type (
	visit_type    text collate "C" not null primary key,
	clinic        text collate "C" not null,
	name          text collate "C" not null,
	duration      bigint not null,
	buffer_before bigint not null,
	buffer_after  bigint not null,
	fee_amount    bigint not null,
	fee_currency  text collate "C",
	specialty     text collate "C",
	retired       boolean not null
);
create index visit_type_name on visit_type (name, visit_type);
create index visit_type_clinic on visit_type (clinic, name, visit_type)`

type visitTypeRow struct {
	VisitType    domain.VisitTypeID `db:"visit_type"`
	Clinic       domain.ClinicID    `db:"clinic"`
	Name         string             `db:"name"`
	Duration     int                `db:"duration"` // minutes, as the buffers
	BufferBefore int                `db:"buffer_before"`
	BufferAfter  int                `db:"buffer_after"`
	FeeAmount    int64              `db:"fee_amount"`   // minor units
	FeeCurrency  string             `db:"fee_currency"` // "" = nothing is said of a fee
	Specialty    string             `db:"specialty"`
	Retired      bool               `db:"retired"`
}

func visitTypeKeys(r domain.Recorded) []string {
	switch e := r.Event.(type) {
	case visittype.Defined:
		return []string{string(e.VisitType)}
	case visittype.Changed:
		return []string{string(e.VisitType)}
	case visittype.WasRetired:
		return []string{string(e.VisitType)}
	}
	return nil
}

func evolveVisitType(v visitTypeRow, exists bool, r domain.Recorded) (visitTypeRow, bool) {
	switch e := r.Event.(type) {
	case visittype.Defined:
		return visitTypeOf(e.VisitType, e.Clinic, e.Terms), true
	case visittype.Changed:
		if exists {
			changed := visitTypeOf(e.VisitType, e.Clinic, e.Terms)
			changed.Retired = v.Retired
			return changed, true
		}
	case visittype.WasRetired:
		v.Retired = true
	}
	return v, exists
}

func visitTypeOf(id domain.VisitTypeID, clinic domain.ClinicID, t visittype.Terms) visitTypeRow {
	row := visitTypeRow{
		VisitType: id, Clinic: clinic, Name: t.Name, Duration: t.Duration, BufferBefore: t.BufferBefore, BufferAfter: t.BufferAfter,
		Specialty: t.Specialty,
	}
	if t.Fee != nil {
		row.FeeAmount, row.FeeCurrency = t.Fee.Amount, t.Fee.Currency
	}
	return row
}

const resourceDDL = `
create table resource (
	resource text collate "C" not null primary key,
	clinic   text collate "C" not null,
	kind     text collate "C" not null,
	name     text collate "C" not null,
	retired  boolean not null
);
create index resource_name on resource (name, resource);
create index resource_clinic on resource (clinic, name, resource)`

type resourceRow struct {
	Resource domain.ResourceID `db:"resource"`
	Clinic   domain.ClinicID   `db:"clinic"`
	Kind     string            `db:"kind"`
	Name     string            `db:"name"`
	Retired  bool              `db:"retired"`
}

func resourceKeys(r domain.Recorded) []string {
	switch e := r.Event.(type) {
	case resource.Added:
		return []string{string(e.Resource)}
	case resource.Renamed:
		return []string{string(e.Resource)}
	case resource.WasRetired:
		return []string{string(e.Resource)}
	}
	return nil
}

func evolveResource(row resourceRow, exists bool, r domain.Recorded) (resourceRow, bool) {
	switch e := r.Event.(type) {
	case resource.Added:
		return resourceRow{Resource: e.Resource, Clinic: e.Clinic, Kind: e.Kind, Name: e.Name}, true
	case resource.Renamed:
		row.Name = e.Name
	case resource.WasRetired:
		row.Retired = true
	}
	return row, exists
}

// VisitType is a visit type of the catalogue.
type VisitType struct {
	ID           domain.VisitTypeID
	Clinic       domain.ClinicID
	Name         string
	Duration     int // minutes, as the buffers
	BufferBefore int
	BufferAfter  int
	FeeAmount    int64  // minor units
	FeeCurrency  string // ISO 4217; "" = nothing is said of a fee
	Specialty    string // "" = any
	Retired      bool
}

// Cursor returns the visit type's place in a list.
func (v VisitType) Cursor() NameCursor { return NameCursor{v.Name, string(v.ID)} }

// Resource is a room or a device of the catalogue.
type Resource struct {
	ID      domain.ResourceID
	Clinic  domain.ClinicID
	Kind    string // "room" or "device"
	Name    string
	Retired bool
}

// Cursor returns the resource's place in a list.
func (r Resource) Cursor() NameCursor { return NameCursor{r.Name, string(r.ID)} }

// VisitTypeFilter says which visit types a list has; zero fields do not narrow
// it, but retired ones are listed only when asked for.
type VisitTypeFilter struct {
	Clinic    domain.ClinicID
	Specialty string
	Retired   bool // list retired ones, too
	After     NameCursor
	Limit     int // 0 is 50; at most 1000
}

// ResourceFilter says which rooms and devices a list has; zero fields do not
// narrow it, but retired ones are listed only when asked for.
type ResourceFilter struct {
	Clinic  domain.ClinicID
	Kind    string
	Retired bool // list retired ones, too
	After   NameCursor
	Limit   int // 0 is 50; at most 1000
}

// Catalogue answers what clinics offer and have.
type Catalogue struct{ views Viewer }

// NewCatalogue returns the queries over the model catalogue.
func NewCatalogue(v Viewer) Catalogue { return Catalogue{v} }

// VisitTypes returns the visit types in the order of name and id, names by code
// point.
func (c Catalogue) VisitTypes(ctx context.Context, f VisitTypeFilter, least domain.Position) (List[VisitType], error) {
	limit := limited(f.Limit)
	sql := `
select visit_type as id, clinic, name, duration, buffer_before, buffer_after, fee_amount,
	coalesce(fee_currency, '') as fee_currency, coalesce(specialty, '') as specialty, retired
from visit_type
where (name, visit_type) > (@name, @id)`
	if f.Clinic != "" {
		sql += "\n\tand clinic = @clinic"
	}
	if f.Specialty != "" {
		sql += "\n\tand specialty = @specialty"
	}
	if !f.Retired {
		sql += "\n\tand not retired"
	}
	items, at, err := catalogue[VisitType](ctx, c.views, least, sql+"\norder by name, visit_type\nlimit @limit", pgx.NamedArgs{
		"name": f.After.Name, "id": f.After.ID, "clinic": f.Clinic, "specialty": f.Specialty, "limit": limit + 1,
	})
	if err != nil {
		return List[VisitType]{}, fmt.Errorf("list visit types: %w", err)
	}
	return list(items, limit, at), nil
}

// Resources returns the rooms and devices in the order of name and id, names by
// code point.
func (c Catalogue) Resources(ctx context.Context, f ResourceFilter, least domain.Position) (List[Resource], error) {
	limit := limited(f.Limit)
	sql := `
select resource as id, clinic, kind, name, retired
from resource
where (name, resource) > (@name, @id)`
	if f.Clinic != "" {
		sql += "\n\tand clinic = @clinic"
	}
	if f.Kind != "" {
		sql += "\n\tand kind = @kind"
	}
	if !f.Retired {
		sql += "\n\tand not retired"
	}
	items, at, err := catalogue[Resource](ctx, c.views, least, sql+"\norder by name, resource\nlimit @limit", pgx.NamedArgs{
		"name": f.After.Name, "id": f.After.ID, "clinic": f.Clinic, "kind": f.Kind, "limit": limit + 1,
	})
	if err != nil {
		return List[Resource]{}, fmt.Errorf("list rooms and devices: %w", err)
	}
	return list(items, limit, at), nil
}

func catalogue[T any](ctx context.Context, v Viewer, least domain.Position, sql string, args pgx.NamedArgs) ([]T, domain.Position, error) {
	var items []T
	at, err := v.View(ctx, least, []string{"catalogue"}, func(r engine.Reader) (err error) {
		rows, _ := r.Last(ctx, sql, args)
		items, err = pgx.CollectRows(rows, pgx.RowToStructByName[T])
		return err
	})
	return items, at, err
}
