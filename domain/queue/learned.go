package queue

import (
	"slices"
	"time"
)

// Learned is what a queue's past says of its waits: how long visits really
// took, and by how much earlier forecasts were off. It is bounded: each cell
// keeps the last few values. All numbers are integers, so that whoever folds the
// same events finds the same.
type Learned struct {
	Durations []Durations `json:"durations,omitempty"` // by visit type and band, in that order
	Residuals []Residuals `json:"residuals,omitempty"` // by likeness, in its order
}

// Durations are how long visits of a type really took in an hour band, in
// seconds: the latest are the last.
type Durations struct {
	VisitType string `json:"type"`
	Band      int    `json:"band"`
	Seconds   []int  `json:"seconds"`
}

// Residuals are how long people of a likeness really waited, in thousandths of
// what the rule of [Estimate] had said before any correction: the latest are the
// last.
type Residuals struct {
	Likeness
	Thousands []int `json:"thousandths"`
}

// Likeness is what forecasts have in common that are off alike.
type Likeness struct {
	Sort    Sort `json:"sort"`
	Joining bool `json:"joining,omitempty"` // made when the person joined: of everybody the likeliest to be overtaken
	Ahead   int  `json:"ahead"`             // how many: 0, 1, 2 to 3, 4 to 7 or more, named by the least of them
}

func likeness(sort Sort, joining bool, ahead int) Likeness {
	return Likeness{sort, joining, aheadClass(ahead)}
}

const (
	keptDurations = 30            // of a cell
	keptResiduals = 60            // of a cell
	enough        = 10            // values before a group of durations is believed
	enoughWaits   = 20            // values before a group of residuals is believed
	longestVisit  = 4 * time.Hour // a visit that took longer was forgotten at its desk
	bandHours     = 2             // the width of an hour band
)

// Band returns the hour band of an instant by a clock that is so many minutes
// from UTC: the hour that it begins at, 0, 2, 4 and so on.
func Band(at time.Time, offset int) int {
	return at.UTC().Add(time.Duration(offset)*time.Minute).Hour() / bandHours * bandHours
}

// aheadClass returns the class of how many are ahead: 0, 1, 2 to 3, 4 to 7 or
// more, named by the least of them.
func aheadClass(n int) int {
	switch {
	case n < 2:
		return max(n, 0)
	case n < 4:
		return 2
	case n < 8:
		return 4
	}
	return 8
}

// lasted returns l having seen how long a visit took.
func (l Learned) lasted(visitType string, band int, took time.Duration) Learned {
	if took < 0 || took > longestVisit {
		return l
	}
	i, found := slices.BinarySearchFunc(l.Durations, Durations{VisitType: visitType, Band: band}, compareDurations)
	l.Durations = slices.Clone(l.Durations)
	if !found {
		l.Durations = slices.Insert(l.Durations, i, Durations{VisitType: visitType, Band: band})
	}
	l.Durations[i].Seconds = latest(l.Durations[i].Seconds, int(took/time.Second), keptDurations)
	return l
}

// waited returns l having seen how long somebody of a likeness waited of
// whom the rule had said base.
func (l Learned) waited(like Likeness, base, actual time.Duration) Learned {
	i, found := slices.BinarySearchFunc(l.Residuals, Residuals{Likeness: like}, compareResiduals)
	l.Residuals = slices.Clone(l.Residuals)
	if !found {
		l.Residuals = slices.Insert(l.Residuals, i, Residuals{Likeness: like})
	}
	l.Residuals[i].Thousands = latest(l.Residuals[i].Thousands, thousandths(base, actual), keptResiduals)
	return l
}

// latest returns the values with one more, without the oldest beyond a limit.
func latest(values []int, value, limit int) []int {
	values = append(slices.Clone(values), value)
	return values[max(0, len(values)-limit):]
}

// nearly is added to waits before they are compared: of waits of a few minutes
// a ratio says nothing.
const nearly = 2 * time.Minute

func thousandths(base, actual time.Duration) int {
	return int((max(actual, 0) + nearly) * 1000 / (base + nearly))
}

// stretched is the wait that is so many thousandths of base.
func stretched(base time.Duration, thousandths int) time.Duration {
	return max(0, (base+nearly)*time.Duration(thousandths)/1000-nearly)
}

// durations returns how long visits of a type took in a band, or, where there
// are too few, at any hour, or visits of any type; none when those are too few.
func (l Learned) durations(visitType string, band int) []int {
	var ofType, all []int
	for _, d := range l.Durations {
		if d.VisitType == visitType {
			if d.Band == band && len(d.Seconds) >= enough {
				return d.Seconds
			}
			ofType = append(ofType, d.Seconds...)
		}
		all = append(all, d.Seconds...)
	}
	switch {
	case len(ofType) >= enough:
		return ofType
	case len(all) >= enough:
		return all
	}
	return nil
}

// residuals returns how waits compared with what was said of people of a
// likeness, or, where there are too few, with any number ahead, or of anybody;
// none when those are too few.
func (l Learned) residuals(like Likeness) []int {
	var alike, all []int
	for _, r := range l.Residuals {
		if r.Likeness == like && len(r.Thousands) >= enoughWaits {
			return r.Thousands
		}
		if r.Sort == like.Sort && r.Joining == like.Joining {
			alike = append(alike, r.Thousands...)
		}
		all = append(all, r.Thousands...)
	}
	switch {
	case len(alike) >= enoughWaits:
		return alike
	case len(all) >= enoughWaits:
		return all
	}
	return nil
}

// quantile returns the value that a new one is at most with a probability of
// so many tenths: of n values the one of rank tenths/10 of n+1, as in conformal
// prediction (Vovk, Gammerman, Shafer 2005).
func quantile(values []int, tenths int) int {
	sorted := slices.Sorted(slices.Values(values))
	rank := ((len(sorted)+1)*tenths + 9) / 10
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func mean(values []int) time.Duration {
	sum := 0
	for _, v := range values {
		sum += v
	}
	return time.Duration(sum/len(values)) * time.Second
}
