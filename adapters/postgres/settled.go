package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/reactions"
)

// Settled remembers, beyond the life of a process, for whom nothing is left to
// open. It is safe for concurrent use.
type Settled struct{ Pool *pgxpool.Pool }

// Settlements returns those of the practitioners who have one.
func (s Settled) Settlements(
	ctx context.Context, ids []domain.PractitionerID,
) (map[domain.PractitionerID]reactions.Settlement, error) {
	rows, err := s.Pool.Query(ctx, `select practitioner, revision, until from slotbook.schedule_settled where practitioner = any($1)`, ids)
	if err != nil {
		return nil, err
	}
	all := make(map[domain.PractitionerID]reactions.Settlement, len(ids))
	var id domain.PractitionerID
	var settled reactions.Settlement
	var until *time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &settled.Revision, &until}, func() error {
		settled.Until = time.Time{}
		if until != nil {
			settled.Until = *until
		}
		all[id] = settled
		return nil
	})
	return all, err
}

// Settle notes settlements in place of those before.
func (s Settled) Settle(ctx context.Context, settled map[domain.PractitionerID]reactions.Settlement) error {
	var ids []domain.PractitionerID
	var revisions []int64
	var untils []*time.Time
	for id, x := range settled {
		ids, revisions = append(ids, id), append(revisions, int64(x.Revision))
		if x.Until.IsZero() {
			untils = append(untils, nil)
		} else {
			untils = append(untils, &x.Until)
		}
	}
	_, err := s.Pool.Exec(ctx, `
		insert into slotbook.schedule_settled as s (practitioner, revision, until)
		select * from unnest($1::text[], $2::bigint[], $3::timestamptz[]) as t(practitioner, revision, until)
		order by practitioner
		on conflict (practitioner) do update
		set revision = excluded.revision, until = excluded.until`, ids, revisions, untils)
	return err
}
