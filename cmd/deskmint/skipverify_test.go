package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/caller"
)

// untrustedVault writes the files of a service whose Vault has a self-signed certificate. key is
// added to the block vault.
func untrustedVault(t *testing.T, key string) (config string) {
	t.Helper()
	stranger := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
	stranger.StartTLS()
	t.Cleanup(stranger.Close)
	_, hash := caller.NewKey()
	text := strings.Replace(onVault(stranger.URL, hash), "vault: {", "vault: {"+key, 1)
	dir := folder(t, map[string]string{"deskmint.yaml": text, "role-id": "r", "secret-id": "s"})
	return filepath.Join(dir, "deskmint.yaml")
}

const skipVerifyWarning = "secrets.vault.skip_verify is set: Vault's certificate is not verified"

// TestSkipVerify checks that the operator's commands and the service use the setting of the same
// file, and that both warn.
func TestSkipVerify(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "token")
	verified, skipped := untrustedVault(t, ""), untrustedVault(t, "skip_verify: true, ")
	status := func(config string) (stderr string, err error) {
		_, stderr, err = runSecret(t, "", "status", "acme-customers", "--config", config)
		return stderr, err
	}
	if stderr, err := status(verified); err == nil || !strings.Contains(err.Error(), "unknown authority: check ca") ||
		strings.Contains(stderr, "skip_verify") {
		t.Errorf("by default: %v, %s", err, stderr)
	}
	t.Setenv("VAULT_SKIP_VERIFY", "1")
	if _, err := status(verified); err == nil || !strings.Contains(err.Error(), "VAULT_SKIP_VERIFY is set") ||
		!strings.Contains(err.Error(), "set secrets.vault.skip_verify") {
		t.Errorf("by the environment: %v", err)
	}
	if stderr, err := status(skipped); err == nil || !strings.Contains(err.Error(), "(403)") ||
		strings.Count(stderr, skipVerifyWarning) != 1 {
		t.Errorf("by the file: %v, %s", err, stderr)
	}
	d := serveUnready(t, skipped) // the server there is not a Vault
	if n := strings.Count(d.err.String(), skipVerifyWarning); n != 1 {
		t.Errorf("the service warns %d times: %s", n, &d.err)
	}
}
