package vault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
)

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issuer signs the tokens for logins with methods jwt and kubernetes.
type issuer struct{ key *ecdsa.PrivateKey }

func newIssuer(t *testing.T) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{key}
}

// token returns a token that expires after lasts. If lasts is negative, the token has expired.
func (i issuer) token(t *testing.T, lasts time.Duration) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"sub": "system:serviceaccount:sso:deskmint", "aud": "vault",
		"iat": time.Now().Add(lasts - time.Hour).Unix(), "exp": time.Now().Add(lasts).Unix(),
	}).SignedString(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// mount makes Vault accept the issuer's tokens at auth/METHOD, for the role deskmint with the given
// policy. Both methods have the same wire format, so the jwt plugin replaces the kubernetes plugin.
func (i issuer) mount(t *testing.T, server *vaulttest.Server, method, policy string) {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(i.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	server.Do(t, http.MethodPost, "sys/auth/"+method, map[string]any{"type": "jwt"})
	server.Do(t, http.MethodPost, "auth/"+method+"/config", map[string]any{"jwt_validation_pubkeys": []string{public}})
	server.Do(t, http.MethodPost, "auth/"+method+"/role/deskmint", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"vault"},
		"token_policies": []string{policy}, "token_ttl": "1h",
	})
}

func realJWT(t *testing.T, server *vaulttest.Server) {
	issuer := newIssuer(t)
	ref := secrets.Ref{Path: "sso/jwt", Field: "shared_secret"}
	server.Put(t, ref.Path, map[string]string{ref.Field: first})

	for _, method := range []string{"jwt", "kubernetes"} {
		issuer.mount(t, server, method, "reader")
		token := issuer.token(t, time.Hour)
		where := credentialFile(t, token)
		read := func() (secrets.Key, error) {
			return newSource(t, vault.Settings{
				Addresses: []string{server.Addr},
				Auth:      vault.Auth{Method: method, Role: "deskmint", JWTFile: where},
			}, vault.Options{}).Key(t.Context(), ref, 1)
		}
		got, err := read()
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		secretstest.CheckKey(t, got, first)

		writeFile(t, where, token+"x")
		_, err = read()
		checkUnavailable(t, err)
		secretstest.CheckErrorText(t, err, "auth/"+method+"/login")
	}
}
