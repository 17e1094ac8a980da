package projections_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

const (
	kid   domain.PatientID = "b0000000-0000-4000-8000-000000000003"
	twice domain.PatientID = "b0000000-0000-4000-8000-000000000004"
)

// family is Pat, her kid, Quinn, and whoever is the kid twice: in the name of
// the kid's duplicate, and merged into the kid.
func family(more ...fact) []fact {
	return append([]fact{
		patientFact(pat, "Pat", ""), patientFact(quinn, "Quinn", ""), patientFact(kid, "Kid", ""), patientFact(twice, "Kid", ""),
		on(patient.Stream(pat), patient.DependentAdded{Patient: pat, Dependent: kid, Since: 1}),
		on(patient.Stream(kid), patient.GuardianSet{Patient: kid, Guardian: pat}),
		on(patient.Stream(kid), patient.DuplicateAdded{Patient: kid, Duplicate: twice, Since: 1}),
		on(patient.Stream(twice), patient.Merged{Patient: twice, Into: kid}),
	}, more...)
}

func TestWhoBelongsToWhom(t *testing.T) {
	t.Parallel()
	listed := func(t *testing.T, e *engine.Engine, f projections.PatientFilter) (ids []domain.PatientID) {
		t.Helper()
		list, err := projections.NewPatients(e).Search(t.Context(), f, 0)
		require.NoError(t, err)
		for _, p := range list.Items {
			ids = append(ids, p.ID)
		}
		return ids
	}
	sees := func(t *testing.T, e *engine.Engine, query string, who domain.PatientID) (ids []domain.PatientID) {
		t.Helper()
		_, err := e.View(t.Context(), 0, []string{"patients"}, func(r engine.Reader) (err error) {
			rows, _ := r.Query(t.Context(), query, pgx.NamedArgs{"patient": who})
			ids, err = pgx.CollectRows(rows, pgx.RowTo[domain.PatientID])
			return err
		})
		require.NoError(t, err)
		return ids
	}
	t.Run("who was merged is listed only when asked for", given(family()...).Then(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, []domain.PatientID{kid, pat, quinn}, listed(t, e, projections.PatientFilter{}))
		require.Equal(t, []domain.PatientID{kid, twice, pat, quinn}, listed(t, e, projections.PatientFilter{Merged: true}))
		list, err := projections.NewPatients(e).Search(t.Context(), projections.PatientFilter{Merged: true}, 0)
		require.NoError(t, err)
		require.Equal(t, pat, list.Items[0].Guardian)
		require.Equal(t, kid, list.Items[1].MergedInto)
	}))
	t.Run("dependents are found by their guardian", given(family()...).Then(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, []domain.PatientID{kid}, listed(t, e, projections.PatientFilter{Guardian: pat}))
		require.Empty(t, listed(t, e, projections.PatientFilter{Guardian: quinn}))
	}))
	t.Run("a patient includes who was merged, and a family its dependents", given(family()...).Then(func(t *testing.T, e *engine.Engine) {
		require.ElementsMatch(t, []domain.PatientID{kid, twice}, sees(t, e, projections.PatientAndMerged, kid))
		require.ElementsMatch(t, []domain.PatientID{pat}, sees(t, e, projections.PatientAndMerged, pat))
		require.ElementsMatch(t, []domain.PatientID{pat, kid, twice}, sees(t, e, projections.PatientAndFamily, pat))
		require.ElementsMatch(t, []domain.PatientID{kid, twice}, sees(t, e, projections.PatientAndFamily, kid))
		require.ElementsMatch(t, []domain.PatientID{twice}, sees(t, e, projections.PatientAndFamily, twice))
	}))
	t.Run("who was merged belongs where the kept one belongs", given(family(
		on(patient.Stream(twice), patient.Unmerged{Patient: twice, From: kid}),
		on(patient.Stream(twice), patient.GuardianSet{Patient: twice, Guardian: pat}),
		on(patient.Stream(twice), patient.Merged{Patient: twice, Into: kid}),
		on(patient.Stream(kid), patient.GuardianRemoved{Patient: kid, Guardian: pat}),
	)...).Then(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, []domain.PatientID{pat}, sees(t, e, projections.PatientAndFamily, pat))
		require.Empty(t, listed(t, e, projections.PatientFilter{Guardian: pat}))
	}))
	t.Run("what was undone is as before", given(family(
		on(patient.Stream(twice), patient.Unmerged{Patient: twice, From: kid}),
		on(patient.Stream(kid), patient.GuardianRemoved{Patient: kid, Guardian: pat}),
	)...).Then(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, []domain.PatientID{kid, twice, pat, quinn}, listed(t, e, projections.PatientFilter{}))
		require.Equal(t, []domain.PatientID{pat}, sees(t, e, projections.PatientAndFamily, pat))
	}))
	t.Run("what happens to a stranger makes no row", given(
		on(patient.Stream(kid), patient.GuardianSet{Patient: kid, Guardian: pat}),
	).Then(func(t *testing.T, e *engine.Engine) {
		require.Empty(t, listed(t, e, projections.PatientFilter{Merged: true}))
	}))
}
