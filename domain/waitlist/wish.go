package waitlist

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Wish is what a patient waits for. What it leaves out does not matter to them.
type Wish struct {
	ID            domain.WishID           `json:"wish"`
	Patient       domain.PatientID        `json:"patient"`
	Specialty     string                  `json:"specialty,omitempty"`
	Practitioners []domain.PractitionerID `json:"practitioners,omitempty"` // any of them
	VisitType     domain.VisitTypeID      `json:"visitType,omitempty"`
	Clinics       []domain.ClinicID       `json:"clinics,omitempty"` // any of them
	Town          string                  `json:"town,omitempty"`
	District      string                  `json:"district,omitempty"`
	Times         []Times                 `json:"times,omitempty"` // any of them
	Earliest      domain.Day              `json:"earliest,omitempty"`
	Latest        domain.Day              `json:"latest,omitempty"`
	Appointment   domain.AppointmentID    `json:"appointment,omitempty"` // what they have, and want earlier
}

// Times are times of day at which a visit may begin, by the clinic's clock.
type Times struct {
	Weekdays []int           `json:"weekdays,omitempty"` // 0 is Sunday; none = every day
	From     domain.WallTime `json:"from"`
	To       domain.WallTime `json:"to"` // before it
}

// Opening is a place that has become free, as everybody who might want it is
// told of it.
type Opening struct {
	Slot         domain.SlotID         `json:"slot"`
	Practitioner domain.PractitionerID `json:"practitioner"`
	Clinic       domain.ClinicID       `json:"clinic"`
	domain.Period
}

// Free is an opening with what wishes are compared with.
type Free struct {
	Opening
	Specialties    []string // of the practitioner
	Town, District string   // of the clinic
	Zone           *time.Location
}

// most is how many practitioners, clinics or times a wish names.
const most = 20

// day is how long a day is, in minutes.
const day domain.WallTime = 24 * 60

// check returns from when on nothing fulfils the wish, zero for never, or why
// nothing does at all.
func (w Wish) check(at time.Time, zone string) (expires time.Time, err error) {
	if w.Specialty == "" && len(w.Practitioners) == 0 && w.VisitType == "" || !few(w.Practitioners) || !few(w.Clinics) || len(w.Times) > most {
		return expires, ErrNothing
	}
	if slices.ContainsFunc(w.Times, func(t Times) bool { return !t.valid() }) {
		return expires, ErrTimes
	}
	if w.Earliest != "" && w.Latest != "" && w.Earliest > w.Latest {
		return expires, ErrDates
	}
	if w.Latest == "" {
		return expires, nil
	}
	there, err := domain.Zone(zone)
	if err != nil {
		return expires, err
	}
	expires = domain.WallTime(0).On(w.Latest.Add(1), there)
	if !at.Before(expires) {
		return expires, ErrDates
	}
	return expires, nil
}

func few[T comparable](named []T) bool {
	for i, x := range named {
		if slices.Contains(named[:i], x) {
			return false
		}
	}
	return len(named) <= most
}

func (t Times) valid() bool {
	for _, d := range t.Weekdays {
		if d < int(time.Sunday) || d > int(time.Saturday) {
			return false
		}
	}
	return few(t.Weekdays) && 0 <= t.From && t.From < t.To && t.To <= day
}

func (t Times) same(u Times) bool {
	return slices.Equal(t.Weekdays, u.Weekdays) && t.From == u.From && t.To == u.To
}

// same reports whether both wish for the same.
func (w Wish) same(v Wish) bool {
	return w.ID == v.ID && w.Patient == v.Patient && w.Specialty == v.Specialty && slices.Equal(w.Practitioners, v.Practitioners) &&
		w.VisitType == v.VisitType && slices.Equal(w.Clinics, v.Clinics) && w.Town == v.Town && w.District == v.District &&
		slices.EqualFunc(w.Times, v.Times, Times.same) && w.Earliest == v.Earliest && w.Latest == v.Latest && w.Appointment == v.Appointment
}

// Wants reports whether the patient waits for what is free. Whether they may have
// it is another question. A visit type is its clinic's, and [Handler.Offer] of
// package commands asks it.
func (w Wish) Wants(f Free) bool {
	local := f.Start.In(f.Zone)
	at := domain.LocalDay(f.Start, f.Zone)
	minute := domain.WallTime(local.Hour()*60 + local.Minute())
	switch {
	case w.Specialty != "" && !slices.Contains(f.Specialties, w.Specialty),
		len(w.Practitioners) > 0 && !slices.Contains(w.Practitioners, f.Practitioner),
		len(w.Clinics) > 0 && !slices.Contains(w.Clinics, f.Clinic),
		w.Town != "" && w.Town != f.Town,
		w.District != "" && w.District != f.District,
		w.Earliest != "" && at < w.Earliest,
		w.Latest != "" && at > w.Latest:
		return false
	}
	return len(w.Times) == 0 || slices.ContainsFunc(w.Times, func(t Times) bool {
		return (len(t.Weekdays) == 0 || slices.Contains(t.Weekdays, int(local.Weekday()))) && t.From <= minute && minute < t.To
	})
}

// Until returns when an offer ends that is made at an instant and lasts for so
// long of waking hours: from one time of day to another by the clock of the
// zone. Where the hours are empty, it lasts as long by any clock.
func Until(made time.Time, lasts time.Duration, from, to domain.WallTime, zone *time.Location) time.Time {
	if from >= to {
		return made.Add(lasts)
	}
	until := made
	for d := domain.LocalDay(made, zone); lasts > 0; d = d.Add(1) {
		begin, end := from.On(d, zone), to.On(d, zone)
		if until.Before(begin) {
			until = begin
		}
		if awake := end.Sub(until); awake > 0 {
			spent := min(awake, lasts)
			until, lasts = until.Add(spent), lasts-spent
		}
	}
	return until.UTC()
}
