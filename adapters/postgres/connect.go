package postgres

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connectTimeout bounds one attempt to connect, unless the URL says otherwise,
// so that a host that swallows packets holds nobody up for longer.
const connectTimeout = 2 * time.Second

// poolSize is the number of connections of a pool, unless the URL says
// otherwise. More only makes the server switch between them more.
const poolSize = 16

// Pool returns a pool of connections with the settings that Slotbook needs. It
// connects on first use, so that a database that is away is no error here. The
// URL may hold pool_max_conns (default 16), connect_timeout (default 2 s) and
// the server's time-outs: statement_timeout (default 30 s), lock_timeout (10 s)
// and idle_in_transaction_session_timeout (60 s). A transaction with a longer
// statement says so with "set local statement_timeout". The caller closes the
// pool.
func Pool(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("address of the database: %w", err)
	}
	conn, err := parse(url)
	if err != nil {
		return nil, err
	}
	if conn.RuntimeParams["pool_max_conns"] == "" {
		config.MaxConns = poolSize
	}
	settle(config.ConnConfig, missing(config.ConnConfig, poolSettings()))
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("pool of connections: %w", err)
	}
	return pool, nil
}

// poolSettings bound what a connection of the pool can hold up: a statement,
// its wait for a lock, and a transaction whose client has stopped; and how
// statements are run.
func poolSettings() map[string]string {
	return map[string]string{
		"statement_timeout":                   "30s",
		"lock_timeout":                        "10s",
		"idle_in_transaction_session_timeout": "60s",
		"tcp_user_timeout":                    "8s",
		"jit":                                 "off", // to compile a statement takes longer than to run any of ours
	}
}

// missing returns the settings that the configuration does not have yet.
func missing(config *pgx.ConnConfig, settings map[string]string) map[string]string {
	maps.DeleteFunc(settings, func(name, _ string) bool { return config.RuntimeParams[name] != "" })
	return settings
}

// Connect opens one connection outside any pool, to an address as [Pool] takes
// it. Its statements may take as long as they need: migrations do.
func Connect(ctx context.Context, url string) (*pgx.Conn, error) {
	config, err := pgxpool.ParseConfig(url) // knows the pool's words in the URL
	if err != nil {
		return nil, fmt.Errorf("address of the database: %w", err)
	}
	settle(config.ConnConfig, nil)
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return conn, nil
}

func parse(url string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("address of the database: %w", err)
	}
	return config, nil
}

// settle gives a connection the settings that everything relies on, and the
// given ones on top.
func settle(config *pgx.ConnConfig, settings map[string]string) {
	if config.ConnectTimeout == 0 || config.ConnectTimeout > time.Minute {
		config.ConnectTimeout = connectTimeout
	}
	config.DialFunc = dial
	config.RuntimeParams["timezone"] = "UTC"
	config.RuntimeParams["default_transaction_isolation"] = "read committed"
	config.RuntimeParams["pg_trgm.word_similarity_threshold"] = "0.6" // how like a word a mistyped one is
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "slotbook"
	}
	maps.Copy(config.RuntimeParams, settings)
}
