package projections

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/projections/engine"
)

// The bounds of live updates.
const (
	ResumeWithin = 10_000 // positions that somebody may be behind and still gets changes only
	MostLive     = 2000   // slots that are told of at once: more are listed anew, or refused

	livePage = 1000 // events that are looked at together
)

// ErrTooBroad refuses to watch more slots than [MostLive].
var ErrTooBroad = domain.Refusal(domain.Refused, "stream.too-broad",
	"more than 2,000 slots would have to be watched: name practitioners, a clinic, or a shorter time")

// LiveConfig configures live updates.
type LiveConfig struct {
	Log     engine.Log       // the event store; required
	Streams Streams          // the same; required
	Slots   LiveSlots        // the list of slots: an [Availability]; required
	Now     func() time.Time // business time; required
	Logger  *slog.Logger     // nil logs nothing
}

// Streams loads streams, as an event store does.
type Streams interface {
	Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error)
}

// LiveSlots is the list of slots with what live updates ask it besides.
type LiveSlots interface {
	List(ctx context.Context, f SlotFilter, now time.Time, least domain.Position) (List[Slot], error)
	// Within returns the clinics of an area; nil for everywhere.
	Within(ctx context.Context, a Area, least domain.Position) ([]domain.ClinicID, error)
	// Reflected returns the position that the list reflects.
	Reflected(ctx context.Context) (domain.Position, error)
	// Touched returns how slots are listed at an instant, and those that hang
	// together with them, for each of the visit types.
	Touched(ctx context.Context, ids []string, visitTypes []domain.VisitTypeID, now time.Time, least domain.Position) (
		map[domain.VisitTypeID][]TouchedSlot, error)
}

// Live tells what changes while it changes. All who listen in a process share one
// look at the log for each beat; while nobody listens there is none.
type Live struct {
	config LiveConfig
	slots  *hub[slotsChanged]
	queues *hub[queuesChanged]
	lists  chan struct{} // held by those that list everything anew
	store  atomic.Pointer[string]
	ended  chan struct{} // is closed when nobody tells any more
}

// NewLive returns live updates, which [Live.Run] keeps going.
func NewLive(c LiveConfig) *Live {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	const lists = 4
	l := &Live{config: c, lists: make(chan struct{}, lists), ended: make(chan struct{})}
	l.slots = newHub[slotsChanged](c.Log, c.Logger)
	l.slots.begin, l.slots.next = c.Slots.Reflected, l.nextSlots
	l.queues = newHub[queuesChanged](c.Log, c.Logger)
	l.queues.begin, l.queues.next = c.Log.Head, l.nextQueues
	return l
}

// Run tells those who listen until ctx ends. Then everything that is watched
// ends with [ErrEnding].
func (l *Live) Run(ctx context.Context) error {
	defer close(l.ended)
	var all sync.WaitGroup
	all.Go(func() { l.slots.run(ctx) })
	all.Go(func() { l.queues.run(ctx) })
	all.Wait()
	return nil
}

// Ended returns a channel that is closed when [Live.Run] has ended: everything
// that is told ends then.
func (l *Live) Ended() <-chan struct{} { return l.ended }

// Store names the event store, so that a position of another one is told from
// one of this: by its first event, which no other store has. An empty store has
// the name "0".
func (l *Live) Store(ctx context.Context) (string, error) {
	if known := l.store.Load(); known != nil {
		return *known, nil
	}
	page, err := l.config.Log.ReadAll(ctx, 0, domain.Filter{Bare: true}, 1)
	if err != nil || len(page.Events) == 0 {
		return "0", err
	}
	hash := sha256.Sum256([]byte(page.Events[0].ID))
	name := hex.EncodeToString(hash[:4])
	l.store.Store(&name)
	return name, nil
}

// TouchedSlot is a slot with what a filter needs to know besides.
type TouchedSlot struct {
	Slot
	Specialties []string // of the practitioner
}

// Reflected returns the position that the list reflects.
func (a Availability) Reflected(ctx context.Context) (domain.Position, error) {
	return a.views.View(ctx, 0, judgedModels(), func(engine.Reader) error { return nil })
}

// Within returns the clinics of an area as a list of slots takes it: nil for
// everywhere. Errors: [ErrNear], [ErrRadius].
func (a Availability) Within(ctx context.Context, where Area, least domain.Position) ([]domain.ClinicID, error) {
	f := SlotFilter{Area: where}
	if where.Clinic != "" && f.elsewhere() == (Area{}) {
		return []domain.ClinicID{where.Clinic}, nil
	}
	var within []domain.ClinicID
	_, err := a.view(ctx, f, nil, least, []string{"directory"}, func(_ engine.Reader, area []string) error {
		if area != nil {
			within = make([]domain.ClinicID, 0, len(area))
		}
		for _, id := range area {
			within = append(within, domain.ClinicID(id))
		}
		return nil
	})
	return within, err
}

// touchedQuery returns the query of slots as the list gives them. Where the visits of a practitioner's
// day or week are counted, a visit more or less opens or closes other slots of
// that time, so they are there, too.
func touchedQuery(v domain.VisitTypeID) string {
	return `
select slots.*, coalesce(p.specialties, '{}') as specialties
from (` + judgedSlots(v) + `
	and s.slot = any(array(
		select unnest(@ids::text[])
		union
		select other.slot
		from slot touched
		join slot other on other.practitioner = touched.practitioner
			and other.start > touched.start - interval '8 days'
			and other.start < touched.start + interval '8 days'
		where touched.slot = any(@ids)
			and exists (
				select
				from unnest(array['practitioner-day.', 'practitioner-week.']) as limits (rule)
				join quota q on q.quota >= limits.rule || touched.practitioner || '.' and q.quota < limits.rule || touched.practitioner || '/'
			)
	))
) slots
left join practitioner p on p.practitioner = slots.practitioner
order by slots.start, slots.id`
}

// Touched returns the slots of these ids as the list shows them at an instant to
// somebody who wants a visit type, and those whose places hang together with
// theirs.
func (a Availability) Touched(
	ctx context.Context, ids []string, visitTypes []domain.VisitTypeID, now time.Time, least domain.Position,
) (map[domain.VisitTypeID][]TouchedSlot, error) {
	var touched map[domain.VisitTypeID][]TouchedSlot
	_, err := a.views.View(ctx, least, judgedModels(), func(r engine.Reader) error {
		touched = map[domain.VisitTypeID][]TouchedSlot{}
		for _, v := range visitTypes {
			args := slotArguments(now)
			args["visit_type"], args["ids"] = string(v), ids
			rows, _ := r.Query(ctx, touchedQuery(v), args)
			slots, err := pgx.CollectRows(rows, pgx.RowToStructByName[TouchedSlot])
			if err != nil {
				return err
			}
			for i := range slots {
				slots[i].Slot = slots[i].inUTC()
			}
			touched[v] = slots
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("touched slots: %w", err)
	}
	return touched, nil
}

// slotsChanged is what happened to slots.
type slotsChanged struct {
	terms bool // what holds for all slots may have changed: everything is to be listed anew
	staff bool // so may the specialties of a practitioner
	many  bool // more slots have changed than are worth telling one by one
	slots map[domain.VisitTypeID][]TouchedSlot
}

// slotInterest is what can change a list of slots: but for time, which passes
// without being told.
func slotInterest() domain.Filter {
	f := AvailabilityModel().Interest
	f.Categories = slices.Concat(f.Categories, []string{policy.Category, clinic.Category, practitioner.Category})
	f.Types = slices.Concat(f.Types, []string{
		policy.WasSet{}.EventType(), clinic.Changed{}.EventType(), clinic.WasClosed{}.EventType(), practitioner.Changed{}.EventType(),
	})
	f.Bare = true
	return f
}

// nextSlots looks at what has happened after a position, as far as the list
// reflects it.
func (l *Live) nextSlots(ctx context.Context, after domain.Position, topics map[string]bool) (slotsChanged, domain.Position, error) {
	to, err := l.config.Slots.Reflected(ctx)
	if err != nil || to <= after {
		return slotsChanged{}, after, err
	}
	visitTypes := make([]domain.VisitTypeID, 0, len(topics))
	for v := range topics {
		visitTypes = append(visitTypes, domain.VisitTypeID(v))
	}
	return l.slotsBetween(ctx, after, to, visitTypes)
}

// slotsBetween returns what has happened after a position and up to another, or
// up to where one page reaches.
func (l *Live) slotsBetween(
	ctx context.Context, after, to domain.Position, visitTypes []domain.VisitTypeID,
) (c slotsChanged, moved domain.Position, err error) {
	page, err := l.config.Log.ReadAll(ctx, after, slotInterest(), livePage)
	if err != nil {
		return c, after, err
	}
	var ids []string
	for _, r := range page.Events {
		if r.Position > to {
			break
		}
		switch r.Event.(type) {
		case policy.WasSet, clinic.Changed, clinic.WasClosed:
			c.terms = true
		case practitioner.Changed:
			c.staff = true
		default:
			ids = append(ids, slotKeys(r)...)
		}
	}
	moved = min(to, page.Next)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if c.many = len(ids) > MostLive; c.many || len(ids) == 0 {
		c.slots = map[domain.VisitTypeID][]TouchedSlot{}
		for _, v := range visitTypes {
			c.slots[v] = nil
		}
		return c, moved, nil
	}
	c.slots, err = l.config.Slots.Touched(ctx, ids, visitTypes, l.config.Now(), moved)
	return c, moved, err
}

// holds reports whether a slot is where the filter looks, with the clinics of its
// area; its status counts for nothing.
func (f SlotFilter) holds(s TouchedSlot, within []domain.ClinicID) bool {
	return (len(f.Practitioners) == 0 || slices.Contains(f.Practitioners, s.Practitioner)) &&
		(within == nil || slices.Contains(within, s.Clinic)) &&
		(len(f.Specialties) == 0 || slices.ContainsFunc(f.Specialties, func(code string) bool { return slices.Contains(s.Specialties, code) })) &&
		(f.From.IsZero() || !s.Start.Before(f.From)) &&
		(f.To.IsZero() || s.Start.Before(f.To))
}

// lists reports whether a slot that the filter holds is listed with a status.
func (f SlotFilter) lists(status SlotStatus) bool {
	switch f.Status {
	case AnyStatus:
		return true
	case "":
		return status == Free
	case Free, Busy, BusyTentative, BusyUnavailable:
	}
	return f.Status == status
}

// SlotNews is what somebody who watches slots is told.
type SlotNews struct {
	Position domain.Position // that it reflects
	Whole    bool            // Slots are all that the filter lists; else those that have changed
	Slots    []SlotChange    // by start and id
}

// SlotChange is a slot as it is now, whether it is listed or not.
type SlotChange struct {
	Slot
	Listed bool
}

// SlotWatch is a list of slots that is watched. It is used by one goroutine.
type SlotWatch struct {
	live     *Live
	filter   SlotFilter
	within   []domain.ClinicID // of the filter's area
	listener *listener[slotsChanged]
	position domain.Position // that was told
	whole    bool            // the list is to be told anew
	resume   domain.Position // up to where changes are read from the log first
}

// WatchSlots watches the slots of a filter, whose After and Limit do not count.
// Who has seen them at a position gets the changes since: when it is not 0, not
// beyond the log, and at most [ResumeWithin] behind; else the whole list first.
// Errors: [ErrEnding], [engine.ErrNotYet].
func (l *Live) WatchSlots(ctx context.Context, f SlotFilter, seen domain.Position) (*SlotWatch, error) {
	f.After, f.Limit = TimeCursor{}, 0
	head, err := l.config.Log.Head(ctx)
	if err != nil {
		return nil, err
	}
	listener, from, err := l.slots.listen(ctx, string(f.VisitType))
	if err != nil {
		return nil, err
	}
	w := &SlotWatch{live: l, filter: f, listener: listener, position: seen, resume: from}
	head = max(head, from)
	w.whole = seen == 0 || seen > head || head-seen > ResumeWithin
	return w, nil
}

// Close ends the watching.
func (w *SlotWatch) Close() { w.listener.leave() }

// Position returns the position that was told last.
func (w *SlotWatch) Position() domain.Position { return w.position }

// Begin returns the whole list, or for who gets only the changes since a position
// nothing yet. Errors: [ErrTooBroad], [engine.ErrAway], that of ctx.
func (w *SlotWatch) Begin(ctx context.Context) (SlotNews, error) {
	if w.whole {
		return w.list(ctx)
	}
	var err error
	w.within, err = w.live.config.Slots.Within(ctx, w.filter.Area, 0)
	return SlotNews{Position: w.position}, err
}

// Next waits for what is to be told next. What is told of a slot may be told
// again. Errors: [ErrTooBroad], [ErrEnding], [engine.ErrAway], that of ctx.
func (w *SlotWatch) Next(ctx context.Context) (SlotNews, error) {
	for {
		if w.whole {
			return w.list(ctx)
		}
		changed, to, err := w.changed(ctx)
		switch {
		case errors.Is(err, errMissed):
			w.whole = true
			continue
		case err != nil:
			return SlotNews{}, err
		case to <= w.position:
			continue // it is in what was told already
		}
		slots, known := changed.slots[w.filter.VisitType]
		if w.whole = !known || changed.many || changed.terms || changed.staff && len(w.filter.Specialties) > 0; w.whole {
			continue
		}
		w.position = to
		if news := w.news(slots); len(news) > 0 {
			return SlotNews{Position: to, Slots: news}, nil
		}
	}
}

// changed reads what changed since the position that was seen out of the log, up
// to where the listener hears of it.
func (w *SlotWatch) changed(ctx context.Context) (slotsChanged, domain.Position, error) {
	if w.position < w.resume {
		return w.live.slotsBetween(ctx, w.position, w.resume, []domain.VisitTypeID{w.filter.VisitType})
	}
	c, err := w.listener.next(ctx)
	return c.What, c.Position, err
}

func (w *SlotWatch) news(touched []TouchedSlot) []SlotChange {
	var news []SlotChange
	for _, s := range touched {
		if w.filter.holds(s, w.within) {
			news = append(news, SlotChange{s.Slot, w.filter.lists(s.Status)})
		}
	}
	return news
}

// list lists everything. The pages are not of one moment: what changes between
// them is told afterwards, because the position is that of the first.
func (w *SlotWatch) list(ctx context.Context) (SlotNews, error) {
	select {
	case w.live.lists <- struct{}{}:
		defer func() { <-w.live.lists }()
	case <-ctx.Done():
		return SlotNews{}, ctx.Err()
	}
	within, err := w.live.config.Slots.Within(ctx, w.filter.Area, w.resume)
	if err != nil {
		return SlotNews{}, err
	}
	w.within = within
	news, f := SlotNews{Whole: true}, w.filter
	f.Limit = MostLive / 2
	for more, least := true, w.resume; more; {
		page, err := w.live.config.Slots.List(ctx, f, w.live.config.Now(), least)
		if err != nil {
			return news, err
		}
		if news.Position == 0 {
			news.Position = page.Position
		}
		for _, s := range page.Items {
			news.Slots = append(news.Slots, SlotChange{s, true})
		}
		if len(news.Slots) > MostLive || page.More && len(news.Slots) == MostLive {
			return news, ErrTooBroad
		}
		if more = page.More; more {
			f.After = page.Items[len(page.Items)-1].Cursor()
		}
		least = page.Position
	}
	w.whole, w.position, w.resume = false, news.Position, 0
	return news, nil
}

// inUTC returns the slot with its times in UTC.
func (s Slot) inUTC() Slot {
	s.Period = domain.Period{Start: s.Start.UTC(), End: s.End.UTC()}
	if s.HeldUntil != nil {
		until := s.HeldUntil.UTC()
		s.HeldUntil = &until
	}
	return s
}
