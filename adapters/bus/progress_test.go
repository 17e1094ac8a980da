package bus

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheCheckpointStopsBeforeWhatIsNotDone(t *testing.T) {
	t.Parallel()
	p := newProgress(10)
	require.EqualValues(t, 10, p.done())
	a, b, c := p.add(12), p.add(13), p.add(20)
	require.Equal(t, 3, p.beyond())
	require.EqualValues(t, 10, p.done(), "a position that was handed out: a store may have none between")
	p.handled(b)
	p.handled(c)
	p.looked(25)
	require.EqualValues(t, 10, p.done(), "whatever is done behind it")
	require.Equal(t, 3, p.beyond())
	p.handled(a)
	require.EqualValues(t, 25, p.done())
	require.Zero(t, p.beyond())
	p.looked(24)
	require.EqualValues(t, 25, p.done(), "it never goes back")
}
