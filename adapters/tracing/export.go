package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// Exporter returns what sends spans to a receiver of OTLP over HTTP. The endpoint
// is its base address, such as http://127.0.0.1:4318, to which /v1/traces is
// added. It connects to nobody yet. Headers, certificates and time-outs come
// from the environment (OTEL_EXPORTER_OTLP_HEADERS and so on, see the
// specification of the OpenTelemetry Protocol Exporter).
func Exporter(ctx context.Context, endpoint string) (sdk.SpanExporter, error) {
	address, err := address(endpoint)
	if err != nil {
		return nil, err
	}
	return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(address))
}

// ErrEndpoint says that an endpoint is no base address of a receiver.
var ErrEndpoint = errors.New("it is no address such as http://127.0.0.1:4318 or https://collector.example/otlp")

// Check returns [ErrEndpoint] for what cannot be an endpoint.
func Check(endpoint string) error {
	_, err := address(endpoint)
	return err
}

// address returns where spans are sent for an endpoint.
func address(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", ErrEndpoint // without what it is: there may be a password in it
	}
	const traces = "/v1/traces"
	return strings.TrimSuffix(strings.TrimRight(endpoint, "/"), traces) + traces, nil
}

// Process is what the spans say of the process that they are from.
type Process struct {
	Version  string
	Instance string // unique among processes
}

// Provider returns what hands out tracers whose spans the exporter gets, in
// batches. Which traces are taken is by default whatever the request says, and
// all of those that begin here; OTEL_TRACES_SAMPLER says otherwise. The caller
// shuts it down.
func Provider(ctx context.Context, exporter sdk.SpanExporter, p Process) (*sdk.TracerProvider, error) {
	about, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "slotbook"), attribute.String("service.version", p.Version), attribute.String("service.instance.id", p.Instance),
	), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about)), nil
}
