package vault_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
)

// refusals is a source whose logins are refused, with a clock.
type refusals struct {
	*fakeVault
	*clock

	source *vault.Source
	auth   vault.Auth
	log    strings.Builder
}

func newRefusals(t *testing.T, auth vault.Auth, status int) *refusals {
	t.Helper()
	r := &refusals{fakeVault: newFakeVault(t), clock: newClock(), auth: auth}
	r.refuse(status)
	r.source = newSource(t, vault.Settings{Addresses: []string{r.URL}, Auth: auth},
		vault.Options{Now: r.Now, Log: secretstest.NewLog(&r.log)})
	return r
}

// path returns the path of the logins.
func (r *refusals) path() string {
	if r.auth.Method == "token" {
		return "auth/token/lookup-self"
	}
	return "auth/" + r.auth.Method + "/login"
}

// refuse answers logins with status, or accepts them if it is zero.
func (r *refusals) refuse(status int) {
	r.set(func(f *fakeVault) {
		if delete(f.answers, r.path()); status != 0 {
			f.answers[r.path()] = reply{status, `{"errors": ["` + canary + `"]}`}
		}
	})
}

// attempts reads every step for a time, and returns the times between the logins.
func (r *refusals) attempts(t *testing.T, step, d time.Duration) (gaps []time.Duration) {
	t.Helper()
	var last time.Time
	for end := r.Now().Add(d); r.Now().Before(end); r.add(step) {
		before := r.count(r.path())
		if err := r.read(t); err == nil {
			t.Fatal("the login isn't refused")
		}
		switch n := r.count(r.path()) - before; {
		case n > 1:
			t.Fatalf("%d logins by one read", n)
		case n == 1 && !last.IsZero():
			gaps = append(gaps, r.Now().Sub(last))
			fallthrough
		case n == 1:
			last = r.Now()
		}
	}
	return gaps
}

func (r *refusals) read(t *testing.T) error {
	t.Helper()
	_, err := r.source.Status(t.Context(), acme.Path)
	if err != nil {
		checkUnavailable(t, err)
		secretstest.CheckErrorText(t, err, r.path())
	}
	return err
}

// TestRefusedAppRoleLogins checks the pause after a login that Vault refused. Vault locks the role
// after five such logins with less than 15 minutes between them.
func TestRefusedAppRoleLogins(t *testing.T) {
	for _, status := range []int{400, 403} {
		r := newRefusals(t, vault.Auth{Method: "approle", RoleID: "r", SecretIDFile: credentialFile(t, "s")}, status)
		gaps := r.attempts(t, 5*time.Second, 24*time.Hour)
		if low := slices.Min(gaps); low <= 15*time.Minute {
			t.Errorf("%d: logins %v apart: five of them would lock the role", status, low)
		}
		if high := slices.Max(gaps); high > 22*time.Minute+35*time.Second {
			t.Errorf("%d: logins %v apart, want at most 22.5 minutes", status, high)
		}
		if slices.Max(gaps)-slices.Min(gaps) < time.Minute {
			t.Errorf("%d: replicas would log in at the same time: %v", status, gaps)
		}
		if text := r.log.String(); strings.Count(text, "lock the role for every replica") != len(gaps)+1 ||
			!strings.Contains(text, "SIGHUP") || strings.Contains(text, canary) {
			t.Errorf("%d: the log has %s", status, text)
		}
		err := r.read(t)
		if says := strings.Contains(err.Error(), "sys/locked-users"); says != (status == 403) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// TestRefusedLogins checks the pause after a refused login by another method.
func TestRefusedLogins(t *testing.T) {
	for _, auth := range []vault.Auth{
		{Method: "token", TokenFile: credentialFile(t, "t")},
		{Method: "jwt", Role: "r", JWTFile: credentialFile(t, "j")},
		{Method: "kubernetes", Role: "r", JWTFile: credentialFile(t, "j")},
	} {
		r := newRefusals(t, auth, 403)
		for i, gap := range r.attempts(t, time.Second, 10*time.Minute) {
			want := min(5*time.Second<<min(i, 10), time.Minute)
			if gap < want*8/10 || gap > want*12/10+time.Second {
				t.Errorf("%s: login %d came %v after the one before, want %v ± 20 %%", auth.Method, i+2, gap, want)
			}
		}
	}
}

// TestUnansweredLogins checks that a Vault that can't serve is asked again soon, by every method.
func TestUnansweredLogins(t *testing.T) {
	for _, status := range []int{429, 473, 500, 503} {
		r := newRefusals(t, vault.Auth{Method: "approle", RoleID: "r", SecretIDFile: credentialFile(t, "s")}, status)
		if gaps := r.attempts(t, 500*time.Millisecond, time.Minute); slices.Max(gaps) != time.Second {
			t.Errorf("%d: logins are %v apart, want a second", status, gaps)
		}
	}
}

// TestRefusedLoginEnds checks what ends the pause after a refused login.
func TestRefusedLoginEnds(t *testing.T) {
	files := []string{credentialFile(t, "role"), credentialFile(t, "secret")}
	for _, auth := range []vault.Auth{
		{Method: "approle", RoleIDFile: files[0], SecretIDFile: files[1]},
		{Method: "jwt", Role: "r", JWTFile: files[1]},
		{Method: "token", TokenFile: files[1]},
	} {
		for name, end := range map[string]func(*refusals){
			"another credential": func(*refusals) { writeFile(t, files[1], "another") },
			"another credential, reloaded": func(r *refusals) {
				writeFile(t, files[1], "another")
				if !r.source.Reload(false) {
					t.Error("the change isn't reported")
				}
			},
			"SIGHUP": func(r *refusals) { r.source.Reload(true) },
		} {
			t.Run(auth.Method+", "+name, func(t *testing.T) {
				writeFile(t, files[1], "secret")
				r := newRefusals(t, auth, 400)
				for range 3 { // no pause is left of the earlier refusals
					_ = r.read(t)
					r.source.Reload(true)
				}
				_ = r.read(t)
				writeFile(t, files[1], "secret\n") // the same, written again
				r.source.Reload(false)
				before := r.count(r.path())
				r.refuse(0)
				if err := r.read(t); err == nil || r.count(r.path()) != before {
					t.Fatalf("without a change: %v, %d logins", err, r.count(r.path())-before)
				}
				if end(r); r.read(t) != nil {
					t.Error("no login")
				}
			})
		}
	}
	r := newRefusals(t, vault.Auth{Method: "approle", RoleIDFile: files[0], SecretIDFile: files[1]}, 400)
	_ = r.read(t)
	r.refuse(0)
	if writeFile(t, files[0], "another"); r.read(t) != nil {
		t.Error("no login with another role id")
	}
}

// TestRenewalWhileLoginWaits checks that a refused AppRole login doesn't put off the renewal of a
// token that is still valid.
func TestRenewalWhileLoginWaits(t *testing.T) {
	r := newRefusals(t, vault.Auth{Method: "approle", RoleID: "r", SecretIDFile: credentialFile(t, "s")}, 0)
	if err := r.read(t); err != nil {
		t.Fatal(err)
	}
	r.refuse(400)
	r.set(func(f *fakeVault) { f.answers["auth/token/renew-self"] = reply{503, canary} })
	r.add(50 * time.Minute)
	if err := r.read(t); err != nil { // with the old token
		t.Fatal(err)
	}
	r.set(func(f *fakeVault) { delete(f.answers, "auth/token/renew-self") })
	r.add(5 * time.Minute)
	if err := r.read(t); err != nil || !strings.Contains(r.log.String(), "Vault token renewed") {
		t.Errorf("%v, log %s", err, &r.log)
	}
	if n := r.count(r.path()); n != 2 {
		t.Errorf("%d logins, want the first and one that was refused", n)
	}
}

// TestLimitedUses checks that a token that Vault refuses after some requests isn't accepted. The
// refusal would be the same as that after the loss of a permission.
func TestLimitedUses(t *testing.T) {
	role := newRefusals(t, vault.Auth{Method: "approle", RoleID: "r", SecretIDFile: credentialFile(t, "s")}, 0)
	role.set(func(f *fakeVault) {
		f.answers[role.path()] = reply{200, `{"auth": {"client_token": "few", "lease_duration": 60, "num_uses": 3}}`}
	})
	err := role.read(t)
	checkUnavailable(t, err)
	secretstest.CheckErrorText(t, err, "limit of uses (3)", "set token_num_uses of the role to 0")
	if r := role.last(); r.path != "auth/token/revoke-self" || r.token != "few" {
		t.Errorf("the token stays in Vault; the last request was for %s", r.path)
	}
	if gaps := role.attempts(t, time.Second, 10*time.Minute); slices.Max(gaps) > 73*time.Second {
		t.Errorf("logins are %v apart: this lock needs no care, because Vault accepts them", gaps)
	}

	token := newRefusals(t, vault.Auth{Method: "token", TokenFile: credentialFile(t, "few")}, 0)
	token.set(func(f *fakeVault) {
		f.answers[token.path()] = reply{200, `{"data": {"ttl": 60, "renewable": true, "num_uses": 2}}`}
	})
	err = token.read(t)
	checkUnavailable(t, err)
	secretstest.CheckErrorText(t, err, "limit of uses (2)")
	if n := len(token.requests); n != 1 {
		t.Errorf("%d requests, want one: %v", n, fmt.Sprint(token.last().path))
	}

	t.Setenv("VAULT_TOKEN", "few") // of an operator, for one command
	w, err := vault.NewWriter(vault.Settings{Addresses: []string{token.URL}}, vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Observe(t.Context(), acme.Path); err != nil && strings.Contains(err.Error(), "limit of uses") {
		t.Errorf("a command can't use the token: %v", err)
	}
}
