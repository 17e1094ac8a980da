// Package claim is the one shape of a claim that every arbiter shares.
//
// A claim says that one set of an owner's claims wants a resource. The owner's
// stream, an appointment's for example, is where the set becomes live or dies;
// the arbiter's stream, a slot's for example, only keeps who asked first:
//
//	owner stream:    proposed -> pending -> live -> dead
//	                                \-------------/
//	arbiter stream:  nothing -> claimed -> released
//
// A claim in an arbiter's stream is worth what its set is worth. Whoever is
// refused by a foreign claim looks up its [Fate] at the owner and decides
// again; a dead claim in the way is released by whoever meets it.
package claim

import (
	"time"

	"github.com/slotbook/slotbook/domain"
)

// ClockSlack is how long after a set's deadline a helper waits before it ends
// the set: the largest difference between the clocks of two processes.
const ClockSlack = 2 * time.Second

// Claim identifies a claim. Claims of one owner never conflict with each other.
type Claim struct {
	Owner domain.StreamName `json:"owner"` // the stream whose revision commits the set
	Set   int               `json:"set"`   // which set of the owner, from 1
}

// Fate is what became of a claim's set.
type Fate int

// The fates. The zero value means that nobody has looked yet.
const (
	Unknown Fate = iota
	Pending      // undecided and before its deadline
	Live
	Dead // refused, lapsed, cancelled or replaced; never live again
)

// MarshalText names the fate, for whoever prints a state.
func (f Fate) MarshalText() ([]byte, error) {
	return []byte([...]string{"unknown", "pending", "live", "dead"}[f]), nil
}

// Fates holds the fate of foreign claims, as far as they were looked up.
type Fates map[Claim]Fate

// Taken is the refusal of an arbiter because of foreign claims. It unwraps to
// the arbiter's rule.
type Taken struct {
	Rule *domain.Error
	By   []Claim // the claims that stand in the way, dead ones excepted
}

// Error returns the rule's text.
func (t *Taken) Error() string { return t.Rule.Error() }

// Unwrap returns the rule, for errors.Is.
func (t *Taken) Unwrap() error { return t.Rule }
