package main

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
)

const (
	firstSecret  = "MARKER-first-0123456789-0123456789-0123456789"
	secondSecret = "MARKER-second-0123456789-0123456789-0123456789"
	shortSecret  = "MARKER-short-0123456789-012345"
)

// TestVault checks a service with a real Vault. The tests write to Vault through its API.
func TestVault(t *testing.T) {
	t.Parallel()
	vault := vaulttest.Start(t)
	vault.AppRole(t, "first", "") // mounts the method once, before the parallel tests
	for name, test := range map[string]func(*testing.T, *vaulttest.Server){
		"rotation":           testRotation,
		"unasked":            testScheduledRefresh,
		"wrong secret id":    testWrongSecretID,
		"wrong token":        testWrongToken,
		"deleted":            testDeletedVersion,
		"short":              testShortSecret,
		"permission lost":    testPermissionLost,
		"wrong role":         testWrongRole,
		"refresh at the end": testRefreshDuringShutdown,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, vault)
		})
	}
}

// testRotation stages a version, tries it and activates it.
func testRotation(t *testing.T, vault *vaulttest.Server) {
	s := serveOnVault(t, vault, "refresh: 1s", func(s *vaultServer) { s.put(t, firstSecret) })
	s.awaitState(t, "usable", 1, "")
	s.expectSigned(t, 1, firstSecret)

	// The first version is pinned, so the second one is staged.
	vault.SetMetadata(t, s.path, map[string]string{"active_version": "1", "serial": "1"})
	s.put(t, secondSecret)
	eventually(t, func() error {
		if _, all := s.readyz(t); all["acme-customers"].Staged != 2 {
			return fmt.Errorf("%+v", all)
		}
		return nil
	})
	s.awaitState(t, "usable", 1, "")
	s.expectSigned(t, 1, firstSecret)
	tried := s.post(t, s.key, "/v1/configurations/acme-customers:mintToken", `{"secretVersion":2,`+anaJSON[1:])
	if tried.status != http.StatusOK || tried.signed != 2 {
		t.Fatalf("trying the staged version: %d %s", tried.status, tried.body)
	}
	claims(t, tried.token, secondSecret)
	if got := s.post(t, s.key, "/v1/configurations/acme-customers:mintToken",
		`{"secretVersion":3,`+anaJSON[1:]); got.reason != "SECRET_VERSION_UNKNOWN" {
		t.Errorf("a missing version: %d %s", got.status, got.body)
	}
	inspected := s.post(t, s.key, "/v1/configurations/acme-customers:inspectToken",
		fmt.Sprintf(`{"token":%q}`, tried.token))
	if !strings.Contains(inspected.body, `"acceptable":true`) ||
		!strings.Contains(inspected.body, `"secretVersion":2`) {
		t.Errorf("inspecting: %s", inspected.body)
	}

	// The pointer selects the second version. After RefreshSecret it signs at once.
	vault.PatchMetadata(t, s.path, map[string]string{"active_version": "2", "previous_version": "1", "serial": "2"})
	s.refresh(t, 2, "USABLE")
	s.expectSigned(t, 2, secondSecret)
	s.awaitState(t, "usable", 2, "")
	// The pointer selects the first version again, which Zendesk may still accept.
	vault.PatchMetadata(t, s.path, map[string]string{"active_version": "1", "previous_version": "2", "serial": "3"})
	s.awaitState(t, "usable", 1, "")
	s.expectSigned(t, 1, firstSecret)
	// The kill switch.
	vault.PatchMetadata(t, s.path, map[string]string{"disabled": "true"})
	s.awaitState(t, "disabled", 1, "")
	s.expectRefusal(t, "CONFIGURATION_DISABLED")
	s.checkNoLeaks(t)
}

// testScheduledRefresh checks that a new version is active if there is no pointer, without a call
// of RefreshSecret.
func testScheduledRefresh(t *testing.T, vault *vaulttest.Server) {
	s := serveOnVault(t, vault, "refresh: 1s", func(s *vaultServer) { s.put(t, firstSecret) })
	s.expectSigned(t, 1, firstSecret)
	s.put(t, secondSecret)
	s.awaitState(t, "usable", 2, "")
	s.expectSigned(t, 2, secondSecret)
	s.checkNoLeaks(t)
}

// testWrongSecretID checks that a failed login doesn't count as a fault of the secret. The service
// logs in again, and accepts no requests until then.
func testWrongSecretID(t *testing.T, vault *vaulttest.Server) {
	const wrong = "MARKER-7c6a2b9e-wrong-secret-id"
	s := serveOnVaultUnready(t, vault, "refresh: 1s", "auth/approle/login", func(s *vaultServer) {
		s.put(t, firstSecret)
		write(t, filepath.Join(s.dir, "secret-id"), wrong)
	})
	s.checkNoSecrets(t, wrong)
	s.login(t, vault)
	s.awaitReady(t)
	s.awaitState(t, "usable", 1, "")
	s.expectSigned(t, 1, firstSecret)
	s.checkNoLeaks(t)
}

func testWrongToken(t *testing.T, vault *vaulttest.Server) {
	const wrong = "hvs.MARKER-wrong-token"
	s := serveOnVaultUnready(t, vault, "refresh: 1s", "lookup-self", func(s *vaultServer) {
		s.put(t, firstSecret)
		config := filepath.Join(s.dir, "deskmint.yaml")
		write(t, config,
			strings.Replace(readFile(t, config),
				"auth: {method: approle, role_id_file: role-id, secret_id_file: secret-id}",
				"auth: {method: token, token_file: token}", 1))
		write(t, filepath.Join(s.dir, "token"), wrong)
	})
	good := vault.Token(t, "1h", strings.ReplaceAll(s.path, "/", "-"))
	write(t, filepath.Join(s.dir, "token"), good)
	s.awaitReady(t)
	s.awaitState(t, "usable", 1, "")
	s.expectSigned(t, 1, firstSecret)
	s.checkNoSecrets(t, wrong, good)
	s.checkNoLeaks(t)
}

// testDeletedVersion checks that a deleted version stops signing at once, and that the service
// never goes back to an older version by itself.
func testDeletedVersion(t *testing.T, vault *vaulttest.Server) {
	s := serveOnVault(t, vault, "refresh: 1s", func(s *vaultServer) { s.put(t, firstSecret); s.put(t, secondSecret) })
	s.expectSigned(t, 2, secondSecret)
	vault.Delete(t, s.path, 2)
	s.refresh(t, 2, "UNUSABLE")
	s.expectRefusal(t, "SECRET_UNUSABLE")
	s.awaitState(t, "unusable", 2, "deleted")
	vault.Undelete(t, s.path, 2)
	s.refresh(t, 2, "USABLE")
	s.awaitState(t, "usable", 2, "")
	s.expectSigned(t, 2, secondSecret)
	vault.Remove(t, s.path)
	s.refresh(t, 2, "UNUSABLE")
	s.awaitState(t, "unusable", 2, "secret/metadata/"+s.path)
	s.expectRefusal(t, "SECRET_UNUSABLE")
	s.checkNoLeaks(t)
}

// testShortSecret checks that a short secret is refused at the start. Later, the last good version
// is used instead.
func testShortSecret(t *testing.T, vault *vaulttest.Server) {
	s := startOnVault(t, vault, "refresh: 1s", func(s *vaultServer) { s.put(t, shortSecret) }, serveUnready)
	s.awaitUnready(t, "unusable", "32")
	vault.Destroy(t, s.path, 1)
	s.put(t, firstSecret)
	s.awaitReady(t)
	s.refresh(t, 2, "USABLE")
	s.awaitState(t, "usable", 2, "")
	s.expectSigned(t, 2, firstSecret)
	s.put(t, shortSecret)
	s.refresh(t, 3, "STALE")
	s.awaitState(t, "stale", 3, "version 3")
	s.expectSigned(t, 2, firstSecret)
	vault.Put(t, s.path, map[string]string{"another_field": secondSecret})
	s.refresh(t, 4, "STALE")
	s.awaitState(t, "stale", 4, "shared_secret")
	s.expectSigned(t, 2, firstSecret)
	vault.Destroy(t, s.path, 3)
	s.put(t, secondSecret)
	vault.Destroy(t, s.path, 4)
	s.refresh(t, 5, "USABLE")
	s.awaitState(t, "usable", 5, "")
	s.expectSigned(t, 5, secondSecret)
	s.checkNoLeaks(t)
}

// testPermissionLost checks that Vault's operators can stop sign-ins by removing a permission.
func testPermissionLost(t *testing.T, vault *vaulttest.Server) {
	s := serveOnVault(t, vault, "refresh: 1s", func(s *vaultServer) { s.put(t, firstSecret) })
	s.expectSigned(t, 1, firstSecret)
	vault.Policy(t, strings.ReplaceAll(s.path, "/", "-"), `path "secret/metadata/other" { capabilities = ["read"] }`)
	s.awaitState(t, "unusable", 1, "permission denied")
	s.expectRefusal(t, "SECRET_UNUSABLE")
	s.login(t, vault)
	s.awaitState(t, "usable", 1, "")
	s.expectSigned(t, 1, firstSecret)
	s.checkNoLeaks(t)
}

// testWrongRole checks that a replica doesn't become ready whose role may log in and not read, so
// that a rollout with that role replaces no good replica.
func testWrongRole(t *testing.T, vault *vaulttest.Server) {
	s := startOnVault(t, vault, "refresh: 1s", func(s *vaultServer) {
		s.put(t, firstSecret)
		vault.Policy(t, strings.ReplaceAll(s.path, "/", "-"), `path "secret/data/other" { capabilities = ["read"] }`)
	}, serveUnready)
	s.awaitUnready(t, "unusable", "permission denied")
	if text, ok := s.err.await("not ready: nothing can be signed here", s.ended); !ok {
		t.Errorf("the log doesn't report it:\n%s", text)
	}
	s.login(t, vault)
	s.awaitReady(t)
	s.expectSigned(t, 1, firstSecret)
	s.checkNoLeaks(t)
}

// testRefreshDuringShutdown checks that a call of RefreshSecret completes if the service is stopped
// meanwhile.
func testRefreshDuringShutdown(t *testing.T, vault *vaulttest.Server) {
	s := serveOnVault(t, vault, "refresh: 1h", func(s *vaultServer) { s.put(t, firstSecret) })
	s.expectSigned(t, 1, firstSecret)
	waiting, release := s.proxy.hold(t)
	type outcome struct {
		response *pb.RefreshSecretResponse
		err      error
	}
	answered := make(chan outcome, 1)
	client := pb.NewConfigurationServiceClient(s.dial(t))
	go func() {
		response, err := client.RefreshSecret(withKey(t.Context(), s.key), &pb.RefreshSecretRequest{
			Name: "configurations/acme-customers",
		})
		answered <- outcome{response, err}
	}()
	<-waiting // of this call; the next scheduled refresh is an hour later
	s.put(t, secondSecret)
	s.stop()
	eventually(t, func() error {
		if ready, _ := s.readyz(t); ready {
			return errors.New("still ready")
		}
		return nil
	})
	release()
	got := <-answered
	if got.err != nil || got.response.GetAfter().GetActiveVersion() != 2 {
		t.Errorf("the response is %v, %v", got.response, got.err)
	}
	if err := s.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	s.checkNoSecrets(t, firstSecret, secondSecret)
}

// TestVaultUnavailable interrupts the connection to Vault, and then stops Vault. Keys in memory
// sign until max_stale and no longer. The service recovers without a restart.
func TestVaultUnavailable(t *testing.T) {
	t.Parallel()
	life := &scope{TB: t}
	defer life.end()
	vault := vaulttest.Start(life)
	s := serveOnVault(t, vault, "refresh: 1s, max_stale: 5s", func(s *vaultServer) { s.put(t, firstSecret) })
	s.expectSigned(t, 1, firstSecret)
	s.proxy.setTarget("")
	s.awaitState(t, "stale", 1, "no proper answer")
	s.expectSigned(t, 1, firstSecret)
	s.refresh(t, 1, "STALE")
	s.expectSigned(t, 1, firstSecret) // a failed refresh changes nothing
	s.proxy.setTarget(vault.Addr)
	s.awaitState(t, "usable", 1, "")

	life.end()
	s.awaitState(t, "unavailable", 1, "no proper answer")
	s.expectRefusal(t, "SECRET_UNAVAILABLE")
	if got := s.post(t, s.key, "/v1/configurations/acme-customers:mintToken",
		anaJSON); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	s.refresh(t, 1, "UNAVAILABLE")

	// The new Vault has neither the tokens nor the roles of the first one.
	next := vaulttest.Start(life)
	s.vault = next
	s.put(t, secondSecret)
	s.login(t, next)
	s.proxy.setTarget(next.Addr)
	s.awaitState(t, "usable", 1, "")
	s.expectSigned(t, 1, secondSecret)
	s.checkNoLeaks(t)
}
