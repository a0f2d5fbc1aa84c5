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

// dumb is a store that doesn't answer about one path, until told to.
type dumb struct {
	memory.Store

	asked   chan struct{} // told of each question about it
	answers chan struct{} // closed: it answers what it was asked while silent
	silent  atomic.Bool
}

const (
	dumbPath = "sso/dumb"
	// brief is the patience of a reload that is to fail: its store doesn't answer, so any will do.
	brief = 50 * time.Millisecond
)

// Status is [secrets.Source]'s.
func (d *dumb) Status(ctx context.Context, path string) (secrets.Status, error) {
	if path == dumbPath && d.silent.Load() {
		d.asked <- struct{}{}
		select {
		case <-ctx.Done():
			return secrets.Status{}, ctx.Err()
		case <-d.answers:
		}
	}
	return d.Store.Status(ctx, path)
}

// reloading sets up what reloads a service, and the files that it reads.
func reloading(t *testing.T) (r *reloader, store *dumb, log *transcript, path string) {
	t.Helper()
	log = &transcript{}
	logger := slog.New(slog.NewJSONHandler(log, nil))
	path, _, _ = files(t)
	store = &dumb{asked: make(chan struct{}, 100), answers: make(chan struct{})}
	store.silent.Store(true)
	for _, at := range []string{dumbPath, "sso/acme-customers"} {
		store.Put(at, "shared_secret", []byte(customersSecret))
	}
	keys := caller.NewKeySets(caller.KeySetOptions{})
	reader := config.NewReader(path, config.Options{Keys: keys})
	first, err := reader.Load(nil)
	must(t, err)
	keyring := secrets.NewKeyring(secrets.Options{Source: store, Timeout: soon})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := keyring.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	must(t, keyring.Warm(t.Context(), first.Refs()...))
	s, err := service.New(service.Options{Snapshot: first, Secrets: keyring, Audit: audit.New(&transcript{}, audit.Settings{}, nil)})
	must(t, err)
	return &reloader{reader: reader, service: s, keyring: keyring, keys: keys, log: logger, patience: soon, running: first}, store, log, path
}

// TestReloadWaitsForNoStoreForEver: new secrets that the store keeps silent about end a
// reload after a while, leave nothing behind, and hold up none of those after it.
func TestReloadWaitsForNoStoreForEver(t *testing.T) {
	t.Parallel()
	r, store, log, path := reloading(t)
	text, err := readText(path)
	must(t, err)
	next := strings.Replace(text, "callers:", `  - name: dumb
    secret: {path: sso/dumb}
    zendesk_sso: {audiences: [end_user], brands: [{id: "1", subdomain: dumb}]}
callers:`, 1)
	write(t, path, next)
	r.patience = brief
	r.look(t.Context())
	if !strings.Contains(log.String(), "its new secrets were not all read") {
		t.Fatalf("the log:\n%s", log)
	}
	ref := secrets.Ref{Path: dumbPath, Field: "shared_secret"}
	if _, err := r.keyring.Get(ref, 0); !strings.Contains(err.Error(), "doesn't hold it") {
		t.Errorf("what was refused is still held: %v", err)
	}
	if names := r.running.Names(); len(names) != 1 {
		t.Errorf("running: %v", names)
	}
	// The same once more is told no more; another state of the files is taken at once.
	before := len(log.String())
	r.look(t.Context())
	if more := log.String()[before:]; more != "" {
		t.Errorf("told again: %s", more)
	}
	write(t, path, text+"# mended\n")
	r.patience = soon
	r.look(t.Context())
	if !strings.Contains(log.String()[before:], "the configuration was reloaded") {
		t.Errorf("the log:\n%s", log)
	}
	// What failed for the store's sake is tried again though the files are the same.
	write(t, path, next)
	r.patience = brief
	r.look(t.Context())
	store.silent.Store(false)
	r.patience = soon
	r.look(t.Context())
	if _, err := r.keyring.Get(ref, 0); err != nil || len(r.running.Names()) != 2 {
		t.Errorf("running: %v, %v", r.running.Names(), err)
	}
}

// TestReloadAfterReload: a signal while a reload is going on brings another one, since that
// one may have read the files too early.
func TestReloadAfterReload(t *testing.T) {
	t.Parallel()
	r, store, log, path := reloading(t)
	text, err := readText(path)
	must(t, err)
	write(t, path, strings.ReplaceAll(text, "sso/acme-customers", dumbPath))
	var both sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	both.Go(func() { r.look(ctx) })
	<-store.asked // it has read the files, and waits
	write(t, path, strings.ReplaceAll(text, "acme-customers", "acme-shop"))
	store.Put("sso/acme-shop", "shared_secret", []byte(nextSecret))
	time.AfterFunc(2*brief, func() { close(store.answers) }) // the reload goes on while now begins
	r.now(ctx)
	both.Wait()
	if names := r.running.Names(); len(names) != 1 || names[0] != "acme-shop" {
		t.Errorf("running: %v; the log:\n%s", names, log)
	}
}

// TestReloadKeepsIssuers: the keys of issuers that a refused configuration names are not
// asked for until the next good one, and those of what runs are kept.
func TestReloadKeepsIssuers(t *testing.T) {
	t.Parallel()
	r, _, log, path := reloading(t)
	text, err := readText(path)
	must(t, err)
	issuer := "issuers:\n  - {name: NAME, issuer: https://NAME.example, audience: deskmint, jwks: keys.json}\n"
	write(t, filepath.Join(filepath.Dir(path), "keys.json"), `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
	write(t, path, text+strings.ReplaceAll(issuer, "NAME", "first"))
	r.look(t.Context())
	write(t, path, strings.ReplaceAll(text, "sso/acme-customers", dumbPath)+strings.ReplaceAll(issuer, "NAME", "second"))
	r.patience = brief
	r.look(t.Context())
	if !strings.Contains(log.String(), "its new secrets were not all read") || !strings.Contains(log.String(), `"issuers":{"added":["first"]}`) {
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

// TestReloadRhythm: how often the store is asked changes without a restart.
func TestReloadRhythm(t *testing.T) {
	t.Parallel()
	r, _, log, path := reloading(t)
	text, err := readText(path)
	must(t, err)
	write(t, path, strings.Replace(text, "refresh: 1s", "refresh: 7s, max_rate: 20", 1))
	r.look(t.Context())
	if got := r.keyring.Interval(); got != 7*time.Second {
		t.Errorf("looks every %v; the log:\n%s", got, log)
	}
	if !strings.Contains(log.String(), `"settings":{"changed":["secrets.max_rate","secrets.refresh"]}`) {
		t.Errorf("the log:\n%s", log)
	}
}
