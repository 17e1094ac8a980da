// Package kurrent is the event store in KurrentDB or EventStoreDB, over the gRPC
// client EventStore-Client-Go v4.
//
//	Append -> encode -> one stream at an expected revision -> answer
//	                    | no answer: the same again, which the server knows by the ids
//	Load   -> every stream by itself, whole or not at all
//	ReadAll, Head, Wait -> $all, without what is not of this store
//
// # Invariants
//
//   - The store takes one stream per append: [Store.Atomic] is false, and the
//     booking protocol goes step by step.
//   - An append whose answer is missing is sent again as it was, until the server
//     has said what became of it or the caller's time is up.
//   - A read that breaks off is begun again. What it returned so far is never
//     taken for the whole.
//   - A position is the commit position, a byte offset of the server's log. Events
//     of which the prepare position differs, which only the old TCP protocol wrote,
//     are refused.
//   - Streams are never deleted or truncated. One that begins behind revision 0
//     was cut off by somebody else, and is not loaded.
//
// The store's identity is in the stream "slotbook", which the readers of the whole
// store do not see.
package kurrent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
)

// Config configures a store.
type Config struct {
	// Address is the connection string; see [Parse]. Required.
	Address string
	// Codec turns events into bytes and back. Required.
	Codec *eventcodec.Codec
	// Logger gets a line when the server goes away and when it comes back. Nil
	// logs nothing.
	Logger *slog.Logger
	// Patience is how long an append that was not stored yet, or a read, waits for
	// a server that is away before it is [commands.ErrUnavailable]. 0 is 5 s.
	Patience time.Duration
	// Answer is how long one exchange with the server may take before it counts as
	// lost. 0 is 5 s; reads have twice as long.
	Answer time.Duration
	// MaxAppendBytes is what the server takes in one append: data, metadata and
	// twice the name of each event's type. 0 is 1 MiB, the least that any version
	// has as its default.
	MaxAppendBytes int
}

// Store is the event store in KurrentDB. It is safe for concurrent use; Wait is
// told of what others append while Run runs. Its contract is that of
// [commands.Store] and the suite adapters/eventstoretest.
type Store struct {
	config Config
	prefix string // of every stream's name on the server
	conn   *connection
	sent   *sent
	tail   *tail
	news   *news
	loads  *sharing
	times  *timeline
	seeing atomic.Bool   // a subscription tells the news
	met    atomic.Bool   // what follows is known
	start  atomic.Uint64 // the position before which nothing of the store lies
	above  atomic.Uint64 // what positions have besides the commit position
}

// New returns a store. It connects to nothing and starts nothing.
func New(c Config) (*Store, error) {
	if c.Codec == nil {
		return nil, errors.New("a store needs a codec")
	}
	address, err := Parse(c.Address)
	if err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Patience == 0 {
		c.Patience = 5 * time.Second
	}
	if c.Answer == 0 {
		c.Answer = 5 * time.Second
	}
	if c.MaxAppendBytes == 0 {
		c.MaxAppendBytes = 1 << 20
	}
	return &Store{
		config: c, prefix: address.Prefix,
		conn: newConnection(address.client, c.Logger),
		sent: newSent(), tail: &tail{}, news: newNews(), loads: newSharing(), times: &timeline{},
	}, nil
}

// Run follows the log for [Store.Wait] until ctx ends, and closes the connection
// then.
func (s *Store) Run(ctx context.Context) error {
	defer s.conn.close()
	var both sync.WaitGroup
	both.Go(func() { s.follow(ctx) })
	both.Go(func() { s.look(ctx) })
	both.Wait()
	return nil
}

// Close ends the connection of a store that nobody runs.
func (s *Store) Close() { s.conn.close() }

// Atomic returns false: Append takes one write at a time.
func (s *Store) Atomic() bool { return false }

// LikelyEnd returns nothing: this process does not know.
func (s *Store) LikelyEnd(domain.StreamName) (domain.Revision, bool) { return 0, false }

// identityStream holds which store this is. Its name has no hyphen: it is of no
// category that Slotbook has.
const identityStream = "slotbook"

// own reports whether an event is one of Slotbook's: neither of the server's own,
// nor of another store on the same server, nor of the store's identity.
func (s *Store) own(e *esdb.RecordedEvent) bool {
	name, ours := strings.CutPrefix(e.StreamID, s.prefix)
	return ours && !strings.HasPrefix(e.StreamID, "$") && !strings.HasPrefix(e.EventType, "$") && name != identityStream
}

func (s *Store) name(stream domain.StreamName) string { return s.prefix + string(stream) }

// storable reports whether a stream of this name may be there: text that the
// server takes, and not a name that is the server's or the store's own.
func (s *Store) storable(stream domain.StreamName) bool {
	return (eventcodec.Encoded{}).Storable(stream) && stream != "" && stream != identityStream && !strings.HasPrefix(s.name(stream), "$")
}
