package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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

// lag collects how far each read model is behind, when it is asked.
type lag struct{ engine *engine.Engine }

var (
	lagEvents  = prometheus.NewDesc("slotbook_projection_lag_events", "Events that a read model has not seen.", []string{"model"}, nil)
	lagSeconds = prometheus.NewDesc("slotbook_projection_lag_seconds", "Age of the last event that a read model has seen; 0 at the head.", []string{"model"}, nil)
	parked     = prometheus.NewDesc("slotbook_projection_parked", "Rows and streams that could not be folded.", []string{"model"}, nil)
)

// Describe names the metrics.
func (lag) Describe(ch chan<- *prometheus.Desc) {
	ch <- lagEvents
	ch <- lagSeconds
	ch <- parked
}

// Collect asks the engine. While the database is away there is nothing to tell.
func (l lag) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	statuses, err := l.engine.Status(ctx)
	if err != nil {
		return
	}
	for _, s := range statuses {
		ch <- prometheus.MustNewConstMetric(lagEvents, prometheus.GaugeValue, float64(s.Behind), s.Model)
		ch <- prometheus.MustNewConstMetric(lagSeconds, prometheus.GaugeValue, s.Lag.Seconds(), s.Model)
		ch <- prometheus.MustNewConstMetric(parked, prometheus.GaugeValue, float64(s.Parked), s.Model)
	}
}
