package eventcodec_test

import (
	"encoding/json"
	"testing"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/stretchr/testify/require"
)

func TestStorable(t *testing.T) {
	for text, want := range map[string]bool{
		"":                true,
		"Grüße, 한글":       true,
		"\ufffd":          true,
		`\u0000`:          true, // the text of an escape
		`\\u0000 \ufffd`:  true,
		"\x00":            false,
		"a\\\x00":         false, // a backslash, then U+0000
		`\u0000` + "\x00": false,
	} {
		data, err := json.Marshal(map[string]string{"reason": text})
		require.NoError(t, err)
		require.Equal(t, want, eventcodec.Encoded{Data: data, Metadata: []byte("{}")}.Storable("slot-1"), "%q as data", text)
		require.Equal(t, want, eventcodec.Encoded{Data: []byte("{}"), Metadata: data}.Storable("slot-1"), "%q as metadata", text)
	}
	require.False(t, eventcodec.Encoded{}.Storable("slot-\x00"))
	require.False(t, eventcodec.Encoded{}.Storable("slot-\xff"))
}
