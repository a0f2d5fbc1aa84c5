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
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
)

func rewrite(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// realJWT logs in with methods jwt and kubernetes, whose wire form is the same:
// the jwt plugin stands in for Kubernetes at its path.
func realJWT(t *testing.T, server *vaulttest.Server) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"sub": "system:serviceaccount:sso:deskmint", "aud": "vault",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	ref := secrets.Ref{Path: "sso/jwt", Field: "shared_secret"}
	server.Put(t, ref.Path, map[string]string{ref.Field: first})

	for _, method := range []string{"jwt", "kubernetes"} {
		server.Do(t, http.MethodPost, "sys/auth/"+method, map[string]any{"type": "jwt"})
		server.Do(t, http.MethodPost, "auth/"+method+"/config", map[string]any{"jwt_validation_pubkeys": []string{public}})
		server.Do(t, http.MethodPost, "auth/"+method+"/role/deskmint", map[string]any{
			"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"vault"}, "token_policies": []string{"reader"},
		})
		where := file(t, token)
		source := newSource(t, vault.Settings{
			Addresses: []string{server.Addr},
			Auth:      vault.Auth{Method: method, Role: "deskmint", JWTFile: where},
		}, vault.Options{})
		got, err := source.Key(t.Context(), ref, 1)
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		signedWith(t, got, first)

		rewrite(t, where, token+"x")
		_, err = newSource(t, vault.Settings{
			Addresses: []string{server.Addr},
			Auth:      vault.Auth{Method: method, Role: "deskmint", JWTFile: where},
		}, vault.Options{}).Key(t.Context(), ref, 1)
		away(t, err)
		says(t, err, "auth/"+method+"/login")
	}
}
