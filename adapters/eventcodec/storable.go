package eventcodec

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/slotbook/slotbook/domain"
)

// Storable reports whether every store takes the event in the stream: names
// and text are valid UTF-8 without U+0000, which jsonb refuses. Stores answer
// [commands.ErrUnstorable] when it is not.
func (e Encoded) Storable(stream domain.StreamName) bool {
	return utf8.ValidString(string(stream)) && strings.IndexByte(string(stream), 0) < 0 &&
		storable(e.Data) && storable(e.Metadata)
}

// storable looks for the escape of U+0000.
func storable(json []byte) bool { return utf8.Valid(json) && !hasEscape(json, `\u0000`) }

// hasEscape reports whether the escape is there as an escape, and not as the
// text of one: in \\u0000 the first backslash escapes the second.
func hasEscape(json []byte, escape string) bool {
	for {
		at := bytes.Index(json, []byte(escape))
		if at < 0 {
			return false
		}
		before := at
		for before > 0 && json[before-1] == '\\' {
			before--
		}
		if (at-before)%2 == 0 {
			return true
		}
		json = json[at+len(escape):]
	}
}
