package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"regexp"
	"strings"
	"testing"

	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/metadata"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/telemetry/telemetrytest"
)

const (
	traceOfGRPC = "0af7651916cd43dd8448eb211c80319c"
	traceOfHTTP = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent      = "b7ad6b7169203331"
)

// setCollector makes services send telemetry to a collector, without delay.
func setCollector(t *testing.T, endpoint, protocol string) {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
}

// mintTraced mints through each transport as part of a trace, with baggage that must not be
// forwarded.
func mintTraced(t *testing.T, d *deskmint, key string) {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(withKey(t.Context(), key),
		"traceparent", "00-"+traceOfGRPC+"-"+parent+"-01", "baggage", "card=MARKER-baggage")
	if _, err := pb.NewTokenServiceClient(d.dial(t)).MintToken(ctx, anaRequest("acme-customers")); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://"+d.http+"/v1/configurations/acme-customers:mintToken", strings.NewReader(anaJSON))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Traceparent", "00-"+traceOfHTTP+"-"+parent+"-01")
	r.Header.Set("Baggage", "card=MARKER-baggage")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if a := readAnswer(t, response); a.token == "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

func attributesOf(s *traces.Span) map[string]string {
	all := make(map[string]string)
	for _, a := range s.GetAttributes() {
		all[a.GetKey()] = a.GetValue().GetStringValue()
	}
	return all
}

// TestTelemetry checks that a call through each transport continues the trace of its caller. The
// spans differ only in the transport. The record and the metrics name the trace. No personal data
// is sent to the collector.
func TestTelemetry(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(path.Base(protocol), func(t *testing.T) {
			c := telemetrytest.Start(t)
			endpoint := c.HTTP
			if protocol == "grpc" {
				endpoint = c.GRPC
			}
			setCollector(t, endpoint, protocol)
			config, _, key := files(t)
			d := serve(t, config)
			mintTraced(t, d, key)
			// A call of an unknown method is reported, but without the name that the client sent.
			_ = d.dial(t).Invoke(withKey(t.Context(), key), "/deskmint.v1.TokenService/MARKER-method",
				anaRequest("acme-customers"),
				&pb.MintTokenResponse{})
			d.post(t, key, "/v1/configurations/MARKER-name:mintToken", anaJSON)
			d.post(t, "dmk_stranger_0123456789", "/v1/configurations/acme-customers:mintToken", anaJSON)

			transports := map[string]string{}
			for _, s := range c.Spans(t, 4) {
				a := attributesOf(s)
				if s.GetName() != "deskmint.v1.TokenService/MintToken" || s.GetKind() != traces.Span_SPAN_KIND_SERVER ||
					len(s.GetEvents()) > 0 {
					t.Errorf("a span is %v", s)
				}
				for _, unbounded := range []string{
					"client.address", "network.peer.address", "client.port", "network.peer.port",
				} {
					if a[unbounded] != "" {
						t.Errorf("%s is %s", unbounded, a[unbounded])
					}
				}
				if hex.EncodeToString(s.GetParentSpanId()) != parent {
					continue
				}
				transports[a["deskmint.transport"]] = hex.EncodeToString(s.GetTraceId())
				if a["deskmint.configuration"] != "acme-customers" || a["deskmint.decision"] != "allow" ||
					a["deskmint.caller"] != "storefront" || a["rpc.response.status_code"] != "OK" {
					t.Errorf("a span has %v", a)
				}
			}
			if transports["grpc"] != traceOfGRPC || transports["http"] != traceOfHTTP || len(transports) != 2 {
				t.Errorf("traces by transport: %v", transports)
			}
			c.Metric(t, "rpc.server.call.duration")
			c.Metric(t, "deskmint_decisions_total")
			c.Metric(t, "deskmint_secret_usable")
			for _, id := range []string{traceOfGRPC, traceOfHTTP} {
				if !strings.Contains(d.out.String(), `"trace_id":"`+id+`"`) {
					t.Errorf("no record names the trace %s:\n%s", id, &d.out)
				}
			}
			if err := d.end(); err != nil {
				t.Error(err)
			}
			checkShown(t, false, c.Text(), customersSecret, key, tokenStart, "ana@customer.example", "dmk_", "MARKER")
			checkShown(t, true, c.Text(), "acme-customers") // otherwise the checks above prove nothing
		})
	}
}

// TestTelemetryIsFlushed checks that a request right before the end of the service is reported.
func TestTelemetryIsFlushed(t *testing.T) {
	c := telemetrytest.Start(t)
	setCollector(t, c.GRPC, "grpc")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
	config, _, key := files(t)
	d := serve(t, config)
	mintTraced(t, d, key)
	if got := c.Text(); got != "" {
		t.Fatalf("sent too early:\n%s", got)
	}
	if err := d.end(); err != nil {
		t.Error(err)
	}
	c.Spans(t, 2)
	c.Metric(t, "deskmint_requests_total")
}

// TestCollectorUnavailable checks a collector that refuses connections, and one that never
// responds. Requests are not delayed. The shutdown takes at most a few seconds more. The log
// reports it once.
func TestCollectorUnavailable(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for name, address := range map[string]string{"gone": gone.Addr().String(), "silent": silent.Addr().String()} {
		for _, protocol := range []string{"grpc", "http/protobuf"} {
			t.Run(name+" "+path.Base(protocol), func(t *testing.T) {
				setCollector(t, "http://"+address, protocol)
				t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "200")
				t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "500")
				t.Setenv("OTEL_METRIC_EXPORT_TIMEOUT", "500")
				t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
				t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
				config, _, key := files(t)
				d := serve(t, config)
				const told = "the telemetry collector doesn't accept data"
				for range 20 { // more than the test waits for
					mintTraced(t, d, key)
				}
				if text, ok := d.err.await(told, d.ended); !ok {
					t.Fatalf("not logged:\n%s", text)
				}
				const dropped = "deskmint_telemetry_spans_dropped_total"
				eventually(t, func() error {
					full := d.metric(t, dropped+`{reason="queue_full"}`)
					failed := d.metric(t, dropped+`{reason="export_failed"}`)
					if full+failed == 0 {
						return errors.New("the metrics don't count the dropped spans")
					}
					return nil
				})
				if text, ok := d.err.await("spans were dropped", d.ended); !ok {
					t.Errorf("the log doesn't have the dropped spans:\n%s", text)
				}
				mintTraced(t, d, key)
				if err := d.end(); err != nil { // the shutdown doesn't wait for the collector
					t.Error(err)
				}
				if n := strings.Count(d.err.String(), told); n > 2 {
					t.Errorf("logged %d times, want once for each signal:\n%s", n, &d.err)
				}
				d.checkNoSecrets(t, customersSecret, key)
			})
		}
	}
}

// TestTelemetryMisconfigured checks that an error names the environment variable, and doesn't
// contain its value.
func TestTelemetryMisconfigured(t *testing.T) {
	config, _, _ := files(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "Bearer MARKER-of-the-collector")
	t.Setenv("OTEL_TRACES_SAMPLER", "most")
	_, stderr, err := invoke(t, "", serveArgs(config)...)
	if err == nil {
		t.Fatal("it starts")
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_TRACES_SAMPLER"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v: doesn't name %s", err, name)
		}
	}
	checkShown(t, false, err.Error()+stderr, "MARKER")
}

// TestExemplars checks that an OpenMetrics response has the trace of a request as an exemplar of
// its duration, unless the trace is not sampled.
func TestExemplars(t *testing.T) {
	for sampler, want := range map[string]bool{"always_on": true, "always_off": false} {
		t.Run(sampler, func(t *testing.T) {
			c := telemetrytest.Start(t)
			setCollector(t, c.GRPC, "grpc")
			t.Setenv("OTEL_TRACES_SAMPLER", sampler)
			config, _, key := files(t)
			d := serve(t, config)
			mintTraced(t, d, key)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.ops+"/metrics", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0; charset=utf-8")
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil || !strings.HasPrefix(response.Header.Get("Content-Type"), "application/openmetrics-text") {
				t.Fatalf("%v %v", response.Header, err)
			}
			for transport, id := range map[string]string{"grpc": traceOfGRPC, "http": traceOfHTTP} {
				line := regexp.MustCompile(fmt.Sprintf(`deskmint_request_duration_seconds_bucket`+
					`\{method="MintToken",transport=%q,le="[^"]+"\} 1 # \{trace_id=%q\} `, transport, id))
				if line.Match(text) != want {
					t.Errorf("an exemplar of the transport %s: %v, want %v\n%s", transport, !want, want, text)
				}
			}
		})
	}
}

// TestLogFormats checks both formats of the log. Both have the request id and the trace.
func TestLogFormats(t *testing.T) {
	c := telemetrytest.Start(t)
	setCollector(t, c.GRPC, "grpc")
	for format, want := range map[string]string{
		"json": `"trace_id":"` + traceOfGRPC + `"`,
		"text": " trace_id=" + traceOfGRPC,
	} {
		t.Run(format, func(t *testing.T) {
			config, secrets, key := files(t)
			d := serve(t, config, "--log-format", format, "--log-level", "warn")
			r := metadata.AppendToOutgoingContext(withKey(t.Context(), key), "traceparent",
				"00-"+traceOfGRPC+"-"+parent+"-01")
			write(t, secrets, "secrets: {}\n")
			client := pb.NewTokenServiceClient(d.dial(t))
			eventually(t, func() error {
				if _, err := client.MintToken(r, anaRequest("acme-customers")); reasonOf(err) != "SECRET_UNUSABLE" {
					return fmt.Errorf("the response is %w", err)
				}
				return nil
			})
			text, ok := d.err.await(want, d.ended)
			if !ok || !strings.Contains(text, "request_id") {
				t.Errorf("the log doesn't name the trace and the request:\n%s", text)
			}
			for line := range strings.Lines(text) {
				if json.Valid([]byte(line)) != (format == "json") || strings.Contains(line, "INFO") {
					t.Errorf("not a log line: %s", line)
				}
			}
		})
	}
}
