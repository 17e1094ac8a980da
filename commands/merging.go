package commands

import (
	"context"
	"maps"
	"slices"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/quota"
)

// A patient who was registered twice is one person with two ids. What was
// booked for either stays as it is, under its own id; what is booked or moved
// from the merge on is claimed for all of them, so that it meets both. Once they
// are unmerged, a claim of the one on the other's streams counts for nothing.

// others returns under which ids a patient is known besides, and what has to
// stay so until the append: nothing for who was never merged.
func (h *Handler) others(ctx context.Context, s patient.State) ([]domain.PatientID, []Write, error) {
	if s.MergedInto == "" {
		return duplicates(s), nil, nil
	}
	kept, check, err := profile(ctx, h, patient.Stream(s.MergedInto), patient.Evolve, patient.ErrNotFound)
	others := slices.DeleteFunc(duplicates(kept), func(id domain.PatientID) bool { return id == s.ID })
	return append(others, s.MergedInto), []Write{check}, err
}

func duplicates(s patient.State) []domain.PatientID {
	var ids []domain.PatientID
	for _, t := range s.Duplicates {
		ids = append(ids, t.Patient)
	}
	return ids
}

// also returns the wish for one person who is known under other ids, too.
func (w wish) also(others []domain.PatientID) wish {
	if len(others) == 0 {
		return w
	}
	w.others, w.limits = others, maps.Clone(w.limits)
	for stream, maximum := range maps.Clone(w.limits) {
		for _, sibling := range w.siblings(stream) {
			w.limits[sibling] = maximum
		}
	}
	return w
}

// siblings returns the streams that count the same for the patient's other ids,
// none for a quota that is not the patient's.
func (w wish) siblings(stream domain.StreamName) []domain.StreamName {
	if len(w.others) == 0 {
		return nil
	}
	q, ok := quota.Parse(stream)
	who, ids := countedPatient(q), append(slices.Clone(w.others), w.visit.Patient)
	if !ok || !slices.Contains(ids, who) {
		return nil
	}
	var names []domain.StreamName
	for _, id := range ids {
		if id != who {
			names = append(names, q.For(id).Stream())
		}
	}
	return names
}

// countedPatient returns whose appointments or offers a quota counts, "" when it
// is not a patient's: what somebody holds is not counted with others.
func countedPatient(q quota.Quota) domain.PatientID {
	if q.Rule == quota.Holds {
		return ""
	}
	return q.Patient()
}

// patientOf returns whose time or number an arbiter's stream is about, "" when it
// is not a patient's.
func patientOf(stream domain.StreamName) domain.PatientID {
	if q, ok := quota.Parse(stream); ok {
		return countedPatient(q)
	}
	if s := occupancy.SubjectOf(stream); stream.Category() == occupancy.Category && s.Kind == occupancy.Patient("").Kind {
		return domain.PatientID(s.ID)
	}
	return ""
}

// beside returns what the person's other ids are counted with.
func (a *attempt) beside(stream domain.StreamName) []quota.Counted {
	var counted []quota.Counted
	for _, name := range a.siblings(stream) {
		counted = append(counted, domain.Replay(quota.Evolve, quota.State{}, a.loaded[name]).Claims...)
	}
	return counted
}

// apart reports whether a set's claim on a patient's stream is that of somebody
// who is not that person any more.
func (h *Handler) apart(ctx context.Context, stream domain.StreamName, s appointment.Set) (bool, error) {
	who := patientOf(stream)
	if who == "" || s.Patient == "" || s.Patient == who || s.Fate == claim.Dead {
		return false, nil
	}
	names := []domain.StreamName{patient.Stream(who), patient.Stream(s.Patient)}
	loaded, err := h.Store.Load(ctx, names...)
	if err != nil {
		return false, err
	}
	var kept [2]domain.PatientID
	for i, name := range names {
		p := domain.Replay(patient.Evolve, patient.State{}, loaded[name])
		if kept[i] = p.MergedInto; kept[i] == "" {
			kept[i] = p.ID
		}
	}
	return kept[0] != kept[1], nil
}
