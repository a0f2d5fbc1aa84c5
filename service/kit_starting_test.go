package service_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/audit"
)

// becomesReady wants a service that isn't ready, says why, and becomes ready once it is mended.
func becomesReady(t *testing.T, s service.Secrets, why string, mend func()) {
	t.Helper()
	r := serveSecrets(t, s)
	until(t, func() string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.ops+"/readyz", nil)
		if err != nil {
			return err.Error()
		}
		if res, body, err := exchange(request); err != nil || res.StatusCode != http.StatusServiceUnavailable ||
			!strings.Contains(string(body), `"ready":false,"fault":"`+why) {
			return fmt.Sprintf("%v %s", err, body)
		}
		return ""
	})
	select {
	case <-r.ready:
		t.Error("ready with nothing to sign with")
	default:
	}
	if !strings.Contains(r.log.String(), why) {
		t.Errorf("logged: %s", r.log)
	}
	mend()
	r.await(t)
}

// starting is a service that has been told to serve, and may not be ready yet.
type starting struct {
	ops     string // HOST:PORT
	ready   chan struct{}
	stopped chan error
	log     *buffer
	stop    func()
}

func serveSecrets(t *testing.T, held service.Secrets) *starting {
	t.Helper()
	r := &starting{ready: make(chan struct{}), stopped: make(chan error, 1), log: &buffer{}}
	snapshot := parse(t, configuration)
	s, err := service.New(service.Options{
		Snapshot: snapshot, Secrets: held, Audit: audit.New(io.Discard, snapshot.Audit, nil),
		Log: slog.New(slog.NewJSONHandler(r.log, nil)), Ready: func() { close(r.ready) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	ops := listen(t)
	r.ops = ops.Addr().String()
	go func() { r.stopped <- s.Serve(ctx, service.Listeners{GRPC: listen(t), HTTP: listen(t), Ops: ops}) }()
	return r
}

// await wants it to be ready, and ends it.
func (r *starting) await(t *testing.T) {
	t.Helper()
	select {
	case <-r.ready:
	case err := <-r.stopped:
		t.Fatalf("it ended: %v", err)
	case <-time.After(soon):
		t.Fatal("not ready though it can sign")
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

// until asks again until there is no complaint.
func until(t *testing.T, ask func() (complaint string)) {
	t.Helper()
	deadline := time.After(soon)
	for {
		complaint := ask()
		if complaint == "" {
			return
		}
		select {
		case <-deadline:
			t.Fatal(complaint)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
