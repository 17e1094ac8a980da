package patient_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/domaintest"
	"github.com/slotbook/slotbook/domain/patient"
)

var (
	spec  = domaintest.Spec[patient.State, patient.Command, patient.Event]{Decide: patient.Decide, Evolve: patient.Evolve}
	known = patient.Registered{Patient: "ana", Name: domain.Sealed{Person: "ana", Box: "sealed"}}
)

func TestRegister(t *testing.T) {
	t.Parallel()
	events, err := patient.Decide(patient.State{}, patient.Register{Patient: "ana", Name: "Ana", Phone: "1"})
	require.NoError(t, err)
	require.Equal(t, []patient.Event{patient.Registered{
		Patient: "ana", Name: domain.Open("ana", "Ana"), Phone: domain.Open("ana", "1"),
	}}, events, "every personal field is under the patient's own key")

	t.Run("is refused without a name", spec.Given().When(patient.Register{Patient: "ana"}).ThenRefuse(patient.ErrNoName))
	for _, bad := range []string{"ana", "@x", "ana@", "a@b@c", "a b@c"} {
		t.Run("is refused with the e-mail "+bad,
			spec.Given().When(patient.Register{Patient: "ana", Name: "Ana", Email: bad}).ThenRefuse(patient.ErrEmail))
	}
	t.Run("of a known id is refused: sealed names cannot be compared",
		spec.Given(known).When(patient.Register{Patient: "ana", Name: "Ana"}).ThenRefuse(patient.ErrExists))
}
