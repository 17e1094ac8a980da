package patient_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/patient"
)

var (
	child        = patient.GuardianSet{Patient: "ana", Guardian: "eva"}
	free         = patient.GuardianRemoved{Patient: "ana", Guardian: "eva"}
	mother       = patient.DependentAdded{Patient: "ana", Dependent: "leo", Since: 1}
	leo          = patient.Tie{Patient: "leo", Since: 1}
	merged       = patient.Merged{Patient: "ana", Into: "eva"}
	apart        = patient.Unmerged{Patient: "ana", From: "eva"}
	hasDuplicate = patient.DuplicateAdded{Patient: "ana", Duplicate: "leo", Since: 1}
)

func TestAGuardianIsNamedAtRegistration(t *testing.T) {
	t.Parallel()
	events, err := patient.Decide(patient.State{}, patient.Register{Patient: "ana", Name: "Ana", Guardian: "eva"})
	require.NoError(t, err)
	require.Equal(t, []patient.Event{patient.Registered{Patient: "ana", Name: domain.Open("ana", "Ana")}, child}, events)
	t.Run("but nobody is their own",
		spec.Given().When(patient.Register{Patient: "ana", Name: "Ana", Guardian: "ana"}).ThenRefuse(patient.ErrOwnGuardian))
}

func TestSetGuardian(t *testing.T) {
	t.Parallel()
	set := patient.SetGuardian{Guardian: "eva"}
	t.Run("says who books for the patient", spec.Given(known).When(set).Then(child))
	t.Run("names another one in place of the first",
		spec.Given(known, child).When(patient.SetGuardian{Guardian: "tom"}).Then(patient.GuardianSet{Patient: "ana", Guardian: "tom"}))
	t.Run("is refused for nobody", spec.Given().When(set).ThenRefuse(patient.ErrNotFound))
	t.Run("is refused when it is the patient", spec.Given(known).When(patient.SetGuardian{Guardian: "ana"}).ThenRefuse(patient.ErrOwnGuardian))
	t.Run("is refused to somebody who has dependents", spec.Given(known, mother).When(set).ThenRefuse(patient.ErrHasDependents))
	t.Run("is refused to somebody who was merged", spec.Given(known, merged).When(set).ThenRefuse(patient.ErrMerged))
}

func TestRemoveGuardian(t *testing.T) {
	t.Parallel()
	t.Run("lets the patient book alone", spec.Given(known, child).When(patient.RemoveGuardian{}).Then(free))
	t.Run("of somebody without changes nothing", spec.Given(known).When(patient.RemoveGuardian{}).Then())
	t.Run("of nobody is refused", spec.Given().When(patient.RemoveGuardian{}).ThenRefuse(patient.ErrNotFound))
}

func TestAddDependent(t *testing.T) {
	t.Parallel()
	add := patient.AddDependent{Tie: leo}
	t.Run("makes a guardian", spec.Given(known).When(add).Then(mother))
	t.Run("notes a later tie in place of one that came to nothing",
		spec.Given(known, patient.DependentAdded{Patient: "ana", Dependent: "leo"}).When(add).Then(mother))
	t.Run("leaves a later tie to the same patient alone",
		spec.Given(known, mother).When(patient.AddDependent{Tie: patient.Tie{Patient: "leo"}}).Then())
	t.Run("is refused to somebody who has a guardian", spec.Given(known, child).When(add).ThenRefuse(patient.ErrHasGuardian))
	t.Run("is accepted once the guardian was removed", spec.Given(known, child, free).When(add).Then(mother))
	t.Run("is refused to somebody who was merged", spec.Given(known, merged).When(add).ThenRefuse(patient.ErrMerged))
	t.Run("is refused to nobody", spec.Given().When(add).ThenRefuse(patient.ErrNotFound))
}

func TestRemoveDependent(t *testing.T) {
	t.Parallel()
	t.Run("ends the tie", spec.Given(known, mother).When(patient.RemoveDependent{Tie: leo}).
		Then(patient.DependentRemoved{Patient: "ana", Dependent: "leo", Since: 1}))
	t.Run("leaves a later tie to the same patient alone",
		spec.Given(known, mother).When(patient.RemoveDependent{Tie: patient.Tie{Patient: "leo"}}).Then())
}

func TestMerge(t *testing.T) {
	t.Parallel()
	merge := patient.Merge{Into: "eva"}
	t.Run("says who is kept", spec.Given(known).When(merge).Then(merged))
	t.Run("keeps the guardian", spec.Given(known, child).When(patient.Merge{Into: "leo"}).Then(patient.Merged{Patient: "ana", Into: "leo"}))
	t.Run("is accepted again after it was undone", spec.Given(known, merged, apart).When(merge).Then(merged))
	t.Run("is refused into oneself", spec.Given(known).When(patient.Merge{Into: "ana"}).ThenRefuse(patient.ErrMergeSelf))
	t.Run("is refused into a second patient", spec.Given(known, merged).When(patient.Merge{Into: "tom"}).ThenRefuse(patient.ErrMerged))
	t.Run("is refused to somebody into whom others were merged", spec.Given(known, hasDuplicate).When(merge).ThenRefuse(patient.ErrHasDuplicates))
	t.Run("is refused to somebody who has dependents", spec.Given(known, mother).When(merge).ThenRefuse(patient.ErrHasDependents))
	t.Run("is refused to nobody", spec.Given().When(merge).ThenRefuse(patient.ErrNotFound))
}

func TestUnmerge(t *testing.T) {
	t.Parallel()
	t.Run("undoes a merge", spec.Given(known, merged).When(patient.Unmerge{}).Then(apart))
	t.Run("of somebody who was never merged changes nothing", spec.Given(known).When(patient.Unmerge{}).Then())
	t.Run("of nobody is refused", spec.Given().When(patient.Unmerge{}).ThenRefuse(patient.ErrNotFound))
}

func TestAddDuplicate(t *testing.T) {
	t.Parallel()
	add := patient.AddDuplicate{Tie: leo}
	ofEva := patient.AddDuplicate{Tie: leo, Guardian: "eva"}
	t.Run("keeps the patient", spec.Given(known).When(add).Then(hasDuplicate))
	t.Run("takes a child of the same guardian", spec.Given(known, child).When(ofEva).Then(hasDuplicate))
	t.Run("is refused for a child of another guardian", spec.Given(known).When(ofEva).ThenRefuse(patient.ErrOtherGuardian))
	t.Run("is refused to somebody who was merged", spec.Given(known, merged).When(add).ThenRefuse(patient.ErrMerged))
	t.Run("is refused to nobody", spec.Given().When(add).ThenRefuse(patient.ErrNotFound))
}

func TestRemoveDuplicate(t *testing.T) {
	t.Parallel()
	t.Run("ends the tie", spec.Given(known, hasDuplicate).When(patient.RemoveDuplicate{Tie: leo}).
		Then(patient.DuplicateRemoved{Patient: "ana", Duplicate: "leo", Since: 1}))
	t.Run("leaves a later tie to the same patient alone",
		spec.Given(known, hasDuplicate).When(patient.RemoveDuplicate{Tie: patient.Tie{Patient: "leo"}}).Then())
}

func TestAPatientRemembersTheLastTie(t *testing.T) {
	t.Parallel()
	s := domain.Fold(patient.Evolve, patient.State{}, []patient.Event{known, child, free, merged, apart}...)
	require.Equal(t, patient.Bond{Since: 2, Before: patient.Tie{Patient: "eva", Since: 1}}, s.Guardianship)
	require.Equal(t, patient.Bond{Since: 4, Before: patient.Tie{Patient: "eva", Since: 3}}, s.Merging)
	require.Equal(t, 5, s.Events)
}
