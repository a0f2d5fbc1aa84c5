//go:build unix

package vault_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
)

// TestCredentialIsNoFile checks that a FIFO in place of a credential fails the login. Reading it
// would block every later refresh.
func TestCredentialIsNoFile(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for key, auth := range map[string]vault.Auth{
		"token_file":     {Method: "token", TokenFile: fifo},
		"role_id_file":   {Method: "approle", RoleIDFile: fifo, SecretIDFile: credentialFile(t, "s")},
		"secret_id_file": {Method: "approle", RoleID: "r", SecretIDFile: fifo},
		"jwt_file":       {Method: "jwt", Role: "r", JWTFile: fifo},
	} {
		f := newFakeVault(t)
		source := newSource(t, vault.Settings{Addresses: []string{f.URL}, Auth: auth}, vault.Options{})
		_, err := source.Status(t.Context(), acme.Path)
		checkUnavailable(t, err)
		secretstest.CheckErrorText(t, err, key, fifo, "is a FIFO, not a regular file")
	}
}
