package vault_test

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/rotate"
	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
)

// TestRealKillSwitch switches a secret off with the code of the command, for each possible state of
// its metadata. It checks a replica that was already running, and one that starts afterwards.
func TestRealKillSwitch(t *testing.T) {
	server := vaulttest.Start(t)
	server.Policy(t, "operator", operatorPolicy(t))
	operator := server.Token(t, "1h", "operator")
	t.Setenv("VAULT_TOKEN", operator)
	settings := readerSettings(t, server)
	off := func(t *testing.T, path string) {
		t.Helper()
		secretstest.Must(rotator(t, settings, path).Disable(t.Context()))(t)
	}
	for _, tc := range []struct {
		name string
		do   func(t *testing.T, path string)
	}{
		{"without a fault", off},
		{"the serial lost", func(t *testing.T, path string) {
			server.SetMetadata(t, path, map[string]string{"active_version": "2"})
			off(t, path)
		}},
		{"a lower serial", func(t *testing.T, path string) {
			server.SetMetadata(t, path, map[string]string{"active_version": "2", "serial": "1"})
			off(t, path)
		}},
		{"a malformed serial", func(t *testing.T, path string) {
			server.PatchMetadata(t, path, map[string]string{"serial": "x"})
			off(t, path)
		}},
		{"a malformed pointer", func(t *testing.T, path string) {
			server.PatchMetadata(t, path, map[string]string{"active_version": "two"})
			off(t, path)
		}},
		{"the pointer wiped", func(t *testing.T, path string) {
			server.SetMetadata(t, path, map[string]string{"owner": "terraform"})
			off(t, path)
		}},
		{"off, then the metadata wiped", func(t *testing.T, path string) {
			off(t, path)
			server.SetMetadata(t, path, map[string]string{"owner": "terraform"})
		}},
		{"off, on, off, then the metadata wiped", func(t *testing.T, path string) {
			off(t, path)
			secretstest.Must(rotator(t, settings, path).Enable(t.Context()))(t)
			off(t, path)
			server.SetMetadata(t, path, map[string]string{"owner": "terraform"})
		}},
		{"off, staged, then the metadata wiped", func(t *testing.T, path string) {
			off(t, path)
			secretstest.Must(rotator(t, settings, path).Stage(t.Context(), []byte(third)))(t)
			server.SetMetadata(t, path, map[string]string{"owner": "terraform"})
		}},
		{"the metadata wiped, then off again", func(t *testing.T, path string) {
			off(t, path)
			secretstest.Must(rotator(t, settings, path).Enable(t.Context()))(t)
			server.SetMetadata(t, path, map[string]string{"owner": "terraform"})
			off(t, path)
		}},
		{"off, then the metadata rewritten by a tool that keeps the pointer", func(t *testing.T, path string) {
			off(t, path)
			server.SetMetadata(t, path, map[string]string{"active_version": "2", "disabled": "true"})
		}},
		{"off, then older metadata restored", func(t *testing.T, path string) {
			before := customMetadata(t, server, path)
			off(t, path)
			server.SetMetadata(t, path, before)
		}},
		{"off, then only the pointer restored", func(t *testing.T, path string) {
			off(t, path)
			server.SetMetadata(t, path, map[string]string{"active_version": "2"})
		}},
		{"off, then values written by hand and the metadata wiped", func(t *testing.T, path string) {
			off(t, path)
			server.SetMetadata(t, path, map[string]string{"owner": "terraform"})
			server.Put(t, path, map[string]string{"shared_secret": third})
			server.Put(t, path, map[string]string{"shared_secret": third + "-2"})
		}},
		{"twice off and on, then off, then the metadata of the first time restored", func(t *testing.T, path string) {
			off(t, path)
			secretstest.Must(rotator(t, settings, path).Enable(t.Context()))(t)
			before := customMetadata(t, server, path)
			off(t, path)
			secretstest.Must(rotator(t, settings, path).Enable(t.Context()))(t)
			off(t, path)
			server.SetMetadata(t, path, before)
		}},
		{"by a token that can't read the values", func(t *testing.T, path string) {
			server.Policy(t, "on-call", `path "secret/metadata/sso/*" { capabilities = ["read", "patch"] }`)
			t.Setenv("VAULT_TOKEN", server.Token(t, "1h", "on-call"))
			off(t, path)
			t.Setenv("VAULT_TOKEN", operator)
		}},
		{"by hand, in another case", func(t *testing.T, path string) {
			server.PatchMetadata(t, path, map[string]string{"Disabled": "true"})
		}},
		{"by hand: yes", func(t *testing.T, path string) {
			server.PatchMetadata(t, path, map[string]string{"disabled": "yes"})
		}},
		{"by hand, without the rest", func(t *testing.T, path string) {
			server.SetMetadata(t, path, map[string]string{"disabled": "1"})
		}},
		{"another version staged", func(t *testing.T, path string) {
			secretstest.Must(rotator(t, settings, path).Stage(t.Context(), []byte(third)))(t)
			off(t, path)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := "sso/off-" + strings.NewReplacer(" ", "-", ",", "", ":", "").Replace(tc.name)
			r := rotator(t, settings, path)
			secretstest.Must(r.Stage(t.Context(), []byte(first)))(t)
			secretstest.Must(r.Replace(t.Context(), []byte(second)))(t)
			running := warm(t, newSource(t, settings, vault.Options{}), r.Ref)
			if _, err := running.Get(r.Ref, time.Hour); err != nil {
				t.Fatal(err)
			}
			tc.do(t, path)
			if _, err := refreshAndGet(t, running, r.Ref); !errors.Is(err, secrets.ErrDisabled) {
				t.Errorf("the running replica: %v", err)
			}
			started := warm(t, newSource(t, settings, vault.Options{}), r.Ref)
			if _, err := started.Get(r.Ref, time.Hour); !errors.Is(err, secrets.ErrDisabled) {
				t.Errorf("a new replica: %v", err)
			}

			// The correction is always the same: activate the version that shall sign, by its
			// number, and then enable the secret.
			_, err := r.Enable(t.Context())
			if err != nil {
				secretstest.CheckError(t, err, rotate.ErrRefused)
				secretstest.Must(r.Activate(t.Context(), 2))(t)
				if _, err := refreshAndGet(t, running, r.Ref); !errors.Is(err, secrets.ErrDisabled) {
					t.Errorf("activated, not enabled: %v", err)
				}
				secretstest.Must(r.Enable(t.Context()))(t)
			}
			if _, err := refreshAndGet(t, running, r.Ref); err != nil { // it has read a higher serial
				secretstest.Must(r.Adopt(t.Context()))(t)
			}
			for name, k := range map[string]*secrets.Keyring{"before": running, "started": started} {
				held, err := refreshAndGet(t, k, r.Ref)
				if err != nil {
					t.Errorf("enabled, %s: %v", name, err)
					continue
				}
				key, _ := held.Key(0)
				secretstest.CheckKey(t, key, second)
			}
		})
	}
}

// TestRealWipedMetadata starts replicas after a tool has replaced the metadata.
func TestRealWipedMetadata(t *testing.T) {
	server := vaulttest.Start(t)
	server.Policy(t, "operator", operatorPolicy(t))
	t.Setenv("VAULT_TOKEN", server.Token(t, "1h", "operator"))
	settings := readerSettings(t, server)
	start := func(ref secrets.Ref) (*secrets.Held, secrets.State, error) {
		k := warm(t, newSource(t, settings, vault.Options{}), ref)
		held, err := k.Get(ref, time.Hour)
		state, _ := k.State(ref)
		return held, state, err
	}

	t.Run("a staged version never signs by accident", func(t *testing.T) {
		r := rotator(t, settings, "sso/wiped-staged")
		secretstest.Must(r.Stage(t.Context(), []byte(first)))(t)
		secretstest.Must(r.Stage(t.Context(), []byte(second)))(t)
		running := warm(t, newSource(t, settings, vault.Options{}), r.Ref)
		server.SetMetadata(t, r.Ref.Path, map[string]string{"owner": "terraform"})
		_, _, err := start(r.Ref)
		if !errors.Is(err, secrets.ErrUnusable) {
			t.Fatalf("a new replica: %v", err)
		}
		secretstest.CheckErrorText(t, err, "metadata were wiped", "`deskmint secret activate NAME --version N`")
		held, err := refreshAndGet(t, running, r.Ref)
		if err != nil || held.Status.Active != 1 {
			t.Errorf("the running replica: %+v, %v", held, err)
		}
		secretstest.Must(r.Activate(t.Context(), 1))(t)
		if held, _, err := start(r.Ref); err != nil || held.Status.Active != 1 || held.Status.Staged() != 2 {
			t.Errorf("pinned: %+v, %v", held, err)
		}
		if held, err = refreshAndGet(t, running, r.Ref); err != nil || held.Status.Active != 1 || !held.Status.Pinned {
			t.Errorf("pinned, the running replica: %+v, %v", held, err)
		}
	})
	t.Run("a value written in Vault's user interface while it is off", func(t *testing.T) {
		r := rotator(t, settings, "sso/by-ui")
		secretstest.Must(r.Stage(t.Context(), []byte(first)))(t)
		secretstest.Must(r.Replace(t.Context(), []byte(second)))(t)
		secretstest.Must(r.Disable(t.Context()))(t)
		newest := server.Do(t, "GET", "secret/data/sso/by-ui", nil)["data"].(map[string]any)["data"].(map[string]any)
		newest["shared_secret"] = third
		server.Do(t, "POST", "secret/data/sso/by-ui", map[string]any{"data": newest})
		secretstest.Must(r.Activate(t.Context(), 0))(t)
		secretstest.Must(r.Enable(t.Context()))(t)
		held, _, err := start(r.Ref)
		if err != nil || held.Status.Active != 4 {
			t.Fatalf("%+v, %v", held, err)
		}
		key, _ := held.Key(0)
		secretstest.CheckKey(t, key, third)
	})
	t.Run("switched off by hand, and on by the command", func(t *testing.T) {
		ref := secrets.Ref{Path: "sso/off-by-hand", Field: "shared_secret"}
		server.Put(t, ref.Path, map[string]string{"shared_secret": first})
		server.PatchMetadata(t, ref.Path, map[string]string{"disabled": "true"})
		secretstest.Must(rotator(t, settings, ref.Path).Enable(t.Context()))(t)
		if held, state, err := start(ref); err != nil || held.Status.Active != 1 || state.Unpinned() {
			t.Errorf("%+v, %v", state, err)
		}
	})
	t.Run("a staged version, and a token that can't read the values", func(t *testing.T) {
		r := rotator(t, settings, "sso/on-call")
		secretstest.Must(r.Stage(t.Context(), []byte(first)))(t)
		secretstest.Must(r.Stage(t.Context(), []byte(second)))(t)
		server.SetMetadata(t, r.Ref.Path, map[string]string{"owner": "terraform"})
		server.Policy(t, "on-call", `path "secret/metadata/sso/*" { capabilities = ["read", "patch"] }`)
		t.Setenv("VAULT_TOKEN", server.Token(t, "1h", "on-call"))
		secretstest.Must(rotator(t, settings, r.Ref.Path).Disable(t.Context()))(t)
		_, err := rotator(t, settings, r.Ref.Path).Enable(t.Context())
		secretstest.CheckError(t, err, rotate.ErrRefused, "can't be read")
	})
	t.Run("written by hand before Deskmint", func(t *testing.T) {
		ref := secrets.Ref{Path: "sso/by-hand", Field: "shared_secret"}
		server.Put(t, ref.Path, map[string]string{"shared_secret": first})
		server.Put(t, ref.Path, map[string]string{"shared_secret": second})
		held, state, err := start(ref)
		if err != nil || held.Status.Active != 2 || !state.Unpinned() || state.Fault != nil {
			t.Errorf("%+v, %v", state, err)
		}
		secretstest.Must(rotator(t, settings, ref.Path).Activate(t.Context(), 2))(t)
		if _, state, err = start(ref); err != nil || state.Unpinned() {
			t.Errorf("pinned: %+v, %v", state, err)
		}
	})
}

// TestRealSnapshot restores a Vault from a raft snapshot while replicas are running.
func TestRealSnapshot(t *testing.T) {
	server := vaulttest.StartCluster(t, 1).Nodes[0]
	server.Policy(t, "operator", operatorPolicy(t))
	t.Setenv("VAULT_TOKEN", server.Token(t, "1h", "operator"))
	settings := readerSettings(t, &server.Server)
	r, ctx := rotator(t, settings, "sso/restored"), t.Context()
	secretstest.Must(r.Stage(ctx, []byte(first)))(t)
	snapshot := server.Snapshot(t)
	secretstest.Must(r.Replace(ctx, []byte(second)))(t)
	secretstest.Must(r.Replace(ctx, []byte(third)))(t)
	secretstest.Must(r.Rollback(ctx))(t)
	secretstest.Must(r.Activate(ctx, 0))(t)

	now := time.Now()
	k := secrets.NewKeyring(secrets.Options{
		Source: newSource(t, settings, vault.Options{}),
		Now:    func() time.Time { return now },
	})
	if err := k.Warm(ctx, r.Ref); err != nil {
		t.Fatal(err)
	}
	server.Restore(t, snapshot)
	held, err := refreshAndGet(t, k, r.Ref)
	if err != nil || held.Status.Active != 3 {
		t.Fatalf("restored: %+v, %v", held, err)
	}
	now = now.Add(6 * time.Minute)
	_, _ = refreshAndGet(t, k, r.Ref)
	state, _ := k.State(r.Ref)
	if state.Fault == nil {
		t.Fatal("no alarm")
	}
	secretstest.CheckErrorText(t, state.Fault,
		"held 3", "a standby lags", "restored from a backup", "`deskmint secret adopt")

	// The kill switch works in the meantime. Data that exist only in the backup don't switch the
	// secret on.
	secretstest.Must(r.Disable(ctx))(t)
	if _, err := refreshAndGet(t, k, r.Ref); !errors.Is(err, secrets.ErrDisabled) {
		t.Errorf("disabled: %v", err)
	}
	secretstest.Must(r.Enable(ctx))(t)
	if _, err := refreshAndGet(t, k, r.Ref); !errors.Is(err, secrets.ErrDisabled) {
		t.Errorf("enabled at a lower serial: %v", err)
	}
	_, err = r.Enable(ctx)
	secretstest.CheckError(t, err, rotate.ErrRefused, "`deskmint secret adopt`")

	plan := secretstest.Must(r.Adopt(ctx))(t)
	if notes := strings.Join(plan.Notes, "\n"); !strings.Contains(notes, "deskmint secret status --prefix") {
		t.Errorf("notes %q", notes)
	}
	held, err = refreshAndGet(t, k, r.Ref)
	if err != nil || held.Status.Active != 1 {
		t.Fatalf("adopted: %+v, %v", held, err)
	}
	key, _ := held.Key(0)
	secretstest.CheckKey(t, key, first)
	secretstest.Must(r.Replace(ctx, []byte(second)))(t)
	if held, err = refreshAndGet(t, k, r.Ref); err != nil || held.Status.Active == 1 {
		t.Errorf("replaced: %+v, %v", held, err)
	}
	key, _ = held.Key(0)
	secretstest.CheckKey(t, key, second)
}

// TestRealTerraform writes to Vault the metadata that the Terraform module in deploy writes. They
// must not change the pointer or the kill switch.
func TestRealTerraform(t *testing.T) {
	server := vaulttest.Start(t)
	server.Policy(t, "operator", operatorPolicy(t))
	t.Setenv("VAULT_TOKEN", server.Token(t, "1h", "operator"))
	r := rotator(t, readerSettings(t, server), "sso/terraform")
	secretstest.Must(r.Stage(t.Context(), []byte(first)))(t)
	secretstest.Must(r.Stage(t.Context(), []byte(second)))(t)
	before := customMetadata(t, server, r.Ref.Path)

	body, err := os.ReadFile("../../deploy/terraform/metadata.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut} { // the first and the later writes of the provider
		server.DoRaw(t, method, "secret/metadata/"+r.Ref.Path, body)
		after := customMetadata(t, server, r.Ref.Path)
		if len(after) == 0 || after["active_version"] != before["active_version"] ||
			after["serial"] != before["serial"] {
			t.Errorf("%s: custom metadata %v, before %v", method, after, before)
		}
	}
	report, err := r.Status(t.Context(), "")
	if err != nil || report.Keeps != 20 || report.Active != 1 || report.Staged() != 2 {
		t.Errorf("%+v, %v", report, err)
	}
}

// readerSettings returns the settings of a service that may read below sso.
func readerSettings(t *testing.T, server *vaulttest.Server) vault.Settings {
	t.Helper()
	server.Reader(t, "reader", "sso/")
	roleID, secretID := server.AppRole(t, "deskmint", "", "reader")
	return vault.Settings{
		Addresses: []string{server.Addr},
		Auth:      vault.Auth{Method: "approle", RoleID: roleID, SecretIDFile: credentialFile(t, secretID)},
	}
}
