package vault_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/secrets/vault/toxic"
	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
)

// hostCounter counts requests by host, including those without an answer.
type hostCounter struct {
	next http.RoundTripper

	mu    sync.Mutex
	count map[string]int
}

func (h *hostCounter) RoundTrip(req *http.Request) (*http.Response, error) {
	h.mu.Lock()
	h.count[req.URL.Host]++
	h.mu.Unlock()
	return h.next.RoundTrip(req)
}

// taken returns the number of requests since the last call.
func (h *hostCounter) taken(host string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer delete(h.count, host)
	return h.count[host]
}

// TestFaultsOfOneServer checks that the second server serves a read if the first server has any of
// the faults. The second server is then preferred.
func TestFaultsOfOneServer(t *testing.T) {
	server, sealed := vaulttest.Start(t), vaulttest.Start(t)
	sealed.Do(t, http.MethodPut, "sys/seal", nil)
	ref := secrets.Ref{Path: "sso/servers", Field: "shared_secret"}
	server.Put(t, ref.Path, map[string]string{ref.Field: first})
	server.Reader(t, "servers", "sso/")
	roleID, secretID := server.AppRole(t, "servers", "", "servers")
	auth := vault.Auth{Method: "approle", RoleID: roleID, SecretIDFile: credentialFile(t, secretID)}
	for _, tc := range []struct {
		name     string
		upstream *vaulttest.Server
		begin    func(*testing.T, *toxic.Proxy)
	}{
		{"down", server, func(_ *testing.T, p *toxic.Proxy) { p.Refuse() }},
		{"half-open", server, func(t *testing.T, p *toxic.Proxy) { p.Set(t, toxic.Silent) }},
		{"slow", server, func(t *testing.T, p *toxic.Proxy) { p.Set(t, toxic.Slow) }},
		{"reset", server, func(t *testing.T, p *toxic.Proxy) { p.Set(t, toxic.Reset) }},
		{"sealed", sealed, func(*testing.T, *toxic.Proxy) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bad := toxic.New(t, strings.TrimPrefix(tc.upstream.Addr, "http://"))
			good := toxic.New(t, strings.TrimPrefix(server.Addr, "http://"))
			transport := &http.Transport{MaxIdleConnsPerHost: 2}
			t.Cleanup(transport.CloseIdleConnections)
			requests := &hostCounter{next: transport, count: map[string]int{}}
			source := newSource(
				t,
				vault.Settings{Addresses: []string{"http://" + bad.Address, "http://" + good.Address}, Auth: auth},
				vault.Options{Transport: requests, Timeout: time.Second},
			)
			read := func(when string, ofBad, ofGood int) {
				t.Helper()
				key, err := source.Key(t.Context(), ref, 1)
				if err != nil {
					t.Fatalf("%s: %v", when, err)
				}
				secretstest.CheckKey(t, key, first)
				if b, g := requests.taken(bad.Address), requests.taken(good.Address); b != ofBad || g != ofGood {
					t.Errorf("%s: %d requests to the first server and %d to the second, want %d and %d", when, b, g,
						ofBad, ofGood)
				}
			}
			tc.begin(t, bad)
			read("the login is tried with both servers, the read with the second", 1, 2)
			read("the second server is preferred", 0, 1)
			if tc.upstream == sealed {
				return
			}
			bad.Set(t, toxic.NoFault)
			if tc.name == "down" {
				bad.Open(t)
			}
			read("it is still preferred when the first one works again", 0, 1)
			good.Refuse()
			transport.CloseIdleConnections()
			read("the first server serves the same read if the second fails", 1, 1)
			read("the first server is preferred again", 1, 0)
		})
	}
}
