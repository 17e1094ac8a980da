package commands

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/domain/waitlist"
)

// wish is a visit with what its arbiters need to know to decide its claims.
type wish struct {
	visit  appointment.Visit
	opened map[domain.SlotID]opened
	limits map[domain.StreamName]int // the maximum of each quota that counts the visit
	beyond string                    // why staff take it in where no place is left; "" = they do not
	checks []Write                   // that what the visit takes is as the wish assumes
	others []domain.PatientID        // under which the patient is known besides
	waits  domain.WishID             // of the waiting list, for which it is to be offered; "" = nobody's
}

// streams returns the arbiters' streams, sorted.
func (w wish) streams() []domain.StreamName {
	var names []domain.StreamName
	if w.visit.Patient != "" {
		for _, day := range w.visit.Days() {
			names = append(names, occupancy.Patient(w.visit.Patient).Stream(day))
			for _, id := range w.others {
				names = append(names, occupancy.Patient(id).Stream(day))
			}
		}
	}
	for _, u := range w.visit.Uses {
		for _, day := range u.Days() {
			names = append(names, occupancy.Subject{Kind: u.Kind, ID: u.ID}.Stream(day))
		}
	}
	for _, s := range w.visit.Slots {
		names = append(names, slot.Stream(s))
	}
	for stream := range w.limits {
		names = append(names, stream)
	}
	if w.waits != "" {
		names = append(names, waitlist.Stream(w.waits))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// arbiter is one claim of a set at the stream that decides it.
type arbiter struct {
	wish
	stream    domain.StreamName
	claim     claim.Claim
	tentative bool // the set will be held or requested, not booked
	hold      bool // it will be held
	insist    bool // no claim in the way is dead: now a place may be added
	beside    []quota.Counted
	offer     bool      // it will be offered to somebody of the waiting list
	until     time.Time // when that offer ends
	ends      map[claim.Claim]string
}

// decide returns what claiming does to the arbiter's stream.
func (a arbiter) decide(recorded []domain.Recorded, fates claim.Fates) ([]domain.Event, error) {
	switch a.stream.Category() {
	case slot.Category:
		state := domain.Replay(slot.Evolve, slot.State{}, recorded)
		events, err := slot.Decide(state, a.slotClaim(fates))
		return facts(events), err
	case occupancy.Category:
		return a.takeTime(recorded, fates)
	case waitlist.Category:
		return a.fulfil(recorded, fates)
	}
	return a.count(recorded, fates)
}

func (a arbiter) slotClaim(fates claim.Fates) slot.Claim {
	o := a.opened[domain.SlotID(a.stream.ID())]
	return slot.Claim{
		Terms: o.terms, Capacity: o.capacity, Tentative: a.tentative, Beyond: a.insist, Fates: fates,
		Reason: domain.Open(string(a.visit.Patient), a.beyond),
		Holder: slot.Holder{Claim: a.claim, Appointment: a.visit.Appointment, Patient: a.visit.Patient},
	}
}

// takeTime claims the patient's time, or each period for which a room or device is
// used on the stream's day.
func (a arbiter) takeTime(recorded []domain.Recorded, fates claim.Fates) ([]domain.Event, error) {
	state := domain.Replay(occupancy.Evolve, occupancy.State{}, recorded)
	c := occupancy.Claim{
		Subject: occupancy.SubjectOf(a.stream), Tentative: a.tentative, Fates: fates,
		Taken: occupancy.Taken{Claim: a.claim, Appointment: a.visit.Appointment, Period: a.visit.Period},
	}
	if c.Subject.Kind == occupancy.Patient("").Kind {
		events, err := occupancy.Decide(state, c)
		return facts(events), err
	}
	var all []occupancy.Event
	for _, used := range a.visit.UsesOf(c.Subject.Kind, c.Subject.ID) {
		if !slices.Contains(used.Days(), occupancy.DayOf(a.stream)) {
			continue
		}
		c.Taken.Period = used
		events, err := occupancy.Decide(state, c)
		if err != nil {
			return nil, err
		}
		state, all = domain.Fold(occupancy.Evolve, state, events...), append(all, events...)
	}
	return facts(all), nil
}

// count counts the visit; what is counted as a hold is no longer once it is
// booked or requested. What is counted as an offer is left: until it is booked it
// is the patient's only one, and then the claim counts for nothing.
func (a arbiter) count(recorded []domain.Recorded, fates claim.Fates) ([]domain.Event, error) {
	q, _ := quota.Parse(a.stream)
	if q.Rule == quota.Holds && !a.hold {
		return release(a.stream, recorded, a.claim, "")
	}
	state := domain.Replay(quota.Evolve, quota.State{}, recorded)
	counted := quota.Counted{Claim: a.claim, Appointment: a.visit.Appointment}
	events, err := quota.Decide(state, quota.Claim{Quota: q, Counted: counted, Maximum: a.limits[a.stream], Fates: fates, Beside: a.beside})
	return facts(events), err
}

// fulfil claims a wish of the waiting list: the patient is offered something for
// it, or takes it.
func (a arbiter) fulfil(recorded []domain.Recorded, fates claim.Fates) ([]domain.Event, error) {
	offer := waitlist.Offer{Claim: a.claim, Appointment: a.visit.Appointment, Until: a.until, Opening: waitlist.Opening{
		Slot: a.visit.Slots[0], Practitioner: a.visit.Practitioner, Clinic: a.visit.Clinic, Period: a.visit.Period,
	}}
	state := domain.Replay(waitlist.Evolve, waitlist.State{}, recorded)
	events, err := waitlist.Decide(state, waitlist.Claim{Offer: offer, Accepting: !a.offer, Fates: fates, Ends: a.ends})
	return facts(events), err
}

// release returns what giving a claim back does to an arbiter's stream. Why is for
// wishes of the waiting list, as [waitlist.Release] says.
func release(stream domain.StreamName, recorded []domain.Recorded, c claim.Claim, why string) ([]domain.Event, error) {
	switch stream.Category() {
	case slot.Category:
		state := domain.Replay(slot.Evolve, slot.State{}, recorded)
		events, err := slot.Decide(state, slot.Release{Claim: c})
		return facts(events), err
	case occupancy.Category:
		state := domain.Replay(occupancy.Evolve, occupancy.State{}, recorded)
		events, err := occupancy.Decide(state, occupancy.Release{Subject: occupancy.SubjectOf(stream), Claim: c})
		return facts(events), err
	case quota.Category:
		q, _ := quota.Parse(stream)
		state := domain.Replay(quota.Evolve, quota.State{}, recorded)
		events, err := quota.Decide(state, quota.Release{Quota: q, Claim: c})
		return facts(events), err
	case waitlist.Category:
		state := domain.Replay(waitlist.Evolve, waitlist.State{}, recorded)
		events, err := waitlist.Decide(state, waitlist.Release{Claim: c, Why: why})
		return facts(events), err
	}
	return nil, nil
}

func facts[E domain.Event](events []E) []domain.Event {
	all := make([]domain.Event, len(events))
	for i, e := range events {
		all[i] = e
	}
	return all
}
