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

// inside is a service without transports, for tests that read its state. Its configuration, clock
// and secrets are those of the tests that come by the transports.
func inside(tb testing.TB, log io.Writer, handler stats.Handler) *Service {
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
	moment := func() time.Time { return time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC) }
	ring := secrets.NewKeyring(secrets.Options{Source: store, Now: moment, MaxRate: 1e6})
	if err := ring.Warm(tb.Context(), snapshot.Refs()...); err != nil {
		tb.Fatal(err)
	}
	s, err := New(Options{
		Snapshot: snapshot, Secrets: ring, Now: moment, Stats: handler, Grace: time.Second,
		Audit: audit.New(log, snapshot.Audit, nil), Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// output is what was written, for several writers.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// take returns what was written since the last take.
func (o *output) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.b.Reset()
	return o.b.String()
}
