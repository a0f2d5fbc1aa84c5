package vault_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
)

const (
	first  = secretstest.First
	second = secretstest.Second
	third  = secretstest.Third
)

// TestRealVault reads from a real Vault. The test writes to it through Vault's own API. Each
// subtest has a different path.
func TestRealVault(t *testing.T) {
	server := vaulttest.Start(t)
	server.Reader(t, "reader", "sso/")
	roleID, secretID := server.AppRole(t, "deskmint", "", "reader")
	settings := vault.Settings{
		Addresses: []string{server.Addr},
		Auth:      vault.Auth{Method: "approle", RoleID: roleID, SecretIDFile: credentialFile(t, secretID+"\n")},
	}
	source := newSource(t, settings, vault.Options{})

	t.Run("clock", func(t *testing.T) { realClock(t, settings) })
	t.Run("versions and pointer", func(t *testing.T) { realPointer(t, server, source) })
	t.Run("gone", func(t *testing.T) { realGone(t, server, source) })
	t.Run("unusable", func(t *testing.T) { realUnusable(t, server, source) })
	t.Run("refused", func(t *testing.T) { realRefused(t, server, settings) })
	t.Run("refused against the policy", func(t *testing.T) { realRefusalDespitePolicy(t, server, settings) })
	t.Run("refused without the default policy", func(t *testing.T) {
		realRefusalWithoutDefaultPolicy(t, server, settings)
	})
	t.Run("tokens", func(t *testing.T) { realTokens(t, server, settings) })
	t.Run("jwt in place of kubernetes", func(t *testing.T) { realJWT(t, server) })
}

// refreshAndGet refreshes the keyring and returns the result of Get. It fails the test if the store
// is unavailable.
func refreshAndGet(t *testing.T, k *secrets.Keyring, ref secrets.Ref) (*secrets.Held, error) {
	t.Helper()
	_, _, refreshErr := k.Refresh(t.Context(), ref)
	held, err := k.Get(ref, 0)
	if err == nil && errors.Is(refreshErr, secrets.ErrUnavailable) {
		t.Errorf("the store is unavailable: %v", refreshErr)
	}
	return held, err
}

func warm(t *testing.T, source secrets.Source, ref secrets.Ref) *secrets.Keyring {
	t.Helper()
	k := secrets.NewKeyring(secrets.Options{Source: source, MaxRate: 1000})
	if err := k.Warm(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	return k
}

// withRules returns the settings with the login of a new role. The role and its only policy have
// the given name, and the policy has the given rules.
func withRules(
	t *testing.T, server *vaulttest.Server, settings vault.Settings, name, rules string,
) vault.Settings {
	t.Helper()
	server.Policy(t, name, rules)
	roleID, secretID := server.AppRole(t, name, "", name)
	settings.Auth = vault.Auth{Method: "approle", RoleID: roleID, SecretIDFile: credentialFile(t, secretID)}
	return settings
}

func realPointer(t *testing.T, server *vaulttest.Server, source *vault.Source) {
	ref := secrets.Ref{Path: "sso/acme", Field: "shared_secret"}
	put := func(secret string) { server.Put(t, ref.Path, map[string]string{ref.Field: secret, "note": "n"}) }
	put(first)
	k := warm(t, source, ref)
	checkHeld := func(name string, active secrets.Version, secret string, all ...secrets.Version) {
		t.Helper()
		held, err := refreshAndGet(t, k, ref)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		key, _ := held.Key(0)
		if secretstest.CheckKey(t, key, secret); key.Version() != active {
			t.Errorf("%s: %v signs, want %d", name, key, active)
		}
		if got := fmt.Sprint(held.Keys()); got != fmt.Sprint(keyNames(all)) {
			t.Errorf("%s: held are %v, want %v", name, got, keyNames(all))
		}
		if vs, ok := held.Status.Version(active); !ok || time.Since(vs.Created) > time.Hour || vs.Created.IsZero() {
			t.Errorf("%s: created %v", name, vs.Created)
		}
	}
	checkHeld("the first version is active at once", 1, first, 1)
	put(second)
	checkHeld("without a pointer the latest is active", 2, second, 2, 1)
	server.PatchMetadata(t, ref.Path, map[string]string{"active_version": "2", "serial": "1"})
	put(third)
	checkHeld("with a pointer a new one is staged", 2, second, 2, 3, 1)
	server.PatchMetadata(t, ref.Path, map[string]string{"active_version": "3", "previous_version": "2", "serial": "2"})
	checkHeld("activated", 3, third, 3, 2)
	server.PatchMetadata(t, ref.Path, map[string]string{"active_version": "2", "previous_version": "3", "serial": "3"})
	checkHeld("rolled back", 2, second, 2, 3)
	server.PatchMetadata(t, ref.Path, map[string]string{"active_version": "1", "serial": "2"})
	checkHeld("an older serial is ignored", 2, second, 2, 3)
	server.SetMetadata(t, ref.Path, map[string]string{"owner": "another-team"})
	checkHeld("the pointer was wiped", 2, second, 2, 3)
	if s, _ := k.State(ref); s.Fault == nil || !strings.Contains(s.Fault.Error(), "vanished") {
		t.Errorf("no alarm: %v", s.Fault)
	}
	server.PatchMetadata(t, ref.Path, map[string]string{"active_version": "3", "serial": "4", "disabled": "true"})
	if _, err := refreshAndGet(t, k, ref); !errors.Is(err, secrets.ErrDisabled) {
		t.Errorf("disabled: %v", err)
	}
	server.PatchMetadata(t, ref.Path, map[string]string{"disabled": "false"})
	checkHeld("enabled", 3, third, 3, 2)
}

func keyNames(versions []secrets.Version) (names []string) {
	for _, v := range versions {
		names = append(names, "secret version "+strconv.Itoa(int(v)))
	}
	return names
}

func realGone(t *testing.T, server *vaulttest.Server, source *vault.Source) {
	ref := secrets.Ref{Path: "sso/gone", Field: "shared_secret"}
	server.Put(t, ref.Path, map[string]string{ref.Field: first})
	server.Put(t, ref.Path, map[string]string{ref.Field: second})
	k := warm(t, source, ref)
	for _, tc := range []struct {
		name string
		act  func()
		want error
	}{
		{"as it was", func() {}, nil},
		{"soft-deleted", func() { server.Delete(t, ref.Path, 2) }, secrets.ErrDeleted},
		{"undeleted", func() { server.Undelete(t, ref.Path, 2) }, nil},
		{"destroyed", func() { server.Destroy(t, ref.Path, 2) }, secrets.ErrDeleted},
		{
			"pointed elsewhere",
			func() { server.SetMetadata(t, ref.Path, map[string]string{"active_version": "1", "serial": "1"}) },
			nil,
		},
		{"removed", func() { server.Remove(t, ref.Path) }, secrets.ErrNotFound},
		{"created again", func() { server.Put(t, ref.Path, map[string]string{ref.Field: third}) }, nil},
	} {
		tc.act()
		_, err := refreshAndGet(t, k, ref)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if err != nil {
			secretstest.CheckErrorText(t, err, ref.Path)
		}
	}
	// A direct read without the status returns the same errors.
	server.Delete(t, ref.Path, 1)
	if _, err := source.Key(t.Context(), ref, 1); !errors.Is(err, secrets.ErrDeleted) {
		t.Errorf("a soft-deleted value: %v", err)
	}
	server.Destroy(t, ref.Path, 1)
	if _, err := source.Key(t.Context(), ref, 1); !errors.Is(err, secrets.ErrDeleted) {
		t.Errorf("a destroyed value: %v", err)
	}
	if _, err := source.Key(t.Context(), ref, 9); !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("a version that never existed: %v", err)
	}
}

func realUnusable(t *testing.T, server *vaulttest.Server, source *vault.Source) {
	ref := secrets.Ref{Path: "sso/unusable", Field: "shared_secret"}
	server.Put(t, ref.Path, map[string]string{ref.Field: first})
	k := warm(t, source, ref)
	for name, fields := range map[string]map[string]string{
		"short":        {ref.Field: canary[:20]},
		"newline":      {ref.Field: canary + "\n"},
		"empty":        {ref.Field: ""},
		"field absent": {"other": canary},
	} {
		v := server.Put(t, ref.Path, fields)
		held, err := refreshAndGet(t, k, ref)
		if err != nil || held.Status.Active != 1 {
			t.Fatalf("%s: %+v, %v, want version 1 still active", name, held, err)
		}
		s, _ := k.State(ref)
		if !errors.Is(s.Fault, secrets.ErrUnusable) {
			t.Errorf("%s: fault %v", name, s.Fault)
		}
		secretstest.CheckErrorText(t, s.Fault, "secret/data/sso/unusable version "+strconv.Itoa(v))
	}
	// A new keyring has no last good key.
	if _, err := warm(t, source, ref).Get(ref, 0); !errors.Is(err, secrets.ErrUnusable) {
		t.Errorf("from the start: %v", err)
	}
	missing := secrets.Ref{Path: "sso/missing", Field: "f"}
	if _, err := warm(t, source, missing).Get(missing, 0); !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
}

func realRefused(t *testing.T, server *vaulttest.Server, settings vault.Settings) {
	ref := secrets.Ref{Path: "sso/refused", Field: "shared_secret"}
	server.Put(t, ref.Path, map[string]string{ref.Field: first})

	small := withRules(t, server, settings, "metadata-only", `path "secret/metadata/sso/*" { capabilities = ["read"] }`)
	_, err := warm(t, newSource(t, small, vault.Options{}), ref).Get(ref, 0)
	if !errors.Is(err, secrets.ErrDenied) {
		t.Errorf("a policy that is too small: %v", err)
	}
	secretstest.CheckErrorText(t, err, "secret/data/sso/refused version 1", "permission denied (403)", "policy")

	// If the permission is lost later, the token is replaced once, and then the value is dropped.
	lost := withRules(t, server, settings, "lost", `path "secret/+/sso/*" { capabilities = ["read"] }`)
	now := &clock{now: time.Now()}
	k := warm(t, newSource(t, lost, vault.Options{Now: now.Now}), ref)
	if _, err := k.Get(ref, 0); err != nil {
		t.Fatal(err)
	}
	server.Policy(t, "lost", `path "secret/other" { capabilities = ["read"] }`)
	now.add(time.Minute)
	if _, err := refreshAndGet(t, k, ref); !errors.Is(err, secrets.ErrDenied) {
		t.Errorf("permission lost: %v", err)
	}

	for name, spoil := range map[string]func(*vault.Settings){
		"wrong secret id": func(s *vault.Settings) { s.Auth.SecretIDFile = credentialFile(t, "no-such-id") },
		"wrong role id":   func(s *vault.Settings) { s.Auth.RoleID = "no-such-role" },
		"wrong mount":     func(s *vault.Settings) { s.Auth.Mount = "elsewhere" },
		"wrong token": func(s *vault.Settings) {
			s.Auth = vault.Auth{Method: "token", TokenFile: credentialFile(t, "hvs.wrong")}
		},
		"no Vault there": func(s *vault.Settings) { s.Addresses = []string{"http://127.0.0.1:1"} },
	} {
		s := settings
		spoil(&s)
		_, err := warm(t, newSource(t, s, vault.Options{}), ref).Get(ref, 0)
		if !errors.Is(err, secrets.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
		secretstest.CheckErrorText(t, err, "vault: ", ref.Path)
	}
	s := settings
	s.Mount = "elsewhere"
	_, err = warm(t, newSource(t, s, vault.Options{}), ref).Get(ref, 0)
	if !errors.Is(err, secrets.ErrDenied) && !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("wrong KV mount: %v", err)
	}
}

func realTokens(t *testing.T, server *vaulttest.Server, settings vault.Settings) {
	ref := secrets.Ref{Path: "sso/tokens", Field: "shared_secret"}
	server.Put(t, ref.Path, map[string]string{ref.Field: first})

	token := server.Token(t, "1h", "reader")
	where := credentialFile(t, token)
	s := settings
	s.Auth = vault.Auth{Method: "token", TokenFile: where}
	now := &clock{now: time.Now()}
	source := newSource(t, s, vault.Options{Now: now.Now})
	read := func() error { _, err := source.Key(t.Context(), ref, 1); return err }
	if err := read(); err != nil {
		t.Fatal(err)
	}
	server.RevokeToken(t, token)
	now.add(time.Minute)
	checkUnavailable(t, read())
	writeFile(t, where, server.Token(t, "1h", "reader"))
	now.add(time.Minute)
	if err := read(); err != nil {
		t.Errorf("after another token was put in the file: %v", err)
	}

	// The source renews an AppRole token and reads with it again.
	log := &strings.Builder{}
	roleID, secretID := server.AppRole(t, "brief", "600s", "reader")
	s.Auth = vault.Auth{Method: "approle", RoleID: roleID, SecretIDFile: credentialFile(t, secretID)}
	source = newSource(t, s, vault.Options{Now: now.Now, Log: secretstest.NewLog(log)})
	if err := read(); err != nil {
		t.Fatal(err)
	}
	now.add(500 * time.Second)
	if err := read(); err != nil || !strings.Contains(log.String(), "Vault token renewed") {
		t.Errorf("%v, log %s", err, log)
	}
}
