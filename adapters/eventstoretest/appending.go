package eventstoretest

import (
	"context"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/stretchr/testify/require"
)

// appending are the promises about expected revisions.
func appending() []contractCase {
	return []contractCase{
		{name: "no stream", promise: "NoStream holds for a stream without events, and only for it", check: func(s *subject) {
			stream := s.stream()
			s.append(write(stream, domain.NoStream, event(1)))
			s.loses(write(stream, domain.NoStream, event(2)))
			require.Equal(s, []int{1}, s.numbers(stream))
		}},
		{name: "exact", promise: "an exact revision holds when it is the last event's; lower and higher ones lose", check: func(s *subject) {
			stream := s.stream()
			s.append(write(stream, domain.NoStream, events(1, 2, 3)...))
			s.loses(write(stream, 1, event(9)))
			s.loses(write(stream, 3, event(9)))
			s.loses(write(s.stream(), 0, event(9)))
			s.append(write(stream, 2, event(4)))
			require.Equal(s, []int{1, 2, 3, 4}, s.numbers(stream))
		}},
		{name: "any", promise: "Any goes after whatever is there, also after nothing", check: func(s *subject) {
			stream := s.stream()
			s.append(write(stream, domain.Any, event(1)))
			s.append(write(stream, domain.Any, events(2, 3)...))
			require.Equal(s, []int{1, 2, 3}, s.numbers(stream))
		}},
		{name: "recorded", promise: "a loaded event says what it is, where it is and where it came from", check: func(s *subject) {
			stream, e := s.stream(), event(7)
			e.Metadata = domain.Metadata{Command: "c1", Request: "r1", Actor: "local", Correlation: "k1", Causation: "e1", Trace: "00-1-1-01"}
			before := s.head()
			position := s.append(write(stream, domain.NoStream, e))
			got := s.load(stream)
			require.Len(s, got, 1)
			require.Equal(s, time.UTC, got[0].RecordedAt.Location())
			require.Zero(s, got[0].RecordedAt.Nanosecond()%1000, "microseconds")
			require.False(s, got[0].RecordedAt.IsZero())
			require.Equal(s, domain.Recorded{
				ID: e.ID, Stream: stream, Revision: 0, Position: position,
				RecordedAt: got[0].RecordedAt, Metadata: e.Metadata, Event: e.Event,
			}, got[0])
			require.Greater(s, position, before)
		}},
		{name: "position", promise: "append returns the position of its last event, which is then the head", check: func(s *subject) {
			require.Zero(s, s.head())
			stream := s.stream()
			position := s.append(write(stream, domain.NoStream, events(1, 2, 3)...))
			require.Equal(s, position, s.head())
			require.Equal(s, position, s.load(stream)[2].Position)
		}},
		{name: "check only", promise: "a write without events only checks the revision", check: func(s *subject) {
			stream := s.stream()
			s.append(write(stream, domain.NoStream))
			s.append(write(stream, domain.Any))
			s.loses(write(stream, 0))
			head := s.append(write(stream, domain.NoStream, events(1, 2)...))
			require.Equal(s, head, s.append(write(stream, 1)), "an append without events returns the head")
			s.loses(write(stream, 0))
			s.loses(write(stream, domain.NoStream))
			require.Equal(s, []int{1, 2}, s.numbers(stream))
		}},
		{name: "nothing", promise: "an append of nothing is a success at the head", check: func(s *subject) {
			require.Zero(s, s.append())
			head := s.append(write(s.stream(), domain.NoStream, event(1)))
			require.Equal(s, head, s.append())
		}},
		{name: "cancelled before", promise: "an append whose time is up before it begins stores nothing", check: func(s *subject) {
			stream := s.stream()
			ctx, cancel := context.WithCancel(s.ctx)
			cancel()
			_, err := s.store.Append(ctx, write(stream, domain.NoStream, event(1)))
			require.ErrorIs(s, err, context.Canceled)
			require.Empty(s, s.load(stream))
			_, err = s.store.Load(ctx, stream)
			require.ErrorIs(s, err, context.Canceled)
			_, err = s.store.ReadAll(ctx, 0, domain.Filter{}, 1)
			require.ErrorIs(s, err, context.Canceled)
		}},
		{name: "cancelled during", promise: "an append whose time is up on the way stores everything or nothing", check: cancelledDuring},
	}
}

func cancelledDuring(s *subject) {
	for i := range 60 {
		stream := s.stream()
		sending := write(stream, domain.NoStream, events(1, 2, 3)...)
		ctx, cancel := context.WithTimeout(s.ctx, time.Duration(i)*20*time.Microsecond)
		_, err := s.store.Append(ctx, sending)
		cancel()
		if err == nil {
			require.Equal(s, []int{1, 2, 3}, s.numbers(stream))
			continue
		}
		require.NotErrorIs(s, err, commands.ErrWrongRevision)
		// The resend finds out: it succeeds either way, and all is there once.
		s.append(sending)
		require.Equal(s, []int{1, 2, 3}, s.numbers(stream))
	}
}
