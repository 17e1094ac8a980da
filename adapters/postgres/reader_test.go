package postgres

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
)

// Loads share a query up to its limits; what does not fit comes first in the
// next one, and a large load has one of its own.
func TestAQueryHasLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		streams []int // per load
		want    []int // loads per query
	}{
		"loads":   {make([]int, maxLoads+3), []int{maxLoads, 3}},
		"streams": {[]int{1, maxStreams - 1, 1, maxStreams}, []int{2, 1, 1}},
		"large":   {[]int{maxStreams + 1, 1, maxStreams + 1, 1, 1}, []int{1, 1, 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReader(nil, nil, &ends{})
			r.queue = make(chan *loading, len(c.streams))
			var queued, taken []*loading
			for _, n := range c.streams {
				l := &loading{streams: make([]domain.StreamName, n)}
				for i := range l.streams {
					l.streams[i] = domain.StreamName(fmt.Sprintf("slot-%d", i))
				}
				queued = append(queued, l)
				r.queue <- l
			}
			for _, n := range c.want {
				loads := r.gather(t.Context(), nil)
				require.Len(t, loads, n)
				taken = append(taken, loads...)
			}
			require.Equal(t, queued, taken, "in order")
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			require.Empty(t, r.gather(ended, nil))
		})
	}
}
