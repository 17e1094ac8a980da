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
	"github.com/slotbook/slotbook/domain/demand"
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
	whole, turn := visit, start.Add(10*time.Minute)
	whole.VisitType, whole.ExpectedAt, whole.Overbooked = "v1", &turn, true
	whole.Uses = []appointment.Use{{Kind: "room", ID: "r1", Period: period}}
	terms := slot.Terms{Slot: "d1.20260302.0", Practitioner: "d1", Clinic: "c1", Period: period}
	of := claim.Claim{Owner: "appointment-a1", Set: 1}
	visits := []series.Visit{{
		Day: "2026-03-02", Start: start, Slot: "d1.20260302.0", Appointment: "a1", Set: 1, Slots: []domain.SlotID{"d1.20260302.0", "d1.20260302.1"},
	}}
	holder := slot.Holder{Claim: of, Appointment: "a1", Patient: "p1"}
	taken := occupancy.Taken{Claim: of, Appointment: "a1", Period: period}
	offer := visittype.Terms{
		Name: "Check-up", Duration: 30, BufferBefore: 5, BufferAfter: 10, Fee: &visittype.Fee{Amount: 6500, Currency: "EUR"}, Specialty: "cardiology",
	}
	offered := waitlist.Offer{Claim: of, Appointment: "a1", Until: start.Add(-time.Hour), Opening: waitlist.Opening{
		Slot: "d1.20260302.0", Practitioner: "d1", Clinic: "c1", Period: period,
	}}
	full := quota.Quota{Rule: quota.PractitionerDay, Subject: "d1", Bucket: "2026-03-02"}
	counted := quota.Counted{Claim: of, Appointment: "a1"}
	sealed := func(text string) domain.Sealed { return domain.Open("p1", text) }
	reviewed := review.Visit{Appointment: "a1", Patient: "p1", Practitioner: "d1", Clinic: "c1"}
	waits := queue.Entry{
		ID: "a1", Ticket: 3, Practitioner: "d1", Day: "2026-03-02", Clinic: "c1", Appointment: "a1", Patient: "p1", Due: start.Add(time.Hour), Since: start,
	}
	cameIn := queue.Entry{ID: "w1", Ticket: 4, Practitioner: "d1", Day: "2026-03-02", Clinic: "c1", Since: start}
	calendar := domain.Calendar{
		Hours: []domain.Hours{{Weekday: 1, From: 480, To: 1200}, {Weekday: 5, From: 1200, To: 120}}, ClosingDays: []domain.ClosingDay{{Day: "2026-12-25", Reason: "Christmas"}},
	}
	want := schedule.Want{Clinic: "c1", Capacity: 2, Period: period}
	return []domain.Event{
		appointment.WasProposed{Visit: visit, Set: 1, Claims: []domain.StreamName{"occupancy-patient.p1.2026-03-02", "slot-d1.20260302.0"}, Reason: sealed("knee"), Deadline: start.Add(10 * time.Second)},
		appointment.WasBooked{Visit: visit, Set: 1},
		appointment.WasHeld{Visit: whole, Set: 1, Deadline: start.Add(5 * time.Minute), Ceiling: start.Add(30 * time.Minute)},
		appointment.WasRenewed{Visit: visit, Set: 1, Deadline: start.Add(10 * time.Minute)},
		appointment.WasReleased{Visit: visit, Set: 1},
		appointment.WasRequested{Visit: visit, Set: 1, Deadline: start.Add(20 * time.Minute)},
		appointment.WasDeclined{Visit: visit, Set: 1, Code: "fully-booked", Reason: sealed("next week"), By: "local"},
		appointment.HasArrived{Visit: visit, Set: 1, At: start, By: "local"},
		appointment.WasCheckedIn{Visit: visit, Set: 1, At: start, By: "local"},
		appointment.WasFulfilled{Visit: visit, Set: 1, At: start, By: "local"},
		appointment.WasMissed{Visit: visit, Set: 1, At: start, By: "local"},
		appointment.WasReverted{Visit: visit, Set: 1, Status: appointment.Booked, At: start, By: "local"},
		appointment.WasRefused{Visit: visit, Set: 1, Rule: "slot.taken"},
		appointment.HasLapsed{Visit: visit, Set: 1},
		appointment.WasCancelled{Visit: visit, Set: 1, Initiator: appointment.ByPatient, Reason: sealed("cold")},
		clinic.Registered{Clinic: "c1", Profile: clinic.Profile{Name: "Sunrise", Zone: "Europe/Lisbon", Address: "Rua 1", Location: &clinic.Location{Latitude: 38.7, Longitude: -9.1}}},
		demand.Refused{Clinic: "c1", Practitioner: "d1", Slot: "d1.20260302.0", VisitType: "v1", Wish: "book", Rule: "slot.taken", Start: start, At: start, Policies: []string{"clinic.c1@2"}},
		occupancy.Held{Subject: occupancy.Subject{Kind: "room", ID: "r1"}, Taken: taken},
		clinic.Changed{Clinic: "c1", NameKey: "5f0c", Profile: clinic.Profile{
			Name: "Sunrise", Zone: "Europe/Lisbon", Address: "Rua 1", Location: &clinic.Location{Latitude: 38.7, Longitude: -9.1}, Town: "pt-lisboa",
			District: "pt-lisboa-belem", PostalCode: "1300-001", Country: "PT", Phone: "+351 210 000 001", Email: "info@sunrise.example",
			Site: "https://sunrise.example", Description: "By the river.", Ownership: clinic.Private,
		}},
		clinic.WasClosed{Clinic: "c1"},
		clinic.NameLapsed{Clinic: "c1", Key: "5f0c", Set: 1},
		name.Taken{Name: name.Name{Kind: name.Clinic, Key: "5f0c"}, Claim: claim.Claim{Owner: "clinic-c1", Set: 1}, Deadline: start},
		name.Released{Name: name.Name{Kind: name.Clinic, Key: "5f0c"}, Claim: claim.Claim{Owner: "clinic-c1", Set: 1}},
		clinic.CalendarSet{Clinic: "c1", Zone: "Europe/Lisbon", Calendar: calendar},
		occupancy.Booked{Subject: occupancy.Patient("p1"), Taken: taken},
		occupancy.Released{Subject: occupancy.Patient("p1"), Taken: taken},
		patient.Registered{Patient: "p1", Name: sealed("Ana Жук 한글"), Email: sealed("ana@example.org"), Phone: sealed("+351 1")},
		policy.WasSet{Scope: policy.Scope{Kind: policy.OfClinic, ID: "c1"}, Terms: everyTerm()},
		patient.GuardianSet{Patient: "p1", Guardian: "p2"},
		patient.GuardianRemoved{Patient: "p1", Guardian: "p2"},
		patient.DependentAdded{Patient: "p2", Dependent: "p1", Since: 1},
		patient.DependentRemoved{Patient: "p2", Dependent: "p1", Since: 1},
		patient.Merged{Patient: "p1", Into: "p2"},
		patient.Unmerged{Patient: "p1", From: "p2"},
		patient.DuplicateAdded{Patient: "p2", Duplicate: "p1", Since: 1},
		patient.DuplicateRemoved{Patient: "p2", Duplicate: "p1", Since: 1},
		review.WasWritten{Visit: reviewed, Stars: 4, Text: sealed("kind")},
		review.WasEdited{Visit: reviewed, Stars: 5, Text: sealed("very kind")},
		review.WasWithdrawn{Visit: reviewed},
		review.WasHidden{Visit: reviewed, Reason: review.PrivateData},
		review.WasShown{Visit: reviewed},
		practitioner.Registered{Practitioner: "d1", Profile: practitioner.Profile{Name: "Dr. Silva", Specialties: []string{"cardiology"}, Clinics: []domain.ClinicID{"c1"}}},
		practitioner.Changed{Practitioner: "d1", CouncilKey: "5f0c", Profile: practitioner.Profile{
			Name: "Dr. Silva", Specialties: []string{"cardiology"}, Clinics: []domain.ClinicID{"c1"}, Introduction: "Hearts.",
			Qualifications: []practitioner.Qualification{{Code: "md", Year: 2004, Institute: "USP"}, {Name: "Echo course", Year: 2010}},
			Treatments:     []string{"Botox"}, Languages: []string{"pt-BR", "ko"},
			Fees: []practitioner.Fee{{VisitType: "v1", Amount: 9000, Currency: "BRL"}}, Council: practitioner.Council{Number: "12345", State: "SP"},
		}},
		practitioner.PictureShown{Practitioner: "d1", Picture: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
		practitioner.PictureRemoved{Practitioner: "d1"},
		practitioner.CouncilMoved{Practitioner: "d1", Council: practitioner.Council{Number: "12345", State: "RJ"}, CouncilKey: "5f0d"},
		practitioner.CouncilLapsed{Practitioner: "d1", Key: "5f0c", Set: 1},
		queue.HasJoined{Entry: cameIn, From: &queue.Origin{Practitioner: "d2", Ticket: 7}, By: "local"},
		queue.WasMarkedUrgent{Entry: waits, Reason: queue.Pain, At: start, By: "local"},
		queue.WasCalled{Entry: waits, Desk: "2", Place: 3, Reason: queue.Agreed, At: start, By: "local"},
		queue.WasRecalled{Entry: waits, Desk: "2", At: start, By: "local"},
		queue.WasSkipped{Entry: waits, At: start, By: "local"},
		queue.HasReturned{Entry: waits, At: start, By: "local"},
		queue.HasStarted{Entry: waits, At: start, By: "local"},
		queue.HasFinished{Entry: waits, At: start, By: "local"},
		queue.HasLeft{Entry: waits, At: start, By: "local"},
		queue.WasMissed{Entry: waits, At: start, By: "local"},
		queue.WasWithdrawn{Entry: waits, At: start, By: "local"},
		queue.WasTransferred{Entry: waits, To: "d2", At: start, By: "local"},
		queue.WasMoved{Entry: waits, Room: "B", At: start, By: "local"},
		quota.Booked{Quota: full, Counted: counted, Maximum: 8},
		quota.Released{Quota: full, Counted: counted},
		resource.Added{Resource: "r1", Clinic: "c1", Kind: resource.Room, Name: "Room 1", Arbiter: resource.Occupancy},
		resource.Renamed{Resource: "r1", Clinic: "c1", Name: "Surgery"},
		resource.WasRetired{Resource: "r1", Clinic: "c1"},
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
		series.Accepted{
			Series: "s1", Patient: "p1", Practitioner: "d1", Clinic: "c1",
			Recurrence: series.Recurrence{First: "2026-03-02", At: 540, Zone: "Europe/Lisbon", EveryWeeks: 1, Count: 2},
			Visits:     []series.Visit{{Day: "2026-03-02", Start: start, Slot: "d1.20260302.0", Appointment: "a1"}},
			Missed:     []series.Miss{{Day: "2026-03-09", Start: start, Rule: "slot.taken"}},
		},
		series.WasProposed{
			Series: "s1", Patient: "p1", Practitioner: "d1", Clinic: "c1", Deadline: start,
			Recurrence: series.Recurrence{First: "2026-03-02", At: 540, Zone: "Europe/Lisbon", EveryWeeks: 1, Count: 1}, Visits: visits,
		},
		series.WasBooked{Series: "s1", Visits: visits},
		series.WasRefused{Series: "s1", Visits: visits, Rule: "slot.taken"},
		series.HasLapsed{Series: "s1", Visits: visits},
		slot.Held{Terms: terms, Holder: holder, Places: 2},
		slot.Overbooked{Terms: terms, Appointment: "a1", Places: 3, Reason: sealed("in pain")},
		slot.Booked{Terms: terms, Holder: holder, Places: 2},
		slot.Released{Terms: terms, Holder: holder},
		slot.Withdrawn{Terms: terms, Displaced: []slot.Holder{holder}},
		slot.Reinstated{Terms: terms, Holders: []slot.Holder{holder}},
		slot.Resized{Terms: terms, Places: 3},
		visittype.Defined{VisitType: "v1", Clinic: "c1", Terms: offer},
		visittype.Changed{VisitType: "v1", Clinic: "c1", Terms: visittype.Terms{Name: "Check-up", Duration: 45}},
		visittype.WasRetired{VisitType: "v1", Clinic: "c1"},
		waitlist.HasJoined{Wish: waitlist.Wish{
			ID: "w1", Patient: "p1", Specialty: "cardiology", Practitioners: []domain.PractitionerID{"d1"}, VisitType: "v1",
			Clinics: []domain.ClinicID{"c1"}, Town: "lisbon", District: "lisbon-alfama",
			Times:    []waitlist.Times{{Weekdays: []int{1, 2}, From: 480, To: 720}},
			Earliest: "2026-03-02", Latest: "2026-04-01", Appointment: "a1",
		}, Since: start, Expires: start.AddDate(0, 1, 0)},
		waitlist.WasOffered{Wish: "w1", Patient: "p1", Offer: offered},
		waitlist.WasAccepted{Wish: "w1", Patient: "p1", Offer: offered},
		waitlist.HasPassed{Wish: "w1", Patient: "p1", Offer: offered, Why: waitlist.Declined},
		waitlist.WasSkipped{Wish: "w1", Patient: "p1", Opening: offered.Opening, Rule: "occupancy.taken"},
		waitlist.HasEnded{Wish: "w1", Patient: "p1", Why: waitlist.HasLeft},
		waitlist.WasMoved{Wish: "w1", Patient: "p1", From: "p2"},
	}
}

// grown holds events with fields that their types were given later, by the
// names of their golden files.
func grown() map[string]domain.Event {
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	return map[string]domain.Event{
		"appointment.booked+missed-at": appointment.WasBooked{
			Visit: appointment.Visit{Appointment: "a1", Period: domain.Period{Start: start, End: start.Add(time.Hour)}},
			Set:   1, MissedAt: start.Add(2 * time.Hour),
		},
		"appointment.held+wish": appointment.WasHeld{
			Visit: appointment.Visit{Appointment: "a1", Period: domain.Period{Start: start, End: start.Add(time.Hour)}},
			Set:   1, Deadline: start, Ceiling: start, Wish: "w1",
		},
		"appointment.released+code": appointment.WasReleased{
			Visit: appointment.Visit{Appointment: "a1", Period: domain.Period{Start: start, End: start.Add(time.Hour)}}, Set: 2, Code: appointment.Moved,
		},
		"policy.set+offers": policy.WasSet{
			Scope: policy.Scope{Kind: policy.OfClinic, ID: "c1"},
			Terms: policy.Terms{OfferTime: new(120), OffersFrom: new(480), OffersUntil: new(1200)},
		},
		"queue.called+service": queue.WasCalled{
			Entry: queue.Entry{ID: "w1", Ticket: 4, Day: "2026-03-02", Clinic: "c1", Service: "v1", Since: start}, Desk: "2", Place: 1, At: start, By: "local",
		},
		"policy.set+board-shows": policy.WasSet{
			Scope: policy.Scope{Kind: policy.OfClinic, ID: "c1"}, Terms: policy.Terms{BoardShows: new(policy.ShowsInitials)},
		},
		"queue.joined+visit-type": queue.HasJoined{Entry: queue.Entry{
			ID: "a1", Ticket: 3, Practitioner: "d1", Day: "2026-03-02", Clinic: "c1", Appointment: "a1", Patient: "p1", Due: start.Add(time.Hour), Since: start,
			VisitType: "v1", Planned: 30, Offset: 120,
		}, By: "local"},
	}
}

// everyTerm returns terms of which each says something.
func everyTerm() policy.Terms {
	return policy.Terms{
		MinNotice: new(120), Horizon: new(86_400), Approval: new(true), HoldTime: new(5), CancelBefore: new(1440), RescheduleBefore: new(720),
		Reschedules: new(2), PractitionerDay: new(8), PractitionerWeek: new(40), PatientDay: new(1), PatientPractitioner: new(2),
		PatientActive: new(5), HoldsShare: new(50), UndoGrace: new(10), NoShowAfter: new(0),
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
	golden := grown()
	for _, event := range samples() {
		golden[event.EventType()] = event
	}
	for name, event := range golden {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			encoded, err := codec.Encode(t.Context(), stream, commands.NewEvent{ID: domain.NewID("golden"), Event: event})
			require.NoError(t, err)
			path := filepath.Join("testdata", name+".json")
			golden, err := os.ReadFile(path)
			if *update && os.IsNotExist(err) {
				require.NoError(t, os.WriteFile(path, append(encoded.Data, '\n'), 0o600))
				return
			}
			require.NoError(t, err, "a new event type: run the test once with -update")
			require.Equal(t, strings.TrimSpace(string(golden)), string(encoded.Data))
			decoded, err := codec.Decode(event.EventType(), golden)
			require.NoError(t, err)
			require.Equal(t, decoded, encoded.Event, "who keeps the event has what a reader gets")
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
