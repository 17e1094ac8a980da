package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotbook/slotbook/adapters/bus"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/reactions"
)

// measuredStore measures appends on their way to a store.
type measuredStore struct {
	commands.Store
	latency prometheus.Histogram
	lost    prometheus.Counter
}

// measured wraps a store and registers its metrics.
func measured(s commands.Store, registry *prometheus.Registry) commands.Store {
	m := measuredStore{
		Store: s,
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "slotbook_append_seconds", Help: "How long an append took, refused ones included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "slotbook_lost_races_total", Help: "Appends that found their stream at another revision.",
		}),
	}
	registry.MustRegister(m.latency, m.lost)
	return m
}

// Append measures the store's.
func (m measuredStore) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	start := time.Now()
	position, err := m.Store.Append(ctx, writes...)
	m.latency.Observe(time.Since(start).Seconds())
	if errors.Is(err, commands.ErrWrongRevision) {
		m.lost.Inc()
	}
	return position, err
}

// dropped counts what the demand recorder could not store.
func dropped(d *commands.DemandRecorder) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "slotbook_demand_dropped_total", Help: "Refused holds, bookings and reschedules that were not recorded, for want of time.",
	}, func() float64 { return float64(d.Dropped()) })
}

// tried counts what became of deadlines.
func tried(registry *prometheus.Registry) func(kind, outcome string) {
	counted := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slotbook_deadlines_total", Help: "Tries at what was due: done, refused as there was nothing to do any more, or failed and tried again.",
	}, []string{"kind", "outcome"})
	registry.MustRegister(counted)
	for _, kind := range []string{appointment.DueLapse, appointment.DueNoShow} {
		for _, outcome := range []string{reactions.DeadlineDone, reactions.DeadlineRefused, reactions.DeadlineFailed} {
			counted.WithLabelValues(kind, outcome)
		}
	}
	return func(kind, outcome string) { counted.WithLabelValues(kind, outcome).Inc() }
}

// standings collects how the read models are doing, when it is asked.
type standings struct{ app *app }

var (
	ready        = prometheus.NewDesc("slotbook_ready", "1 when this process should get requests, as /readyz says it, else 0.", nil, nil)
	lagEvents    = prometheus.NewDesc("slotbook_projection_lag_events", "Events that a read model has not seen; absent where positions do not count events.", []string{"model"}, nil)
	lagSeconds   = prometheus.NewDesc("slotbook_projection_lag_seconds", "How long the oldest event has been waiting that a read model has not seen; 0 at the head.", []string{"model"}, nil)
	parked       = prometheus.NewDesc("slotbook_projection_parked", "What a read model could not fold: single rows, or whole streams.", []string{"model", "kind"}, nil)
	state        = prometheus.NewDesc("slotbook_projection_state", "1 for each state that a read model is in: kept by a process, paused, stopped in this process by a newer version's events, or in need of a rebuild.", []string{"model", "state"}, nil)
	rebuildLeft  = prometheus.NewDesc("slotbook_projection_rebuild_left_events", "Events that a rebuild beside the live tables has still to fold; absent when none has begun.", []string{"model"}, nil)
	rebuildGoing = prometheus.NewDesc("slotbook_projection_rebuild_running", "1 while a process works on a rebuild that has begun, 0 when none does; absent when none has begun.", []string{"model"}, nil)
)

// Describe names the metrics.
func (standings) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ready, lagEvents, lagSeconds, parked, state, rebuildLeft, rebuildGoing} {
		ch <- d
	}
}

// Collect asks the engine. While the database is away there is nothing to tell
// but that the process is not ready.
func (c standings) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	statuses, err := c.app.engine.Status(ctx)
	if err == nil {
		err = c.app.fit(ctx)
	}
	if err == nil {
		_, err = c.app.standing(statuses)
	}
	ch <- prometheus.MustNewConstMetric(ready, prometheus.GaugeValue, gauge(err == nil))
	for _, s := range statuses {
		collect(s, func(d *prometheus.Desc, v float64, labels ...string) {
			if (d == lagEvents || d == rebuildLeft) && !c.app.counted() {
				return
			}
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{s.Model}, labels...)...)
		})
	}
}

// collect tells how one read model is doing.
func collect(s engine.Status, tell func(d *prometheus.Desc, value float64, labels ...string)) {
	tell(lagEvents, float64(s.Behind))
	tell(lagSeconds, s.Lag.Seconds())
	tell(parked, float64(s.Parked-s.ParkedStreams), "row")
	tell(parked, float64(s.ParkedStreams), "stream")
	tell(state, gauge(s.Owner != ""), "kept")
	tell(state, gauge(!s.Paused.IsZero()), "paused")
	tell(state, gauge(s.Stopped != ""), "stopped")
	tell(state, gauge(s.Rebuild != ""), "rebuild")
	if next := s.Next; next != nil {
		tell(rebuildLeft, float64(max(s.Head, next.Position)-next.Position))
		tell(rebuildGoing, gauge(next.Running))
	}
}

// reactionStandings collects how the reactions are doing, when it is asked.
type reactionStandings struct {
	desk    bus.Desk
	counted bool // positions count events
}

var (
	reactionLag     = prometheus.NewDesc("slotbook_reaction_lag_events", "Positions between where a reaction is and the last event.", []string{"reaction"}, nil)
	reactionParked  = prometheus.NewDesc("slotbook_reaction_parked", "Events that a reaction could not handle, however often it tried.", []string{"reaction"}, nil)
	reactionRunning = prometheus.NewDesc("slotbook_reaction_running", "1 while a process runs a reaction, whichever, else 0.", []string{"reaction"}, nil)
)

// Describe names the metrics.
func (reactionStandings) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{reactionLag, reactionParked, reactionRunning} {
		ch <- d
	}
}

// Collect asks the database. While it is away there is nothing to tell.
func (c reactionStandings) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	all, _ := c.desk.List(ctx) // see above
	for _, s := range all {
		for d, value := range map[*prometheus.Desc]float64{
			reactionLag: float64(s.Head - min(s.Head, s.Position)), reactionParked: float64(s.Parked), reactionRunning: gauge(s.Owner != ""),
		} {
			if d == reactionLag && !c.counted {
				continue
			}
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, s.Name)
		}
	}
}

func gauge(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
