// Package analytics makes the schema analytics in PostgreSQL: what analysts may
// read, in SQL.
//
//	slotbook.events -> a view for each event type, analytics.appointment_booked
//	                -> facts, analytics.appointments, slots, cancellations
//
// Everything is a view over the log alone, so that no rebuild, rollback or
// version of a read model concerns it, and nobody who reads for long stands in
// the way of one. Event types are permanent, and so are their views. Sealed
// text is in none of them.
package analytics

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/slotbook/slotbook/adapters/eventcodec"
)

// Role is the group role that may read the views and nothing else.
const Role = "slotbook_analyst"

// GrantSQL is what somebody who may make roles runs once in the cluster, where
// the program may not. The program grants the rest when it starts the next time.
const GrantSQL = "create role " + Role + " nologin"

// installLock is the advisory lock under which the schema is made.
const installLock = 0x510700_0005

//go:embed facts.sql
var facts string

// Standing says how the schema is.
type Standing struct {
	Made  bool // now
	Later bool // it was not made, since somebody reads it: it is made at the next start
	Newer bool // a newer program has made it, and it was left as it is
	Role  bool // there is a role that may read it
}

// Install makes the schema, or brings it up to what this program knows. It does
// nothing when that has been done. Views gain columns at their end and lose
// none, so that views of others on top of them stay. Whoever else does so at the
// same time waits until the connection is closed.
func Install(ctx context.Context, conn *pgx.Conn) (Standing, error) {
	return installFor(ctx, conn, Role)
}

// installFor is [Install] with the role of some other name.
func installFor(ctx context.Context, conn *pgx.Conn, role string) (Standing, error) {
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", int64(installLock)); err != nil {
		return Standing{}, fmt.Errorf("analytics: %w", err)
	}
	var s Standing
	err := install(ctx, conn, &s)
	if err == nil {
		s.Role, err = grant(ctx, conn, role)
	}
	if isCode(err, lockNotAvailable) {
		s.Later, err = true, nil
	}
	if err != nil {
		return s, fmt.Errorf("analytics: %w", err)
	}
	return s, nil
}

const (
	lockNotAvailable = "55P03"
	duplicate        = "42710"
	notUnique        = "23505"
	notAllowed       = "42501"
)

func isCode(err error, codes ...string) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains(codes, failure.Code)
}

// install makes the views unless they are there.
func install(ctx context.Context, conn *pgx.Conn, s *Standing) error {
	there, version, err := installed(ctx, conn)
	if err != nil || version == hash() {
		return err
	}
	if s.Newer = newer(there); s.Newer {
		return nil
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, script(there), pgx.QueryExecModeSimpleProtocol)
		return err
	})
	s.Made = err == nil
	return err
}

// mark begins the comment of every view that the program made.
const mark = "slotbook: "

// installed returns the columns of the views that were made, in their order,
// and the hash under which they were.
func installed(ctx context.Context, conn *pgx.Conn) (map[string][]string, string, error) {
	var version string
	err := conn.QueryRow(ctx, `
		select coalesce((select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = 'analytics'), '')`).Scan(&version)
	if err != nil {
		return nil, "", err
	}
	rows, _ := conn.Query(ctx, `
		select c.relname, a.attname
		from pg_class c
		join pg_attribute a on a.attrelid = c.oid
		where c.relnamespace = to_regnamespace('analytics')
			and c.relkind = 'v'
			and obj_description(c.oid, 'pg_class') like $1 || '%'
			and a.attnum > 0
			and not a.attisdropped
		order by c.relname, a.attnum`, mark)
	there := map[string][]string{}
	var view, name string
	_, err = pgx.ForEachRow(rows, []any{&view, &name}, func() error {
		there[view] = append(there[view], name)
		return nil
	})
	return there, strings.TrimPrefix(version, mark), err
}

// newer reports whether there is a view or a column of an event type that this
// program does not know: it was made by a newer one.
func newer(there map[string][]string) bool {
	known := map[string][]column{}
	for _, v := range views() {
		known[v.name] = v.columns
	}
	for name, columns := range there {
		if slices.Contains(factNames(), name) {
			continue
		}
		for _, c := range columns {
			if !slices.ContainsFunc(known[name], func(k column) bool { return k.name == c }) {
				return true
			}
		}
	}
	return false
}

// hash names what this program makes.
func hash() string {
	sum := sha256.Sum256([]byte(script(nil)))
	return hex.EncodeToString(sum[:8])
}

// script returns the SQL that makes everything, the columns that are there in
// their order and the new ones behind them.
func script(there map[string][]string) string {
	var b strings.Builder
	b.WriteString("set local lock_timeout = '2s';\ncreate schema if not exists analytics;\n")
	for _, v := range views() {
		b.WriteString(v.sql(there[v.name]))
	}
	b.WriteString(facts)
	for _, name := range factNames() {
		fmt.Fprintf(&b, "\ncomment on view analytics.%s is '%sfacts from the log';", name, mark)
	}
	if there != nil {
		fmt.Fprintf(&b, "\ncomment on schema analytics is '%s%s';", mark, hash())
	}
	return b.String()
}

func factNames() []string { return []string{"appointments", "slots", "cancellations"} }

// view is the view of one event type.
type view struct {
	name    string
	event   string
	columns []column
}

// views returns the views of all event types, by name.
func views() []view {
	var all []view
	for _, event := range eventcodec.Types() {
		of, _ := eventcodec.TypeOf(event) // it is in the table
		all = append(all, view{viewName(event), event, slices.Concat(metadata(), columnsOf(of))})
	}
	slices.SortFunc(all, func(a, b view) int { return cmp.Compare(a.name, b.name) })
	return all
}

// viewName returns the name of the view of an event type: appointment_checked_in
// of appointment.checked-in.
func viewName(event string) string { return strings.NewReplacer(".", "_", "-", "_").Replace(event) }

// category returns the category of the streams that events of a type are in:
// what is before the dot, without hyphens.
func category(event string) string {
	first, _, _ := strings.Cut(event, ".")
	return strings.ReplaceAll(first, "-", "")
}

// sql makes the view. It asks for the category as well, by a range of stream
// names, which an index has; types have none. It is a barrier: no function of
// whoever reads sees rows of other types.
func (v view) sql(there []string) string {
	place := func(c column) int {
		if i := slices.Index(there, c.name); i >= 0 {
			return i
		}
		return len(there)
	}
	columns := slices.SortedStableFunc(slices.Values(v.columns), func(a, b column) int { return cmp.Compare(place(a), place(b)) })
	var selected, records []string
	for _, c := range columns {
		switch {
		case c.key != "":
			selected, records = append(selected, c.expression()), append(records, c.record())
		case slices.Contains([]string{"command", "actor", "correlation", "causation"}, c.name):
			selected = append(selected, "e.metadata ->> '"+c.name+"' as "+c.name)
		default:
			selected = append(selected, "e."+c.name)
		}
	}
	of := category(v.event)
	return fmt.Sprintf(`
create or replace view analytics.%[1]s with (security_barrier) as
select %[2]s
from slotbook.events e
cross join lateral json_to_record(e.data) as d (%[3]s)
where e.type = '%[4]s'
	and e.stream >= '%[5]s-'
	and e.stream < '%[5]s.';
comment on view analytics.%[1]s is '%[6]severy event %[4]s';
`, v.name, strings.Join(selected, ", "), strings.Join(records, ", "), v.event, of, mark)
}

// grant lets the role read, after making it where that is allowed. It reports
// whether there is one.
func grant(ctx context.Context, conn *pgx.Conn, role string) (bool, error) {
	var there, granted bool
	err := conn.QueryRow(ctx, `
		select exists (select from pg_roles where rolname = $1),
			not exists (
				select from pg_class c
				where c.relnamespace = to_regnamespace('analytics')
					and obj_description(c.oid, 'pg_class') like $2 || '%'
					and not exists (
						select from aclexplode(c.relacl) a
						join pg_roles r on r.oid = a.grantee
						where r.rolname = $1 and a.privilege_type = 'SELECT'
					)
			)`, role, mark).Scan(&there, &granted)
	if err != nil || there && granted {
		return there, err
	}
	if !there {
		_, err := conn.Exec(ctx, "create role "+role+" nologin")
		if isCode(err, notAllowed) {
			return false, nil
		}
		if err != nil && !isCode(err, duplicate, notUnique) {
			return false, err
		}
	}
	var all strings.Builder
	fmt.Fprintf(&all, "grant usage on schema analytics to %s;", role)
	for _, v := range views() {
		fmt.Fprintf(&all, "grant select on analytics.%s to %s;", v.name, role)
	}
	for _, name := range factNames() {
		fmt.Fprintf(&all, "grant select on analytics.%s to %s;", name, role)
	}
	fmt.Fprintf(&all, "grant execute on function analytics.position_at(timestamptz) to %s;", role)
	_, err = conn.Exec(ctx, all.String(), pgx.QueryExecModeSimpleProtocol)
	return err == nil, err
}
