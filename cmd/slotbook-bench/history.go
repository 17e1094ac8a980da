package main

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/slot"
)

// The history that is projected: every day newcomers register and a day opens,
// three quarters of the slots of the day opened before are booked, and every
// eighth booking of the day before that is cancelled.
const (
	historyPractitioners = 100
	historyRegulars      = historyPractitioners * slotsPerDay // patients of the first day: nobody comes twice a day
	historyNewcomers     = 130                                // patients a day
	historyBooked        = historyPractitioners * slotsPerDay * 3 / 4
	historyCancelled     = 8 // one of so many
)

// history writes that many days of a busy group of clinics.
type history struct {
	world
	days int
}

func historyOf(days int) history { return history{world{"2027-03-01", historyPractitioners}, days} }

// String says how much it is.
func (h history) String() string {
	return fmt.Sprintf("a history of %d days: %d slots, %d bookings, %d cancellations, %d patients",
		h.days, h.days*h.perDay(), (h.days-1)*historyBooked, (h.days-2)*((historyBooked+historyCancelled-1)/historyCancelled), h.patients(h.days))
}

// patients is how many are registered before a day.
func (h history) patients(day int) int { return historyRegulars + day*historyNewcomers }

// write appends the history; what depends on one another comes in order.
func (h history) write(ctx context.Context, store commands.Store) error {
	steps := []iter.Seq[[]commands.Write]{h.directory(), h.register(0, historyRegulars)}
	for day := range h.days {
		steps = append(steps, h.register(h.patients(day), h.patients(day+1)), h.open(day))
		if day >= 1 {
			steps = append(steps, h.book(day-1))
		}
		if day >= 2 {
			steps = append(steps, h.cancel(day-2))
		}
	}
	for _, step := range steps {
		if err := fill(ctx, store, bundled(step)); err != nil {
			return err
		}
	}
	return nil
}

// visit is the n-th booking of a day.
func (h history) visit(day, n int) appointment.Visit {
	p := h.place(day*h.perDay() + n)
	s := h.slot(p)
	return appointment.Visit{
		Appointment:  domain.AppointmentID(domain.NewID("bench", "appointment", strconv.Itoa(day), strconv.Itoa(n))),
		Patient:      h.patient((day*historyNewcomers + n) % h.patients(day)),
		Practitioner: h.practitioner(p.practitioner), Clinic: s.Clinic, Slots: []domain.SlotID{s.ID}, Period: s.Period,
	}
}

// book books slots of a day as the handler does: the claims, then the commit.
func (h history) book(day int) iter.Seq[[]commands.Write] {
	return func(yield func([]commands.Write) bool) {
		for n := range historyBooked {
			v, command := h.visit(day, n), newID()
			on := v.Days()[0]
			subject, holder, taken := claims(v)
			reason := domain.Open(string(v.Patient), "follow-up")
			wanted := []domain.StreamName{subject.Stream(on), slot.Stream(v.Slots[0])}
			if !yield([]commands.Write{
				writing(subject.Stream(on), domain.NoStream, command, occupancy.Booked{Subject: subject, Taken: taken}),
				writing(slot.Stream(v.Slots[0]), domain.NoStream, command, slot.Booked{Terms: terms(v), Holder: holder, Places: 1}),
				writing(appointment.Stream(v.Appointment), domain.NoStream, command,
					appointment.WasProposed{Visit: v, Set: 1, Claims: wanted, Reason: reason, Deadline: v.Start}, appointment.WasBooked{Visit: v, Set: 1}),
			}) {
				return
			}
		}
	}
}

// cancel cancels bookings of a day.
func (h history) cancel(day int) iter.Seq[[]commands.Write] {
	return func(yield func([]commands.Write) bool) {
		for n := 0; n < historyBooked; n += historyCancelled {
			v, command := h.visit(day, n), newID()
			subject, holder, taken := claims(v)
			if !yield([]commands.Write{
				writing(appointment.Stream(v.Appointment), 1, command, appointment.WasCancelled{Visit: v, Set: 1, Initiator: appointment.ByPatient}),
				writing(subject.Stream(v.Days()[0]), 0, command, occupancy.Released{Subject: subject, Taken: taken}),
				writing(slot.Stream(v.Slots[0]), 0, command, slot.Released{Terms: terms(v), Holder: holder}),
			}) {
				return
			}
		}
	}
}

func terms(v appointment.Visit) slot.Terms {
	return slot.Terms{Slot: v.Slots[0], Practitioner: v.Practitioner, Clinic: v.Clinic, Period: v.Period}
}

func claims(v appointment.Visit) (occupancy.Subject, slot.Holder, occupancy.Taken) {
	id := claim.Claim{Owner: appointment.Stream(v.Appointment), Set: 1}
	return occupancy.Patient(v.Patient),
		slot.Holder{Claim: id, Appointment: v.Appointment, Patient: v.Patient},
		occupancy.Taken{Claim: id, Appointment: v.Appointment, Period: v.Period}
}
