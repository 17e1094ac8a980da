package eventstoretest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/stretchr/testify/require"
)

// together calls f n times at once and returns the results by number.
func together[R any](n int, f func(i int) R) []R {
	results := make([]R, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			results[i] = f(i)
		})
	}
	close(start)
	all.Wait()
	return results
}

// racing are the promises about many writers at once.
func racing() []contractCase {
	return []contractCase{
		{name: "one winner", promise: "of many who append at one revision, one wins and the others lose", check: func(s *subject) {
			for range 5 {
				stream := s.stream()
				errs := together(64, func(i int) error {
					_, err := s.store.Append(s.ctx, write(stream, domain.NoStream, event(i)))
					return err
				})
				won := 0
				for _, err := range errs {
					if err == nil {
						won++
						continue
					}
					require.ErrorIs(s, err, commands.ErrWrongRevision)
				}
				require.Equal(s, 1, won)
				require.Len(s, s.load(stream), 1)
			}
		}},
		{name: "dense revisions", promise: "many writers that retry on one stream give dense revisions, each event once", check: func(s *subject) {
			stream := s.stream()
			together(64, func(i int) struct{} {
				s.retry(stream, event(i))
				return struct{}{}
			})
			s.dense(stream, 64)
		}},
		{name: "any at once", promise: "many writers under Any on one stream all win, in dense revisions", check: func(s *subject) {
			stream := s.stream()
			together(64, func(i int) struct{} {
				if _, err := s.store.Append(s.ctx, write(stream, domain.Any, event(i))); err != nil {
					s.Errorf("append: %v", err)
				}
				return struct{}{}
			})
			s.dense(stream, 64)
		}},
		{name: "follower", promise: "a follower that reads while writers race misses nothing and repeats nothing", check: follower},
		{name: "transfer", atomic: true, promise: "appends over two streams at once leave no trace of half an append", check: transfer},
	}
}

// retry appends as a command does: load, decide, append, again when it loses.
func (s *subject) retry(stream domain.StreamName, e commands.NewEvent) {
	for {
		loaded, err := s.store.Load(s.ctx, stream)
		if err != nil {
			s.Errorf("load: %v", err)
			return
		}
		_, err = s.store.Append(s.ctx, write(stream, domain.Revision(len(loaded[stream])-1), e))
		if err == nil {
			return
		}
		if !errors.Is(err, commands.ErrWrongRevision) {
			s.Errorf("append: %v", err)
			return
		}
	}
}

// dense checks that the stream holds the numbers 0 to n-1, each once, at
// revisions 0 to n-1 and rising positions.
func (s *subject) dense(stream domain.StreamName, n int) {
	s.Helper()
	recorded := s.load(stream)
	require.Len(s, recorded, n)
	for i, r := range recorded {
		require.Equal(s, domain.Revision(i), r.Revision)
		require.True(s, i == 0 || r.Position > recorded[i-1].Position)
	}
	numbers := numbersOf(recorded)
	slices.Sort(numbers)
	require.Len(s, slices.Compact(numbers), n, "each event once")
}

func follower(s *subject) {
	const writers, each = 16, 25
	followed := make(chan []domain.Recorded, 1)
	go func() { followed <- s.follow(writers * each) }()
	together(writers, func(i int) struct{} {
		for n := range each {
			stream := s.stream()
			if n%4 == 0 {
				stream = "slot-shared" // some contention, and some losers
			}
			s.retry(stream, event(i*each+n))
		}
		return struct{}{}
	})
	recorded := <-followed
	numbers := numbersOf(recorded)
	slices.Sort(numbers)
	require.Len(s, slices.Compact(numbers), writers*each, "nothing is missing")
	require.Equal(s, idsOf(s.all(domain.Filter{}, 1000)), idsOf(recorded), "the same order as a later reader's")
}

// follow reads until it has n events, waiting at the end.
func (s *subject) follow(n int) (read []domain.Recorded) {
	for after := domain.Position(0); len(read) < n; {
		if err := s.store.Wait(s.ctx, after); err != nil {
			s.Errorf("wait: %v", err)
			return read
		}
		page, err := s.store.ReadAll(s.ctx, after, domain.Filter{}, 7)
		if err != nil {
			s.Errorf("read: %v", err)
			return read
		}
		read, after = append(read, page.Events...), page.Next
	}
	return read
}

// transfer moves amounts between streams in appends of two writes; whatever
// wins, the sum over all streams stays zero.
func transfer(s *subject) {
	streams := []domain.StreamName{s.stream(), s.stream(), s.stream(), s.stream()}
	together(24, func(i int) struct{} {
		for range 8 {
			a, b := streams[i%4], streams[(i+1+rand.IntN(3))%4]
			loaded, err := s.store.Load(s.ctx, a, b)
			if err == nil {
				_, err = s.store.Append(s.ctx,
					write(a, domain.Revision(len(loaded[a])-1), event(i)),
					write(b, domain.Revision(len(loaded[b])-1), event(-i)))
			}
			if err != nil && !errors.Is(err, commands.ErrWrongRevision) {
				s.Errorf("transfer: %v", err)
			}
		}
		return struct{}{}
	})
	sum, positions := 0, 0
	for _, r := range s.all(domain.Filter{}, 100) {
		for _, n := range numbersOf([]domain.Recorded{r}) {
			sum += n
		}
		positions++
	}
	require.Zero(s, sum)
	require.NotZero(s, positions)
}
