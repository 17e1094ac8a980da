package kurrent

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// An event that was copied from another store keeps the time at which it was
// recorded there: as the last member of its metadata, of a fixed length, so that
// what was before it is there again byte for byte when it is taken off.
const (
	timeMember = `"$recordedAt":"`
	timeLayout = "2006-01-02T15:04:05.000000Z"
	timeLength = len(timeMember) + len(timeLayout) + len(`"}`)
)

// withTime returns metadata, an object in JSON, with a time of recording.
func withTime(metadata []byte, at time.Time) []byte {
	object := bytes.TrimRight(metadata, " \t\r\n")
	with := append([]byte(nil), object[:max(0, len(object)-1)]...)
	if len(bytes.TrimSpace(with)) > 1 {
		with = append(with, ',')
	}
	with = append(with, timeMember...)
	with = at.UTC().AppendFormat(with, timeLayout)
	return append(with, `"}`...)
}

// withoutTime returns metadata without a time of recording that was added, and the
// time; false when there is none.
func withoutTime(metadata []byte) ([]byte, time.Time, bool) {
	start := len(metadata) - timeLength
	if start < 1 || !bytes.HasPrefix(metadata[start:], []byte(timeMember)) {
		return metadata, time.Time{}, false
	}
	value := metadata[start+len(timeMember) : len(metadata)-2]
	at, err := time.Parse(timeLayout, string(value))
	if err != nil {
		return metadata, time.Time{}, false
	}
	object := append([]byte(nil), bytes.TrimSuffix(metadata[:start], []byte(","))...)
	return append(object, '}'), at.UTC(), true
}

// Import stores events of another store as they are, in their order: with their ids
// and revisions, and with their times of recording, which readers get in place of
// the server's. Those that follow one another in one stream are stored together; what
// was stored before is passed over. Errors: [commands.ErrWrongRevision] when an event
// is not the next one of its stream, and those of [Store.Append].
func (s *Store) Import(ctx context.Context, events []eventcodec.Stored) error {
	for len(events) > 0 {
		first, n, size := events[0], 0, 0
		var some []eventcodec.Encoded
		for _, e := range events {
			b := e.Encoded
			b.Metadata = withTime(e.Metadata, e.RecordedAt)
			size += sizeOnServer(b)
			if e.Stream != first.Stream || e.Revision != first.Revision+domain.Revision(n) || n == commands.MaxAppendEvents || n > 0 && size > s.config.MaxAppendBytes {
				break
			}
			some = append(some, b)
			n++
		}
		if _, err := s.append(ctx, first.Stream, first.Revision-1, some, false); err != nil {
			return fmt.Errorf("%s at revision %d: %w", first.Stream, first.Revision, err)
		}
		events = events[n:]
	}
	return nil
}
