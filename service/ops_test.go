package service_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
)

// startWithAllStates returns a server whose configurations have secrets in each possible state.
func startWithAllStates(t *testing.T) *server {
	t.Helper()
	var c clock
	yaml := strings.Replace(configuration, "  - name: acme-both", "  - name: acme-both\n    max_stale: 10s", 1)
	s := start(t, settings{configuration: yaml, now: c.now})
	s.disableSecret(t, "sso/acme-off")
	s.Store.Put("sso/acme-customers", "shared_secret", []byte(nextSecret))
	if err := s.Store.Activate("sso/acme-customers", 1); err != nil {
		t.Fatal(err)
	}
	c.set(11 * time.Second)
	for path, fault := range map[string]error{
		"sso/acme-customers": nil,
		"sso/acme-staff":     errors.New("no route"),
		"sso/acme-both":      errors.New("no route"),
	} {
		s.Store.SetError(fault)
		_, _, err := s.Ring.Refresh(t.Context(), secrets.Ref{Path: path, Field: "shared_secret"})
		if (err != nil) != (fault != nil) {
			t.Fatal(err)
		}
	}
	s.Store.SetError(nil)
	return s
}

func TestReadyz(t *testing.T) {
	s := startWithAllStates(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Ops+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, body, err := roundTrip(r)
	if err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%v %v", res, err)
	}
	type state struct {
		State   string `json:"state"`
		Active  int    `json:"active_version"`
		Staged  int    `json:"staged_version"`
		Serial  int    `json:"serial"`
		Fault   string `json:"fault"`
		Success string `json:"last_success"`
	}
	var got struct {
		Ready          bool             `json:"ready"`
		Digest         string           `json:"configuration_digest"`
		Configurations map[string]state `json:"configurations"`
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if !got.Ready || len(got.Digest) != 64 {
		t.Errorf("ready %v, digest %q", got.Ready, got.Digest)
	}
	const first, later = "2026-03-14T15:09:26Z", "2026-03-14T15:09:37Z"
	want := map[string]state{
		"acme-customers": {State: "usable", Active: 1, Staged: 2, Serial: 1, Success: later},
		"acme-secluded":  {State: "usable", Active: 1, Staged: 2, Serial: 1, Success: later},
		"acme-staff":     {State: "stale", Active: 1, Success: first, Fault: "no route"},
		"acme-both":      {State: "unavailable", Active: 1, Success: first, Fault: "no route"},
		"acme-broken":    {State: "unusable", Active: 1, Fault: "too short"},
		"acme-gone":      {State: "unusable", Fault: "no such secret"},
		"acme-off":       {State: "disabled", Active: 1, Success: first},
	}
	for name, w := range want {
		g := got.Configurations[name]
		if !strings.Contains(g.Fault, w.Fault) || w.Fault == "" && g.Fault != "" {
			t.Errorf("%s: fault %q, want %q", name, g.Fault, w.Fault)
		}
		if g.Fault = w.Fault; g != w {
			t.Errorf("%s: %+v, want %+v", name, g, w)
		}
	}
	if len(got.Configurations) != len(want) {
		t.Errorf("%d configurations, want %d", len(got.Configurations), len(want))
	}
}

func TestMetrics(t *testing.T) {
	s := startWithAllStates(t)
	eachTransport(t, func(t *testing.T, tr transport) {
		mint(t, s, tr, call{body: user("")})
		tr.send(t.Context(), t, s, call{method: "MintToken", body: user("") + `,"brandId":"` + inputMarker + `"`})
		tr.send(t.Context(), t, s, call{method: "MintToken", keys: []string{"dmk_other"}, body: user("")})
		tr.send(t.Context(), t, s, call{
			method: "RenderPage", body: user(`,"organizations":[""]`) + `,"onError":"ON_ERROR_PAGE"`,
		})
		tr.send(t.Context(), t, s, call{method: "MintToken", name: inputMarker})
	})
	s.sendRaw(t, rawRequest("GET", "/"+inputMarker, "")) // an unknown path counts, without its text
	text := s.ops(t, "/metrics")
	for _, line := range []string{
		`deskmint_requests_total{code="OK",method="MintToken",reason="",transport="grpc"} 1`,
		`deskmint_requests_total{code="OK",method="MintToken",reason="",transport="http"} 1`,
		`deskmint_requests_total{code="PermissionDenied",method="MintToken",` +
			`reason="BRAND_NOT_ALLOWED",transport="http"} 1`,
		`deskmint_requests_total{code="Unauthenticated",method="MintToken",` +
			`reason="CALLER_UNAUTHENTICATED",transport="grpc"} 1`,
		// The answers to these two are pages.
		`deskmint_requests_total{code="InvalidArgument",method="RenderPage",reason="INVALID_FIELD",transport="grpc"} 1`,
		`deskmint_requests_total{code="InvalidArgument",method="RenderPage",reason="INVALID_FIELD",transport="http"} 1`,
		`deskmint_request_duration_seconds_count{method="MintToken",transport="http"} 3`, // without the stranger's
		`deskmint_request_duration_seconds_bucket{method="MintToken",transport="http",le="15"} 3`,
		`deskmint_secret_refresh_interval_seconds 10`,
		`deskmint_secret_usable{configuration="acme-customers"} 1`,
		`deskmint_secret_usable{configuration="acme-staff"} 1`,
		`deskmint_secret_usable{configuration="acme-both"} 0`,
		`deskmint_secret_usable{configuration="acme-broken"} 0`,
		`deskmint_secret_usable{configuration="acme-off"} 0`,
		`deskmint_ready 1`,
		`deskmint_secret_disabled{configuration="acme-customers"} 0`,
		`deskmint_secret_disabled{configuration="acme-broken"} 0`,
		`deskmint_secret_disabled{configuration="acme-off"} 1`,
		`deskmint_secret_fault{configuration="acme-customers"} 0`,
		`deskmint_secret_fault{configuration="acme-staff"} 0`,
		`deskmint_secret_fault{configuration="acme-both"} 0`,
		`deskmint_secret_fault{configuration="acme-broken"} 1`,
		`deskmint_secret_fault{configuration="acme-gone"} 1`,
		`deskmint_secret_fault{configuration="acme-off"} 0`,
		`deskmint_secret_active_version{configuration="acme-customers"} 1`,
		`deskmint_secret_active_version{configuration="acme-gone"} 0`,
		`deskmint_secret_staged_version{configuration="acme-customers"} 2`,
		`deskmint_secret_staged_version{configuration="acme-staff"} 0`,
		`deskmint_secret_serial{configuration="acme-customers"} 1`,
		`deskmint_secret_last_success_timestamp_seconds{configuration="acme-customers"} 1.773500977535e+09`,
		`deskmint_secret_last_success_timestamp_seconds{configuration="acme-staff"} 1.773500966535e+09`,
		`deskmint_secret_refreshes_total{result="away"} 2`,
		`deskmint_decisions_total{configuration="acme-customers",reason=""} 2`,
		`deskmint_decisions_total{configuration="acme-customers",reason="BRAND_NOT_ALLOWED"} 2`,
		`deskmint_decisions_total{configuration="",reason="CALLER_UNAUTHENTICATED"} 3`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Contains(text, inputMarker) {
		t.Error("a value of a request is in the metrics")
	}
	const target = `deskmint_request_duration_seconds_bucket{method="MintToken",transport="http",le="0.1"} `
	if !strings.Contains(text, target) {
		t.Error("the alert rule on slow sign-ins has no bucket")
	}
	if !strings.Contains(text, "go_goroutines") ||
		strings.Contains(text, `deskmint_secret_last_success_timestamp_seconds{configuration="acme-gone"}`) {
		t.Errorf("metrics\n%s", text)
	}
}

// TestMetricsOfFaults checks the metrics of a replica whose held key goes on signing: after a new
// value that is unusable, and after a return to the old value while that one is staged.
func TestMetricsOfFaults(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	ref := secrets.Ref{Path: "sso/acme-customers", Field: "shared_secret"}
	check := func(fault, alarm int) {
		t.Helper()
		if _, _, err := s.Ring.Refresh(t.Context(), ref); (err != nil) != (fault == 1) {
			t.Fatalf("the refresh returns %v", err)
		}
		text := s.ops(t, "/metrics")
		for _, line := range []string{
			`deskmint_secret_usable{configuration="acme-customers"} 1`,
			fmt.Sprintf(`deskmint_secret_fault{configuration="acme-customers"} %d`, fault),
			fmt.Sprintf(`deskmint_secret_alarm{configuration="acme-customers"} %d`, alarm),
		} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("no line %s", line)
			}
		}
	}
	check(0, 0)
	s.Store.Put(ref.Path, ref.Field, []byte("MARKER-too-short")) // the newest version signs
	check(1, 0)
	if err := s.Store.Activate(ref.Path, 1); err != nil {
		t.Fatal(err)
	}
	check(0, 1)
	if err := s.Store.Delete(ref.Path, 2); err != nil {
		t.Fatal(err)
	}
	check(0, 0)
}

func TestHealth(t *testing.T) {
	s := startWithAllStates(t)
	if got := s.ops(t, "/healthz"); got != "ok\n" {
		t.Errorf("/healthz returns %q", got)
	}
	conn := dial(t, strings.TrimPrefix(s.Ops, "http://")) // plaintext HTTP/2 on the same port
	defer conn.Close()
	health := healthpb.NewHealthClient(conn)
	const up, down = healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING
	states := map[string]healthpb.HealthCheckResponse_ServingStatus{
		"": up, "acme-customers": up, "configurations/acme-customers": up, "acme-staff": up, "acme-secluded": up,
		"acme-both": down, "acme-broken": down, "acme-gone": down, "acme-off": down,
	}
	for _, name := range slices.Sorted(maps.Keys(states)) {
		r, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if err != nil || r.GetStatus() != states[name] {
			t.Errorf("%q: %v %v, want %v", name, r.GetStatus(), err, states[name])
		}
	}
	for _, name := range []string{"acme-nowhere", inputMarker, "deskmint.v1.TokenService"} {
		_, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if status.Code(err) != codes.NotFound || strings.Contains(err.Error(), inputMarker) {
			t.Errorf("%q: %v", name, err)
		}
	}
	_, err := pb.NewTokenServiceClient(conn).MintToken(t.Context(), &pb.MintTokenRequest{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("the API on the ops listener: %v", err)
	}
	_, err = pb.NewConfigurationServiceClient(conn).ListConfigurations(t.Context(), &pb.ListConfigurationsRequest{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("the API on the ops listener: %v", err)
	}
}

// TestOpsPaths checks that the ops listener has four paths and doesn't serve the API.
func TestOpsPaths(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for _, c := range []struct {
		method, path string
		code         int
	}{
		{"GET", "/healthz", 200},
		{"HEAD", "/healthz", 200},
		{"GET", "/readyz", 200},
		{"GET", "/metrics", 200},
		{"POST", "/readyz", 405},
		{"DELETE", "/metrics", 405},
		{"GET", "/", 200},
		{"HEAD", "/", 200},
		{"POST", "/", 405},
		{"GET", "/status", 404},
		{"GET", "/index.html", 404},
		{"GET", "/v1/configurations", 404},
		{"POST", mintPath, 404},
		{"GET", "/debug/pprof/", 404},
		{"GET", "/debug/vars", 404},
		{"OPTIONS", "*", 405},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, s.Ops+strings.TrimPrefix(c.path, "*"),
			strings.NewReader(`{"user":{`+ana+`}}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer dmk_everything")
		r.Header.Set("Content-Type", "application/json")
		if res, body, err := roundTrip(r); err != nil || res.StatusCode != c.code {
			t.Errorf("%s %s: %v %v %s, want %d", c.method, c.path, res, err, body, c.code)
		}
	}
	if got := s.Audit.String(); got != "" {
		t.Errorf("the audit log has %s", got)
	}
	// The REST gateway doesn't serve gRPC, and the gRPC server doesn't serve REST.
	conn := dial(t, strings.TrimPrefix(s.URL, "http://"))
	defer conn.Close()
	_, err := pb.NewTokenServiceClient(conn).MintToken(t.Context(), &pb.MintTokenRequest{}, grpc.WaitForReady(false))
	if status.Code(err) != codes.Unavailable {
		t.Errorf("gRPC at the REST gateway: %v", err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		"http://"+s.listeners[0].Addr().String()+"/v1/configurations", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, _, err := roundTrip(r); err == nil {
		t.Errorf("REST at the gRPC server: %v", res)
	}
}
