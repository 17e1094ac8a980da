package eventcodec_test

import (
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// TestEnvelopesAreCloudEvents has a second implementation read the envelope of
// every event type.
func TestEnvelopesAreCloudEvents(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	codec := eventcodec.New(&eventcodec.MemoryKeys{})
	for i, e := range samples() {
		encoded, err := codec.Encode(t.Context(), stream, commands.NewEvent{
			ID: domain.NewID(e.EventType()), Event: e,
			Metadata: domain.Metadata{Command: "c1", Actor: "local", Correlation: "talk", Causation: "e1", Trace: parent},
		})
		require.NoError(t, err)
		stored := eventcodec.Stored{
			Encoded: encoded, Stream: stream, Revision: 7, Position: domain.Position(i + 1), RecordedAt: time.Date(2026, 3, 2, 9, 0, 0, 120_000, time.UTC),
		}
		envelope, err := stored.Envelope()
		require.NoError(t, err)
		line, err := envelope.Line()
		require.NoError(t, err)
		require.Equal(t, byte('\n'), line[len(line)-1])

		var read cloudevents.Event
		require.NoError(t, read.UnmarshalJSON(line))
		require.NoError(t, read.Validate())
		require.Equal(t, e.EventType(), read.Type())
		require.Equal(t, string(stream), read.Subject())
		require.Equal(t, encoded.ID, read.ID())
		require.Equal(t, stored.RecordedAt, read.Time())
		require.Equal(t, string(encoded.Data), string(read.Data()), "the data is what is stored, byte for byte")
		require.Equal(t, eventcodec.Sequence(stored.Position), read.Extensions()["sequence"])
		require.EqualValues(t, 7, read.Extensions()["revision"])
		require.Equal(t, "local", read.Extensions()["actor"])
		require.Equal(t, "talk", read.Extensions()["correlationid"])
		require.Equal(t, parent, read.Extensions()["traceparent"], "the extension for distributed tracing")
	}
}

func TestTheOrderOfSequencesIsThatOfPositions(t *testing.T) {
	t.Parallel()
	require.Equal(t, "00000000000000000042", eventcodec.Sequence(42))
	require.Less(t, eventcodec.Sequence(9), eventcodec.Sequence(10))
	require.Len(t, eventcodec.Sequence(1<<64-1), 20)
}
