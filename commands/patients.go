package commands

import (
	"context"
	"errors"
	"slices"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/patient"
)

var patients = aggregate[patient.State, patient.Command, patient.Event]{patient.Decide, patient.Evolve}

// RegisterPatient makes a patient known, with a guardian if one is named.
// Errors: the refusals of package patient, and those of every command.
func (h *Handler) RegisterPatient(ctx context.Context, req Request, c patient.Register) (Answer[patient.State], error) {
	if c.Guardian != "" {
		return h.tie(ctx, req, c.Patient, guardianship, c)
	}
	return handle(ctx, h, req, patient.Stream(c.Patient), patients, patient.Command(c), unguarded)
}

// SetGuardian says who books for a patient, in place of who did before.
// Errors: the refusals of package patient, and those of every command.
func (h *Handler) SetGuardian(ctx context.Context, req Request, id, guardian domain.PatientID) (Answer[patient.State], error) {
	return h.tie(ctx, req, id, guardianship, patient.SetGuardian{Guardian: guardian})
}

// RemoveGuardian says that nobody else books for a patient any more. Errors:
// [patient.ErrNotFound], and those of every command.
func (h *Handler) RemoveGuardian(ctx context.Context, req Request, id domain.PatientID) (Answer[patient.State], error) {
	return h.tie(ctx, req, id, guardianship, patient.RemoveGuardian{})
}

// MergePatient says that a patient is the same person as another, who is kept.
// Errors: the refusals of package patient, and those of every command.
func (h *Handler) MergePatient(ctx context.Context, req Request, id, into domain.PatientID) (Answer[patient.State], error) {
	return h.tie(ctx, req, id, merging, patient.Merge{Into: into})
}

// UnmergePatient undoes a merge. Errors: [patient.ErrNotFound], and those of
// every command.
func (h *Handler) UnmergePatient(ctx context.Context, req Request, id domain.PatientID) (Answer[patient.State], error) {
	return h.tie(ctx, req, id, merging, patient.Unmerge{})
}

// Patient returns a patient as the stream says. Errors: [patient.ErrNotFound].
func (h *Handler) Patient(ctx context.Context, id domain.PatientID) (Answer[patient.State], error) {
	return read(ctx, h, patient.Stream(id), patient.Evolve, patient.ErrNotFound)
}

// tieKind is how the two streams of a tie between patients are kept in step:
// that of the dependent or duplicate, which commits it, and the other's.
type tieKind struct {
	now    func(patient.State) patient.Tie // to whom the dependent or duplicate is tied
	before func(patient.State) patient.Tie // and was tied last
	add    func(s patient.State, t patient.Tie) patient.Command
	remove func(t patient.Tie) patient.Command
	nobody error // the other does not exist
}

var (
	guardianship = tieKind{
		now: func(s patient.State) patient.Tie {
			return patient.Tie{Patient: s.Guardian, Since: s.Guardianship.Since}
		},
		before: func(s patient.State) patient.Tie { return s.Guardianship.Before },
		add:    func(_ patient.State, t patient.Tie) patient.Command { return patient.AddDependent{Tie: t} },
		remove: func(t patient.Tie) patient.Command { return patient.RemoveDependent{Tie: t} },
		nobody: patient.ErrNotFound.Because("there is no such guardian"),
	}
	merging = tieKind{
		now:    func(s patient.State) patient.Tie { return patient.Tie{Patient: s.MergedInto, Since: s.Merging.Since} },
		before: func(s patient.State) patient.Tie { return s.Merging.Before },
		add: func(s patient.State, t patient.Tie) patient.Command {
			return patient.AddDuplicate{Tie: t, Guardian: s.Guardian}
		},
		remove: func(t patient.Tie) patient.Command { return patient.RemoveDuplicate{Tie: t} },
		nobody: patient.ErrNotFound.Because("there is no such patient to merge into"),
	}
)

// tying is a command that makes or ends a tie, over all its tries.
type tying struct {
	tieKind
	req     Request
	id      domain.PatientID
	command patient.Command
	lost    []patient.Tie // what was noted with the other and lost the race to be committed
}

// tie executes a command that makes or ends a tie. Where the store can, all
// streams are appended to at once. Where it cannot, they go in this order:
//
//	other       dependent-added
//	own                         guardian-set   (the commit point)
//	the last                                   dependent-removed
//
// A repeat of the command finishes what was interrupted. What was noted and
// never committed keeps the other from a guardian of their own, or from being
// merged, and nothing else.
func (h *Handler) tie(ctx context.Context, req Request, id domain.PatientID, kind tieKind, c patient.Command) (Answer[patient.State], error) {
	return execute(h, req, func(h *Handler, req Request) (Answer[patient.State], error) {
		t := &tying{tieKind: kind, req: req, id: id, command: c}
		done, err := again(ctx, h, func(ctx context.Context) (Answer[patient.State], error) { return h.tieOnce(ctx, t) })
		if err != nil && len(t.lost) > 0 {
			h.takeBack(ctx, t)
		}
		return done, err
	})
}

func (h *Handler) tieOnce(ctx context.Context, t *tying) (Answer[patient.State], error) {
	own := patient.Stream(t.id)
	loaded, err := h.Store.Load(ctx, own)
	if err != nil {
		return Answer[patient.State]{}, err
	}
	recorded := loaded[own]
	state := domain.Replay(patient.Evolve, patient.State{}, recorded)
	upTo, err := replay(recorded, t.req)
	if err != nil {
		return Answer[patient.State]{}, err
	}
	if upTo > 0 {
		h.untie(ctx, t, t.before(state))
		return answer(domain.Replay(patient.Evolve, patient.State{}, recorded[:upTo]), recorded[:upTo]), nil
	}
	if err := t.req.expect(recorded); err != nil {
		return Answer[patient.State]{}, err
	}
	events, err := patient.Decide(state, t.command)
	if err != nil {
		return Answer[patient.State]{}, err
	}
	if len(events) == 0 {
		h.untie(ctx, t, t.before(state))
		return answer(state, recorded), nil
	}
	return h.commitTie(ctx, t, Write{own, last(recorded), stamp(h, t.req, events)}, domain.Fold(patient.Evolve, state, events...))
}

// commitTie stores what was decided on the own stream, whose state is then
// after, and what follows from it on the other ones.
func (h *Handler) commitTie(ctx context.Context, t *tying, own Write, after patient.State) (Answer[patient.State], error) {
	done := Answer[patient.State]{State: after, Revision: own.Expected + domain.Revision(len(own.Events))}
	note, err := h.note(ctx, t, after)
	if err != nil {
		return done, err
	}
	if h.Store.Atomic() {
		var ended []Write
		if before := t.before(after); before.Patient != t.now(after).Patient {
			ended, err = h.end(ctx, t, before)
		}
		if err == nil {
			done.Position, err = h.appendPatients(ctx, slices.Concat(note, []Write{own}, ended)...)
		}
		return done, err
	}
	for _, w := range note {
		if _, err := h.appendPatients(ctx, w); err != nil {
			return done, err
		}
	}
	done.Position, err = h.appendPatients(ctx, own)
	switch {
	case err == nil:
		h.untie(ctx, t, t.before(after))
	case errors.Is(err, ErrWrongRevision) && len(note) > 0:
		t.lost = append(t.lost, t.now(after))
	}
	return done, err
}

// untie ends a tie that is no more, or never came to be.
// It comes after the commit point, or after a refusal, so that its failure is
// nobody's. Where the store appends to several streams there is nothing left
// to end.
func (h *Handler) untie(ctx context.Context, t *tying, tie patient.Tie) {
	if h.Store.Atomic() {
		return
	}
	_, _ = again(ctx, h, func(ctx context.Context) (domain.Position, error) {
		writes, err := h.end(ctx, t, tie)
		if err != nil || len(writes) == 0 {
			return 0, err
		}
		return h.appendPatients(ctx, writes...)
	})
}

// takeBack ends what was noted by a command that came to nothing. The own
// stream has gone on since: what it does not say now it never will, and what it
// does say was committed by somebody else's command.
func (h *Handler) takeBack(ctx context.Context, t *tying) {
	own, err := h.Patient(ctx, t.id)
	if err != nil {
		return
	}
	for _, tie := range t.lost {
		if tie != t.now(own.State) {
			h.untie(ctx, t, tie)
		}
	}
}

// note returns the write that tells the other of a tie that is about to be.
func (h *Handler) note(ctx context.Context, t *tying, after patient.State) ([]Write, error) {
	now := t.now(after)
	if now.Patient == "" {
		return nil, nil
	}
	write, err := h.other(ctx, t, now.Patient, t.add(after, patient.Tie{Patient: t.id, Since: now.Since}))
	if errors.Is(err, patient.ErrNotFound) {
		err = t.nobody
	}
	return write, err
}

// end returns the write that tells the other of a tie that is no more.
func (h *Handler) end(ctx context.Context, t *tying, ended patient.Tie) ([]Write, error) {
	if ended.Patient == "" {
		return nil, nil
	}
	return h.other(ctx, t, ended.Patient, t.remove(patient.Tie{Patient: t.id, Since: ended.Since}))
}

func (h *Handler) other(ctx context.Context, t *tying, id domain.PatientID, c patient.Command) ([]Write, error) {
	stream := patient.Stream(id)
	loaded, err := h.Store.Load(ctx, stream)
	if err != nil {
		return nil, err
	}
	events, err := patient.Decide(domain.Replay(patient.Evolve, patient.State{}, loaded[stream]), c)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	return []Write{{stream, last(loaded[stream]), stamp(h, t.req, events)}}, nil
}

// appendPatients stores the writes, and forgets what the handler knew of these
// patients: a change of one's own need not be found out by losing a race.
func (h *Handler) appendPatients(ctx context.Context, writes ...Write) (domain.Position, error) {
	defer h.forget(writes)
	return h.Store.Append(ctx, writes...)
}
