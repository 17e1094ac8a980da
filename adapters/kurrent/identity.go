package kurrent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// Identity says which store this is, and which history of it.
type Identity struct {
	ID    string    // stays the same for ever
	Epoch string    // another one after an earlier state was put in place
	Since time.Time // when the epoch began
}

// epochType is the type of the events in [identityStream].
const epochType = "store.epoch-begun"

type epoch struct {
	Store string `json:"store"`
	Epoch string `json:"epoch"`
	First bool   `json:"first,omitempty"` // nothing of the store lies before this event
	Above uint64 `json:"above,omitempty"` // what positions have besides the commit position; the first event says it
}

// Identity returns which store this is. A store that has none yet gets one. Until
// it was asked once, positions may be those of the server itself. Errors:
// [commands.ErrUnavailable].
func (s *Store) Identity(ctx context.Context) (Identity, error) { return s.IdentityAbove(ctx, 0) }

// IdentityAbove is [Store.Identity] for a store that is to be a copy: if it has no
// identity yet, all its positions lie above one, so that a position of the store
// that was copied names nothing in it.
func (s *Store) IdentityAbove(ctx context.Context, seen domain.Position) (Identity, error) {
	for {
		i, _, err := s.identity(ctx)
		if err == nil && i.ID != "" {
			err = s.learnStart(ctx)
		}
		if err != nil || i.ID != "" {
			return i, err
		}
		head, err := s.Head(ctx)
		if err != nil {
			return Identity{}, err
		}
		err = s.begin(ctx, epoch{Store: uuid.NewString(), First: head == 0, Above: uint64(seen)}, domain.NoStream)
		if err != nil && !errors.Is(err, commands.ErrWrongRevision) { // another process was faster
			return Identity{}, err
		}
	}
}

// Floor returns what every position of the store lies above. It is known once
// [Store.Identity] was asked.
func (s *Store) Floor() domain.Position { return domain.Position(s.above.Load()) }

// identity returns the last epoch and its revision; nothing when there is none.
func (s *Store) identity(ctx context.Context) (Identity, domain.Revision, error) {
	read, err := s.readStream(ctx, identityStream, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
	if err != nil || len(read) == 0 {
		return Identity{}, domain.NoStream, err
	}
	var e epoch
	if err := json.Unmarshal(read[0].Data, &e); err != nil || e.Store == "" {
		return Identity{}, 0, fmt.Errorf("the stream %s does not say which store this is: it is somebody else's, or a streamPrefix is missing", s.name(identityStream))
	}
	return Identity{ID: e.Store, Epoch: e.Epoch, Since: read[0].CreatedDate.UTC().Truncate(time.Microsecond)}, revision(read[0]), nil
}

// learnStart finds out where the store begins on a server that it may share: readers
// from the beginning need not look at what lies before.
func (s *Store) learnStart(ctx context.Context) error {
	if s.met.Load() {
		return nil
	}
	read, err := s.readStream(ctx, identityStream, esdb.ReadStreamOptions{From: esdb.Start{}}, 1)
	if err != nil || len(read) == 0 {
		return err
	}
	var e epoch
	if err := json.Unmarshal(read[0].Data, &e); err != nil {
		return err
	}
	if e.Above != s.above.Load() {
		s.above.Store(e.Above)
		s.tail.forget()
	}
	if e.First {
		s.start.Store(uint64(s.numbered(read[0].Position.Commit)))
	}
	s.met.Store(true)
	head, err := s.Head(ctx)
	if err == nil {
		s.news.tell(head) // what was told before may have had other numbers
	}
	return err
}

// begin begins an epoch.
func (s *Store) begin(ctx context.Context, e epoch, expected domain.Revision) error {
	e.Epoch = uuid.NewString()
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = s.append(ctx, identityStream, expected, []eventcodec.Encoded{{ID: id.String(), Type: epochType, Data: data, Metadata: []byte("{}")}}, false)
	return err
}

// Renew begins another epoch: for whoever has put an earlier state of the event
// store in place. Read models, cursors and tokens of the old one are refused from
// then on. Errors: [commands.ErrWrongRevision] when somebody else does it at the
// same time, [commands.ErrUnavailable].
func (s *Store) Renew(ctx context.Context) (Identity, error) {
	was, revision, err := s.identity(ctx)
	if err != nil {
		return Identity{}, err
	}
	if was.ID == "" {
		return s.Identity(ctx)
	}
	if err := s.begin(ctx, epoch{Store: was.ID}, revision); err != nil {
		return Identity{}, err
	}
	now, _, err := s.identity(ctx)
	return now, err
}
