package main

import (
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
)

// The shape of every world: a practitioner has so many slots a day, of so many
// minutes, and so many practitioners share a clinic.
const (
	slotsPerDay = 20
	slotMinutes = 20
	perClinic   = 20
)

// world names what is booked. Its ids are the same in every run, and in the
// processes of one run; its days lie ahead.
type world struct {
	First         domain.Day `json:"first"`         // the first day with slots
	Practitioners int        `json:"practitioners"` // in the order of slots they take turns
}

func (w world) practitioner(n int) domain.PractitionerID {
	return domain.PractitionerID(domain.NewID("bench", "practitioner", strconv.Itoa(n)))
}

func (w world) clinic(practitioner int) domain.ClinicID {
	return domain.ClinicID(domain.NewID("bench", "clinic", strconv.Itoa(practitioner/perClinic)))
}

func (w world) patient(n int) domain.PatientID {
	return domain.PatientID(domain.NewID("bench", "patient", strconv.Itoa(n)))
}

// perDay is how many slots a day has.
func (w world) perDay() int { return w.Practitioners * slotsPerDay }

// place is where a slot is: whose, on which day, which of the day.
type place struct{ practitioner, day, n int }

func (w world) place(slot int) place {
	inDay := slot % w.perDay()
	return place{practitioner: inDay % w.Practitioners, day: slot / w.perDay(), n: inDay / w.Practitioners}
}

func (w world) slotID(slot int) domain.SlotID {
	p := w.place(slot)
	return schedule.SlotID(w.practitioner(p.practitioner), w.First.Add(p.day), p.n)
}

func (w world) slot(p place) schedule.Slot {
	day := w.First.Add(p.day)
	start := day.Start().Add(8*time.Hour + time.Duration(p.n)*slotMinutes*time.Minute)
	return schedule.Slot{
		ID: schedule.SlotID(w.practitioner(p.practitioner), day, p.n), Clinic: w.clinic(p.practitioner), Capacity: 1,
		Period: domain.Period{Start: start, End: start.Add(slotMinutes * time.Minute)},
	}
}

// directory registers the clinics and practitioners.
func (w world) directory() iter.Seq[[]commands.Write] {
	return func(yield func([]commands.Write) bool) {
		for n := range w.Practitioners {
			var writes []commands.Write
			c, id := w.clinic(n), w.practitioner(n)
			if n%perClinic == 0 {
				writes = append(writes, writing(clinic.Stream(c), domain.NoStream, newID(), clinic.Registered{
					Clinic: c, Profile: clinic.Profile{Name: fmt.Sprintf("Clinic %03d", n/perClinic), Zone: "Europe/Lisbon", Address: "Rua das Flores 12, Lisboa"},
				}))
			}
			writes = append(writes, writing(practitioner.Stream(id), domain.NoStream, newID(), practitioner.Registered{
				Practitioner: id,
				Profile:      practitioner.Profile{Name: fmt.Sprintf("Dr. Silva %04d", n), Specialties: []string{"cardiology"}, Clinics: []domain.ClinicID{c}},
			}))
			if !yield(writes) {
				return
			}
		}
	}
}

// open opens a day of every practitioner.
func (w world) open(day int) iter.Seq[[]commands.Write] {
	return func(yield func([]commands.Write) bool) {
		for n := range w.Practitioners {
			id, on := w.practitioner(n), w.First.Add(day)
			opened := schedule.DayOpened{Practitioner: id, Day: on}
			for i := range slotsPerDay {
				opened.Slots = append(opened.Slots, w.slot(place{n, day, i}))
			}
			if !yield([]commands.Write{writing(schedule.DayStream(id, on), domain.NoStream, newID(), opened)}) {
				return
			}
		}
	}
}

// register registers patients, from the first to before the end.
func (w world) register(first, end int) iter.Seq[[]commands.Write] {
	return func(yield func([]commands.Write) bool) {
		for n := first; n < end; n++ {
			id := w.patient(n)
			sealed := func(text string) domain.Sealed { return domain.Open(string(id), text) }
			registered := patient.Registered{
				Patient: id, Name: sealed(fmt.Sprintf("Ana Sousa %06d", n)), Email: sealed(fmt.Sprintf("ana%06d@example.org", n)),
				Phone: sealed(fmt.Sprintf("+351 210 %06d", n)),
			}
			if !yield([]commands.Write{writing(patient.Stream(id), domain.NoStream, newID(), registered)}) {
				return
			}
		}
	}
}
