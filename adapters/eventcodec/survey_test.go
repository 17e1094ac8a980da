package eventcodec_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

func surveyed(data ...string) []eventcodec.SurveyedType {
	var s eventcodec.Survey
	for i := 0; i < len(data); i += 2 {
		s.Add(eventcodec.Stored{Encoded: eventcodec.Encoded{Type: data[i], Data: []byte(data[i+1])}, Position: domain.Position(i/2 + 1)})
	}
	return s.Types()
}

// TestEverythingThatIsWrittenIsReadWhole surveys one event of every type.
func TestEverythingThatIsWrittenIsReadWhole(t *testing.T) {
	t.Parallel()
	codec := eventcodec.New(&eventcodec.MemoryKeys{})
	var s eventcodec.Survey
	for _, e := range samples() {
		encoded, err := codec.Encode(t.Context(), stream, commands.NewEvent{ID: domain.NewID("golden"), Event: e})
		require.NoError(t, err)
		s.Add(eventcodec.Stored{Encoded: encoded, Position: 1})
	}
	types := s.Types()
	require.Len(t, types, len(eventcodec.Types()))
	for _, found := range types {
		require.Nil(t, found.Broken, found.Type)
		require.NotEmpty(t, found.Paths, found.Type)
	}
}

func TestASurveySaysWhereSomethingLies(t *testing.T) {
	t.Parallel()
	types := surveyed(
		"clinic.closed", `{"clinic": "c1"}`,
		"series.booked", `{"series": "s1", "visits": [{"slot": "a"}, {"slot": "b", "appointment": "x"}]}`,
		"series.booked", `{"series": null, "visits": [{"slot": "a", "appointment": null}]}`,
	)
	require.Len(t, types, 2)
	require.Equal(t, eventcodec.SurveyedType{
		Type: "clinic.closed", Known: true, Events: 1, First: 1, Last: 1,
		Paths: []eventcodec.SurveyedPath{{Path: "$.clinic", Kinds: []string{"string"}, First: 1, Last: 1}},
	}, types[0])
	booked := types[1]
	require.EqualValues(t, 2, booked.First)
	require.EqualValues(t, 3, booked.Last)
	rates := map[string]float64{}
	for _, p := range booked.Paths {
		rates[p.Path] = p.NullRate
	}
	require.Equal(t, map[string]float64{
		"$.series": .5, "$.visits": 0, "$.visits[]": 0, "$.visits[].slot": 0, "$.visits[].appointment": 2. / 3,
	}, rates)
}

func TestASurveyFindsWhatIsNotRead(t *testing.T) {
	t.Parallel()
	types := surveyed(
		"clinic.closed", `{"clinic": "c1", "colour": "blue"}`,
		"clinic.closed", `{"clinic": "c1"}`,
		"clinic.painted", `{"colour": "blue"}`,
		"slot.resized", `{"places": "many"}`,
	)
	require.Equal(t, &eventcodec.Broken{Events: 1, First: 1, Why: "$.colour is not read"}, types[0].Broken)
	require.True(t, types[0].Paths[1].Lost)
	require.False(t, types[1].Known)
	require.NotNil(t, types[1].Broken)
	require.Contains(t, types[2].Broken.Why, "slot.resized")
}
