package projections_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

// history is a log of decoded events: what remains is the engine's own work.
type history []domain.Recorded

func (h history) ReadAll(_ context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error) {
	p := domain.Page{Next: after}
	for i := int(after); i < len(h) && len(p.Events) < limit; i++ { //nolint:gosec // small
		if len(f.Categories) == 0 || f.Wants(h[i].Stream, h[i].Event.EventType()) {
			p.Events = append(p.Events, h[i])
		}
		p.Next = domain.Position(i + 1)
	}
	return p, nil
}

func (h history) Head(context.Context) (domain.Position, error) { return domain.Position(len(h)), nil }

func (h history) Wait(ctx context.Context, _ domain.Position) error {
	<-ctx.Done()
	return ctx.Err()
}

func uuid(kind string, n int) string { return domain.NewID(kind, fmt.Sprint(n)) }

// bookings is a history in which each of so many slots is booked once.
func bookings(slots int) history {
	var h history
	add := func(stream domain.StreamName, e domain.Event) {
		h = append(h, domain.Recorded{
			Stream: stream, Position: domain.Position(len(h) + 1), RecordedAt: projectionstest.RecordedAt(), Event: e,
		})
	}
	const perDay = 20
	for n := range slots / perDay {
		doctor, on := domain.PractitionerID(uuid("practitioner", n%100)), domain.Day("2026-03-02").Add(n/100)
		opened := schedule.DayOpened{Practitioner: doctor, Day: on}
		for i := range perDay {
			start := on.Start().Add(8*time.Hour + time.Duration(i)*20*time.Minute)
			opened.Slots = append(opened.Slots, schedule.Slot{
				ID: schedule.SlotID(doctor, on, i), Clinic: centre, Capacity: 1, Period: domain.Period{Start: start, End: start.Add(20 * time.Minute)},
			})
		}
		add(schedule.DayStream(doctor, on), opened)
		who := domain.PatientID(uuid("patient", n))
		box := domain.Sealed{Person: string(who), Box: "name/" + uuid("event", n) + "/patient-" + string(who) + "/c2VhbGVkIHRleHQgb2YgdGhlIG5hbWU"}
		add(patient.Stream(who), patient.Registered{Patient: who, Name: box, Email: box, Phone: box})
		for i, s := range opened.Slots {
			v := appointment.Visit{
				Appointment: domain.AppointmentID(uuid("appointment", n*perDay+i)), Patient: who, Practitioner: doctor, Clinic: centre,
				Slots: []domain.SlotID{s.ID}, Period: s.Period,
			}
			owner := appointment.Stream(v.Appointment)
			add(owner, appointment.WasProposed{Visit: v, Set: 1, Deadline: s.Start, Reason: box})
			add(owner, appointment.WasBooked{Visit: v, Set: 1})
			c := claim.Claim{Owner: owner, Set: 1}
			add(occupancy.Patient(who).Stream(on), occupancy.Booked{})
			add(slot.Stream(s.ID), slot.Booked{
				Terms:  slot.Terms{Slot: s.ID, Practitioner: doctor, Clinic: centre, Period: s.Period},
				Holder: slot.Holder{Claim: c, Appointment: v.Appointment, Patient: who}, Places: 1,
			})
		}
	}
	return h
}

// BenchmarkLive measures what the read models cost while bookings come in
// steadily: the processor time of this process and of its connections'
// backends in PostgreSQL, and how far the models lie behind.
func BenchmarkLive(b *testing.B) {
	const rate, seconds = 18_000, 8
	h, before := opened(bookings(rate * seconds / 4))
	open := func(domain.Sealed) string { return "pat avila 5550100" }
	for b.Loop() {
		pool := projectionstest.Pool(b)
		c := engine.Config{Pool: pool, Log: h[:before], Models: projections.All(open, nil), Owner: "bench", Now: time.Now}
		first := engine.New(c)
		require.NoError(b, first.Prepare(b.Context()))
		require.NoError(b, first.CatchUp(b.Context()))
		_, err := pool.Exec(b.Context(), "vacuum analyze")
		require.NoError(b, err)
		c.Log = &flow{history: h, rate: rate, before: before, began: time.Now()}
		e := engine.New(c) // it has no row in memory, as after a start
		ctx, stop := context.WithTimeout(b.Context(), seconds*time.Second)
		ours, ended := ownTime(b), make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		var lags []uint64
		for ctx.Err() == nil {
			statuses, err := e.Status(b.Context())
			require.NoError(b, err)
			lags = append(lags, statuses[0].Behind, statuses[1].Behind)
			time.Sleep(20 * time.Millisecond)
		}
		server := backendTime(b, pool)
		stop()
		require.NoError(b, <-ended)
		slices.Sort(lags)
		var transactions float64
		require.NoError(b, pool.QueryRow(b.Context(), "select xact_commit from pg_stat_database where datname = current_database()").Scan(&transactions))
		b.ReportMetric((ownTime(b)-ours).Seconds()/seconds, "own-cores")
		b.ReportMetric(server.Seconds()/seconds, "postgres-cores")
		b.ReportMetric(float64(lags[len(lags)/2])/rate, "lag-median-s")
		b.ReportMetric(float64(lags[len(lags)*99/100])/rate, "lag-p99-s")
		var hot float64
		require.NoError(b, pool.QueryRow(b.Context(), "select coalesce(sum(n_tup_hot_upd)::float / nullif(sum(n_tup_upd), 0), 0) from pg_stat_user_tables where relname = 'slot'").Scan(&hot))
		b.ReportMetric(hot, "hot")
		b.ReportMetric(transactions/seconds, "transactions/s")
	}
}

// opened returns the history with its days and patients before its bookings,
// and how many they are. Bookings go through the days in no order.
func opened(h history) (history, int) {
	var before, visits history
	for _, r := range h {
		switch r.Event.(type) {
		case schedule.DayOpened, patient.Registered:
			before = append(before, r)
		default:
			visits = append(visits, r)
		}
	}
	const each = 4                                                           // events of a booking
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(len(visits) / each) { //nolint:gosec // the same order each time
		before = append(before, visits[each*i:each*i+each]...)
	}
	for i := range before {
		before[i].Position = domain.Position(i + 1)
	}
	return before, len(before) - len(visits)
}

// flow is a history that happens at a rate.
type flow struct {
	history
	before int // events that have happened when it begins
	rate   int // events a second
	began  time.Time
}

func (f *flow) happened() history {
	return f.history[:min(len(f.history), f.before+int(time.Since(f.began).Seconds()*float64(f.rate)))]
}

func (f *flow) ReadAll(ctx context.Context, after domain.Position, filter domain.Filter, limit int) (domain.Page, error) {
	return f.happened().ReadAll(ctx, after, filter, limit)
}

func (f *flow) Head(ctx context.Context) (domain.Position, error) { return f.happened().Head(ctx) }

func (f *flow) Wait(ctx context.Context, after domain.Position) error {
	for domain.Position(len(f.happened())) <= after {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

func ownTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// backendTime returns the processor time of the backends of the database, 0
// where /proc does not tell.
func backendTime(b *testing.B, pool *pgxpool.Pool) time.Duration {
	b.Helper()
	rows, _ := pool.Query(b.Context(), "select pid from pg_stat_activity where datname = current_database()")
	backends, err := pgx.CollectRows(rows, pgx.RowTo[int])
	require.NoError(b, err)
	const tick = 10 * time.Millisecond
	var used time.Duration
	for _, pid := range backends {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for _, f := range fields[11:13] {
			ticks, err := strconv.Atoi(f)
			require.NoError(b, err)
			used += time.Duration(ticks) * tick
		}
	}
	return used
}
