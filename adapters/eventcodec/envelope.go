package eventcodec

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/slotbook/slotbook/domain"
)

// Envelope is an event as others get it: CloudEvents 1.0 in JSON
// (https://github.com/cloudevents/spec, json-format.md). Type is the event's
// permanent name, subject its stream; sequence is its position with leading
// zeros, so that the order of texts is the order of events.
type Envelope struct {
	SpecVersion     string         `json:"specversion"`
	ID              string         `json:"id"`
	Source          string         `json:"source"`
	Type            string         `json:"type"`
	Subject         string         `json:"subject"`
	Time            string         `json:"time"` // of recording, with microseconds always
	DataContentType string         `json:"datacontenttype"`
	Sequence        string         `json:"sequence"`
	Revision        int64          `json:"revision"`
	Actor           string         `json:"actor,omitempty"`
	Command         string         `json:"command,omitempty"`
	Correlation     string         `json:"correlationid,omitempty"`
	Causation       string         `json:"causationid,omitempty"`
	Trace           string         `json:"traceparent,omitempty"`
	Data            jsontext.Value `json:"data"`
}

// source names Slotbook as where events come from. Ids of events are unique
// without it.
const source = "urn:slotbook:events"

// Envelope returns the event in its envelope, its data byte for byte as it is
// stored: personal text sealed.
func (s Stored) Envelope() (Envelope, error) {
	m, err := (*Codec)(nil).DecodeMetadata(s.Metadata)
	return Envelope{
		SpecVersion: "1.0", ID: s.ID, Source: source, Type: s.Type, Subject: string(s.Stream), Time: formatTime(s.RecordedAt),
		DataContentType: "application/json", Sequence: Sequence(s.Position), Revision: int64(s.Revision),
		Actor: m.Actor, Command: m.Command, Correlation: m.Correlation, Causation: m.Causation, Trace: m.Trace, Data: s.Data,
	}, err
}

// Sequence returns a position as envelopes have it.
func Sequence(p domain.Position) string { return fmt.Sprintf("%020d", uint64(p)) }

// formatTime writes an instant with its microseconds always, so that the order
// of texts is the order of instants.
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// Line returns the envelope as a line of NDJSON, with its end.
func (e Envelope) Line() ([]byte, error) {
	line, err := marshal(e)
	return append(line, '\n'), err
}
