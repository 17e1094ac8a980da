package commands_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/patient"
)

func (w *world) patient(id domain.PatientID) patient.State {
	answer, err := w.h.Patient(w.ctx, id)
	require.NoError(w.t, err)
	return answer.State
}

func (w *world) guardian(of, guardian domain.PatientID) error {
	_, err := w.h.SetGuardian(w.ctx, w.request(), of, guardian)
	return err
}

func (w *world) merge(id, into domain.PatientID) error {
	_, err := w.h.MergePatient(w.ctx, w.request(), id, into)
	return err
}

func ids(ties []patient.Tie) (all []domain.PatientID) {
	for _, t := range ties {
		all = append(all, t.Patient)
	}
	return all
}

// agreed fails the test unless both ends of every tie say the same, and there
// are no chains.
func (w *world) agreed(all ...domain.PatientID) {
	guardians, kept := map[domain.PatientID][]domain.PatientID{}, map[domain.PatientID][]domain.PatientID{}
	for _, id := range all {
		s := w.patient(id)
		guardians[s.Guardian] = append(guardians[s.Guardian], id)
		kept[s.MergedInto] = append(kept[s.MergedInto], id)
	}
	for _, id := range all {
		s := w.patient(id)
		require.ElementsMatch(w.t, guardians[id], ids(s.Dependents))
		require.ElementsMatch(w.t, kept[id], ids(s.Duplicates))
		require.False(w.t, len(s.Dependents) > 0 && (s.Guardian != "" || s.MergedInto != ""), "no chains of guardians")
		require.False(w.t, len(s.Duplicates) > 0 && s.MergedInto != "", "no chains of merges")
	}
}

func TestAGuardianBooksForOthers(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		child := domain.PatientID(domain.NewID("child"))
		answer, err := w.h.RegisterPatient(w.ctx, w.request(), patient.Register{Patient: child, Name: "Leo", Guardian: w.ana})
		require.NoError(t, err)
		require.Equal(t, w.ana, answer.State.Guardian)
		require.Equal(t, []domain.PatientID{child}, ids(w.patient(w.ana).Dependents))

		require.NoError(t, w.guardian(child, w.boris))
		require.Empty(t, w.patient(w.ana).Dependents, "one guardian at a time")
		require.Equal(t, []domain.PatientID{child}, ids(w.patient(w.boris).Dependents))
		require.NoError(t, w.guardian(w.ana, w.boris))

		require.ErrorIs(t, w.guardian(w.carlos, w.ana), patient.ErrHasGuardian)
		require.ErrorIs(t, w.guardian(w.boris, w.carlos), patient.ErrHasDependents)
		require.ErrorIs(t, w.guardian(w.ana, "nobody"), patient.ErrNotFound)
		require.ErrorIs(t, w.guardian("nobody", w.ana), patient.ErrNotFound)
		_, err = w.h.RegisterPatient(w.ctx, w.request(), patient.Register{Patient: "new", Name: "New", Guardian: child})
		require.ErrorIs(t, err, patient.ErrHasGuardian)

		for range 2 {
			_, err = w.h.RemoveGuardian(w.ctx, w.request(), child)
			require.NoError(t, err)
			require.Empty(t, w.patient(child).Guardian)
			require.Equal(t, []domain.PatientID{w.ana}, ids(w.patient(w.boris).Dependents))
		}
		w.agreed(child, w.ana, w.boris, w.carlos)
	})
}

func TestADuplicateIsMergedAndUnmerged(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		require.NoError(t, w.merge(w.ana, w.boris))
		require.Equal(t, w.boris, w.patient(w.ana).MergedInto)
		require.Equal(t, []domain.PatientID{w.ana}, ids(w.patient(w.boris).Duplicates))
		before := len(w.log())
		require.NoError(t, w.merge(w.ana, w.boris))
		require.Len(t, w.log(), before, "merging again into the same changes nothing")

		require.ErrorIs(t, w.merge(w.ana, w.carlos), patient.ErrMerged)
		require.ErrorIs(t, w.merge(w.boris, w.carlos), patient.ErrHasDuplicates)
		require.ErrorIs(t, w.merge(w.carlos, w.ana), patient.ErrMerged)
		require.ErrorIs(t, w.merge(w.carlos, w.carlos), patient.ErrMergeSelf)
		require.ErrorIs(t, w.merge(w.carlos, "nobody"), patient.ErrNotFound)
		require.ErrorIs(t, w.guardian(w.carlos, w.ana), patient.ErrMerged)
		require.ErrorIs(t, w.guardian(w.ana, w.carlos), patient.ErrMerged)

		require.NoError(t, w.guardian(w.carlos, w.boris))
		require.ErrorIs(t, w.merge(w.boris, w.ana), patient.ErrHasDuplicates)
		_, err := w.h.UnmergePatient(w.ctx, w.request(), w.ana)
		require.NoError(t, err)
		require.Empty(t, w.patient(w.boris).Duplicates)
		require.ErrorIs(t, w.merge(w.boris, w.ana), patient.ErrHasDependents)
		require.ErrorIs(t, w.merge(w.carlos, w.ana), patient.ErrOtherGuardian)
		w.agreed(w.ana, w.boris, w.carlos)
	})
}

func TestTheSameTieUnderAKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		req := w.request()
		req.Hash = "body"
		first, err := w.h.SetGuardian(w.ctx, req, w.ana, w.boris)
		require.NoError(t, err)
		require.False(t, first.Replayed)
		_, err = w.h.RemoveGuardian(w.ctx, w.request(), w.ana)
		require.NoError(t, err)
		again, err := w.h.SetGuardian(w.ctx, req, w.ana, w.boris)
		require.NoError(t, err)
		require.True(t, again.Replayed)
		require.Equal(t, w.boris, again.State.Guardian, "the state at that revision, not today's")
		require.Equal(t, first.Revision, again.Revision)
		require.Empty(t, w.patient(w.boris).Dependents)
		req.Hash = "another body"
		_, err = w.h.SetGuardian(w.ctx, req, w.ana, w.carlos)
		require.ErrorIs(t, err, commands.ErrKeyReused)
		req, seen := w.request(), domain.Revision(0)
		req.Expected = &seen
		_, err = w.h.MergePatient(w.ctx, req, w.ana, w.boris)
		require.ErrorIs(t, err, commands.ErrStale)
		req = w.request()
		req.DryRun = true
		before := len(w.log())
		dry, err := w.h.MergePatient(w.ctx, req, w.ana, w.boris)
		require.NoError(t, err)
		require.Len(t, dry.Planned, 2)
		require.Len(t, w.log(), before)
	})
}

func TestARepeatFinishesATieThatWasInterrupted(t *testing.T) {
	t.Parallel()
	for appends := range 3 {
		for _, after := range []bool{false, true} {
			w := newWorld(t, true)
			require.NoError(t, w.guardian(w.ana, w.boris))
			req := w.request()
			_, err := w.handler(&crashing{Store: w.store, appends: appends, after: after}).SetGuardian(w.ctx, req, w.ana, w.carlos)
			if appends < 2 {
				require.ErrorIs(t, err, errCrash)
			}
			_, err = w.h.SetGuardian(w.ctx, req, w.ana, w.carlos)
			require.NoError(t, err)
			w.agreed(w.ana, w.boris, w.carlos)
			require.Equal(t, w.carlos, w.patient(w.ana).Guardian)
		}
	}
}

func TestATieThatIsRefusedHalfWayLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	slow := &pausing{Store: w.store, at: 1, pause: func() { require.NoError(t, w.guardian(w.carlos, w.ana)) }}
	_, err := w.handler(slow).SetGuardian(w.ctx, w.request(), w.ana, w.boris)
	require.ErrorIs(t, err, patient.ErrHasDependents)
	w.agreed(w.ana, w.boris, w.carlos)

	slow = &pausing{Store: w.store, at: 1, pause: func() { require.NoError(t, w.guardian(w.boris, w.ana)) }}
	_, err = w.handler(slow).MergePatient(w.ctx, w.request(), w.boris, w.ana)
	require.ErrorIs(t, err, patient.ErrOtherGuardian, "refused by the other end, which knows of the first try")
	w.agreed(w.ana, w.boris, w.carlos)
}

func TestBothStoresKeepTheSameTies(t *testing.T) {
	t.Parallel()
	history := func(stepByStep bool) map[domain.PatientID][]string {
		w := newWorld(t, stepByStep)
		require.NoError(t, w.guardian(w.ana, w.boris))
		require.NoError(t, w.guardian(w.ana, w.carlos))
		require.NoError(t, w.guardian(w.ana, w.boris))
		require.ErrorIs(t, w.guardian(w.boris, w.carlos), patient.ErrHasDependents)
		require.NoError(t, w.merge(w.carlos, w.boris))
		_, err := w.h.UnmergePatient(w.ctx, w.request(), w.carlos)
		require.NoError(t, err)
		all := map[domain.PatientID][]string{}
		for _, id := range []domain.PatientID{w.ana, w.boris, w.carlos} {
			all[id] = w.types(patient.Stream(id))
		}
		return all
	}
	require.Equal(t, history(false), history(true))
}

// TestTiesAreExactUnderConcurrency ties and unties five patients at random,
// over two processes.
func TestTiesAreExactUnderConcurrency(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		all := []domain.PatientID{w.ana, w.boris, w.carlos, "dora", "emil"}
		for _, id := range all[3:] {
			_, err := w.h.RegisterPatient(w.ctx, w.request(), patient.Register{Patient: id, Name: "x"})
			require.NoError(t, err)
		}
		var clients sync.WaitGroup
		for c := range 6 {
			h, random := w.h, rand.New(rand.NewPCG(uint64(c), 3))
			if c%2 == 0 {
				h = w.handler(w.store)
			}
			clients.Go(func() {
				for n := range 150 {
					req := commands.Request{Command: domain.NewID("tie", fmt.Sprint(c, n)), Actor: "local"}
					a, b := all[random.IntN(len(all))], all[random.IntN(len(all))]
					var err error
					switch random.IntN(5) {
					case 0, 1:
						_, err = h.SetGuardian(w.ctx, req, a, b)
					case 2:
						_, err = h.RemoveGuardian(w.ctx, req, a)
					case 3:
						_, err = h.MergePatient(w.ctx, req, a, b)
					case 4:
						_, err = h.UnmergePatient(w.ctx, req, a)
					}
					if err != nil && domain.RuleOf(err) == nil {
						t.Error(err)
					}
				}
			})
		}
		clients.Wait()
		w.agreed(all...)
		tied := slices.ContainsFunc(w.log(), func(r domain.Recorded) bool { return r.Event.EventType() == "patient.duplicate-removed" })
		require.True(t, tied, "something happened")
	})
}
