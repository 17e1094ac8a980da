package postgres

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
)

// foreseen returns what is known of a stream, if that is enough for a batch.
func foreseen(e *ends, stream domain.StreamName) (domain.Revision, bool) {
	l := ledger{revisions: map[domain.StreamName]domain.Revision{}}
	ok := e.foresee(&l, []domain.StreamName{stream})
	return l.revisions[stream], ok
}

// committed enters a batch that left a stream at a revision.
func committed(e *ends, first, last int64, stream domain.StreamName, r domain.Revision) {
	e.advance(first, &ledger{last: last, head: last, revisions: map[domain.StreamName]domain.Revision{stream: r}})
}

// loadedAt is what a load finds: a stream that ends at a revision, or has none.
func loadedAt(stream domain.StreamName, r int64) ([]domain.StreamName, map[domain.StreamName][]row) {
	if r < 0 {
		return []domain.StreamName{stream}, nil
	}
	return []domain.StreamName{stream}, map[domain.StreamName][]row{stream: {{revision: r}}}
}

func learn(e *ends, at moment, stream domain.StreamName, r int64) {
	streams, rows := loadedAt(stream, r)
	e.learn(at, streams, rows)
}

// Nothing is foreseen before a batch has found the log where the one before
// had left it.
func TestOneBatchIsNotEnoughToForesee(t *testing.T) {
	t.Parallel()
	var e ends
	committed(&e, 7, 8, "slot-1", 0)
	_, ok := foreseen(&e, "slot-1")
	require.False(t, ok, "who knows who else appends")
	committed(&e, 8, 9, "slot-1", 1)
	r, ok := foreseen(&e, "slot-1")
	require.True(t, ok)
	require.Equal(t, domain.Revision(1), r)
	_, ok = foreseen(&e, "slot-2")
	require.False(t, ok, "a stream that was neither loaded nor written")
}

// What was written since a load began is not replaced by what the load saw.
func TestALoadDoesNotOverrideWhatWasWritten(t *testing.T) {
	t.Parallel()
	var e ends
	committed(&e, 0, 1, "slot-1", 0)
	began := e.now()
	committed(&e, 1, 2, "slot-2", 4)
	learn(&e, began, "slot-2", 3)
	learn(&e, began, "slot-3", -1)
	learn(&e, began, "slot-4", 5)
	for stream, want := range map[domain.StreamName]domain.Revision{"slot-2": 4, "slot-3": domain.NoStream, "slot-4": 5} {
		r, ok := foreseen(&e, stream)
		require.True(t, ok)
		require.Equal(t, want, r)
	}
}

// When somebody else has appended, nothing that was known before counts, nor
// what is loaded by those who began before.
func TestAnAppendOfOthersEndsWhatIsKnown(t *testing.T) {
	t.Parallel()
	var e ends
	committed(&e, 0, 1, "slot-1", 0)
	began := e.now()
	committed(&e, 1, 2, "slot-2", 0)
	committed(&e, 5, 6, "slot-3", 0) // 3 to 5 are not this process's
	learn(&e, began, "slot-4", 0)
	committed(&e, 6, 7, "slot-3", 1)
	for _, stream := range []domain.StreamName{"slot-1", "slot-2", "slot-4"} {
		_, ok := foreseen(&e, stream)
		require.False(t, ok, stream)
	}
	_, ok := foreseen(&e, "slot-3")
	require.True(t, ok)
	e.beaten()
	_, ok = foreseen(&e, "slot-3")
	require.False(t, ok)
}

// A new connection may lead to another server: what the old one said is void,
// and so are the loads that were on their way.
func TestANewConnectionKnowsNothing(t *testing.T) {
	t.Parallel()
	var e ends
	committed(&e, 0, 1, "slot-1", 0)
	committed(&e, 1, 2, "slot-1", 1)
	began := e.now()
	e.forget()
	committed(&e, 1, 2, "slot-2", 0)
	committed(&e, 2, 3, "slot-2", 1)
	learn(&e, began, "slot-3", 0)
	for _, stream := range []domain.StreamName{"slot-1", "slot-3"} {
		_, ok := foreseen(&e, stream)
		require.False(t, ok, stream)
	}
}

// A floor above the last event makes positions jump, which nothing foresees.
func TestARaisedFloorIsNotForeseen(t *testing.T) {
	t.Parallel()
	var e ends
	committed(&e, 0, 1, "slot-1", 0)
	e.advance(1, &ledger{last: 100, head: 1, revisions: map[domain.StreamName]domain.Revision{"slot-1": 0}})
	_, ok := foreseen(&e, "slot-1")
	require.False(t, ok)
}

// What is remembered has a bound, and forgetting makes nothing wrong.
func TestEndsAreBounded(t *testing.T) {
	t.Parallel()
	e := ends{revisions: make(map[domain.StreamName]domain.Revision, maxEnds)}
	for i := range maxEnds {
		e.revisions[domain.StreamName(strconv.Itoa(i))] = 0
	}
	began := e.now()
	learn(&e, began, "slot-1", 3)
	require.False(t, len(e.revisions) > maxEnds)
	committed(&e, 0, 1, "slot-2", 0)
	require.Len(t, e.revisions, 1)
	learn(&e, began, "slot-1", 3)
	_, ok := foreseen(&e, "slot-1")
	require.False(t, ok, "the load began before what was forgotten was written")
}
