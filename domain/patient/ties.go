package patient

import (
	"slices"

	"github.com/slotbook/slotbook/domain"
)

// Tie is one end of a tie: who the other is. Since is the revision of the event
// that made it, in the stream of the dependent or duplicate. It tells a tie
// from a later one between the same two, and one that was only noted at the
// other end, because a process died, from one that came to be.
type Tie struct {
	Patient domain.PatientID
	Since   domain.Revision
}

// Bond is what a dependent or duplicate remembers of its ties of one kind.
type Bond struct {
	Since  domain.Revision // of the event that made or ended the last tie
	Before Tie             // the tie before that, zero when there was none
}

// next returns the bond after the event of a revision, which ends the tie to
// other, if there is one.
func (b Bond) next(other domain.PatientID, revision int) Bond {
	if other != "" {
		b.Before = Tie{other, b.Since}
	}
	b.Since = domain.Revision(revision)
	return b
}

// with returns the ties with another one, in place of an older one to the same
// patient.
func with(ties []Tie, t Tie) []Tie { return append(without(ties, t.Patient), t) }

func without(ties []Tie, id domain.PatientID) []Tie {
	return slices.DeleteFunc(slices.Clone(ties), func(t Tie) bool { return t.Patient == id })
}

// noted reports whether the tie, or a later one to the same patient, is there:
// an earlier one than that can only be a straggler's, whose commit will fail.
func noted(ties []Tie, t Tie) bool {
	return slices.ContainsFunc(ties, func(u Tie) bool { return u.Patient == t.Patient && u.Since >= t.Since })
}

// The commands of a dependent's or duplicate's stream.
type (
	// SetGuardian says who books for the patient.
	SetGuardian struct{ Guardian domain.PatientID }
	// RemoveGuardian says that nobody else books for the patient any more.
	RemoveGuardian struct{}
	// Merge says that the patient is the same person as another, who is kept.
	Merge struct{ Into domain.PatientID }
	// Unmerge says that the patient is a person of their own after all.
	Unmerge struct{}
)

// The commands of a guardian's or kept patient's stream. They follow from those
// above, and nobody else sends them.
type (
	// AddDependent notes a tie before the dependent's stream commits it.
	AddDependent struct{ Tie }
	// RemoveDependent ends a tie that its dependent's stream has ended.
	RemoveDependent struct{ Tie }
	// AddDuplicate notes a tie before the duplicate's stream commits it.
	AddDuplicate struct {
		Tie
		Guardian domain.PatientID // the duplicate's
	}
	// RemoveDuplicate ends a tie that its duplicate's stream has ended.
	RemoveDuplicate struct{ Tie }
)

func (SetGuardian) command()     {}
func (RemoveGuardian) command()  {}
func (Merge) command()           {}
func (Unmerge) command()         {}
func (AddDependent) command()    {}
func (RemoveDependent) command() {}
func (AddDuplicate) command()    {}
func (RemoveDuplicate) command() {}

type (
	// GuardianSet says who books for the patient from now on.
	GuardianSet struct {
		Patient  domain.PatientID `json:"patient"`
		Guardian domain.PatientID `json:"guardian"`
	}
	// GuardianRemoved says that the patient has no guardian any more.
	GuardianRemoved struct {
		Patient  domain.PatientID `json:"patient"`
		Guardian domain.PatientID `json:"guardian"` // who was it
	}
	// DependentAdded says that the patient is somebody's guardian.
	DependentAdded struct {
		Patient   domain.PatientID `json:"patient"`
		Dependent domain.PatientID `json:"dependent"`
		Since     domain.Revision  `json:"since"`
	}
	// DependentRemoved says that the patient is not somebody's guardian any more.
	DependentRemoved struct {
		Patient   domain.PatientID `json:"patient"`
		Dependent domain.PatientID `json:"dependent"`
		Since     domain.Revision  `json:"since"`
	}
	// Merged says that the patient is the same person as another, who is kept.
	Merged struct {
		Patient domain.PatientID `json:"patient"`
		Into    domain.PatientID `json:"into"`
	}
	// Unmerged says that the patient is a person of their own after all.
	Unmerged struct {
		Patient domain.PatientID `json:"patient"`
		From    domain.PatientID `json:"from"`
	}
	// DuplicateAdded says that another patient was merged into this one.
	DuplicateAdded struct {
		Patient   domain.PatientID `json:"patient"`
		Duplicate domain.PatientID `json:"duplicate"`
		Since     domain.Revision  `json:"since"`
	}
	// DuplicateRemoved says that another patient is not merged into this one any
	// more.
	DuplicateRemoved struct {
		Patient   domain.PatientID `json:"patient"`
		Duplicate domain.PatientID `json:"duplicate"`
		Since     domain.Revision  `json:"since"`
	}
)

// EventType returns "patient.guardian-set".
func (GuardianSet) EventType() string { return "patient.guardian-set" }

// EventType returns "patient.guardian-removed".
func (GuardianRemoved) EventType() string { return "patient.guardian-removed" }

// EventType returns "patient.dependent-added".
func (DependentAdded) EventType() string { return "patient.dependent-added" }

// EventType returns "patient.dependent-removed".
func (DependentRemoved) EventType() string { return "patient.dependent-removed" }

// EventType returns "patient.merged".
func (Merged) EventType() string { return "patient.merged" }

// EventType returns "patient.unmerged".
func (Unmerged) EventType() string { return "patient.unmerged" }

// EventType returns "patient.duplicate-added".
func (DuplicateAdded) EventType() string { return "patient.duplicate-added" }

// EventType returns "patient.duplicate-removed".
func (DuplicateRemoved) EventType() string { return "patient.duplicate-removed" }

func (GuardianSet) patientEvent()      {}
func (GuardianRemoved) patientEvent()  {}
func (DependentAdded) patientEvent()   {}
func (DependentRemoved) patientEvent() {}
func (Merged) patientEvent()           {}
func (Unmerged) patientEvent()         {}
func (DuplicateAdded) patientEvent()   {}
func (DuplicateRemoved) patientEvent() {}

func setGuardian(s State, c SetGuardian) ([]Event, error) {
	switch {
	case c.Guardian == s.ID:
		return nil, ErrOwnGuardian
	case s.MergedInto != "":
		return nil, ErrMerged
	case c.Guardian == s.Guardian:
		return nil, nil
	case len(s.Dependents) > 0:
		return nil, ErrHasDependents
	}
	return []Event{GuardianSet{s.ID, c.Guardian}}, nil
}

func removeGuardian(s State) ([]Event, error) {
	if s.Guardian == "" {
		return nil, nil
	}
	return []Event{GuardianRemoved{s.ID, s.Guardian}}, nil
}

func addDependent(s State, c AddDependent) ([]Event, error) {
	switch {
	case noted(s.Dependents, c.Tie):
		return nil, nil
	case s.MergedInto != "":
		return nil, ErrMerged
	case s.Guardian != "":
		return nil, ErrHasGuardian
	}
	return []Event{DependentAdded{s.ID, c.Patient, c.Since}}, nil
}

func removeDependent(s State, c RemoveDependent) ([]Event, error) {
	if !slices.Contains(s.Dependents, c.Tie) {
		return nil, nil
	}
	return []Event{DependentRemoved{s.ID, c.Patient, c.Since}}, nil
}

func merge(s State, c Merge) ([]Event, error) {
	switch {
	case c.Into == s.ID:
		return nil, ErrMergeSelf
	case c.Into == s.MergedInto:
		return nil, nil
	case s.MergedInto != "":
		return nil, ErrMerged
	case len(s.Duplicates) > 0:
		return nil, ErrHasDuplicates
	case len(s.Dependents) > 0:
		return nil, ErrHasDependents
	}
	return []Event{Merged{s.ID, c.Into}}, nil
}

func unmerge(s State) ([]Event, error) {
	if s.MergedInto == "" {
		return nil, nil
	}
	return []Event{Unmerged{s.ID, s.MergedInto}}, nil
}

func addDuplicate(s State, c AddDuplicate) ([]Event, error) {
	switch {
	case noted(s.Duplicates, c.Tie):
		return nil, nil
	case s.MergedInto != "":
		return nil, ErrMerged
	case c.Guardian != "" && c.Guardian != s.Guardian:
		return nil, ErrOtherGuardian
	}
	return []Event{DuplicateAdded{s.ID, c.Patient, c.Since}}, nil
}

func removeDuplicate(s State, c RemoveDuplicate) ([]Event, error) {
	if !slices.Contains(s.Duplicates, c.Tie) {
		return nil, nil
	}
	return []Event{DuplicateRemoved{s.ID, c.Patient, c.Since}}, nil
}
