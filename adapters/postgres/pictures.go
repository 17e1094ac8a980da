package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Pictures keeps pictures. It is safe for concurrent use.
type Pictures struct {
	pool     *pgxpool.Pool
	patience time.Duration
}

// NewPictures returns the pictures in a database.
func NewPictures(pool *pgxpool.Pool) *Pictures { return &Pictures{pool, patienceOfRead} }

// Put stores a picture under its SHA-256 in hexadecimal; one that is there already stays. Errors:
// [commands.ErrUnavailable].
func (p *Pictures) Put(ctx context.Context, id string, picture []byte) error {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	_, err := p.pool.Exec(ctx, `
		insert into slotbook.picture (picture, bytes)
		values ($1, $2)
		on conflict (picture) do nothing`, id, picture)
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// Get returns a picture's bytes, nil when there is no such picture. Errors:
// [commands.ErrUnavailable].
func (p *Pictures) Get(ctx context.Context, id string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	var stored []byte
	err := p.pool.QueryRow(ctx, `
		select bytes
		from slotbook.picture
		where picture = $1`, id).Scan(&stored)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, unavailable(err)
	}
	return stored, nil
}
