package vault_test

import (
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/deskmint/deskmint/secrets/vault"
)

func decode(t *testing.T, text string) vault.Settings {
	t.Helper()
	var s vault.Settings
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSettingsAreAccepted(t *testing.T) {
	for _, text := range []string{
		`
addresses: [https://vault.internal:8200]
ca: vault-ca.pem
namespace: ""
mount: secret
auth: {method: kubernetes, mount: kubernetes, role: deskmint}`,
		`{addresses: ["http://127.0.0.1:8200"], auth: {method: token}}`,
		`
addresses: ["http://localhost:8200", "http://[::1]:8200", "https://v/prefix"]
auth: {method: token, token_file: t}`,
		`{addresses: ["https://v"], mount: kv/team, auth: {method: approle, role_id: r, secret_id_file: s}}`,
		`{addresses: ["https://v"], auth: {method: approle, mount: a/b, role_id_file: r, secret_id_file: s}}`,
		`{addresses: ["https://v"], skip_verify: true, auth: {method: token}}`,
		`{addresses: ["https://v"], ca: ca.pem, skip_verify: false, auth: {method: token}}`,
		`{addresses: ["https://v"], namespace: a/b, auth: {method: jwt, role: r, jwt_file: j}}`,
	} {
		decode(t, text).Check(func(key, message string) { t.Errorf("%s\n%s %s", text, key, message) })
	}
}

func TestSettingsFaults(t *testing.T) {
	for text, want := range map[string][]string{
		`{}`: {"addresses", "auth.method"},
		`
addresses: ["vault:8200", "ftp://v", "http://vault.internal", "https://u:p@v",
  "https://v?x", "https://v#f", "https://", "::"]
auth: {method: token}`: slices.Repeat([]string{"addresses"}, 8),
		`{addresses: ["https://v"], mount: /secret, auth: {method: token}}`: {"mount"},
		`{addresses: ["https://v"], mount: a/../b, namespace: "a\nb", auth: {method: token}}`: {
			"mount",
			"namespace",
		},
		`{addresses: ["https://v"], ca: ca.pem, skip_verify: true, auth: {method: token}}`: {"skip_verify"},
		`{addresses: ["https://v"], auth: {method: ldap}}`:                                 {"auth.method"},
		`{addresses: ["https://v"], auth: {method: approle}}`: {
			"auth.secret_id_file",
			"auth.role_id",
		},
		`{addresses: ["https://v"], auth: {method: approle, role_id: r, role_id_file: f, secret_id_file: s}}`: {
			"auth.role_id",
		},
		`{addresses: ["https://v"], auth: {method: approle, role: r, role_id: r, secret_id_file: s, jwt_file: j}}`: {
			"auth.role",
			"auth.jwt_file",
		},
		`{addresses: ["https://v"], auth: {method: kubernetes}}`: {"auth.role"},
		`{addresses: ["https://v"], auth: {method: jwt, mount: a/}}`: {
			"auth.role",
			"auth.jwt_file", "auth.mount",
		},
		`{addresses: ["https://v"], auth: {method: token, mount: token, role: r, role_id: i}}`: {
			"auth.mount",
			"auth.role", "auth.role_id",
		},
	} {
		var got []string
		decode(t, text).Check(func(key, message string) {
			got = append(got, key)
			if message == "" || strings.Contains(message, "u:p") {
				t.Errorf("%s: message %q", key, message)
			}
		})
		if !slices.Equal(got, want) {
			t.Errorf("%s\nfaults at %v, want %v", text, got, want)
		}
		_, err := vault.New(decode(t, text), vault.Options{})
		if err == nil || !strings.Contains(err.Error(), want[0]) {
			t.Errorf("%s\nNew: %v", text, err)
		}
	}
}

func TestRebase(t *testing.T) {
	s := vault.Settings{CA: "ca.pem", Auth: vault.Auth{SecretIDFile: "/run/secret-id", JWTFile: "jwt"}}
	s.Rebase("/etc/deskmint")
	if s.CA != "/etc/deskmint/ca.pem" || s.Auth.SecretIDFile != "/run/secret-id" ||
		s.Auth.JWTFile != "/etc/deskmint/jwt" || s.Auth.TokenFile != "" {
		t.Errorf("%+v", s)
	}
}
