package engine

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

type poolConn = *pgxpool.Conn

// pipeline gathers prepared statements with binary parameters and sends them
// in one round trip. pgx's own batches would encode every array element by
// reflection, which costs more than PostgreSQL spends on small rows.
type pipeline struct {
	ctx    context.Context //nolint:containedctx // it lives for one write
	conn   *pgx.Conn
	queued []queued
}

type queued struct {
	statement string
	values    [][]byte
}

// query queues a statement; its parameters are in binary.
func (p *pipeline) query(sql string, values ...[]byte) error {
	s, err := p.conn.Prepare(p.ctx, sql, sql)
	if err != nil {
		return err
	}
	p.queued = append(p.queued, queued{s.Name, values})
	return nil
}

func (p *pipeline) changes(s statements, c changes) error {
	if c.inserted != nil {
		if err := p.query(s.insert, c.inserted...); err != nil {
			return err
		}
	}
	if c.updated != nil && s.update != "" {
		if err := p.query(s.update, c.updated...); err != nil {
			return err
		}
	}
	if len(c.deleted) == 0 {
		return nil
	}
	keys := appendHeader(nil, len(c.deleted), oidText)
	for _, key := range c.deleted {
		keys = appendText(keys, key)
	}
	return p.query(s.remove, keys)
}

// send sends what is queued and returns the first error. The connection is
// then in whatever transaction the statements have left it in.
func (p *pipeline) send() error {
	line := p.conn.PgConn().StartPipeline(p.ctx)
	for _, q := range p.queued {
		line.SendQueryPrepared(q.statement, q.values, []int16{1}, []int16{1})
	}
	p.queued = nil
	first := line.Sync()
	for first == nil {
		result, err := line.GetResults()
		if err != nil {
			first = err
			break
		}
		if r, ok := result.(*pgconn.ResultReader); ok {
			_, first = r.Close()
			continue
		}
		break // the sync
	}
	if err := line.Close(); first == nil {
		first = err
	}
	return first
}
