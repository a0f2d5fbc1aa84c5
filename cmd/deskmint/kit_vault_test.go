package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
	"github.com/deskmint/deskmint/service/caller"
)

// vaultServer is a service that reads from a real Vault, through a proxy that can be interrupted.
type vaultServer struct {
	*deskmint
	vault *vaulttest.Server
	proxy *vaultProxy
	path  string // of the secret
	key   string // of the caller
	dir   string // of its files
}

// vaultProxy is a proxy in front of a Vault.
type vaultProxy struct {
	mu      sync.Mutex
	to      *url.URL      // nil if there is no Vault
	held    chan struct{} // requests wait until it is closed; nil if they don't wait
	waiting chan struct{} // receives a value for each request that waits
}

func (r *vaultProxy) setTarget(to string) {
	u, _ := url.Parse(to)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = u
	if to == "" {
		r.to = nil
	}
}

// hold makes requests wait until release is called. waiting receives a value for each of them.
func (r *vaultProxy) hold(t *testing.T) (waiting <-chan struct{}, release func()) {
	held := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = held
	release = sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.held = nil
		close(held)
	})
	t.Cleanup(release)
	return r.waiting, release
}

func (r *vaultProxy) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	to, held := r.to, r.held
	r.mu.Unlock()
	if held != nil {
		r.waiting <- struct{}{}
		<-held
	}
	if to == nil {
		panic(http.ErrAbortHandler) // the connection breaks, as if the process had ended
	}
	(&httputil.ReverseProxy{
		Rewrite:      func(p *httputil.ProxyRequest) { p.SetURL(to) },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}).ServeHTTP(w, request)
}

// serveOnVault starts a service with the smallest policy, which allows reading this one secret.
// change may change the files before the start. settings replace `refresh: 1s`.
func serveOnVault(t *testing.T, vault *vaulttest.Server, settings string, change func(s *vaultServer)) *vaultServer {
	t.Helper()
	return startOnVault(t, vault, settings, change, func(t *testing.T, config string) *deskmint {
		return serve(t, config)
	})
}

// serveOnVaultUnready is serveOnVault for a store that can't be read. The service isn't ready until
// it can.
func serveOnVaultUnready(
	t *testing.T, vault *vaulttest.Server, settings, fault string, change func(s *vaultServer),
) *vaultServer {
	t.Helper()
	s := startOnVault(t, vault, settings, change, serveUnready)
	s.awaitUnready(t, "unavailable", fault)
	if text, ok := s.err.await("not ready: nothing can be signed here", s.ended); !ok {
		t.Errorf("the log doesn't report it:\n%s", text)
	}
	return s
}

func startOnVault(
	t *testing.T, vault *vaulttest.Server, settings string, change func(s *vaultServer),
	start func(t *testing.T, config string) *deskmint,
) *vaultServer {
	t.Helper()
	key, hash := caller.NewKey()
	s := &vaultServer{
		vault: vault,
		key:   key,
		path:  "sso/" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())),
	}
	s.proxy = &vaultProxy{waiting: make(chan struct{}, 1000)}
	s.proxy.setTarget(vault.Addr)
	server := httptest.NewServer(s.proxy)
	t.Cleanup(server.Close)
	text := strings.Replace(onVault(server.URL, hash), "sso/acme-customers", s.path, 1)
	s.dir = folder(t, map[string]string{"deskmint.yaml": strings.Replace(text, "refresh: 1s", settings, 1)})
	s.login(t, vault)
	change(s)
	s.deskmint = start(t, filepath.Join(s.dir, "deskmint.yaml"))
	return s
}

// login creates a role for the service, and writes the files that the service logs in with.
func (s *vaultServer) login(t *testing.T, vault *vaulttest.Server) {
	t.Helper()
	name := strings.ReplaceAll(s.path, "/", "-")
	vault.Policy(t, name, fmt.Sprintf(`
		path "secret/metadata/%[1]s" { capabilities = ["read"] }
		path "secret/data/%[1]s"     { capabilities = ["read"] }`, s.path))
	roleID, secretID := vault.AppRole(t, name, "", name)
	write(t, filepath.Join(s.dir, "role-id"), roleID+"\n")
	write(t, filepath.Join(s.dir, "secret-id"), secretID+"\n")
}

func (s *vaultServer) put(t *testing.T, secret string) {
	t.Helper()
	s.vault.Put(t, s.path, map[string]string{"shared_secret": secret})
}

// expectSigned checks that both transports sign with a version and its secret.
func (s *vaultServer) expectSigned(t *testing.T, version uint32, secret string) {
	t.Helper()
	got := s.mint(t, s.key, "acme-customers")
	if got.status != http.StatusOK || got.signed != version {
		t.Fatalf("%d %s, want version %d", got.status, got.body, version)
	}
	claims(t, got.token, secret)
}

// expectRefusal checks that both transports refuse with a reason.
func (s *vaultServer) expectRefusal(t *testing.T, reason string) {
	t.Helper()
	if got := s.mint(t, s.key, "acme-customers"); got.reason != reason || got.token != "" ||
		strings.Contains(got.body, s.path) {
		t.Fatalf("%d %s, want %s", got.status, got.body, reason)
	}
}

// refresh calls RefreshSecret, and checks the active version and the state in the response.
func (s *vaultServer) refresh(t *testing.T, active int, state string) {
	t.Helper()
	got := s.post(t, s.key, "/v1/configurations/acme-customers:refreshSecret", "{}")
	var parsed struct {
		After struct {
			ActiveVersion int
			State         string
		}
	}
	if err := json.Unmarshal([]byte(got.body), &parsed); err != nil || parsed.After.ActiveVersion != active ||
		parsed.After.State != "SECRET_STATE_"+state {
		t.Errorf("refresh: %d %s, want version %d %s", got.status, got.body, active, state)
	}
}

// checkNoLeaks searches all output of the service for secrets.
func (s *vaultServer) checkNoLeaks(t *testing.T) {
	t.Helper()
	metrics, err := http.Get("http://" + s.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	ready, err := http.Get("http://" + s.ops + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	measured := readAnswer(t, metrics).body
	if !strings.Contains(measured, "\ndeskmint_store_clock_offset_seconds ") {
		t.Error("the metrics lack the store's clock")
	}
	checkShown(t, false, measured+readAnswer(t, ready).body, firstSecret, secondSecret, shortSecret, s.key, tokenStart)
	s.checkNoSecrets(t, firstSecret, secondSecret, shortSecret, s.key, s.vault.RootToken, "hvs.")
}

// scope is a test whose clean-ups may run before its end.
type scope struct {
	testing.TB
	cleanups []func()
}

func (s *scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *scope) end() {
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
	s.cleanups = nil
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
