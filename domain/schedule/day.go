package schedule

import (
	"errors"
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
	return slotID(id, day)(n)
}

func slotID(id domain.PractitionerID, day domain.Day) func(n int) domain.SlotID {
	prefix := string(id) + "." + strings.ReplaceAll(string(day), "-", "") + "."
	return func(n int) domain.SlotID { return domain.SlotID(prefix + strconv.Itoa(n)) }
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
	Opened    bool
	Schedule  domain.Revision // the latest revision of the schedule that the day is for
	Slots     []Slot          // every slot that was ever opened
	Withdrawn []domain.SlotID // those that the day has withdrawn, or is about to
	Returned  []domain.SlotID // those that it withdrew and took back, as often as it did
	Waiting   []Want          // wanted over time that a slot owned
	Overlaps  []Want          // lost to a pattern that was configured earlier, as the day was last opened
	Fenced    bool            // it was fenced and is still to be opened
}

// Open makes the day what the schedule wants of it, in two steps. A fence
// comes first, on every day that a change reaches: it withdraws what no longer
// fits and opens nothing. Once all days are fenced, no opener that still has
// an older schedule can open anything, and each day opens what is wanted.
type Open struct {
	Practitioner domain.PractitionerID
	Day          domain.Day
	Schedule     domain.Revision // the schedule's revision that Wanted was made from
	Fence        bool            // withdraw, and open later
	Now          time.Time       // slots that have started stay
	Wanted       []Want
	Overlaps     []Want          // lost to a pattern that was configured earlier
	Owned        []domain.Period // time that neighbouring days own
	Occupied     []domain.SlotID // the day's withdrawn slots that own their time, being still occupied
}

// DayOpened says which slots a day opened, withdrew and took back, and what it
// could not open. It is fenced until what it took back has reached the slots.
type DayOpened struct {
	Practitioner domain.PractitionerID `json:"practitioner"`
	Day          domain.Day            `json:"day"`
	Schedule     domain.Revision       `json:"schedule"`
	Slots        []Slot                `json:"slots,omitempty"`
	Withdrawn    []domain.SlotID       `json:"withdrawn,omitempty"`
	Reinstated   []domain.SlotID       `json:"reinstated,omitempty"` // withdrawn before, and wanted again while occupied
	Waiting      []Want                `json:"waiting,omitempty"`
	Fenced       bool                  `json:"fenced,omitempty"`
	Overlaps     []Want                `json:"overlaps,omitempty"`
}

// EventType returns "schedule.day-opened".
func (DayOpened) EventType() string { return "schedule.day-opened" }

// ErrOvertaken says that the day is for a later revision of the schedule
// already: the caller loads again.
var ErrOvertaken = errors.New("the day was opened under a later schedule")

// DecideDay returns what Open does to the day, at most one event. It returns
// [ErrOvertaken] when the day is for a later revision of the schedule.
func DecideDay(d Day, c Open) ([]DayOpened, error) {
	if d.Opened && d.Schedule > c.Schedule {
		return nil, ErrOvertaken
	}
	e := DayOpened{Practitioner: c.Practitioner, Day: c.Day, Schedule: c.Schedule}
	if c.Fence {
		e.Withdrawn, e.Waiting, e.Fenced = d.misfits(c), d.Waiting, true
		if d.Opened && d.Schedule == c.Schedule && len(e.Withdrawn) == 0 {
			return nil, nil
		}
		return []DayOpened{e}, nil
	}
	e.Overlaps = c.Overlaps
	e.Slots, e.Reinstated, e.Waiting = d.open(c)
	e.Fenced = len(e.Reinstated) > 0
	changed := len(e.Slots) > 0 || e.Fenced || !slices.EqualFunc(e.Waiting, d.Waiting, Want.equal)
	if changed || !d.Opened || d.Schedule < c.Schedule || d.Fenced {
		return []DayOpened{e}, nil
	}
	return nil, nil
}

// Kept returns the slots that are not withdrawn.
func (d Day) Kept() []Slot {
	return slices.DeleteFunc(slices.Clone(d.Slots), func(s Slot) bool { return slices.Contains(d.Withdrawn, s.ID) })
}

// Lacks reports whether something is wanted that is not there and does not
// wait.
func (d Day) Lacks(wanted []Want) bool {
	if len(wanted) == 0 {
		return false
	}
	kept := d.Kept()
	return slices.ContainsFunc(wanted, func(w Want) bool {
		return !slices.ContainsFunc(kept, func(s Slot) bool { return s.Is(w) }) && !slices.ContainsFunc(d.Waiting, w.equal)
	})
}

// NewlyLost returns what of that which loses its time did not lose it before.
func (d Day) NewlyLost(overlaps []Want) []Want {
	return slices.DeleteFunc(slices.Clone(overlaps), func(w Want) bool { return slices.ContainsFunc(d.Overlaps, w.equal) })
}

// misfits returns the slots ahead that are no longer wanted.
func (d Day) misfits(c Open) []domain.SlotID {
	var ids []domain.SlotID
	for _, s := range d.Kept() {
		if !s.Start.Before(c.Now) && !slices.ContainsFunc(c.Wanted, s.Is) {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// open returns a slot for everything that is wanted and not there, over time
// that nothing owns. Where the owner is a withdrawn slot that is exactly what is
// wanted, that slot is taken back; the rest waits.
func (d Day) open(c Open) (opened []Slot, back []domain.SlotID, waiting []Want) {
	kept := d.Kept()
	id := slotID(c.Practitioner, c.Day)
	for _, w := range c.Wanted {
		overlaps := func(s Slot) bool { return s.Overlaps(w.Period) }
		owned := slices.ContainsFunc(c.Owned, w.Overlaps) || slices.ContainsFunc(kept, overlaps)
		occupied := slices.DeleteFunc(c.occupied(d), func(s Slot) bool { return !overlaps(s) })
		switch {
		case slices.ContainsFunc(kept, func(s Slot) bool { return s.Is(w) }):
		case !owned && len(occupied) == 0:
			opened = append(opened, Slot{id(len(d.Slots) + len(opened)), w.Clinic, w.Capacity, w.Period})
		case !owned && len(occupied) == 1 && occupied[0].Is(w):
			back = append(back, occupied[0].ID)
		default:
			waiting = append(waiting, w)
		}
	}
	return opened, back, waiting
}

// occupied returns the slots of the day that are withdrawn and occupied.
func (c Open) occupied(d Day) []Slot {
	if len(c.Occupied) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(d.Slots), func(s Slot) bool { return !slices.Contains(c.Occupied, s.ID) })
}

// Withdrawals returns how often the day has withdrawn a slot.
func (d Day) Withdrawals(id domain.SlotID) int {
	n := 0
	for _, ids := range [][]domain.SlotID{d.Withdrawn, d.Returned} {
		for _, other := range ids {
			if other == id {
				n++
			}
		}
	}
	return n
}

// Is reports whether the slot is what is wanted, its capacity aside.
func (s Slot) Is(w Want) bool { return s.Clinic == w.Clinic && s.Period.Equal(w.Period) }

// EvolveDay returns the day after the event.
func EvolveDay(d Day, e DayOpened) Day {
	d.Opened, d.Schedule, d.Waiting, d.Fenced = true, e.Schedule, e.Waiting, e.Fenced
	d.Slots = append(slices.Clone(d.Slots), e.Slots...)
	d.Withdrawn = append(slices.Clone(d.Withdrawn), e.Withdrawn...)
	if len(e.Reinstated) > 0 {
		d.Withdrawn = slices.DeleteFunc(d.Withdrawn, func(id domain.SlotID) bool { return slices.Contains(e.Reinstated, id) })
		d.Returned = append(slices.Clone(d.Returned), e.Reinstated...)
	}
	if !e.Fenced {
		d.Overlaps = e.Overlaps
	}
	return d
}
