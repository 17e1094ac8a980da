package bus

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What becomes of an event in the end.
const (
	outcomeDone   = "done"
	outcomeParked = "parked"
)

// metrics are those of a router.
type metrics struct {
	latency *prometheus.HistogramVec
	retries *prometheus.CounterVec
	events  *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) metrics {
	m := metrics{
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "slotbook_reaction_latency_seconds", Help: "How long after it was recorded an event came to a reaction.",
			Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600},
		}, []string{"reaction"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slotbook_reaction_retries_total", Help: "Tries at events that had failed before.",
		}, []string{"reaction"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slotbook_reactions_total", Help: "Events that a reaction is through with: done, or parked after many tries.",
		}, []string{"reaction", "outcome"}),
	}
	if registry != nil {
		registry.MustRegister(m.latency, m.retries, m.events)
	}
	return m
}

// begin has a consumer's metrics there before anything happens.
func (m metrics) begin(consumer string) {
	m.latency.WithLabelValues(consumer)
	m.retries.WithLabelValues(consumer)
	for _, outcome := range []string{outcomeDone, outcomeParked} {
		m.events.WithLabelValues(consumer, outcome)
	}
}

func (m metrics) arrived(consumer string, after time.Duration) {
	m.latency.WithLabelValues(consumer).Observe(max(0, after).Seconds()) // the store's clock may be ahead
}

func (m metrics) retried(consumer string) { m.retries.WithLabelValues(consumer).Inc() }

func (m metrics) settled(consumer, outcome string) {
	m.events.WithLabelValues(consumer, outcome).Inc()
}
