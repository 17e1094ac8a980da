package engine

import (
	"context"
	"slices"
	"sync"

	"github.com/slotbook/slotbook/domain"
)

// keptPages is how many pages are kept for models that follow the first.
const keptPages = 8

// pages reads the log once for all models that are in the same place. The
// first model to come reads a page, those that come later get the same one. A
// model that runs ahead waits when the pages that others still need are as
// many as are kept.
type pages struct {
	log    Log
	filter domain.Filter
	batch  int

	mu      sync.Mutex
	kept    []*page
	readers map[*builder]domain.Position // where each model that is catching up stands
	changed chan struct{}                // closed and replaced when anything above changes
}

type page struct {
	domain.Page
	after domain.Position
	done  chan struct{} // closed when the page is read
	err   error
}

func newPages(log Log, filter domain.Filter, batch int) *pages {
	return &pages{
		log: log, filter: filter, batch: batch,
		readers: map[*builder]domain.Position{}, changed: make(chan struct{}),
	}
}

// next returns the page after the reader's position; one that moves nothing is
// the head. The events are shared: readers do not change them.
func (p *pages) next(ctx context.Context, reader *builder) (domain.Page, error) {
	after := reader.position
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
	if i := slices.IndexFunc(p.kept, func(k *page) bool { return k.after == after }); i >= 0 {
		return p.kept[i], false, nil
	}
	p.kept = slices.DeleteFunc(p.kept, func(k *page) bool { return !p.needed(k) })
	if len(p.kept) >= keptPages {
		return nil, false, p.changed
	}
	fresh := &page{after: after, done: make(chan struct{})}
	p.kept = append(p.kept, fresh)
	return fresh, true, nil
}

// needed reports whether a reader stands at the page or at a kept page before
// it.
func (p *pages) needed(k *page) bool {
	for _, at := range p.readers {
		if at <= k.after && slices.ContainsFunc(p.kept, func(q *page) bool { return q.after == at }) {
			return true
		}
	}
	return false
}

func (p *pages) read(ctx context.Context, fresh *page) (domain.Page, error) {
	fresh.Page, fresh.err = p.log.ReadAll(ctx, fresh.after, p.filter, p.batch)
	p.mu.Lock()
	defer p.mu.Unlock()
	if upgradeRunning(fresh.err) && fresh.Next > fresh.after {
		fresh.err = nil // what lies before the unknown event comes first
	}
	if fresh.err != nil || fresh.Next <= fresh.after {
		p.kept = slices.DeleteFunc(p.kept, func(k *page) bool { return k == fresh })
	}
	close(fresh.done)
	p.tell()
	return fresh.Page, fresh.err
}

// leave says that the reader wants no more pages for now.
func (p *pages) leave(reader *builder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.readers, reader)
	p.kept = slices.DeleteFunc(p.kept, func(k *page) bool { return !p.needed(k) })
	p.tell()
}

func (p *pages) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}
