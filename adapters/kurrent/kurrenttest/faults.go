package kurrenttest

// Call is what a client asks for.
type Call struct {
	Method Method
	Stream string // "" = $all
	Node   int
	Types  []string // of the events to append
}

// Method is a kind of call.
type Method int

// The methods that can be interfered with.
const (
	Append Method = iota
	Read
	Subscribe
)

// Fault is what goes wrong with a call.
type Fault int

// The faults.
const (
	None Fault = iota
	// DropBefore breaks the call before anything is done.
	DropBefore
	// DropAfter does what was asked and breaks the call in place of an answer. A
	// read breaks after its first event.
	DropAfter
	// AbortBefore is a time-out of the server before an append was done.
	AbortBefore
	// AbortAfter is a time-out of the server for an append that was done.
	AbortAfter
	// HangAfter does an append and never answers, and never ends a read.
	HangAfter
	// NotReady says that the server takes nothing now.
	NotReady
	// NotLeader says that another node leads, also when none does.
	NotLeader
	// Denied says that the credentials do not suffice.
	Denied
	// Twice delivers every event of a subscription two times.
	Twice
	// SlowConsumer says of a subscription that it fell behind and caught up
	// again, after every event.
	SlowConsumer
	// DropEach breaks a subscription after each event.
	DropEach
)
