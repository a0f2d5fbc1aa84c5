package service_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service"
)

// A request that is under way when the end comes is answered; by then nobody new is let in, and
// probes have been told before either.
func TestShutdownFinishesRequests(t *testing.T) {
	var hook hookedSecrets
	s := start(t, settings{configuration: configuration, secrets: hook.wrap, grace: waitTimeout})
	mint(t, s, transport{"grpc", sendGRPC}, call{body: user("")}) // the transports are open
	told := make(chan string, 2)
	for _, l := range s.listeners[:2] {
		// Still open at this moment, and not ready any more.
		l.onClose = func() { told <- s.ops(t, "/readyz") }
	}
	entered, release := hook.blockGets(t)
	answers := make(chan reply, 4)
	for _, tr := range []transport{{"grpc", sendGRPC}, {"http", sendHTTP}} {
		for _, method := range []string{"MintToken", "RenderForm"} {
			go func() {
				answers <- tr.send(context.WithoutCancel(t.Context()), t, s, call{method: method, body: user("")})
			}()
		}
	}
	for range 4 {
		<-entered
	}
	// /readyz checks the secrets as well, and must not be held.
	hook.setOnGet(nil)
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	for range 2 {
		if body := <-told; !strings.Contains(body, `"ready":false`) {
			t.Errorf("a transport was closed before readiness said so: %s", body)
		}
	}
	for _, l := range s.listeners[:2] {
		<-l.closed
		if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
			_ = conn.Close()
			t.Errorf("%s takes connections after its end", l.Addr())
		}
	}
	select {
	case err := <-stopped:
		t.Fatalf("Serve returned %v with requests in flight", err)
	default:
	}
	release()
	for range 4 {
		if r := <-answers; r.code != codes.OK {
			t.Errorf("a request in flight was answered with %v %s %q", r.code, r.reason, r.answer.message)
		}
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve returned %v", err)
	}
	if n := len(records(t, s)); n != 5 {
		t.Errorf("%d records, want 5", n)
	}
	<-s.listeners[2].closed
}

// Grace ends: what doesn't finish is cut off, at both transports, and the log says so.
func TestGraceIsBounded(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		var hook hookedSecrets
		s := start(t, settings{configuration: configuration, secrets: hook.wrap, grace: 50 * time.Millisecond})
		entered, release := hook.blockGets(t)
		answered := make(chan reply, 1)
		go func() { answered <- tr.send(t.Context(), t, s, call{method: "MintToken", body: user("")}) }()
		<-entered
		stopped := make(chan error, 1)
		go func() { stopped <- s.stop() }()
		select {
		case err := <-stopped:
			if err != nil {
				t.Errorf("Serve returned %v", err)
			}
		case <-time.After(waitTimeout / 2):
			t.Fatal("it waits for a request that doesn't end")
		}
		if r := <-answered; r.code != codes.Unavailable {
			t.Errorf("what was cut off was answered with %v", r.code)
		}
		if !strings.Contains(s.Log.String(), "cut off") {
			t.Errorf("the log doesn't say so: %s", s.Log)
		}
		release()
	})
}

// While it drains, the service still answers, and says that it is going away. A watcher is told,
// and doesn't keep it from going.
func TestDrain(t *testing.T) {
	const drain = 3 * time.Second // in which a slow machine has to answer some requests
	s := start(t, settings{configuration: configuration, drain: drain, grace: waitTimeout})
	watch, err := healthpb.NewHealthClient(s.GRPC).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func() healthpb.HealthCheckResponse_ServingStatus {
		t.Helper()
		m, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return m.GetStatus()
	}
	for state := next(); state != healthpb.HealthCheckResponse_SERVING; state = next() {
		t.Log(state) // Serve may not have come so far
	}
	began := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	if state := next(); state != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Fatalf("told %v at the end", state)
	}
	eachTransport(t, func(t *testing.T, tr transport) { mint(t, s, tr, call{body: user("")}) })
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Ops+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	if h, body, err := roundTrip(r); err != nil || h.StatusCode != http.StatusServiceUnavailable ||
		!strings.Contains(string(body), `"ready":false`) {
		t.Errorf("ready while draining: HTTP %d %s %v", h.StatusCode, body, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < drain {
		t.Errorf("it stopped after %v, before the end of the drain", took)
	}
	if _, err := watch.Recv(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the watch ended with %v, want an error", err)
	}
}

// A listener that fails ends the whole service, with an error that says which.
func TestListenerFails(t *testing.T) {
	for i, name := range []string{"grpc", "http", "ops"} {
		t.Run(name, func(t *testing.T) {
			snapshot := parse(t, configuration)
			s, err := service.New(service.Options{
				Snapshot: snapshot,
				Secrets:  secrets.NewKeyring(secrets.Options{Source: newStore()}),
				Audit:    discardAudit(snapshot),
				Grace:    time.Second,
			})
			if err != nil {
				t.Fatal(err)
			}
			all := []*listener{newListener(t), newListener(t), newListener(t)}
			_ = all[i].Listener.Close()
			err = s.Serve(t.Context(), service.Listeners{GRPC: all[0], HTTP: all[1], Ops: all[2]})
			if err == nil || !strings.HasPrefix(err.Error(), name+" listener: ") {
				t.Errorf("Serve returned %v", err)
			}
			for _, l := range all {
				<-l.closed
			}
		})
	}
}

// A context that has ended before anything began ends the service at once.
func TestServeWithEndedContext(t *testing.T) {
	snapshot := parse(t, configuration)
	s, err := service.New(service.Options{
		Snapshot: snapshot,
		Secrets:  secrets.NewKeyring(secrets.Options{Source: newStore()}),
		Audit:    discardAudit(snapshot),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	all := []*listener{newListener(t), newListener(t), newListener(t)}
	if err := s.Serve(ctx, service.Listeners{GRPC: all[0], HTTP: all[1], Ops: all[2]}); err != nil {
		t.Errorf("Serve returned %v", err)
	}
	for _, l := range all {
		<-l.closed
	}
}

// Without an ops listener there is none, and nothing misses it.
func TestNoOpsListener(t *testing.T) {
	snapshot := parse(t, configuration)
	s, err := service.New(service.Options{
		Snapshot: snapshot,
		Secrets:  secrets.NewKeyring(secrets.Options{Source: newStore()}),
		Audit:    discardAudit(snapshot),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l := service.Listeners{GRPC: newListener(t), HTTP: newListener(t)}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Serve(ctx, l) }()
	conn := dial(t, l.GRPC.Addr().String())
	defer conn.Close()
	_, err = pb.NewTokenServiceClient(conn).MintToken(ctx, &pb.MintTokenRequest{}, grpc.WaitForReady(true))
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("answered with %v", err)
	}
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+l.HTTP.Addr().String()+"/",
		nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := roundTrip(r); err == nil {
		t.Error("the REST gateway is still open")
	}
}
