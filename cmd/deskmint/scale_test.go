package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
	"github.com/deskmint/deskmint/service/caller"
)

// countingProxy is a proxy in front of a Vault that counts the requests.
type countingProxy struct {
	*httptest.Server

	mu    sync.Mutex
	reads []time.Time
}

func newCountingProxy(t testing.TB, vault *vaulttest.Server) *countingProxy {
	t.Helper()
	to, err := url.Parse(vault.Addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &countingProxy{}
	pass := &httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(to) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/secret/") {
			c.mu.Lock()
			c.reads = append(c.reads, time.Now())
			c.mu.Unlock()
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(c.Close)
	return c
}

// since returns the times of the reads after a moment.
func (c *countingProxy) since(moment time.Time) []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := slices.IndexFunc(c.reads, func(at time.Time) bool { return at.After(moment) })
	if n < 0 {
		return nil
	}
	return slices.Clone(c.reads[n:])
}

// maxWithin returns the largest number of moments within any interval of this length.
func maxWithin(moments []time.Time, within time.Duration) (n int) {
	first := 0
	for i, at := range moments {
		for at.Sub(moments[first]) >= within {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}

// manyConfigurations writes the files of a service with n configurations, and their secrets to a
// Vault.
func manyConfigurations(t testing.TB, vault *vaulttest.Server, address string, n, rate int) (config, key string) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text,
		"secrets: {source: vault, refresh: 1s, max_rate: %d, vault: {addresses: [%q], auth: {method: approle, "+
			"role_id_file: role-id, secret_id_file: secret-id}}}\nconfigurations:\n", rate, address)
	for i := range n {
		fmt.Fprintf(&text,
			"  - {name: acme-%d, secret: {path: sso/acme-%[1]d}, zendesk_sso: {audiences: [end_user], brands: [{id: "+
				"\"%[1]d\", name: Acme %[1]d, subdomain: acme-%[1]d}]}}\n", i)
		vault.Put(t, fmt.Sprintf("sso/acme-%d", i), map[string]string{"shared_secret": firstSecret})
	}
	key, hash := caller.NewKey()
	_, callers, _ := strings.Cut(acme(hash), "callers:")
	text.WriteString("callers:" + callers)
	vault.Reader(t, "deskmint", "sso/")
	roleID, secretID := vault.AppRole(t, "deskmint", "", "deskmint")
	dir := t.TempDir()
	for name, content := range map[string]string{
		"deskmint.yaml": text.String(),
		"role-id":       roleID,
		"secret-id":     secretID,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "deskmint.yaml"), key
}

// BenchmarkTenThousandConfigurations measures a service in a separate process with a real Vault. It
// reports the time from the start to the line `ready`, the memory at that time, and the later
// requests to Vault.
func BenchmarkTenThousandConfigurations(b *testing.B) {
	const configurations = 10_000
	vault, binary := vaulttest.Start(b), build(b)
	for _, rate := range []int{50, 1000} {
		b.Run("max_rate="+strconv.Itoa(rate), func(b *testing.B) {
			if rate < 100 && testing.Short() {
				b.Skip("it takes a quarter of an hour")
			}
			way := newCountingProxy(b, vault)
			config, _ := manyConfigurations(b, vault, way.URL, configurations, rate)
			for b.Loop() {
				begin := time.Now()
				d := spawn(b, binary, serveArgs(config)...)
				for text, changed := d.out.snapshot(); !strings.HasSuffix(text,
					"\nready\n"); text, changed = d.out.snapshot() {
					select {
					case <-changed:
					case <-d.ended:
						b.Fatalf("it ended: %v\n%s", d.failure, &d.err)
					}
				}
				ready := time.Now()
				b.ReportMetric(ready.Sub(begin).Seconds(), "s-to-ready")
				b.ReportMetric(residentMB(b, d.process.Pid), "MB-at-ready")
				// This is twice the refresh interval, so that each secret has been refreshed.
				over := max(10*time.Second, 2*configurations*time.Second/time.Duration(rate))
				<-time.After(over)
				b.ReportMetric(float64(len(way.since(ready)))/over.Seconds(), "reads/s")
				b.ReportMetric(float64(maxWithin(way.since(begin), time.Second)), "most-reads-in-1s")
				b.ReportMetric(residentMB(b, d.process.Pid), "MB-then")
				d.stop()
				<-d.ended
			}
		})
	}
}

// residentMB returns the resident memory of a process.
func residentMB(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	kB, err := strconv.ParseFloat(strings.TrimSpace(after[:strings.Index(after, "kB")]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kB / 1024
}
