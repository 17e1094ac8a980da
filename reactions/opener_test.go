package reactions_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/memory"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/reactions"
)

var (
	sunrise = domain.ClinicID(domain.NewID("clinic"))
	silva   = domain.PractitionerID(domain.NewID("silva"))
	ana     = domain.PatientID(domain.NewID("ana"))
)

func request() commands.Request { return commands.Request{Command: uuid.NewString(), Actor: "local"} }

// practice is a clinic with one practitioner and one patient, and an opener
// that runs until the test ends. It lives in synctest's bubble: time.Now is
// virtual.
func practice(t *testing.T, minutes int) (*commands.Handler, *memory.Store) {
	t.Helper()
	store := memory.New(memory.Config{Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Now: time.Now})
	h := commands.New(commands.Config{Store: store, Now: time.Now, NewID: uuid.NewString})
	ctx := t.Context()
	_, err := h.RegisterClinic(ctx, request(), clinic.Register{Clinic: sunrise, Profile: clinic.Profile{Name: "Sunrise", Zone: "UTC"}})
	require.NoError(t, err)
	_, err = h.RegisterPractitioner(ctx, request(), practitioner.Register{Practitioner: silva, Profile: practitioner.Profile{Name: "Dr.", Clinics: []domain.ClinicID{sunrise}}})
	require.NoError(t, err)
	_, err = h.RegisterPatient(ctx, request(), patient.Register{Patient: ana, Name: "Ana"})
	require.NoError(t, err)
	set(t, h, minutes)
	opener := reactions.NewOpener(reactions.OpenerConfig{
		Log: store, Handler: h, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Practitioners: func(context.Context) ([]domain.PractitionerID, error) { return []domain.PractitionerID{silva}, nil },
	})
	running, stop := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- opener.Run(running) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-stopped)
	})
	return h, store
}

func set(t *testing.T, h *commands.Handler, minutes int) commands.Opening {
	t.Helper()
	p := schedule.Pattern{Clinic: sunrise, HorizonDays: 2}
	for weekday := range 7 {
		p.Weekly = append(p.Weekly, schedule.Interval{Weekday: weekday, From: 9 * 60, To: 12 * 60, SlotMinutes: minutes, Capacity: 1})
	}
	_, opening, err := h.SetSchedule(t.Context(), request(), schedule.Set{Practitioner: silva, Pattern: p})
	require.NoError(t, err)
	return opening
}

func opened(t *testing.T, store *memory.Store) (slots []schedule.Slot) {
	t.Helper()
	page, err := store.ReadAll(t.Context(), 0, domain.Filter{Types: []string{"schedule.day-opened"}}, 1000)
	require.NoError(t, err)
	for _, r := range page.Events {
		slots = append(slots, r.Event.(schedule.DayOpened).Slots...)
	}
	return slots
}

func TestEveryDaysEndOpensOneMoreDay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, store := practice(t, 60)
		require.Len(t, opened(t, store), 2*3)
		time.Sleep(24 * time.Hour) // virtual
		synctest.Wait()
		require.Len(t, opened(t, store), 3*3)
		time.Sleep(3 * 24 * time.Hour)
		synctest.Wait()
		require.Len(t, opened(t, store), 6*3)
	})
}

func TestWhatWaitedForABookedSlotIsOpenedWhenItIsReleased(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, store := practice(t, 60)
		old := opened(t, store)[0]
		booked, err := h.Book(t.Context(), request(), commands.Booking{Appointment: domain.AppointmentID(domain.NewID("a")), Slots: []domain.SlotID{old.ID}, Patient: ana})
		require.NoError(t, err)
		require.Len(t, set(t, h, 90).Waiting, 1)
		before := len(opened(t, store))
		_, err = h.Cancel(t.Context(), request(), commands.Cancellation{Appointment: booked.State.Sets[0].Appointment, Initiator: appointment.ByClinic})
		require.NoError(t, err)
		time.Sleep(time.Second) // virtual
		synctest.Wait()
		slots := opened(t, store)
		require.Len(t, slots, before+1)
		require.Equal(t, old.Start, slots[before].Start)
	})
}
