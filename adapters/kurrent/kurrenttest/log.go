package kurrenttest

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// record is an event in the log.
type record struct {
	id       [16]byte
	stream   string
	revision uint64
	position uint64
	created  time.Time
	kind     string
	content  string
	custom   []byte
	data     []byte
	removed  bool // by a scavenge
}

// stream is what is known of a stream.
type stream struct {
	events     []int // indexes into the log
	next       uint64
	before     uint64 // truncated: events before this revision are not read
	deleted    bool   // softly
	tombstoned bool
}

// log is the transaction log.
type log struct {
	config Config

	mu      sync.Mutex
	records []record
	end     uint64 // where the next record begins
	streams map[string]*stream
	recent  map[[16]byte]recentID
	appends int
	news    chan struct{} // closed and replaced at every append
}

// recentID is where an event with an id was last written. The server keeps
// these by id alone.
type recentID struct {
	stream   string
	revision uint64
}

func newLog(c Config) *log {
	l := &log{config: c, end: 1523, streams: map[string]*stream{}, news: make(chan struct{})}
	l.forgetIDs()
	l.noise(2)
	return l
}

func (l *log) forgetIDs() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent = map[[16]byte]recentID{}
}

// The expected states that are not revisions.
const (
	anyState     int64 = -2
	noStream     int64 = -1
	streamExists int64 = -4
)

// decision is what the server makes of an append.
type decision int

const (
	ok decision = iota
	done
	wrong
	deleted
)

// answered is how an append ended.
type answered struct {
	decision decision
	current  int64 // the last revision of the stream, -1 for none
	position uint64
	told     bool // the position is part of the answer
}

// append stores events, if the stream is as expected.
func (l *log) append(name string, expected int64, events []record) answered {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stream(name)
	d, last := l.check(name, s, expected, events)
	switch d {
	case ok:
		position := l.write(name, s, events)
		return answered{ok, int64(s.next) - 1, position, len(events) > 0} //nolint:gosec // few events
	case done:
		return answered{done, last, 0, false}
	}
	return answered{d, int64(s.next) - 1, 0, false} //nolint:gosec // few events
}

func (l *log) stream(name string) *stream {
	if l.streams[name] == nil {
		l.streams[name] = &stream{}
	}
	return l.streams[name]
}

// check decides as the server does: by the revision, and where that has moved
// on, by the ids of the events. last is where the events lie if they were
// written before.
func (l *log) check(name string, s *stream, expected int64, events []record) (d decision, last int64) {
	current := int64(s.next) - 1 //nolint:gosec // few events
	switch {
	case s.tombstoned:
		return deleted, 0
	case expected == streamExists && (len(s.events) == 0 || s.deleted):
		return wrong, 0
	case expected == anyState, expected == streamExists:
		return l.checkRecent(name, events)
	case expected == current:
		return ok, 0
	case expected > current:
		return wrong, 0
	}
	for i := range events {
		at := expected + 1 + int64(i)
		if at > current || l.at(s, uint64(at)).id != events[i].id { //nolint:gosec // not negative
			if i == 0 && expected == noStream && s.deleted {
				return ok, 0
			}
			return wrong, 0
		}
		last = at
	}
	return done, last
}

// checkRecent compares with the cache of recent ids only.
func (l *log) checkRecent(name string, events []record) (d decision, last int64) {
	for i := range events {
		r, known := l.recent[events[i].id]
		if !known || r.stream != name {
			if i == 0 {
				return ok, 0
			}
			return wrong, 0
		}
		last = int64(r.revision) //nolint:gosec // few events
	}
	if len(events) == 0 {
		return ok, 0
	}
	return done, last
}

func (l *log) at(s *stream, revision uint64) record {
	for _, i := range slices.Backward(s.events) {
		if l.records[i].revision == revision {
			return l.records[i]
		}
	}
	return record{}
}

// write writes events and returns the position of the last one.
func (l *log) write(name string, s *stream, events []record) (position uint64) {
	if s.deleted {
		s.deleted, s.before = false, s.next
	}
	now := l.config.Now().UTC()
	for _, e := range events {
		e.stream, e.revision, e.created = name, s.next, now
		position = l.put(s, e)
		l.recent[e.id] = recentID{name, e.revision}
		s.next++
		l.learn(e)
	}
	if l.appends++; !l.config.Quiet && l.appends%3 == 0 {
		l.noiseLocked(1)
	}
	close(l.news)
	l.news = make(chan struct{})
	return position
}

// put adds a record. Its place is where the one before it ends.
func (l *log) put(s *stream, e record) uint64 {
	const frame = 96 // bytes that a record has besides
	e.position = l.end
	l.end += frame + uint64(len(e.stream)+len(e.kind)+len(e.custom)+len(e.data))
	s.events = append(s.events, len(l.records))
	l.records = append(l.records, e)
	return e.position
}

// learn takes in what a stream's metadata says.
func (l *log) learn(e record) {
	if len(e.stream) < 3 || e.stream[:2] != "$$" || e.kind != "$metadata" {
		return
	}
	var says struct {
		Before   *uint64 `json:"$tb"`
		MaxCount *uint64 `json:"$maxCount"`
	}
	if json.Unmarshal(e.data, &says) != nil {
		return
	}
	s := l.stream(e.stream[2:])
	switch {
	case says.Before != nil && *says.Before == math.MaxInt64:
		s.deleted = true
	case says.Before != nil:
		s.before = *says.Before
	case says.MaxCount != nil && s.next > *says.MaxCount:
		s.before = s.next - *says.MaxCount
	}
}

// remove deletes a stream, softly or for good, and returns the position.
func (l *log) remove(name string, expected int64, forGood bool) answered {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stream(name)
	if d, _ := l.check(name, s, expected, nil); d != ok {
		return answered{d, int64(s.next) - 1, 0, false} //nolint:gosec // few events
	}
	if !forGood {
		says := record{kind: "$metadata", content: "application/json", data: fmt.Appendf(nil, `{"$tb":%d}`, int64(math.MaxInt64))}
		return answered{ok, 0, l.write("$$"+name, l.stream("$$"+name), []record{says}), true}
	}
	s.tombstoned = true
	position := l.put(s, record{stream: name, revision: math.MaxInt64, created: l.config.Now().UTC(), kind: "$streamDeleted", content: "application/json"})
	close(l.news)
	l.news = make(chan struct{})
	return answered{ok, 0, position, true}
}

// noise writes events of the server's own.
func (l *log) noise(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noiseLocked(n)
	close(l.news)
	l.news = make(chan struct{})
}

func (l *log) noiseLocked(n int) {
	const name = "$stats-127.0.0.1:2113"
	s := l.stream(name)
	for range n {
		e := record{stream: name, revision: s.next, kind: "$statsCollected", content: "application/json", created: l.config.Now().UTC(), data: []byte(`{"proc-cpu":0}`)}
		e.id[0], e.id[1], e.id[2] = byte(s.next), byte(s.next>>8), 0xee
		l.put(s, e)
		s.next++
	}
}

// scavenge removes the server's own events: no record begins where they were.
func (l *log) scavenge() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range l.records {
		l.records[i].removed = strings.HasPrefix(r.stream, "$stats")
	}
}

// streamState is what a read of a stream finds.
type streamState int

const (
	found streamState = iota
	missing
	gone
)

// readStream returns up to limit events of a stream from a revision on.
func (l *log) readStream(name string, from uint64, backwards bool, limit uint64) ([]record, streamState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.streams[name]
	switch {
	case s != nil && s.tombstoned:
		return nil, gone
	case s == nil || len(s.events) == 0 || s.deleted:
		return nil, missing
	}
	var read []record
	for i := range s.events {
		if backwards {
			i = len(s.events) - 1 - i
		}
		r := l.records[s.events[i]]
		if r.revision < s.before || uint64(len(read)) == limit ||
			backwards && r.revision > from || !backwards && r.revision < from {
			continue
		}
		read = append(read, r)
	}
	return read, found
}

// errPosition says that no record begins at a position.
var errPosition = fmt.Errorf("no record begins at the position")

// readAll returns up to limit records from a position on.
func (l *log) readAll(from uint64, backwards bool, limit uint64) ([]record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, exact := slices.BinarySearchFunc(l.records, from, func(r record, p uint64) int {
		return compare(r.position, p)
	})
	if (!exact || l.records[at].removed) && from != 0 && from < l.end {
		return nil, errPosition
	}
	step := 1
	if backwards { // a read backwards begins before its position
		at, step = at-1, -1
	}
	var read []record
	for ; at >= 0 && at < len(l.records) && uint64(len(read)) < limit; at += step {
		if !l.records[at].removed {
			read = append(read, l.records[at])
		}
	}
	return read, nil
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// after returns the index of the first record behind a position.
func (l *log) after(position uint64) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, exact := slices.BinarySearchFunc(l.records, position, func(r record, p uint64) int { return compare(r.position, p) })
	if exact {
		i++
	}
	return i
}

// length returns how many records there are.
func (l *log) length() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.records)
}

// one returns a record, or what is closed when there is one.
func (l *log) one(i int) (record, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i < len(l.records) {
		return l.records[i], nil
	}
	return record{}, l.news
}
