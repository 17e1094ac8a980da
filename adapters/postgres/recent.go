package postgres

import (
	"sync"

	"github.com/slotbook/slotbook/domain"
)

// The limits of what a process keeps of its last events.
const (
	maxRecent      = 1 << 15  // events
	maxRecentBytes = 16 << 20 // of data and metadata
)

// recent keeps the last events that this process has appended, as long as nobody
// else appended between them: who follows the log gets them from here. The log of
// a server that took over may end earlier. So a reader asks the database first
// whether the last one is still there, and with the writer's connection all are
// forgotten. The zero value keeps nothing.
type recent struct {
	mu    sync.Mutex
	rows  []row // of consecutive positions; what is in it never changes
	bytes int
}

// add keeps events of consecutive positions, the newest ones of the log.
func (r *recent) add(rows []row) {
	if len(rows) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.rows); n > 0 && r.rows[n-1].position+1 != rows[0].position {
		r.rows, r.bytes = nil, 0
	}
	r.rows = append(r.rows, rows...)
	r.bytes += bytesOf(rows)
	if len(r.rows) > maxRecent || r.bytes > maxRecentBytes {
		kept := make([]row, 0, len(r.rows)*5/4) // room until the next time
		r.rows = append(kept, r.rows[len(r.rows)/2:]...)
		r.bytes = bytesOf(r.rows)
	}
}

// forget keeps nothing any more.
func (r *recent) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows, r.bytes = nil, 0
}

func bytesOf(rows []row) (n int) {
	for i := range rows {
		n += len(rows[i].data) + len(rows[i].metadata)
	}
	return n
}

// after returns the events after a position, none when some before them are not
// kept.
func (r *recent) after(p domain.Position) []row {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.rows) == 0 || int64(p) < r.rows[0].position-1 || int64(p) >= r.rows[len(r.rows)-1].position {
		return nil
	}
	return r.rows[int64(p)+1-r.rows[0].position:]
}
