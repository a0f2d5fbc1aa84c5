package service

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/stats"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/memory"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/config"
)

// newTestService returns a service that doesn't listen, for tests that use unexported parts of it.
// Its configuration, clock and secrets are like those of the tests in package service_test.
func newTestService(tb testing.TB, log io.Writer, handler stats.Handler) *Service {
	tb.Helper()
	yaml, err := os.ReadFile("testdata/service.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	snapshot, err := config.Parse("service.yaml", yaml, config.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	store := &memory.Store{}
	for _, name := range []string{"customers", "staff", "both", "off"} {
		store.Put("sso/acme-"+name, "shared_secret", []byte("MARKER-"+name+"-secret-0123456789abcdef"))
	}
	now := func() time.Time { return time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC) }
	ring := secrets.NewKeyring(secrets.Options{Source: store, Now: now, MaxRate: 1e6})
	if err := ring.Warm(tb.Context(), snapshot.Refs()...); err != nil {
		tb.Fatal(err)
	}
	s, err := New(Options{
		Snapshot: snapshot, Secrets: ring, Now: now, Stats: handler, Grace: time.Second,
		Audit: audit.New(log, snapshot.Audit, nil), Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// safeBuffer is a bytes.Buffer that is safe for concurrent use.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *safeBuffer) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// take returns and removes the content.
func (o *safeBuffer) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.b.Reset()
	return o.b.String()
}
