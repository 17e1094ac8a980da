package postgres

import (
	"bytes"

	"github.com/google/uuid"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// ledger is what the log says about a batch, read under the head lock and kept
// up to date while the batch is decided.
type ledger struct {
	last      int64                                 // the position that the next event comes after, never below the floor
	head      int64                                 // the position of the last event, 0 when there is none
	revisions map[domain.StreamName]domain.Revision // of every stream in the batch
	assumed   []domain.StreamName                   // those whose revision is a guess, 0: the insert has to look
	stored    map[uuid.UUID]stored                  // the events under the ids that were looked up
}

// stored is an event that lies in the log.
type stored struct {
	position int64
	stream   domain.StreamName
	revision domain.Revision
	event
}

// verdict is what becomes of a request.
type verdict int

const (
	answered verdict = iota // position and error are final; nothing is to be inserted
	accepted                // to be inserted, up to the position
	doubtful                // the revision does not match: done already or a lost race, its ids tell
)

// decide says what becomes of a request, and enters it when it is accepted.
func (l *ledger) decide(r *request) (verdict, int64, error) {
	if r.byIDs {
		position, found := l.byIDs(r)
		switch {
		case position > 0:
			return answered, position, nil
		case found:
			return answered, 0, commands.ErrWrongRevision
		}
	}
	for _, w := range r.writes {
		if w.expected == domain.Any || w.expected == l.revisions[w.stream] {
			continue
		}
		if r.byIDs || r.events == 0 {
			return answered, 0, commands.ErrWrongRevision
		}
		return doubtful, 0, nil
	}
	if r.events == 0 {
		return answered, l.head, nil
	}
	l.enter(r)
	return accepted, l.last, nil
}

// enter moves the ledger over the events of an accepted request.
func (l *ledger) enter(r *request) {
	for _, w := range r.writes {
		for _, e := range w.events {
			l.last++
			l.revisions[w.stream]++
			if l.stored != nil {
				l.stored[e.id] = stored{l.last, w.stream, l.revisions[w.stream], e}
			}
		}
	}
	l.head = l.last
}

// byIDs returns the position of the request's last event when all its events
// lie where it would have put them, with the same bytes; otherwise 0, and
// whether any of them lies anywhere.
func (l *ledger) byIDs(r *request) (position int64, found bool) {
	here := 0
	for _, w := range r.writes {
		first := w.expected + 1
		if w.expected == domain.Any && len(w.events) > 0 {
			first = l.stored[w.events[0].id].revision
		}
		for n, e := range w.events {
			s, known := l.stored[e.id]
			found = found || known
			if known && s.stream == w.stream && s.revision == first+domain.Revision(n) && s.same(e) {
				position = max(position, s.position)
				here++
			}
		}
	}
	if here < r.events {
		return 0, found
	}
	return position, found
}

func (e event) same(other event) bool {
	return e.kind == other.kind && bytes.Equal(e.data, other.data) && bytes.Equal(e.metadata, other.metadata)
}
