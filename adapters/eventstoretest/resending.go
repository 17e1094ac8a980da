package eventstoretest

import (
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/stretchr/testify/require"
)

// resending are the promises about appends that are sent more than once.
func resending() []contractCase {
	return []contractCase{
		{name: "resend", promise: "the same append sent again is a success with the same position, and stores nothing", check: func(s *subject) {
			stream := s.stream()
			sending := write(stream, domain.NoStream, events(1, 2)...)
			position := s.append(sending)
			require.Equal(s, position, s.append(sending))
			require.Equal(s, []int{1, 2}, s.numbers(stream))
		}},
		{name: "resend later", promise: "a resend is recognised also after other events have followed", check: func(s *subject) {
			stream := s.stream()
			s.append(write(stream, domain.NoStream, event(0)))
			sending := write(stream, 0, events(1, 2)...)
			position := s.append(sending)
			s.append(write(stream, 2, event(3)))
			s.append(write(s.stream(), domain.NoStream, event(9)))
			require.Equal(s, position, s.append(sending))
			require.Equal(s, []int{0, 1, 2, 3}, s.numbers(stream))
		}},
		{name: "resend any", promise: "a resend under Any is recognised wherever the first sending went", check: func(s *subject) {
			stream := s.stream()
			s.append(write(stream, domain.Any, event(0)))
			sending := write(stream, domain.Any, events(1, 2)...)
			position := s.append(sending)
			s.append(write(stream, domain.Any, event(3)))
			require.Equal(s, position, s.append(sending))
			require.Equal(s, []int{0, 1, 2, 3}, s.numbers(stream))
		}},
		{name: "other bytes", promise: "known ids with other content lose, whatever is expected", check: func(s *subject) {
			stream, e := s.stream(), event(1)
			s.append(write(stream, domain.NoStream, e))
			s.loses(write(stream, domain.NoStream, other(e)))
			s.loses(write(stream, 0, other(e)))
			s.loses(write(stream, domain.Any, other(e)))
			e.Metadata.Command = "another"
			s.loses(write(stream, domain.NoStream, e))
		}},
		{name: "another place", promise: "known ids at another place of the stream lose", check: func(s *subject) {
			stream := s.stream()
			made := events(1, 2, 3)
			s.append(write(stream, domain.NoStream, made...))
			s.loses(write(stream, 2, made[0]))
			s.loses(write(stream, 0, made[0]))
			s.loses(write(stream, domain.NoStream, made[1], made[0], made[2]))
			s.loses(write(stream, domain.Any, made[0], made[2]))
		}},
		{name: "another stream", promise: "known ids in another stream lose", check: func(s *subject) {
			e := event(1)
			s.append(write(s.stream(), domain.NoStream, e))
			s.loses(write(s.stream(), domain.NoStream, e))
			s.loses(write(s.stream(), domain.Any, e))
		}},
		{name: "partly there", promise: "an append of which only a part is there loses", check: func(s *subject) {
			stream := s.stream()
			made := events(1, 2, 3)
			s.append(write(stream, domain.NoStream, made[:2]...))
			s.loses(write(stream, domain.NoStream, made...))
			s.loses(write(stream, 1, made[1:]...))
			s.loses(write(stream, domain.Any, made...))
			require.Equal(s, []int{1, 2}, s.numbers(stream))
		}},
		{name: "prefix", promise: "the first events of an append, sent alone, are a success: they lie where they would go", check: func(s *subject) {
			stream := s.stream()
			made := events(1, 2, 3)
			s.append(write(stream, domain.NoStream, made...))
			require.Equal(s, s.load(stream)[1].Position, s.append(write(stream, domain.NoStream, made[:2]...)))
		}},
		{name: "resend at once", promise: "one append sent by many at once is stored once, and all get its position", check: func(s *subject) {
			for _, expected := range []domain.Revision{domain.NoStream, domain.Any} {
				stream := s.stream()
				sending := write(stream, expected, events(1, 2)...)
				positions := together(32, func(int) domain.Position {
					position, err := s.store.Append(s.ctx, sending)
					if err != nil {
						s.Errorf("resend: %v", err)
					}
					return position
				})
				for _, position := range positions {
					require.Equal(s, positions[0], position)
				}
				require.Equal(s, []int{1, 2}, s.numbers(stream))
			}
		}},
		{name: "one id at once", promise: "of two appends with one event id, sent at once to two streams, one wins", check: func(s *subject) {
			for range 20 {
				e := event(1)
				streams := []domain.StreamName{s.stream(), s.stream()}
				errs := together(2, func(i int) error {
					_, err := s.store.Append(s.ctx, write(streams[i], domain.NoStream, e))
					return err
				})
				if errs[0] != nil {
					errs[0], errs[1] = errs[1], errs[0]
				}
				require.NoError(s, errs[0])
				require.ErrorIs(s, errs[1], commands.ErrWrongRevision)
			}
		}},
	}
}
