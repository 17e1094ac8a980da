package postgres

import (
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// The writer's statements, by their place in the session.
const (
	begin = iota
	commit
	lockHead
	readHead
	readRevisions
	readByIDs
	insertEvents
	readRecorded
	insertOne
)

func writerStatements() []string {
	return []string{
		begin:  `begin`,
		commit: `commit`,

		lockHead: `
			select floor
			from slotbook.log_head
			where id = 1
			for update`,

		readHead: `
			select greatest(floor, coalesce((select max(position) from slotbook.events), 0)),
				coalesce((select max(position) from slotbook.events), 0)
			from slotbook.log_head
			where id = 1`,

		readRevisions: `
			select (
				select e.revision
				from slotbook.events e
				where e.stream = s.stream
				order by e.revision desc
				limit 1
			)
			from unnest($1::text[]) with ordinality as s(stream, n)
			order by s.n`,

		readByIDs: `
			select event_id, position, stream, revision, type, data, metadata
			from slotbook.events
			where event_id = any($1::uuid[])`,

		// Events that come after a position. When the log has gone beyond it, or one of
		// the streams that are assumed to have one event has none or more, the division
		// by zero ends the transaction.
		insertEvents: `
			with head as materialized (
				select greatest(clock_timestamp(), l.recorded_at) as now,
					1 / (greatest(h.floor, coalesce(l.position, 0)) = $1::bigint and not exists (
						select
						from unnest($8::text[]) as assumed (stream)
						where 0 is distinct from (
							select e.revision
							from slotbook.events e
							where e.stream = assumed.stream
							order by e.revision desc
							limit 1
						)
					))::int as unmoved
				from slotbook.log_head h
				left join lateral (
					select position, recorded_at
					from slotbook.events
					order by position desc
					limit 1
				) l on true
				where h.id = 1
			)
			insert into slotbook.events (position, stream, revision, event_id, type, data, metadata, recorded_at)
			select $1::bigint + n, stream, revision, event_id, type, data, metadata, head.now
			from head, unnest($2::text[], $3::bigint[], $4::uuid[], $5::text[], $6::json[], $7::json[])
				with ordinality as t(stream, revision, event_id, type, data, metadata, n)
			where head.unmoved = 1`,

		// When they were recorded: all at once.
		readRecorded: `
			select recorded_at
			from slotbook.events
			order by position desc
			limit 1`,

		// The whole append of one event; no row when the revision does not match.
		insertOne: `
			insert into slotbook.events (position, stream, revision, event_id, type, data, metadata, recorded_at)
			select greatest(h.floor, coalesce(l.position, 0)) + 1, $1::text, $2::bigint + 1, $3::uuid, $4::text, $5::json, $6::json,
				greatest(clock_timestamp(), l.recorded_at)
			from slotbook.log_head h
			left join lateral (
				select position, recorded_at
				from slotbook.events
				order by position desc
				limit 1
			) l on true
			where h.id = 1
				and $2::bigint = coalesce((
					select revision
					from slotbook.events
					where stream = $1::text
					order by revision desc
					limit 1
				), -1)
			returning position, recorded_at`,
	}
}

// batch is one transaction of the writer. Its buffers are used again.
type batch struct {
	requests []*request
	accepted []*request
	doubtful []*request
	answers  map[*request]answer

	streams []domain.StreamName // each once, in the order of their parameters
	ledger  ledger
	first   int64 // the last position before the batch
	ends    *ends
	recent  *recent
	rows    []row // of the events that were accepted

	parameters [3]parameters
}

// run stores the requests in one transaction: of one round trip if all that is
// to be decided is known, else of two. On success every request has its answer
// in b.answers, but for those whose caller left before the database could have
// stored anything. pause is for tests; it is called while the lock is held.
func (b *batch) run(s *session, pause func()) error {
	stored, err := false, error(nil)
	if pause == nil {
		stored, err = b.runForeseen(s)
	}
	if err == nil && !stored {
		err = b.runLocked(s, pause)
	}
	if err != nil {
		return err
	}
	b.ends.advance(b.first, &b.ledger)
	b.recent.add(b.rows)
	b.settle()
	return nil
}

// runForeseen decides the requests before the head is locked, by what this
// process knows. It reports false, and nothing is stored, when that is too
// little or somebody else was faster.
func (b *batch) runForeseen(s *session) (stored bool, err error) {
	b.reset()
	if slices.ContainsFunc(b.requests, func(r *request) bool { return r.byIDs }) || !b.ends.foresee(&b.ledger, b.streams) {
		return false, nil
	}
	b.first = b.ledger.last
	b.decide()
	if len(b.accepted) == 0 {
		b.untake()
		return false, nil
	}
	err = b.write(s, begin, lockHead)
	if !moved(err) {
		return err == nil, err
	}
	b.ends.beaten()
	b.untake()
	return false, s.recover()
}

func (b *batch) untake() {
	for _, r := range b.requests {
		r.untake()
	}
}

// runLocked locks the head, reads what the decisions need, and decides.
func (b *batch) runLocked(s *session, pause func()) error {
	b.reset()
	if err := b.read(s); err != nil {
		return err
	}
	if pause != nil {
		pause()
	}
	b.decide()
	return b.write(s)
}

// reset forgets what an earlier try has found out.
func (b *batch) reset() {
	b.accepted, b.doubtful, b.rows = b.accepted[:0], b.doubtful[:0], b.rows[:0]
	b.answers = make(map[*request]answer, len(b.requests))
	revisions := b.ledger.revisions
	if revisions == nil {
		revisions = map[domain.StreamName]domain.Revision{}
	}
	clear(revisions)
	b.ledger = ledger{revisions: revisions}
	b.nameStreams()
}

// settle answers the doubtful by what was looked up. Their revision did not
// match when they were decided; what came behind them in the batch does not
// change that.
func (b *batch) settle() {
	for _, r := range b.doubtful {
		if position, _ := b.ledger.byIDs(r); position > 0 {
			b.answers[r] = answer{position, nil}
		} else {
			b.answers[r] = answer{0, commands.ErrWrongRevision}
		}
	}
}

// read takes the head lock and reads what the decisions need.
func (b *batch) read(s *session) error {
	p := &b.parameters[0]
	p.reset()
	p.streams(b.streams)
	x, err := s.pipeline()
	if err != nil {
		return err
	}
	x.send(begin, nil)
	x.send(lockHead, nil)
	x.send(readHead, nil)
	x.send(readRevisions, &b.parameters[0])
	lookUp := b.idsOf(b.requests, func(r *request) bool { return r.byIDs })
	if lookUp {
		x.send(readByIDs, &b.parameters[1])
	}
	return x.done(b.readResults(x, lookUp))
}

func (b *batch) readResults(x *exchange, lookUp bool) error {
	if err := x.p.Sync(); err != nil {
		return err
	}
	if err := x.skip(); err != nil { // begin
		return err
	}
	if err := x.skip(); err != nil { // the lock
		return err
	}
	if err := x.rows(b.readHead); err != nil {
		return err
	}
	n := 0
	err := x.rows(func(row [][]byte) (err error) {
		revision := int64(domain.NoStream)
		if row[0] != nil {
			revision, err = readInt64(row[0])
		}
		b.ledger.revisions[b.streams[n]] = domain.Revision(revision)
		n++
		return err
	})
	if err != nil || !lookUp {
		return err
	}
	return x.rows(b.readStored)
}

func (b *batch) readHead(row [][]byte) (err error) {
	if b.ledger.last, err = readInt64(row[0]); err != nil {
		return err
	}
	if b.ledger.head, err = readInt64(row[1]); err != nil {
		return err
	}
	b.first = b.ledger.last
	return nil
}

// readStored enters an event that was looked up by its id.
func (b *batch) readStored(row [][]byte) error {
	id, err := readUUID(row[0])
	if err != nil {
		return err
	}
	position, err := readInt64(row[1])
	if err != nil {
		return err
	}
	revision, err := readInt64(row[3])
	if err != nil {
		return err
	}
	bytes := append(append([]byte(nil), row[5]...), row[6]...)
	b.ledger.stored[id] = stored{
		position, domain.StreamName(row[2]), domain.Revision(revision),
		event{id: id, kind: string(row[4]), data: bytes[:len(row[5])], metadata: bytes[len(row[5]):]},
	}
	return nil
}

// nameStreams names every stream once.
func (b *batch) nameStreams() {
	b.streams = b.streams[:0]
	for _, r := range b.requests {
		for _, w := range r.writes {
			if _, there := b.ledger.revisions[w.stream]; !there {
				b.ledger.revisions[w.stream] = domain.NoStream
				b.streams = append(b.streams, w.stream)
			}
		}
	}
}

// idsOf sets the parameter of readByIDs to the ids of the chosen requests and
// reports whether there are any.
func (b *batch) idsOf(requests []*request, chosen func(*request) bool) bool {
	n := 0
	for _, r := range requests {
		if chosen(r) {
			n += r.events
		}
	}
	if n == 0 {
		return false
	}
	if b.ledger.stored == nil {
		b.ledger.stored = make(map[uuid.UUID]stored, n)
	}
	p := &b.parameters[1]
	p.reset()
	p.array(uuidType, n)
	for _, r := range requests {
		if !chosen(r) {
			continue
		}
		for _, w := range r.writes {
			for i := range w.events {
				p.bytesElement(w.events[i].id[:])
			}
		}
	}
	p.end()
	return true
}

// decide gives every request whose caller still waits its verdict.
func (b *batch) decide() {
	for _, r := range b.requests {
		if !r.take() {
			continue
		}
		verdict, position, err := b.ledger.decide(r)
		switch verdict {
		case answered:
			b.answers[r] = answer{position, err}
		case accepted:
			b.answers[r] = answer{position, nil}
			b.accepted = append(b.accepted, r)
		case doubtful:
			b.doubtful = append(b.doubtful, r)
		}
	}
}

// write inserts what was accepted, looks the doubtful up behind it, and
// commits; other statements may go before.
func (b *batch) write(s *session, before ...int) error {
	x, err := s.pipeline()
	if err != nil {
		return err
	}
	for _, statement := range before {
		x.send(statement, nil)
	}
	inserts := len(b.accepted) > 0
	if inserts {
		b.number()
		b.insertParameters()
		x.send(insertEvents, &b.parameters[2])
		x.send(readRecorded, nil)
	}
	lookUp := b.idsOf(b.doubtful, func(*request) bool { return true })
	if lookUp {
		x.send(readByIDs, &b.parameters[1])
	}
	x.send(commit, nil)
	skipped := len(before)
	if inserts {
		skipped++
	}
	return x.done(b.writeResults(x, skipped, inserts, lookUp))
}

func (b *batch) writeResults(x *exchange, skipped int, inserts, lookUp bool) error {
	if err := x.p.Sync(); err != nil {
		return err
	}
	for range skipped {
		if err := x.skip(); err != nil {
			return err
		}
	}
	if inserts {
		if err := x.rows(b.recorded); err != nil {
			return err
		}
	}
	if lookUp {
		if err := x.rows(b.readStored); err != nil {
			return err
		}
	}
	return x.skip() // commit
}

// insertParameters sets the parameters of insertEvents, from the rows.
func (b *batch) insertParameters() {
	p := &b.parameters[2]
	p.reset()
	p.int64(b.first)
	b.column(textType, func(r *row) { p.textElement(string(r.stream)) })
	b.column(int8Type, func(r *row) { p.int64Element(r.revision) })
	b.column(uuidType, func(r *row) { p.bytesElement(r.id[:]) })
	b.column(textType, func(r *row) { p.textElement(r.kind) })
	b.column(jsonType, func(r *row) { p.bytesElement(r.data) })
	b.column(jsonType, func(r *row) { p.bytesElement(r.metadata) })
	p.streams(b.ledger.assumed)
}

// column writes one array parameter with an element for each row.
func (b *batch) column(element uint32, add func(r *row)) {
	p := &b.parameters[2]
	p.array(element, len(b.rows))
	for i := range b.rows {
		add(&b.rows[i])
	}
	p.end()
}

// number makes the rows of the accepted events, in the order in which the
// requests were decided. A stream's revisions in the batch end where the ledger
// has arrived.
func (b *batch) number() {
	next := make(map[domain.StreamName]domain.Revision, len(b.streams))
	for _, r := range b.accepted {
		for _, w := range r.writes {
			next[w.stream] += domain.Revision(len(w.events))
		}
	}
	for stream, events := range next {
		next[stream] = b.ledger.revisions[stream] - events
	}
	for _, r := range b.accepted {
		for _, w := range r.writes {
			for i := range w.events {
				next[w.stream]++
				b.rows = append(b.rows, w.events[i].row(w.stream, next[w.stream], b.first+int64(len(b.rows))+1))
			}
		}
	}
}

// recorded notes when the rows were.
func (b *batch) recorded(values [][]byte) error {
	at, err := readTime(values[0])
	for i := range b.rows {
		b.rows[i].recordedAt = at
	}
	return err
}

// runOne stores one request of one event in one round trip. It reports false
// when the general way has to decide.
func (b *batch) runOne(s *session, r *request) (position int64, stored bool, err error) {
	w := &r.writes[0]
	e := &w.events[0]
	p := &b.parameters[0]
	p.reset()
	p.text(string(w.stream))
	p.int64(int64(w.expected))
	p.bytes(e.id[:])
	p.text(e.kind)
	p.bytes(e.data)
	p.bytes(e.metadata)
	x, err := s.pipeline()
	if err != nil {
		return 0, false, err
	}
	x.send(lockHead, nil)
	x.send(insertOne, p)
	var at time.Time
	err = x.done(func() error {
		if err := x.p.Sync(); err != nil {
			return err
		}
		if err := x.skip(); err != nil { // the lock
			return err
		}
		return x.rows(func(row [][]byte) (err error) {
			if position, err = readInt64(row[0]); err == nil {
				at, err = readTime(row[1])
			}
			return err
		})
	}())
	stored = position > 0 && err == nil
	if stored {
		b.ends.advance(position-1, &ledger{
			last: position, head: position, revisions: map[domain.StreamName]domain.Revision{w.stream: w.expected + 1},
		})
		one := e.row(w.stream, w.expected+1, position)
		one.recordedAt = at
		b.recent.add([]row{one})
	}
	return position, stored, err
}

// fast reports whether runOne can take the request.
func fast(r *request) bool {
	return !r.byIDs && len(r.writes) == 1 && len(r.writes[0].events) == 1
}
