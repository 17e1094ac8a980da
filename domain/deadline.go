package domain

import (
	"strconv"
	"time"
)

// Deadline is an instant from which something is to be done to what a stream
// holds. Nothing depends on its being done in time.
type Deadline struct {
	Kind  string     // says what is to be done; the owner's package names its kinds
	Owner StreamName // decides whether it still is
	Set   int        // of the owner's claims; 0 = none in particular
	At    time.Time  // in business time
}

// ID names the deadline, and the command that does what is due: however often
// it is sent, it is done once. A deadline that is put off is another one.
func (d Deadline) ID() string {
	return NewID("deadline", d.Kind, string(d.Owner), strconv.Itoa(d.Set), d.At.UTC().Format(time.RFC3339Nano))
}
