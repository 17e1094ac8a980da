package engine

import (
	"context"
	"fmt"

	"github.com/slotbook/slotbook/domain"
)

// runTo takes the tables to a position, writing rarely and reading ahead: for
// schemas that nobody reads yet. It stops at what cannot be folded unless it
// was told to go on.
func (b *builder) runTo(ctx context.Context, to domain.Position) error {
	reading, stop := context.WithCancel(ctx)
	ahead, pages := b.readAhead(reading, to), 0
	defer func() {
		stop()
		for range ahead { // until the reader has ended
		}
	}()
	for b.position < to {
		if err := b.giveWay(ctx); err != nil {
			return err
		}
		next, err := b.next(ctx, ahead)
		if err != nil {
			return err
		}
		if err := b.gently(ctx, func() error { return b.fold(ctx, next) }); err != nil {
			return err
		}
		if err := b.mayGoOn(); err != nil {
			return err
		}
		b.tell(to, len(next.Events))
		if pages++; pages%b.pagesPerWrite() == 0 || b.engine.memory.used.Load() > b.engine.memory.limit {
			if err := b.gently(ctx, func() error { return b.flush(ctx) }); err != nil {
				return err
			}
			b.engine.config.Reached("written")
		}
	}
	if b.position == b.stored {
		return nil
	}
	b.engine.config.Reached("folded")
	err := b.flush(ctx)
	b.engine.config.Reached("written")
	if err == nil {
		err = b.mayGoOn()
	}
	return err
}

// pagesPerWrite returns how many pages are folded before they are written: what
// a crash costs. Many are quicker; few are short pieces of work, which those who
// book do not notice.
func (b *builder) pagesPerWrite() int {
	if b.engine.gentle(b.how) {
		return 1
	}
	return 20
}

// next returns the next page that was read ahead, keeping the lease while it is
// waited for.
func (b *builder) next(ctx context.Context, ahead <-chan pageAhead) (domain.Page, error) {
	for {
		if err := b.keep(ctx); err != nil {
			return domain.Page{}, err
		}
		select {
		case next, ok := <-ahead:
			if !ok {
				return domain.Page{}, ctx.Err()
			}
			return next.Page, next.err
		case <-b.renewal():
		}
	}
}

// mayGoOn returns a [ParkedError] when something is parked and the build was not
// told to go on.
func (b *builder) mayGoOn() error {
	if parked := b.parking.list(); len(parked) > 0 && !b.how.KeepParked {
		return &ParkedError{parked}
	}
	return nil
}

// pageAhead is a page that was read before it was wanted, or why there is none.
type pageAhead struct {
	domain.Page
	err error
}

// readAhead reads the pages from where the builder is up to a position, so
// that the log is decoded while rows are folded and written. The channel is
// closed when the reader has ended, which it does when ctx ends.
func (b *builder) readAhead(ctx context.Context, to domain.Position) <-chan pageAhead {
	const depth = 3
	pages, after := make(chan pageAhead, depth), b.position
	go func() {
		defer close(pages)
		for after < to {
			page, err := b.read(ctx, after)
			if err == nil && page.Next <= after {
				err = fmt.Errorf("the log ends at position %d, before %d", after, to)
			}
			select {
			case pages <- pageAhead{cut(page, to), err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
			after = page.Next
		}
	}()
	return pages
}

// cut returns the page up to a position.
func cut(page domain.Page, to domain.Position) domain.Page {
	if page.Next <= to {
		return page
	}
	for i, r := range page.Events {
		if r.Position > to {
			return domain.Page{Events: page.Events[:i], Next: to}
		}
	}
	return domain.Page{Events: page.Events, Next: to}
}

// ParkedError says that a rebuild met what it cannot fold. The live tables
// are as they were.
type ParkedError struct{ Parked []Parked }

// Error names the first that is parked.
func (e *ParkedError) Error() string {
	p := e.Parked[0]
	return fmt.Sprintf("%d rows or streams cannot be folded; %s %s at position %d: %s", len(e.Parked), p.Table, p.Key, p.Position, p.Error)
}
