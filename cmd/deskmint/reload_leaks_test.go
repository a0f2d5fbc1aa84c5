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

// TestReloadLeaks reloads a thousand times under load, with and without faults. A reload opens
// included files, an issuer's keys, pages, and the audit log. The test is not parallel, because it
// counts the resources of the whole process.
func TestReloadLeaks(t *testing.T) { //nolint:paralleltest // it counts the resources of the process
	key, hash := caller.NewKey()
	main, included := twoFiles(hash)
	main += "audit: {output: audit.log}\nissuers:\n  - {name: cluster, issuer: https://issuer.example, audience: " +
		"deskmint, jwks: keys.json}\n"
	dir := folder(t, map[string]string{
		"deskmint.yaml": main, "secrets.yaml": secretsYAML(customersSecret),
		// RFC 8037, appendix A.2
		"keys.json": `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
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
			d.err.reset()
			hangups <- syscall.SIGHUP
			text, ok := d.err.await(`"trigger":"signal"`, d.ended)
			if bad := n%len(states) == 2 || n%len(states) == 5; !ok ||
				strings.Contains(text, "the one before goes on") != bad {
				t.Fatalf("reload %d:\n%s", n, text)
			}
		}
	}
	reload(100) // until everything permanent is allocated
	before := measureUse(t)
	began := time.Now()
	reload(1000)
	took, after := time.Since(began), measureUse(t)
	stop()
	all.Wait()
	t.Logf("1,000 reloads in %v; before %v, after %v", took.Round(time.Millisecond), before, after)
	// A leak of one goroutine, one file or one kilobyte in every tenth reload would be visible.
	if after.goroutines > before.goroutines+20 || after.files > before.files+10 || after.heap > before.heap+(1<<20) {
		t.Errorf("used before %v, after %v", before, after)
	}
}

// serveSignalled is serve with a separate channel of signals. A signal to the process would also
// reach the other servers in it.
func serveSignalled(t *testing.T, config string) (*deskmint, chan<- os.Signal) {
	t.Helper()
	hangups := make(chan os.Signal, 1)
	ctx, cancel := context.WithCancel(context.Background())
	d := &deskmint{stop: cancel, kill: func() {}, ended: make(chan struct{})}
	command := serveCommand{
		Config:      config,
		listenFlags: listenFlags{GRPCListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", OpsListen: "127.0.0.1:0"},
	}
	go func() {
		defer close(d.ended)
		d.failure = command.serve(ctx, streams{strings.NewReader(""), &d.out, &d.err}, hangups)
	}()
	d.awaitStart(t)
	return d, hangups
}

// resourceUse is what the process uses.
type resourceUse struct {
	goroutines, files int
	heap              uint64 // bytes in use
}

func (h resourceUse) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %d KiB", h.goroutines, h.files, h.heap>>10)
}

func measureUse(t *testing.T) resourceUse {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	for range 3 { // memory that finalizers release is free after the next collection
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	open, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return resourceUse{runtime.NumGoroutine(), len(open), m.HeapAlloc}
}
