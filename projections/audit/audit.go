// Package audit proves from the log alone that nobody was given the same time
// twice. It folds every event, in the order of positions, and checks after
// each one:
//
//	I1  the live claims of a slot never exceed its places
//	I2  no two live claims of a patient, room or device overlap, and of a
//	    practitioner no two different slots with live claims
//	I3  a set is live only while the log holds every claim of it; of a series
//	    that is booked with every date or none, all sets are live or none
//	I4  every pending set has a deadline and at most one outcome, which comes in
//	    time; an appointment has at most one live set, and a patient is offered
//	    at most one thing at a time from the waiting list
//	I5  one command id has one effect
//
// A claim is live when its set is. The auditor shares no code with the
// deciders that it checks.
//
// A log that is read up to a position only is proved up to there. One that is
// read from the middle is proved as far as it can be: of sets of claims that
// were proposed there, between each other. See [Auditor.Partial].
package audit

import (
	"fmt"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/series"
	"github.com/slotbook/slotbook/domain/slot"
)

// Finding is a broken invariant with the events that break it.
type Finding struct {
	Invariant string     `json:"invariant"` // "I1" to "I5", or "log" for a log that is not one
	Text      string     `json:"text"`
	Evidence  []Evidence `json:"evidence"`
}

// Evidence names an event.
type Evidence struct {
	Position domain.Position   `json:"position"`
	Stream   domain.StreamName `json:"stream"`
	Revision domain.Revision   `json:"revision"`
	Type     string            `json:"type"`
}

// Auditor checks a log event by event. The zero value is not ready: use [New].
type Auditor struct {
	// OtherTime says that the business time of the log was not the time of its
	// recording, as in a demonstration: no deadline is compared with it.
	OtherTime bool
	// Partial says that the log is not read from its beginning. What is about
	// something that began before is passed over and counted: it may be right or
	// wrong. Places of slots that were opened before are not known, nor what was
	// live already.
	Partial bool

	passed    int
	cut       string // the command whose append the beginning may have cut in two
	whole     map[domain.StreamName]bool
	outside   map[claim.Claim]bool // sets whose proposal is not all there
	findings  []Finding
	late      int // findings that compare a deadline with the time of recording
	events    int
	position  domain.Position
	last      Evidence
	revisions map[domain.StreamName]domain.Revision
	sets      map[claim.Claim]*set
	slots     map[domain.SlotID]*places
	held      map[domain.StreamName]map[claim.Claim]Evidence // claims by the arbiter's stream
	busy      map[string][]stretch                           // live time by subject and UTC day
	effects   map[effect]Evidence
	lives     map[domain.StreamName]claim.Claim // the live set of each appointment
	owned     map[domain.StreamName]map[int]bool
	rounds    map[domain.SeriesID]*round
	offers    map[domain.PatientID]claim.Claim // the last set that each patient was offered
}

type set struct {
	series   domain.SeriesID // that decides it; "" = its own stream does
	noted    bool            // its own stream says what the series decided
	visit    appointment.Visit
	deadline time.Time
	fate     claim.Fate
	proposed Evidence
	outcome  Evidence
}

type places struct {
	n            int
	practitioner domain.PractitionerID
	period       domain.Period
	withdrawn    bool
}

// stretch is live time: of a patient by appointment, of a practitioner by slot.
type stretch struct {
	period domain.Period
	what   string
	claim  claim.Claim
	from   Evidence
}

type effect struct{ command, kind string }

// New returns an auditor that has seen nothing.
func New() *Auditor {
	return &Auditor{
		revisions: map[domain.StreamName]domain.Revision{},
		sets:      map[claim.Claim]*set{},
		slots:     map[domain.SlotID]*places{},
		held:      map[domain.StreamName]map[claim.Claim]Evidence{},
		busy:      map[string][]stretch{},
		effects:   map[effect]Evidence{},
		lives:     map[domain.StreamName]claim.Claim{},
		owned:     map[domain.StreamName]map[int]bool{},
		rounds:    map[domain.SeriesID]*round{},
		offers:    map[domain.PatientID]claim.Claim{},
		whole:     map[domain.StreamName]bool{},
		outside:   map[claim.Claim]bool{},
	}
}

// Passed returns how often something was not judged, as it began before the part
// of the log that was read.
func (a *Auditor) Passed() int { return a.passed }

// Since returns what was found after the first n findings while the log goes on.
// Unlike [Auditor.Findings] it says nothing of what may come still.
func (a *Auditor) Since(n int) []Finding { return slices.Clone(a.findings[n:]) }

// pass reports whether something of a stream began before the part that is read,
// and counts it.
func (a *Auditor) pass(stream domain.StreamName) bool {
	passed := a.Partial && !a.whole[stream]
	if passed {
		a.passed++
	}
	return passed
}

// passSet is pass for a set of claims that is not known.
func (a *Auditor) passSet(c claim.Claim) bool {
	if a.Partial && a.outside[c] {
		a.passed++
		return true
	}
	return a.sets[c] == nil && a.pass(c.Owner)
}

// Findings returns the broken invariants, in the order of the log; none is the
// proof. A series that is booked lacks no visit where the log ends.
func (a *Auditor) Findings() []Finding { return append(slices.Clone(a.findings), a.parts()...) }

// Late returns how many findings compare a deadline with the time of recording.
func (a *Auditor) Late() int { return a.late }

// Events returns how many events were checked.
func (a *Auditor) Events() int { return a.events }

// Live returns how many sets of claims are live.
func (a *Auditor) Live() int {
	n := 0
	for _, s := range a.sets {
		if s.fate == claim.Live {
			n++
		}
	}
	return n
}

// Add checks the next event of the log.
func (a *Auditor) Add(r domain.Recorded) {
	a.last = Evidence{r.Position, r.Stream, r.Revision, r.Event.EventType()}
	a.begin(r)
	a.order(r)
	switch e := r.Event.(type) {
	case schedule.DayOpened:
		for _, s := range e.Slots {
			a.slots[s.ID] = &places{n: s.Capacity, practitioner: e.Practitioner, period: s.Period}
		}
	case slot.Event:
		a.slotEvent(r.Stream, e)
	case occupancy.Event:
		a.occupancyEvent(r.Stream, e)
	case appointment.Event:
		a.appointmentEvent(r, e)
	case series.Event:
		a.seriesEvent(r, e)
	case domain.Undecodable:
		a.find("log", "the event cannot be read: nothing is proved of its stream")
	}
	a.effect(r)
}

// begin notes what is known from its beginning.
func (a *Auditor) begin(r domain.Recorded) {
	if !a.Partial {
		return
	}
	if a.events == 0 {
		a.cut = r.Metadata.Command
	}
	if _, seen := a.revisions[r.Stream]; !seen {
		a.whole[r.Stream] = r.Revision == 0
		if r.Revision > 0 {
			a.revisions[r.Stream] = r.Revision - 1
		}
	}
}

// order checks that positions grow and that revisions have no gap.
func (a *Auditor) order(r domain.Recorded) {
	expected := domain.Revision(0)
	if revision, ok := a.revisions[r.Stream]; ok {
		expected = revision + 1
	}
	if r.Revision != expected || r.Position <= a.position {
		a.find("log", fmt.Sprintf("revision %d was expected in this stream, after position %d", expected, a.position))
	}
	a.revisions[r.Stream], a.position = r.Revision, r.Position
	a.events++
}

func (a *Auditor) find(invariant, text string, evidence ...Evidence) {
	a.findings = append(a.findings, Finding{invariant, text, append(evidence, a.last)})
}

func (a *Auditor) slotEvent(stream domain.StreamName, e slot.Event) {
	switch e := e.(type) {
	case slot.Held:
		a.claimed(stream, e.Slot, e.Claim)
	case slot.Booked:
		a.claimed(stream, e.Slot, e.Claim)
	case slot.Overbooked:
		if p := a.slots[e.Slot]; p != nil {
			p.n = e.Places
		}
	case slot.Released:
		a.free(stream, e.Claim)
	case slot.Resized:
		if p := a.slots[e.Slot]; p != nil {
			p.n = e.Places
		}
		a.checkPlaces(e.Slot)
	case slot.Withdrawn:
		if p := a.slots[e.Slot]; p != nil {
			p.withdrawn = true
		}
	case slot.Reinstated:
		if p := a.slots[e.Slot]; p != nil {
			p.withdrawn = false
		}
	}
}

// claimed notes a claim on a slot. One that was held may be booked after the
// slot was withdrawn.
func (a *Auditor) claimed(stream domain.StreamName, id domain.SlotID, c claim.Claim) {
	_, held := a.held[stream][c]
	a.hold(stream, c)
	if p := a.slots[id]; p != nil && p.withdrawn && !held && !a.pass(stream) {
		a.find("I1", fmt.Sprintf("slot %s took a claim after it was withdrawn", id))
	}
	a.checkPlaces(id)
}

func (a *Auditor) occupancyEvent(stream domain.StreamName, e occupancy.Event) {
	switch e := e.(type) {
	case occupancy.Held:
		a.hold(stream, e.Claim)
	case occupancy.Booked:
		a.hold(stream, e.Claim)
	case occupancy.Released:
		a.free(stream, e.Claim)
	}
}

func (a *Auditor) hold(stream domain.StreamName, c claim.Claim) {
	if a.held[stream] == nil {
		a.held[stream] = map[claim.Claim]Evidence{}
	}
	a.held[stream][c] = a.last
}

func (a *Auditor) free(stream domain.StreamName, c claim.Claim) {
	if s := a.sets[c]; s != nil && s.fate == claim.Live && slices.Contains(needed(s.visit), stream) {
		a.find("I3", fmt.Sprintf("a claim of the live set %d of %s was released", c.Set, c.Owner), s.outcome)
	}
	delete(a.held[stream], c)
}

func (a *Auditor) appointmentEvent(r domain.Recorded, e appointment.Event) {
	visit, n := appointment.Of(e)
	c := claim.Claim{Owner: r.Stream, Set: n}
	switch e := e.(type) {
	case appointment.WasProposed:
		a.pending(r, c, e)
	case appointment.WasHeld:
		a.until(c, e.Deadline)
		a.offered(c, e)
	case appointment.WasRenewed:
		a.until(c, e.Deadline)
	case appointment.WasRequested:
		a.until(c, e.Deadline)
		delete(a.offers, visit.Patient)
	case appointment.WasBooked:
		if !a.notes(c, claim.Live) {
			a.live(c, e.Replaces, r.RecordedAt)
		}
	case appointment.WasRefused, appointment.HasLapsed, appointment.WasReleased, appointment.WasDeclined:
		if !a.notes(c, claim.Dead) {
			a.dead(c, false)
		}
	case appointment.WasCancelled:
		for other := range a.owned[r.Stream] {
			if s := a.sets[claim.Claim{Owner: r.Stream, Set: other}]; other != n && s.fate != claim.Dead {
				a.dead(claim.Claim{Owner: r.Stream, Set: other}, false)
			}
		}
		a.dead(c, true)
	case appointment.HasArrived, appointment.WasCheckedIn, appointment.WasFulfilled, appointment.WasMissed, appointment.WasReverted:
		if a.lives[r.Stream] != c && !a.passSet(c) {
			a.find("I3", fmt.Sprintf("appointment %s went on without a live set", visit.Appointment))
		}
	}
}

// offered notes what a patient is offered from the waiting list: one thing at a
// time.
func (a *Auditor) offered(c claim.Claim, e appointment.WasHeld) {
	if e.Wish == "" {
		return
	}
	if s := a.sets[a.offers[e.Patient]]; s != nil && s.fate == claim.Pending && a.offers[e.Patient] != c {
		a.find("I4", "a patient is offered two things at once", s.proposed)
	}
	a.offers[e.Patient] = c
}

// until moves a pending set's deadline.
func (a *Auditor) until(c claim.Claim, deadline time.Time) {
	s := a.sets[c]
	if s == nil && a.passSet(c) {
		return
	}
	if s == nil || s.fate != claim.Pending || deadline.IsZero() {
		a.find("I4", "a set was held or requested that was not pending, or without a deadline")
		return
	}
	s.deadline = deadline
}

func (a *Auditor) pending(r domain.Recorded, c claim.Claim, e appointment.WasProposed) {
	if a.partly(r, e) {
		a.outside[c] = true
		a.passed++
		return
	}
	if before := a.sets[c]; before != nil {
		a.find("I4", "a set was proposed a second time", before.proposed)
	}
	if e.Deadline.IsZero() {
		a.find("I4", "a pending set has no deadline")
	}
	a.sets[c] = &set{series: e.Series, visit: e.Visit, deadline: e.Deadline, fate: claim.Pending, proposed: a.last}
	if a.owned[c.Owner] == nil {
		a.owned[c.Owner] = map[int]bool{}
	}
	a.owned[c.Owner][c.Set] = true
	if e.Series != "" {
		a.proposedBy(e.Series, c)
	}
}

// partly reports whether a proposal is not all there: its append may have begun
// before, or its series has.
func (a *Auditor) partly(r domain.Recorded, e appointment.WasProposed) bool {
	if !a.Partial {
		return false
	}
	return r.Metadata.Command == a.cut || e.Series != "" && a.rounds[e.Series] == nil && !a.whole[series.Stream(e.Series)]
}

// late is how long after its deadline a set may be recorded as booked: its
// owner judges by its own clock and then appends.
const late = time.Minute

// inTime finds what was recorded long after its deadline.
func (a *Auditor) inTime(deadline, at time.Time, text string, evidence ...Evidence) {
	if !a.OtherTime && at.After(deadline.Add(late)) {
		a.find("I4", text, evidence...)
		a.late++
	}
}

// live makes a set live. The set that it replaces, live or pending, ends there.
func (a *Auditor) live(c claim.Claim, replaces int, at time.Time) {
	s := a.sets[c]
	if s == nil && a.passSet(c) {
		return
	}
	if s == nil || s.fate != claim.Pending {
		a.find("I4", "a set went live that was not pending")
		return
	}
	a.inTime(s.deadline, at, "a set went live long after its deadline", s.proposed)
	if replaces > 0 {
		a.dead(claim.Claim{Owner: c.Owner, Set: replaces}, false)
	}
	if other, ok := a.lives[c.Owner]; ok {
		a.find("I4", "an appointment has two live sets", a.sets[other].outcome)
	}
	s.fate, s.outcome, a.lives[c.Owner] = claim.Live, a.last, c
	for _, stream := range needed(s.visit) {
		if _, ok := a.held[stream][c]; !ok {
			a.find("I3", fmt.Sprintf("a set went live without its claim on %s", stream), s.proposed)
		}
	}
	for _, id := range s.visit.Slots {
		a.checkPlaces(id)
	}
	a.eachTime(s.visit, func(subject, what string, p domain.Period) { a.take(subject, what, c, p) })
}

// eachTime calls f with everybody's time that a visit takes: the practitioners'
// by slot, the patient's, and that of rooms and devices. Time that staff took
// beyond what there is may overlap.
func (a *Auditor) eachTime(v appointment.Visit, f func(subject, what string, p domain.Period)) {
	for _, id := range v.Slots {
		if s := a.slots[id]; s != nil {
			f("practitioner "+string(s.practitioner), string(id), s.period)
		}
	}
	for _, u := range v.Uses {
		f(u.Kind+" "+u.ID, string(v.Appointment), u.Period)
	}
	f("patient "+string(v.Patient), string(v.Appointment), v.Period)
}

// needed returns the streams that a visit has to have a claim on, whatever its
// own event says.
func needed(v appointment.Visit) []domain.StreamName {
	var streams []domain.StreamName
	for _, day := range v.Days() {
		streams = append(streams, occupancy.Patient(v.Patient).Stream(day))
	}
	for _, u := range v.Uses {
		for _, day := range u.Days() {
			streams = append(streams, occupancy.Subject{Kind: u.Kind, ID: u.ID}.Stream(day))
		}
	}
	for _, id := range v.Slots {
		streams = append(streams, slot.Stream(id))
	}
	return streams
}

// dead ends a set. A cancellation may come after a refusal or a lapse: it
// closes the appointment.
func (a *Auditor) dead(c claim.Claim, cancelled bool) {
	s := a.sets[c]
	if s == nil && a.passSet(c) {
		return
	}
	if s == nil || s.fate == claim.Dead && !cancelled {
		a.find("I4", "a set died that was neither pending nor live")
		return
	}
	if s.fate == claim.Live {
		delete(a.lives, c.Owner)
		a.eachTime(s.visit, func(subject, _ string, p domain.Period) { a.give(subject, c, p) })
	}
	s.fate, s.outcome = claim.Dead, a.last
}

// checkPlaces counts the owners of live claims on a slot (I1).
func (a *Auditor) checkPlaces(id domain.SlotID) {
	p := a.slots[id]
	if p == nil && a.Partial {
		a.passed++
		return
	}
	if p == nil {
		a.find("I1", fmt.Sprintf("slot %s was never opened", id))
		return
	}
	owners := map[domain.StreamName]bool{}
	var evidence []Evidence
	for c, from := range a.held[slot.Stream(id)] {
		if s := a.sets[c]; s != nil && s.fate == claim.Live && !owners[c.Owner] {
			owners[c.Owner] = true
			evidence = append(evidence, from)
		}
	}
	if len(owners) > p.n {
		a.find("I1", fmt.Sprintf("slot %s has %d live claims on %d places", id, len(owners), p.n), evidence...)
	}
}

// take notes live time and finds what overlaps it (I2). What is the same slot
// or appointment may overlap.
func (a *Auditor) take(subject, what string, c claim.Claim, p domain.Period) {
	for _, day := range p.Days() {
		key := subject + " " + string(day)
		for _, other := range a.busy[key] {
			if other.what != what && other.claim.Owner != c.Owner && other.period.Overlaps(p) {
				a.find("I2", fmt.Sprintf("%s has two live claims at %s", subject, p.Start.Format(time.RFC3339)), other.from)
			}
		}
		a.busy[key] = append(a.busy[key], stretch{p, what, c, a.last})
	}
}

func (a *Auditor) give(subject string, c claim.Claim, p domain.Period) {
	for _, day := range p.Days() {
		key := subject + " " + string(day)
		a.busy[key] = slices.DeleteFunc(a.busy[key], func(s stretch) bool { return s.claim == c })
		if len(a.busy[key]) == 0 {
			delete(a.busy, key)
		}
	}
}

// effect finds commands that did the same kind of thing twice (I5).
func (a *Auditor) effect(r domain.Recorded) {
	switch r.Event.EventType() {
	case "appointment.booked", "series.accepted", "series.booked", "appointment.cancelled", "clinic.registered", "practitioner.registered",
		"patient.registered", "schedule.set",
		"clinic.calendar-set", "schedule.exception-set", "schedule.exception-removed", "schedule.blocked", "schedule.unblocked":
	default:
		return
	}
	key := effect{r.Metadata.Command, r.Event.EventType()}
	if before, twice := a.effects[key]; twice {
		a.find("I5", fmt.Sprintf("command %s did this twice", key.command), before)
		return
	}
	a.effects[key] = a.last
}
