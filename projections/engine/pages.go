package engine

import (
	"context"
	"math"
	"slices"
	"sync"

	"github.com/slotbook/slotbook/domain"
)

// The pages that are kept for models that follow the first: so many full ones,
// or so many of any size.
const (
	keptFull = 8
	keptAny  = 1000
)

// pages reads the log once for all models that are in the same place. The
// first model to come reads a page, those that come later get the same one. A
// model that runs ahead waits when the pages that others still need are as
// many as are kept.
type pages struct {
	batch int
	log   func(ctx context.Context, after domain.Position) (domain.Page, error)

	mu      sync.Mutex
	pages   []*page
	readers map[*builder]domain.Position // where each model that is catching up stands
	changed chan struct{}                // closed and replaced when anything above changes
}

type page struct {
	domain.Page
	after domain.Position
	size  int           // events; a full page until it is read
	done  chan struct{} // closed when the page is read, or cannot be
	read  bool          // it moves something
	err   error
}

func newPages(batch int, log func(ctx context.Context, after domain.Position) (domain.Page, error)) *pages {
	return &pages{
		batch: batch, log: log,
		readers: map[*builder]domain.Position{}, changed: make(chan struct{}),
	}
}

// next returns the page after a position, where the reader stands; one that
// moves nothing is the head. The events are shared: readers do not change them.
func (p *pages) next(ctx context.Context, reader *builder, after domain.Position) (domain.Page, error) {
	for {
		found, mine, changed := p.claim(reader, after)
		switch {
		case mine:
			return p.read(ctx, found)
		case found != nil:
			select {
			case <-found.done:
				if found.err == nil {
					return found.Page, nil
				}
			case <-ctx.Done():
				return domain.Page{}, ctx.Err()
			}
		default:
			select {
			case <-changed:
			case <-ctx.Done():
				return domain.Page{}, ctx.Err()
			}
		}
	}
}

// claim returns the page after the position, which the caller reads when it is
// its own, or none when the caller has to wait for others.
func (p *pages) claim(reader *builder, after domain.Position) (found *page, mine bool, changed chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, known := p.readers[reader]; !known || at != after {
		p.readers[reader] = after
		p.tell()
	}
	if i := slices.IndexFunc(p.pages, func(k *page) bool { return k.after == after }); i >= 0 {
		return p.pages[i], false, nil
	}
	p.tidy()
	if p.full() {
		return nil, false, p.changed
	}
	fresh := &page{after: after, size: p.batch, done: make(chan struct{})}
	p.pages = append(p.pages, fresh)
	return fresh, true, nil
}

// tidy drops the pages that lie before every reader that follows.
func (p *pages) tidy() {
	low := domain.Position(math.MaxUint64)
	for _, at := range p.readers {
		if at < low && slices.ContainsFunc(p.pages, func(k *page) bool { return k.after == at }) {
			low = at
		}
	}
	p.pages = slices.DeleteFunc(p.pages, func(k *page) bool { return k.after < low })
}

func (p *pages) full() bool {
	events := 0
	for _, k := range p.pages {
		events += max(1, k.size)
	}
	return events >= keptFull*p.batch || len(p.pages) >= keptAny
}

func (p *pages) read(ctx context.Context, fresh *page) (domain.Page, error) {
	fresh.Page, fresh.err = p.log(ctx, fresh.after)
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh.read = fresh.err == nil && fresh.Next > fresh.after
	if !fresh.read {
		p.pages = slices.DeleteFunc(p.pages, func(k *page) bool { return k == fresh })
	}
	fresh.size = len(fresh.Events)
	close(fresh.done)
	p.tell()
	return fresh.Page, fresh.err
}

// kept returns the page after the position if it has been read for another.
func (p *pages) kept(after domain.Position) (domain.Page, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.pages, func(k *page) bool { return k.after == after && k.read })
	if i < 0 {
		return domain.Page{}, false
	}
	return p.pages[i].Page, true
}

// leave says that the reader wants no more pages for now.
func (p *pages) leave(reader *builder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.readers, reader)
	p.tidy()
	p.tell()
}

func (p *pages) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}
