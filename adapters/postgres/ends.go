package postgres

import (
	"slices"
	"sync"

	"github.com/bits-and-blooms/bloom/v3"

	"github.com/slotbook/slotbook/domain"
)

// maxEnds bounds what is remembered of streams: some 8 MB.
const maxEnds = 1 << 16

// ends is what a process knows of the ends of streams: the revisions of those
// that it has loaded or written, as they are at the last position that it has
// seen under the head lock. As long as nobody else appends, a batch over such
// streams is decided before the lock is taken. The insert checks that it is
// still so; see [insertEvents]. So are streams that have no events: a filter holds
// all that have some. Of those that are likely to have a single one it is assumed, and
// the insert looks. The zero value knows nothing.
type ends struct {
	mu        sync.Mutex
	term      int                                   // raised when what was known may be wrong
	last      int64                                 // the position that the next event comes after
	since     int64                                 // of a stream that was written after it, the end is in revisions
	alone     bool                                  // nobody else appended before the last batch
	ours      int64                                 // every event after it, up to last, was appended here
	revisions map[domain.StreamName]domain.Revision // nil while nothing is known

	written *bloom.BloomFilter // the streams that have events, and by chance some others; nil until somebody asks
	longer  *bloom.BloomFilter // those that have more than one, and some others
	covered int64              // they know of every event up to this position; -1 while they are filled
}

// moment is a point in a process's knowledge. What is loaded later includes
// every event up to its position.
type moment struct {
	term     int
	position int64
}

func (e *ends) now() moment {
	e.mu.Lock()
	defer e.mu.Unlock()
	return moment{e.term, e.last}
}

// learn enters where streams ended when they were loaded, after the moment.
// What was written since is known better.
func (e *ends) learn(at moment, streams []domain.StreamName, rows map[domain.StreamName][]row) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at.term != e.term {
		return
	}
	for _, stream := range streams {
		if n := len(rows[stream]); n > 0 { // somebody else may have appended it since
			e.note(stream, domain.NoStream, domain.Revision(rows[stream][n-1].revision))
		}
	}
	if e.revisions == nil || at.position < e.since {
		return
	}
	for _, stream := range streams {
		if _, known := e.revisions[stream]; known || len(e.revisions) >= maxEnds {
			continue
		}
		e.revisions[stream] = domain.NoStream
		if n := len(rows[stream]); n > 0 {
			e.revisions[stream] = domain.Revision(rows[stream][n-1].revision)
		}
	}
}

// foresee fills the ledger with what it will read under the lock unless
// somebody else appends first, and reports whether that is worth a try.
func (e *ends) foresee(l *ledger, streams []domain.StreamName) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.alone {
		return false
	}
	for _, stream := range streams {
		revision, known := e.revisions[stream]
		if !known {
			if revision, known = e.likely(stream); !known {
				return false
			}
			if revision == 0 {
				l.assumed = append(l.assumed, stream)
			}
		}
		l.revisions[stream] = revision
	}
	l.last, l.head = e.last, e.last
	return true
}

// advance enters a batch that was committed: it began after the position, and
// the ledger is what it left.
func (e *ends) advance(first int64, l *ledger) {
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.revisions != nil && e.last == first
	if e.revisions == nil {
		e.revisions = map[domain.StreamName]domain.Revision{}
	}
	if !known {
		e.ours = first
	}
	if !known || len(e.revisions)+len(l.revisions) > maxEnds {
		clear(e.revisions)
		e.since = l.last
	}
	for stream, revision := range l.revisions {
		before, known := e.revisions[stream]
		if !known {
			before = domain.NoStream
		}
		e.note(stream, before, revision)
		e.revisions[stream] = revision
	}
	e.last = l.last
	e.alone = known && l.head == l.last // else the floor was raised above the last event
}

// beaten notes that somebody else has appended.
func (e *ends) beaten() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.alone = false
}

// forget ends a term: the connection is gone, and who knows what the next one
// leads to.
func (e *ends) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.term, e.alone, e.last, e.ours, e.revisions, e.written, e.longer = e.term+1, false, 0, 0, nil, nil, nil
}

// complete reports whether the filters know of every event up to the last position.
func (e *ends) complete() bool { return e.alone && e.written != nil && e.covered >= e.ours }

// likely returns where a stream ends at the last position as far as the filters know:
// that it has no events for certain, and that it has one unless it has none.
func (e *ends) likely(stream domain.StreamName) (end domain.Revision, known bool) {
	switch {
	case !e.complete():
		return 0, false
	case !e.written.TestString(string(stream)):
		return domain.NoStream, true
	}
	return 0, !e.longer.TestString(string(stream))
}

// note enters a stream into the filters, if there are any, that ends at a revision,
// but not what it was entered for when it ended at an earlier one.
func (e *ends) note(stream domain.StreamName, before, revision domain.Revision) {
	if e.written == nil {
		return
	}
	if before < 0 && revision >= 0 {
		e.written.AddString(string(stream))
	}
	if before < 1 && revision >= 1 {
		e.longer.AddString(string(stream))
	}
}

// likelyEnd is likely for who does not hold the lock, unless this process knows
// better. It also reports whether that is all that can be known: while others append
// it is not worth finding out more.
func (e *ends) likelyEnd(stream domain.StreamName) (end domain.Revision, known, enough bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	end, known = e.likely(stream)
	if exact, there := e.revisions[stream]; there && exact != end {
		known = false
	}
	return end, known, e.complete() || !e.alone
}

// surveyed returns how far the filters cover the log, -1 when there are none that
// do, and how far they have to, in the term that it is.
func (e *ends) surveyed() (term int, covered, ours int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.written == nil {
		return e.term, -1, e.ours
	}
	return e.term, e.covered, e.ours
}

// begin takes empty filters, into which what is appended from now on is
// entered.
func (e *ends) begin(term int, written, longer *bloom.BloomFilter) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if term == e.term {
		e.written, e.longer, e.covered = written, longer, -1
	}
}

// enter enters streams by their first and second events, a few at a time: the
// writer waits for the lock, too.
func (e *ends) enter(term int, events []place) {
	const few = 500
	for some := range slices.Chunk(events, few) {
		e.mu.Lock()
		for _, p := range some {
			if term == e.term {
				e.note(p.Stream, p.Revision-1, p.Revision)
			}
		}
		e.mu.Unlock()
	}
}

// cover notes that the filters cover the log up to a position. It reports false
// when they are others by now.
func (e *ends) cover(term int, position int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if term == e.term {
		e.covered = position
	}
	return term == e.term
}
