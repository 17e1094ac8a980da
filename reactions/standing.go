package reactions

import (
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Standing is how a reaction is doing: something that follows the log with a
// checkpoint of its own.
type Standing struct {
	Name     string
	Position domain.Position // everything up to here was handled, or is parked
	Head     domain.Position // of the last event
	Owner    string          // the process that runs it; "" = none does
	Parked   int             // events
	MovedAt  time.Time       // when the position was last written
	Refused  string          // why it does not run before an operator says where to go on; "" = it may
}

// Parked is an event that a reaction could not handle, however often it tried.
type Parked struct {
	Reaction string
	Event    string // its id
	Stream   domain.StreamName
	Type     string
	Position domain.Position
	Error    string     // of the last try
	Tries    int        // so far
	ParkedAt time.Time  // when the last try had failed
	RetryAt  *time.Time // when somebody asked for another try; nil while nobody has
}

// The refusals of those who operate reactions.
var (
	ErrUnknown    = domain.Refusal(domain.NotFound, "reaction.unknown", "there is no reaction of that name, or it has never run")
	ErrRunning    = domain.Refusal(domain.Conflict, "reaction.running", "a process runs the reaction: switch it off first")
	ErrBeyond     = domain.Refusal(domain.Invalid, "reaction.position-unknown", "a reaction goes on after a position of the log, which ends before that")
	ErrOtherEpoch = domain.Refusal(domain.Unavailable, "reaction.other-epoch", "the checkpoint is of another epoch of the store, or beyond the end of the log: an operator has to say where to go on")
)
