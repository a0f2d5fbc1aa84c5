package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
)

func TestLoginMethods(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "token-of-the-environment")
	for _, tc := range []struct {
		name   string
		auth   vault.Auth
		path   string
		fields map[string]string
		token  string // of the reads
	}{
		{
			"approle",
			vault.Auth{Method: "approle", RoleID: "r", SecretIDFile: credentialFile(t, "s\n")},
			"auth/approle/login", map[string]string{"role_id": "r", "secret_id": "s"}, "t1",
		},
		{
			"approle elsewhere",
			vault.Auth{
				Method: "approle", Mount: "teams/sso",
				RoleIDFile: credentialFile(t, " r "), SecretIDFile: credentialFile(t, "s"),
			},
			"auth/teams/sso/login", map[string]string{"role_id": "r", "secret_id": "s"}, "t1",
		},
		{
			"kubernetes",
			vault.Auth{Method: "kubernetes", Role: "deskmint", JWTFile: credentialFile(t, "a.b.c")},
			"auth/kubernetes/login", map[string]string{"role": "deskmint", "jwt": "a.b.c"}, "t1",
		},
		{
			"jwt",
			vault.Auth{Method: "jwt", Mount: "ci", Role: "deskmint", JWTFile: credentialFile(t, "a.b.c\r\n")},
			"auth/ci/login", map[string]string{"role": "deskmint", "jwt": "a.b.c"}, "t1",
		},
		{
			"token of a file",
			vault.Auth{Method: "token", TokenFile: credentialFile(t, "hvs.file\n")}, "auth/token/lookup-self",
			nil, "hvs.file",
		},
		{
			"token of the environment",
			vault.Auth{Method: "token"}, "auth/token/lookup-self", nil, "token-of-the-environment",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFakeVault(t)
			source := newSource(t, vault.Settings{Addresses: []string{f.URL}, Auth: tc.auth}, vault.Options{})
			if _, err := source.Status(t.Context(), acme.Path); err != nil {
				t.Fatal(err)
			}
			if len(f.requests) != 2 {
				t.Fatalf("requests %+v", f.requests)
			}
			login, read := f.requests[0], f.requests[1]
			if login.path != tc.path || !maps.Equal(login.body, tc.fields) {
				t.Errorf("logged in at %s with %v", login.path, login.body)
			}
			if want := map[bool]string{true: tc.token}[tc.auth.Method == "token"]; login.token != want {
				t.Errorf("logged in bearing the token %q, want %q", login.token, want)
			}
			if read.token != tc.token {
				t.Errorf("read as %q, want %q", read.token, tc.token)
			}
		})
	}
}

// TestLoginsThatFail checks that every failed login means that the store is unavailable. The error
// says where and why the login failed. The next login happens after a pause.
func TestLoginsThatFail(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "")
	missing := credentialFile(t, "") + "-missing"
	for _, tc := range []struct {
		name string
		auth vault.Auth
		code int
		says []string
	}{
		{
			"refused",
			vault.Auth{Method: "approle", RoleID: "r", SecretIDFile: credentialFile(t, "s")}, 400,
			[]string{"auth/approle/login", "(400)", "check the role and the credential"},
		},
		{
			"forbidden, as by Kubernetes",
			vault.Auth{Method: "kubernetes", Role: "r", JWTFile: credentialFile(t, "j")}, 403,
			[]string{"auth/kubernetes/login", "(403)"},
		},
		{
			"wrong mount",
			vault.Auth{Method: "jwt", Mount: "x", Role: "r", JWTFile: credentialFile(t, "j")}, 404,
			[]string{"auth/x/login", "(404)", "auth.mount"},
		},
		{"sealed", vault.Auth{Method: "jwt", Role: "r", JWTFile: credentialFile(t, "j")}, 503, []string{"sealed"}},
		{
			"an answer without a token",
			vault.Auth{Method: "jwt", Role: "r", JWTFile: credentialFile(t, "j")}, 200, []string{"no token"},
		},
		{
			"wrong token",
			vault.Auth{Method: "token", TokenFile: credentialFile(t, canary)}, 403,
			[]string{"auth/token/lookup-self", "check the credential"},
		},
		{"no token at all", vault.Auth{Method: "token"}, 0, []string{"VAULT_TOKEN is empty"}},
		{
			"no file",
			vault.Auth{Method: "approle", RoleIDFile: missing, SecretIDFile: missing}, 0,
			[]string{"role_id_file", "secret_id_file", missing},
		},
		{
			"empty file",
			vault.Auth{Method: "jwt", Role: "r", JWTFile: credentialFile(t, " \n")}, 0,
			[]string{"jwt_file", "is empty"},
		},
		{
			"two lines in the file",
			vault.Auth{Method: "approle", RoleID: "r", SecretIDFile: credentialFile(t, canary+"\n"+canary)}, 0,
			[]string{"secret_id_file", "white space"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, now := newFakeVault(t), newClock()
			for _, path := range []string{
				"auth/approle/login", "auth/kubernetes/login", "auth/jwt/login", "auth/x/login",
				"auth/token/lookup-self",
			} {
				f.answers[path] = reply{tc.code, `{"errors": ["` + canary + `"]}`}
			}
			source := newSource(t, vault.Settings{Addresses: []string{f.URL}, Auth: tc.auth},
				vault.Options{Now: now.Now})
			for range 5 {
				_, err := source.Status(t.Context(), acme.Path)
				checkUnavailable(t, err)
				secretstest.CheckErrorText(t, err, tc.says...)
				if errors.Is(err, fs.ErrPermission) {
					t.Errorf("%v could be taken for a refusal", err)
				}
			}
			sent := len(f.requests)
			if want := min(tc.code, 1); sent != want {
				t.Errorf("%d requests, want %d", sent, want)
			}
			switch { // TestRefusedLogins checks these pauses
			case tc.auth.Method == "approle" && tc.code == 400:
				now.add(23 * time.Minute)
			case tc.code/100 == 4:
				now.add(7 * time.Second)
			default:
				now.add(2 * time.Second)
			}
			if _, err := source.Status(t.Context(), acme.Path); err == nil || len(f.requests) != 2*sent {
				t.Errorf("a while later: %v, %d requests", err, len(f.requests))
			}
			if n := f.count("secret/metadata/sso/acme"); n != 0 {
				t.Errorf("%d reads without a login", n)
			}
		})
	}
}

func TestFilesAreReadAtEachLogin(t *testing.T) {
	f, now := newFakeVault(t), newClock()
	s := appRole(t, f.URL)
	source := newSource(t, s, vault.Options{Now: now.Now})
	if _, err := source.Status(t.Context(), acme.Path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Auth.SecretIDFile, []byte("rotated"), 0o600); err != nil {
		t.Fatal(err)
	}
	now.add(time.Minute)
	f.set(func(f *fakeVault) { f.refused["t1"] = true })
	if _, err := source.Status(t.Context(), acme.Path); err != nil {
		t.Fatal(err)
	}
	var last request
	for _, r := range f.requests {
		if r.path == "auth/approle/login" {
			last = r
		}
	}
	if last.body["secret_id"] != "rotated" {
		t.Errorf("logged in with %v", last.body)
	}
}

func TestOneLoginForAll(t *testing.T) {
	f, now := newFakeVault(t), newClock()
	source := newSource(t, appRole(t, f.URL), vault.Options{Now: now.Now})
	readAll := func() {
		t.Helper()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := source.Status(t.Context(), acme.Path); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	readAll()
	if f.logins != 1 {
		t.Errorf("%d logins for 20 first reads", f.logins)
	}
	now.add(time.Minute)
	f.set(func(f *fakeVault) { f.refused["t1"] = true })
	readAll()
	if f.logins != 2 {
		t.Errorf("%d logins when the token was revoked, want one more", f.logins-1)
	}
}

// TestLoginContinuesWithoutItsCaller checks that a login continues for other callers if the first
// caller cancels.
func TestLoginContinuesWithoutItsCaller(t *testing.T) {
	f := newFakeVault(t)
	f.hold, f.arrived = make(chan struct{}), make(chan struct{}, 2)
	source := newSource(t, appRole(t, f.URL), vault.Options{Timeout: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := source.Status(ctx, acme.Path); first <- err }()
	<-f.arrived
	go func() { _, err := source.Status(t.Context(), acme.Path); second <- err }()
	cancel()
	if err := <-first; err == nil {
		t.Error("the first caller got an answer after cancelling")
	}
	close(f.hold)
	if err := <-second; err != nil {
		t.Errorf("the second caller: %v", err)
	}
	if f.logins != 1 {
		t.Errorf("%d logins", f.logins)
	}
}

func TestTokensAreRenewedAndReplaced(t *testing.T) {
	const lease = 1000 * time.Second
	for _, tc := range []struct {
		name  string
		fixed bool             // the token can't be renewed
		set   func(*fakeVault) // after half of the lease
		token string           // of a read at nine tenths of the lease
		path  string           // the path of the request that was sent then
		end   error            // of a read after the lease
	}{
		{"renewed", false, nil, "t1", "auth/token/renew-self", nil},
		{"not renewable", true, nil, "t2", "auth/approle/login", nil},
		{
			"renewal refused",
			false, func(f *fakeVault) { f.answers["auth/token/renew-self"] = reply{403, canary} }, "t2",
			"auth/approle/login", nil,
		},
		{"renewal gives little", false, func(f *fakeVault) {
			f.answers["auth/token/renew-self"] = reply{
				200, `{"auth": {"client_token": "t1", "lease_duration": 100, "renewable": true}}`,
			}
		}, "t2", "auth/approle/login", nil},
		{
			"renewal answers nonsense",
			false, func(f *fakeVault) { f.answers["auth/token/renew-self"] = reply{200, canary} }, "t2",
			"auth/approle/login", nil,
		},
		{"neither works, so the old token is used until it expires", false, func(f *fakeVault) {
			f.answers["auth/token/renew-self"] = reply{500, canary}
			f.answers["auth/approle/login"] = reply{503, canary}
		}, "t1", "auth/approle/login", errors.New("unavailable")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, now := newFakeVault(t), newClock()
			f.lease, f.fixed = int(lease.Seconds()), tc.fixed
			log := &strings.Builder{}
			source := newSource(t, appRole(t, f.URL), vault.Options{Now: now.Now, Log: secretstest.NewLog(log)})
			read := func(at time.Duration) error {
				now.add(at)
				_, err := source.Status(t.Context(), acme.Path)
				return err
			}
			if err := errors.Join(read(0), read(lease/2)); err != nil {
				t.Fatal(err)
			}
			if len(f.requests) != 3 {
				t.Fatalf("up to half of the lease, requests were %+v", f.requests)
			}
			if tc.set != nil {
				f.set(tc.set)
			}
			if err := read(lease * 4 / 10); err != nil {
				t.Fatal(err)
			}
			if got := f.last(); got.token != tc.token {
				t.Errorf("read as %s, want %s", got.token, tc.token)
			}
			if f.count(tc.path) == 0 {
				t.Errorf("no request for %s", tc.path)
			}
			if err := read(2 * lease / 10); (err == nil) != (tc.end == nil) {
				t.Errorf("after the first lease: %v, want %v", err, tc.end)
			} else if err != nil {
				checkUnavailable(t, err)
			}
			if strings.Contains(log.String(), canary) || strings.Contains(log.String(), "t1") ||
				strings.Contains(log.String(), "t2") {
				t.Errorf("the log shows a token or an answer: %s", log)
			}
		})
	}
}

func TestTokenWithoutLease(t *testing.T) {
	f, now := newFakeVault(t), newClock()
	f.lease = 0
	source := newSource(t, appRole(t, f.URL), vault.Options{Now: now.Now})
	for range 3 {
		if _, err := source.Status(t.Context(), acme.Path); err != nil {
			t.Fatal(err)
		}
		now.add(1000 * time.Hour)
	}
	if f.logins != 1 || f.count("auth/token/renew-self") != 0 {
		t.Errorf("%d logins, %d renewals", f.logins, f.count("auth/token/renew-self"))
	}
}

func TestTokenCantBePrinted(t *testing.T) {
	f := newFakeVault(t)
	s := appRole(t, f.URL)
	s.Auth = vault.Auth{Method: "token", TokenFile: credentialFile(t, canary)}
	source := newSource(t, s, vault.Options{})
	if _, err := source.Status(t.Context(), acme.Path); err != nil {
		t.Fatal(err)
	}
	if got := f.last(); got.token != canary {
		t.Fatalf("read as %q", got.token)
	}
	// %s and %x would read the mutexes of logins that may be in progress.
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		for _, v := range []any{source, *source, struct{ s *vault.Source }{source}} {
			if out := fmt.Sprintf(verb, v); strings.Contains(out, canary) {
				t.Errorf("%s shows the token", verb)
			}
		}
	}
}
