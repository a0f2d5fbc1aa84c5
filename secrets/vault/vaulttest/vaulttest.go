// Package vaulttest starts a real Vault for a test on loopback. It starts one server in dev mode,
// or a raft cluster. It writes to Vault through the HTTP API, not through the code under test.
package vaulttest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// Server is a running Vault with a KV v2 engine at the mount `secret`. Its methods end the test if
// Vault refuses a request.
type Server struct {
	Addr      string // http://127.0.0.1:PORT
	RootToken string
}

// Start starts a Vault that runs until the test ends. It uses the binary VAULT_BIN, or a `vault` on
// the PATH. Without either it skips the test, or fails the test if the list DESKMINT_REQUIRE
// contains the word vault.
func Start(t testing.TB) *Server {
	t.Helper()
	binary := findBinary(t)
	return retryStart(t, func() (*Server, error) { return start(t, binary) })
}

func start(t testing.TB, binary string) (*Server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	// The token is random, so that this test can't use the Vault of another test by mistake.
	s := &Server{Addr: "http://" + address, RootToken: rand.Text()}
	p, err := launch(t, binary, "server", "-dev", "-dev-no-store-token", "-dev-root-token-id="+s.RootToken,
		"-dev-listen-address="+address)
	if err != nil {
		return nil, err
	}
	return s, p.await("ready", s.ready)
}

// ready reports whether Vault is unsealed and has mounted its KV engine. In dev mode it mounts the
// engine a moment after it is unsealed.
func (s *Server) ready() bool {
	status, _, err := s.send(http.MethodGet, "sys/mounts/secret", nil)
	return err == nil && status == http.StatusOK
}

// Do sends a request to path under /v1/ with the root token, and returns the answer. It ends the
// test unless Vault answers with success.
func (s *Server) Do(t testing.TB, method, path string, body any) map[string]any {
	t.Helper()
	status, answer, err := s.send(method, path, body)
	if err != nil || status >= 300 {
		t.Fatalf("vaulttest: %s %s: %d, %v, %v", method, path, status, err, answer["errors"])
	}
	return answer
}

func (s *Server) send(method, path string, body any) (status int, answer map[string]any, err error) {
	var reader io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		reader = bytes.NewReader(encoded)
	}
	req, err := http.NewRequest(method, s.Addr+"/v1/"+path, reader)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-Vault-Token", s.RootToken)
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil && err != io.EOF {
		return resp.StatusCode, nil, err
	}
	return resp.StatusCode, answer, nil
}

// Put writes the next version of the secret at path, and returns its number.
func (s *Server) Put(t testing.TB, path string, fields map[string]string) int {
	t.Helper()
	answer := s.Do(t, http.MethodPost, "secret/data/"+path, map[string]any{"data": fields})
	return int(answer["data"].(map[string]any)["version"].(float64))
}

// SetMetadata replaces the whole custom metadata of the secret at path, like `vault kv metadata
// put`.
func (s *Server) SetMetadata(t testing.TB, path string, custom map[string]string) {
	t.Helper()
	s.Do(t, http.MethodPost, "secret/metadata/"+path, map[string]any{"custom_metadata": custom})
}

// PatchMetadata changes only the given keys of the custom metadata. It also stores empty values.
func (s *Server) PatchMetadata(t testing.TB, path string, custom map[string]string) {
	t.Helper()
	s.Do(t, http.MethodPatch, "secret/metadata/"+path, map[string]any{"custom_metadata": custom})
}

// Delete soft-deletes versions. Undelete restores them.
func (s *Server) Delete(t testing.TB, path string, versions ...int) {
	t.Helper()
	s.Do(t, http.MethodPost, "secret/delete/"+path, map[string]any{"versions": versions})
}

// Undelete restores soft-deleted versions.
func (s *Server) Undelete(t testing.TB, path string, versions ...int) {
	t.Helper()
	s.Do(t, http.MethodPost, "secret/undelete/"+path, map[string]any{"versions": versions})
}

// Destroy removes the values of versions permanently.
func (s *Server) Destroy(t testing.TB, path string, versions ...int) {
	t.Helper()
	s.Do(t, http.MethodPut, "secret/destroy/"+path, map[string]any{"versions": versions})
}

// Remove removes the secret with all versions and its metadata.
func (s *Server) Remove(t testing.TB, path string) {
	t.Helper()
	s.Do(t, http.MethodDelete, "secret/metadata/"+path, nil)
}

// Policy writes a policy in Vault's language.
func (s *Server) Policy(t testing.TB, name, rules string) {
	t.Helper()
	s.Do(t, http.MethodPut, "sys/policies/acl/"+name, map[string]any{"policy": rules})
}

// Reader writes a policy that permits only the reads of a Deskmint service under prefix.
func (s *Server) Reader(t testing.TB, name, prefix string) {
	t.Helper()
	s.Policy(t, name, fmt.Sprintf(`
		path "secret/metadata/%[1]s*" { capabilities = ["read"] }
		path "secret/data/%[1]s*"     { capabilities = ["read"] }`, prefix))
}

// AppRole creates a role for AppRole logins, and returns its credentials. Its tokens have the given
// policies and last ttl, in Vault's notation. An empty ttl means an hour.
func (s *Server) AppRole(t testing.TB, name, ttl string, policies ...string) (roleID, secretID string) {
	t.Helper()
	if ttl == "" {
		ttl = "1h"
	}
	if _, mounted := s.Do(t, http.MethodGet, "sys/auth", nil)["approle/"]; !mounted {
		s.Do(t, http.MethodPost, "sys/auth/approle", map[string]any{"type": "approle"})
	}
	s.Do(t, http.MethodPost, "auth/approle/role/"+name, map[string]any{"token_policies": policies, "token_ttl": ttl})
	role := s.Do(t, http.MethodGet, "auth/approle/role/"+name+"/role-id", nil)
	secret := s.Do(t, http.MethodPost, "auth/approle/role/"+name+"/secret-id", map[string]any{})
	return role["data"].(map[string]any)["role_id"].(string), secret["data"].(map[string]any)["secret_id"].(string)
}

// RefuseLogin logs in by AppRole with a wrong secret id. Vault locks the role after five such
// logins.
func (s *Server) RefuseLogin(t testing.TB, roleID string) {
	t.Helper()
	status, _, err := s.send(http.MethodPost, "auth/approle/login",
		map[string]string{"role_id": roleID, "secret_id": "wrong"})
	if err != nil || status != http.StatusBadRequest {
		t.Fatalf("vaulttest: a login with a wrong secret id: %d, %v", status, err)
	}
}

// LockedRoles returns the number of roles and users that Vault has locked after refused logins.
func (s *Server) LockedRoles(t testing.TB) int {
	t.Helper()
	return int(s.Do(t, http.MethodGet, "sys/locked-users", nil)["data"].(map[string]any)["total"].(float64))
}

// Token creates a token with the given policies and Vault's default policy.
func (s *Server) Token(t testing.TB, ttl string, policies ...string) string {
	t.Helper()
	answer := s.Do(t, http.MethodPost, "auth/token/create", map[string]any{"policies": policies, "ttl": ttl})
	return answer["auth"].(map[string]any)["client_token"].(string)
}

// RevokeToken revokes a token.
func (s *Server) RevokeToken(t testing.TB, token string) {
	t.Helper()
	s.Do(t, http.MethodPost, "auth/token/revoke", map[string]any{"token": token})
}
