//go:build long

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/caller"
)

// TestReloadsLeakNothing: a thousand reloads under load, good ones and refused ones, with
// all that a reload opens: included files, an issuer's keys, pages, the audit log anew. It
// has the process to itself, since what it counts is the process's.
func TestReloadsLeakNothing(t *testing.T) { //nolint:paralleltest // it counts what the whole process holds
	key, hash := caller.NewKey()
	main, included := divided(hash)
	main += "audit: {output: audit.log}\nissuers:\n  - {name: cluster, issuer: https://issuer.example, audience: deskmint, jwks: keys.json}\n"
	dir := folder(t, map[string]string{
		"deskmint.yaml": main, "secrets.yaml": secretsYAML(customersSecret),
		"keys.json": `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`, // RFC 8037, appendix A.2
	})
	must(t, os.Mkdir(filepath.Join(dir, "conf.d"), 0o700))
	shop := filepath.Join(dir, "conf.d", "10-shop.yaml")
	write(t, shop, included)
	d, hangups := serveSignalled(t, filepath.Join(dir, "deskmint.yaml"))

	load, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for pause := time.NewTicker(20 * time.Millisecond); load.Err() == nil; <-pause.C {
				if got := d.post(t, key, "/v1/configurations/acme-customers:mintToken", anaJSON); got.token == "" {
					t.Errorf("%d %s", got.status, got.body)
					return
				}
			}
		})
	}
	states := []string{
		included,
		strings.ReplaceAll(included, "acme-shop", "acme-store"),
		included + "nonsense: 1\n",
		strings.ReplaceAll(included, "sso/acme-customers", "sso/another"),
		included + "callers: [{name: second, identities: [{mtls_dns: a.example}]}]\n",
		"configurations: [",
	}
	reload := func(times int) {
		for n := range times {
			write(t, shop, states[n%len(states)])
			d.err.forget()
			hangups <- syscall.SIGHUP
			text, ok := d.err.await(`"trigger":"signal"`, d.ended)
			if bad := n%len(states) == 2 || n%len(states) == 5; !ok || strings.Contains(text, "the one before goes on") != bad {
				t.Fatalf("reload %d:\n%s", n, text)
			}
		}
	}
	reload(100) // until all that is kept for good is there
	before := held(t)
	began := time.Now()
	reload(1000)
	took, after := time.Since(began), held(t)
	stop()
	all.Wait()
	t.Logf("1,000 reloads in %v; before %v, after %v", took.Round(time.Millisecond), before, after)
	// A goroutine, a file or a kilobyte for each tenth reload would show.
	if after.goroutines > before.goroutines+20 || after.files > before.files+10 || after.heap > before.heap+(1<<20) {
		t.Errorf("held before %v, after %v", before, after)
	}
}

// serveSignalled is serve with signals of its own: one to the process would reach others
// that are served in it.
func serveSignalled(t *testing.T, config string) (*deskmint, chan<- os.Signal) {
	t.Helper()
	hangups := make(chan os.Signal, 1)
	ctx, cancel := context.WithCancel(context.Background())
	d := &deskmint{stop: cancel, kill: func() {}, ended: make(chan struct{})}
	command := serveCommand{Config: config, listenFlags: listenFlags{GRPCListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", OpsListen: "127.0.0.1:0"}}
	go func() {
		defer close(d.ended)
		d.failure = command.serve(ctx, streams{strings.NewReader(""), &d.out, &d.err}, hangups)
	}()
	d.begin(t)
	return d, hangups
}

// holdings are what the process holds.
type holdings struct {
	goroutines, files int
	heap              uint64 // bytes in use
}

func (h holdings) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %d KiB", h.goroutines, h.files, h.heap>>10)
}

func held(t *testing.T) holdings {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	for range 3 { // what finalizers let go is free after the next
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	open, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return holdings{runtime.NumGoroutine(), len(open), m.HeapAlloc}
}
