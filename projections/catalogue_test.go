package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/resource"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

func defined(id domain.VisitTypeID, at domain.ClinicID, t visittype.Terms) fact {
	return on(visittype.Stream(id), visittype.Defined{VisitType: id, Clinic: at, Terms: t})
}

func TestWhatClinicsOffer(t *testing.T) {
	t.Parallel()
	checkUp := visittype.Terms{
		Name: "Check-up", Duration: 30, BufferBefore: 5, BufferAfter: 10, Fee: &visittype.Fee{Amount: 6500, Currency: "EUR"}, Specialty: "dermatology",
	}
	surgery := visittype.Terms{Name: "Surgery", Duration: 90, Specialty: "surgery"}
	facts := []fact{
		defined("v1", centre, surgery), defined("v2", centre, checkUp), defined("v3", harbor, surgery), defined("v4", centre, surgery),
		on(visittype.Stream("v4"), visittype.WasRetired{VisitType: "v4", Clinic: centre}),
	}
	listed := func(t *testing.T, e *engine.Engine, f projections.VisitTypeFilter) (ids []domain.VisitTypeID) {
		t.Helper()
		list, err := projections.NewCatalogue(e).VisitTypes(t.Context(), f, 0)
		require.NoError(t, err)
		for _, v := range list.Items {
			ids = append(ids, v.ID)
		}
		return ids
	}
	t.Run("visit types are found by clinic and specialty, in the order of their names", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, []domain.VisitTypeID{"v2", "v1", "v3"}, listed(t, e, projections.VisitTypeFilter{}))
		require.Equal(t, []domain.VisitTypeID{"v2", "v1"}, listed(t, e, projections.VisitTypeFilter{Clinic: centre}))
		require.Equal(t, []domain.VisitTypeID{"v2", "v1", "v4"}, listed(t, e, projections.VisitTypeFilter{Clinic: centre, Retired: true}))
		require.Equal(t, []domain.VisitTypeID{"v1", "v3"}, listed(t, e, projections.VisitTypeFilter{Specialty: "surgery"}))
		first, err := projections.NewCatalogue(e).VisitTypes(t.Context(), projections.VisitTypeFilter{Limit: 1}, 5)
		require.NoError(t, err)
		require.Equal(t, projections.List[projections.VisitType]{More: true, Position: 5, Items: []projections.VisitType{{
			ID: "v2", Clinic: centre, Name: "Check-up", Duration: 30, BufferBefore: 5, BufferAfter: 10, FeeAmount: 6500, FeeCurrency: "EUR",
			Specialty: "dermatology",
		}}}, first)
		require.Equal(t, []domain.VisitTypeID{"v1", "v3"}, listed(t, e, projections.VisitTypeFilter{After: first.Items[0].Cursor()}))
	}))
	t.Run("a change replaces everything", given(
		defined("v1", centre, checkUp),
		on(visittype.Stream("v1"), visittype.Changed{VisitType: "v1", Clinic: centre, Terms: visittype.Terms{Name: "Visit", Duration: 20}}),
	).Then(func(t *testing.T, e *engine.Engine) {
		list, err := projections.NewCatalogue(e).VisitTypes(t.Context(), projections.VisitTypeFilter{}, 0)
		require.NoError(t, err)
		require.Equal(t, []projections.VisitType{{ID: "v1", Clinic: centre, Name: "Visit", Duration: 20}}, list.Items)
	}))
}

func TestWhatClinicsHave(t *testing.T) {
	t.Parallel()
	added := func(id domain.ResourceID, at domain.ClinicID, kind, name string) fact {
		return on(resource.Stream(id), resource.Added{Resource: id, Clinic: at, Kind: kind, Name: name, Arbiter: resource.Occupancy})
	}
	t.Run("rooms and devices are found by clinic and kind, in the order of their names", given(
		added("r1", centre, resource.Room, "Room 9"), added("r2", centre, resource.Device, "Laser"), added("r3", harbor, resource.Room, "Pier"),
		added("r4", centre, resource.Room, "Cellar"),
		on(resource.Stream("r1"), resource.Renamed{Resource: "r1", Clinic: centre, Name: "Surgery"}),
		on(resource.Stream("r4"), resource.WasRetired{Resource: "r4", Clinic: centre}),
	).Then(func(t *testing.T, e *engine.Engine) {
		named := func(f projections.ResourceFilter) (names []string) {
			list, err := projections.NewCatalogue(e).Resources(t.Context(), f, 0)
			require.NoError(t, err)
			for _, r := range list.Items {
				names = append(names, r.Name)
			}
			return names
		}
		require.Equal(t, []string{"Laser", "Pier", "Surgery"}, named(projections.ResourceFilter{}))
		require.Equal(t, []string{"Laser", "Surgery"}, named(projections.ResourceFilter{Clinic: centre}))
		require.Equal(t, []string{"Cellar", "Laser", "Surgery"}, named(projections.ResourceFilter{Clinic: centre, Retired: true}))
		require.Equal(t, []string{"Pier", "Surgery"}, named(projections.ResourceFilter{Kind: resource.Room}))
		require.Equal(t, []string{"Pier", "Surgery"}, named(projections.ResourceFilter{After: projections.NameCursor{Name: "Laser", ID: "r2"}}))
		first, err := projections.NewCatalogue(e).Resources(t.Context(), projections.ResourceFilter{Limit: 1}, 6)
		require.NoError(t, err)
		require.Equal(t, projections.List[projections.Resource]{More: true, Position: 6, Items: []projections.Resource{{
			ID: "r2", Clinic: centre, Kind: "device", Name: "Laser",
		}}}, first)
	}))
}
