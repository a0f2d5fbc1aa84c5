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

// TestVault serves from a real Vault, which its own API writes to.
func TestVault(t *testing.T) {
	t.Parallel()
	vault := vaulttest.Start(t)
	vault.AppRole(t, "first", "") // mounts the method, which the tests beside each other would all do
	for name, test := range map[string]func(*testing.T, *vaulttest.Server){
		"rotation":           testRotation,
		"unasked":            testUnasked,
		"wrong secret id":    testWrongSecretID,
		"wrong token":        testWrongToken,
		"deleted":            testDeleted,
		"short":              testShort,
		"permission lost":    testPermissionLost,
		"refresh at the end": testRefreshAtTheEnd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, vault)
		})
	}
}

// testRotation: stage, try, activate.
func testRotation(t *testing.T, vault *vaulttest.Server) {
	s := onVaultServer(t, vault, "refresh: 1s", func(s *vaultServer) { s.put(t, firstSecret) })
	s.stands(t, "usable", 1, "")
	s.signs(t, 1, firstSecret)

	// Pinned, then written: the second is staged.
	vault.SetMetadata(t, s.path, map[string]string{"active_version": "1", "serial": "1"})
	s.put(t, secondSecret)
	eventually(t, func() error {
		if _, all := s.readyz(t); all["acme-customers"].Staged != 2 {
			return fmt.Errorf("%+v", all)
		}
		return nil
	})
	s.stands(t, "usable", 1, "")
	s.signs(t, 1, firstSecret)
	tried := s.post(t, s.key, "/v1/configurations/acme-customers:mintToken", `{"secretVersion":2,`+anaJSON[1:])
	if tried.status != http.StatusOK || tried.signed != 2 {
		t.Fatalf("trying it: %d %s", tried.status, tried.body)
	}
	claims(t, tried.token, secondSecret)
	if got := s.post(t, s.key, "/v1/configurations/acme-customers:mintToken", `{"secretVersion":3,`+anaJSON[1:]); got.reason != "SECRET_VERSION_UNKNOWN" {
		t.Errorf("a version that isn't there: %d %s", got.status, got.body)
	}
	inspected := s.post(t, s.key, "/v1/configurations/acme-customers:inspectToken", fmt.Sprintf(`{"token":%q}`, tried.token))
	if !strings.Contains(inspected.body, `"acceptable":true`) || !strings.Contains(inspected.body, `"secretVersion":2`) {
		t.Errorf("inspecting: %s", inspected.body)
	}

	// The pointer moves: at once where a refresh was asked for.
	vault.PatchMetadata(t, s.path, map[string]string{"active_version": "2", "previous_version": "1", "serial": "2"})
	s.refresh(t, 2, "USABLE")
	s.signs(t, 2, secondSecret)
	s.stands(t, "usable", 2, "")
	// And back: Zendesk may still have the first.
	vault.PatchMetadata(t, s.path, map[string]string{"active_version": "1", "previous_version": "2", "serial": "3"})
	s.stands(t, "usable", 1, "")
	s.signs(t, 1, firstSecret)
	// The kill switch.
	vault.PatchMetadata(t, s.path, map[string]string{"disabled": "true"})
	s.stands(t, "disabled", 1, "")
	s.refuses(t, "CONFIGURATION_DISABLED")
	s.quiet(t)
}

// testUnasked: without a pointer a new version is the active one, and nobody has to ask for a
// refresh.
func testUnasked(t *testing.T, vault *vaulttest.Server) {
	s := onVaultServer(t, vault, "refresh: 1s", func(s *vaultServer) { s.put(t, firstSecret) })
	s.signs(t, 1, firstSecret)
	s.put(t, secondSecret)
	s.stands(t, "usable", 2, "")
	s.signs(t, 2, secondSecret)
	s.quiet(t)
}

// testWrongSecretID: a login that fails says nothing about the secret; it is tried again, and until
// then the service takes no requests.
func testWrongSecretID(t *testing.T, vault *vaulttest.Server) {
	const wrong = "MARKER-7c6a2b9e-wrong-secret-id"
	s := unreadyOnVault(t, vault, "refresh: 1s", "auth/approle/login", func(s *vaultServer) {
		s.put(t, firstSecret)
		write(t, filepath.Join(s.dir, "secret-id"), wrong)
	})
	s.silent(t, wrong)
	s.login(t, vault)
	s.awaitReady(t)
	s.stands(t, "usable", 1, "")
	s.signs(t, 1, firstSecret)
	s.quiet(t)
}

func testWrongToken(t *testing.T, vault *vaulttest.Server) {
	const wrong = "hvs.MARKER-wrong-token"
	s := unreadyOnVault(t, vault, "refresh: 1s", "lookup-self", func(s *vaultServer) {
		s.put(t, firstSecret)
		config := filepath.Join(s.dir, "deskmint.yaml")
		write(t, config, strings.Replace(readFile(t, config), "auth: {method: approle, role_id_file: role-id, secret_id_file: secret-id}", "auth: {method: token, token_file: token}", 1))
		write(t, filepath.Join(s.dir, "token"), wrong)
	})
	good := vault.Token(t, "1h", strings.ReplaceAll(s.path, "/", "-"))
	write(t, filepath.Join(s.dir, "token"), good)
	s.awaitReady(t)
	s.stands(t, "usable", 1, "")
	s.signs(t, 1, firstSecret)
	s.silent(t, wrong, good)
	s.quiet(t)
}

// testDeleted: at once, and never back to an older version by itself.
func testDeleted(t *testing.T, vault *vaulttest.Server) {
	s := onVaultServer(t, vault, "refresh: 1s", func(s *vaultServer) { s.put(t, firstSecret); s.put(t, secondSecret) })
	s.signs(t, 2, secondSecret)
	vault.Delete(t, s.path, 2)
	s.refresh(t, 2, "UNUSABLE")
	s.refuses(t, "SECRET_UNUSABLE")
	s.stands(t, "unusable", 2, "deleted")
	vault.Undelete(t, s.path, 2)
	s.refresh(t, 2, "USABLE")
	s.stands(t, "usable", 2, "")
	s.signs(t, 2, secondSecret)
	vault.Remove(t, s.path)
	s.refresh(t, 2, "UNUSABLE")
	s.stands(t, "unusable", 2, "secret/metadata/"+s.path)
	s.refuses(t, "SECRET_UNUSABLE")
	s.quiet(t)
}

// testShort: refused from the start; later the last good one goes on.
func testShort(t *testing.T, vault *vaulttest.Server) {
	s := onVaultServer(t, vault, "refresh: 1s", func(s *vaultServer) { s.put(t, shortSecret) })
	s.stands(t, "unusable", 1, "32")
	s.refuses(t, "SECRET_UNUSABLE")
	vault.Destroy(t, s.path, 1)
	s.put(t, firstSecret)
	s.refresh(t, 2, "USABLE")
	s.stands(t, "usable", 2, "")
	s.signs(t, 2, firstSecret)
	s.put(t, shortSecret)
	s.refresh(t, 3, "STALE")
	s.stands(t, "stale", 3, "version 3")
	s.signs(t, 2, firstSecret)
	vault.Put(t, s.path, map[string]string{"another_field": secondSecret})
	s.refresh(t, 4, "STALE")
	s.stands(t, "stale", 4, "shared_secret")
	s.signs(t, 2, firstSecret)
	vault.Destroy(t, s.path, 3)
	s.put(t, secondSecret)
	vault.Destroy(t, s.path, 4)
	s.refresh(t, 5, "USABLE")
	s.stands(t, "usable", 5, "")
	s.signs(t, 5, secondSecret)
	s.quiet(t)
}

// testPermissionLost: a kill switch in the hands of Vault's operators.
func testPermissionLost(t *testing.T, vault *vaulttest.Server) {
	s := onVaultServer(t, vault, "refresh: 1s", func(s *vaultServer) { s.put(t, firstSecret) })
	s.signs(t, 1, firstSecret)
	vault.Policy(t, strings.ReplaceAll(s.path, "/", "-"), `path "secret/metadata/other" { capabilities = ["read"] }`)
	s.stands(t, "unusable", 1, "permission denied")
	s.refuses(t, "SECRET_UNUSABLE")
	s.login(t, vault)
	s.stands(t, "usable", 1, "")
	s.signs(t, 1, firstSecret)
	s.quiet(t)
}

// testRefreshAtTheEnd: a refresh in flight when the service is told to end still has its answer.
func testRefreshAtTheEnd(t *testing.T, vault *vaulttest.Server) {
	s := onVaultServer(t, vault, "refresh: 1h", func(s *vaultServer) { s.put(t, firstSecret) })
	s.signs(t, 1, firstSecret)
	waiting, release := s.road.hold(t)
	type outcome struct {
		response *pb.RefreshSecretResponse
		err      error
	}
	answered := make(chan outcome, 1)
	client := pb.NewConfigurationServiceClient(s.dial(t))
	go func() {
		response, err := client.RefreshSecret(as(t.Context(), s.key), &pb.RefreshSecretRequest{Name: "configurations/acme-customers"})
		answered <- outcome{response, err}
	}()
	<-waiting // the call's own refresh: the service does none by itself for an hour
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
		t.Errorf("the answer is %v, %v", got.response, got.err)
	}
	if err := s.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	s.silent(t, firstSecret, secondSecret)
}

// TestVaultAway takes the Vault away, first the road to it and then the process: what is held goes
// on for max_stale and no longer, and everything comes back by itself.
func TestVaultAway(t *testing.T) {
	t.Parallel()
	life := &scope{TB: t}
	defer life.end()
	vault := vaulttest.Start(life)
	s := onVaultServer(t, vault, "refresh: 1s, max_stale: 5s", func(s *vaultServer) { s.put(t, firstSecret) })
	s.signs(t, 1, firstSecret)
	s.road.lead("")
	s.stands(t, "stale", 1, "no proper answer")
	s.signs(t, 1, firstSecret)
	s.refresh(t, 1, "STALE")
	s.signs(t, 1, firstSecret) // as before: asking in vain does no harm
	s.road.lead(vault.Addr)
	s.stands(t, "usable", 1, "")

	life.end()
	s.stands(t, "unavailable", 1, "no proper answer")
	s.refuses(t, "SECRET_UNAVAILABLE")
	if got := s.post(t, s.key, "/v1/configurations/acme-customers:mintToken", anaJSON); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	s.refresh(t, 1, "UNAVAILABLE")

	// Another life: nothing of the first one is known to it, neither tokens nor roles.
	next := vaulttest.Start(life)
	s.vault = next
	s.put(t, secondSecret)
	s.login(t, next)
	s.road.lead(next.Addr)
	s.stands(t, "usable", 1, "")
	s.signs(t, 1, secondSecret)
	s.quiet(t)
}
