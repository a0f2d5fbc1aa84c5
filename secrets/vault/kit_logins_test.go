package vault_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/vault"
)

// loginFaults are faults in which the token has expired by the source's clock, and the next login
// fails. They say nothing about the secret.
func loginFaults() []fault {
	return []fault{{
		name: "login refused",
		begin: func(t *testing.T, s *faultEnv) {
			s.server.Do(t, http.MethodPost, "auth/approle/role/"+s.name+"/secret-id/destroy",
				map[string]any{"secret_id": s.credential})
			s.tokens.add(2 * time.Hour)
		},
		afterMaxStale: secrets.ErrUnavailable, says: "logging in at auth/approle/login: refused",
		end: func(t *testing.T, s *faultEnv) {
			answer := s.server.Do(t, http.MethodPost, "auth/approle/role/"+s.name+"/secret-id", map[string]any{})
			s.credential = answer["data"].(map[string]any)["secret_id"].(string)
			writeFile(t, s.credentialFile, s.credential)
		}, after: 1, value: first,
	}, roleLocked(), tokenOfFewUses(), loginUnreachable(), kubernetesLoginForbidden(), jwtExpired()}
}

// roleLocked is the fault that others were refused with the role of this source.
func roleLocked() fault {
	return fault{
		name: "role locked",
		begin: func(t *testing.T, s *faultEnv) {
			for range 5 {
				s.server.RefuseLogin(t, s.roleID)
			}
			s.tokens.add(2 * time.Hour)
		},
		afterMaxStale: secrets.ErrUnavailable,
		says:          "logging in at auth/approle/login: refused: the role is locked after refused logins",
		end: func(t *testing.T, s *faultEnv) {
			method := s.server.Do(t, http.MethodGet, "sys/auth", nil)["approle/"].(map[string]any)
			s.server.Do(t, http.MethodPost, "sys/locked-users/"+method["accessor"].(string)+"/unlock/"+s.roleID, nil)
			s.tokens.add(23 * time.Minute)
		}, after: 1, value: first,
	}
}

// tokenOfFewUses is the fault that the next login gives a token that Vault refuses after three
// requests, as if it had lost its permission.
func tokenOfFewUses() fault {
	uses := func(t *testing.T, s *faultEnv, n int) {
		s.server.Do(t, http.MethodPost, "auth/approle/role/"+s.name, map[string]any{"token_num_uses": n})
	}
	return fault{
		name: "token of few uses",
		begin: func(t *testing.T, s *faultEnv) {
			uses(t, s, 3)
			s.tokens.add(2 * time.Hour)
		},
		afterMaxStale: secrets.ErrUnavailable, says: "the token has a limit of uses (3)",
		end: func(t *testing.T, s *faultEnv) { uses(t, s, 0) }, after: 1, value: first,
	}
}

// loginUnreachable is a fault of a proxy that breaks the connection of a login.
func loginUnreachable() fault {
	return fault{
		name: "login unreachable",
		configure: func(t *testing.T, s *faultEnv, settings *vault.Settings, _ *vault.Options) {
			s.front = newFrontProxy(t, s.server.Addr)
			settings.Addresses = []string{s.front.start(t)}
		},
		begin: func(_ *testing.T, s *faultEnv) {
			s.front.fail("auth/approle/login", 0)
			s.tokens.add(2 * time.Hour)
		},
		afterMaxStale: secrets.ErrUnavailable, says: "logging in at auth/approle/login: ",
		end: func(_ *testing.T, s *faultEnv) { s.front.fail("", 0) }, after: 1, value: first,
	}
}

// kubernetesLoginForbidden is a fault of a proxy that answers logins with 403. Vault's method
// kubernetes does so while the API server is unavailable.
func kubernetesLoginForbidden() fault {
	return fault{
		name: "kubernetes login forbidden",
		configure: func(t *testing.T, s *faultEnv, settings *vault.Settings, _ *vault.Options) {
			issuer := newIssuer(t)
			issuer.mount(t, s.server, "kubernetes", s.name)
			s.credential = issuer.token(t, time.Hour)
			writeFile(t, s.credentialFile, s.credential)
			s.front = newFrontProxy(t, s.server.Addr)
			settings.Addresses = []string{s.front.start(t)}
			settings.Auth = vault.Auth{Method: "kubernetes", Role: "deskmint", JWTFile: s.credentialFile}
		},
		begin: func(_ *testing.T, s *faultEnv) {
			s.front.fail("auth/kubernetes/login", http.StatusForbidden)
			s.tokens.add(2 * time.Hour)
		},
		afterMaxStale: secrets.ErrUnavailable,
		says:          "logging in at auth/kubernetes/login: refused: check the credential",
		end:           func(_ *testing.T, s *faultEnv) { s.front.fail("", 0) }, after: 1, value: first,
	}
}

// jwtExpired is the fault that the JWT in the file has expired.
func jwtExpired() fault {
	var issuer issuer
	present := func(t *testing.T, s *faultEnv, lasts time.Duration) {
		s.credential = issuer.token(t, lasts)
		writeFile(t, s.credentialFile, s.credential)
	}
	return fault{
		name: "jwt expired",
		configure: func(t *testing.T, s *faultEnv, settings *vault.Settings, _ *vault.Options) {
			issuer = newIssuer(t)
			issuer.mount(t, s.server, "jwt", s.name)
			present(t, s, time.Hour)
			settings.Auth = vault.Auth{Method: "jwt", Role: "deskmint", JWTFile: s.credentialFile}
		},
		begin: func(t *testing.T, s *faultEnv) {
			present(t, s, -time.Hour)
			s.tokens.add(2 * time.Hour)
		},
		afterMaxStale: secrets.ErrUnavailable,
		says:          "logging in at auth/jwt/login: refused: check the role and the credential",
		end:           func(t *testing.T, s *faultEnv) { present(t, s, time.Hour) }, after: 1, value: first,
	}
}
