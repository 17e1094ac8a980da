package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/stretchr/testify/require"
)

const insertRaw = `
	insert into slotbook.events (position, stream, revision, event_id, type, data, metadata, recorded_at)
	values ($1, $2, $3, gen_random_uuid(), $4, $5::text::json, '{}', now() + $6::interval)`

func execute(t *testing.T, url, sql string, arguments ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is left to lose
	_, err = conn.Exec(t.Context(), sql, arguments...)
	require.NoError(t, err)
}

// An event that cannot be read does not stop a follower, but fails the loading
// of its stream.
func TestAnEventThatCannotBeRead(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	execute(t, url, insertRaw, 1, "slot-1", 0, "slot.resized", `{"places": "many"}`, "0")
	_, err := store.Append(t.Context(), write("slot-1", 0, resized(2)))
	require.NoError(t, err)
	page, err := store.ReadAll(t.Context(), 0, domain.Filter{}, 10)
	require.NoError(t, err)
	require.Len(t, page.Events, 2)
	undecodable, ok := page.Events[0].Event.(domain.Undecodable)
	require.True(t, ok)
	require.Equal(t, "slot.resized", undecodable.EventType())
	require.Error(t, undecodable.Err)
	_, err = store.Load(t.Context(), "slot-1")
	require.Error(t, err)
	require.NotErrorIs(t, err, commands.ErrUnavailable)
}

// An event of a type that a newer program wrote stops the page before it, and
// only for those who want it.
func TestAnEventOfANewerProgram(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	position, err := store.Append(t.Context(), write("slot-1", domain.NoStream, resized(1)))
	require.NoError(t, err)
	execute(t, url, insertRaw, 2, "slot-2", 0, "slot.teleported", `{}`, "0")
	_, err = store.Append(t.Context(), write("slot-3", domain.NoStream, resized(3)))
	require.NoError(t, err)
	page, err := store.ReadAll(t.Context(), 0, domain.Filter{}, 10)
	require.ErrorIs(t, err, commands.ErrUpgradeRunning)
	require.Len(t, page.Events, 1)
	require.Equal(t, position, page.Next)
	page, err = store.ReadAll(t.Context(), 0, domain.Filter{Types: []string{"slot.resized"}}, 10)
	require.NoError(t, err)
	require.Len(t, page.Events, 2)
	_, err = store.Load(t.Context(), "slot-2")
	require.ErrorIs(t, err, commands.ErrUpgradeRunning)
}

// A load that takes too long fails alone, also when it shared a query with
// others. Here the server gives up on one stream whenever it meets it.
func TestOnlyTheSlowLoadFails(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	for _, stream := range []string{"slot-first", "slot-slow", "slot-quick"} {
		_, err := store.Append(t.Context(), write(stream, domain.NoStream, resized(1)))
		require.NoError(t, err)
	}
	execute(t, url, `do $$ begin
		create function slotbook.load(stream text) returns boolean language plpgsql cost 10000 as '
			begin
				if stream = ''slot-slow'' then
					raise query_canceled;
				end if;
				return true;
			end';
		alter table slotbook.events rename to stored;
		create view slotbook.events as select * from slotbook.stored where slotbook.load(stream);
	end $$`)
	lock, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer lock.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is left to lose
	_, err = lock.Exec(t.Context(), "begin; lock table slotbook.stored in access exclusive mode")
	require.NoError(t, err)

	names := []domain.StreamName{"slot-first", "slot-slow", "slot-quick"}
	loads := make([]map[domain.StreamName][]domain.Recorded, len(names))
	errs := make([]error, len(names))
	var all sync.WaitGroup
	load := func(i int) { all.Go(func() { loads[i], errs[i] = store.Load(t.Context(), names[i]) }) }
	load(0)
	watch(t, url)(`
		select exists (
			select from pg_stat_activity
			where datname = current_database()
				and wait_event_type = 'Lock'
				and query like '%any($1::text[])%'
				and query not like '%unnest%'
		)`)
	load(1)
	load(2)
	require.Eventually(t, func() bool { return store.QueuedLoads() == 2 }, 20*time.Second, time.Millisecond)
	_, err = lock.Exec(t.Context(), "rollback")
	require.NoError(t, err)
	all.Wait()
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], commands.ErrUnavailable)
	require.NoError(t, errs[2])
	require.Len(t, loads[2]["slot-quick"], 1)
}

// Positions continue above the floor, recorded time never goes back behind the
// last event, and readers get over the hole.
func TestTheLogContinuesAfterARestore(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	execute(t, url, insertRaw, 7, "slot-1", 0, "slot.resized", `{"places": 1}`, "1 hour")
	execute(t, url, "update slotbook.log_head set floor = 10000000000")
	for i, events := range [][]commands.NewEvent{{resized(1)}, {resized(2), resized(3)}} {
		position, err := store.Append(t.Context(), write("slot-1", domain.Revision(i), events...))
		require.NoError(t, err)
		require.EqualValues(t, 10000000001+2*i, position)
	}
	page, err := store.ReadAll(t.Context(), 0, domain.Filter{Types: []string{"slot.resized"}}, 10)
	require.NoError(t, err)
	require.Len(t, page.Events, 4)
	for _, r := range page.Events {
		require.Equal(t, page.Events[0].RecordedAt, r.RecordedAt)
	}
}

// Whatever reaches the table past the store, nothing in it changes.
func TestEventsOnlyGrow(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	_, err := store.Append(t.Context(), write("slot-1", domain.NoStream, resized(1)))
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is left to lose
	for _, sql := range []string{
		"update slotbook.events set revision = 3",
		"delete from slotbook.events",
		"truncate slotbook.events",
	} {
		_, err = conn.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "only grows")
	}
}

// Of many processes that start on an empty database at once, one migrates.
func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	url := postgrestest.EmptyDatabase(t)
	errs := make([]error, 6)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = postgres.Migrate(t.Context(), url) })
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	require.NoError(t, postgres.Migrate(t.Context(), url))
	execute(t, url, "update slotbook.schema_version set version = 9999")
	require.ErrorContains(t, postgres.Migrate(t.Context(), url), "newer version")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	url := postgrestest.EmptyDatabase(t)
	require.NoError(t, postgres.Check(t.Context(), url))
	require.NoError(t, postgres.Check(t.Context(), postgrestest.Database(t)))
	for wrong, sentence := range map[string]string{
		"postgres://127.0.0.1:1/none":                      "cannot be reached",
		strings.Replace(url, "slotbook_test_", "none_", 1): "refuses the connection",
		"postgres://h:port/":                               "address of the database",
	} {
		err := postgres.Check(t.Context(), wrong)
		require.ErrorContains(t, err, sentence)
		require.NotContains(t, err.Error(), "\n")
	}
}

// Under LC_CTYPE C trigrams of anything but ASCII are empty, without a word.
func TestCheckFindsAWrongLocale(t *testing.T) {
	t.Parallel()
	url := postgrestest.EmptyDatabase(t)
	name := url[strings.LastIndex(url, "/")+1:]
	name, _, _ = strings.Cut(name, "?")
	other := strings.Replace(url, name, name+"_c", 1)
	execute(t, url, "create database "+name+"_c template template0 lc_ctype 'C' lc_collate 'C'")
	defer execute(t, url, "drop database "+name+"_c with (force)")
	require.ErrorContains(t, postgres.Check(t.Context(), other), "LC_CTYPE")
	execute(t, url, "create database "+name+"_l template template0 encoding 'LATIN1' lc_ctype 'C' lc_collate 'C'")
	defer execute(t, url, "drop database "+name+"_l with (force)")
	require.ErrorContains(t, postgres.Check(t.Context(), strings.Replace(url, name, name+"_l", 1)), "LATIN1")
}

func TestClockSkew(t *testing.T) {
	t.Parallel()
	skew, err := open(t).ClockSkew(t.Context())
	require.NoError(t, err)
	require.Less(t, skew.Abs(), time.Second)
}

// A key is made once, is the same for everybody, and once destroyed is gone
// for good.
func TestKeys(t *testing.T) {
	t.Parallel()
	pool := openPool(t, postgrestest.Database(t))
	newKeys := func(master []byte) *postgres.Keys {
		keys, err := postgres.NewKeys(pool, master)
		require.NoError(t, err)
		return keys
	}
	one, other := newKeys(master()), newKeys(master())
	ctx := t.Context()
	_, err := one.Key(ctx, "p1", false)
	require.ErrorIs(t, err, eventcodec.ErrNoKey)

	made := make([][]byte, 16)
	var all sync.WaitGroup
	for i := range made {
		all.Go(func() { made[i], _ = []*postgres.Keys{one, other}[i%2].Key(ctx, "p1", true) })
	}
	all.Wait()
	require.Len(t, made[0], 32)
	for _, key := range made {
		require.Equal(t, made[0], key)
	}
	second, err := one.Key(ctx, "p2", true)
	require.NoError(t, err)
	require.NotEqual(t, made[0], second)

	_, err = newKeys([]byte(strings.Repeat("x", 32))).Key(ctx, "p1", false)
	require.ErrorContains(t, err, "master key")
	require.NotErrorIs(t, err, eventcodec.ErrNoKey)
	_, err = one.Key(ctx, "p\x00", true)
	require.ErrorIs(t, err, commands.ErrUnstorable)
	_, err = postgres.NewKeys(pool, nil)
	require.Error(t, err)

	require.NoError(t, one.Destroy(ctx, "p1"))
	require.NoError(t, one.Destroy(ctx, "p1"))
	require.NoError(t, one.Destroy(ctx, "never"))
	for _, person := range []string{"p1", "never"} {
		for _, create := range []bool{true, false} {
			_, err = one.Key(ctx, person, create)
			require.ErrorIs(t, err, eventcodec.ErrNoKey)
			_, err = newKeys(master()).Key(ctx, person, create)
			require.ErrorIs(t, err, eventcodec.ErrNoKey)
		}
	}
	_, err = one.Key(ctx, "p2", false)
	require.NoError(t, err)
}

// The log may have gaps between positions, where an older backup was restored.
func TestAnInstantIsFoundAcrossGaps(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	began := time.Now()
	for i, position := range []int{3, 4, 1000, 5000, 5001} {
		execute(t, url, insertRaw, position, "slot-1", i, "slot.resized", `{}`, fmt.Sprint(i, " hours"))
	}
	for hours, want := range map[int]domain.Position{-1: 0, 0: 3, 1: 4, 2: 1000, 3: 5000, 4: 5001, 9: 5001} {
		position, err := store.PositionAt(t.Context(), began.Add(time.Duration(hours)*time.Hour+30*time.Minute))
		require.NoError(t, err)
		require.Equal(t, want, position, "%d hours", hours)
	}
}

func TestAnEventIsFoundByItsID(t *testing.T) {
	t.Parallel()
	store := run(t, openPool(t, postgrestest.Database(t)), eventcodec.New(&eventcodec.MemoryKeys{}))
	wanted := write("slot-1", domain.NoStream, resized(1), resized(2))
	_, err := store.Append(t.Context(), wanted)
	require.NoError(t, err)
	found, ok, err := store.FindStored(t.Context(), wanted.Events[1].ID)
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 1, found.Revision)
	for _, id := range []string{"nothing", "00000000-0000-7000-8000-000000000001"} {
		_, ok, err = store.FindStored(t.Context(), id)
		require.NoError(t, err)
		require.False(t, ok)
	}
}
