// Package transfer copies a log from one event store to another.
//
//	what the target has already   compared with the source, event by event
//	the rest                      copied in the source's order
//	the fence                     both read again from the beginning; the digests of
//	                              every stream must be equal, and the source must not
//	                              have grown
//
// Ids, streams, revisions, data and metadata stay as they are, byte for byte, and so
// does the time of recording; only positions are the target's own. A copy that was
// interrupted goes on where it was, and nothing but the two logs says where that is.
package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
)

// Source is a store that is read.
type Source interface {
	ReadStored(ctx context.Context, after, until domain.Position, want eventcodec.Selection, limit int) (eventcodec.StoredPage, error)
	Head(ctx context.Context) (domain.Position, error)
}

// Target is a store that is written. Nobody else writes to it meanwhile.
type Target interface {
	Source
	// Import stores events as they are, after what is there: their revisions must
	// be the next ones of their streams. All or nothing is not promised: what was
	// stored of them is found there.
	Import(ctx context.Context, events []eventcodec.Stored) error
}

// Config configures a copy.
type Config struct {
	From Source
	To   Target
	// Page is how many events are read and handed over together. 0 is 1000.
	Page int
	// Progress, when not nil, is told how far the source was read and where it ends.
	Progress func(at, head domain.Position, events int)
}

// Report says what was copied.
type Report struct {
	Events  int             `json:"events"` // of the target, all of them
	Copied  int             `json:"copied"` // this time
	Streams int             `json:"streams"`
	From    domain.Position `json:"from"` // the last position of the source
	To      domain.Position `json:"to"`   // the last position of the target
}

// The errors of a copy.
var (
	// ErrDiffers says that the target is no copy of the source.
	ErrDiffers = errors.New("the target holds something else than the source")
	// ErrGrows says that the source has grown while the two were compared.
	ErrGrows = errors.New("the source still grows: start every process with --read-only, and run the copy again")
)

// fences is how often the two are compared while the source grows.
const fences = 3

// Run copies what the target lacks, and proves that it is the same then.
func Run(ctx context.Context, c Config) (Report, error) {
	if c.Page == 0 {
		c.Page = 1000
	}
	if c.Progress == nil {
		c.Progress = func(domain.Position, domain.Position, int) {}
	}
	r := &run{Config: c}
	if err := r.meet(ctx); err != nil {
		return r.report, err
	}
	for range fences {
		if err := r.copy(ctx); err != nil {
			return r.report, err
		}
		if err := r.fence(ctx); err != nil {
			return r.report, err
		}
		head, err := c.From.Head(ctx)
		if err != nil {
			return r.report, err
		}
		if head == r.report.From {
			return r.report, nil
		}
	}
	return r.report, ErrGrows
}

// run is a copy under way.
type run struct {
	Config
	report Report
	source reader // behind what both have
}

// reader reads a log page by page.
type reader struct {
	log   Source
	at    domain.Position // of the last event that was handed out
	next  domain.Position // where the next page begins
	until domain.Position
	page  []eventcodec.Stored
	size  int
}

// one returns the next event, false at the end.
func (r *reader) one(ctx context.Context) (eventcodec.Stored, bool, error) {
	for len(r.page) == 0 {
		if r.next >= r.until {
			return eventcodec.Stored{}, false, nil
		}
		page, err := r.log.ReadStored(ctx, r.next, r.until, eventcodec.Selection{}, r.size)
		if err != nil || page.Next == r.next {
			return eventcodec.Stored{}, false, err
		}
		r.page, r.next = page.Events, page.Next
	}
	e := r.page[0]
	r.page, r.at = r.page[1:], e.Position
	return e, true, nil
}

// meet compares what the target has with the beginning of the source.
func (r *run) meet(ctx context.Context) error {
	head, err := r.From.Head(ctx)
	if err != nil {
		return err
	}
	there, err := r.To.Head(ctx)
	if err != nil {
		return err
	}
	r.source = reader{log: r.From, until: head, size: r.Page}
	target := reader{log: r.To, until: there, size: r.Page}
	for {
		have, more, err := target.one(ctx)
		if err != nil || !more {
			return err
		}
		want, more, err := r.source.one(ctx)
		if err != nil {
			return err
		}
		if !more || !same(want, have) {
			return fmt.Errorf("%w: %s at revision %d, position %d of the target", ErrDiffers, have.Stream, have.Revision, have.Position)
		}
		r.report.Events++
		r.tell()
	}
}

// tellEvery is after how many events progress is told.
const tellEvery = 1000

func (r *run) tell() {
	if r.report.Events%tellEvery == 0 {
		r.Progress(r.source.at, r.source.until, tellEvery)
	}
}

func same(a, b eventcodec.Stored) bool {
	return a.Stream == b.Stream && a.Revision == b.Revision && a.ID == b.ID && a.Type == b.Type &&
		bytes.Equal(a.Data, b.Data) && bytes.Equal(a.Metadata, b.Metadata)
}

// copy copies the source up to where it ends now.
func (r *run) copy(ctx context.Context) error {
	head, err := r.From.Head(ctx)
	if err != nil {
		return err
	}
	r.source.until = head
	var some []eventcodec.Stored
	for {
		e, more, err := r.source.one(ctx)
		if err != nil {
			return err
		}
		if more {
			some = append(some, e)
		}
		if len(some) == r.Page || !more && len(some) > 0 {
			if err := r.To.Import(ctx, some); err != nil {
				return err
			}
			r.report.Events += len(some)
			r.report.Copied += len(some)
			r.Progress(r.source.at, head, len(some))
			some = some[:0]
		}
		if !more {
			r.report.From = head
			return nil
		}
	}
}

// fence reads both logs again and compares the digests of their streams.
func (r *run) fence(ctx context.Context) error {
	there, err := r.To.Head(ctx)
	if err != nil {
		return err
	}
	want, events, err := digests(ctx, reader{log: r.From, until: r.report.From, size: r.Page})
	if err != nil {
		return err
	}
	have, copied, err := digests(ctx, reader{log: r.To, until: there, size: r.Page})
	if err != nil {
		return err
	}
	for stream, d := range want {
		if have[stream] != d {
			return fmt.Errorf("%w: the stream %s", ErrDiffers, stream)
		}
	}
	if len(have) != len(want) || copied != events {
		return fmt.Errorf("%w: %d events in %d streams, and not %d in %d", ErrDiffers, copied, len(have), events, len(want))
	}
	r.report.Streams, r.report.To, r.report.Events = len(want), there, copied
	return nil
}

// digests returns a digest of every stream, and how many events there are. The time
// of recording counts as stores tell it that let it never decrease.
func digests(ctx context.Context, log reader) (map[domain.StreamName][sha256.Size]byte, int, error) {
	all, events, last := map[domain.StreamName][sha256.Size]byte{}, 0, time.Time{}
	for {
		e, more, err := log.one(ctx)
		if err != nil || !more {
			return all, events, err
		}
		if e.RecordedAt.After(last) {
			last = e.RecordedAt
		}
		before := all[e.Stream]
		h := sha256.New()
		h.Write(before[:])
		fmt.Fprintf(h, "%d %s %s %d %d:", e.Revision, e.ID, e.Type, last.UnixMicro(), len(e.Data))
		h.Write(e.Data)
		h.Write(e.Metadata)
		var sum [sha256.Size]byte
		h.Sum(sum[:0])
		all[e.Stream] = sum
		events++
	}
}
