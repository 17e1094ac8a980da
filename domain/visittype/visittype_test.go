package visittype_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain/domaintest"
	"github.com/slotbook/slotbook/domain/visittype"
)

var (
	spec    = domaintest.Spec[visittype.State, visittype.Command, visittype.Event]{Decide: visittype.Decide, Evolve: visittype.Evolve}
	terms   = visittype.Terms{Name: "Check-up", Duration: 30, Fee: &visittype.Fee{Amount: 6500, Currency: "EUR"}}
	known   = visittype.Defined{VisitType: "v", Clinic: "c", Terms: terms}
	retired = visittype.WasRetired{VisitType: "v", Clinic: "c"}
)

// with returns the terms with a change. The fee is a copy.
func with(change func(*visittype.Terms)) visittype.Terms {
	t := terms
	fee := *terms.Fee
	t.Fee = &fee
	change(&t)
	return t
}

func define(t visittype.Terms) visittype.Define {
	return visittype.Define{VisitType: "v", Clinic: "c", Terms: t}
}

func TestDefine(t *testing.T) {
	t.Parallel()
	long := with(func(t *visittype.Terms) { t.Duration, t.BufferBefore, t.BufferAfter = 24*60, 240, 240 })
	free := with(func(t *visittype.Terms) { t.Duration, t.Fee.Amount = 5, 0 })
	unsaid := with(func(t *visittype.Terms) { t.Fee = nil })

	t.Run("makes a visit type known",
		spec.Given().When(define(terms)).Then(known))
	t.Run("takes a day with four hours on either side",
		spec.Given().When(define(long)).Then(visittype.Defined{VisitType: "v", Clinic: "c", Terms: long}))
	t.Run("takes five minutes for free",
		spec.Given().When(define(free)).Then(visittype.Defined{VisitType: "v", Clinic: "c", Terms: free}))
	t.Run("may say nothing of a fee",
		spec.Given().When(define(unsaid)).Then(visittype.Defined{VisitType: "v", Clinic: "c", Terms: unsaid}))
	t.Run("of a known id with the same terms decides nothing",
		spec.Given(known).When(define(with(func(*visittype.Terms) {}))).Then())
	t.Run("of a known id with other terms is refused",
		spec.Given(known).When(define(unsaid)).ThenRefuse(visittype.ErrExists))
	t.Run("of a known id at another clinic is refused",
		spec.Given(known).When(visittype.Define{VisitType: "v", Clinic: "d", Terms: terms}).ThenRefuse(visittype.ErrExists))
}

func TestChange(t *testing.T) {
	t.Parallel()
	longer := with(func(t *visittype.Terms) { t.Duration = 45 })
	dearer := with(func(t *visittype.Terms) { t.Fee.Amount++ })
	changed := func(t visittype.Terms) visittype.Changed {
		return visittype.Changed{VisitType: "v", Clinic: "c", Terms: t}
	}

	t.Run("replaces the terms",
		spec.Given(known).When(visittype.Change{Terms: longer}).Then(changed(longer)))
	t.Run("of the fee alone is a change",
		spec.Given(known, changed(longer)).When(visittype.Change{Terms: dearer}).Then(changed(dearer)))
	t.Run("to what is there decides nothing",
		spec.Given(known).When(visittype.Change{Terms: with(func(*visittype.Terms) {})}).Then())
	t.Run("of nothing is refused",
		spec.Given().When(visittype.Change{Terms: longer}).ThenRefuse(visittype.ErrNotFound))
	t.Run("of a retired visit type is refused",
		spec.Given(known, retired).When(visittype.Change{Terms: longer}).ThenRefuse(visittype.ErrRetired))
	t.Run("to terms that cannot be is refused",
		spec.Given(known).When(visittype.Change{}).ThenRefuse(visittype.ErrNoName))
}

func TestRetire(t *testing.T) {
	t.Parallel()
	t.Run("ends the offer",
		spec.Given(known).When(visittype.Retire{}).Then(retired))
	t.Run("of a retired visit type decides nothing",
		spec.Given(known, retired).When(visittype.Retire{}).Then())
	t.Run("of nothing is refused",
		spec.Given().When(visittype.Retire{}).ThenRefuse(visittype.ErrNotFound))
}

func TestTermsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*visittype.Terms)
		rule   error
	}{
		"no name":                     {func(t *visittype.Terms) { t.Name = " " }, visittype.ErrNoName},
		"shorter than five minutes":   {func(t *visittype.Terms) { t.Duration = 4 }, visittype.ErrDuration},
		"longer than a day":           {func(t *visittype.Terms) { t.Duration = 24*60 + 1 }, visittype.ErrDuration},
		"a negative buffer":           {func(t *visittype.Terms) { t.BufferBefore = -1 }, visittype.ErrBuffer},
		"a buffer above four hours":   {func(t *visittype.Terms) { t.BufferAfter = 241 }, visittype.ErrBuffer},
		"a negative fee":              {func(t *visittype.Terms) { t.Fee.Amount = -1 }, visittype.ErrFee},
		"a fee without a currency":    {func(t *visittype.Terms) { t.Fee.Currency = "" }, visittype.ErrFee},
		"a currency in small letters": {func(t *visittype.Terms) { t.Fee.Currency = "eur" }, visittype.ErrFee},
		"a blank specialty":           {func(t *visittype.Terms) { t.Specialty = " " }, visittype.ErrSpecialty},
	} {
		t.Run(name, spec.Given().When(define(with(c.change))).ThenRefuse(c.rule))
	}
}

func TestAVisitTakesWholeSlots(t *testing.T) {
	t.Parallel()
	require.Equal(t, 1, visittype.Terms{Duration: 30}.Slots(30))
	require.Equal(t, 1, visittype.Terms{Duration: 5}.Slots(30))
	require.Equal(t, 2, visittype.Terms{Duration: 31}.Slots(30))
	require.Equal(t, 2, visittype.Terms{BufferBefore: 10, Duration: 40, BufferAfter: 10}.Slots(30))
	require.Equal(t, 3, visittype.State{Terms: visittype.Terms{BufferBefore: 10, Duration: 40, BufferAfter: 11}}.Slots(30))
}
