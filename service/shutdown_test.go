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

// TestShutdownFinishesRequests checks that a stopping service answers the requests in flight and
// accepts no new connections. Probes report that it isn't ready before the listeners close.
func TestShutdownFinishesRequests(t *testing.T) {
	var hook hookedSecrets
	s := start(t, settings{configuration: configuration, secrets: hook.wrap, grace: waitTimeout})
	mint(t, s, transport{"grpc", sendGRPC}, call{body: user("")}) // now the transports are open
	readiness := make(chan string, 2)
	for _, l := range s.listeners[:2] {
		l.onClose = func() { readiness <- s.ops(t, "/readyz") }
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
	// The handler of /readyz also calls Get, which must not block.
	hook.setOnGet(nil)
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	for range 2 {
		if body := <-readiness; !strings.Contains(body, `"ready":false`) {
			t.Errorf("a listener closed while the service was ready: %s", body)
		}
	}
	for _, l := range s.listeners[:2] {
		<-l.closed
		if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
			_ = conn.Close()
			t.Errorf("%s accepts connections after it was closed", l.Addr())
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
			t.Errorf("the answer to a request in flight is %v %s %q", r.code, r.reason, r.answer.message)
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

// TestGraceIsBounded checks that a request that doesn't finish within the grace period is cut off,
// and that the log reports it.
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
			t.Fatal("the service waits for a request that doesn't end")
		}
		if r := <-answered; r.code != codes.Unavailable {
			t.Errorf("the answer to a request that was cut off is %v", r.code)
		}
		if !strings.Contains(s.Log.String(), "cut off") {
			t.Errorf("the log doesn't report it: %s", s.Log)
		}
		release()
	})
}

// TestDrain checks that a draining service still answers requests but isn't ready. A health watch
// reports it and doesn't prevent the service from stopping.
func TestDrain(t *testing.T) {
	const drain = 3 * time.Second // a slow machine must answer some requests within that time
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
		t.Log(state) // Serve may not have set the state yet
	}
	began := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	if state := next(); state != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Fatalf("the watch reports %v while draining", state)
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
		t.Errorf("the service stopped after %v, want at least %v", took, drain)
	}
	if _, err := watch.Recv(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the watch ended with %v, want an error", err)
	}
}

// TestListenerFails checks that an error of one listener stops the whole service. The error names
// the listener.
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

// TestServeWithEndedContext checks that Serve returns immediately if its context has already ended.
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

// TestNoOpsListener checks that a service works without an ops listener.
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
		t.Errorf("the answer is %v", err)
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
