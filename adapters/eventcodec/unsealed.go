package eventcodec

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// boxName is what the box of a sealed field is called in data. No other field
// of an event has the name.
const boxName = "box"

// Outward returns the envelope as it leaves for other systems: of personal
// fields it says whose they are, and has no boxes, which nobody there could
// open. Everything else is as it is stored.
func (e Envelope) Outward() (Envelope, error) {
	var err error
	e.Data, err = withoutBoxes(e.Data)
	return e, err
}

// withoutBoxes leaves the boxes of sealed fields out.
func withoutBoxes(data jsontext.Value) (jsontext.Value, error) {
	if !bytes.Contains(data, []byte(`"`+boxName+`"`)) {
		return data, nil
	}
	var rest bytes.Buffer
	from, to := jsontext.NewDecoder(bytes.NewReader(data)), jsontext.NewEncoder(&rest)
	for {
		token, err := from.ReadToken()
		if errors.Is(err, io.EOF) {
			return bytes.TrimSpace(rest.Bytes()), nil
		}
		if err != nil {
			return nil, err
		}
		if isName(from) && token.String() == boxName {
			err = from.SkipValue()
		} else {
			err = to.WriteToken(token)
		}
		if err != nil {
			return nil, err
		}
	}
}

// isName reports whether the token that was read last is the name of a member.
func isName(d *jsontext.Decoder) bool {
	kind, length := d.StackIndex(d.StackDepth())
	return kind == '{' && length%2 == 1
}
