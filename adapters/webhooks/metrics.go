package webhooks

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotbook/slotbook/reactions"
)

// metrics count what this process has tried.
type metrics struct{ tries *prometheus.CounterVec }

// The outcomes of tries.
const (
	outcomeDelivered = "delivered"
	outcomeRetried   = "retried" // it failed, and is tried again
	outcomeFailed    = "failed"  // it was given up
	outcomeGone      = "gone"    // the receiver answered 410
	outcomeCancelled = "cancelled"
)

func newMetrics(registry prometheus.Registerer) metrics {
	tries := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slotbook_webhook_tries_total",
		Help: "What became of tries at deliveries to webhooks: delivered, retried later, failed for good, gone (the receiver answered 410), cancelled (the webhook is disabled).",
	}, []string{"outcome"})
	for _, outcome := range []string{outcomeDelivered, outcomeRetried, outcomeFailed, outcomeGone, outcomeCancelled} {
		tries.WithLabelValues(outcome)
	}
	if registry != nil {
		registry.MustRegister(tries)
	}
	return metrics{tries}
}

func (m metrics) tried(o outcome) {
	name := map[string]string{
		reactions.DeliveryDelivered: outcomeDelivered, reactions.DeliveryPending: outcomeRetried,
		reactions.DeliveryFailed: outcomeFailed, reactions.DeliveryCancelled: outcomeCancelled,
	}[o.status]
	if o.gone {
		name = outcomeGone
	}
	m.tries.WithLabelValues(name).Inc()
}

// standings collects how the webhooks are doing, when it is asked.
type standings struct{ hooks *Webhooks }

var (
	count   = prometheus.NewDesc("slotbook_webhooks", "Webhooks by state: enabled, or disabled by an operator or by a receiver that is gone.", []string{"state"}, nil)
	pending = prometheus.NewDesc("slotbook_webhook_pending", "Deliveries that are under way, or wait for another try.", nil, nil)
	oldest  = prometheus.NewDesc("slotbook_webhook_oldest_seconds", "How long ago the oldest delivery that is under way was first to be sent; 0 when none is.", nil, nil)
)

// Describe names the metrics.
func (standings) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{count, pending, oldest} {
		ch <- d
	}
}

// Collect asks the database. While it is away there is nothing to tell.
func (s standings) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var on, byOperator, gone, waiting, age float64
	now := s.hooks.config.Now()
	err := s.hooks.config.Pool.QueryRow(ctx, `
		select count(*) filter (where disabled_at is null), count(*) filter (where disabled_reason = $1), count(*) filter (where disabled_reason = $2),
			coalesce(sum(d.pending), 0), coalesce(extract(epoch from $3 - min(d.oldest)), 0)
		from slotbook.webhook w
		cross join lateral (
			select count(*) as pending, min(enqueued_at) as oldest
			from slotbook.webhook_delivery d
			where d.webhook = w.id and d.status = 'pending' and w.disabled_at is null
		) d`, reactions.DisabledByOperator, reactions.DisabledGone, now).Scan(&on, &byOperator, &gone, &waiting, &age)
	if err != nil {
		return
	}
	for state, n := range map[string]float64{"enabled": on, "disabled": byOperator, "gone": gone} {
		ch <- prometheus.MustNewConstMetric(count, prometheus.GaugeValue, n, state)
	}
	ch <- prometheus.MustNewConstMetric(pending, prometheus.GaugeValue, waiting)
	ch <- prometheus.MustNewConstMetric(oldest, prometheus.GaugeValue, max(0, age))
}
