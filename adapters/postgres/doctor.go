package postgres

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// State says how something is that a doctor has looked at.
type State string

// The states.
const (
	OK    State = "ok"
	Note  State = "note"  // works, and could be better
	Wrong State = "wrong" // does not work, or will not for long
)

// Finding is something that was looked at.
type Finding struct {
	Area  string `json:"area"`
	Check string `json:"check"`
	State State  `json:"state"`
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"` // what to do about it; empty where there is nothing to do
}

// doctor gathers findings over one connection, which changes nothing.
type doctor struct {
	conn     *pgx.Conn
	own      bool // the server is this program's own
	findings []Finding
}

// Examine looks at a database and its server, and says what is wrong or could be
// better. It changes nothing. own says that the server is the one that this
// program brings. A database that cannot be reached is a finding, too.
func Examine(ctx context.Context, url string, own bool) []Finding {
	conn, err := Connect(ctx, url)
	if err != nil {
		return []Finding{{"server", "connection", Wrong, sentenceOf(explain(err)), "start the server, or give the right SLOTBOOK_DATABASE_URL"}}
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to lose
	d := &doctor{conn: conn, own: own}
	if _, err := conn.Exec(ctx, "set default_transaction_read_only = on; set statement_timeout = '30s'", pgx.QueryExecModeSimpleProtocol); err != nil {
		d.failed("server", "connection", err)
		return d.findings
	}
	for _, look := range []func(context.Context) error{
		d.version, d.text, d.extensions, d.clock, d.settings, d.connections, d.schema, d.structure, d.indexes,
		d.privileges, d.vacuum, d.age, d.transactions, d.slots,
	} {
		if err := look(ctx); err != nil {
			d.failed("server", "question", err)
		}
	}
	return d.findings
}

func sentenceOf(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func (d *doctor) say(area, check string, state State, text, do string) {
	d.findings = append(d.findings, Finding{area, check, state, text, do})
}

// failed notes that something could not be looked at.
func (d *doctor) failed(area, check string, err error) {
	d.say(area, check, Wrong, sentenceOf(err), "find out why the database does not answer this")
}

// judge notes what is well, or else what to do.
func (d *doctor) judge(well bool, area, check, good string, otherwise State, bad, do string) {
	if well {
		d.say(area, check, OK, good, "")
		return
	}
	d.say(area, check, otherwise, bad, do)
}

func (d *doctor) version(ctx context.Context) error {
	var text string
	if err := d.conn.QueryRow(ctx, "select current_setting('server_version')").Scan(&text); err != nil {
		return err
	}
	err := checkVersion(ctx, d.conn)
	d.judge(err == nil, "server", "version", "PostgreSQL "+text, Wrong, "PostgreSQL "+text+" is too old", "upgrade to PostgreSQL 15 or later")
	return nil
}

func (d *doctor) text(ctx context.Context) error {
	err := checkEncoding(ctx, d.conn)
	if err != nil {
		d.say("server", "encoding", Wrong, sentenceOf(err), "create another database with encoding UTF8, and restore a backup into it")
		return nil
	}
	d.say("server", "encoding", OK, "UTF8", "")
	return nil
}

func (d *doctor) extensions(ctx context.Context) error {
	for _, name := range []string{"pg_trgm", "cube"} {
		var installed, available bool
		err := d.conn.QueryRow(ctx, `
			select exists (select from pg_extension where extname = $1), exists (select from pg_available_extensions where name = $1)`,
			name).Scan(&installed, &available)
		if err != nil {
			return err
		}
		do := "run as a superuser: create extension " + name
		if !available {
			do = "install the package postgresql-contrib on the server, then run: create extension " + name
		}
		d.judge(installed, "server", "extension "+name, "installed", Wrong, "not installed", do)
	}
	var known bool
	if err := d.conn.QueryRow(ctx, "select exists (select from pg_extension where extname = 'pg_trgm')").Scan(&known); err != nil || !known {
		return err
	}
	err := pgx.BeginFunc(ctx, d.conn, func(tx pgx.Tx) error { return checkTrigrams(ctx, tx) })
	d.judge(err == nil, "server", "locale", "names beyond ASCII can be searched", Wrong, "names beyond ASCII cannot be searched",
		"create another database with LC_CTYPE C.UTF-8, and restore a backup into it")
	return nil
}

func (d *doctor) clock(ctx context.Context) error {
	skew, err := clockSkew(ctx, d.conn)
	if err != nil {
		return err
	}
	const worth = 250 * time.Millisecond
	text := fmt.Sprintf("the database's clock is %v off this machine's", skew.Abs().Round(time.Millisecond))
	state := OK
	if skew.Abs() > worth {
		state = Note
	}
	if skew.Abs() > largestSkew {
		state = Wrong
	}
	do := ""
	if state != OK {
		do = "let both machines keep time by NTP; from 1 s on the program does not begin"
	}
	d.say("server", "clock", state, text, do)
	return nil
}

// setting is one that matters.
type setting struct {
	name string
	good func(value string) bool
	bad  State
	why  string
}

func is(want string) func(string) bool { return func(v string) bool { return v == want } }

func isNot(bad string) func(string) bool { return func(v string) bool { return v != bad } }

func durability() []setting {
	return []setting{
		{"fsync", is("on"), Wrong, "a crash of the machine can destroy the whole database; set it to on"},
		{"full_page_writes", is("on"), Wrong, "a crash of the machine can destroy pages; set it to on"},
		{"synchronous_commit", isNot("off"), Wrong, "what was acknowledged may be lost in a crash; set it to on"},
		{"autovacuum", is("on"), Wrong, "tables and indexes of read models grow without end; set it to on"},
		{"track_counts", is("on"), Wrong, "autovacuum does not know where to work; set it to on"},
		{"data_checksums", is("on"), Note, "a page that the disk has damaged is not noticed; run pg_checksums --enable while the server is stopped"},
		{"archive_mode", isNot("off"), Note, "what comes after the last backup is lost with the disk; see docs/operations.md for continuous archiving"},
	}
}

func (d *doctor) settings(ctx context.Context) error {
	for _, s := range durability() {
		var value string
		if err := d.conn.QueryRow(ctx, "select current_setting($1)", s.name).Scan(&value); err != nil {
			return err
		}
		d.judge(s.good(value), "settings", s.name, value, s.bad, value, s.why)
	}
	return nil
}

// perProcess is how many connections a process of slotbook serve has at most: its
// pool, and those of the writer, the reader and the listener, each of which may
// be opening its next.
const perProcess = poolSize + 2*3

func (d *doctor) connections(ctx context.Context) error {
	var most, used int
	err := d.conn.QueryRow(ctx, `
		select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
			(select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid())`).Scan(&most, &used)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%d of %d in use; one process of slotbook serve has up to %d", used, most, perProcess)
	switch {
	case most < perProcess:
		d.say("settings", "max_connections", Wrong, text, fmt.Sprintf("raise max_connections to %d at least, or set pool_max_conns in the URL", 2*perProcess))
	case most-used < perProcess:
		d.say("settings", "max_connections", Note, text, "another process may find no connection: raise max_connections, or set pool_max_conns in the URL")
	default:
		d.say("settings", "max_connections", OK, text, "")
	}
	return nil
}

func (d *doctor) schema(ctx context.Context) error {
	there, err := schemaOf(ctx, d.conn)
	if err != nil {
		return err
	}
	needed := SchemaVersion()
	text := fmt.Sprintf("version %d", there)
	switch {
	case there == 0:
		d.say("schema", "version", Wrong, "there is none", "run: slotbook migrate")
	case there < needed:
		d.say("schema", "version", Wrong, fmt.Sprintf("%s, and this program needs %d", text, needed),
			"run: slotbook migrate; older programs that run go on after it, but do not start again (docs/upgrade.md)")
	case there > needed:
		d.say("schema", "version", Wrong, fmt.Sprintf("%s, and this program knows %d", text, needed), "use the newer program that has migrated the database")
	default:
		d.say("schema", "version", OK, text, "")
	}
	return nil
}

// expectedSchema lists what the migrations make; a test compares and rewrites it.
//
//go:embed schema.txt
var expectedSchema string

// structureSQL lists columns, indexes and triggers of the schema slotbook, one a
// row.
const structureSQL = `
	select 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
	from pg_attribute a
	join pg_class c on c.oid = a.attrelid
	where c.relnamespace = to_regnamespace('slotbook') and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
	union all
	select 'index ' || c.relname || '.' || i.relname
	from pg_index x
	join pg_class i on i.oid = x.indexrelid
	join pg_class c on c.oid = x.indrelid
	where c.relnamespace = to_regnamespace('slotbook')
	union all
	select 'trigger ' || c.relname || '.' || t.tgname
	from pg_trigger t
	join pg_class c on c.oid = t.tgrelid
	where c.relnamespace = to_regnamespace('slotbook') and not t.tgisinternal and t.tgenabled <> 'D'
	order by 1`

func (d *doctor) structure(ctx context.Context) error {
	there, err := schemaOf(ctx, d.conn)
	if err != nil || there != SchemaVersion() {
		return err // said already
	}
	rows, _ := d.conn.Query(ctx, structureSQL)
	have, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	var missing []string
	for want := range strings.Lines(expectedSchema) {
		if want = strings.TrimSuffix(want, "\n"); !slices.Contains(have, want) {
			missing = append(missing, want)
		}
	}
	d.judge(len(missing) == 0, "schema", "tables", "every column, index and trigger of the migrations is there", Wrong,
		"missing, other or disabled: "+strings.Join(missing, "; "),
		"make it again as the files in adapters/postgres/migrations do; for a trigger: alter table ... enable trigger")
	return nil
}

// ours is the condition on schemas, of a pg_namespace n: the store's, and those
// of read models.
const ours = `(n.nspname = 'slotbook' or n.nspname ~ '^[a-z]+_v[0-9]+')`

func (d *doctor) indexes(ctx context.Context) error {
	rows, _ := d.conn.Query(ctx, `
		select quote_ident(n.nspname) || '.' || quote_ident(i.relname)
		from pg_index x
		join pg_class i on i.oid = x.indexrelid
		join pg_namespace n on n.oid = i.relnamespace
		where `+ours+` and not (x.indisvalid and x.indisready)
		order by 1`)
	broken, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	var do []string
	for _, name := range broken {
		do = append(do, mendIndex(name))
	}
	d.judge(len(broken) == 0, "schema", "indexes", "all are valid", Wrong,
		"not valid: "+strings.Join(broken, ", "), "run: "+strings.Join(do, "; "))
	return nil
}

// mendIndex returns what mends an index that is not valid. What an interrupted
// reindex has left goes: the index that it was to replace is there.
func mendIndex(name string) string {
	if left := strings.TrimRight(strings.TrimSuffix(name, `"`), "0123456789"); strings.HasSuffix(left, "_ccnew") || strings.HasSuffix(left, "_ccold") {
		return "drop index " + name
	}
	return "reindex index concurrently " + name
}

func (d *doctor) privileges(ctx context.Context) error {
	var user, database string
	var super, create bool
	err := d.conn.QueryRow(ctx, `
		select quote_ident(current_user), quote_ident(current_database()), rolsuper, has_database_privilege(current_database(), 'create')
		from pg_roles
		where rolname = current_user`).Scan(&user, &database, &super, &create)
	if err != nil {
		return err
	}
	d.judge(create, "roles", "read models", user+" may make their schemas", Wrong, user+" may not make schemas",
		"run: grant create on database "+database+" to "+user)
	d.judge(!super || d.own, "roles", "superuser", user+" can do what it needs", Note, user+" is a superuser, who may do more than the program needs",
		"make a role of its own that owns the database, and let the program connect as it")
	rows, _ := d.conn.Query(ctx, `
		select c.relname::text
		from pg_class c
		where c.relnamespace = to_regnamespace('slotbook') and c.relkind = 'r'
			and not (has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert'))
		order by 1`)
	closed, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	d.judge(len(closed) == 0, "roles", "tables", user+" may read and write them", Wrong,
		user+" may not read or write "+strings.Join(closed, ", "), "run: grant select, insert, update, delete on all tables in schema slotbook to "+user)
	return nil
}

func (d *doctor) vacuum(ctx context.Context) error {
	rows, _ := d.conn.Query(ctx, `
		select n.nspname || '.' || c.relname, coalesce(s.n_live_tup, 0), coalesce(s.n_dead_tup, 0),
			greatest(s.last_autovacuum, s.last_vacuum), exists (
				select from pg_options_to_table(c.reloptions)
				where option_name = 'autovacuum_enabled' and not option_value::boolean
			)
		from pg_class c
		join pg_namespace n on n.oid = c.relnamespace
		left join pg_stat_all_tables s on s.relid = c.oid
		where `+ours+` and c.relkind = 'r'
		order by 1`)
	var name string
	var live, dead int64
	var last *time.Time
	var off bool
	const few = 10_000
	before := len(d.findings)
	_, err := pgx.ForEachRow(rows, []any{&name, &live, &dead, &last, &off}, func() error {
		when := "never vacuumed"
		if last != nil {
			when = "vacuumed last at " + last.UTC().Format(time.RFC3339)
		}
		switch {
		case off:
			d.say("vacuum", name, Wrong, "autovacuum is switched off for this table", "run: alter table "+name+" reset (autovacuum_enabled)")
		case dead > few && dead > live:
			d.say("vacuum", name, Wrong, fmt.Sprintf("%d dead rows beside %d live ones, %s", dead, live, when),
				"run: vacuum analyze "+name+"; if it comes back, look for long transactions and give autovacuum more workers")
		case dead > few && dead > live/5:
			d.say("vacuum", name, Note, fmt.Sprintf("%d dead rows beside %d live ones, %s", dead, live, when), "wait for autovacuum, or run: vacuum analyze "+name)
		}
		return nil
	})
	if err == nil && len(d.findings) == before {
		d.say("vacuum", "dead rows", OK, "autovacuum keeps up", "")
	}
	return err
}

// age looks at how far transaction ids are from running out.
func (d *doctor) age(ctx context.Context) error {
	var xids, multis, freeze int64
	err := d.conn.QueryRow(ctx, `
		select age(datfrozenxid), mxid_age(datminmxid), current_setting('autovacuum_freeze_max_age')::bigint
		from pg_database
		where datname = current_database()`).Scan(&xids, &multis, &freeze)
	if err != nil {
		return err
	}
	const end = 2_000_000_000
	oldest := max(xids, multis)
	text := fmt.Sprintf("the oldest transaction id is %d transactions old; at about %d the server stops", oldest, int64(end))
	do := "look for long transactions, prepared transactions and replication slots, then run: vacuum freeze"
	switch {
	case oldest > end/2:
		d.say("vacuum", "wraparound", Wrong, text, do)
	case oldest > 2*freeze:
		d.say("vacuum", "wraparound", Note, text, do)
	default:
		d.say("vacuum", "wraparound", OK, text, "")
	}
	return nil
}

func (d *doctor) transactions(ctx context.Context) error {
	var longest time.Duration
	var prepared int
	err := d.conn.QueryRow(ctx, `
		select coalesce(max(clock_timestamp() - xact_start), '0'),
			(select count(*) from pg_prepared_xacts where database = current_database())
		from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`).Scan(&longest, &prepared)
	if err != nil {
		return err
	}
	const long = 10 * time.Minute
	d.judge(longest < long, "vacuum", "transactions", "none is open for long", Note,
		fmt.Sprintf("one is open for %v: nothing that died since can be vacuumed", longest.Round(time.Second)),
		"look into pg_stat_activity for who it is; a backup of a large store is one, too")
	d.judge(prepared == 0, "vacuum", "prepared transactions", "none", Wrong, fmt.Sprintf("%d wait for their end", prepared),
		"look into pg_prepared_xacts, then run: rollback prepared '...'")
	return nil
}

// slots looks at who holds back the write-ahead log.
func (d *doctor) slots(ctx context.Context) error {
	rows, _ := d.conn.Query(ctx, `
		select slot_name::text
		from pg_replication_slots
		where not active
		order by 1`)
	idle, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	d.judge(len(idle) == 0, "disk", "replication slots", "none that nobody reads", Note,
		"nobody reads "+strings.Join(idle, ", ")+", and the server keeps the log for it until the disk is full",
		"start its reader, or run: select pg_drop_replication_slot('...')")
	return nil
}
