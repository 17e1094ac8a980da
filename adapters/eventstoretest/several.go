package eventstoretest

import (
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/stretchr/testify/require"
)

// several are the promises about appends with more than one write.
func several() []contractCase {
	return []contractCase{
		{name: "several streams", atomic: true, promise: "several writes are stored together; the position is the last event's", check: func(s *subject) {
			a, b := s.stream(), s.stream()
			position := s.append(write(a, domain.NoStream, events(1, 2)...), write(b, domain.Any, event(3)))
			require.Equal(s, []int{1, 2}, s.numbers(a))
			require.Equal(s, []int{3}, s.numbers(b))
			require.Equal(s, position, s.load(b)[0].Position)
		}},
		{name: "all or nothing", atomic: true, promise: "when one write loses, nothing of the others is stored", check: func(s *subject) {
			a, b := s.stream(), s.stream()
			s.append(write(b, domain.NoStream, event(0)))
			s.loses(write(a, domain.NoStream, event(1)), write(b, domain.NoStream, event(2)))
			s.loses(write(b, domain.NoStream, event(1)), write(a, domain.NoStream, event(2)))
			require.Empty(s, s.load(a))
			require.Equal(s, []int{0}, s.numbers(b))
		}},
		{name: "check beside", atomic: true, promise: "a write without events guards the others", check: func(s *subject) {
			a, b := s.stream(), s.stream()
			s.append(write(a, domain.NoStream), write(b, domain.NoStream, event(1)))
			s.loses(write(b, 4), write(a, domain.NoStream, event(1)))
			require.Empty(s, s.load(a))
			s.append(write(b, 0), write(a, domain.NoStream, event(2)))
			require.Equal(s, []int{2}, s.numbers(a))
		}},
		{name: "resend several", atomic: true, promise: "several writes sent again are a success, also when a checked stream has moved on", check: func(s *subject) {
			a, b, c := s.stream(), s.stream(), s.stream()
			first, second, check := write(a, domain.NoStream, event(1)), write(b, domain.NoStream, events(2, 3)...), write(c, domain.NoStream)
			position := s.append(first, second, check)
			s.append(write(c, domain.NoStream, event(4)))
			s.append(write(a, 0, event(5)))
			require.Equal(s, position, s.append(first, second, check))
		}},
		{name: "partly resent", atomic: true, promise: "several writes of which one is there already, by itself, lose", check: func(s *subject) {
			a, b := s.stream(), s.stream()
			first := write(a, domain.NoStream, event(1))
			s.append(first)
			s.loses(first, write(b, domain.NoStream, event(2)))
			require.Empty(s, s.load(b))
		}},
		{name: "many streams", atomic: true, promise: "an append may be as large as the limit, over as many streams", check: func(s *subject) {
			const n = 250
			streams := make([]domain.StreamName, n)
			writes := writesTo(streams, s.stream)
			position := s.append(writes...)
			require.Equal(s, position, s.append(writes...))
			loaded, err := s.store.Load(s.ctx, streams...)
			require.NoError(s, err)
			require.Len(s, loaded, n)
			for i, stream := range streams {
				require.Equal(s, []int{i, -i}, numbersOf(loaded[stream]))
			}
		}},
	}
}

// refusesSeveral checks that a store that takes one write per append refuses more,
// not as a lost race, and stores nothing of them.
func refusesSeveral(s *subject) {
	a, b := s.stream(), s.stream()
	for _, writes := range [][]commands.Write{
		{write(a, domain.NoStream, event(1)), write(b, domain.NoStream, event(2))},
		{write(a, domain.NoStream), write(b, domain.NoStream, event(2))},
	} {
		_, err := s.store.Append(s.ctx, writes...)
		require.Error(s, err)
		require.NotErrorIs(s, err, commands.ErrWrongRevision)
		require.Empty(s, s.load(a))
		require.Empty(s, s.load(b))
	}
}
