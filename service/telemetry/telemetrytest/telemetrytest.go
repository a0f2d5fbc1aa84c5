// Package telemetrytest provides an OpenTelemetry collector for tests. It serves OTLP on loopback
// over gRPC and HTTP, and keeps all data that it receives.
package telemetrytest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	metricsservice "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	traceservice "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// timeout limits each wait for data. It is long enough for a busy machine.
const timeout = 30 * time.Second

// Collector keeps all data that it receives. It is safe for concurrent use.
type Collector struct {
	traceservice.UnimplementedTraceServiceServer

	// GRPC and HTTP are endpoints for OTEL_EXPORTER_OTLP_ENDPOINT.
	GRPC, HTTP string

	mu      sync.Mutex
	spans   []*traces.Span
	metrics map[string]*metrics.Metric
	text    string
	changed chan struct{} // closed when data arrives
}

// Start starts a collector, which runs until the test ends.
func Start(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{metrics: make(map[string]*metrics.Metric), changed: make(chan struct{})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	traceservice.RegisterTraceServiceServer(server, c)
	metricsservice.RegisterMetricsServiceServer(server, meters{c: c})
	go func() { _ = server.Serve(l) }() // until Stop
	t.Cleanup(server.Stop)
	c.GRPC = "http://" + l.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		receive(w, r, &traceservice.ExportTraceServiceRequest{}, c.Export)
	})
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, r *http.Request) {
		receive(w, r, &metricsservice.ExportMetricsServiceRequest{}, meters{c: c}.Export)
	})
	overHTTP := httptest.NewServer(mux)
	t.Cleanup(overHTTP.Close)
	c.HTTP = overHTTP.URL
	return c
}

// receive decodes a request over HTTP and exports it.
func receive[Q, A proto.Message](
	w http.ResponseWriter, r *http.Request, q Q, export func(context.Context, Q) (A, error),
) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = proto.Unmarshal(body, q)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = export(r.Context(), q) // never fails
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// Export implements OTLP's trace service.
func (c *Collector) Export(
	_ context.Context, r *traceservice.ExportTraceServiceRequest,
) (*traceservice.ExportTraceServiceResponse, error) {
	c.keep(r, func() {
		for _, resource := range r.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	})
	return &traceservice.ExportTraceServiceResponse{}, nil
}

type meters struct {
	metricsservice.UnimplementedMetricsServiceServer
	c *Collector
}

// Export implements OTLP's metrics service.
func (m meters) Export(
	_ context.Context, r *metricsservice.ExportMetricsServiceRequest,
) (*metricsservice.ExportMetricsServiceResponse, error) {
	m.c.keep(r, func() {
		for _, resource := range r.GetResourceMetrics() {
			for _, scope := range resource.GetScopeMetrics() {
				for _, metric := range scope.GetMetrics() {
					m.c.metrics[metric.GetName()] = metric
				}
			}
		}
	})
	return &metricsservice.ExportMetricsServiceResponse{}, nil
}

func (c *Collector) keep(request proto.Message, add func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text += prototext.Format(request)
	add()
	close(c.changed)
	c.changed = make(chan struct{})
}

// Text returns all received data as text, for tests to search.
func (c *Collector) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text
}

// Spans waits until at least this number of spans has arrived, and returns all spans.
func (c *Collector) Spans(t testing.TB, atLeast int) (all []*traces.Span) {
	t.Helper()
	c.await(t, "spans", func() bool { all = c.spans; return len(all) >= atLeast })
	return all
}

// Metric waits for the metric with this name and returns its latest value.
func (c *Collector) Metric(t testing.TB, name string) (m *metrics.Metric) {
	t.Helper()
	c.await(t, name, func() bool { m = c.metrics[name]; return m != nil })
	return m
}

func (c *Collector) await(t testing.TB, what string, found func() bool) {
	t.Helper()
	deadline := time.After(timeout)
	for {
		c.mu.Lock()
		ok, changed := found(), c.changed
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("timeout while waiting for %s; the collector has\n%s", what, c.Text())
		}
	}
}
