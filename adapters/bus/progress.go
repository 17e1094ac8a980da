package bus

import (
	"sync"

	"github.com/slotbook/slotbook/domain"
)

// progress knows up to where everything was handled, while several events are
// being handled at once.
type progress struct {
	mu    sync.Mutex
	open  []*pending      // those that were read, in the order of positions
	read  domain.Position // everything up to here was looked at
	moved chan struct{}   // done has moved
}

// pending is an event that was read.
type pending struct {
	before  domain.Position // what was looked at before it; positions are not counted, so it is not the one less
	handled bool
}

func newProgress(at domain.Position) *progress {
	return &progress{read: at, moved: make(chan struct{}, 1)}
}

// add notes that an event is going to be handled.
func (p *progress) add(at domain.Position) *pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := &pending{before: p.read}
	p.open = append(p.open, x)
	p.read = at
	return x
}

// looked notes that there is nothing more that is wanted up to a position.
func (p *progress) looked(upTo domain.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read = max(p.read, upTo)
}

// handled notes that an event was handled.
func (p *progress) handled(x *pending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x.handled = true
	if p.open[0] != x {
		return // something before is not
	}
	for len(p.open) > 0 && p.open[0].handled {
		p.open[0] = nil
		p.open = p.open[1:]
	}
	select {
	case p.moved <- struct{}{}:
	default: // somebody has said so
	}
}

// beyond returns how many events were read from the first on that is not done.
func (p *progress) beyond() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// done returns up to where everything was handled.
func (p *progress) done() domain.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) > 0 {
		return p.open[0].before
	}
	return p.read
}
