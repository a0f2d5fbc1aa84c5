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

// vaultServer is a service that reads from a real Vault, by a road that can be cut.
type vaultServer struct {
	*deskmint
	vault *vaulttest.Server
	road  *road
	path  string // of the secret
	key   string // of the caller
	dir   string // of its files
}

// road leads to a Vault.
type road struct {
	mu      sync.Mutex
	to      *url.URL      // nil: nobody is there
	held    chan struct{} // requests wait until it is closed; nil: they don't
	waiting chan struct{} // gets one for each request that waits
}

func (r *road) lead(to string) {
	u, _ := url.Parse(to)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = u
	if to == "" {
		r.to = nil
	}
}

// hold makes requests wait until the returned func is called; waiting tells of each.
func (r *road) hold(t *testing.T) (waiting <-chan struct{}, release func()) {
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

func (r *road) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	to, held := r.to, r.held
	r.mu.Unlock()
	if held != nil {
		r.waiting <- struct{}{}
		<-held
	}
	if to == nil {
		panic(http.ErrAbortHandler) // the connection breaks, as when a process has ended
	}
	(&httputil.ReverseProxy{
		Rewrite:      func(p *httputil.ProxyRequest) { p.SetURL(to) },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}).ServeHTTP(w, request)
}

// onVaultServer serves with the least that a policy can give: reading this one secret. change may
// spoil the files before the start, and settings replace `refresh: 1s`.
func onVaultServer(t *testing.T, vault *vaulttest.Server, settings string, change func(s *vaultServer)) *vaultServer {
	t.Helper()
	return beginsOnVault(t, vault, settings, change, func(t *testing.T, config string) *deskmint { return serve(t, config) })
}

// unreadyOnVault is onVaultServer where the store can't be asked: the service isn't ready until it
// can.
func unreadyOnVault(t *testing.T, vault *vaulttest.Server, settings, fault string, change func(s *vaultServer)) *vaultServer {
	t.Helper()
	s := beginsOnVault(t, vault, settings, change, serveUnready)
	eventually(t, func() error {
		ready, all := s.readyz(t)
		if got := all["acme-customers"]; ready || got.State != "unavailable" || got.Active != 0 || !strings.Contains(got.Fault, fault) {
			return fmt.Errorf("/readyz: ready %v, %+v; want it unready for the fault %q", ready, got, fault)
		}
		return nil
	})
	if text, ok := s.err.await("not ready: nothing can be signed here", s.ended); !ok {
		t.Errorf("the log doesn't say so:\n%s", text)
	}
	if strings.Contains(s.out.String(), "\nready\n") {
		t.Error("it says that it is ready")
	}
	return s
}

func beginsOnVault(t *testing.T, vault *vaulttest.Server, settings string, change func(s *vaultServer), begin func(t *testing.T, config string) *deskmint) *vaultServer {
	t.Helper()
	key, hash := caller.NewKey()
	s := &vaultServer{vault: vault, key: key, path: "sso/" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))}
	s.road = &road{waiting: make(chan struct{}, 1000)}
	s.road.lead(vault.Addr)
	way := httptest.NewServer(s.road)
	t.Cleanup(way.Close)
	text := strings.Replace(onVault(way.URL, hash), "sso/acme-customers", s.path, 1)
	s.dir = folder(t, map[string]string{"deskmint.yaml": strings.Replace(text, "refresh: 1s", settings, 1)})
	s.login(t, vault)
	change(s)
	s.deskmint = begin(t, filepath.Join(s.dir, "deskmint.yaml"))
	return s
}

// login makes the service a role at a Vault, and writes down what it logs in with.
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

// signs holds both transports to a version and its secret.
func (s *vaultServer) signs(t *testing.T, version uint32, secret string) {
	t.Helper()
	got := s.mint(t, s.key, "acme-customers")
	if got.status != http.StatusOK || got.signed != version {
		t.Fatalf("%d %s, want version %d", got.status, got.body, version)
	}
	claims(t, got.token, secret)
}

// refuses holds both transports to a reason.
func (s *vaultServer) refuses(t *testing.T, reason string) {
	t.Helper()
	if got := s.mint(t, s.key, "acme-customers"); got.reason != reason || got.token != "" || strings.Contains(got.body, s.path) {
		t.Fatalf("%d %s, want %s", got.status, got.body, reason)
	}
}

// refresh asks the service to refresh a secret, and checks the version that it finds.
func (s *vaultServer) refresh(t *testing.T, active int, state string) {
	t.Helper()
	got := s.post(t, s.key, "/v1/configurations/acme-customers:refreshSecret", "{}")
	var said struct {
		After struct {
			ActiveVersion int
			State         string
		}
	}
	if err := json.Unmarshal([]byte(got.body), &said); err != nil || said.After.ActiveVersion != active || said.After.State != "SECRET_STATE_"+state {
		t.Errorf("refresh: %d %s, want version %d %s", got.status, got.body, active, state)
	}
}

// quiet searches all that the service has shown.
func (s *vaultServer) quiet(t *testing.T) {
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
		t.Error("the metrics don't tell of the store's clock")
	}
	shows(t, false, measured+readAnswer(t, ready).body, firstSecret, secondSecret, shortSecret, s.key, tokenStart)
	s.silent(t, firstSecret, secondSecret, shortSecret, s.key, s.vault.RootToken, "hvs.")
}

// scope is a test whose clean-ups may come before its end.
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
