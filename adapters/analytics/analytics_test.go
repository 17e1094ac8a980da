package analytics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/analytics"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/memory"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands/demo"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// base is a database with the schema.
type base struct {
	url  string
	conn *pgx.Conn
}

func newBase(t *testing.T) base {
	t.Helper()
	b := base{url: postgrestest.Database(t)}
	require.Equal(t, analytics.Standing{Made: true, Role: true}, b.install(t))
	b.conn = b.connect(t)
	return b
}

// install is what the program does at its start.
func (b base) install(t *testing.T) analytics.Standing {
	t.Helper()
	conn, err := postgres.Connect(t.Context(), b.url+"&pool_max_conns=4")
	require.NoError(t, err)
	s, err := analytics.Install(t.Context(), conn)
	require.NoError(t, errors.Join(err, conn.Close(t.Context())))
	return s
}

func (b base) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (b base) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := b.conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err, sql)
}

func one[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) (v T) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), sql, args...).Scan(&v), sql)
	return v
}

func viewOf(event string) string {
	return "analytics." + strings.NewReplacer(".", "_", "-", "_").Replace(event)
}

func streamOf(event string) string {
	first, _, _ := strings.Cut(event, ".")
	return strings.ReplaceAll(first, "-", "") + "-x"
}

// put stores an event as the store does.
func (b base) put(t *testing.T, position int, event, stream string, data []byte, at time.Time) {
	t.Helper()
	b.exec(t, `
		insert into slotbook.events (position, stream, revision, event_id, type, data, metadata, recorded_at)
		values ($1, $2, $1, $3, $4, $5, '{"command": "c1", "actor": "desk", "request": "secret"}', $6)`,
		position, stream, uuid.NewString(), event, data, at)
}

func TestEveryGoldenEventIsInItsView(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	files, err := filepath.Glob("../eventcodec/testdata/*.json")
	require.NoError(t, err)
	types := eventcodec.Types()
	for i, file := range files {
		event, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), "+")
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		b.put(t, i+1, event, streamOf(event), data, time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC))
		var row map[string]any
		require.NoError(t, json.Unmarshal([]byte(one[string](t, b.conn,
			"select to_json(v)::text from "+viewOf(event)+" v where position = $1", i+1)), &row), file)
		require.Equal(t, "desk", row["actor"])
		var fields map[string]any
		require.NoError(t, json.Unmarshal(data, &fields))
		require.NotContains(t, fmt.Sprint(row), "secret")
		for key, value := range fields {
			shown, there := row[snake(key)]
			if key == "revision" || key == "position" || key == "stream" {
				shown, there = row["data_"+key]
			}
			if box, ok := value.(map[string]any); ok && box["box"] != nil {
				require.False(t, there, "%s: %s is sealed", file, key)
				require.NotContains(t, fmt.Sprint(row), box["box"])
				continue
			}
			require.True(t, there, "%s has no column for %s", event, key)
			if text, ok := value.(string); ok && strings.HasSuffix(text, "Z") && len(text) >= 20 {
				was, err := time.Parse(time.RFC3339Nano, text)
				require.NoError(t, err)
				now, err := time.Parse(time.RFC3339Nano, fmt.Sprint(shown))
				require.NoError(t, err)
				require.True(t, was.Equal(now), "%s %s", event, key)
				continue
			}
			require.Equal(t, value, shown, "%s %s", event, key)
		}
		types = slices.DeleteFunc(types, func(name string) bool { return name == event })
	}
	require.Empty(t, types, "every type has a golden file")
}

func snake(name string) string {
	return strings.ToLower(regexp.MustCompile(`([A-Z])`).ReplaceAllString(name, "_$1"))
}

func TestAnalystsReadTheViewsAndNothingElse(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	golden := func(event string) []byte {
		data, err := os.ReadFile("../eventcodec/testdata/" + event + ".json")
		require.NoError(t, err)
		return data
	}
	now := time.Now()
	b.put(t, 1, "patient.registered", "patient-x", golden("patient.registered"), now)
	b.put(t, 2, "clinic.registered", "clinic-x", golden("clinic.registered"), now)
	b.exec(t, "create schema appointments_v9; create table appointments_v9.appointment (patient text)")
	config, err := pgx.ParseConfig(b.url)
	require.NoError(t, err)
	var leaked []string
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { leaked = append(leaked, n.Message) }
	analyst, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = analyst.Close(context.Background()) })
	_, err = analyst.Exec(t.Context(), "set role "+analytics.Role)
	require.NoError(t, err)

	for _, event := range eventcodec.Types() {
		require.GreaterOrEqual(t, one[int](t, analyst, "select count(*) from "+viewOf(event)), 0)
	}
	for _, facts := range []string{"appointments", "slots", "cancellations"} {
		require.Zero(t, one[int](t, analyst, "select count(*) from analytics."+facts))
	}
	require.Equal(t, 2, one[int](t, analyst, "select analytics.position_at(now())"))
	for _, denied := range []string{
		"select 1 from slotbook.events", "select 1 from slotbook.person_key", "select 1 from slotbook.projection_checkpoint",
		"select 1 from appointments_v9.appointment", "create table analytics.mine (a text)", "create view analytics.mine as select 1",
		"delete from analytics.clinic_registered", "create table public.mine (a text)",
	} {
		_, err := analyst.Exec(t.Context(), denied)
		require.Error(t, err, denied)
		require.Contains(t, "42501 55000", err.(*pgconn.PgError).Code, denied) //nolint:forcetypeassert,errorlint // a test
	}
	_, err = analyst.Exec(t.Context(), `
		create function pg_temp.leak(t text) returns boolean language plpgsql cost 0.0000001 as $$ begin raise notice '%', t; return true; end $$`)
	require.NoError(t, err)
	require.Equal(t, 1, one[int](t, analyst, "select count(*) from analytics.clinic_registered where pg_temp.leak(name)"))
	require.Len(t, leaked, 1, "a function of theirs sees no other rows")
}

func TestTheSchemaIsMadeOnce(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	oid := func(view string) uint32 { return one[uint32](t, b.conn, "select $1::regclass::oid", view) }
	columns := func(view string) []string {
		return one[[]string](t, b.conn, "select array_agg(attname::text order by attnum) from pg_attribute where attrelid = $1::regclass and attnum > 0", view)
	}
	again := func() analytics.Standing { return b.install(t) }
	t.Run("and not again", func(t *testing.T) {
		before := one[string](t, b.conn, "select xmin::text from pg_class where oid = 'analytics.slot_booked'::regclass")
		require.Equal(t, analytics.Standing{Role: true}, again())
		require.Equal(t, before, one[string](t, b.conn, "select xmin::text from pg_class where oid = 'analytics.slot_booked'::regclass"))
	})
	t.Run("an older one gains what is new, at its end, under the views of others", func(t *testing.T) {
		whole := columns("analytics.slot_booked")
		b.exec(t, `
			drop view analytics.slot_booked;
			create view analytics.slot_booked as select position, stream, null::text as slot from slotbook.events;
			comment on view analytics.slot_booked is 'slotbook: older';
			comment on schema analytics is 'slotbook: older';
			create view public.mine as select slot from analytics.slot_booked`)
		was := oid("analytics.slot_booked")
		require.Equal(t, analytics.Standing{Made: true, Role: true}, again())
		require.Equal(t, was, oid("analytics.slot_booked"))
		now := columns("analytics.slot_booked")
		require.Equal(t, []string{"position", "stream", "slot"}, now[:3])
		require.ElementsMatch(t, whole, now)
	})
	t.Run("a newer one is left alone", func(t *testing.T) {
		b.exec(t, `
			create view analytics.slot_painted as select position, 'red' as colour from slotbook.events;
			comment on view analytics.slot_painted is 'slotbook: newer';
			comment on schema analytics is 'slotbook: newer'`)
		require.Equal(t, analytics.Standing{Newer: true, Role: true}, again())
		b.exec(t, `drop view analytics.slot_painted; comment on schema analytics is 'slotbook: older'`)
	})
	t.Run("and later, when somebody reads for long", func(t *testing.T) {
		reader := b.connect(t)
		tx, err := reader.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "select count(*) from analytics.slot_booked")
		require.NoError(t, err)
		require.Equal(t, analytics.Standing{Later: true}, again())
		require.NoError(t, tx.Rollback(t.Context()))
		require.Equal(t, analytics.Standing{Made: true, Role: true}, again())
	})
	t.Run("what somebody else has made there stays", func(t *testing.T) {
		b.exec(t, "create view analytics.own as select 1 as one; comment on schema analytics is 'slotbook: older'")
		require.Equal(t, analytics.Standing{Made: true, Role: true}, again())
		require.Equal(t, 1, one[int](t, b.conn, "select one from analytics.own"))
	})
}

func TestWhoMayNotMakeRolesSaysSo(t *testing.T) {
	t.Parallel()
	b := base{url: postgrestest.Database(t)}
	b.conn = b.connect(t)
	suffix := strings.ReplaceAll(uuid.NewString(), "-", "")
	owner, role := "owner_"+suffix, "analyst_"+suffix
	b.exec(t, "create role "+owner+" login password 'p'")
	b.exec(t, "do $$ begin execute format('grant create on database %I to "+owner+"', current_database()); end $$")
	b.exec(t, "grant usage on schema slotbook to "+owner)
	b.exec(t, "grant select on slotbook.events to "+owner)
	address, err := url.Parse(b.url)
	require.NoError(t, err)
	address.User = url.UserPassword(owner, "p")
	install := func() analytics.Standing {
		conn, err := pgx.Connect(t.Context(), address.String())
		require.NoError(t, err)
		s, err := analytics.InstallFor(t.Context(), conn, role)
		require.NoError(t, errors.Join(err, conn.Close(t.Context())))
		return s
	}
	require.Equal(t, analytics.Standing{Made: true}, install())
	b.exec(t, "create role "+role+" nologin")
	require.Equal(t, analytics.Standing{Role: true}, install())
	require.True(t, one[bool](t, b.conn, "select has_table_privilege($1, 'analytics.appointments', 'select')", role))
	b.exec(t, "drop owned by "+owner+" cascade")
	b.exec(t, "drop role "+role)
	b.exec(t, "drop role "+owner)
}

// played is six weeks of two clinics, stored as the store does, and an engine over
// them.
func played(t *testing.T, b base, stepByStep bool) *engine.Engine {
	t.Helper()
	clock := &demo.Clock{}
	store := memory.New(memory.Config{Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Now: clock.Now, StepByStep: stepByStep})
	_, err := demo.Write(t.Context(), demo.Config{
		Seed: 5, Store: store, Clock: clock, NewID: func() string { return uuid.Must(uuid.NewV7()).String() },
		First: "2026-02-23", Until: domain.Day("2026-04-06").Start(), Wishes: 14,
	})
	require.NoError(t, err)
	page, err := store.ReadAll(t.Context(), 0, domain.Filter{}, 1_000_000)
	require.NoError(t, err)
	data, err := os.ReadFile("../eventcodec/testdata/demand.refused.json")
	require.NoError(t, err)
	rows := [][]any{{int64(1_000_000), "demand-x", int64(0), uuid.NewString(), "demand.refused", string(data), "{}", clock.Now()}}
	for _, r := range page.Events {
		data, err := json.Marshal(r.Event)
		require.NoError(t, err)
		require.Equal(t, strings.TrimSuffix(streamOf(r.Event.EventType()), "-x"), r.Stream.Category())
		rows = append(rows, []any{
			int64(r.Position), string(r.Stream), int64(r.Revision), r.ID, r.Event.EventType(), string(data), `{"command": "c", "actor": "demo"}`, r.RecordedAt, //nolint:gosec // small
		})
	}
	_, err = b.conn.CopyFrom(t.Context(), pgx.Identifier{"slotbook", "events"},
		[]string{"position", "stream", "revision", "event_id", "type", "data", "metadata", "recorded_at"}, pgx.CopyFromRows(rows))
	require.NoError(t, err)
	b.exec(t, "analyze slotbook.events")
	pool, err := pgxpool.New(t.Context(), b.url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	e := engine.New(engine.Config{
		Pool: pool, Log: store, Owner: "test", Now: time.Now,
		Models: []engine.Model{projections.AppointmentsModel(), projections.AvailabilityModel(), projections.KPIsModel()},
	})
	require.NoError(t, e.Prepare(t.Context()))
	require.NoError(t, e.CatchUp(t.Context()))
	return e
}

func TestFactsAreThoseOfTheReadModels(t *testing.T) {
	t.Parallel()
	for _, stepByStep := range []bool{false, true} {
		t.Run(fmt.Sprint("step by step: ", stepByStep), func(t *testing.T) {
			t.Parallel()
			b := newBase(t)
			compared(t, b, played(t, b, stepByStep))
		})
	}
}

func compared(t *testing.T, b base, e *engine.Engine) {
	t.Helper()
	compare := func(t *testing.T) {
		t.Helper()
		visits := projections.AppointmentsModel().Schema() + ".appointment"
		columns := "appointment, status, patient, practitioner, clinic, visit_type, slots, start, \"end\", moves, overbooked, booked_at, cancelled_at, arrived_at, started_at, finished_at, cancelled_by, cancel_code"
		model := strings.Replace(columns, "cancelled_by", "initiator", 1)
		require.Zero(t, one[int](t, b.conn, "select count(*) from (select "+model+" from "+visits+" where listed except select "+columns+" from analytics.appointments) d"))
		require.Equal(t, one[int](t, b.conn, "select count(*) from "+visits+" where listed"), one[int](t, b.conn, "select count(*) from analytics.appointments"))
		offered := projections.AvailabilityModel().Schema() + ".slot"
		columns = `slot, practitioner, clinic, start, "end", places, withdrawn, booked`
		require.Zero(t, one[int](t, b.conn, "select count(*) from (select "+columns+" from "+offered+" except select "+columns+" from analytics.slots) d"))
		require.Equal(t, one[int](t, b.conn, "select count(*) from "+offered), one[int](t, b.conn, "select count(*) from analytics.slots"))
		waited := projections.KPIsModel().Schema() + ".waited"
		require.Zero(t, one[int](t, b.conn, "select count(*) from (select entry, since, called_at, started_at from "+waited+
			" where entry in (select appointment from analytics.appointments) except select appointment, arrived_at, called_at, started_at from analytics.appointments) d"))
		require.Zero(t, one[int](t, b.conn, "select count(*) from analytics.appointments where wait is not null and (arrived_at is null or called_at is null and started_at is null)"))
		require.Positive(t, one[int](t, b.conn, "select count(*) from analytics.appointments where wait > interval '0' and duration > interval '0' and lead_time > interval '0'"))
		require.Positive(t, one[int](t, b.conn, "select count(*) from analytics.cancellations where was_booked and rebooked and notice > interval '0'"))
	}
	t.Run("as they are", compare)
	names := []string{"appointments", "availability", "kpis"}
	require.NoError(t, e.Rebuild(t.Context(), engine.Build{}, names...))
	t.Run("after a rebuild", compare)
	require.NoError(t, e.Rebuild(t.Context(), engine.Build{}, names...))
	t.Run("after another, which drops what the first has replaced", compare)
	for _, name := range names {
		require.NoError(t, e.Rollback(t.Context(), engine.Build{}, name))
	}
	t.Run("after a rollback", compare)

	t.Run("an instant is found by its position", func(t *testing.T) {
		require.Zero(t, one[int](t, b.conn, `
			select count(*)
			from slotbook.events e
			where e.position % 53 = 0
				and analytics.position_at(e.recorded_at) is distinct from (select max(position) from slotbook.events where recorded_at <= e.recorded_at)`))
		require.Zero(t, one[int](t, b.conn, "select analytics.position_at('2020-01-01')"))
	})
	t.Run("what is rare, or of one stream, or new, is found by an index", func(t *testing.T) {
		for _, sql := range []string{
			"select * from analytics.clinic_registered", "select * from analytics.practitioner_registered",
			"select * from analytics.slot_booked where stream = 'slot-x'", "select * from analytics.slot_booked where position > 900000",
			"select * from analytics.appointment_booked where position > analytics.position_at('2026-04-05')",
		} {
			rows, err := b.conn.Query(t.Context(), "explain "+sql)
			require.NoError(t, err)
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			plan := strings.Join(lines, "\n")
			require.Contains(t, plan, "Index", sql)
			require.NotContains(t, plan, "Seq Scan on events", sql)
		}
	})
	t.Run("the examples of the documentation answer", func(t *testing.T) {
		guide, err := os.ReadFile("../../docs/analytics.md")
		require.NoError(t, err)
		examples := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(guide), -1)
		require.GreaterOrEqual(t, len(examples), 6)
		for _, example := range examples {
			rows, err := b.conn.Query(t.Context(), example[1])
			require.NoError(t, err)
			n := 0
			for rows.Next() {
				n++
			}
			require.NoError(t, rows.Err(), example[1])
			require.Positive(t, n, example[1])
		}
	})
}
