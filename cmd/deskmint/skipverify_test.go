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

// onStranger makes the files of a service whose Vault has a certificate that nobody
// vouches for, and a key of its own for the block.
func onStranger(t *testing.T, key string) (config string) {
	t.Helper()
	stranger := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
	stranger.StartTLS()
	t.Cleanup(stranger.Close)
	_, hash := caller.NewKey()
	text := strings.Replace(onVault(stranger.URL, hash), "vault: {", "vault: {"+key, 1)
	dir := folder(t, map[string]string{"deskmint.yaml": text, "role-id": "r", "secret-id": "s"})
	return filepath.Join(dir, "deskmint.yaml")
}

const skipVerifyWarning = "secrets.vault.skip_verify is set: Vault's certificate is not verified"

// TestSkipVerify: the operator's commands and the service take the setting from one
// file, and both warn.
func TestSkipVerify(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "token")
	verified, skipped := onStranger(t, ""), onStranger(t, "skip_verify: true, ")
	status := func(config string) (stderr string, err error) {
		_, stderr, err = operate(t, "", "status", "acme-customers", "--config", config)
		return stderr, err
	}
	if stderr, err := status(verified); err == nil || !strings.Contains(err.Error(), "unknown authority: check ca") || strings.Contains(stderr, "skip_verify") {
		t.Errorf("by default: %v, %s", err, stderr)
	}
	t.Setenv("VAULT_SKIP_VERIFY", "1")
	if _, err := status(verified); err == nil || !strings.Contains(err.Error(), "VAULT_SKIP_VERIFY is set") || !strings.Contains(err.Error(), "set secrets.vault.skip_verify") {
		t.Errorf("by the environment: %v", err)
	}
	if stderr, err := status(skipped); err == nil || !strings.Contains(err.Error(), "(403)") || strings.Count(stderr, skipVerifyWarning) != 1 {
		t.Errorf("by the file: %v, %s", err, stderr)
	}
	d := serveUnready(t, skipped) // what answers there is no Vault
	if n := strings.Count(d.err.String(), skipVerifyWarning); n != 1 {
		t.Errorf("the service warns %d times: %s", n, &d.err)
	}
}
