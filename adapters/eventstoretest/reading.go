package eventstoretest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/slot"
)

// writesTo names the streams and writes two events to each.
func writesTo(streams []domain.StreamName, name func() domain.StreamName) []commands.Write {
	writes := make([]commands.Write, len(streams))
	for i := range streams {
		streams[i] = name()
		writes[i] = write(streams[i], domain.NoStream, events(i, -i)...)
	}
	return writes
}

// reading are the promises about loading streams and reading the whole store.
func reading() []contractCase {
	return []contractCase{
		{name: "load", promise: "load returns all events of the streams asked for, in order, and no entry for an empty one", check: func(s *subject) {
			a, b, none := s.stream(), s.stream(), s.stream()
			s.append(write(a, domain.NoStream, events(1, 2)...))
			s.append(write(b, domain.NoStream, event(3)))
			s.append(write(a, 1, event(4)))
			loaded, err := s.store.Load(s.ctx, a, none, b, a, "slot-\x00", "slot-\xff")
			require.NoError(s, err)
			require.Len(s, loaded, 2)
			require.Equal(s, []int{1, 2, 4}, numbersOf(loaded[a]))
			require.Equal(s, []int{3}, numbersOf(loaded[b]))
			nothing, err := s.store.Load(s.ctx)
			require.NoError(s, err)
			require.Empty(s, nothing)
		}},
		{name: "likely", promise: "a stream that this process has appended to is not taken for a shorter one", check: func(s *subject) {
			for i := range 20 {
				a, b := s.stream(), s.stream()
				s.store.LikelyEnd(a) // what it says of others is no promise
				s.append(write(a, domain.NoStream, event(i)))
				s.store.LikelyEnd(a)
				s.append(write(a, 0, events(i, i)...))
				s.append(write(b, domain.NoStream, event(i)))
				for stream, end := range map[domain.StreamName]domain.Revision{a: 2, b: 0} {
					if likely, known := s.store.LikelyEnd(stream); known {
						require.Equal(s, end, likely)
					}
				}
				require.Len(s, s.load(a), 3)
			}
		}},
		{name: "load at once", promise: "loads of many at once each get their own streams", check: func(s *subject) {
			streams := make([]domain.StreamName, 40)
			for _, w := range writesTo(streams, s.stream) {
				s.append(w)
			}
			together(len(streams), func(i int) struct{} {
				loaded, err := s.store.Load(s.ctx, streams[i], streams[(i+1)%len(streams)])
				if err != nil || len(loaded) != 2 || !slices.Equal(numbersOf(loaded[streams[i]]), []int{i, -i}) {
					s.Errorf("loaded %v, %v", loaded, err)
				}
				return struct{}{}
			})
		}},
		{name: "pages", promise: "pages of every size hold the same events, each once, in order, and end at the head", check: pages},
		{name: "filters", promise: "a filter lets through its categories and types; Next moves over the rest", check: filters},
		{name: "category", promise: "the category of a stream ends at its first hyphen", check: func(s *subject) {
			for _, name := range []domain.StreamName{"a-b-c", "a", "a-", "ab-c", "-a"} {
				s.append(write(name, domain.NoStream, event(1)))
			}
			var got []domain.StreamName
			for _, r := range s.all(domain.Filter{Categories: []string{"a"}}, 2) {
				got = append(got, r.Stream)
			}
			require.Equal(s, []domain.StreamName{"a-b-c", "a", "a-"}, got)
		}},
		{name: "bare", promise: "a bare reader gets everything but metadata", check: func(s *subject) {
			s.append(write(s.stream(), domain.NoStream, event(1)))
			full, bare := s.all(domain.Filter{}, 10), s.all(domain.Filter{Bare: true}, 10)
			require.Len(s, bare, 1)
			if bare[0].Metadata != (domain.Metadata{}) {
				require.Equal(s, full[0].Metadata, bare[0].Metadata, "a store may leave it in, but not change it")
			}
			bare[0].Metadata = full[0].Metadata
			require.Equal(s, full, bare)
		}},
		{name: "loaded and read", promise: "an event reads the same from its stream and from the whole store", check: func(s *subject) {
			stream := s.stream()
			s.append(write(stream, domain.NoStream, events(1, 2)...))
			require.Equal(s, s.load(stream), s.all(domain.Filter{}, 10))
		}},
		{name: "by instant", promise: "an instant has the last position recorded at it or before, and a position the instant of its event", check: instants},
		{name: "at the end", promise: "a page at the end is empty and stays where it is", check: func(s *subject) {
			for range 2 {
				page, err := s.store.ReadAll(s.ctx, s.head(), domain.Filter{}, 10)
				require.NoError(s, err)
				require.Empty(s, page.Events)
				require.Equal(s, s.head(), page.Next)
				s.append(write(s.stream(), domain.NoStream, event(1)))
			}
		}},
		{name: "as stored", promise: "events are read as they are stored, up to a position, those that are selected", check: asStored},
		{name: "wait", promise: "wait returns at once for what is there, wakes for what comes, and ends with its context", check: func(s *subject) {
			position := s.append(write(s.stream(), domain.NoStream, event(1)))
			require.NoError(s, s.store.Wait(s.ctx, position-1))
			woken := make(chan error, 1)
			go func() { woken <- s.store.Wait(s.ctx, position) }()
			s.append(write(s.stream(), domain.NoStream, event(2)))
			require.NoError(s, <-woken)
			ctx, cancel := context.WithCancel(s.ctx)
			go func() { woken <- s.store.Wait(ctx, s.head()) }()
			cancel()
			require.ErrorIs(s, <-woken, context.Canceled)
		}},
	}
}

func pages(s *subject) {
	var want []string
	for i := range 23 {
		made := events(slices.Repeat([]int{i}, 1+i%3)...)
		s.append(write(s.stream(), domain.Any, made...))
		for _, e := range made {
			want = append(want, e.ID)
		}
	}
	for limit := 1; limit <= len(want)+1; limit++ {
		read := s.all(domain.Filter{}, limit)
		require.Equal(s, want, idsOf(read), "pages of %d", limit)
		for i := 1; i < len(read); i++ {
			require.Greater(s, read[i].Position, read[i-1].Position)
			require.False(s, read[i].RecordedAt.Before(read[i-1].RecordedAt), "recorded time never goes back")
		}
		require.Equal(s, s.head(), read[len(read)-1].Position)
	}
}

// instants asks for every instant at which something was recorded, and for those
// just before and after it.
func instants(s *subject) {
	farAhead := time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC)
	asked := func(at time.Time) domain.Position {
		position, err := s.store.PositionAt(s.ctx, at)
		require.NoError(s, err)
		return position
	}
	require.Zero(s, asked(farAhead), "an empty store has no position")
	recorded, err := s.store.RecordedAt(s.ctx, 1)
	require.NoError(s, err)
	require.Zero(s, recorded)
	for i := range 23 {
		s.append(write(s.stream(), domain.Any, events(slices.Repeat([]int{i}, 1+i%3)...)...))
	}
	all := s.all(domain.Filter{}, 100)
	for _, r := range all {
		at, err := s.store.RecordedAt(s.ctx, r.Position)
		require.NoError(s, err)
		require.Equal(s, r.RecordedAt, at)
		for _, at := range []time.Time{at.Add(-time.Microsecond), at, at.Add(999 * time.Nanosecond), at.Add(time.Microsecond)} {
			want := domain.Position(0)
			for _, other := range all {
				if !other.RecordedAt.After(at) {
					want = other.Position
				}
			}
			require.Equal(s, want, asked(at))
		}
	}
	last, err := s.store.RecordedAt(s.ctx, s.head()+100)
	require.NoError(s, err)
	require.Equal(s, all[len(all)-1].RecordedAt, last, "the last event is so for every position beyond it")
	require.Equal(s, s.head(), asked(farAhead))
}

func idsOf(recorded []domain.Recorded) []string {
	ids := make([]string, len(recorded))
	for i, r := range recorded {
		ids[i] = r.ID
	}
	return ids
}

func filters(s *subject) {
	for i := range 30 {
		e := event(i)
		if i%3 == 0 {
			e.Event = slot.Withdrawn{Terms: slot.Terms{Slot: "a"}}
		}
		s.append(write(domain.Stream([]string{"slot", "day", "week"}[i%5%3], fmt.Sprint(i)), domain.NoStream, e))
	}
	everything, types := s.all(domain.Filter{}, 100), []string{slot.Resized{}.EventType(), slot.Withdrawn{}.EventType(), appointment.WasBooked{}.EventType()}
	rapid.Check(s, func(t *rapid.T) {
		f := domain.Filter{
			Categories: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"slot", "day", "week", "none"}), 0, 4, rapid.ID).Draw(t, "categories"),
			Types:      rapid.SliceOfNDistinct(rapid.SampledFrom(types), 0, 3, rapid.ID).Draw(t, "types"),
		}
		want := []string{}
		for _, r := range everything {
			if f.Wants(r.Stream, r.Event.EventType()) {
				want = append(want, r.ID)
			}
		}
		if got := idsOf(s.all(f, rapid.IntRange(1, 40).Draw(t, "limit"))); !slices.Equal(want, got) {
			t.Fatalf("want %v, got %v", want, got)
		}
		page, err := s.store.ReadAll(s.ctx, 0, f, 100)
		if err != nil || page.Next != s.head() {
			t.Fatalf("next %v, %v; the head is %v", page.Next, err, s.head())
		}
	})
}

func asStored(s *subject) {
	a, b := s.stream(), s.stream()
	for i := range 9 {
		s.append(write([]domain.StreamName{a, b, s.stream()}[i%3], domain.Any, event(i)))
	}
	head, want := s.head(), s.all(domain.Filter{}, 100)
	require.Equal(s, want, s.stored(head, eventcodec.Selection{}, 2))
	require.Equal(s, want, s.stored(head+1000, eventcodec.Selection{Categories: []string{"slot"}}, 100), "there is nothing beyond the end")
	require.Equal(s, want[:4], s.stored(want[3].Position, eventcodec.Selection{Types: []string{"slot.resized"}}, 100))
	require.Empty(s, s.stored(head, eventcodec.Selection{Types: []string{"slot.booked"}}, 100))
	require.Empty(s, s.stored(head, eventcodec.Selection{Streams: []domain.StreamName{"slot-\x00"}}, 100))
	require.Equal(s, s.load(b), s.stored(head, eventcodec.Selection{Streams: []domain.StreamName{b}}, 2))
	page, err := s.store.ReadStored(s.ctx, 0, head+1000, eventcodec.Selection{Streams: []domain.StreamName{a}}, 100)
	require.NoError(s, err)
	require.Equal(s, head, page.Next, "it never moves past a position at which an event may still appear")
}

// stored reads the store up to a position as it is stored, in pages of a size.
func (s *subject) stored(until domain.Position, want eventcodec.Selection, limit int) []domain.Recorded {
	s.Helper()
	var read []domain.Recorded
	for after := domain.Position(0); ; {
		page, err := s.store.ReadStored(s.ctx, after, until, want, limit)
		require.NoError(s, err)
		require.LessOrEqual(s, len(page.Events), limit)
		for _, e := range page.Events {
			r, err := s.codec.DecodeStored(e)
			require.NoError(s, err)
			read = append(read, r)
		}
		if page.Next == after {
			return read
		}
		after = page.Next
	}
}
