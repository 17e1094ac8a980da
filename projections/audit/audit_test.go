package audit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections/audit"
)

var nine = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// log is a log that a test writes by hand, wrong on purpose.
type log struct {
	auditor   *audit.Auditor
	position  domain.Position
	revisions map[domain.StreamName]domain.Revision
	command   string
	recorded  time.Time
	events    []domain.Recorded
}

func newLog() *log {
	l := &log{auditor: audit.New(), revisions: map[domain.StreamName]domain.Revision{}}
	return l.opened("s1", 1, 9).opened("s2", 1, 9).opened("s3", 2, 10)
}

func (l *log) add(stream domain.StreamName, e domain.Event) *log {
	l.position++
	command := l.command
	if command == "" {
		command = domain.NewID(string(stream), e.EventType(), string(rune(l.position)))
	}
	r := domain.Recorded{
		Stream: stream, Revision: l.revisions[stream], Position: l.position, Event: e,
		Metadata: domain.Metadata{Command: command}, RecordedAt: l.recorded,
	}
	l.events = append(l.events, r)
	l.auditor.Add(r)
	l.revisions[stream]++
	return l
}

func period(hour int) domain.Period {
	start := nine.Add(time.Duration(hour-9) * time.Hour)
	return domain.Period{Start: start, End: start.Add(time.Hour)}
}

func (l *log) opened(id domain.SlotID, places, hour int) *log {
	return l.add("schedule-p."+domain.StreamName(id), schedule.DayOpened{Practitioner: "p", Slots: []schedule.Slot{{ID: id, Capacity: places, Period: period(hour)}}})
}

// visit describes a booking: who, whose slot, when.
type visit struct {
	id, patient  string
	practitioner string
	slot         domain.SlotID
	hour         int
	set          int // 0 is the first
}

func newVisit(id, patient, practitioner string, s domain.SlotID, hour int) visit {
	return visit{id: id, patient: patient, practitioner: practitioner, slot: s, hour: hour}
}

func (v visit) second() visit {
	v.set = 1
	return v
}

func (v visit) stream() domain.StreamName { return appointment.Stream(domain.AppointmentID(v.id)) }

func (v visit) time() domain.StreamName {
	return occupancy.Patient(domain.PatientID(v.patient)).Stream("2026-03-02")
}

func (v visit) visit() appointment.Visit {
	return appointment.Visit{
		Appointment: domain.AppointmentID(v.id), Patient: domain.PatientID(v.patient), Practitioner: domain.PractitionerID(v.practitioner),
		Slots: []domain.SlotID{v.slot}, Period: period(v.hour),
	}
}

func (v visit) claim() claim.Claim { return claim.Claim{Owner: v.stream(), Set: v.set + 1} }

func (l *log) proposed(v visit) *log {
	return l.add(v.stream(), appointment.WasProposed{Visit: v.visit(), Set: v.set + 1, Claims: []domain.StreamName{v.time(), slot.Stream(v.slot)}, Deadline: nine})
}

func (l *log) claimed(v visit) *log {
	l.add(v.time(), occupancy.Booked{Taken: occupancy.Taken{Claim: v.claim(), Period: period(v.hour)}})
	return l.add(slot.Stream(v.slot), slot.Booked{Terms: slot.Terms{Slot: v.slot}, Holder: slot.Holder{Claim: v.claim()}})
}

func (l *log) booked(v visit) *log {
	return l.add(v.stream(), appointment.WasBooked{Visit: v.visit(), Set: v.set + 1})
}

func (l *log) held(v visit) *log {
	return l.add(v.stream(), appointment.WasHeld{Visit: v.visit(), Set: v.set + 1, Deadline: nine.Add(time.Hour)})
}

func (l *log) offered(v visit) *log {
	return l.add(v.stream(), appointment.WasHeld{Visit: v.visit(), Set: v.set + 1, Deadline: nine.Add(time.Hour), Wish: "w"})
}

func (l *log) swapped(v visit) *log {
	return l.add(v.stream(), appointment.WasBooked{Visit: v.visit(), Set: v.set + 1, Replaces: v.set})
}

func (l *log) cancelled(v visit) *log {
	return l.add(v.stream(), appointment.WasCancelled{Visit: v.visit(), Set: v.set + 1})
}

func (l *log) lapsed(v visit) *log {
	return l.add(v.stream(), appointment.HasLapsed{Visit: v.visit(), Set: v.set + 1})
}

func (l *log) at(t time.Time) *log {
	l.recorded = t
	return l
}

func (l *log) released(v visit) *log {
	return l.add(slot.Stream(v.slot), slot.Released{Terms: slot.Terms{Slot: v.slot}, Holder: slot.Holder{Claim: v.claim()}})
}

func (l *log) all(v visit) *log { return l.proposed(v).claimed(v).booked(v) }

func TestAudit(t *testing.T) {
	t.Parallel()
	ana := newVisit("a", "ana", "p", "s1", 9)
	boris := newVisit("b", "boris", "p", "s1", 9)
	again := newVisit("c", "ana", "p", "s3", 10)
	sooner := newVisit("a", "ana", "p", "s3", 10).second()
	third := func(id, patient string) visit { return newVisit(id, patient, "p", "s3", 10) }
	cases := []struct {
		rule string
		log  *log
		want string // the invariant, "" for none
	}{
		{"an orderly booking is in order", newLog().all(ana), ""},
		{"a slot may be booked again after a cancellation", newLog().all(ana).cancelled(ana).released(ana).all(boris), ""},
		{"a dead claim that is still there does not count", newLog().all(ana).cancelled(ana).all(boris), ""},
		{"two places take two", newLog().all(third("a", "ana")).all(third("b", "boris")), ""},
		{"two live claims on one place", newLog().all(ana).all(boris), "I1"},
		{"three live claims on two places", newLog().all(third("a", "ana")).all(third("b", "boris")).all(third("c", "carlos")), "I1"},
		{
			"places taken away under a live claim",
			newLog().all(third("a", "ana")).all(third("b", "boris")).add("slot-s3", slot.Resized{Terms: slot.Terms{Slot: "s3"}, Places: 1}), "I1",
		},
		{"a slot that was never opened", newLog().all(newVisit("a", "ana", "p", "sx", 9)), "I1"},
		{"a patient in two places at once", newLog().all(ana).all(newVisit("b", "ana", "q", "s2", 9)), "I2"},
		{"a practitioner in two slots at once", newLog().all(ana).all(newVisit("b", "boris", "p", "s2", 9)), "I2"},
		{"a live set without its claims", newLog().proposed(ana).booked(ana), "I3"},
		{"a claim of a live set released", newLog().all(ana).released(ana), "I3"},
		{"a set without a deadline", newLog().add(ana.stream(), appointment.WasProposed{Visit: ana.visit(), Set: 1}), "I4"},
		{"a set booked after it died", newLog().proposed(ana).claimed(ana).cancelled(ana).booked(ana), "I4"},
		{"a set that dies twice", newLog().proposed(ana).lapsed(ana).lapsed(ana), "I4"},
		{"a refused set may be cancelled, to close the appointment", newLog().proposed(ana).lapsed(ana).cancelled(ana), ""},
		{"a set proposed again after it died", newLog().proposed(ana).claimed(ana).lapsed(ana).proposed(ana).booked(ana), "I4"},
		{"a set booked an hour after its deadline", newLog().proposed(ana).claimed(ana).at(nine.Add(time.Hour)).booked(ana), "I4"},
		{"two live sets of one appointment", newLog().all(ana).all(newVisit("a", "ana", "p", "s1", 9).second()), "I4"},
		{"a claim on a withdrawn slot", newLog().add("slot-s1", slot.Withdrawn{Terms: slot.Terms{Slot: "s1"}}).all(ana), "I1"},
		{
			"a claim on a slot that is on the schedule again",
			newLog().add("slot-s1", slot.Withdrawn{Terms: slot.Terms{Slot: "s1"}}).add("slot-s1", slot.Reinstated{Terms: slot.Terms{Slot: "s1"}}).all(ana), "",
		},
		{"an event that cannot be read", newLog().proposed(ana).claimed(ana).add(ana.stream(), domain.Undecodable{Type: "appointment.booked"}), "log"},
		{"a set booked that nobody proposed", newLog().booked(ana), "I4"},
		{"an offer that is accepted", newLog().proposed(ana).claimed(ana).offered(ana).booked(ana), ""},
		{"an offer accepted an hour after its deadline", newLog().proposed(ana).claimed(ana).offered(ana).at(nine.Add(3 * time.Hour)).booked(ana), "I4"},
		{"an earlier slot that is swapped", newLog().all(ana).proposed(sooner).claimed(sooner).offered(sooner).swapped(sooner).released(ana), ""},
		{"an earlier slot swapped without its claims", newLog().all(ana).proposed(sooner).offered(sooner).swapped(sooner), "I3"},
		{"an offer while another is open", newLog().proposed(ana).claimed(ana).offered(ana).proposed(again).claimed(again).offered(again), "I4"},
		{"an offer after another has lapsed", newLog().proposed(ana).claimed(ana).offered(ana).lapsed(ana).proposed(again).claimed(again).offered(again), ""},
		{"a hold while something is offered", newLog().proposed(ana).claimed(ana).offered(ana).proposed(again).claimed(again).held(again), ""},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			findings := c.log.auditor.Findings()
			if c.want == "" {
				require.Empty(t, findings)
				return
			}
			require.NotEmpty(t, findings)
			require.Equal(t, c.want, findings[0].Invariant)
			require.NotEmpty(t, findings[0].Evidence)
		})
	}
}

func TestWhatIsRecordedLongAfterItsDeadlineIsCounted(t *testing.T) {
	t.Parallel()
	ana := newVisit("a", "ana", "p", "s1", 9)
	late := newLog().proposed(ana).claimed(ana).at(nine.Add(time.Hour)).booked(ana).auditor
	require.Equal(t, 1, late.Late())
	made := newLog()
	made.auditor.OtherTime = true
	made.proposed(ana).claimed(ana).at(nine.Add(time.Hour)).booked(ana)
	require.Zero(t, made.auditor.Late(), "in a demonstration nothing is compared")
	require.Empty(t, made.auditor.Findings())
}

func TestOneCommandHasOneEffect(t *testing.T) {
	t.Parallel()
	l := newLog()
	l.command = "the same"
	l.all(newVisit("a", "ana", "p", "s1", 9)).all(newVisit("b", "boris", "q", "s3", 10))
	require.Len(t, l.auditor.Findings(), 1)
	require.Equal(t, "I5", l.auditor.Findings()[0].Invariant)
	require.Len(t, l.auditor.Findings()[0].Evidence, 2)
}

// replayed adds the events of a log from a position on to an auditor of a part.
func replayed(events []domain.Recorded, from int) *audit.Auditor {
	a := audit.New()
	a.Partial = true
	for _, r := range events[from:] {
		a.Add(r)
	}
	return a
}

func TestAPartOfALogIsJudgedByWhatBeganInIt(t *testing.T) {
	t.Parallel()
	ana, boris := newVisit("a", "ana", "p", "s1", 9), newVisit("b", "boris", "p", "s1", 9)
	wrong := newLog().all(ana).cancelled(ana).released(ana).all(ana.second()).all(boris)
	require.NotEmpty(t, wrong.auditor.Findings())
	const opening, firstSet, end = 3, 4, 2
	second := opening + firstSet + end // where the second set is proposed
	part := replayed(wrong.events, second-1)
	require.Empty(t, part.Findings(), "the places of the slot are not known")
	require.Positive(t, part.Passed())
	require.Equal(t, "I2", replayed(newLog().all(ana).all(newVisit("b", "ana", "q", "s2", 9)).events, opening-1).Findings()[0].Invariant,
		"what overlaps is found where both began in it")
	require.Equal(t, "I3", replayed(newLog().proposed(ana).booked(ana).events, opening-1).Findings()[0].Invariant)
	require.Empty(t, replayed(newLog().all(ana).cancelled(ana).released(ana).events, opening+firstSet).Findings(), "the end of what is not known is not wrong")
	require.Empty(t, replayed(newLog().all(ana).events, opening+1).Findings(), "nor is what the beginning has cut in two")
}

func TestFindingsAreToldAsTheyAreMade(t *testing.T) {
	t.Parallel()
	ana := newVisit("a", "ana", "p", "s1", 9)
	l := newLog().all(ana)
	require.Empty(t, l.auditor.Since(0))
	l.released(ana)
	require.Len(t, l.auditor.Since(0), 1)
	require.Empty(t, l.auditor.Since(1))
}

func TestALogWithAGapIsNotALog(t *testing.T) {
	t.Parallel()
	a := audit.New()
	event := appointment.WasBooked{Visit: appointment.Visit{Appointment: "a"}, Set: 1}
	a.Add(domain.Recorded{Stream: "slot-1", Revision: 1, Position: 1, Event: event})
	require.Equal(t, "log", a.Findings()[0].Invariant)
}
