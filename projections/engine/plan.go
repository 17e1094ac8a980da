package engine

import (
	"context"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Plan says what a rebuild will take.
type Plan struct {
	Model    string
	Version  int
	From     domain.Position // where one that was interrupted goes on; 0 = at the beginning
	Head     domain.Position
	Expected time.Duration // by the rate of the build that made the live tables; 0 = nobody knows
	Bytes    int64         // of disk besides what is used now: the size of the live tables
}

// Plan returns what a rebuild of the models will take.
func (e *Engine) Plan(ctx context.Context, names ...string) ([]Plan, error) {
	head, err := e.config.Log.Head(ctx)
	if err != nil {
		return nil, err
	}
	plans := make([]Plan, 0, len(names))
	for _, name := range names {
		m, err := e.model(name)
		if err != nil {
			return nil, err
		}
		p := Plan{Model: m.Name, Version: m.Version, Head: head}
		var rate int64
		err = e.config.Pool.QueryRow(ctx, `
			select coalesce(c.rate, 0),
				coalesce((select n.position from slotbook.projection_checkpoint n where n.schema = $2), 0),
				(select coalesce(sum(pg_total_relation_size(k.oid)), 0)::bigint
					from pg_class k
					join pg_namespace n on n.oid = k.relnamespace
					where n.nspname = $1 and k.relkind = 'r')
			from slotbook.projection_checkpoint c
			where c.schema = $1`, m.Schema(), m.Schema()+nextSuffix).Scan(&rate, &p.From, &p.Bytes)
		if err != nil {
			return nil, err
		}
		if rate > 0 && p.From < head {
			p.Expected = time.Duration(float64(head-p.From) / float64(rate) * float64(time.Second))
		}
		plans = append(plans, p)
	}
	return plans, nil
}
