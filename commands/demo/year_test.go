package demo_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/memory"
	"github.com/slotbook/slotbook/commands/demo"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/projections/audit"
)

// written is a year and the log that it left.
type written struct {
	report demo.Report
	log    []domain.Recorded
	types  map[string]int
}

// write makes a year up in a store with a clock of its own, or with the year's
// when it is nil.
func write(t *testing.T, stepByStep bool, recorded func() time.Time, c demo.Config) written {
	t.Helper()
	c.Clock = &demo.Clock{}
	if recorded == nil {
		recorded = c.Clock.Now
	}
	store := memory.New(memory.Config{Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Now: recorded, StepByStep: stepByStep})
	c.Store, c.NewID = store, func() string { return uuid.Must(uuid.NewV7()).String() }
	var w written
	var err error
	w.report, err = demo.Write(context.Background(), c)
	require.NoError(t, err)
	w.types = map[string]int{}
	for at, more := domain.Position(0), true; more; {
		page, err := store.ReadAll(context.Background(), at, domain.Filter{}, 5000)
		require.NoError(t, err)
		w.log = append(w.log, page.Events...)
		at, more = page.Next, len(page.Events) > 0
	}
	for _, r := range w.log {
		w.types[r.Event.EventType()]++
	}
	return w
}

// holds checks the invariants I1 to I5 over the log.
func (w written) holds(t *testing.T) {
	t.Helper()
	auditor := audit.New()
	for _, r := range w.log {
		auditor.Add(r)
	}
	require.Empty(t, auditor.Findings())
	require.Positive(t, auditor.Live())
	w.holdsInParts(t)
}

// holdsInParts audits parts of the log, from wherever they begin.
func (w written) holdsInParts(t *testing.T) {
	t.Helper()
	const step, length = 997, 1500
	for from := 1; from < len(w.log); from += step {
		auditor := audit.New()
		auditor.Partial = true
		for _, r := range w.log[from:min(len(w.log), from+length)] {
			auditor.Add(r)
		}
		require.Empty(t, auditor.Findings(), "from %d", from)
	}
}

func TestAYearOfTwoClinicsKeepsEveryInvariant(t *testing.T) {
	t.Parallel()
	year := write(t, false, nil, demo.Config{Seed: 1, First: "2026-01-01", Until: domain.Day("2027-01-01").Start(), Wishes: 3})
	year.holds(t)
	year.isEventful(t)
}

func TestASeedIsTheSameTimeInBothStores(t *testing.T) {
	t.Parallel()
	spells := make([]written, 2)
	t.Run("stores", func(t *testing.T) {
		for i, mode := range []string{"atomic", "step by step"} {
			t.Run(mode, func(t *testing.T) {
				t.Parallel()
				spells[i] = write(t, i == 1, nil, demo.Config{Seed: 20260601, First: "2026-02-20", Until: domain.Day("2026-04-01").Start(), Wishes: 3})
				spells[i].holds(t)
			})
		}
	})
	require.Equal(t, spells[0].report, spells[1].report)
	require.Equal(t, spells[0].commands(), spells[1].commands())
}

func TestAnotherSeedIsAnotherYear(t *testing.T) {
	t.Parallel()
	month := demo.Config{First: "2026-03-01", Until: domain.Day("2026-04-01").Start(), Wishes: 4}
	one, two := month, month
	one.Seed, two.Seed = 1, 2
	require.NotEqual(t, write(t, false, nil, one).report, write(t, false, nil, two).report)
}

func TestAYearMayEndWithWhatLiesAhead(t *testing.T) {
	t.Parallel()
	now := domain.Day("2026-06-01").Start().Add(13 * time.Hour)
	var days int
	w := write(t, false, nil, demo.Config{
		Seed: 7, First: "2026-05-18", Until: now, Ahead: 60, Wishes: 4, Progress: func(domain.Day) { days++ },
	})
	w.holds(t)
	require.Equal(t, 15, days)
	require.Positive(t, w.report.Done["booked ahead"])
	var latest time.Time
	for _, r := range w.log {
		require.False(t, r.RecordedAt.After(now), "nothing happens after the end")
		if e, ok := r.Event.(appointment.WasBooked); ok && e.Start.After(latest) {
			latest = e.Start
		}
	}
	require.True(t, latest.After(now.AddDate(0, 0, 30)), latest)
}

func TestAYearIsTheSameInAStoreWhoseClockIsAhead(t *testing.T) {
	t.Parallel()
	months := demo.Config{Seed: 3, First: "2026-01-01", Until: domain.Day("2026-03-01").Start(), Wishes: 3}
	today := func() time.Time { return domain.Day("2026-07-01").Start() }
	require.Equal(t, write(t, false, nil, months).report, write(t, false, today, months).report)
}

func TestAYearWhoseStoreFailsEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := demo.Write(ctx, demo.Config{
		Store: memory.New(memory.Config{Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Now: time.Now}),
		NewID: uuid.NewString, First: "2026-01-01", Until: domain.Day("2026-02-01").Start(),
	})
	require.Error(t, err)
}

// commands returns what each command stored where, event ids left out, and of
// the helpers' commands the ids too.
func (w written) commands() map[domain.StreamName][]string {
	all := map[domain.StreamName][]string{}
	for _, r := range w.log {
		what := r.Event.EventType()
		if r.Metadata.Actor == "demo" {
			what = r.Metadata.Command + " " + what
		}
		all[r.Stream] = append(all[r.Stream], what)
	}
	return all
}

// isEventful checks that the year exercised what it is made for.
func (w written) isEventful(t *testing.T) {
	t.Helper()
	for _, what := range []string{
		"booked", "booked by the clinic", "overbooked", "held", "hold completed", "hold released", "hold renewed", "lapsed hold taken over",
		"requested", "request approved", "request declined", "lapsed request taken over", "rescheduled", "cancelled", "cancellation undone",
		"arrived", "arrival undone", "checked in", "fulfilled", "no-show", "reviewed", "displaced", "days opened", "schedule changed",
		"calendar changed", "day-off", "extra-hours", "changed-hours", "exception removed", "time blocked", "time unblocked",
		"patient registered", "child registered", "patients merged",
	} {
		require.Positive(t, w.report.Done[what], what)
	}
	for _, rule := range []string{"slot.taken", "policy.notice", "appointment.cancel-late"} {
		require.Positive(t, w.report.Refused[rule], rule)
	}
	for _, name := range []string{
		"appointment.lapsed", "appointment.held", "appointment.requested", "appointment.declined", "appointment.booked", "appointment.cancelled",
		"appointment.reverted", "slot.withdrawn", "schedule.clinic-adopted", "policy.set",
		"demand.refused",
	} {
		require.Positive(t, w.types[name], name)
	}
}
