package engine

import (
	"encoding/json"

	"github.com/slotbook/slotbook/domain"
)

// parking is what a projector could not fold: single rows, and whole streams.
// What is parked is passed over and counted from then on.
type parking struct {
	lots map[lot]*Parked
	news map[lot]*Parked // since the last write; Count is the growth
}

type lot struct{ table, key string }

// Parked is a row, or with an empty Table a stream, that could not be folded.
type Parked struct {
	Table    string          `json:"table"`
	Key      string          `json:"key"`      // of the row, or the stream
	Position domain.Position `json:"position"` // of the first event that was not folded
	Error    string          `json:"error"`
	Count    int             `json:"count"` // events that were not folded
}

func newParking(known []Parked) *parking {
	p := &parking{lots: map[lot]*Parked{}, news: map[lot]*Parked{}}
	for _, k := range known {
		p.lots[lot{k.Table, k.Key}] = &k
	}
	return p
}

// skip reports whether the row or stream is parked, and counts the event.
func (p *parking) skip(table, key string) bool {
	if len(p.lots) == 0 {
		return false
	}
	known, parked := p.lots[lot{table, key}]
	if parked {
		p.count(*known)
	}
	return parked
}

// park parks a row or stream with the events that are not folded, from the
// first of them on. A row that was parked since the last write was folded up to
// then: what its table does not take counts from earlier.
func (p *parking) park(table, key string, at domain.Position, events int, err error) {
	parked := Parked{Table: table, Key: key, Position: at, Error: err.Error()}
	if known := p.lots[lot{table, key}]; known != nil {
		parked.Count = known.Count
	}
	p.lots[lot{table, key}] = &parked
	if news := p.news[lot{table, key}]; news != nil {
		news.Position, news.Error = at, parked.Error
	}
	for range events {
		p.count(parked)
	}
}

func (p *parking) count(parked Parked) {
	at := lot{parked.Table, parked.Key}
	p.lots[at].Count++
	if p.news[at] == nil {
		parked.Count = 0
		p.news[at] = &parked
	}
	p.news[at].Count++
}

// upsertParked adds what was newly parked and the growth of what was before.
const upsertParked = `
insert into slotbook.projection_parked as old (schema, "table", key, position, error, count)
select $1, "table", key, position, error, count
from jsonb_to_recordset($2::jsonb) as new ("table" text, key text, position bigint, error text, count bigint)
on conflict (schema, "table", key) do update set count = old.count + excluded.count`

// unsaved returns the news as JSON, nil when there are none.
func (p *parking) unsaved() ([]byte, error) {
	if len(p.news) == 0 {
		return nil, nil
	}
	list := make([]*Parked, 0, len(p.news))
	for _, parked := range p.news {
		list = append(list, parked)
	}
	return json.Marshal(list)
}

func (p *parking) settle() { clear(p.news) }

func (p *parking) list() []Parked {
	list := make([]Parked, 0, len(p.lots))
	for _, parked := range p.lots {
		list = append(list, *parked)
	}
	return list
}
