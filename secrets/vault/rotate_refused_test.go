package vault_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/rotate"
	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
)

func rotatePruning(t *testing.T, server *vaulttest.Server, settings vault.Settings) {
	ctx := t.Context()
	value := func(n int) []byte { return fmt.Appendf(nil, "%s-%02d", first, n) }

	// By default version 1 stays active while nine more are staged. A tenth would drop it.
	r := rotator(t, settings, "sso/pruned")
	for n := 1; n <= 10; n++ {
		secretstest.Must(r.Stage(ctx, value(n)))(t)
	}
	_, err := r.Stage(ctx, value(11))
	secretstest.CheckError(t, err, rotate.ErrRefused,
		"max_versions is 10", "drop version 1, the active one", "max_versions to 11")
	if s, err := r.Store.Status(ctx, r.Ref.Path); err != nil || s.Latest != 10 || len(s.Versions) != 10 {
		t.Errorf("%+v, %v", s, err)
	}
	server.Do(t, "PATCH", "secret/metadata/sso/pruned", map[string]any{"max_versions": 11})
	secretstest.Must(r.Stage(ctx, value(11)))(t)
	_, err = r.Stage(ctx, value(12))
	secretstest.CheckError(t, err, rotate.ErrRefused, "max_versions is 11")

	// A write without the check drops version 1, as the refusal says.
	server.Put(t, "sso/pruned", map[string]string{"shared_secret": string(value(12))})
	if s, err := r.Store.Status(ctx, r.Ref.Path); err != nil || len(s.Versions) != 11 || s.Versions[0].Version != 2 {
		t.Errorf("%+v, %v", s, err)
	}

	// Both the secret and the mount set max_versions.
	server.Do(t, "POST", "secret/metadata/sso/two", map[string]any{"max_versions": 2})
	r = rotator(t, settings, "sso/two")
	secretstest.Must(r.Stage(ctx, value(1)))(t)
	secretstest.Must(r.Replace(ctx, value(2)))(t)
	_, err = r.Stage(ctx, value(3))
	secretstest.CheckError(t, err, rotate.ErrRefused, "max_versions is 2", "drop version 1, the previous one")

	server.Do(t, "POST", "sys/mounts/small", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}})
	server.Do(t, "POST", "small/config", map[string]any{"max_versions": 1})
	settings.Mount = "small"
	t.Setenv("VAULT_TOKEN", server.RootToken)
	r = rotator(t, settings, "sso/acme")
	secretstest.Must(r.Stage(ctx, value(1)))(t)
	_, err = r.Stage(ctx, value(2))
	secretstest.CheckError(t, err, rotate.ErrRefused, "vault: small/metadata/sso/acme", "max_versions is 1",
		"drop version 1, the active one")
}

// rotatePolicies removes one capability at a time. The act must fail, the error must contain the
// capability and its path, and no act may be done in part without an error that says so.
func rotatePolicies(t *testing.T, server *vaulttest.Server, settings vault.Settings) {
	all := operatorPolicy(t)
	server.Put(t, "sso/small", map[string]string{"shared_secret": first})
	server.Put(t, "sso/small", map[string]string{"shared_secret": second})
	server.PatchMetadata(t, "sso/small", map[string]string{"active_version": "1", "serial": "1"})
	server.Put(t, "sso/unpinned", map[string]string{"shared_secret": first})
	for i, tc := range []struct {
		without string // in the policy
		act     func(*testing.T) error
		says    []string
	}{
		{`"create", `, func(t *testing.T) error {
			_, err := rotator(t, settings, "sso/never").Stage(t.Context(), []byte(third))
			return err
		}, []string{"you may not write version 1", `the capability "create" on secret/data/sso/never`}},
		{`, "update"`, func(t *testing.T) error {
			_, err := rotator(t, settings, "sso/small").Stage(t.Context(), []byte(third))
			return err
		}, []string{"you may not write version 3", `the capability "update" on secret/data/sso/small`}},
		{`"read", "update"`, func(t *testing.T) error {
			_, err := rotator(t, settings, "sso/small").Stage(t.Context(), []byte(third))
			return err
		}, []string{"secret/data/sso/small version 1", `the capability "read" on secret/data/sso/small`}},
		{`"read", "update"`, func(t *testing.T) error {
			_, err := rotator(t, settings, "sso/small").Activate(t.Context(), 0)
			return err
		}, []string{"version 2 can't be used to sign", `the capability "read" on secret/data/sso/small`}},
		{`, "patch"`, func(t *testing.T) error {
			_, err := rotator(t, settings, "sso/small").Activate(t.Context(), 0)
			return err
		}, []string{"you may not make version 2 active", `the capability "patch" on secret/metadata/sso/small`}},
		{`, "patch"`, func(t *testing.T) error {
			_, err := rotator(t, settings, "sso/unpinned").Stage(t.Context(), []byte(third))
			return err
		}, []string{"you may not pin version 1", `the capability "patch" on secret/metadata/sso/unpinned`}},
		{`, "patch"`, func(t *testing.T) error {
			_, err := rotator(t, settings, "sso/small").Disable(t.Context())
			return err
		}, []string{"you may not switch the secret off", `the capability "patch" on secret/metadata/sso/small`}},
		{`"read", "patch"`, func(t *testing.T) error {
			_, err := rotator(t, settings, "sso/small").Status(t.Context(), "")
			return err
		}, []string{"reading secret/metadata/sso/small", `the capability "read" on secret/metadata/sso/small`}},
		{`path "secret/config"         { capabilities = ["read"] }`, func(t *testing.T) error {
			_, err := rotator(t, settings, "sso/small").Stage(t.Context(), []byte(third))
			return err
		}, []string{"how many versions", `the capability "read" on secret/config`}},
	} {
		rules := strings.Replace(all, tc.without, "", 1)
		switch tc.without {
		case `"read", "update"`:
			rules = strings.Replace(all, `"create", "read", "update"`, `"create", "update"`, 1)
		case `"read", "patch"`:
			rules = strings.Replace(all, `"read", "patch"`, `"patch"`, 1)
		}
		if rules == all {
			t.Fatalf("the policy doesn't contain %s", tc.without)
		}
		policy := fmt.Sprintf("small-%d", i)
		server.Policy(t, policy, rules)
		t.Setenv("VAULT_TOKEN", server.Token(t, "1h", policy))
		secretstest.CheckError(t, tc.act(t), secrets.ErrDenied, append(tc.says, "permission denied")...)
	}
	// Half an act is worse than none. If the pointer can't be written, the first version must not
	// be written either.
	server.Policy(t, "writer", strings.Replace(all, `, "patch"`, "", 1))
	t.Setenv("VAULT_TOKEN", server.Token(t, "1h", "writer"))
	for _, path := range []string{"sso/half", "sso/small"} {
		r := rotator(t, settings, path)
		before, err := r.Store.Observe(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Replace(t.Context(), []byte(third))
		secretstest.CheckError(t, err, rotate.ErrRefused, `"patch" on secret/metadata/`+path)
		if after, err := r.Store.Observe(t.Context(), path); err != nil || after.Latest != before.Latest {
			t.Errorf("%s: version %d was written, %v", path, after.Latest, err)
		}
	}
	// A token without the policy default may not read its capabilities in advance. The step itself
	// then fails.
	w := func(path string) error {
		r := rotator(t, settings, path)
		_, err := r.Replace(t.Context(), []byte(third))
		return err
	}
	server.Policy(t, "mute", strings.Replace(all, `, "patch"`, "", 1)+`
		path "auth/token/lookup-self" { capabilities = ["read"] }`)
	created := server.Do(t, "POST", "auth/token/create", map[string]any{
		"policies": []string{"mute"}, "no_default_policy": true,
	})
	t.Setenv("VAULT_TOKEN", created["auth"].(map[string]any)["client_token"].(string))
	secretstest.CheckError(t, w("sso/half"), secrets.ErrDenied, "making version 1 active",
		`the capability "patch" on secret/metadata/sso/half`, "permission denied (403)")
	got := customMetadata(t, server, "sso/small")
	if got["active_version"] != "1" || got["serial"] != "1" || got["disabled"] != "" {
		t.Errorf("custom metadata %v", got)
	}

	// An act doesn't fail for lack of a capability that it doesn't need.
	server.Policy(t, "activator", `
		path "secret/data/sso/*"     { capabilities = ["read"] }
		path "secret/metadata/sso/*" { capabilities = ["read", "patch"] }`)
	t.Setenv("VAULT_TOKEN", server.Token(t, "1h", "activator"))
	r := rotator(t, settings, "sso/small")
	secretstest.Must(r.Activate(t.Context(), 0))(t)
	secretstest.Must(r.Rollback(t.Context()))(t)
	secretstest.Must(r.Disable(t.Context()))(t)
	secretstest.Must(r.Enable(t.Context()))(t)
	if report, err := r.Status(t.Context(), ""); err != nil || report.KeepsFault == nil {
		t.Errorf("%+v, %v", report, err)
	}
	// The service's own policy writes nothing at all.
	t.Setenv("VAULT_TOKEN", server.Token(t, "1h", "reader"))
	_, err := rotator(t, settings, "sso/small").Rollback(t.Context())
	secretstest.CheckError(t, err, secrets.ErrDenied, `"patch" on secret/metadata/sso/small`)
}

func rotateMounts(t *testing.T, server *vaulttest.Server, settings vault.Settings) {
	server.Do(t, "POST", "sys/mounts/old", map[string]any{"type": "kv", "options": map[string]string{"version": "1"}})
	server.Do(t, "POST", "sys/mounts/pki", map[string]any{"type": "pki"})
	for _, tc := range []struct {
		mount string
		root  bool
		says  string
	}{
		{"old", true, "KV engine of version 1, which keeps no versions: upgrade it"},
		{"old", false, "there is no such mount, or your token may do nothing below it"},
		{"nowhere", true, "there is no such mount"},
		{"secret/sso", true, "a part of that path is a mount"},
		{"pki", true, "it is not a KV engine"},
	} {
		s := settings
		s.Mount = tc.mount
		if tc.root {
			t.Setenv("VAULT_TOKEN", server.RootToken)
		} else {
			t.Setenv("VAULT_TOKEN", server.Token(t, "1h", "operator"))
		}
		for name, act := range map[string]func(*rotate.Rotator) error{
			"stage":  func(r *rotate.Rotator) error { _, err := r.Stage(t.Context(), []byte(third)); return err },
			"status": func(r *rotate.Rotator) error { _, err := r.Status(t.Context(), ""); return err },
		} {
			err := act(rotator(t, s, "sso/acme"))
			if err == nil {
				t.Fatalf("%s on %s: no error", name, tc.mount)
			}
			secretstest.CheckErrorText(t, err, tc.says, tc.mount, "secrets.vault.mount")
		}
	}
	// Nothing was written under a name that is never read.
	if keys := rawAnswer(t, server, "old/?list=true"); !strings.Contains(keys, `"errors":[]`) {
		t.Errorf("the old mount has %s", keys)
	}
}

func rotateTokens(t *testing.T, server *vaulttest.Server, settings vault.Settings) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("VAULT_TOKEN", "")
	_, err := vault.NewWriter(settings, vault.Options{})
	if err == nil || !strings.Contains(err.Error(), "log in (`vault login`)") {
		t.Fatalf("%v", err)
	}
	left := filepath.Join(home, ".vault-token")
	if err := os.WriteFile(left, []byte(server.Token(t, "1h", "operator")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secretstest.Must(rotator(t, settings, "sso/tokens-rotated").Stage(t.Context(), []byte(first)))(t)

	t.Setenv("VAULT_TOKEN", "hvs.wrong") // the environment comes first
	_, err = rotator(t, settings, "sso/tokens-rotated").Stage(t.Context(), []byte(second))
	if err == nil {
		t.Fatal("a wrong token was accepted")
	}
	secretstest.CheckErrorText(t, err, "auth/token/lookup-self", "refused: check the credential")
}

// TestNoAnswerToAWriteIsQuoted checks that no error contains text of an answer or the value.
func TestNoAnswerToAWriteIsQuoted(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "operator-token")
	var all sync.WaitGroup
	defer all.Wait()
	for _, status := range []int{200, 204, 307, 400, 403, 404, 405, 429, 500, 503} {
		for _, body := range []string{
			`{"errors": ["` + canary + `"]}`,
			canary,
			`{"data": {"data": {"shared_secret": "` + canary + `"}}}`,
		} {
			for _, path := range []string{
				"secret/data/sso/acme", "secret/metadata/sso/acme", "secret/config", "sys/internal/ui/mounts/secret",
			} {
				f := newFakeVault(t)
				f.answers["sys/internal/ui/mounts/secret"] = kv2
				f.answers["secret/config"] = reply{200, `{"data": {"max_versions": 0}}`}
				f.answers[path] = reply{status, body}
				r := rotator(t,
					vault.Settings{Addresses: []string{f.URL}, Auth: vault.Auth{Method: "kubernetes", Role: "service"}},
					"sso/acme")
				all.Go(func() { checkNoQuote(t, f, r, fmt.Sprintf("%d %q from %s", status, body, path)) })
			}
		}
	}
}

var kv2 = reply{200, `{"data": {"path": "secret/", "type": "kv", "options": {"version": "2"}}}`}

func checkNoQuote(t *testing.T, f *fakeVault, r *rotate.Rotator, what string) {
	for name, act := range map[string]func(context.Context) error{
		"replace": func(ctx context.Context) error {
			_, err := r.Replace(ctx, []byte(strings.ToLower(canary)))
			return err
		},
		"activate": func(ctx context.Context) error { _, err := r.Activate(ctx, 1); return err },
		"status":   func(ctx context.Context) error { _, err := r.Status(ctx, canary[:6]); return err },
	} {
		// The fake Vault's answers never change, so no read back can succeed later.
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		if err := act(ctx); err != nil && strings.Contains(strings.ToLower(err.Error()), strings.ToLower(canary[:12])) {
			t.Errorf("%s: %s: %v", name, what, err)
		}
		cancel()
	}
	f.set(func(f *fakeVault) {
		for _, request := range f.requests {
			if request.token != "operator-token" {
				t.Errorf("%s %s with token %q, want the operator's", request.method, request.path, request.token)
			}
		}
	})
}

// TestWritesOnTheWire checks that the pointer is written as a patch of the keys that change, and
// that no request is sent for a path with dot segments.
func TestWritesOnTheWire(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "operator-token")
	f := newFakeVault(t)
	f.answers["sys/internal/ui/mounts/secret"] = kv2
	w, err := vault.NewWriter(vault.Settings{Addresses: []string{f.URL}}, vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := secrets.Observed{Status: secrets.Status{Latest: 2, Active: 1}}
	if err := w.Change(t.Context(), acme.Path, o, secrets.Change{Active: 2, Previous: 1, Serial: 7}); err != nil {
		t.Fatal(err)
	}
	got := f.last()
	if got.method != http.MethodPatch || got.path != "secret/metadata/sso/acme" ||
		got.header.Get("Content-Type") != "application/merge-patch+json" {
		t.Errorf("moved by %s %s %v", got.method, got.path, got.header)
	}
	for name, act := range map[string]func(path string) error{
		"point": func(path string) error { return w.Change(t.Context(), path, o, secrets.Change{Active: 2}) },
		"write": func(path string) error {
			return w.Write(t.Context(), secrets.Ref{Path: path, Field: "f"}, secrets.Observed{}, []byte(canary))
		},
		"observe": func(path string) error { _, err := w.Observe(t.Context(), path); return err },
	} {
		before := len(f.requests)
		if err := act("../sys/policy"); !errors.Is(err, secrets.ErrUnusable) {
			t.Errorf("%s with dots in the path: %v", name, err)
		}
		for _, request := range f.requests[before:] {
			if strings.Contains(request.path, "policy") {
				t.Errorf("%s sent a request for %s", name, request.path)
			}
		}
	}
}
