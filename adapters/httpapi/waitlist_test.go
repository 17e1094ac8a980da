package httpapi_test

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/domain/waitlist"
	"github.com/slotbook/slotbook/projections"
)

// foldedWaitlist answers who waits, and who was asked, from the log.
type foldedWaitlist struct{ *folded }

func (l foldedWaitlist) events(ctx context.Context, least domain.Position) ([]domain.Recorded, domain.Position, error) {
	head, err := l.read(ctx, least, func(domain.Event) error { return nil })
	if err != nil {
		return nil, head, err
	}
	p, err := l.store.ReadAll(ctx, 0, domain.Filter{Categories: []string{waitlist.Category}}, 1_000_000)
	return p.Events, head, err
}

// Wishes lists who waits.
func (l foldedWaitlist) Wishes(ctx context.Context, f projections.WishFilter, least domain.Position) (projections.List[projections.Waiting], error) {
	events, head, err := l.events(ctx, least)
	var all []projections.Waiting
	for _, r := range events {
		if joined, ok := r.Event.(waitlist.HasJoined); ok && err == nil {
			var now commands.Answer[waitlist.State]
			now, err = l.commands.Wish(ctx, joined.ID)
			s := now.State
			all = append(all, projections.Waiting{
				Wish: s.Wish, Status: s.Status, End: s.End, Since: s.Since, OfferOf: s.Offer.Appointment, OfferSet: s.Offer.Set, Until: s.Offer.Until,
				Place: int64(r.Position), //nolint:gosec // a few
			})
		}
	}
	return cut(all, func(w projections.Waiting) bool {
		return w.Place > f.After.Place && (f.Patient == "" || w.Patient == f.Patient) &&
			(f.Practitioner == "" || slices.Contains(w.Practitioners, f.Practitioner)) && (f.Clinic == "" || slices.Contains(w.Clinics, f.Clinic)) &&
			(f.Ended || w.Status == waitlist.Waiting || w.Status == waitlist.Offered)
	}, f.Limit, head, func(a, b projections.Waiting) int { return cmp.Compare(a.Place, b.Place) }), err
}

// Asked lists who was asked.
func (l foldedWaitlist) Asked(ctx context.Context, f projections.AskedFilter, least domain.Position) (projections.List[projections.Asked], error) {
	events, head, err := l.events(ctx, least)
	var all []projections.Asked
	about := func(r domain.Recorded, p domain.PatientID, o waitlist.Opening) *projections.Asked {
		id := domain.WishID(r.Stream.ID())
		i := slices.IndexFunc(all, func(x projections.Asked) bool { return x.Wish == id && x.Slot == o.Slot })
		if i < 0 {
			all = append(all, projections.Asked{
				Wish: id, Patient: p, Slot: o.Slot, Practitioner: o.Practitioner, Clinic: o.Clinic, Start: o.Start, End: o.End,
				Position: int64(r.Position), At: r.RecordedAt, //nolint:gosec // a few
			})
			i = len(all) - 1
		}
		return &all[i]
	}
	for _, r := range events {
		switch e := r.Event.(type) {
		case waitlist.WasSkipped:
			about(r, e.Patient, e.Opening).Rule = e.Rule
		case waitlist.WasOffered:
			x := about(r, e.Patient, e.Opening)
			x.OfferOf, x.OfferSet, x.Until, x.Rule = e.Appointment, e.Set, e.Until, ""
		case waitlist.WasAccepted:
			about(r, e.Patient, e.Opening).Accepted = true
		case waitlist.HasPassed:
			x := about(r, e.Patient, e.Opening)
			x.Accepted, x.Ended = false, e.Why
		}
	}
	return cut(all, func(x projections.Asked) bool {
		return x.Position > f.After.Place && (f.Patient == "" || x.Patient == f.Patient) && (f.Wish == "" || x.Wish == f.Wish) &&
			(f.Slot == "" || x.Slot == f.Slot) && (!f.Offers || x.OfferOf != "")
	}, f.Limit, head, func(a, b projections.Asked) int { return cmp.Compare(a.Position, b.Position) }), err
}

// offering is the API with what offers after each request whatever it has freed,
// as the reaction does.
func (w *world) offering(next http.Handler) http.Handler {
	var read domain.Position
	return http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(answer, r)
		page, err := w.store.ReadAll(r.Context(), read, domain.Filter{Types: []string{slot.Released{}.EventType()}}, 1_000)
		if err != nil {
			panic(err)
		}
		read = page.Next
		for _, released := range page.Events {
			w.offers(r.Context(), released)
		}
	})
}

func (w *world) offers(ctx context.Context, r domain.Recorded) {
	free, any, err := w.commands.Freed(ctx, r.Event.(slot.Released).Slot) //nolint:forcetypeassert // asked for
	if err != nil || !any {
		return
	}
	joined, err := w.store.ReadAll(ctx, 0, domain.Filter{Types: []string{waitlist.HasJoined{}.EventType()}}, 1_000)
	if err != nil {
		panic(err)
	}
	round := commands.Round{Free: free, Cause: r}
	for _, r := range joined.Events {
		if e := r.Event.(waitlist.HasJoined); e.Wants(free) { //nolint:forcetypeassert // asked for
			round.Line = append(round.Line, e.ID)
		}
	}
	if _, err = w.commands.OfferRound(ctx, round); err != nil {
		panic(err)
	}
}

// waits has somebody wait for the practitioner, and returns the wish.
func (s *stage) waits(who string) string {
	s.t.Helper()
	return s.made("waitlist", `{"patientId": "`+who+`", "practitionerIds": ["`+s.practitioner+`"]}`)
}

// offered has João offered the first slot, and returns the offer.
func (s *stage) offered() string {
	s.t.Helper()
	s.handler = s.offering(s.handler)
	given := s.books(0, s.maria)
	wish := s.waits(s.joao)
	require.Equal(s.t, http.StatusOK, s.post("appointments/"+given+"/cancel", `{"initiator": "patient"}`).Code)
	waiting := decoded[httpapi.Waiting](s.t, s.call(s.t, http.MethodGet, "/v1/waitlist/"+wish, "").Body.Bytes())
	require.Equal(s.t, "offered", waiting.Status)
	return waiting.OfferID
}

// earlier has Maria, who has the last slot, offered the first one instead.
func (s *stage) earlier() string {
	s.t.Helper()
	s.handler = s.offering(s.handler)
	given := s.books(0, s.joao)
	wish := s.made("waitlist", `{"patientId": "`+s.maria+`", "appointmentId": "`+s.visit[len("appointments/"):]+`"}`)
	require.Equal(s.t, http.StatusOK, s.post("appointments/"+given+"/cancel", `{"initiator": "patient"}`).Code)
	return decoded[httpapi.Waiting](s.t, s.call(s.t, http.MethodGet, "/v1/waitlist/"+wish, "").Body.Bytes()).OfferID
}

func TestAnEarlierAppointmentIsSwapped(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	offer := s.earlier()
	before := decoded[httpapi.Appointment](t, s.call(t, http.MethodGet, "/v1/"+s.visit, "").Body.Bytes())
	require.Equal(t, "booked", before.Status)
	require.Equal(t, s.slot(5), before.SlotID, "what they have they keep until they accept")
	accepted := decoded[httpapi.Offer](t, s.post("offers/"+offer+"/accept", "").Body.Bytes())
	require.Equal(t, "accepted", accepted.Status)
	after := decoded[httpapi.Appointment](t, s.call(t, http.MethodGet, "/v1/"+s.visit, "").Body.Bytes())
	require.Equal(t, s.slot(0), after.SlotID)
	require.Equal(t, 1, after.Reschedules)
}

// waitlistRefusals provoke each refusal of the waiting list's routes.
var waitlistRefusals = map[string]map[string]func(s *stage) (method, path, body string){
	"joinWaitlist": {
		"waitlist.wish":          joining(`"earliest": "2026-03-02"`),
		"waitlist.unknown-code":  joining(`"specialty": "cardiology", "town": "lisbon"`),
		"waitlist.times":         joining(`"specialty": "cardiology", "times": [{"from": "12:00", "to": "08:00"}]`),
		"waitlist.dates":         joining(`"specialty": "cardiology", "latest": "2026-02-28"`),
		"wall-time.malformed":    joining(`"specialty": "cardiology", "times": [{"from": "noon", "to": "13:00"}]`),
		"day.malformed":          joining(`"specialty": "cardiology", "earliest": "soon"`),
		"clinic.not-found":       joining(`"specialty": "cardiology", "clinicIds": ["nowhere"]`),
		"practitioner.not-found": joining(`"practitionerIds": ["nobody"]`),
		"visit-type.not-found":   joining(`"visitTypeId": "nothing"`),
		"appointment.not-found":  joining(`"appointmentId": "nothing"`),
		"waitlist.appointment": func(s *stage) (string, string, string) {
			return http.MethodPost, "waitlist", `{"patientId": "` + s.joao + `", "appointmentId": "` + s.visit[len("appointments/"):] + `"}`
		},
		"patient.not-found": func(s *stage) (string, string, string) {
			return http.MethodPost, "waitlist", `{"patientId": "nobody", "specialty": "cardiology"}`
		},
		"patient.merged": func(s *stage) (string, string, string) {
			require.Equal(s.t, http.StatusOK, s.post("patients/"+s.joao+"/merge", `{"into": "`+s.maria+`"}`).Code)
			return http.MethodPost, "waitlist", `{"patientId": "` + s.joao + `", "specialty": "cardiology"}`
		},
		"visit-type.retired": func(s *stage) (string, string, string) {
			id := s.made("visit-types", `{"clinicId": "`+s.clinic+`", "name": "Check-up", "duration": "PT30M"}`)
			s.made("visit-types/"+id+"/retire", "")
			return joining(`"visitTypeId": "` + id + `"`)(s)
		},
		"appointment.elsewhere": func(s *stage) (string, string, string) {
			id := s.made("visit-types", `{"clinicId": "`+s.clinic+`", "name": "Check-up", "duration": "PT30M"}`)
			return joining(`"visitTypeId": "` + id + `", "clinicIds": ["another"]`)(s)
		},
	},
	"leaveWaitlist": {
		"waitlist.not-found": func(*stage) (string, string, string) { return http.MethodDelete, "waitlist/nobody", "" },
		"waitlist.accepted": func(s *stage) (string, string, string) {
			offer := s.offered()
			accepted := decoded[httpapi.Offer](s.t, s.post("offers/"+offer+"/accept", "").Body.Bytes())
			return http.MethodDelete, "waitlist/" + accepted.WaitingID, ""
		},
	},
	"getWaiting": {
		"waitlist.not-found": func(*stage) (string, string, string) { return http.MethodGet, "waitlist/nobody", "" },
	},
	"getOffer": {
		"offer.not-found": func(*stage) (string, string, string) { return http.MethodGet, "offers/none", "" },
	},
	"acceptOffer": {
		"offer.not-found": func(s *stage) (string, string, string) {
			return http.MethodPost, "offers/" + s.visit[len("appointments/"):] + ".1/accept", ""
		},
		"offer.over": func(s *stage) (string, string, string) {
			offer := s.offered()
			s.setNow(s.now().Add(2 * time.Hour))
			return http.MethodPost, "offers/" + offer + "/accept", ""
		},
		"appointment.status": func(s *stage) (string, string, string) {
			s.handler = s.offering(s.handler)
			s.setNow(at("2026-03-03T08:30:00Z")) // half an hour before the day begins
			offer := s.earlier()
			s.made(s.visit+"/arrive", "")
			return http.MethodPost, "offers/" + offer + "/accept", ""
		},
		"policy.approval": func(s *stage) (string, string, string) {
			offer := s.earlier()
			s.policy(`"approval": true`)
			s.setNow(s.now().Add(time.Minute))
			return http.MethodPost, "offers/" + offer + "/accept", ""
		},
		"waitlist.ended": func(s *stage) (string, string, string) { // the process died before it declined the offer
			offer := s.offered()
			wish := decoded[httpapi.Offer](s.t, s.call(s.t, http.MethodGet, "/v1/offers/"+offer, "").Body.Bytes()).WaitingID
			_, err := s.events.Append(s.t.Context(), commands.Write{
				Stream: waitlist.Stream(domain.WishID(wish)), Expected: domain.Any, Events: []commands.NewEvent{{
					ID: uuid.NewString(), Event: waitlist.HasEnded{Wish: domain.WishID(wish), Why: waitlist.HasLeft},
					Metadata: domain.Metadata{Command: "another", Actor: "local"},
				}},
			})
			require.NoError(s.t, err)
			return http.MethodPost, "offers/" + offer + "/accept", ""
		},
		"clinic.closed": func(s *stage) (string, string, string) {
			offer := s.offered()
			s.made("clinics/"+s.clinic+"/close", "")
			return http.MethodPost, "offers/" + offer + "/accept", ""
		},
	},
	"declineOffer": {
		"offer.not-found": func(*stage) (string, string, string) { return http.MethodPost, "offers/none/decline", "" },
		"offer.over": func(s *stage) (string, string, string) {
			offer := s.offered()
			s.setNow(s.now().Add(2 * time.Hour))
			return http.MethodPost, "offers/" + offer + "/decline", ""
		},
		"offer.accepted": func(s *stage) (string, string, string) {
			offer := s.offered()
			require.Equal(s.t, http.StatusOK, s.post("offers/"+offer+"/accept", "").Code)
			return http.MethodPost, "offers/" + offer + "/decline", ""
		},
	},
}

func joining(fields string) func(*stage) (method, path, body string) {
	return func(s *stage) (string, string, string) {
		return http.MethodPost, "waitlist", `{"patientId": "` + s.joao + `", ` + fields + `}`
	}
}

func TestEveryRefusalOfTheWaitingListIsProvoked(t *testing.T) {
	t.Parallel()
	listed := refusalsOf(t)
	for operation, provoke := range waitlistRefusals {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			var known []string
			next := stages(t)
			for name, arrange := range provoke {
				known = append(known, name)
				s := next()
				method, path, body := arrange(s)
				answer := s.call(t, method, "/v1/"+path, body)
				require.Equal(t, name, rule(t, answer), "%s: %s", operation, answer.Body)
			}
			require.ElementsMatch(t, listed[operation], known)
		})
	}
}

// TestTheWaitingListIsReadFromItsModel waits over the real read models.
func TestTheWaitingListIsReadFromItsModel(t *testing.T) {
	t.Parallel()
	w := newRealWorld(t)
	d := w.open(t)
	made := func(path, body string) (id, seen string) {
		answer := w.call(t, http.MethodPost, path, body)
		require.Less(t, answer.Code, 300, answer.Body.String())
		var created struct{ ID string }
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &created))
		return created.ID, answer.Header().Get("Slotbook-Position")
	}
	first, _ := made("/v1/waitlist", `{"patientId": "`+d.maria+`", "practitionerIds": ["`+d.practitioner+`"], "times": [{"from": "08:00", "to": "24:00"}]}`)
	second, seen := made("/v1/waitlist", `{"patientId": "`+d.joao+`", "clinicIds": ["`+d.clinic+`"], "practitionerIds": ["`+d.practitioner+`"]}`)
	list := asked[httpapi.List[httpapi.Waiting]](t, w, "/v1/waitlist?minPosition="+seen).Items
	require.Len(t, list, 2)
	require.Equal(t, []string{first, second}, []string{list[0].ID, list[1].ID})
	require.Equal(t, "24:00", list[0].Times[0].To)
	require.Len(t, asked[ids](t, w, "/v1/waitlist?clinicId="+d.clinic).Items, 1)
	require.Len(t, asked[ids](t, w, "/v1/waitlist?limit=1&patientId="+d.joao).Items, 1)
	require.Empty(t, asked[ids](t, w, "/v1/offers").Items)
	require.Empty(t, asked[ids](t, w, "/v1/waitlist/asked?waitingId="+first).Items)
}
