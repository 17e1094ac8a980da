package whatif

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Report is what really came of the wishes of a period, and what would have come of
// them.
type Report struct {
	From, To time.Time
	Events   int // of the period, that were replayed
	Clinics  []Clinic
	Drift    Drift    // of the replay without a change from what really happened
	Replayed Replayed // with the change
}

// Clinic is a clinic's part of a report.
type Clinic struct {
	ID     domain.ClinicID
	Name   string
	Real   Figures
	AsWas  Figures // of the replay without the change
	WhatIf Figures
}

// Figures are what is counted of a clinic in a period.
type Figures struct {
	Booked    int            // visits that were booked or requested in the period
	Refused   map[string]int // wishes that were refused, by the rule
	Lapsed    int            // holds and requests that nobody confirmed in time
	Declined  int            // requests
	Cancelled int            // visits
	Moved     int            // visits, each as often as it was
	NoShows   int            // visits to which nobody came
	Displaced int            // visits whose slot is withdrawn, at the end of the period

	Offered time.Duration // of the slots that began in the period: their time, once for each place
	Taken   time.Duration // what of that was booked when the period ended
	Waits   Waits
}

// Idle returns the time that was on offer and that nobody had.
func (f Figures) Idle() time.Duration { return f.Offered - f.Taken }

// Fill returns the part of what was on offer that somebody had, from 0 to 1; 0 when
// nothing was on offer.
func (f Figures) Fill() float64 {
	if f.Offered == 0 {
		return 0
	}
	return float64(f.Taken) / float64(f.Offered)
}

// AllRefused returns how many wishes were refused.
func (f Figures) AllRefused() int {
	n := 0
	for _, count := range f.Refused {
		n += count
	}
	return n
}

// Waits is from when visits were booked or requested to their start.
type Waits struct {
	Mean, Median, P90 time.Duration
}

func waitsOf(all []time.Duration) Waits {
	if len(all) == 0 {
		return Waits{}
	}
	sorted := slices.Sorted(slices.Values(all))
	var sum time.Duration
	for _, d := range sorted {
		sum += d / time.Duration(len(sorted))
	}
	// Nearest rank.
	rank := func(percent int) time.Duration { return sorted[max(0, (percent*len(sorted)+99)/100-1)] }
	return Waits{sum, rank(50), rank(90)}
}

// Drift is how far the replay without a change is from what really happened: its
// error.
type Drift struct {
	Compared    int            // steps
	Differences map[string]int // how many differ, by "recorded outcome > replayed outcome"
	Examples    []Difference   // the first ones
}

// Total returns how many steps differ.
func (d Drift) Total() int {
	n := 0
	for _, count := range d.Differences {
		n += count
	}
	return n
}

// Difference is a step that ended otherwise than it really did.
type Difference struct {
	Position domain.Position
	At       time.Time
	Clinic   domain.ClinicID
	Type     string // of the event
	Recorded string // "had", or the rule that refused
	Replayed string // the same; "absent" when there was nothing to do it to
}

// examples is how many differences a report lists.
const examples = 20

// compare notes how a step ended.
func (r *replay) compare(m moment, at domain.ClinicID, recorded, replayed string) {
	r.drift.Compared++
	if recorded == replayed {
		return
	}
	kind := m.Event.EventType() + ": " + recorded + " > " + replayed
	r.drift.Differences[kind]++
	if len(r.drift.Examples) < examples {
		r.drift.Examples = append(r.drift.Examples, Difference{m.Position, m.at, at, m.Event.EventType(), recorded, replayed})
	}
}

// Replayed says what the replay did with wishes that cannot be replayed exactly.
type Replayed struct {
	AskedAgain   int // refused wishes that were decided again
	Granted      int // those of them that were met
	Stood        int // refused wishes that were taken for refused: nobody knows whose they were
	Elsewhere    int // visits that were given the nearest slot, the one they wanted not being on offer
	Displaced    int // visits that the change displaced when it came into force
	NotCancelled int // visits whose patient could not cancel and did not come
}

// report ends the period.
func (r *run) report(ctx context.Context) (Report, error) {
	end := r.To
	if end.IsZero() {
		end = r.last
	}
	for _, w := range r.worlds {
		if err := w.runUntil(ctx, end); err != nil {
			return Report{}, err
		}
		w.tally.close(end)
	}
	r.real.tally.close(end)
	if err := r.worlds[1].known(ctx); err != nil {
		return Report{}, err
	}
	was, whatIf := r.worlds[0], r.worlds[1]
	report := Report{From: r.From, To: end, Events: r.events, Drift: was.drift, Replayed: whatIf.replays}
	ids := map[domain.ClinicID]bool{}
	for _, t := range []*tally{r.real.tally, was.tally, whatIf.tally} {
		for id := range t.clinics {
			ids[id] = true
		}
	}
	for id := range maps.Keys(ids) {
		report.Clinics = append(report.Clinics, Clinic{
			id, r.real.names[id], r.real.tally.at(id).figures, was.tally.at(id).figures, whatIf.tally.at(id).figures,
		})
	}
	slices.SortFunc(report.Clinics, func(a, b Clinic) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return report, nil
}
