package webhooks

import (
	"encoding/json"
	"strings"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
)

// clinicsOf returns the clinics that an event says it is of. Where it does not,
// but the first event of another stream does, it returns that stream.
//
//   - Most events have a clinic (appointments, slots, queues, days of schedules,
//     reviews, visit types, rooms), and those of a clinic itself do.
//   - A practitioner's profile has several: it is of each of them.
//   - The terms of a clinic are of it, those of a practitioner or a visit type
//     are of none.
//   - The outcome of a series, and the claims of patients, rooms and limits, name
//     the series or the appointment that they belong to.
//   - What else there is of patients, practitioners, blocked time and unique
//     names is of no clinic: such events go to subscriptions without one.
func clinicsOf(e eventcodec.Stored) (clinics []string, elsewhere domain.StreamName) {
	var says struct {
		Clinic  any `json:"clinic"`
		Clinics any `json:"clinics"`
		Owner   any `json:"owner"`
	}
	_ = json.Unmarshal(e.Data, &says) // what is no object says nothing
	if one, _ := says.Clinic.(string); one != "" {
		return []string{one}, ""
	}
	several, _ := says.Clinics.([]any)
	for _, c := range several {
		if one, _ := c.(string); one != "" {
			clinics = append(clinics, one)
		}
	}
	if clinics != nil {
		return clinics, ""
	}
	if one, ok := strings.CutPrefix(string(e.Stream), "policy-clinic."); ok {
		return []string{one}, ""
	}
	if owner, _ := says.Owner.(string); owner != "" {
		return nil, domain.StreamName(owner)
	}
	switch e.Stream.Category() {
	case "clinic":
		return []string{strings.TrimPrefix(string(e.Stream), "clinic-")}, ""
	case "series":
		return nil, e.Stream
	}
	return nil, ""
}
