package reactions_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
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
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/domain/waitlist"
	"github.com/slotbook/slotbook/projections/audit"
	"github.com/slotbook/slotbook/reactions"
)

// foldedLine answers who waits from the log itself.
type foldedLine struct {
	log  *memory.Store
	read domain.Position
	all  []waitlist.State
	at   map[domain.StreamName]int
}

func lineOf(log *memory.Store) *foldedLine {
	return &foldedLine{log: log, at: map[domain.StreamName]int{}}
}

func (f *foldedLine) wishes(ctx context.Context) ([]waitlist.State, error) {
	page, err := f.log.ReadAll(ctx, f.read, domain.Filter{Categories: []string{waitlist.Category}}, 1<<20)
	if err != nil {
		return nil, err
	}
	f.read = page.Next
	for _, r := range page.Events {
		if _, known := f.at[r.Stream]; !known {
			f.at[r.Stream], f.all = len(f.all), append(f.all, waitlist.State{})
		}
		if e, ok := r.Event.(waitlist.Event); ok {
			f.all[f.at[r.Stream]] = waitlist.Evolve(f.all[f.at[r.Stream]], e)
		}
	}
	return f.all, nil
}

func (f *foldedLine) ids(ctx context.Context, meant func(waitlist.State) bool) (ids []domain.WishID, err error) {
	all, err := f.wishes(ctx)
	for _, w := range all {
		if (w.Status == waitlist.Waiting || w.Status == waitlist.Offered) && meant(w) {
			ids = append(ids, w.ID)
		}
	}
	return ids, err
}

func (f *foldedLine) Line(ctx context.Context, free waitlist.Free, _ domain.Position) ([]domain.WishID, error) {
	return f.ids(ctx, func(w waitlist.State) bool { return w.Wants(free) })
}

func (f *foldedLine) Anybody(ctx context.Context, _ domain.Position) (bool, error) {
	all, err := f.wishes(ctx)
	return len(all) > 0, err
}

func (f *foldedLine) OfPatient(ctx context.Context, id domain.PatientID, _ domain.Position) ([]domain.WishID, error) {
	return f.ids(ctx, func(w waitlist.State) bool { return w.Patient == id })
}

func waiting(store *memory.Store, h *commands.Handler) reactions.Waitlist {
	return reactions.Waitlist{Handler: h, Line: lineOf(store)}
}

func joins(t *testing.T, h *commands.Handler, id domain.WishID, who domain.PatientID) {
	t.Helper()
	_, err := h.JoinWaitlist(t.Context(), request(), waitlist.Wish{ID: id, Patient: who, Practitioners: []domain.PractitionerID{silva}})
	require.NoError(t, err)
}

func registers(t *testing.T, h *commands.Handler, name string) domain.PatientID {
	t.Helper()
	id := domain.PatientID(domain.NewID(name))
	_, err := h.RegisterPatient(t.Context(), request(), patient.Register{Patient: id, Name: name})
	require.NoError(t, err)
	return id
}

// events returns what the log has of the types.
func events(t *testing.T, store *memory.Store, types ...string) []domain.Recorded {
	t.Helper()
	page, err := store.ReadAll(t.Context(), 0, domain.Filter{Types: types}, 1<<20)
	require.NoError(t, err)
	return page.Events
}

func TestWhatIsFreedIsOfferedAndPassedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		h := staffed(t, commands.New(commands.Config{Store: store, Now: time.Now, NewID: uuid.NewString}), "UTC", 30)
		w := waiting(store, h)
		ctx, told := t.Context(), domain.Position(0)
		tell := func() {
			for told = tellOnce(t, store, w, told); told < headOf(t, store); {
				told = tellOnce(t, store, w, told)
			}
		}

		boris, carlos := registers(t, h, "Boris"), registers(t, h, "Carlos")
		s := opened(t, store)[8]
		id := domain.AppointmentID(domain.NewID("visit"))
		_, err := h.Book(ctx, request(), commands.Booking{Appointment: id, Slots: []domain.SlotID{s.ID}, Patient: ana})
		require.NoError(t, err)
		joins(t, h, "first", boris)
		joins(t, h, "second", carlos)
		_, err = h.Cancel(ctx, request(), commands.Cancellation{Appointment: id, Initiator: appointment.ByPatient})
		require.NoError(t, err)
		tell()
		first, err := h.Wish(ctx, "first")
		require.NoError(t, err)
		require.Equal(t, waitlist.Offered, first.State.Status)
		_, err = h.DeclineOffer(ctx, request(), commands.OfferOf(first.State.Offer.Appointment, 1))
		require.NoError(t, err)
		tell()
		second, err := h.Wish(ctx, "second")
		require.NoError(t, err)
		require.Equal(t, waitlist.Offered, second.State.Status)

		_, err = h.MergePatient(ctx, request(), boris, ana)
		require.NoError(t, err)
		tell()
		first, err = h.Wish(ctx, "first")
		require.NoError(t, err)
		require.Equal(t, ana, first.State.Patient, "a wish goes with its patient")

		_, err = h.LeaveWaitlist(ctx, request(), "second")
		require.NoError(t, err)
		tell()
		second, err = h.Wish(ctx, "second")
		require.NoError(t, err)
		require.Equal(t, waitlist.Ended, second.State.Status)
		free, err := h.Slot(ctx, s.ID)
		require.NoError(t, err)
		require.Equal(t, 1, free.State.Free(), "what was offered to who waits no more is free")

		length := len(events(t, store))
		for _, r := range events(t, store, w.Wants()...) {
			require.NoError(t, w.React(ctx, r))
		}
		require.Len(t, events(t, store), length, "what is handed over again finds everything done")
		for _, r := range events(t, store, slot.Booked{}.EventType()) {
			require.NoError(t, w.React(ctx, r), "what is no release is nobody's concern")
		}
	})
}

// tellOnce tells the waiting list what has happened since a position.
func tellOnce(t *testing.T, store *memory.Store, w reactions.Waitlist, after domain.Position) domain.Position {
	t.Helper()
	page, err := store.ReadAll(t.Context(), after, domain.Filter{Types: w.Wants()}, 1<<20)
	require.NoError(t, err)
	for _, r := range page.Events {
		require.NoError(t, w.React(t.Context(), r))
	}
	return page.Next
}

func headOf(t *testing.T, store *memory.Store) domain.Position {
	t.Helper()
	head, err := store.Head(t.Context())
	require.NoError(t, err)
	return head
}

func TestARoundIsRunAgainWhenTheStoreWasAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		log := &failing{Store: store}
		h := staffed(t, commands.New(commands.Config{Store: log, Now: time.Now, NewID: uuid.NewString}), "UTC", 30)
		w := waiting(store, h)
		ctx := t.Context()
		s := opened(t, store)[8]
		id := domain.AppointmentID(domain.NewID("visit"))
		_, err := h.Book(ctx, request(), commands.Booking{Appointment: id, Slots: []domain.SlotID{s.ID}, Patient: registers(t, h, "Boris")})
		require.NoError(t, err)
		joins(t, h, "wish", ana)
		_, err = h.Cancel(ctx, request(), commands.Cancellation{Appointment: id, Initiator: appointment.ByPatient})
		require.NoError(t, err)
		freed := events(t, store, slot.Released{}.EventType())
		require.Len(t, freed, 1)
		log.off.Store(true)
		require.ErrorIs(t, w.React(ctx, freed[0]), commands.ErrUnavailable)
		log.off.Store(false)
		require.NoError(t, w.React(ctx, freed[0]))
		now, err := h.Wish(ctx, "wish")
		require.NoError(t, err)
		require.Equal(t, waitlist.Offered, now.State.Status)
	})
}

// ten is ten minutes of a busy waiting list: patients wait, cancel, book, accept,
// decline, leave or do not answer at all, and processes die between two appends.
type ten struct {
	t      *testing.T
	rand   *rand.Rand
	clock  *hand
	store  *memory.Store
	h      *commands.Handler
	w      reactions.Waitlist
	read   domain.Position
	who    []domain.PatientID
	slots  []schedule.Slot
	again  []domain.Recorded // what was not handled, and is handed over again
	booked map[domain.AppointmentID]domain.PatientID
	open   map[domain.AppointmentID]map[int]time.Time // deadlines of pending sets
	seen   domain.Position
	line   *foldedLine
	n      int
}

func newTen(t *testing.T, seed uint64, stepByStep bool) *ten {
	t.Helper()
	x := &ten{t: t, rand: rand.New(rand.NewPCG(seed, 1)), clock: &hand{}} //nolint:gosec // a test is to be repeated
	x.booked, x.open = map[domain.AppointmentID]domain.PatientID{}, map[domain.AppointmentID]map[int]time.Time{}
	x.clock.set(monday)
	x.store = memory.New(memory.Config{Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Now: x.clock.now, StepByStep: stepByStep})
	x.h = x.process(x.store)
	x.w, x.line = waiting(x.store, x.h), lineOf(x.store)
	staffed(t, x.h, "UTC", 20)
	_, err := x.h.SetPolicy(t.Context(), request(), policy.Set{
		Scope: policy.Scope{Kind: policy.OfClinic, ID: string(sunrise)}, Terms: policy.Terms{OfferTime: new(1)},
	})
	require.NoError(t, err)
	souza := domain.PractitionerID(domain.NewID("souza"))
	_, err = x.h.RegisterPractitioner(t.Context(), request(), practitioner.Register{Practitioner: souza, Profile: practitioner.Profile{Name: "Dr.", Clinics: []domain.ClinicID{sunrise}}})
	require.NoError(t, err)
	pattern := schedule.Pattern{Clinic: sunrise, HorizonDays: 2}
	for weekday := range 7 {
		pattern.Weekly = append(pattern.Weekly, schedule.Interval{Weekday: weekday, From: 9 * 60, To: 12 * 60, SlotMinutes: 30, Capacity: 2})
	}
	_, _, err = x.h.SetSchedule(t.Context(), request(), schedule.Set{Practitioner: souza, Pattern: pattern})
	require.NoError(t, err)
	for i := range 20 {
		x.who = append(x.who, registers(t, x.h, "patient "+strconv.Itoa(i)))
	}
	for _, s := range opened(t, x.store) {
		if s.Start.After(monday.Add(30 * time.Minute)) {
			x.slots = append(x.slots, s)
		}
	}
	return x
}

func (x *ten) process(s commands.Store) *commands.Handler {
	return commands.New(commands.Config{Store: s, Now: x.clock.now, NewID: uuid.NewString, Patience: 100 * time.Millisecond})
}

// mortal is a store whose process dies after some appends.
type mortal struct {
	commands.Store
	left int
}

var errDied = errors.New("the process was killed")

func (m *mortal) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	if m.left--; m.left < 0 {
		return 0, errDied
	}
	return m.Store.Append(ctx, writes...)
}

func (x *ten) step() {
	ctx := x.t.Context()
	x.n++
	h := x.h
	if x.rand.IntN(8) == 0 {
		h = x.process(&mortal{x.store, x.rand.IntN(6)})
	}
	who, s := x.who[x.rand.IntN(len(x.who))], x.slots[x.rand.IntN(len(x.slots))]
	switch n := x.rand.IntN(20); {
	case n < 6:
		id := domain.AppointmentID(domain.NewID("visit", strconv.Itoa(x.n)))
		if _, err := h.Book(ctx, request(), commands.Booking{Appointment: id, Slots: []domain.SlotID{s.ID}, Patient: who}); err == nil {
			x.booked[id] = who
		}
	case n < 11:
		if booked := slices.Sorted(maps.Keys(x.booked)); len(booked) > 0 {
			id := booked[x.rand.IntN(len(booked))]
			delete(x.booked, id)
			_, _ = h.Cancel(ctx, request(), commands.Cancellation{Appointment: id, Initiator: appointment.ByPatient})
		}
	case n < 14:
		wish := waitlist.Wish{ID: domain.WishID(domain.NewID("wish", strconv.Itoa(x.n))), Patient: who, Practitioners: []domain.PractitionerID{silva}}
		if x.rand.IntN(3) == 0 {
			wish.Practitioners = []domain.PractitionerID{domain.PractitionerID(domain.NewID("souza"))}
		}
		if of := x.of(who); of != "" && x.rand.IntN(2) == 0 {
			wish.Appointment = of
		}
		_, _ = h.JoinWaitlist(ctx, request(), wish)
	case n < 19:
		x.answer(h)
	default:
		all, err := x.line.wishes(ctx)
		require.NoError(x.t, err)
		if len(all) > 0 {
			_, _ = h.LeaveWaitlist(ctx, request(), all[x.rand.IntN(len(all))].ID)
		}
	}
	x.react()
}

// of returns an appointment that a patient has.
func (x *ten) of(who domain.PatientID) domain.AppointmentID {
	for _, id := range slices.Sorted(maps.Keys(x.booked)) {
		if x.booked[id] == who {
			return id
		}
	}
	return ""
}

// answer accepts or declines what is offered to somebody, or lets them sleep.
func (x *ten) answer(h *commands.Handler) {
	all, err := x.line.wishes(x.t.Context())
	require.NoError(x.t, err)
	for _, w := range all {
		if w.Status != waitlist.Offered || x.rand.IntN(3) == 0 {
			continue
		}
		id := commands.OfferOf(w.Offer.Appointment, w.Offer.Set)
		if x.rand.IntN(2) == 0 {
			_, _ = h.DeclineOffer(x.t.Context(), request(), id)
			return
		}
		if done, err := h.AcceptOffer(x.t.Context(), request(), id); err == nil {
			visit, _ := done.State.Current()
			x.booked[visit.Appointment] = visit.Patient
		}
		return
	}
}

// reacting is what a process reacts with.
type reacting interface {
	Wants() []string
	React(ctx context.Context, r domain.Recorded) error
}

func (x *ten) reactions(h *commands.Handler) []reacting {
	return []reacting{reactions.Waitlist{Handler: h, Line: x.line}, reactions.Finisher{Handler: h}}
}

// react hands over what has happened, now and then twice or by a process that dies,
// and ends what is overdue.
func (x *ten) react() {
	page, err := x.store.ReadAll(x.t.Context(), x.read, domain.Filter{}, 1000)
	require.NoError(x.t, err)
	x.read = page.Next
	todo := slices.Concat(x.again, page.Events)
	x.again = nil
	for _, r := range todo {
		h := x.w.Handler
		if x.rand.IntN(10) == 0 {
			h = x.process(&mortal{x.store, x.rand.IntN(7)})
		}
		if err := x.reactTo(h, r); err != nil {
			x.again = append(x.again, r)
		} else if x.rand.IntN(10) == 0 {
			require.NoError(x.t, ignoreBusy(x.reactTo(x.w.Handler, r)))
		}
	}
}

// reactTo hands an event to every reaction that wants it.
func (x *ten) reactTo(h *commands.Handler, r domain.Recorded) error {
	for _, reaction := range x.reactions(h) {
		if slices.Contains(reaction.Wants(), r.Event.EventType()) {
			if err := reaction.React(x.t.Context(), r); err != nil {
				return err
			}
		}
	}
	return nil
}

func ignoreBusy(err error) error {
	if errors.Is(err, commands.ErrBusy) {
		return nil
	}
	return err
}

// overdue ends what nobody has decided in time, as the worker of deadlines does.
func (x *ten) overdue() {
	page, err := x.store.ReadAll(x.t.Context(), x.seen, domain.Filter{Categories: []string{appointment.Category}}, 1<<20)
	require.NoError(x.t, err)
	open := x.open
	x.seen = page.Next
	for _, r := range page.Events {
		e, ok := r.Event.(appointment.Event)
		if !ok {
			continue
		}
		v, n := appointment.Of(e)
		switch e := r.Event.(type) {
		case appointment.WasProposed:
			if open[v.Appointment] == nil {
				open[v.Appointment] = map[int]time.Time{}
			}
			open[v.Appointment][n] = e.Deadline
		case appointment.WasHeld:
			open[v.Appointment][n] = e.Deadline
		case appointment.WasCancelled:
			delete(open, v.Appointment)
		default:
			delete(open[v.Appointment], n)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(open)) {
		for n, deadline := range open[id] {
			if !x.clock.now().Before(deadline.Add(appointment.ClockSlack)) {
				_, err := x.h.Lapse(x.t.Context(), request(), id, n)
				require.NoError(x.t, err)
			}
		}
	}
}

// TestTenMinutesOfAWaitingList proves of a busy waiting list: no slot is offered to
// more people than it has places, nobody has two offers at once, whoever is asked
// later than somebody before them in line was is so for a reason that the one before
// has on their stream, and every offer ends.
func TestTenMinutesOfAWaitingList(t *testing.T) {
	t.Parallel()
	for _, stepByStep := range []bool{false, true} {
		for seed := range uint64(1) {
			t.Run(fmt.Sprintf("step by step %t, seed %d", stepByStep, seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { // who waits for somebody else's decision waits in no time
					x := newTen(t, seed, stepByStep)
					x.lives()
					x.proves()
				})
			})
		}
	}
}

func (x *ten) lives() {
	for range 300 { // two seconds each
		x.step()
		x.clock.pass(2 * time.Second)
		if x.n%5 == 0 {
			x.overdue()
			x.react()
		}
	}
	for range 40 { // nobody answers any more
		x.clock.pass(time.Minute + 3*time.Second)
		x.overdue()
		x.react()
	}
}

func (x *ten) proves() {
	auditor := audit.New()
	p := &proof{t: x.t, lines: map[domain.WishID]*lined{}, open: map[domain.PatientID]domain.OfferID{}, of: map[domain.OfferID]domain.SlotID{}}
	p.places = map[domain.SlotID]int{}
	for _, s := range x.slots {
		p.places[s.ID] = s.Capacity
	}
	log := events(x.t, x.store)
	for _, r := range log {
		auditor.Add(r)
		p.add(r)
	}
	require.Empty(x.t, auditor.Findings())
	require.Empty(x.t, p.open, "every offer ends")
	require.Greater(x.t, p.offers, 20)
	require.NotZero(x.t, p.skips)
	for id, l := range p.lines {
		require.NotEqual(x.t, waitlist.Offered, l.wish.Status, "%s has nothing on offer any more", id)
	}
	x.t.Logf("%d events, %d offers, %d skips, %d wishes, %d live", len(log), p.offers, p.skips, len(p.lines), auditor.Live())
}

// proof is what the log has said so far.
type proof struct {
	t      *testing.T
	lines  map[domain.WishID]*lined
	open   map[domain.PatientID]domain.OfferID
	of     map[domain.OfferID]domain.SlotID
	places map[domain.SlotID]int
	offers int
	skips  int
}

// lined is a wish in line, and for which slots it has been told something.
type lined struct {
	place domain.Position
	wish  waitlist.State
	told  map[domain.SlotID]bool
}

func (p *proof) add(r domain.Recorded) {
	switch e := r.Event.(type) {
	case waitlist.Event:
		p.line(r, e)
	case appointment.WasHeld:
		if e.Wish != "" {
			p.offer(r, e)
		}
	case appointment.WasProposed:
	case appointment.WasCancelled:
		p.ends(func(id domain.OfferID) bool { return strings.HasPrefix(string(id), string(e.Appointment)) }) // also what was offered beside it
	case appointment.Event:
		v, n := appointment.Of(e)
		p.ends(func(id domain.OfferID) bool { return id == commands.OfferOf(v.Appointment, n) })
	}
}

func (p *proof) line(r domain.Recorded, e waitlist.Event) {
	id := domain.WishID(r.Stream.ID())
	if p.lines[id] == nil {
		p.lines[id] = &lined{place: r.Position, told: map[domain.SlotID]bool{}}
	}
	l := p.lines[id]
	l.wish = waitlist.Evolve(l.wish, e)
	if skipped, ok := e.(waitlist.WasSkipped); ok {
		require.NotEmpty(p.t, skipped.Rule)
		l.told[skipped.Slot], p.skips = true, p.skips+1
	}
	if offered, ok := e.(waitlist.WasOffered); ok {
		l.told[offered.Slot] = true
	}
}

// offer sees to it that the patient has no other one, that nobody else is offered
// the same place, and that whoever was before them in line has been told something
// of that slot.
func (p *proof) offer(r domain.Recorded, e appointment.WasHeld) {
	require.Empty(p.t, p.open[e.Patient], "%s has an offer already", e.Patient)
	p.open[e.Patient], p.offers = commands.OfferOf(e.Appointment, e.Set), p.offers+1
	p.of[p.open[e.Patient]] = e.Slots[0]
	same := 0
	for _, id := range p.open {
		if p.of[id] == e.Slots[0] {
			same++
		}
	}
	require.LessOrEqual(p.t, same, p.places[e.Slots[0]], "no place is offered to two people")
	free := waitlist.Free{
		Opening: waitlist.Opening{Slot: e.Slots[0], Practitioner: e.Practitioner, Clinic: e.Clinic, Period: e.Period}, Zone: time.UTC,
	}
	for id, l := range p.lines {
		waits := l.wish.Status == waitlist.Waiting || l.wish.Status == waitlist.Offered
		if id != e.Wish && waits && l.place < p.lines[e.Wish].place && l.wish.Wants(free) {
			require.True(p.t, l.told[e.Slots[0]], "%s was passed over at %d without a reason: %v", id, r.Position, l.wish)
		}
	}
}

func (p *proof) ends(meant func(domain.OfferID) bool) {
	maps.DeleteFunc(p.open, func(_ domain.PatientID, id domain.OfferID) bool { return meant(id) })
}
