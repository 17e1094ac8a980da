package commands

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/policy"
)

// aLog is a store that holds what the test puts there and counts the loads.
type aLog struct {
	Store
	streams map[domain.StreamName][]domain.Recorded
	loads   *int
}

func (l aLog) Load(_ context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	*l.loads++
	loaded := map[domain.StreamName][]domain.Recorded{}
	for _, name := range streams {
		if recorded := l.streams[name]; len(recorded) > 0 {
			loaded[name] = recorded
		}
	}
	return loaded, nil
}

// set puts another revision of a policy there.
func (l aLog) set(s policy.Scope, terms policy.Terms) {
	name := s.Stream()
	revision := domain.Revision(len(l.streams[name]))
	l.streams[name] = append(l.streams[name], domain.Recorded{Stream: name, Revision: revision, Event: policy.WasSet{Scope: s, Terms: terms}})
}

func TestABookingIsDecidedUnderTermsThatAreASecondOldAtMost(t *testing.T) {
	t.Parallel()
	log := aLog{streams: map[domain.StreamName][]domain.Recorded{}, loads: new(int)}
	now := time.Date(2026, 6, 1, 7, 0, 0, 0, time.UTC)
	h := New(Config{Store: log, Now: func() time.Time { return now }})
	ofClinic, ofVisit := policy.Scope{Kind: policy.OfClinic, ID: "c"}, policy.Scope{Kind: policy.OfVisitType, ID: "v"}
	terms := func() policy.Effective {
		e, err := h.termsFor(t.Context(), "c", "p", "v")
		require.NoError(t, err)
		return e
	}

	require.Equal(t, policy.Resolve(policy.State{}, policy.State{}, policy.State{}), terms(), "nobody has said anything")
	log.set(ofClinic, policy.Terms{PatientDay: new(1), Approval: new(true)})
	now = now.Add(policyAge - 1)
	require.Zero(t, terms().PatientDay)
	require.Equal(t, 1, *log.loads, "what was seen a moment ago is not looked up again")
	now = now.Add(1)
	require.Equal(t, 1, terms().PatientDay)

	log.set(ofClinic, policy.Terms{PatientDay: new(3), Approval: new(true)})
	log.set(ofVisit, policy.Terms{PatientDay: new(2)})
	now = now.Add(policyAge)
	got := terms()
	require.Equal(t, 2, got.PatientDay)
	require.True(t, got.Approval)
	require.Equal(t, []policy.Revision{{Scope: ofVisit, Revision: 0}, {Scope: ofClinic, Revision: 1}}, got.Revisions)

	now = now.Add(-time.Hour)
	loads := *log.loads
	terms()
	require.Equal(t, loads+1, *log.loads, "a clock that was set back makes nothing last longer")

	only, err := h.termsFor(t.Context(), "c", "", "")
	require.NoError(t, err)
	require.Equal(t, 3, only.PatientDay, "no visit type, no practitioner: the clinic decides")
	require.Equal(t, []policy.Revision{{Scope: ofClinic, Revision: 1}}, only.Revisions)
}
