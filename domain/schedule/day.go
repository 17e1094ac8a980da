package schedule

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// DayStream returns the stream of a practitioner's UTC day.
func DayStream(id domain.PractitionerID, day domain.Day) domain.StreamName {
	return domain.Stream(Category, string(id)+"."+string(day))
}

// SlotID returns the id of the n-th slot that a day opened, from 0.
func SlotID(id domain.PractitionerID, day domain.Day, n int) domain.SlotID {
	return domain.SlotID(string(id) + "." + strings.ReplaceAll(string(day), "-", "") + "." + strconv.Itoa(n))
}

// DayOfSlot returns whose slot it is and the UTC day that opened it. It
// returns [ErrSlotGone] when the id names no slot that could be.
func DayOfSlot(id domain.SlotID) (domain.PractitionerID, domain.Day, error) {
	parts := strings.Split(string(id), ".")
	if len(parts) != 3 || domain.CheckID(parts[0]) != nil {
		return "", "", ErrSlotGone
	}
	day, err := time.Parse("20060102", parts[1])
	if err != nil {
		return "", "", ErrSlotGone
	}
	return domain.PractitionerID(parts[0]), domain.DayOf(day), nil
}

// Slot is a slot that a day opened.
type Slot struct {
	ID       domain.SlotID   `json:"id"`
	Clinic   domain.ClinicID `json:"clinic"`
	Capacity int             `json:"capacity"` // places, when it was opened
	domain.Period
}

// Day is what a day's stream says; the zero value has not been opened.
type Day struct {
	Opened   bool
	Schedule domain.Revision // the latest revision of the schedule that the day was opened under
	Slots    []Slot          // every slot that was ever opened, the withdrawn ones too
	Waiting  []Want          // wanted over time that a slot owned
	Partial  bool            // some pattern's horizon ended within the day when it was opened
}

// Open makes the day what the schedule wants of it.
type Open struct {
	Practitioner domain.PractitionerID
	Day          domain.Day
	Schedule     domain.Revision // the schedule's revision that Wanted was made from
	Wanted       []Want
	Partial      bool            // some pattern's horizon ends within the day
	Overlaps     []Want          // lost to a pattern that was configured earlier
	Withdrawn    []domain.SlotID // withdrawn for this change
	Kept         []domain.SlotID // slots of this day that are not withdrawn
	Owned        []domain.Period // time that slots of this day or its neighbours own, the kept ones included
}

// DayOpened says which slots a day opened now, and what it could not open.
type DayOpened struct {
	Practitioner domain.PractitionerID `json:"practitioner"`
	Day          domain.Day            `json:"day"`
	Schedule     domain.Revision       `json:"schedule"`
	Slots        []Slot                `json:"slots,omitempty"`
	Withdrawn    []domain.SlotID       `json:"withdrawn,omitempty"`
	Waiting      []Want                `json:"waiting,omitempty"`
	Partial      bool                  `json:"partial,omitempty"`
	Overlaps     []Want                `json:"overlaps,omitempty"`
}

// EventType returns "schedule.day-opened".
func (DayOpened) EventType() string { return "schedule.day-opened" }

// DecideDay returns what Open does to the day. It returns [ErrOvertaken] when
// the day was opened under a later revision of the schedule.
//
// A day is opened once for every revision of the schedule, even when nothing
// changes for it, so that an opener with an older schedule finds it and loses.
func DecideDay(d Day, c Open) ([]DayOpened, error) {
	if d.Opened && d.Schedule > c.Schedule {
		return nil, ErrOvertaken
	}
	opened := DayOpened{
		Practitioner: c.Practitioner, Day: c.Day, Schedule: c.Schedule, Withdrawn: c.Withdrawn, Overlaps: c.Overlaps,
		Partial: c.Partial,
	}
	for _, w := range c.Wanted {
		switch {
		case slices.ContainsFunc(d.Slots, func(s Slot) bool { return s.Is(w) && slices.Contains(c.Kept, s.ID) }):
		case slices.ContainsFunc(c.Owned, w.Overlaps):
			opened.Waiting = append(opened.Waiting, w)
		default:
			id := SlotID(c.Practitioner, c.Day, len(d.Slots)+len(opened.Slots))
			opened.Slots = append(opened.Slots, Slot{id, w.Clinic, w.Capacity, w.Period})
		}
	}
	changed := len(opened.Slots) > 0 || len(opened.Withdrawn) > 0 || !slices.EqualFunc(opened.Waiting, d.Waiting, Want.equal)
	if changed || !d.Opened || d.Schedule < c.Schedule || d.Partial != c.Partial {
		return []DayOpened{opened}, nil
	}
	return nil, nil
}

// Is reports whether the slot is what is wanted, its capacity aside.
func (s Slot) Is(w Want) bool { return s.Clinic == w.Clinic && s.Period.Equal(w.Period) }

// EvolveDay returns the day after the event.
func EvolveDay(d Day, e DayOpened) Day {
	d.Opened, d.Schedule, d.Waiting, d.Partial = true, e.Schedule, e.Waiting, e.Partial
	d.Slots = append(slices.Clone(d.Slots), e.Slots...)
	return d
}

// Find returns a slot of the day.
func (d Day) Find(id domain.SlotID) (Slot, bool) {
	i := slices.IndexFunc(d.Slots, func(s Slot) bool { return s.ID == id })
	if i < 0 {
		return Slot{}, false
	}
	return d.Slots[i], true
}
