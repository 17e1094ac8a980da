package policy_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/domaintest"
	"github.com/slotbook/slotbook/domain/policy"
)

var (
	spec   = domaintest.Spec[policy.State, policy.Command, policy.Event]{Decide: policy.Decide, Evolve: policy.Evolve}
	clinic = policy.Scope{Kind: policy.OfClinic, ID: "c"}
)

func set(terms policy.Terms) policy.Set { return policy.Set{Scope: clinic, Terms: terms} }

func wasSet(terms policy.Terms) policy.WasSet { return policy.WasSet{Scope: clinic, Terms: terms} }

func TestSet(t *testing.T) {
	t.Parallel()
	notice := policy.Terms{MinNotice: new(120), Approval: new(true), PatientDay: new(1)}
	t.Run("puts the terms in force",
		spec.Given().When(set(notice)).Then(wasSet(notice)))
	t.Run("replaces the terms as a whole",
		spec.Given(wasSet(notice)).When(set(policy.Terms{MinNotice: new(120)})).Then(wasSet(policy.Terms{MinNotice: new(120)})))
	t.Run("to nothing is a policy, too",
		spec.Given().When(set(policy.Terms{})).Then(wasSet(policy.Terms{})))
	t.Run("of the terms in force decides nothing",
		spec.Given(wasSet(notice)).When(set(policy.Terms{MinNotice: new(120), Approval: new(true), PatientDay: new(1)})).Then())
	t.Run("tells no from nothing said",
		spec.Given(wasSet(policy.Terms{})).When(set(policy.Terms{Approval: new(false), PatientDay: new(0)})).
			Then(wasSet(policy.Terms{Approval: new(false), PatientDay: new(0)})))
	t.Run("of somebody else's policy is refused",
		spec.Given().When(policy.Set{Scope: policy.Scope{Kind: "patient", ID: "p"}}).ThenRefuse(policy.ErrScope))
	t.Run("of nobody's policy is refused",
		spec.Given().When(policy.Set{Scope: policy.Scope{Kind: policy.OfClinic}}).ThenRefuse(policy.ErrScope))
}

func TestBounds(t *testing.T) {
	t.Parallel()
	year := 365 * 24 * 60
	longest := policy.Terms{MinNotice: new(year), HoldTime: new(15), HoldsShare: new(100), PractitionerDay: new(10_000)}
	t.Run("a duration may be a year, a hold 15 minutes, a limit ten thousand",
		spec.Given().When(set(longest)).Then(wasSet(longest)))
	for name, terms := range map[string]policy.Terms{
		"notice is not negative":                {MinNotice: new(-1)},
		"a horizon is a year at most":           {Horizon: new(year + 1)},
		"a window to cancel is a year at most":  {CancelBefore: new(year + 1)},
		"a window to move is a year at most":    {RescheduleBefore: new(year + 1)},
		"a grace to undo is not negative":       {UndoGrace: new(-1)},
		"a no-show is a year after at the most": {NoShowAfter: new(year + 1)},
		"a hold takes a minute at least":        {HoldTime: new(0)},
		"a hold takes 15 minutes at most":       {HoldTime: new(16)},
	} {
		t.Run(name, spec.Given().When(set(terms)).ThenRefuse(policy.ErrDuration))
	}
	t.Run("nobody is to ask earlier than the clinic books ahead",
		spec.Given().When(set(policy.Terms{MinNotice: new(60), Horizon: new(30)})).ThenRefuse(policy.ErrWindow))
	t.Run("a display shows tickets or initials, and no names",
		spec.Given().When(set(policy.Terms{BoardShows: new(policy.Shown("names"))})).ThenRefuse(policy.ErrShown))
	for name, terms := range map[string]policy.Terms{
		"an offer lasts a minute at least":                         {OfferTime: new(0)},
		"an offer lasts a year at most":                            {OfferTime: new(year + 1)},
		"waking hours begin before they end":                       {OffersFrom: new(600), OffersUntil: new(600)},
		"waking hours do not begin at midnight's end":              {OffersFrom: new(24 * 60)},
		"waking hours begin at midnight at the earliest":           {OffersFrom: new(-1)},
		"waking hours end at the midnight that follows, at latest": {OffersUntil: new(24*60 + 1)},
	} {
		t.Run(name, spec.Given().When(set(terms)).ThenRefuse(policy.ErrOffers))
	}
	both, ahead := policy.Terms{MinNotice: new(60), Horizon: new(60)}, policy.Terms{MinNotice: new(60), Horizon: new(0)}
	t.Run("a notice may be as long as the horizon", spec.Given().When(set(both)).Then(wasSet(both)))
	t.Run("a horizon of nothing is none", spec.Given().When(set(ahead)).Then(wasSet(ahead)))
	for name, terms := range map[string]policy.Terms{
		"a limit is not negative":                    {Reschedules: new(-1)},
		"a day's limit is ten thousand at most":      {PractitionerDay: new(10_001)},
		"a week's limit is ten thousand at most":     {PractitionerWeek: new(10_001)},
		"a patient's limit is not negative":          {PatientDay: new(-1)},
		"a limit with one practitioner, neither":     {PatientPractitioner: new(-1)},
		"a limit of what is to come, neither":        {PatientActive: new(-1)},
		"unknown callers hold something":             {HoldsShare: new(0)},
		"unknown callers hold the whole day at most": {HoldsShare: new(101)},
	} {
		t.Run(name, spec.Given().When(set(terms)).ThenRefuse(policy.ErrLimit))
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	visitType := policy.State{Terms: policy.Terms{MinNotice: new(0), Approval: new(false)}}
	practitioner := policy.State{Terms: policy.Terms{MinNotice: new(60), PatientDay: new(2)}}
	clinic := policy.State{Terms: policy.Terms{MinNotice: new(120), PatientDay: new(1), Approval: new(true), HoldTime: new(10)}}
	none := policy.State{}

	require.Equal(t, 2*time.Hour, policy.Resolve(none, none, clinic).MinNotice, "the clinic decides when nobody else does")
	require.Equal(t, time.Hour, policy.Resolve(none, practitioner, clinic).MinNotice, "a practitioner wins over the clinic")
	require.Zero(t, policy.Resolve(visitType, practitioner, clinic).MinNotice, "a visit type wins over both, also with nothing")

	merged := policy.Resolve(visitType, practitioner, clinic)
	require.Equal(t, 2, merged.PatientDay, "each field is decided for itself")
	require.False(t, merged.Approval, "no wins over yes")
	require.Equal(t, 10*time.Minute, merged.HoldTime)
}

func TestEveryFieldSaysWhereItIsFrom(t *testing.T) {
	t.Parallel()
	of := func(kind string, terms policy.Terms) policy.State {
		return policy.State{Scope: policy.Scope{Kind: kind}, Terms: terms}
	}
	sources := policy.Sources(
		of(policy.OfVisitType, policy.Terms{MinNotice: new(0)}),
		of(policy.OfPractitioner, policy.Terms{MinNotice: new(60), PatientDay: new(2)}),
		of(policy.OfClinic, policy.Terms{MinNotice: new(120), PatientDay: new(1), Approval: new(true)}),
	)
	require.Len(t, sources, reflect.TypeFor[policy.Terms]().NumField())
	require.Equal(t, policy.OfVisitType, sources["minNotice"])
	require.Equal(t, policy.OfPractitioner, sources["patientDay"])
	require.Equal(t, policy.OfClinic, sources["approval"])
	require.Equal(t, policy.ByDefault, sources["holdTime"])
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	require.Equal(t,
		policy.Effective{
			HoldTime: 5 * time.Minute, HoldsShare: 50, UndoGrace: 10 * time.Minute, BoardShows: policy.ShowsTicket,
			OfferTime: 2 * time.Hour, OffersFrom: 8 * 60, OffersUntil: 20 * 60,
		},
		policy.Resolve(policy.State{}, policy.State{}, policy.State{}))
}

// TestEveryFieldIsTakenOver fills one field of Terms after the other: none is
// forgotten where terms are merged, compared and resolved.
func TestEveryFieldIsTakenOver(t *testing.T) {
	t.Parallel()
	for i := range reflect.TypeFor[policy.Terms]().NumField() {
		var terms policy.Terms
		field := reflect.ValueOf(&terms).Elem().Field(i)
		field.Set(reflect.New(field.Type().Elem()))
		switch field.Elem().Kind() {
		case reflect.Bool:
			field.Elem().SetBool(true)
		case reflect.String:
			field.Elem().SetString(string(policy.ShowsInitials))
		default:
			field.Elem().SetInt(7)
		}
		name := reflect.TypeFor[policy.Terms]().Field(i).Name
		state := policy.State{Scope: clinic, Terms: terms}
		require.Equal(t, terms, policy.Terms{}.Over(terms), name)
		require.Equal(t, terms, terms.Over(policy.Terms{}), name)

		events, err := policy.Decide(policy.State{Scope: clinic}, set(terms))
		require.NoError(t, err)
		require.Equal(t, []policy.Event{wasSet(terms)}, events, name)

		got := reflect.ValueOf(policy.Resolve(state, policy.State{}, policy.State{})).FieldByName(name)
		want := field.Elem().Interface()
		if got.Type() == reflect.TypeFor[time.Duration]() {
			want = 7 * time.Minute
		}
		if got.Type() == reflect.TypeFor[domain.WallTime]() {
			want = domain.WallTime(7)
		}
		require.Equal(t, want, got.Interface(), name)

		tag, _, _ := strings.Cut(reflect.TypeFor[policy.Terms]().Field(i).Tag.Get("json"), ",")
		require.Equal(t, policy.OfClinic, policy.Sources(policy.State{}, policy.State{}, state)[tag], name)
	}
}

// The terms of several practitioners are the strictest of each field, whichever
// says it; what says nothing limits nothing.
func TestTheStricterTermsHoldForSeveral(t *testing.T) {
	t.Parallel()
	strict := policy.Effective{
		MinNotice: 2 * time.Hour, Horizon: time.Hour, Approval: true, HoldTime: time.Minute, CancelBefore: 2 * time.Hour,
		RescheduleBefore: 2 * time.Hour, Reschedules: 1, PractitionerDay: 1, PractitionerWeek: 1, PatientDay: 1, PatientPractitioner: 1,
		PatientActive: 1, HoldsShare: 10, UndoGrace: time.Minute, NoShowAfter: 2 * time.Hour, BoardShows: policy.ShowsTicket,
		OfferTime: time.Minute, OffersFrom: 9 * 60, OffersUntil: 18 * 60,
		Revisions: []policy.Revision{{Scope: clinic, Revision: 1}, {Scope: policy.Scope{Kind: policy.OfPractitioner, ID: "p"}, Revision: 2}},
	}
	loose := policy.Effective{
		MinNotice: time.Hour, Horizon: 2 * time.Hour, HoldTime: 2 * time.Minute, CancelBefore: time.Hour, RescheduleBefore: time.Hour, Reschedules: 2,
		PractitionerDay: 2, PractitionerWeek: 2, PatientDay: 2, PatientPractitioner: 2, PatientActive: 2, HoldsShare: 20, UndoGrace: time.Hour,
		NoShowAfter: time.Hour, BoardShows: policy.ShowsInitials, OfferTime: time.Hour, OffersFrom: 8 * 60, OffersUntil: 19 * 60,
		Revisions: strict.Revisions[:1],
	}
	none := policy.Resolve(policy.State{}, policy.State{}, policy.State{})
	require.Equal(t, strict, strict.And(loose))
	swapped := loose.And(strict)
	require.Equal(t, strict, swapped)
	require.Equal(t, strict, strict.And(none))
	for i := range reflect.TypeFor[policy.Effective]().NumField() {
		require.NotZero(t, reflect.ValueOf(swapped).Field(i).Interface(), reflect.TypeFor[policy.Effective]().Field(i).Name)
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	require.Equal(t, domain.StreamName("policy-visit-type.v"), policy.Scope{Kind: policy.OfVisitType, ID: "v"}.Stream())
	require.Equal(t, "policy", policy.Scope{Kind: policy.OfVisitType, ID: "v"}.Stream().Category())
}
