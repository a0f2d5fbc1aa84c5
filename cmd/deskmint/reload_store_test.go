package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/memory"
	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
)

// blockingStore is a store that doesn't respond about one path until answers is closed.
type blockingStore struct {
	memory.Store

	requests chan struct{} // receives a value for each request for that path
	answers  chan struct{} // closed: the pending requests are answered
	silent   atomic.Bool
}

const (
	blockedPath = "sso/blocked"
	// shortTimeout is the time limit of a reload that must fail. The store doesn't respond, so any
	// limit works.
	shortTimeout = 50 * time.Millisecond
)

// Status implements [secrets.Source].
func (d *blockingStore) Status(ctx context.Context, path string) (secrets.Status, error) {
	if path == blockedPath && d.silent.Load() {
		d.requests <- struct{}{}
		select {
		case <-ctx.Done():
			return secrets.Status{}, ctx.Err()
		case <-d.answers:
		}
	}
	return d.Store.Status(ctx, path)
}

// newTestReloader returns a reloader of a service, its store, its log, and the path of its
// configuration file.
func newTestReloader(t *testing.T) (r *reloader, store *blockingStore, log *transcript, path string) {
	t.Helper()
	log = &transcript{}
	logger := slog.New(slog.NewJSONHandler(log, nil))
	path, _, _ = files(t)
	store = &blockingStore{requests: make(chan struct{}, 100), answers: make(chan struct{})}
	store.silent.Store(true)
	for _, at := range []string{blockedPath, "sso/acme-customers"} {
		store.Put(at, "shared_secret", []byte(customersSecret))
	}
	keys := caller.NewKeySets(caller.KeySetOptions{})
	reader := config.NewReader(path, config.Options{Keys: keys})
	first, err := reader.Load(nil)
	must(t, err)
	keyring := secrets.NewKeyring(secrets.Options{Source: store, Timeout: longTimeout})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := keyring.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	must(t, keyring.Warm(t.Context(), first.Refs()...))
	s, err := service.New(service.Options{
		Snapshot: first,
		Secrets:  keyring,
		Audit:    audit.New(&transcript{}, audit.Settings{}, nil),
	})
	must(t, err)
	return &reloader{reader: reader, service: s, keyring: keyring, keys: keys, log: logger, timeout: longTimeout,
		running: first}, store, log, path
}

// TestReloadTimeout checks that a reload ends after a while if the store doesn't return new
// secrets. The reload leaves nothing, and doesn't delay later reloads.
func TestReloadTimeout(t *testing.T) {
	t.Parallel()
	r, store, log, path := newTestReloader(t)
	text, err := readText(path)
	must(t, err)
	next := strings.Replace(text, "callers:", `  - name: blocked
    secret: {path: sso/blocked}
    zendesk_sso: {audiences: [end_user], brands: [{id: "1", subdomain: blocked}]}
callers:`, 1)
	write(t, path, next)
	r.timeout = shortTimeout
	r.reloadIfChanged(t.Context())
	if !strings.Contains(log.String(), "its new secrets were not all read") {
		t.Fatalf("the log:\n%s", log)
	}
	ref := secrets.Ref{Path: blockedPath, Field: "shared_secret"}
	if _, err := r.keyring.Get(ref, 0); !strings.Contains(err.Error(), "doesn't hold it") {
		t.Errorf("the refused configuration's secret is still held: %v", err)
	}
	if names := r.running.Names(); len(names) != 1 {
		t.Errorf("running: %v", names)
	}
	// The same fault is not logged again. The next correct state of the files is loaded at once.
	before := len(log.String())
	r.reloadIfChanged(t.Context())
	if more := log.String()[before:]; more != "" {
		t.Errorf("logged again: %s", more)
	}
	write(t, path, text+"# mended\n")
	r.timeout = longTimeout
	r.reloadIfChanged(t.Context())
	if !strings.Contains(log.String()[before:], "the configuration was reloaded") {
		t.Errorf("the log:\n%s", log)
	}
	// A reload that failed because of the store is tried again, although the files haven't changed.
	write(t, path, next)
	r.timeout = shortTimeout
	r.reloadIfChanged(t.Context())
	store.silent.Store(false)
	r.timeout = longTimeout
	r.reloadIfChanged(t.Context())
	if _, err := r.keyring.Get(ref, 0); err != nil || len(r.running.Names()) != 2 {
		t.Errorf("running: %v, %v", r.running.Names(), err)
	}
}

// TestReloadDuringReload checks that a signal during a reload causes another reload, because the
// first one may have read the files too early.
func TestReloadDuringReload(t *testing.T) {
	t.Parallel()
	r, store, log, path := newTestReloader(t)
	text, err := readText(path)
	must(t, err)
	write(t, path, strings.ReplaceAll(text, "sso/acme-customers", blockedPath))
	var both sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), longTimeout)
	defer cancel()
	both.Go(func() { r.reloadIfChanged(ctx) })
	<-store.requests // the reload has read the files, and waits for the store
	write(t, path, strings.ReplaceAll(text, "acme-customers", "acme-shop"))
	store.Put("sso/acme-shop", "shared_secret", []byte(nextSecret))
	time.AfterFunc(2*shortTimeout, func() { close(store.answers) }) // the reload continues while now starts
	r.now(ctx)
	both.Wait()
	if names := r.running.Names(); len(names) != 1 || names[0] != "acme-shop" {
		t.Errorf("running: %v; the log:\n%s", names, log)
	}
}

// TestReloadKeepsIssuers checks that the service doesn't keep the issuers' keys of a refused
// configuration. It keeps those of the running configuration.
func TestReloadKeepsIssuers(t *testing.T) {
	t.Parallel()
	r, _, log, path := newTestReloader(t)
	text, err := readText(path)
	must(t, err)
	issuer := "issuers:\n  - {name: NAME, issuer: https://NAME.example, audience: deskmint, jwks: keys.json}\n"
	write(t, filepath.Join(filepath.Dir(path), "keys.json"),
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
	write(t, path, text+strings.ReplaceAll(issuer, "NAME", "first"))
	r.reloadIfChanged(t.Context())
	write(t, path,
		strings.ReplaceAll(text, "sso/acme-customers", blockedPath)+strings.ReplaceAll(issuer, "NAME", "second"))
	r.timeout = shortTimeout
	r.reloadIfChanged(t.Context())
	if !strings.Contains(log.String(), "its new secrets were not all read") ||
		!strings.Contains(log.String(), `"issuers":{"added":["first"]}`) {
		t.Fatalf("the log:\n%s", log)
	}
	first := r.running.Issuers[0]
	second := first
	second.Issuer = "https://second.example"
	if _, ok := r.keys.Fetched(first); !ok || first.Issuer != "https://first.example" {
		t.Errorf("the keys of %s are not held", first.Issuer)
	}
	if _, ok := r.keys.Fetched(second); ok {
		t.Errorf("the keys of %s are held", second.Issuer)
	}
}

// TestReloadRefreshInterval checks that a reload changes how often the store is read.
func TestReloadRefreshInterval(t *testing.T) {
	t.Parallel()
	r, _, log, path := newTestReloader(t)
	text, err := readText(path)
	must(t, err)
	write(t, path, strings.Replace(text, "refresh: 1s", "refresh: 7s, max_rate: 20", 1))
	r.reloadIfChanged(t.Context())
	if got := r.keyring.Interval(); got != 7*time.Second {
		t.Errorf("the interval is %v; the log:\n%s", got, log)
	}
	if !strings.Contains(log.String(), `"settings":{"changed":["secrets.max_rate","secrets.refresh"]}`) {
		t.Errorf("the log:\n%s", log)
	}
}

// TestReloadPanics checks that a panic during a reload is a failed reload, and that the next reload
// works.
func TestReloadPanics(t *testing.T) {
	t.Parallel()
	r, _, log, path := newTestReloader(t)
	panicking := true
	r.reader = config.NewReader(path, config.Options{Rewrite: func(*config.File, func(string, string)) {
		if panicking {
			panic("MARKER")
		}
	}})
	r.now(t.Context())
	if text := log.String(); !strings.Contains(text, "the configuration was not reloaded") ||
		!strings.Contains(text, "panic with a string at") || strings.Contains(text, "MARKER") {
		t.Errorf("the log is %s", text)
	}
	panicking = false
	r.now(t.Context())
	if text := log.String(); !strings.Contains(text, "the configuration was reloaded") {
		t.Errorf("the log is %s", text)
	}
}
