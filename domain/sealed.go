package domain

import (
	"encoding/json"
	"errors"
)

// Sealed is personal text. In a fresh event it is open; when the event is
// encoded it is sealed under its person's key, and from then on it travels,
// through events and read models, only as its box. Folds copy it without
// looking; a query opens it at the very end, where the key is at hand.
type Sealed struct {
	Person string `json:"person"` // whose key seals the text; a patient's id
	Text   string `json:"-"`      // the open text, in a fresh event only
	Box    string `json:"box"`    // the sealed text, as [Sealed.Text] never is once stored
}

// Open returns fresh personal text of a person. Empty text stays empty: there
// is nothing to seal.
func Open(person, text string) Sealed {
	if text == "" {
		return Sealed{}
	}
	return Sealed{Person: person, Text: text}
}

// IsZero reports whether there is no text at all.
func (s Sealed) IsZero() bool { return s.Text == "" && s.Box == "" }

var errUnsealed = errors.New("personal text is stored only sealed")

// MarshalJSON writes the box. Open text is an error: whoever encodes an event
// seals its fields first.
func (s Sealed) MarshalJSON() ([]byte, error) {
	if s.Text != "" {
		return nil, errUnsealed
	}
	if s.Box == "" {
		return []byte("null"), nil
	}
	type box Sealed // has no methods
	return json.Marshal(box(s))
}
