package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
)

// managedServer is a service whose secret is in a real Vault and was written by the commands.
type managedServer struct {
	*vaultServer

	config string
}

func newManagedServer(t *testing.T, vault *vaulttest.Server, settings string) *managedServer {
	t.Helper()
	m := &managedServer{}
	m.vaultServer = serveOnVault(t, vault, settings, func(s *vaultServer) {
		m.config = filepath.Join(s.dir, "deskmint.yaml")
		if _, stderr, err := runSecret(t, firstSecret, "stage", "acme-customers", "--config", m.config); err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
	})
	return m
}

// operate runs a command on the secret, and waits for the replica.
func (m *managedServer) operate(t *testing.T, stdin, act string, more ...string) error {
	t.Helper()
	_, _, err := runSecret(t, stdin,
		append([]string{act, "acme-customers", "--config", m.config, "--replicas", m.ops}, more...)...)
	return err
}

func (m *managedServer) must(t *testing.T, stdin, act string, more ...string) {
	t.Helper()
	if err := m.operate(t, stdin, act, more...); err != nil {
		t.Fatalf("%s: %v", act, err)
	}
}

// restart stops the replica and starts another one, as a rollout does.
func (m *managedServer) restart(t *testing.T) {
	t.Helper()
	if err := m.end(); err != nil {
		t.Fatal(err)
	}
	m.deskmint = serve(t, m.config)
}

// wipe replaces the metadata of the secret, as `vault kv metadata put` and some provisioning tools
// do.
func (m *managedServer) wipe(t *testing.T) {
	t.Helper()
	m.vault.SetMetadata(t, m.path, map[string]string{"owner": "terraform"})
}

// TestKillSwitchAfterWipe checks a running replica, and the one that replaces it.
func TestKillSwitchAfterWipe(t *testing.T) {
	vault := vaulttest.Start(t)
	t.Setenv("VAULT_TOKEN", vault.RootToken)

	t.Run("off and on", func(t *testing.T) { testWipeDisabled(t, vault) })
	t.Run("a staged version", func(t *testing.T) { testWipeStaged(t, vault) })
	t.Run("a lower serial", func(t *testing.T) { testLowerSerial(t, vault) })
}

// testWipeDisabled checks that a disabled secret stays disabled after a wipe, until an operator
// enables it.
func testWipeDisabled(t *testing.T, vault *vaulttest.Server) {
	m := newManagedServer(t, vault, "refresh: 1s")
	m.must(t, "", "disable")
	m.expectRefusal(t, "CONFIGURATION_DISABLED")
	m.wipe(t)
	m.awaitState(t, "disabled", 1, "active_version has vanished")
	m.expectRefusal(t, "CONFIGURATION_DISABLED")
	m.restart(t)
	m.expectRefusal(t, "CONFIGURATION_DISABLED")

	if err := m.operate(t, "", "enable"); err == nil ||
		!strings.Contains(err.Error(), "First activate the version that shall sign") {
		t.Errorf("enable: %v", err)
	}
	if err := m.operate(t, secondSecret, "stage"); err == nil ||
		!strings.Contains(err.Error(), "its metadata were wiped") {
		t.Errorf("stage: %v", err)
	}
	m.must(t, "", "activate", "--version", "1")
	m.expectRefusal(t, "CONFIGURATION_DISABLED")
	m.must(t, "", "enable")
	m.expectSigned(t, 1, firstSecret)

	// While no version is staged and the secret is enabled, a wipe loses nothing.
	m.wipe(t)
	m.awaitState(t, "usable", 1, "active_version has vanished")
	m.must(t, "", "activate", "--version", "1")
	m.expectSigned(t, 1, firstSecret)
}

// testWipeStaged checks that a wipe doesn't activate a staged version.
func testWipeStaged(t *testing.T, vault *vaulttest.Server) {
	m := newManagedServer(t, vault, "refresh: 1s")
	m.must(t, secondSecret, "stage")
	m.wipe(t)
	m.awaitState(t, "usable", 1, "active_version has vanished")
	m.expectSigned(t, 1, firstSecret)
	if err := m.end(); err != nil {
		t.Fatal(err)
	}
	m.deskmint = serveUnready(t, m.config) // a rollout stops here
	// The replica names no version, because it might be the wrong one.
	m.awaitUnready(t, "unusable", "`deskmint secret activate NAME --version N`")
	if _, all := m.readyz(t); all["acme-customers"].Active != 0 {
		t.Errorf("/readyz names version %d", all["acme-customers"].Active)
	}
	m.must(t, "", "activate", "--version", "1")
	m.awaitReady(t)
	m.expectSigned(t, 1, firstSecret)
}

// testLowerSerial checks that an operator gets an error if the store has a lower serial than the
// replica, and that adopt corrects this.
func testLowerSerial(t *testing.T, vault *vaulttest.Server) {
	m := newManagedServer(t, vault, "refresh: 1s")
	m.must(t, secondSecret, "replace")
	m.vault.SetMetadata(t, m.path, map[string]string{"active_version": "1", "serial": "1"})
	if err := m.operate(t, "", "rollback", "--wait", "1s"); err == nil {
		t.Error("there is nothing to roll back to")
	}
	if err := m.operate(t, "", "activate", "--version", "2", "--wait", "1s"); err != nil {
		t.Errorf("activate at an equal serial: %v", err)
	}
	m.vault.SetMetadata(t, m.path, map[string]string{"active_version": "2"})
	err := m.operate(t, "", "activate", "--version", "1", "--wait", "1s")
	if err == nil || !strings.Contains(err.Error(), "it has seen serial 2, above the store's 1") ||
		!strings.Contains(err.Error(), "`deskmint secret adopt`") {
		t.Errorf("activate: %v", err)
	}
	m.must(t, "", "disable")
	m.expectRefusal(t, "CONFIGURATION_DISABLED")
	m.must(t, "", "enable")
	m.must(t, "", "adopt")
	m.expectSigned(t, 1, firstSecret)
}

// TestSecretWrittenByHand checks that a secret without a pointer signs with a warning, until an
// operator pins a version or a pointer is required.
func TestSecretWrittenByHand(t *testing.T) {
	vault := vaulttest.Start(t)
	t.Setenv("VAULT_TOKEN", vault.RootToken)
	byHand := func(s *vaultServer) { s.put(t, firstSecret); s.put(t, secondSecret) }
	warned := func(s *vaultServer, want bool) {
		t.Helper()
		response, err := http.Get("http://" + s.ops + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		measured, err := http.Get("http://" + s.ops + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		ready, metrics := readAnswer(t, response).body, readAnswer(t, measured).body
		if strings.Contains(ready, `"warnings":["unpinned"]`) != want ||
			strings.Contains(metrics, `deskmint_secret_unpinned{configuration="acme-customers"} 1`) != want {
			t.Errorf("want a warning: %v\n%s", want, ready)
		}
	}
	s := serveOnVault(t, vault, "refresh: 1s", byHand)
	s.expectSigned(t, 2, secondSecret)
	warned(s, true)
	config := filepath.Join(s.dir, "deskmint.yaml")
	stdout, _, _ := invoke(t, "", "doctor", "--config", config)
	if !strings.Contains(stdout, "unpinned: version 2 signs because it is the newest") {
		t.Errorf("doctor reports %s", stdout)
	}
	if _, stderr, err := runSecret(t, "", "activate", "acme-customers", "--config", config, "--version", "2",
		"--replicas", s.ops); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	s.expectSigned(t, 2, secondSecret)
	warned(s, false)

	t.Run("required", func(t *testing.T) {
		s := startOnVault(t, vault, "refresh: 1s, require_pointer: true", func(s *vaultServer) {
			s.put(t, firstSecret)
		}, serveUnready)
		s.awaitUnready(t, "unusable", "secrets.require_pointer is set")
		if stdout, _, _ := invoke(t, "", "doctor",
			"--config", filepath.Join(s.dir, "deskmint.yaml")); !strings.Contains(stdout, "require_pointer") {
			t.Errorf("doctor reports %s", stdout)
		}
		s.vault.PatchMetadata(t, s.path, map[string]string{"active_version": "1"})
		s.awaitReady(t)
		s.awaitState(t, "usable", 1, "")
	})
}

// TestKillSwitchInFaultyFile checks that an operator can disable a secret although the secrets file
// has a fault elsewhere.
func TestKillSwitchInFaultyFile(t *testing.T) {
	t.Parallel()
	config, secretsFile, key := files(t)
	d := serve(t, config)
	if got := d.mint(t, key, "acme-customers"); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	refuses := func(what string) {
		t.Helper()
		d.awaitState(t, "disabled", 1, "secrets.yaml:")
		if got := d.mint(t, key, "acme-customers"); got.reason != "CONFIGURATION_DISABLED" {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	good := secretsYAML(customersSecret)
	write(t, secretsFile, strings.Replace(good, "versions", "disabled: yes\n    versions", 1)+"extra: 1\n")
	refuses("by hand")
	write(t, secretsFile, good)
	d.awaitState(t, "usable", 1, "")

	write(t, secretsFile, good+"extra: 1\n")
	d.awaitState(t, "stale", 1, "unknown key extra")
	if _, stderr, err := runSecret(t, "", "disable", "acme-customers", "--config", config,
		"--replicas", d.ops); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	refuses("by the command")
	if _, _, err := runSecret(t, "", "enable", "acme-customers", "--config", config); err == nil ||
		!strings.Contains(err.Error(), "unknown key extra") {
		t.Errorf("enable: %v", err)
	}
	if err := d.end(); err != nil {
		t.Fatal(err)
	}
	d = serve(t, config)
	d.awaitState(t, "disabled", anyVersion, "unknown key extra")
	if got := d.mint(t, key, "acme-customers"); got.reason != "CONFIGURATION_DISABLED" {
		t.Errorf("after a restart: %d %s", got.status, got.body)
	}
}
