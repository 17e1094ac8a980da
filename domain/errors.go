package domain

import "errors"

// Kind says what sort of "no" an error is. Adapters map kinds, never single
// errors.
type Kind int

// The kinds of errors.
const (
	Internal    Kind = iota // nobody's fault but ours
	Invalid                 // a value cannot be
	Refused                 // a policy or rule says no, also with nobody else there
	Conflict                // another claim or the present state stands in the way
	Gone                    // it was there and never comes back
	NotFound                // there is no such thing
	Forbidden               // this actor may not
	Stale                   // the caller has seen an older revision than it asked to change
	Unavailable             // not now; the same request may succeed later
	Limited                 // this caller has as much as it may have
)

// Error is a refusal or a fault that a caller can act on. Each rule has one
// package-level value; test with errors.Is.
type Error struct {
	Kind Kind
	Rule string // stable name, such as "slot.taken"; part of the public contract
	Text string // one sentence for people, without internals
}

// Refusal makes the package-level value of a rule.
func Refusal(kind Kind, rule, text string) *Error { return &Error{Kind: kind, Rule: rule, Text: text} }

// Error returns the rule and its sentence.
func (e *Error) Error() string { return e.Rule + ": " + e.Text }

// Is reports whether target is the same rule, so that a copy with a more
// precise text still matches its sentinel.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Rule == e.Rule
}

// Because returns the same rule with a text that names the case at hand.
func (e *Error) Because(text string) *Error { return &Error{Kind: e.Kind, Rule: e.Rule, Text: text} }

// RuleOf returns the refusal inside err, or nil when there is none.
func RuleOf(err error) *Error {
	refusal, _ := errors.AsType[*Error](err)
	return refusal
}
