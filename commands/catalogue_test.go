package commands_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/resource"
	"github.com/slotbook/slotbook/domain/visittype"
)

const (
	checkUp domain.VisitTypeID = "visit-type-1"
	room    domain.ResourceID  = "room-1"
)

func (w *world) define() commands.Answer[visittype.State] {
	answer, err := w.h.DefineVisitType(w.ctx, w.request(), visittype.Define{
		VisitType: checkUp, Clinic: w.clinic, Terms: visittype.Terms{Name: "Check-up", Duration: 30},
	})
	require.NoError(w.t, err)
	return answer
}

func TestAVisitTypeIsDefinedChangedAndRetired(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		require.Equal(t, domain.Revision(0), w.define().Revision)
		longer := visittype.Change{Terms: visittype.Terms{Name: "Check-up", Duration: 45}}
		changed, err := w.h.ChangeVisitType(w.ctx, w.request(), checkUp, longer)
		require.NoError(t, err)
		require.Equal(t, 45, changed.State.Duration)
		again, err := w.h.ChangeVisitType(w.ctx, w.request(), checkUp, longer)
		require.NoError(t, err)
		require.True(t, again.Replayed)
		_, err = w.h.RetireVisitType(w.ctx, w.request(), checkUp)
		require.NoError(t, err)
		found, err := w.h.VisitType(w.ctx, checkUp)
		require.NoError(t, err)
		require.True(t, found.State.Retired)
		require.Equal(t, domain.Revision(2), found.Revision)
		_, err = w.h.ChangeVisitType(w.ctx, w.request(), checkUp, longer)
		require.ErrorIs(t, err, visittype.ErrRetired)
		_, err = w.h.VisitType(w.ctx, "another")
		require.ErrorIs(t, err, visittype.ErrNotFound)
	})
}

func TestARoomIsAddedRenamedAndRetired(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		add := resource.Add{Resource: room, Clinic: w.clinic, Kind: resource.Room, Name: "Room 1"}
		_, err := w.h.AddResource(w.ctx, w.request(), add)
		require.NoError(t, err)
		_, err = w.h.RenameResource(w.ctx, w.request(), room, resource.Rename{Name: "Surgery"})
		require.NoError(t, err)
		_, err = w.h.RetireResource(w.ctx, w.request(), room)
		require.NoError(t, err)
		found, err := w.h.Resource(w.ctx, room)
		require.NoError(t, err)
		require.Equal(t, resource.State{
			ID: room, Clinic: w.clinic, Kind: resource.Room, Name: "Surgery", Arbiter: resource.Occupancy, Retired: true,
		}, found.State)
		_, err = w.h.Resource(w.ctx, "another")
		require.ErrorIs(t, err, resource.ErrNotFound)
	})
}

func TestOnlyAClinicThatExistsHasVisitTypesAndRooms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	_, err := w.h.DefineVisitType(w.ctx, w.request(), visittype.Define{
		VisitType: checkUp, Clinic: "nowhere", Terms: visittype.Terms{Name: "Check-up", Duration: 30},
	})
	require.ErrorIs(t, err, clinic.ErrNotFound)
	_, err = w.h.AddResource(w.ctx, w.request(), resource.Add{Resource: room, Clinic: "nowhere", Kind: resource.Room, Name: "Room 1"})
	require.ErrorIs(t, err, clinic.ErrNotFound)
}

func (w *world) policyOf(kind, id string, terms policy.Terms) error {
	_, err := w.h.SetPolicy(w.ctx, w.request(), policy.Set{Scope: policy.Scope{Kind: kind, ID: id}, Terms: terms})
	return err
}

func TestOnlyWhoExistsHasAPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	require.ErrorIs(t, w.policyOf(policy.OfClinic, "nowhere", policy.Terms{}), clinic.ErrNotFound)
	require.ErrorIs(t, w.policyOf(policy.OfPractitioner, "nobody", policy.Terms{}), practitioner.ErrNotFound)
	require.ErrorIs(t, w.policyOf(policy.OfVisitType, "nothing", policy.Terms{}), visittype.ErrNotFound)
	require.ErrorIs(t, w.policyOf("patient", string(w.ana), policy.Terms{}), policy.ErrScope)
	_, err := w.h.Policy(w.ctx, policy.Scope{Kind: policy.OfClinic, ID: string(w.clinic)})
	require.ErrorIs(t, err, policy.ErrNotFound)
}

func TestTheTermsInForceSayWhereTheyAreFrom(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.define()
		require.NoError(t, w.policyOf(policy.OfClinic, string(w.clinic), policy.Terms{MinNotice: new(120), PatientDay: new(1)}))
		require.NoError(t, w.policyOf(policy.OfPractitioner, string(w.silva), policy.Terms{PatientDay: new(2)}))
		require.NoError(t, w.policyOf(policy.OfVisitType, string(checkUp), policy.Terms{Approval: new(true)}))
		head := len(w.log())

		in, err := w.h.EffectivePolicy(w.ctx, w.clinic, w.silva, checkUp)
		require.NoError(t, err)
		require.Equal(t, 2*time.Hour, in.MinNotice)
		require.Equal(t, 2, in.PatientDay)
		require.True(t, in.Approval)
		require.Equal(t, 10*time.Minute, in.UndoGrace)
		require.Equal(t, "clinic practitioner visit-type default",
			strings.Join([]string{in.Sources["minNotice"], in.Sources["patientDay"], in.Sources["approval"], in.Sources["undoGrace"]}, " "))
		require.Len(t, in.Revisions, 3)
		require.Equal(t, domain.Position(head), in.Position)

		of, err := w.h.EffectivePolicy(w.ctx, w.clinic, w.souza, "")
		require.NoError(t, err)
		require.Equal(t, 1, of.PatientDay)

		_, err = w.h.EffectivePolicy(w.ctx, "nowhere", w.silva, checkUp)
		require.ErrorIs(t, err, clinic.ErrNotFound)
		_, err = w.h.EffectivePolicy(w.ctx, w.clinic, "nobody", checkUp)
		require.ErrorIs(t, err, practitioner.ErrNotFound)
		_, err = w.h.EffectivePolicy(w.ctx, w.clinic, w.silva, "nothing")
		require.ErrorIs(t, err, visittype.ErrNotFound)
	})
}
