package commands

import (
	"strings"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/name"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/queue"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/resource"
	"github.com/slotbook/slotbook/domain/review"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/series"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/domain/waitlist"
)

// StateOf returns what handlers take for true of a stream after the events, by
// the fold that they use, and whether streams of this category have a state:
// those that only note what happened have none.
func StateOf(stream domain.StreamName, recorded []domain.Recorded) (state any, ok bool) {
	category := stream.Category()
	if category == schedule.Category && strings.Contains(stream.ID(), ".") {
		return domain.Replay(schedule.EvolveDay, schedule.Day{}, recorded), true
	}
	fold, ok := folds()[category]
	if !ok {
		return nil, false
	}
	return fold(recorded), true
}

// folds are the folds of all aggregates by the categories of their streams.
func folds() map[string]func([]domain.Recorded) any {
	return map[string]func([]domain.Recorded) any{
		appointment.Category:  folding(appointment.Evolve),
		clinic.Category:       folding(clinic.Evolve),
		name.Category:         folding(name.Evolve),
		occupancy.Category:    folding(occupancy.Evolve),
		patient.Category:      folding(patient.Evolve),
		policy.Category:       folding(policy.Evolve),
		practitioner.Category: folding(practitioner.Evolve),
		queue.Category:        folding(queue.Evolve),
		quota.Category:        folding(quota.Evolve),
		resource.Category:     folding(resource.Evolve),
		review.Category:       folding(review.Evolve),
		schedule.Category:     folding(schedule.Evolve),
		series.Category:       folding(series.Evolve),
		slot.Category:         folding(slot.Evolve),
		visittype.Category:    folding(visittype.Evolve),
		waitlist.Category:     folding(waitlist.Evolve),
	}
}

func folding[S any, E domain.Event](evolve func(S, E) S) func([]domain.Recorded) any {
	return func(recorded []domain.Recorded) any {
		var initial S
		return domain.Replay(evolve, initial, recorded)
	}
}
