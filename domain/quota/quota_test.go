package quota_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/domaintest"
	"github.com/slotbook/slotbook/domain/quota"
)

var (
	spec = domaintest.Spec[quota.State, quota.Command, quota.Event]{Decide: quota.Decide, Evolve: quota.Evolve}
	day  = quota.Quota{Rule: quota.PractitionerDay, Subject: "silva", Bucket: "2026-03-02"}

	ana    = counted("ana", 1)
	ana2   = counted("ana", 2)
	boris  = counted("boris", 1)
	carlos = counted("carlos", 1)
)

func counted(owner string, set int) quota.Counted {
	return quota.Counted{
		Claim:       claim.Claim{Owner: domain.Stream("appointment", owner), Set: set},
		Appointment: domain.AppointmentID(owner),
	}
}

func claims(c quota.Counted, maximum int, dead ...quota.Counted) quota.Claim {
	fates := claim.Fates{}
	for _, d := range dead {
		fates[d.Claim] = claim.Dead
	}
	return quota.Claim{Quota: day, Counted: c, Maximum: maximum, Fates: fates}
}

func booked(c quota.Counted, maximum int) quota.Booked {
	return quota.Booked{Quota: day, Counted: c, Maximum: maximum}
}

func released(c quota.Counted) quota.Released { return quota.Released{Quota: day, Counted: c} }

func TestClaim(t *testing.T) {
	t.Parallel()
	t.Run("an empty quota counts who asks first",
		spec.Given().When(claims(ana, 1)).Then(booked(ana, 1)))
	t.Run("two of a maximum of two are counted",
		spec.Given(booked(ana, 2)).When(claims(boris, 2)).Then(booked(boris, 2)))
	t.Run("a third of a maximum of two is refused",
		spec.Given(booked(ana, 2), booked(boris, 2)).When(claims(carlos, 2)).ThenRefuse(quota.ErrPractitionerDay))
	t.Run("no maximum refuses nobody",
		spec.Given(booked(ana, 0), booked(boris, 0)).When(claims(carlos, 0)).Then(booked(carlos, 0)))
	t.Run("the same appointment and set is the same claim, also when the quota is full",
		spec.Given(booked(ana, 1)).When(claims(ana, 1)).Then())
	t.Run("an appointment's own older set does not count",
		spec.Given(booked(ana, 1)).When(claims(ana2, 1)).Then(booked(ana2, 1)))
	t.Run("claims of one appointment count once",
		spec.Given(booked(ana, 2), booked(ana2, 2)).When(claims(boris, 2)).Then(booked(boris, 2)))
	t.Run("an appointment whose older set is dead still counts by its newer one",
		spec.Given(booked(ana, 1), booked(ana2, 1)).When(claims(boris, 1, ana)).ThenRefuse(quota.ErrPractitionerDay))
	beside := func(c quota.Claim, counted ...quota.Counted) quota.Claim {
		c.Beside = counted
		return c
	}
	t.Run("what counts for the same subject elsewhere is counted",
		spec.Given(booked(ana, 2)).When(beside(claims(carlos, 2), boris)).ThenRefuse(quota.ErrPractitionerDay))
	t.Run("what counts here and elsewhere counts once",
		spec.Given(booked(ana, 2)).When(beside(claims(boris, 2), ana)).Then(booked(boris, 2)))
	t.Run("what is dead elsewhere is not counted, and not released here",
		spec.Given(booked(ana, 2)).When(beside(claims(carlos, 2, boris), boris)).Then(booked(carlos, 2)))
	t.Run("a lower maximum refuses newcomers",
		spec.Given(booked(ana, 2), booked(boris, 2)).When(claims(carlos, 1)).ThenRefuse(quota.ErrPractitionerDay))
	t.Run("a lower maximum leaves those who are counted",
		spec.Given(booked(ana, 2), booked(boris, 2)).When(claims(boris, 1)).Then())
	t.Run("a higher maximum counts more",
		spec.Given(booked(ana, 1)).When(claims(boris, 2)).Then(booked(boris, 2)))
	t.Run("a place that was released is free again",
		spec.Given(booked(ana, 1), released(ana)).When(claims(boris, 1)).Then(booked(boris, 1)))
}

func TestDeadClaims(t *testing.T) {
	t.Parallel()
	t.Run("a dead claim in the way is released by whoever meets it",
		spec.Given(booked(ana, 1)).When(claims(boris, 1, ana)).Then(released(ana), booked(boris, 1)))
	t.Run("only as many dead claims are released as stand in the way",
		spec.Given(booked(ana, 2), booked(boris, 2)).When(claims(carlos, 2, ana, boris)).Then(released(ana), booked(carlos, 2)))
	t.Run("a dead claim that is not in the way is left alone",
		spec.Given(booked(ana, 2)).When(claims(boris, 2, ana)).Then(booked(boris, 2)))
	t.Run("under a lower maximum more dead claims are in the way",
		spec.Given(booked(ana, 2), booked(boris, 2)).When(claims(carlos, 1, ana, boris)).Then(released(ana), released(boris), booked(carlos, 1)))
	t.Run("an undecided claim counts",
		spec.Given(booked(ana, 1)).When(quota.Claim{Quota: day, Counted: boris, Maximum: 1, Fates: claim.Fates{ana.Claim: claim.Pending}}).
			ThenRefuse(quota.ErrPractitionerDay))
	t.Run("a dead claim does not hide a live one",
		spec.Given(booked(ana, 2), booked(boris, 2)).When(claims(carlos, 1, ana)).ThenRefuse(quota.ErrPractitionerDay))
}

func TestRelease(t *testing.T) {
	t.Parallel()
	t.Run("counts a claim no longer",
		spec.Given(booked(ana, 1)).When(quota.Release{Quota: day, Claim: ana.Claim}).Then(released(ana)))
	t.Run("of set one leaves set two untouched",
		spec.Given(booked(ana2, 1)).When(quota.Release{Quota: day, Claim: ana.Claim}).Then())
}

func TestARefusalNamesWhoIsCounted(t *testing.T) {
	t.Parallel()
	state := domain.Fold(quota.Evolve, quota.State{}, quota.Event(booked(ana, 2)), quota.Event(booked(boris, 2)))
	_, err := quota.Decide(state, claims(carlos, 1, boris))
	var taken *claim.Taken
	require.ErrorAs(t, err, &taken)
	require.Equal(t, []claim.Claim{ana.Claim}, taken.By)
}

func TestEveryRuleHasItsRefusal(t *testing.T) {
	t.Parallel()
	for rule, refusal := range map[string]*domain.Error{
		quota.PractitionerDay: quota.ErrPractitionerDay, quota.PractitionerWeek: quota.ErrPractitionerWeek,
		quota.PatientDay: quota.ErrPatientDay, quota.PatientPractitioner: quota.ErrPatientPractitioner,
		quota.PatientActive: quota.ErrPatientActive, quota.Holds: quota.ErrHolds,
	} {
		c := claims(boris, 1)
		c.Quota.Rule = rule
		_, err := quota.Decide(quota.State{Claims: []quota.Counted{ana}}, c)
		require.ErrorIs(t, err, refusal, rule)
	}
	c := claims(boris, 1)
	c.Quota.Rule = "moon-phase"
	_, err := quota.Decide(quota.State{}, c)
	require.Error(t, err)
	require.Nil(t, domain.RuleOf(err), "a rule that nobody knows is our fault, not the caller's")
}

func TestAStreamNamesItsQuota(t *testing.T) {
	t.Parallel()
	for _, q := range []quota.Quota{
		day,
		{Rule: quota.PractitionerWeek, Subject: "0b6e7a3c-0000-4000-8000-000000000001", Bucket: "2026-W10"},
		{Rule: quota.PatientPractitioner, Subject: "ana.silva", Bucket: quota.Active},
	} {
		parsed, ok := quota.Parse(q.Stream())
		require.True(t, ok)
		require.Equal(t, q, parsed)
	}
	require.Equal(t, domain.StreamName("quota-practitioner-day.silva.2026-03-02"), day.Stream())
	for _, other := range []domain.StreamName{"quota-", "quota-holds", "quota-holds.silva", "slot-a.b.c", ""} {
		_, ok := quota.Parse(other)
		require.False(t, ok, other)
	}
}

func TestAQuotaKnowsWhomItCountsFor(t *testing.T) {
	t.Parallel()
	for subject, q := range map[string]quota.Quota{
		"boris":         {Rule: quota.PatientDay, Subject: "ana", Bucket: "2026-03-02"},
		"boris.silva":   {Rule: quota.PatientPractitioner, Subject: "ana.silva", Bucket: quota.Active},
		"patient.boris": {Rule: quota.Holds, Subject: quota.HeldBy("ana"), Bucket: quota.Active},
	} {
		require.Equal(t, domain.PatientID("ana"), q.Patient(), q.Rule)
		require.Equal(t, subject, q.For("boris").Subject, q.Rule)
	}
	for _, q := range []quota.Quota{day, {Rule: quota.Holds, Subject: "session.s1", Bucket: quota.Active}, {Rule: quota.Holds, Subject: "day.silva", Bucket: "2026-03-02"}} {
		require.Empty(t, q.Patient(), q.Rule)
		require.Equal(t, q, q.For(q.Patient()))
	}
}
