package name_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/domaintest"
	"github.com/slotbook/slotbook/domain/name"
)

func TestAName(t *testing.T) {
	t.Parallel()
	spec := domaintest.Spec[name.State, name.Command, name.Event]{Decide: name.Decide, Evolve: name.Evolve}
	sunrise, number := name.Name{Kind: name.Clinic, Key: "5f0c"}, name.Name{Kind: name.Council, Key: "5f0c"}
	deadline := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	by := func(owner domain.StreamName, set int) claim.Claim { return claim.Claim{Owner: owner, Set: set} }
	mine, mineLater, other := by("clinic-a", 1), by("clinic-a", 3), by("clinic-b", 1)
	claims := func(c claim.Claim, fates claim.Fates) name.Claim {
		return name.Claim{Name: sunrise, Claim: c, Deadline: deadline, Fates: fates}
	}
	taken := func(c claim.Claim) name.Taken { return name.Taken{Name: sunrise, Claim: c, Deadline: deadline} }
	released := func(c claim.Claim) name.Released { return name.Released{Name: sunrise, Claim: c} }

	t.Run("is taken by who comes first", spec.Given().When(claims(mine, nil)).Then(taken(mine)))
	t.Run("is refused to the next", spec.Given(taken(mine)).When(claims(other, nil)).ThenRefuse(name.ErrClinic))
	t.Run("is refused while its owner has it", spec.Given(taken(mine)).When(claims(other, claim.Fates{mine: claim.Live})).ThenRefuse(name.ErrClinic))
	t.Run("of a council is refused with a rule of its own",
		spec.Given(name.Taken{Name: number, Claim: mine}).When(name.Claim{Name: number, Claim: other}).ThenRefuse(name.ErrCouncil))
	t.Run("is taken from who does not have it any more",
		spec.Given(taken(mine)).When(claims(other, claim.Fates{mine: claim.Dead})).Then(released(mine), taken(other)))
	t.Run("is taken again by its owner", spec.Given(taken(mine)).When(claims(mineLater, nil)).Then(taken(mineLater)))
	t.Run("is given back", spec.Given(taken(mine)).When(name.Release{Name: sunrise, Claim: mine}).Then(released(mine)))
	t.Run("is not given back by who has it no longer",
		spec.Given(taken(mine), taken(mineLater)).When(name.Release{Name: sunrise, Claim: mine}).Then())
	require.Equal(t, sunrise, name.Parse(sunrise.Stream()))
}
