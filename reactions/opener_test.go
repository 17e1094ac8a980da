package reactions_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"sync/atomic"
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
	store := newStore()
	h := staffed(t, commands.New(commands.Config{Store: store, Now: time.Now, NewID: uuid.NewString}), "UTC", minutes)
	run(t, store, opener(h))
	return h, store
}

func newStore() *memory.Store {
	return memory.New(memory.Config{Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Now: time.Now})
}

// staffed registers the clinic, the practitioner with a schedule, and the
// patient.
func staffed(t *testing.T, h *commands.Handler, zone string, minutes int) *commands.Handler {
	t.Helper()
	ctx := t.Context()
	_, err := h.RegisterClinic(ctx, request(), clinic.Register{Clinic: sunrise, Profile: clinic.Profile{Name: "Sunrise", Zone: zone}})
	require.NoError(t, err)
	_, err = h.RegisterPractitioner(ctx, request(), practitioner.Register{Practitioner: silva, Profile: practitioner.Profile{Name: "Dr.", Clinics: []domain.ClinicID{sunrise}}})
	require.NoError(t, err)
	_, err = h.RegisterPatient(ctx, request(), patient.Register{Patient: ana, Name: "Ana"})
	require.NoError(t, err)
	set(t, h, minutes)
	return h
}

func opener(h *commands.Handler) reactions.OpenerConfig {
	return reactions.OpenerConfig{
		Handler: h, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Practitioners: func(context.Context) ([]domain.PractitionerID, error) { return []domain.PractitionerID{silva}, nil },
	}
}

// run runs an opener until the test ends, and tells it what is recorded.
func run(t *testing.T, log follower, c reactions.OpenerConfig) {
	t.Helper()
	running, stop := context.WithCancel(context.Background())
	stopped := make(chan error)
	o := reactions.NewOpener(c)
	go func() { stopped <- o.Run(running) }()
	from, err := log.Head(running)
	require.NoError(t, err)
	go func() { stopped <- follow(running, log, from, o.Wants(), o.React) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-stopped)
		require.NoError(t, <-stopped)
	})
}

// follower is a log that can be followed.
type follower interface {
	ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error)
	Head(ctx context.Context) (domain.Position, error)
	Wait(ctx context.Context, after domain.Position) error
}

// follow hands what is recorded after a position to a reaction, until ctx ends.
func follow(ctx context.Context, log follower, at domain.Position, types []string, react func(context.Context, domain.Recorded) error) error {
	for log.Wait(ctx, at) == nil {
		page, err := log.ReadAll(ctx, at, domain.Filter{Types: types}, 100)
		if err != nil {
			return err
		}
		for _, r := range page.Events {
			for react(ctx, r) != nil && ctx.Err() == nil {
				time.Sleep(time.Second) // virtual
			}
		}
		at = page.Next
	}
	return nil
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

const aYear = 365 * 24 * time.Hour

func TestADayIsOpenedTheMomentAnotherEndsAtItsClinic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		h := staffed(t, commands.New(commands.Config{Store: store, Now: time.Now, NewID: uuid.NewString}), "Asia/Kolkata", 60)
		c := opener(h)
		c.Every = aYear
		run(t, store, c)
		synctest.Wait()
		before := len(opened(t, store))
		time.Sleep(18*time.Hour + 30*time.Minute - time.Second) // virtual: it is a second before midnight in Kolkata
		synctest.Wait()
		require.Len(t, opened(t, store), before)
		for day := 1; day <= 3; day++ {
			time.Sleep(time.Second)
			synctest.Wait()
			require.Len(t, opened(t, store), before+day*3)
			time.Sleep(24*time.Hour - time.Second)
		}
	})
}

func TestAPatternSetInAnEarlierZoneIsNotLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		h := staffed(t, commands.New(commands.Config{Store: store, Now: time.Now, NewID: uuid.NewString}), "Pacific/Niue", 60)
		c := opener(h)
		c.Every = aYear
		run(t, store, c)
		time.Sleep(time.Minute)
		_, err := h.SetClinicCalendar(t.Context(), request(), sunrise, clinic.SetCalendar{Zone: "Asia/Kolkata"})
		require.NoError(t, err)
		set(t, h, 30)
		time.Sleep(time.Minute)
		synctest.Wait()
		before := len(opened(t, store))
		time.Sleep(18*time.Hour + 30*time.Minute) // past midnight in Kolkata, not on Niue
		synctest.Wait()
		require.Len(t, opened(t, store), before+6)
	})
}

func TestAProcessThatSleptForDaysCatchesUpWithOneLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		var asleep atomic.Int64 // while the machine sleeps, its timers do too
		now := func() time.Time { return time.Now().Add(time.Duration(asleep.Load())) }
		h := staffed(t, commands.New(commands.Config{Store: store, Now: now, NewID: uuid.NewString}), "UTC", 60)
		run(t, store, opener(h))
		synctest.Wait()
		asleep.Store(int64(5 * 24 * time.Hour))
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		require.Len(t, opened(t, store), 2*3+2*3, "today and tomorrow; what lies between is past")
	})
}

// counting counts what is asked of a store.
type counting struct {
	*memory.Store
	loads, appends atomic.Int64
}

func (c *counting) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	c.loads.Add(1)
	return c.Store.Load(ctx, streams...)
}

func (c *counting) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	c.appends.Add(1)
	return c.Store.Append(ctx, writes...)
}

func TestALookThatFindsNothingAppendsNothingAndLoadsNoDay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Store: newStore()}
		h := staffed(t, commands.New(commands.Config{Store: store, Now: time.Now, NewID: uuid.NewString}), "UTC", 60)
		c := opener(h)
		run(t, store, c)
		time.Sleep(time.Minute)
		synctest.Wait()
		loads, appends := store.loads.Load(), store.appends.Load()
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		require.Equal(t, loads+2, store.loads.Load(), "all schedules, and all clinics")
		require.Equal(t, appends, store.appends.Load())
	})
}

func TestAClinicsNewCalendarReachesItsPractitioners(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, store := practice(t, 60)
		time.Sleep(10 * time.Hour) // it is ten: eleven is left of today
		slots := opened(t, store)
		eleven := slots[2]
		booked, err := h.Book(t.Context(), request(), commands.Booking{Appointment: domain.AppointmentID(domain.NewID("a")), Slots: []domain.SlotID{eleven.ID}, Patient: ana})
		require.NoError(t, err)
		today := domain.DayOf(time.Now())
		_, err = h.SetClinicCalendar(t.Context(), request(), sunrise, clinic.SetCalendar{
			Calendar: domain.Calendar{ClosingDays: []domain.ClosingDay{{Day: today, Reason: "flood"}}},
		})
		require.NoError(t, err)
		time.Sleep(time.Second)
		synctest.Wait()
		now, err := h.Slot(t.Context(), eleven.ID)
		require.NoError(t, err)
		require.True(t, now.State.Withdrawn)
		visit, err := h.Appointment(t.Context(), booked.State.Sets[0].Appointment)
		require.NoError(t, err)
		require.Equal(t, appointment.Booked, visit.State.Status, "displaced, not lost")
		tomorrow, err := h.Slot(t.Context(), slots[3].ID)
		require.NoError(t, err)
		require.Equal(t, 1, tomorrow.State.Free())
	})
}

func TestACalendarSetWhileNobodyWatchedIsAdoptedAtTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		h := staffed(t, commands.New(commands.Config{Store: store, Now: time.Now, NewID: uuid.NewString}), "UTC", 60)
		_, err := h.SetClinicCalendar(t.Context(), request(), sunrise, clinic.SetCalendar{
			Calendar: domain.Calendar{Hours: []domain.Hours{{Weekday: int(time.Now().Weekday()), From: 9 * 60, To: 10 * 60}}},
		})
		require.NoError(t, err)
		run(t, store, opener(h))
		synctest.Wait()
		var free int
		for _, s := range opened(t, store) {
			now, err := h.Slot(t.Context(), s.ID)
			require.NoError(t, err)
			free += now.State.Free()
		}
		require.Equal(t, 1, free, "nine to ten today")
	})
}

func TestALookThatFailsIsMadeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		h := staffed(t, commands.New(commands.Config{Store: store, Now: time.Now, NewID: uuid.NewString}), "UTC", 60)
		c := opener(h)
		list, asked := c.Practitioners, 0
		c.Practitioners = func(ctx context.Context) ([]domain.PractitionerID, error) {
			if asked++; asked == 1 {
				return nil, errors.New("the list is away")
			}
			return list(ctx)
		}
		run(t, store, c)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 2, asked)
	})
}

func TestWhatOneProcessHasSettledAnotherDoesNotLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Store: newStore()}
		h := staffed(t, commands.New(commands.Config{Store: store, Now: time.Now, NewID: uuid.NewString}), "UTC", 60)
		c := opener(h)
		c.Settled = shared{}
		reactions.NewOpener(c).Look(t.Context())
		loads, appends := store.loads.Load(), store.appends.Load()
		reactions.NewOpener(c).Look(t.Context())
		require.Equal(t, loads+2, store.loads.Load(), "all schedules, and all clinics")
		time.Sleep(24 * time.Hour)
		reactions.NewOpener(c).Look(t.Context())
		require.Equal(t, appends+1, store.appends.Load(), "the next day")
		set(t, h, 30)
		loads = store.loads.Load()
		reactions.NewOpener(c).Look(t.Context())
		require.Greater(t, store.loads.Load(), loads+2, "a schedule that was changed is looked at")
	})
}

// shared is what several openers remember.
type shared map[domain.PractitionerID]reactions.Settlement

func (s shared) Settlements(context.Context, []domain.PractitionerID) (map[domain.PractitionerID]reactions.Settlement, error) {
	return s, nil
}

func (s shared) Settle(_ context.Context, settled map[domain.PractitionerID]reactions.Settlement) error {
	maps.Copy(s, settled)
	return nil
}
