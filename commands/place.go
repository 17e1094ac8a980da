package commands

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/schedule"
)

// place is what the clinic says: its zone, and the terms in force there. Where
// several practitioners take part they are the strictest of theirs.
type place struct {
	policy.Effective
	zone   *time.Location
	closed bool       // for good
	each   []ownTerms // of each practitioner where there are several; nil = of the only one
}

// ownTerms are those of one practitioner.
type ownTerms struct {
	practitioner domain.PractitionerID
	policy.Effective
}

// placeOf returns what holds for a visit.
func (h *Handler) placeOf(ctx context.Context, v appointment.Visit) (place, error) {
	stream := clinic.Stream(v.Clinic)
	loaded, err := h.loadKnown(ctx, nil, stream)
	if err != nil {
		return place{}, err
	}
	if _, err := exists(loaded, stream, clinic.ErrNotFound); err != nil {
		return place{}, err
	}
	state := domain.Replay(clinic.Evolve, clinic.State{}, loaded[stream])
	zone, err := domain.Zone(state.Zone)
	if err != nil {
		return place{}, err
	}
	terms, err := h.termsFor(ctx, v.Clinic, v.Practitioner, domain.VisitTypeID(v.VisitType))
	there := place{Effective: terms, zone: zone, closed: state.Closed}
	for _, other := range others(v) {
		if err == nil {
			err = h.addTerms(ctx, v, other, &there)
		}
	}
	return there, err
}

// others returns the practitioners of a visit but the first, each once.
func others(v appointment.Visit) []domain.PractitionerID {
	if len(v.Slots) < 2 {
		return nil
	}
	var more []domain.PractitionerID
	for _, id := range v.Slots {
		of, _, err := schedule.DayOfSlot(id)
		if err == nil && of != v.Practitioner && !slices.Contains(more, of) {
			more = append(more, of)
		}
	}
	return more
}

// addTerms adds another practitioner's terms.
func (h *Handler) addTerms(ctx context.Context, v appointment.Visit, other domain.PractitionerID, there *place) error {
	terms, err := h.termsFor(ctx, v.Clinic, other, domain.VisitTypeID(v.VisitType))
	there.each = append(there.ofEach(v), ownTerms{other, terms})
	there.Effective = there.And(terms)
	return err
}

// ofEach returns the terms of each practitioner of a visit.
func (p place) ofEach(v appointment.Visit) []ownTerms {
	if p.each == nil {
		return []ownTerms{{v.Practitioner, p.Effective}}
	}
	return p.each
}

func (p place) revisions() []string {
	var all []string
	for _, r := range p.Revisions {
		all = append(all, fmt.Sprintf("%s.%s@%d", r.Kind, r.ID, r.Revision))
	}
	return all
}

// refusal returns why the policy does not let a visit be booked now, or nil.
func (p place) refusal(v appointment.Visit, now time.Time) error {
	ahead := v.Start.Sub(now)
	switch {
	case ahead <= 0:
		return nil // it has started: a rule of its own
	case ahead < p.MinNotice:
		return ErrNotice
	case p.Horizon > 0 && ahead > p.Horizon:
		return ErrHorizon
	}
	return nil
}

// limits returns the quotas that count a visit, with their maxima.
func (p place) limits(v appointment.Visit) map[domain.StreamName]int {
	limits := map[domain.StreamName]int{}
	if cmp.Or(p.PractitionerDay, p.PractitionerWeek, p.PatientDay, p.PatientPractitioner, p.PatientActive) == 0 {
		return limits // as at nearly every clinic
	}
	add := func(rule, subject, bucket string, maximum int) {
		if maximum > 0 {
			limits[quota.Quota{Rule: rule, Subject: subject, Bucket: bucket}.Stream()] = maximum
		}
	}
	day := string(domain.LocalDay(v.Start, p.zone))
	year, week := v.Start.In(p.zone).ISOWeek()
	for _, own := range p.ofEach(v) {
		add(quota.PractitionerDay, string(own.practitioner), day, own.PractitionerDay)
		add(quota.PractitionerWeek, string(own.practitioner), fmt.Sprintf("%d-W%02d", year, week), own.PractitionerWeek)
		if v.Patient != "" {
			add(quota.PatientPractitioner, string(v.Patient)+"."+string(own.practitioner), quota.Active, own.PatientPractitioner)
		}
	}
	if v.Patient != "" {
		add(quota.PatientDay, string(v.Patient), day, p.PatientDay)
		add(quota.PatientActive, string(v.Patient), quota.Active, p.PatientActive)
	}
	return limits
}
