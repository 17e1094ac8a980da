package commands_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/name"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/reference"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/visittype"
)

func harbor() clinic.Profile {
	return clinic.Profile{Name: "Harbor", Zone: "Europe/Lisbon", Address: "Cais 1"}
}

func (w *world) registerClinic(h *commands.Handler, id domain.ClinicID, p clinic.Profile) error {
	_, err := h.RegisterClinic(w.ctx, w.request(), clinic.Register{Clinic: id, Profile: p})
	return err
}

// names returns the types of the events of all names, in order.
func (w *world) names() (types []string) {
	for _, r := range w.log() {
		if r.Stream.Category() == name.Category {
			types = append(types, r.Event.EventType())
		}
	}
	return types
}

// takenBy reports that a refusal names the clinic that has the name.
func takenBy(t *testing.T, err error, id domain.ClinicID) {
	t.Helper()
	require.ErrorIs(t, err, name.ErrClinic)
	conflict, ok := errors.AsType[*commands.Conflict](err)
	require.True(t, ok)
	require.Equal(t, clinic.Stream(id), conflict.Stream)
}

func TestThereIsOneClinicOfANameAtAnAddress(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		require.NoError(t, w.registerClinic(w.h, "a", harbor()))
		require.NoError(t, w.registerClinic(w.h, "a", harbor()), "twice is once")
		same := harbor()
		same.Name, same.Address = " HARBOR ", "cais  1"
		takenBy(t, w.registerClinic(w.h, "b", same), "a")
		same.Town = "pt-porto"
		require.NoError(t, w.registerClinic(w.h, "b", same), "in another town")

		_, err := w.h.ChangeClinic(w.ctx, w.request(), "b", clinic.Change{Profile: harbor()})
		takenBy(t, err, "a")
		moved := harbor()
		moved.Address = "Cais 2"
		answer, err := w.h.ChangeClinic(w.ctx, w.request(), "a", clinic.Change{Profile: moved})
		require.NoError(t, err)
		require.Equal(t, "Cais 2", answer.State.Address)
		require.NoError(t, w.registerClinic(w.h, "c", harbor()), "who moves leaves the name")
		_, err = w.h.CloseClinic(w.ctx, w.request(), "c")
		require.NoError(t, err)
		require.NoError(t, w.registerClinic(w.h, "d", harbor()), "who closes leaves it, too")
		require.Equal(t, []string{
			"name.taken", "name.taken", "name.taken", "name.released", "name.taken", "name.released", "name.taken",
		}, w.names())
		w.audit()
	})
}

func TestClinicsWithoutAnAddressMayHaveOneName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	nowhere := clinic.Profile{Name: "Harbor", Zone: "UTC"}
	require.NoError(t, w.registerClinic(w.h, "a", nowhere))
	require.NoError(t, w.registerClinic(w.h, "b", nowhere))
	require.Empty(t, w.names())
}

func TestOfTwoWhoWantANameAtOnceOneHasIt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		const n = 8
		outcomes := make([]error, n)
		var all sync.WaitGroup
		for i := range n {
			req := w.request()
			all.Go(func() {
				id := domain.ClinicID(fmt.Sprint("clinic", i))
				_, outcomes[i] = w.handler(w.store).RegisterClinic(context.WithoutCancel(w.ctx), req, clinic.Register{Clinic: id, Profile: harbor()})
			})
		}
		all.Wait()
		won := 0
		for _, err := range outcomes {
			if err == nil {
				won++
				continue
			}
			require.ErrorIs(t, err, name.ErrClinic)
		}
		require.Equal(t, 1, won)
	})
}

func TestANameOfAProcessThatDiedIsFreeAfterItsDeadline(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		w := newWorld(t, true)
		req, register := w.request(), clinic.Register{Clinic: "a", Profile: harbor()}
		died := w.handler(&crashing{Store: w.store, appends: 1, after: after})
		_, err := died.RegisterClinic(w.ctx, req, register)
		require.ErrorIs(t, err, errCrash)
		takenBy(t, w.registerClinic(w.h, "b", harbor()), "a")
		w.clock.advance(10*time.Second + appointment.ClockSlack)
		err = w.registerClinic(w.h, "b", harbor())
		if after {
			takenBy(t, err, "a")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, []string{"clinic.name-lapsed"}, w.types(clinic.Stream("a")))
		_, err = w.h.Clinic(w.ctx, "a")
		require.ErrorIs(t, err, clinic.ErrNotFound)
		_, err = w.h.DefineVisitType(w.ctx, w.request(), visittype.Define{VisitType: "v", Clinic: "a", Terms: visittype.Terms{Name: "Visit", Duration: 30}})
		require.ErrorIs(t, err, clinic.ErrNotFound)
		_, err = w.h.RegisterClinic(w.ctx, req, register)
		takenBy(t, err, "b")
		register.Profile.Name = "Harbor Two"
		_, err = w.h.RegisterClinic(w.ctx, w.request(), register)
		require.NoError(t, err, "the id can still be used")
	}
}

func TestAMoveThatDiedHalfWayLeavesNothingTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	require.NoError(t, w.registerClinic(w.h, "a", harbor()))
	moved := harbor()
	moved.Address = "Cais 2"
	died := w.handler(&crashing{Store: w.store, appends: 2}) // before the old name is released
	_, err := died.ChangeClinic(w.ctx, w.request(), "a", clinic.Change{Profile: moved})
	require.NoError(t, err)
	require.NoError(t, w.registerClinic(w.h, "b", harbor()), "whoever meets the dead claim releases it")
	takenBy(t, w.registerClinic(w.h, "c", moved), "a")
}

func TestAClosedClinicTakesNothingNew(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		_, err := w.book(w.ana, slots[0].ID)
		require.NoError(t, err)
		_, err = w.h.CloseClinic(w.ctx, w.request(), w.clinic)
		require.NoError(t, err)
		again, err := w.h.CloseClinic(w.ctx, w.request(), w.clinic)
		require.NoError(t, err)
		require.True(t, again.Replayed)
		_, err = w.book(w.boris, slots[1].ID)
		require.ErrorIs(t, err, clinic.ErrClosed)
		_, _, err = w.h.SetSchedule(w.ctx, w.request(), schedule.Set{Practitioner: w.silva, Pattern: w.weekdays("09:00", "12:00", 30, 1, 2)})
		require.ErrorIs(t, err, clinic.ErrClosed)
		_, err = w.h.ChangeClinic(w.ctx, w.request(), w.clinic, clinic.Change{Profile: harbor()})
		require.ErrorIs(t, err, clinic.ErrClosed)
		_, err = w.h.SetClinicCalendar(w.ctx, w.request(), w.clinic, clinic.SetCalendar{})
		require.ErrorIs(t, err, clinic.ErrClosed)

		opening, err := w.h.OpenDays(w.ctx, w.request(), w.silva)
		require.NoError(t, err)
		require.Len(t, opening.Withdrawn, 6, "the schedule adopts it")
		require.Len(t, opening.Displaced, 1)
		_, err = w.cancel(w.booking(w.ana, slots[0].ID).Appointment)
		require.NoError(t, err, "what is booked can still be cancelled")
		w.clock.advance(72 * time.Hour)
		opening, err = w.h.OpenDays(w.ctx, w.request(), w.silva)
		require.NoError(t, err)
		require.Empty(t, opening.Opened)
		_, err = w.h.CloseClinic(w.ctx, w.request(), "nowhere")
		require.ErrorIs(t, err, clinic.ErrNotFound)
		w.audit()
	})
}

// said is what authorities say.
type said []reference.Entry

func (s said) Entries(_ context.Context, kind reference.Kind, codes ...string) (map[string]reference.Entry, error) {
	found := map[string]reference.Entry{}
	for _, e := range s {
		for _, code := range codes {
			if e.Kind == kind && e.Code == code {
				found[code] = e
			}
		}
	}
	return found, nil
}

func TestAClinicIsWhereItsTownIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.h.Said = said{
		{Kind: reference.Town, Code: "pt-lisboa", Country: "PT", Latitude: new(38.7223), Longitude: new(-9.1393)},
		{Kind: reference.Town, Code: "pt-porto", Country: "PT", Latitude: new(41.1496), Longitude: new(-8.6110)},
		{Kind: reference.District, Code: "pt-lisboa-belem", Country: "PT", Town: "pt-lisboa"},
	}
	p := harbor()
	p.Town, p.District, p.Location = "pt-lisboa", "pt-lisboa-belem", &clinic.Location{Latitude: 38.6979, Longitude: -9.2076}
	answer, err := w.h.RegisterClinic(w.ctx, w.request(), clinic.Register{Clinic: "a", Profile: p})
	require.NoError(t, err)
	require.Equal(t, "PT", answer.State.Country)
	p.Location = &clinic.Location{Latitude: 41.15, Longitude: -8.61}
	_, err = w.h.ChangeClinic(w.ctx, w.request(), "a", clinic.Change{Profile: p})
	require.ErrorIs(t, err, clinic.ErrImplausible)
	p.Town = "pt-porto"
	_, err = w.h.ChangeClinic(w.ctx, w.request(), "a", clinic.Change{Profile: p})
	require.ErrorIs(t, err, clinic.ErrTown, "the district is another town's")
	p.District = ""
	_, err = w.h.ChangeClinic(w.ctx, w.request(), "a", clinic.Change{Profile: p})
	require.NoError(t, err)
}

func TestACouncilNumberFollowsTheClinicsUnlessItIsTakenThere(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		paulista, carioca := harbor(), harbor()
		paulista.PostalCode, carioca.Address, carioca.PostalCode = "01310-100", "Cais 2", "22041-001"
		require.NoError(t, w.registerClinic(w.h, "sp", paulista))
		require.NoError(t, w.registerClinic(w.h, "rj", carioca))
		register := func(id domain.PractitionerID, at domain.ClinicID) error {
			_, err := w.h.RegisterPractitioner(w.ctx, w.request(), practitioner.Register{Practitioner: id, Profile: practitioner.Profile{
				Name: "Dr.", Clinics: []domain.ClinicID{at}, Council: practitioner.Council{Number: "12345"},
			}})
			return err
		}
		require.NoError(t, register("a", "sp"))
		require.NoError(t, register("b", "rj"))
		require.ErrorIs(t, register("c", "sp"), name.ErrCouncil)

		carioca.PostalCode = "01310-200"
		_, err := w.h.ChangeClinic(w.ctx, w.request(), "rj", clinic.Change{Profile: carioca})
		require.NoError(t, err)
		_, err = w.h.FollowClinics(w.ctx, w.request(), "b")
		require.ErrorIs(t, err, name.ErrCouncil)
		conflict, ok := errors.AsType[*commands.Conflict](err)
		require.True(t, ok)
		require.Equal(t, practitioner.Stream("a"), conflict.Stream)
		_, err = w.h.ChangePractitioner(w.ctx, w.request(), "a", practitioner.Change{Profile: practitioner.Profile{Name: "Dr.", Clinics: []domain.ClinicID{"sp"}}})
		require.NoError(t, err)
		answer, err := w.h.FollowClinics(w.ctx, w.request(), "b")
		require.NoError(t, err)
		require.Equal(t, "SP", answer.State.Council.State)
		_, err = w.h.FollowClinics(w.ctx, w.request(), "nobody")
		require.ErrorIs(t, err, practitioner.ErrNotFound)
		w.audit()
	})
}
