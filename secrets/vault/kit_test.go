package vault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
)

// canary is the secret. It is in every answer that an error might quote.
const canary = secretstest.Canary

var acme = secrets.Ref{Path: "sso/acme", Field: "shared_secret"}

// fakeVault is an HTTP server that replaces Vault. Each test sets its answers.
type fakeVault struct {
	*httptest.Server

	mu       sync.Mutex
	answers  map[string]reply // by path without /v1/; absent: a 404 like that of Vault
	requests []request
	refused  map[string]bool // tokens for which every request is answered with 403
	logins   int             // the number of tokens that were issued: t1, t2, …
	lease    int             // seconds, of the next token
	fixed    bool            // tokens are not renewable
	date     string          // of the answers; empty: the real date, "-": no date
	hold     chan struct{}   // if set, logins send to arrived and then wait for it
	arrived  chan struct{}
}

type reply struct {
	status int
	body   string
}

type request struct {
	method, path, query, token string
	header                     http.Header
	body                       map[string]string
}

func newFakeVault(t testing.TB) *fakeVault {
	f := &fakeVault{answers: map[string]reply{}, refused: map[string]bool{}, lease: 3600}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	f.answers["secret/metadata/sso/acme"] = reply{200, metadata(2, "", `{}`)}
	f.answers["secret/data/sso/acme"] = reply{200, data(2, fmt.Sprintf(`{"shared_secret": %q}`, canary))}
	return f
}

// metadata returns an answer with n versions. The text more is inserted after the creation time of
// the last version.
func metadata(n int, more, custom string) string {
	var versions []string
	for v := 1; v <= n; v++ {
		deletion := `"deletion_time": "", "destroyed": false`
		if v == n && more != "" {
			deletion = more
		}
		versions = append(versions,
			fmt.Sprintf(`"%d": {"created_time": "2026-01-0%dT09:00:00.123456789Z", %s}`, v, v, deletion))
	}
	return fmt.Sprintf(
		`{"data": {"current_version": %d, "custom_metadata": %s, "versions": {%s}, "max_versions": 0}, "note": %q}`,
		n, custom, strings.Join(versions, ","), canary)
}

func data(version int, fields string) string {
	return fmt.Sprintf(
		`{"data": {"data": %s, "metadata": {"version": %d, "created_time": "2026-01-01T09:00:00Z", `+
			`"deletion_time": "", "destroyed": false}}}`,
		fields,
		version,
	)
}

func (f *fakeVault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	got := request{
		method: r.Method,
		path:   path,
		query:  r.URL.RawQuery,
		token:  r.Header.Get("X-Vault-Token"),
		header: r.Header,
	}
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &got.body)

	f.mu.Lock()
	f.requests = append(f.requests, got)
	answer, known := f.answers[path]
	hold := f.hold
	switch f.date {
	case "":
	case "-":
		w.Header()["Date"] = nil
	default:
		w.Header().Set("Date", f.date)
	}
	switch {
	case f.refused[got.token]:
		answer = reply{403, `{"errors": ["permission denied", "` + canary + `"]}`}
	case known:
	case path == "sys/capabilities-self":
		answer = reply{200, f.capabilities(body)}
	case strings.HasSuffix(path, "/login") || path == "auth/token/renew-self":
		if strings.HasSuffix(path, "/login") {
			f.logins++
		}
		answer = reply{
			200,
			fmt.Sprintf(`{"auth": {"client_token": "t%d", "lease_duration": %d, "renewable": %v}}`, f.logins,
				f.lease, !f.fixed),
		}
	case path == "auth/token/lookup-self":
		answer = reply{200, fmt.Sprintf(`{"data": {"ttl": %d, "renewable": %v, "id": %q}}`, f.lease, !f.fixed, canary)}
	default:
		answer = reply{404, `{"errors": []}`}
	}
	f.mu.Unlock()
	if hold != nil && strings.HasSuffix(path, "/login") {
		f.arrived <- struct{}{}
		<-hold
	}
	w.WriteHeader(answer.status)
	_, _ = io.WriteString(w, answer.body)
}

// capabilities returns Vault's answer to a token that may read everything that isn't answered with
// 403.
func (f *fakeVault) capabilities(body []byte) string {
	var request struct{ Paths []string }
	_ = json.Unmarshal(body, &request)
	granted := map[string][]string{}
	for _, path := range request.Paths {
		if granted[path] = []string{"read"}; f.answers[path].status == 403 {
			granted[path] = []string{"deny"}
		}
	}
	text, _ := json.Marshal(map[string]any{"data": granted, "note": canary})
	return string(text)
}

func (f *fakeVault) set(change func(*fakeVault)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// count returns the number of requests for this path.
func (f *fakeVault) count(path string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.requests {
		if r.path == path {
			n++
		}
	}
	return n
}

func (f *fakeVault) last() request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[len(f.requests)-1]
}

// roundTrip is a function that implements http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

// credentialFile writes a credential to a new file and returns its path.
func credentialFile(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credential")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func appRole(t testing.TB, addresses ...string) vault.Settings {
	t.Helper()
	return vault.Settings{
		Addresses: addresses,
		Auth:      vault.Auth{Method: "approle", RoleID: "role", SecretIDFile: credentialFile(t, "secret-id\n")},
	}
}

func newSource(t testing.TB, s vault.Settings, o vault.Options) *vault.Source {
	t.Helper()
	source, err := vault.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// checkUnavailable fails the test if err is nil or of a kind that describes the state of the
// secret.
func checkUnavailable(t testing.TB, err error) {
	t.Helper()
	kinds := []error{secrets.ErrNotFound, secrets.ErrDeleted, secrets.ErrDenied, secrets.ErrUnusable}
	if err == nil || slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) }) {
		t.Errorf("%v doesn't mean that the store is unavailable", err)
	}
}
