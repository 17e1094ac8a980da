package main

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/slotbook/slotbook/adapters/tracing"
)

// flushTime is how long the last spans may take to be sent when the process ends.
const flushTime = 3 * time.Second

// sendTraces returns what makes the spans that are sent to an endpoint, and what
// sends the last of them; without an endpoint there are none.
func sendTraces(ctx context.Context, endpoint string, logger *slog.Logger) (*tracing.Decorator, func(), error) {
	if endpoint == "" {
		return nil, func() {}, nil
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("spans not sent", "error", err) }))
	exporter, err := tracing.Exporter(ctx, endpoint)
	if err != nil {
		return nil, nil, err
	}
	provider, err := tracing.Provider(ctx, exporter, tracing.Process{Version: version(), Instance: owner()})
	if err != nil {
		return nil, nil, usageError{err}
	}
	return decorator(provider), func() {
		ending, done := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
		defer done()
		if err := provider.Shutdown(ending); err != nil {
			logger.Warn("the last spans were not sent", "error", err)
		}
	}, nil
}

func decorator(provider *trace.TracerProvider) *tracing.Decorator {
	return &tracing.Decorator{Tracer: provider.Tracer("github.com/slotbook/slotbook")}
}
