//go:build long

package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
)

// replica starts another replica of s in a separate process, with this secret id in its file.
func (s *vaultServer) replica(t *testing.T, binary, secretID string) (d *deskmint, secretIDFile string) {
	t.Helper()
	dir := folder(t, map[string]string{
		"deskmint.yaml": readFile(t, filepath.Join(s.dir, "deskmint.yaml")),
		"role-id":       readFile(t, filepath.Join(s.dir, "role-id")),
		"secret-id":     secretID,
	})
	d = spawn(t, binary, serveArgs(filepath.Join(dir, "deskmint.yaml"), "--drain", "0s")...)
	d.expectCleanEnd(t)
	text, ok := d.out.await("\nops=", d.ended)
	if !ok {
		t.Fatalf("no addresses:\n%s\n%s", text, &d.err)
	}
	d.parseAddresses(text)
	return d, filepath.Join(dir, "secret-id")
}

// TestAppRoleLockout checks that a replica with a wrong secret id doesn't lock the role that it
// shares with others, and that it logs in as soon as the file is corrected, and on SIGHUP.
func TestAppRoleLockout(t *testing.T) {
	t.Parallel()
	const wrong, late = "MARKER-7c6a2b9e-wrong-secret-id", "MARKER-52d0c4f1-late-secret-id"
	vault, binary := vaulttest.Start(t), build(t)
	good := serveOnVault(t, vault, "refresh: 1s", func(s *vaultServer) { s.put(t, firstSecret) })
	bad, secretIDFile := good.replica(t, binary, wrong)
	eventually(t, func() error {
		if n := bad.metric(t, `deskmint_secret_refreshes_total{result="away"}`); n < 12 {
			return fmt.Errorf("%v refreshes without a login", n)
		}
		return nil
	})
	if n := bad.metric(t, `deskmint_store_logins_total{result="failed"}`); n != 1 {
		t.Errorf("%v logins that were refused, want 1", n)
	}
	if n := vault.LockedRoles(t); n != 0 {
		t.Errorf("%d roles are locked", n)
	}
	log := bad.err.String()
	if n := strings.Count(log, "Five refused logins lock the role for every replica"); n != 1 {
		t.Errorf("the log names the danger %d times, want once:\n%s", n, log)
	}

	vault.Do(t, http.MethodPut, "sys/leases/revoke-prefix/auth/approle/login", map[string]any{"sync": true})
	eventually(t, func() error {
		if n := good.metric(t, `deskmint_store_logins_total{result="succeeded"}`); n < 2 {
			return fmt.Errorf("%v logins of the good replica, want another one", n)
		}
		return nil
	})
	good.awaitState(t, "usable", 1, "")
	good.expectSigned(t, 1, firstSecret)

	write(t, secretIDFile, readFile(t, filepath.Join(good.dir, "secret-id")))
	bad.awaitReady(t)
	bad.awaitState(t, "usable", 1, "")
	bad.checkNoSecrets(t, wrong, firstSecret)

	// The secret id of this replica is created after its start.
	bad, _ = good.replica(t, binary, late)
	if text, ok := bad.err.await("Vault refuses the AppRole login", bad.ended); !ok {
		t.Fatalf("standard error:\n%s", text)
	}
	vault.Do(t, http.MethodPost, "auth/approle/role/"+strings.ReplaceAll(good.path, "/", "-")+"/custom-secret-id",
		map[string]any{"secret_id": late})
	if err := bad.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	bad.awaitReady(t)
	bad.awaitState(t, "usable", 1, "")
	bad.checkNoSecrets(t, late, firstSecret)
}

// TestAppRoleLocked checks that a replica whose role is locked says so, and that it logs in after
// the role was unlocked and SIGHUP was sent.
func TestAppRoleLocked(t *testing.T) {
	t.Parallel()
	vault := vaulttest.Start(t)
	s := serveOnVault(t, vault, "refresh: 1s", func(s *vaultServer) { s.put(t, firstSecret) })
	roleID := strings.TrimSpace(readFile(t, filepath.Join(s.dir, "role-id")))
	for range 5 {
		vault.RefuseLogin(t, roleID)
	}
	bad, _ := s.replica(t, build(t), readFile(t, filepath.Join(s.dir, "secret-id")))
	if text, ok := bad.err.await("sys/locked-users", bad.ended); !ok {
		t.Fatalf("standard error:\n%s", text)
	}
	method := vault.Do(t, http.MethodGet, "sys/auth", nil)["approle/"].(map[string]any)
	vault.Do(t, http.MethodPost, fmt.Sprintf("sys/locked-users/%s/unlock/%s", method["accessor"], roleID), nil)
	if err := bad.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	bad.awaitReady(t)
	bad.awaitState(t, "usable", 1, "")

	// What `deskmint doctor` advises: the method has no lock, so that no number of refusals
	// matters.
	vault.Do(t, http.MethodPost, "sys/auth/approle/tune",
		map[string]any{"user_lockout_config": map[string]any{"lockout_disable": true}})
	for range 12 {
		vault.RefuseLogin(t, roleID)
	}
	if n := vault.LockedRoles(t); n != 0 {
		t.Errorf("%d roles are locked", n)
	}
}
