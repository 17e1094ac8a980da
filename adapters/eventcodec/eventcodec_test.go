package eventcodec_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

var update = flag.Bool("update", false, "write the golden files of new event types")

const stream domain.StreamName = "test-1"

// samples holds one event of every type.
func samples() []domain.Event {
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	period := domain.Period{Start: start, End: start.Add(30 * time.Minute)}
	visit := appointment.Visit{
		Appointment: "a1", Patient: "p1", Practitioner: "d1", Clinic: "c1",
		Slots: []domain.SlotID{"d1.20260302.0"}, Period: period,
	}
	terms := slot.Terms{Slot: "d1.20260302.0", Practitioner: "d1", Clinic: "c1", Period: period}
	of := claim.Claim{Owner: "appointment-a1", Set: 1}
	holder := slot.Holder{Claim: of, Appointment: "a1", Patient: "p1"}
	taken := occupancy.Taken{Claim: of, Appointment: "a1", Period: period}
	sealed := func(text string) domain.Sealed { return domain.Open("p1", text) }
	calendar := domain.Calendar{
		Hours: []domain.Hours{{Weekday: 1, From: 480, To: 1200}, {Weekday: 5, From: 1200, To: 120}}, ClosingDays: []domain.ClosingDay{{Day: "2026-12-25", Reason: "Christmas"}},
	}
	want := schedule.Want{Clinic: "c1", Capacity: 2, Period: period}
	return []domain.Event{
		appointment.WasProposed{Visit: visit, Set: 1, Claims: []domain.StreamName{"occupancy-patient.p1.2026-03-02", "slot-d1.20260302.0"}, Reason: sealed("knee"), Deadline: start.Add(10 * time.Second)},
		appointment.WasBooked{Visit: visit, Set: 1},
		appointment.WasRefused{Visit: visit, Set: 1, Rule: "slot.taken"},
		appointment.HasLapsed{Visit: visit, Set: 1},
		appointment.WasCancelled{Visit: visit, Set: 1, Initiator: appointment.ByPatient, Reason: sealed("cold")},
		clinic.Registered{Clinic: "c1", Profile: clinic.Profile{Name: "Sunrise", Zone: "Europe/Lisbon", Address: "Rua 1", Location: &clinic.Location{Latitude: 38.7, Longitude: -9.1}}},
		clinic.CalendarSet{Clinic: "c1", Zone: "Europe/Lisbon", Calendar: calendar},
		occupancy.Booked{Subject: occupancy.Patient("p1"), Taken: taken},
		occupancy.Released{Subject: occupancy.Patient("p1"), Taken: taken},
		patient.Registered{Patient: "p1", Name: sealed("Ana Жук 한글"), Email: sealed("ana@example.org"), Phone: sealed("+351 1")},
		practitioner.Registered{Practitioner: "d1", Profile: practitioner.Profile{Name: "Dr. Silva", Specialties: []string{"cardiology"}, Clinics: []domain.ClinicID{"c1"}}},
		schedule.WasSet{Practitioner: "d1", Pattern: schedule.Pattern{Clinic: "c1", Zone: "Europe/Lisbon", HorizonDays: 14, Weekly: []schedule.Interval{
			{Weekday: 1, From: 540, To: 720, SlotMinutes: 30, Capacity: 2, Breaks: []schedule.Break{{From: 600, To: 630}}},
		}}},
		schedule.ClinicAdopted{Practitioner: "d1", Clinic: "c1", Zone: "Europe/Lisbon", Revision: 3, Calendar: calendar},
		schedule.ExceptionSet{Practitioner: "d1", Exception: schedule.Exception{
			Date: "2026-03-02", Clinic: "c1", Kind: schedule.ExtraHours, Reason: "other",
			Intervals: []schedule.Interval{{Weekday: 1, From: 1320, To: 120, SlotMinutes: 30, Capacity: 1}},
		}},
		schedule.ExceptionRemoved{Practitioner: "d1", Date: "2026-03-02", Clinic: "c1"},
		schedule.Blocked{Practitioner: "d1", Block: schedule.Block{ID: "b1", Period: period, Reason: "fire drill"}},
		schedule.Unblocked{Practitioner: "d1", Block: schedule.Block{ID: "b1", Period: period, Reason: "fire drill"}},
		schedule.DayOpened{
			Practitioner: "d1", Day: "2026-03-02", Schedule: 0, Slots: []schedule.Slot{{ID: "d1.20260302.0", Clinic: "c1", Capacity: 2, Period: period}},
			Withdrawn: []domain.SlotID{"d1.20260302.9"}, Waiting: []schedule.Want{want}, Overlaps: []schedule.Want{want},
		},
		slot.Booked{Terms: terms, Holder: holder, Places: 2},
		slot.Released{Terms: terms, Holder: holder},
		slot.Withdrawn{Terms: terms, Displaced: []slot.Holder{holder}},
		slot.Resized{Terms: terms, Places: 3},
	}
}

func TestEveryTypeHasASample(t *testing.T) {
	t.Parallel()
	var names []string
	for _, e := range samples() {
		names = append(names, e.EventType())
	}
	require.ElementsMatch(t, eventcodec.Types(), names)
}

// TestGolden holds the bytes of every event type for ever: what is in a store
// today must be read by every later version, and re-encoded to the same bytes.
func TestGolden(t *testing.T) {
	t.Parallel()
	codec := eventcodec.New(&eventcodec.MemoryKeys{})
	for _, event := range samples() {
		t.Run(event.EventType(), func(t *testing.T) {
			t.Parallel()
			encoded, err := codec.Encode(t.Context(), stream, commands.NewEvent{ID: domain.NewID("golden"), Event: event})
			require.NoError(t, err)
			path := filepath.Join("testdata", event.EventType()+".json")
			golden, err := os.ReadFile(path)
			if *update && os.IsNotExist(err) {
				require.NoError(t, os.WriteFile(path, append(encoded.Data, '\n'), 0o600))
				return
			}
			require.NoError(t, err, "a new event type: run the test once with -update")
			require.Equal(t, strings.TrimSpace(string(golden)), string(encoded.Data))
			decoded, err := codec.Decode(event.EventType(), golden)
			require.NoError(t, err)
			again, err := codec.Encode(t.Context(), stream, commands.NewEvent{ID: domain.NewID("golden"), Event: decoded})
			require.NoError(t, err)
			require.Equal(t, string(encoded.Data), string(again.Data), "decoding loses nothing")
		})
	}
}

func encode(t *testing.T, keys eventcodec.Keys) (*eventcodec.Codec, patient.Registered, string) {
	t.Helper()
	codec := eventcodec.New(keys)
	e := commands.NewEvent{ID: domain.NewID("e"), Event: patient.Registered{Patient: "p1", Name: domain.Open("p1", "Ana Sousa")}}
	encoded, err := codec.Encode(t.Context(), stream, e)
	require.NoError(t, err)
	again, err := codec.Encode(t.Context(), stream, e)
	require.NoError(t, err)
	require.Equal(t, encoded, again, "a resend has the same bytes")
	decoded, err := codec.Decode(encoded.Type, encoded.Data)
	require.NoError(t, err)
	return codec, decoded.(patient.Registered), string(encoded.Data)
}

func TestAPersonsTextIsSealed(t *testing.T) {
	t.Parallel()
	keys := &eventcodec.MemoryKeys{}
	codec, event, data := encode(t, keys)
	require.NotContains(t, data, "Ana")
	text, err := codec.Open(t.Context(), event.Name)
	require.NoError(t, err)
	require.Equal(t, "Ana Sousa", text)

	keys.Destroy("p1")
	_, err = codec.Open(t.Context(), event.Name)
	require.ErrorIs(t, err, eventcodec.ErrNoKey, "without the key nobody reads it")
	_, err = keys.Key(t.Context(), "p1", true)
	require.ErrorIs(t, err, eventcodec.ErrNoKey, "a destroyed key is not made again")
}

func TestABoxDoesNotOpenElsewhere(t *testing.T) {
	t.Parallel()
	codec, event, _ := encode(t, &eventcodec.MemoryKeys{})
	moved := event.Name
	moved.Box = strings.Replace(moved.Box, "name/", "email/", 1)
	for _, box := range []string{moved.Box, "", "x", "a/b/c", event.Name.Box[:len(event.Name.Box)-4]} {
		s := domain.Sealed{Person: "p1", Box: box}
		text, err := codec.Open(context.Background(), s)
		require.True(t, err != nil || box == "" && text == "", box)
	}
	other := event.Name
	other.Person = "p2"
	_, err := codec.Open(t.Context(), other)
	require.Error(t, err)
}

func TestAnUnknownTypeWasWrittenByANewerProgram(t *testing.T) {
	t.Parallel()
	codec := eventcodec.New(&eventcodec.MemoryKeys{})
	_, err := codec.Decode("slot.painted", []byte("{}"))
	require.ErrorIs(t, err, commands.ErrUpgradeRunning)
	_, err = codec.Decode("slot.booked", []byte("{"))
	require.Error(t, err)
	require.NotErrorIs(t, err, commands.ErrUpgradeRunning)
}

func FuzzDecode(f *testing.F) {
	for _, e := range samples() {
		f.Add(e.EventType(), []byte("{}"))
	}
	codec := eventcodec.New(&eventcodec.MemoryKeys{})
	types := eventcodec.Types()
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		e, err := codec.Decode(name, data)
		if err == nil && !slices.Contains(types, e.EventType()) {
			t.Fatal("decoded an unknown type")
		}
	})
}
