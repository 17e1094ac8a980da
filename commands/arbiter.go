package commands

import (
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/slot"
)

// arbiter is one claim of a set at the stream that decides it.
type arbiter interface {
	stream() domain.StreamName
	claim(recorded []domain.Recorded, fates claim.Fates) ([]domain.Event, error)
	release(recorded []domain.Recorded) ([]domain.Event, error)
}

// arbiters returns the claims of a visit's set, in the order of their streams.
// Capacity is the places that the slot was opened with; releasing does not
// need it.
func arbiters(v appointment.Visit, set, capacity int) []arbiter {
	id := claim.Claim{Owner: appointment.Stream(v.Appointment), Set: set}
	var all []arbiter
	subject := occupancy.Patient(v.Patient)
	for _, day := range v.Days() {
		all = append(all, timeClaim{subject, day, occupancy.Taken{Claim: id, Appointment: v.Appointment, Period: v.Period}})
	}
	for _, s := range v.Slots {
		terms := slot.Terms{Slot: s, Practitioner: v.Practitioner, Clinic: v.Clinic, Period: v.Period}
		all = append(all, slotClaim{terms, capacity, slot.Holder{Claim: id, Appointment: v.Appointment, Patient: v.Patient}})
	}
	return all
}

func streams(all []arbiter) []domain.StreamName {
	names := make([]domain.StreamName, len(all))
	for i, a := range all {
		names[i] = a.stream()
	}
	return names
}

// slotClaim claims one place of a slot.
type slotClaim struct {
	terms    slot.Terms
	capacity int
	holder   slot.Holder
}

func (c slotClaim) stream() domain.StreamName { return slot.Stream(c.terms.Slot) }

func (c slotClaim) claim(recorded []domain.Recorded, fates claim.Fates) ([]domain.Event, error) {
	state := domain.Replay(slot.Evolve, slot.State{}, recorded)
	events, err := slot.Decide(state, slot.Claim{Terms: c.terms, Capacity: c.capacity, Holder: c.holder, Fates: fates})
	return facts(events), err
}

func (c slotClaim) release(recorded []domain.Recorded) ([]domain.Event, error) {
	state := domain.Replay(slot.Evolve, slot.State{}, recorded)
	events, err := slot.Decide(state, slot.Release{Terms: c.terms, Claim: c.holder.Claim})
	return facts(events), err
}

// timeClaim claims a period of a patient's day.
type timeClaim struct {
	subject occupancy.Subject
	day     domain.Day
	taken   occupancy.Taken
}

func (c timeClaim) stream() domain.StreamName { return c.subject.Stream(c.day) }

func (c timeClaim) claim(recorded []domain.Recorded, fates claim.Fates) ([]domain.Event, error) {
	state := domain.Replay(occupancy.Evolve, occupancy.State{}, recorded)
	events, err := occupancy.Decide(state, occupancy.Claim{Subject: c.subject, Taken: c.taken, Fates: fates})
	return facts(events), err
}

func (c timeClaim) release(recorded []domain.Recorded) ([]domain.Event, error) {
	state := domain.Replay(occupancy.Evolve, occupancy.State{}, recorded)
	events, err := occupancy.Decide(state, occupancy.Release{Subject: c.subject, Claim: c.taken.Claim})
	return facts(events), err
}

func facts[E domain.Event](events []E) []domain.Event {
	all := make([]domain.Event, len(events))
	for i, e := range events {
		all[i] = e
	}
	return all
}
