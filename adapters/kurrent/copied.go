package kurrent

import (
	"bytes"
	"time"
)

// An event that was copied from another store keeps the time at which it was
// recorded there: as the last member of its metadata, of a fixed length, so that
// what was before it is there again byte for byte when it is taken off.
const (
	timeMember = `"$recordedAt":"`
	timeLayout = "2006-01-02T15:04:05.000000Z"
	timeLength = len(timeMember) + len(timeLayout) + len(`"}`)
)

// withTime returns metadata, an object in JSON, with a time of recording.
func withTime(metadata []byte, at time.Time) []byte {
	object := bytes.TrimRight(metadata, " \t\r\n")
	with := append([]byte(nil), object[:max(0, len(object)-1)]...)
	if len(bytes.TrimSpace(with)) > 1 {
		with = append(with, ',')
	}
	with = append(with, timeMember...)
	with = at.UTC().AppendFormat(with, timeLayout)
	return append(with, `"}`...)
}

// withoutTime returns metadata without a time of recording that was added, and the
// time; false when there is none.
func withoutTime(metadata []byte) ([]byte, time.Time, bool) {
	start := len(metadata) - timeLength
	if start < 1 || !bytes.HasPrefix(metadata[start:], []byte(timeMember)) {
		return metadata, time.Time{}, false
	}
	value := metadata[start+len(timeMember) : len(metadata)-2]
	at, err := time.Parse(timeLayout, string(value))
	if err != nil {
		return metadata, time.Time{}, false
	}
	object := append([]byte(nil), bytes.TrimSuffix(metadata[:start], []byte(","))...)
	return append(object, '}'), at.UTC(), true
}
