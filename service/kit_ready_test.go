package service_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/audit"
)

// checkBecomesReady starts a service that must not be ready and must report the given cause. After
// the function repair, the service must become ready.
func checkBecomesReady(t *testing.T, s service.Secrets, cause string, repair func()) {
	t.Helper()
	checkConfigurationBecomesReady(t, configuration, s, cause, repair)
}

func checkConfigurationBecomesReady(t *testing.T, yaml string, s service.Secrets, cause string, repair func()) {
	t.Helper()
	r := serveConfiguration(t, yaml, s)
	waitUntil(t, func() (problem string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.ops+"/readyz", nil)
		if err != nil {
			return err.Error()
		}
		if res, body, err := roundTrip(request); err != nil || res.StatusCode != http.StatusServiceUnavailable ||
			!strings.Contains(string(body), `"ready":false,"fault":"`+cause) {
			return fmt.Sprintf("%v %s", err, body)
		}
		return ""
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.ops+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, body, err := roundTrip(request); err != nil || !strings.Contains(string(body), "\ndeskmint_ready 0\n") {
		t.Errorf("the metrics don't say that it isn't ready: %v", err)
	}
	select {
	case <-r.ready:
		t.Error("the service is ready although it can't sign")
	default:
	}
	if !strings.Contains(r.log.String(), cause) {
		t.Errorf("the log doesn't have the cause: %s", r.log)
	}
	repair()
	r.awaitReady(t)
}

// runKeyring returns a keyring that refreshes each second until the test ends.
func runKeyring(t *testing.T, source secrets.Source) *secrets.Keyring {
	t.Helper()
	ring := secrets.NewKeyring(secrets.Options{Source: source, Refresh: time.Second, MaxRate: 1e6})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = ring.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return ring
}

// startingService is a service that may not be ready yet.
type startingService struct {
	ops     string // HOST:PORT
	ready   chan struct{}
	stopped chan error
	log     *buffer
	stop    func()
}

func serveSecrets(t *testing.T, held service.Secrets) *startingService {
	t.Helper()
	return serveConfiguration(t, configuration, held)
}

func serveConfiguration(t *testing.T, yaml string, held service.Secrets) *startingService {
	t.Helper()
	r := &startingService{ready: make(chan struct{}), stopped: make(chan error, 1), log: &buffer{}}
	snapshot := parse(t, yaml)
	s, err := service.New(service.Options{
		Snapshot: snapshot, Secrets: held, Audit: audit.New(io.Discard, snapshot.Audit, nil),
		Log: slog.New(slog.NewJSONHandler(r.log, nil)), Ready: func() { close(r.ready) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	ops := newListener(t)
	r.ops = ops.Addr().String()
	go func() {
		r.stopped <- s.Serve(ctx, service.Listeners{GRPC: newListener(t), HTTP: newListener(t), Ops: ops})
	}()
	return r
}

// awaitReady waits until the service is ready, and stops it.
func (r *startingService) awaitReady(t *testing.T) {
	t.Helper()
	select {
	case <-r.ready:
	case err := <-r.stopped:
		t.Fatalf("Serve returned %v", err)
	case <-time.After(waitTimeout):
		t.Fatal("the service can sign but is not ready")
	}
	r.stop()
	if err := <-r.stopped; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func dialOps(t *testing.T, s *server) *grpc.ClientConn {
	t.Helper()
	conn := dial(t, strings.TrimPrefix(s.Ops, "http://"))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// waitUntil calls check until it returns "". The test fails with the last result of check after
// waitTimeout.
func waitUntil(t *testing.T, check func() (problem string)) {
	t.Helper()
	deadline := time.After(waitTimeout)
	for {
		problem := check()
		if problem == "" {
			return
		}
		select {
		case <-deadline:
			t.Fatal(problem)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// receive returns the next value of a channel. The test fails with the given text after
// waitTimeout.
func receive[T any](t *testing.T, from <-chan T, problem string) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(waitTimeout):
		t.Fatal(problem)
		panic("unreachable")
	}
}
