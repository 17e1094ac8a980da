package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// largestSkew is how far the database's clock may be off. The protocols allow
// for 2 s between any two processes.
const largestSkew = time.Second

// Check reports, in one sentence, the first thing that keeps Slotbook from
// working with the database: it cannot be reached, is older than PostgreSQL
// 15, does not speak UTF-8, lacks an extension, or its clock is more than 1 s
// off. It changes nothing.
func Check(ctx context.Context, url string) error {
	conn, err := Connect(ctx, url)
	if err != nil {
		return explain(err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to lose
	for _, check := range []func(context.Context, *pgx.Conn) error{checkVersion, checkEncoding, checkExtensions, checkClock} {
		if err := check(ctx, conn); err != nil {
			return err
		}
	}
	return nil
}

// explain makes one line of an error to connect, which may be one line for
// each address that was tried.
func explain(err error) error {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if ok {
		return fmt.Errorf("the database refuses the connection: %s", refused.Message)
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	return fmt.Errorf("the database cannot be reached: %s", text)
}

func checkVersion(ctx context.Context, conn *pgx.Conn) error {
	var number int
	var version string
	err := conn.QueryRow(ctx, `
		select current_setting('server_version_num')::int, current_setting('server_version')`).Scan(&number, &version)
	if err != nil {
		return fmt.Errorf("the database's version cannot be read: %w", err)
	}
	if number < 150000 {
		return fmt.Errorf("the database is PostgreSQL %s; 15 or later is needed", version)
	}
	return nil
}

func checkEncoding(ctx context.Context, conn *pgx.Conn) error {
	var encoding string
	if err := conn.QueryRow(ctx, "select current_setting('server_encoding')").Scan(&encoding); err != nil {
		return fmt.Errorf("the database's encoding cannot be read: %w", err)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database's encoding is %s; UTF8 is needed, which is set when the database is created", encoding)
	}
	return nil
}

// errRollback ends a transaction that was only a trial.
var errRollback = errors.New("roll back")

// checkExtensions creates what is missing on trial, and tries trigrams.
func checkExtensions(ctx context.Context, conn *pgx.Conn) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, name := range []string{"pg_trgm", "cube"} {
			if err := checkExtension(ctx, tx, name); err != nil {
				return err
			}
		}
		if err := checkTrigrams(ctx, tx); err != nil {
			return err
		}
		return errRollback
	})
	if errors.Is(err, errRollback) {
		return nil
	}
	return err
}

func checkExtension(ctx context.Context, tx pgx.Tx, name string) error {
	var installed, available bool
	err := tx.QueryRow(ctx, `
		select exists (select from pg_extension where extname = $1), exists (select from pg_available_extensions where name = $1)`,
		name).Scan(&installed, &available)
	if err != nil {
		return fmt.Errorf("the database's extensions cannot be listed: %w", err)
	}
	if installed {
		return nil
	}
	if !available {
		return fmt.Errorf("the database server lacks the extension %s; it comes with the package postgresql-contrib", name)
	}
	if _, err := tx.Exec(ctx, "create extension if not exists "+name); err != nil {
		return fmt.Errorf("the extension %s is not installed and cannot be installed now; somebody who may runs: create extension %s: %w", name, name, err)
	}
	return nil
}

// checkTrigrams finds out whether the server knows letters beyond ASCII: under
// LC_CTYPE C it does not, and searches for names then silently find nothing.
func checkTrigrams(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		select set_config('search_path', quote_ident(n.nspname), true)
		from pg_extension e
		join pg_namespace n on n.oid = e.extnamespace
		where e.extname = 'pg_trgm'`)
	if err != nil {
		return fmt.Errorf("the extension pg_trgm cannot be used: %w", err)
	}
	var works bool
	if err := tx.QueryRow(ctx, "select show_trgm('한글') <> '{}'").Scan(&works); err != nil {
		return fmt.Errorf("the extension pg_trgm cannot be used: %w", err)
	}
	if !works {
		return errors.New("the database's LC_CTYPE is not a UTF-8 locale, so that names beyond ASCII cannot be searched; create the database with LC_CTYPE C.UTF-8")
	}
	return nil
}

func checkClock(ctx context.Context, conn *pgx.Conn) error {
	skew, err := clockSkew(ctx, conn)
	if err != nil {
		return fmt.Errorf("the database's clock cannot be read: %w", err)
	}
	if skew.Abs() > largestSkew {
		return fmt.Errorf("the database's clock is %s off this machine's; at most %s is allowed", skew.Round(time.Millisecond), largestSkew)
	}
	return nil
}

// ClockSkew returns how far the database's clock is ahead of this machine's,
// to within half of a round trip. Errors: [commands.ErrUnavailable].
func (s *Store) ClockSkew(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patienceOfRead)
	defer cancel()
	skew, err := clockSkew(ctx, s.config.Pool)
	if err != nil {
		return 0, unavailable(err)
	}
	return skew, nil
}

// clockSkew takes the quickest of three looks.
func clockSkew(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) (skew time.Duration, err error) {
	quickest := time.Hour
	for range 3 {
		var there time.Time
		before := time.Now()
		if err := db.QueryRow(ctx, "select clock_timestamp()").Scan(&there); err != nil {
			return 0, err
		}
		took := time.Since(before)
		if took < quickest {
			quickest, skew = took, there.Sub(before.Add(took/2))
		}
	}
	return skew, nil
}
