package httpapi

import (
	"context"
	"strings"
	"sync"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/reference"
)

// errUnknownCode refuses a filter by a code that the reference data has not, and
// never had: withdrawn ones are known.
var errUnknownCode = domain.Refusal(domain.Refused, "filter.unknown-code",
	"the reference data has no such specialty, town or district; errors says which, and what is near")

// knownCodes are the codes of the reference data that were asked for and exist: a code
// is never deleted. One that is not among them is looked up, and may have been
// loaded by another process a moment ago. The zero value is ready.
type knownCodes struct{ known sync.Map } // of coded

type coded struct {
	kind reference.Kind
	code string
}

// knows returns a problem that names the parameter when the reference data has not
// every one of the codes. Empty ones ask for nothing.
func (a *api) knows(ctx context.Context, parameter string, kind reference.Kind, all ...string) error {
	for _, code := range all {
		if code == "" {
			continue
		}
		if _, ok := a.codes.known.Load(coded{kind, code}); ok {
			continue
		}
		found, err := a.Reference.Entries(ctx, kind, code)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return a.unknown(ctx, parameter, kind, code)
		}
		a.codes.known.Store(coded{kind, code}, true)
	}
	return nil
}

// unknown returns the problem of a code that does not exist, with those that are
// near.
func (a *api) unknown(ctx context.Context, parameter string, kind reference.Kind, code string) error {
	entries, _, err := a.Reference.List(ctx, reference.Filter{Kind: kind})
	if err != nil {
		return err
	}
	fault := Fault{"query." + parameter, "there is no such " + string(kind)}
	if near := reference.Near(code, entries); len(near) > 0 {
		fault.Message += "; near are " + strings.Join(near, ", ")
	}
	p := ruleOf(errUnknownCode).problem("")
	p.Errors = []Fault{fault}
	return p
}
