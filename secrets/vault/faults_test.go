package vault_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/secrets/vault/toxic"
	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
)

// fault is one row of docs/faults.md. It happens to a secret with version 1 active, and has the
// expected reaction of a keyring.
type fault struct {
	name string
	// mount is the mount of the source. If it is empty, it is the one that has the secret.
	mount string
	// configure changes the settings and options of the source before it is made.
	configure func(*testing.T, *faultEnv, *vault.Settings, *vault.Options)
	begin     func(*testing.T, *faultEnv)
	// afterRefresh is the error of Get after one refresh, and afterMaxStale after another refresh
	// beyond max_stale. Nil means that version 1 still signs.
	afterRefresh, afterMaxStale error
	says                        string // in the Fault of the state; empty: there is no fault
	logins                      int    // the minimum number of logins, including the first
	end                         func(*testing.T, *faultEnv)
	after                       secrets.Version // signs soon after end, by Run alone; zero: not tested
	value                       string          // the secret of version after
	timeout                     time.Duration   // of a request, if the fault makes requests time out
}

// faultEnv is a keyring that refreshes often, through a proxy to a real Vault. Its path, policy and
// role have the fault's name. No other test uses them.
type faultEnv struct {
	server         *vaulttest.Server
	proxy          *toxic.Proxy
	front          *frontProxy // of faults that need one
	ring           *secrets.Keyring
	ref            secrets.Ref
	name           string
	roleID         string
	credential     string
	credentialFile string
	tokens         offsetClock        // the source's clock
	ages           offsetClock        // the keyring's clock
	results        secretstest.Buffer // every error that was returned
	log            secretstest.Buffer
	stop           func()
}

// offsetClock is the real clock plus an offset that tests increase. With a clock that doesn't run,
// a retry after a pause would never happen.
type offsetClock struct{ by atomic.Int64 }

func (s *offsetClock) Now() time.Time      { return time.Now().Add(time.Duration(s.by.Load())) }
func (s *offsetClock) add(d time.Duration) { s.by.Add(int64(d)) }

func faults() []fault {
	return slices.Concat(networkFaults(), nameFaults(), accessFaults(), loginFaults(), versionFaults(),
		valueFaults(), mountFaults())
}

// TestFaultsAreListed checks that the table in docs/faults.md has a row for each fault.
func TestFaultsAreListed(t *testing.T) {
	table, err := os.ReadFile("../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults() {
		if n := strings.Count(string(table), "| `"+f.name+"` |"); n != 1 {
			t.Errorf("docs/faults.md has %d lines for %q, want one", n, f.name)
		}
	}
}

func TestFaults(t *testing.T) {
	server := vaulttest.Start(t)
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) { f.run(t, server) })
	}
}

// TestFaultsSealed starts a separate Vault, because it needs the key to unseal it.
func TestFaultsSealed(t *testing.T) {
	node := vaulttest.StartCluster(t, 1).Nodes[0]
	f := fault{
		name:          "sealed",
		begin:         func(t *testing.T, _ *faultEnv) { node.Seal(t) },
		afterMaxStale: secrets.ErrUnavailable, says: "sealed, starting, or without a leader (503)",
		end: func(t *testing.T, _ *faultEnv) { node.Unseal(t) }, after: 1, value: first,
	}
	f.run(t, &node.Server)
}

func (f fault) run(t *testing.T, server *vaulttest.Server) {
	s := newFaultEnv(t, server, f)
	if f.mount == "" {
		s.signs(t, 1, first)
	}
	if f.begin != nil {
		f.begin(t, s)
	}
	s.refresh(t)
	s.gets(t, "after one refresh", f.afterRefresh)
	switch state, _ := s.ring.State(s.ref); {
	case f.says != "":
		secretstest.CheckErrorText(t, state.Fault, f.says)
	case state.Fault != nil:
		t.Errorf("a fault: %v", state.Fault)
	}
	s.ages.add(secrets.DefaultMaxStale + time.Hour)
	s.refresh(t)
	s.gets(t, "beyond max_stale", f.afterMaxStale)
	if f.end != nil {
		f.end(t, s)
		s.signs(t, f.after, f.value)
	}
	s.stop()
	if n := strings.Count(s.log.String(), "logged in to Vault"); n < f.logins {
		t.Errorf("%d logins, want %d: %s", n, f.logins, s.log.String())
	}
	for _, text := range []string{s.results.String(), s.log.String()} {
		if what := findLeak(text, s.credential); what != "" {
			t.Errorf("%s is leaked: %s", what, text)
		}
	}
}

// newFaultEnv returns when the keyring holds the secret or has a fault.
func newFaultEnv(t *testing.T, server *vaulttest.Server, f fault) *faultEnv {
	t.Helper()
	name := strings.ReplaceAll(f.name, " ", "-")
	s := &faultEnv{
		server: server, name: name,
		proxy: toxic.New(t, strings.TrimPrefix(server.Addr, "http://")),
		ref:   secrets.Ref{Path: "sso/" + name, Field: "shared_secret"},
	}
	s.permit(t)
	s.put(t, first)
	roleID, credential := server.AppRole(t, name, "1h", name)
	s.roleID, s.credential, s.credentialFile = roleID, credential, credentialFile(t, credential)
	log := secretstest.NewLog(&s.log)
	settings := vault.Settings{
		Addresses: []string{"http://" + s.proxy.Address},
		Mount:     f.mount,
		Auth:      vault.Auth{Method: "approle", RoleID: roleID, SecretIDFile: s.credentialFile},
	}
	options := vault.Options{Timeout: f.timeout, Now: s.tokens.Now, Log: log}
	if f.configure != nil {
		f.configure(t, s, &settings, &options)
	}
	s.ring = secrets.NewKeyring(
		secrets.Options{
			Source:  newSource(t, settings, options),
			Refresh: 50 * time.Millisecond,
			MaxRate: 1000,
			Now:     s.ages.Now,
			Log:     log,
		},
	)
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.ring.Warm(ctx, s.ref); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.ring.Run(ctx) // the only error is that of ctx
	}()
	s.stop = func() { cancel(); <-ended }
	t.Cleanup(s.stop)
	return s
}

// permit lets the role read its own secret, at any mount.
func (s *faultEnv) permit(t *testing.T) {
	t.Helper()
	s.server.Policy(t, s.name, fmt.Sprintf(`path "+/+/%s" { capabilities = ["read"] }`, s.ref.Path))
}

func (s *faultEnv) put(t *testing.T, value string) {
	t.Helper()
	s.server.Put(t, s.ref.Path, map[string]string{s.ref.Field: value})
}

// refresh refreshes once, in addition to Run. The fault is then in the state.
func (s *faultEnv) refresh(t *testing.T) {
	t.Helper()
	_, _, err := s.ring.Refresh(t.Context(), s.ref)
	state, _ := s.ring.State(s.ref)
	fmt.Fprintf(&s.results, "%v %#v\n%v %+v\n", err, err, state.Fault, state)
}

// gets fails the test unless Get returns the error want. If want is nil, version 1 must sign.
func (s *faultEnv) gets(t *testing.T, when string, want error) {
	t.Helper()
	held, err := s.ring.Get(s.ref, 0)
	fmt.Fprintf(&s.results, "%v %#v %+v\n", err, err, held)
	var unavailable *secrets.UnavailableError
	switch {
	case want == nil && err != nil:
		t.Errorf("%s: %v, want version 1 to sign", when, err)
	case !errors.Is(err, want):
		t.Errorf("%s: %v, want %v", when, err, want)
	case errors.As(err, &unavailable) && unavailable.RetryAfter <= 0:
		t.Errorf("%s: the error has no RetryAfter", when)
	case want == nil:
		key, _ := held.Key(0)
		if secretstest.CheckKey(t, key, first); key.Version() != 1 {
			t.Errorf("%s: %v signs, want 1", when, key)
		}
	}
}

// signs waits until Run alone has found version v active and no fault.
func (s *faultEnv) signs(t *testing.T, v secrets.Version, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		held, err := s.ring.Get(s.ref, 0)
		state, _ := s.ring.State(s.ref)
		if err == nil && state.Fault == nil && held.Status.Active == v {
			key, _ := held.Key(0)
			secretstest.CheckKey(t, key, value)
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("version %d doesn't sign in the end: %v, fault %v", v, err, state.Fault)
		}
	}
}

// findLeak returns the part of text that is a secret, one of more, or a Vault token.
func findLeak(text string, more ...string) string {
	text = strings.ToLower(text)
	for _, secret := range append(more, first, second, third, canary[:18], "hvs.") {
		for _, form := range []string{
			secret,
			hex.EncodeToString([]byte(secret)),
			base64.RawStdEncoding.EncodeToString([]byte(secret)),
		} {
			if form != "" && strings.Contains(text, strings.ToLower(form)) {
				return form
			}
		}
	}
	return ""
}

func TestFaultsLeaksAreFound(t *testing.T) {
	for _, text := range []string{
		"a" + first,
		strings.ToUpper(second),
		hex.EncodeToString([]byte("a" + third)),
		base64.StdEncoding.EncodeToString([]byte(canary)),
		"token hvs.CAES",
	} {
		if findLeak(text) == "" {
			t.Errorf("%q passes", text)
		}
	}
	if what := findLeak("vault: reading secret/data/sso/acme version 1: no answer in time"); what != "" {
		t.Error(what)
	}
}
