package commands

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/demand"
	"github.com/slotbook/slotbook/domain/schedule"
)

// Unmet is a wish that was refused, and whose it was.
type Unmet struct {
	demand.Refused
	Caller string // tells callers apart; it is not stored
}

// Write returns what stores the refusal, as an event of that id.
func (u Unmet) Write(id string) Write {
	return Write{
		Stream: demand.Stream(u.Clinic, domain.DayOf(u.At)), Expected: domain.Any,
		Events: []NewEvent{{id, u.Refused, domain.Metadata{Command: id, Actor: system}}},
	}
}

// unmet tells what a refusal leaves behind: rules that say no to a wish, not
// faults, repeats or requests that make no sense.
func (h *Handler) unmet(ctx context.Context, req Request, wish string, b Booking, err error) {
	rule := domain.RuleOf(err)
	if h.Refused == nil || req.DryRun || rule == nil || len(b.Slots) == 0 {
		return
	}
	switch rule.Kind {
	case domain.Refused, domain.Conflict, domain.Gone, domain.Limited:
	case domain.Internal, domain.Invalid, domain.NotFound, domain.Forbidden, domain.Stale, domain.Unavailable:
		return
	}
	for _, none := range []error{ErrKeyReused, appointment.ErrExists, appointment.ErrNotHeld} { // repeats
		if errors.Is(err, none) {
			return
		}
	}
	o, failed := h.openedSlot(ctx, b.Slots[0]) // from memory: the command has just looked
	if failed != nil {
		return
	}
	there, _ := h.placeOf(ctx, appointment.Visit{ // without an answer nothing is said of policies
		Clinic: o.terms.Clinic, Practitioner: o.terms.Practitioner, VisitType: string(b.VisitType), Slots: b.Slots,
	})
	h.Refused(Unmet{demand.Refused{
		Clinic: o.terms.Clinic, Practitioner: o.terms.Practitioner, Slot: b.Slots[0], VisitType: b.VisitType,
		Wish: wish, Rule: rule.Rule, Start: o.terms.Start, At: h.now(), Policies: there.revisions(),
	}, req.Actor + "/" + string(b.Patient)})
}

// WantedAt is [Handler.SlotAt] for a wish: that the practitioner has no slot then
// is a refusal of it.
func (h *Handler) WantedAt(
	ctx context.Context, req Request, wish string, v domain.VisitTypeID, p domain.PractitionerID, start time.Time,
) (domain.SlotID, error) {
	id, err := h.SlotAt(ctx, p, start)
	if errors.Is(err, schedule.ErrSlotGone) && h.Refused != nil && !req.DryRun && start.After(h.Now()) {
		h.unmetAt(ctx, req, demand.Refused{Practitioner: p, VisitType: v, Wish: wish, Start: start.UTC()})
	}
	return id, err
}

// unmetAt tells of a wish for a time at which no slot starts, at the clinic of the
// practitioner's first schedule; who has none cannot be wanted.
func (h *Handler) unmetAt(ctx context.Context, req Request, r demand.Refused) {
	stream := schedule.Stream(r.Practitioner)
	loaded, err := h.Store.Load(ctx, stream)
	state := domain.Replay(schedule.Evolve, schedule.State{}, loaded[stream])
	if err != nil || len(state.Patterns) == 0 {
		return
	}
	r.Clinic, r.Rule, r.At = state.Patterns[0].Clinic, schedule.ErrSlotGone.Rule, h.now()
	there, _ := h.placeOf(ctx, appointment.Visit{Clinic: r.Clinic, Practitioner: r.Practitioner, VisitType: string(r.VisitType)}) // see unmet
	r.Policies = there.revisions()
	h.Refused(Unmet{r, req.Actor})
}

// The bounds of a demand recorder.
const (
	demandQueue = 256         // what waits to be stored
	demandPause = time.Minute // between two of one caller, slot and rule
	demandSeen  = 10_000      // callers, slots and rules that are remembered

	demandPatience = time.Second // with the store, for one refusal
)

// DemandRecorder stores what was refused, after the answer and at its own
// pace. Under pressure it drops, and counts what it drops.
type DemandRecorder struct {
	store   Store
	newID   func() string
	queue   chan Unmet
	dropped atomic.Int64

	mu   sync.Mutex
	seen map[string]time.Time
}

// NewDemandRecorder returns a recorder that stores nothing until it runs.
func NewDemandRecorder(s Store, newID func() string) *DemandRecorder {
	return &DemandRecorder{store: s, newID: newID, queue: make(chan Unmet, demandQueue), seen: map[string]time.Time{}}
}

// Add takes a refusal, without waiting: [Config.Refused].
func (d *DemandRecorder) Add(u Unmet) {
	if d.repeats(u) {
		return
	}
	select {
	case d.queue <- u:
	default:
		d.dropped.Add(1)
	}
}

// Dropped returns how many refusals were dropped under pressure, or because
// the store would not take them.
func (d *DemandRecorder) Dropped() int64 { return d.dropped.Load() }

// repeats reports whether the same caller was refused the same slot by the same
// rule a moment ago.
func (d *DemandRecorder) repeats(u Unmet) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := u.Caller + " " + string(u.Practitioner) + " " + u.Start.Format(time.RFC3339) + " " + u.Rule
	if last, ok := d.seen[key]; ok && u.At.Before(last.Add(demandPause)) {
		return true
	}
	if len(d.seen) >= demandSeen {
		clear(d.seen)
	}
	d.seen[key] = u.At
	return false
}

// Run stores what is added until ctx ends, and then what is left, as far as a
// second allows. It returns nil.
func (d *DemandRecorder) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case u := <-d.queue:
			d.record(context.WithoutCancel(ctx), u)
		case <-ctx.Done():
		}
	}
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), demandPatience)
	defer cancel()
	for {
		select {
		case u := <-d.queue:
			d.record(rest, u)
		default:
			return nil
		}
	}
}

func (d *DemandRecorder) record(ctx context.Context, u Unmet) {
	ctx, cancel := context.WithTimeout(ctx, demandPatience)
	defer cancel()
	if _, err := d.store.Append(ctx, u.Write(d.newID())); err != nil {
		d.dropped.Add(1)
	}
}
