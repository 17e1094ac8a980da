package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/domain/reference"
)

// Reference holds what authorities say, outside the log. It is safe for
// concurrent use.
type Reference struct{ pool *pgxpool.Pool }

// NewReference returns the reference data in a database.
func NewReference(pool *pgxpool.Pool) *Reference { return &Reference{pool} }

// Load replaces what there is of the kinds, and of towns and districts of the
// countries, that the entries are of, all or nothing. It returns what that
// changed. The entries have passed [reference.Check].
func (r *Reference) Load(ctx context.Context, entries []reference.Entry) (reference.Changes, error) {
	return r.load(ctx, entries, false)
}

// Begin loads the entries into a database that has none of any kind, and does
// nothing else.
func (r *Reference) Begin(ctx context.Context, entries []reference.Entry) error {
	_, err := r.load(ctx, entries, true)
	return err
}

func (r *Reference) load(ctx context.Context, entries []reference.Entry, first bool) (changes reference.Changes, err error) {
	err = pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		// One load at a time; readers go on.
		if _, err := tx.Exec(ctx, `lock table slotbook.reference in share row exclusive mode`); err != nil {
			return err
		}
		rows, _ := tx.Query(ctx, referenceQuery+"\norder by kind, code")
		there, err := pgx.CollectRows(rows, pgx.RowToStructByName[reference.Entry])
		if err != nil || first && len(there) > 0 {
			return err
		}
		changes = reference.Compare(there, entries)
		return writeReference(ctx, tx, changes)
	})
	if err != nil {
		return reference.Changes{}, fmt.Errorf("load reference data: %w", err)
	}
	return changes, nil
}

func writeReference(ctx context.Context, tx pgx.Tx, c reference.Changes) error {
	batch := &pgx.Batch{}
	for _, some := range [][]reference.Entry{c.Added, c.Changed, c.Withdrawn} {
		for _, e := range some {
			batch.Queue(`
				insert into slotbook.reference (kind, code, names, country, town, latitude, longitude, withdrawn_at)
				values ($1, $2, $3, nullif($4, ''), nullif($5, ''), $6, $7, case when $8 then now() end)
				on conflict (kind, code) do update
				set names = excluded.names, country = excluded.country, town = excluded.town,
					latitude = excluded.latitude, longitude = excluded.longitude, withdrawn_at = excluded.withdrawn_at`,
				e.Kind, e.Code, e.Names, e.Country, e.Town, e.Latitude, e.Longitude, e.Withdrawn)
		}
	}
	return tx.SendBatch(ctx, batch).Close()
}

const referenceQuery = `
select kind, code, names, coalesce(country, '') as country, coalesce(town, '') as town, latitude, longitude,
	withdrawn_at is not null as withdrawn
from slotbook.reference`

// List returns the entries of the filter in the order of their names in its
// language, by code point, and then by code; and whether there are more.
func (r *Reference) List(ctx context.Context, f reference.Filter) (entries []reference.Entry, more bool, err error) {
	const name = `coalesce(names ->> @language, names ->> 'en') collate "C"`
	sql := referenceQuery + "\nwhere kind = @kind and (" + name + ", code) > (@name, @code)"
	if f.Query != "" {
		sql += `
	and (strpos(lower(code), lower(@query)) > 0
		or exists (select from jsonb_each_text(names) as n where strpos(lower(n.value), lower(@query)) > 0))`
	}
	if f.Country != "" {
		sql += "\n\tand country = @country"
	}
	if !f.Withdrawn {
		sql += "\n\tand withdrawn_at is null"
	}
	sql += "\norder by " + name + ", code"
	if f.Limit > 0 {
		sql += "\nlimit @limit"
	}
	rows, _ := r.pool.Query(ctx, sql, pgx.NamedArgs{
		"kind": f.Kind, "language": f.Language, "name": f.After.Name, "code": f.After.Code, "query": strings.TrimSpace(f.Query),
		"country": f.Country, "limit": f.Limit + 1,
	})
	entries, err = pgx.CollectRows(rows, pgx.RowToStructByName[reference.Entry])
	if err != nil {
		return nil, false, unavailable(err)
	}
	if f.Limit > 0 && len(entries) > f.Limit {
		return entries[:f.Limit], true, nil
	}
	return entries, false, nil
}

// Districts returns the districts of towns, in the order of their codes, the
// withdrawn ones left out.
func (r *Reference) Districts(ctx context.Context, towns []string) ([]reference.Entry, error) {
	rows, _ := r.pool.Query(ctx, referenceQuery+`
where kind = $1 and town = any($2) and withdrawn_at is null
order by code`, reference.District, towns)
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByName[reference.Entry])
	if err != nil {
		return nil, unavailable(err)
	}
	return entries, nil
}

// Entries returns those entries of a kind that exist among the codes, withdrawn
// ones too, by their code. Errors: [commands.ErrUnavailable].
func (r *Reference) Entries(ctx context.Context, kind reference.Kind, codes ...string) (map[string]reference.Entry, error) {
	rows, _ := r.pool.Query(ctx, referenceQuery+`
where kind = $1 and code = any($2)
order by code`, kind, codes)
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByName[reference.Entry])
	if err != nil {
		return nil, unavailable(err)
	}
	found := make(map[string]reference.Entry, len(entries))
	for _, e := range entries {
		found[e.Code] = e
	}
	return found, nil
}
