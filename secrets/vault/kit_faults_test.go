package vault_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/vault/toxic"
)

// networkFaults are faults of the network between the service and Vault. They say nothing about the
// secret.
func networkFaults() []fault {
	const timeout = 1500 * time.Millisecond // enough for a slow machine when the network is fair again
	turns := func(w toxic.Fault) func(*testing.T, *faultEnv) {
		return func(t *testing.T, s *faultEnv) { s.proxy.Set(t, w) }
	}
	return []fault{{
		name:          "down",
		begin:         func(_ *testing.T, s *faultEnv) { s.proxy.Refuse() },
		afterMaxStale: secrets.ErrUnavailable, says: "connection refused",
		end: func(t *testing.T, s *faultEnv) { s.proxy.Open(t) }, after: 1, value: first,
	}, {
		name: "slow", timeout: timeout,
		begin:         turns(toxic.Slow),
		afterMaxStale: secrets.ErrUnavailable, says: "no answer in time",
		end: turns(toxic.NoFault), after: 1, value: first,
	}, {
		name: "half-open", timeout: timeout,
		begin:         turns(toxic.Silent),
		afterMaxStale: secrets.ErrUnavailable, says: "no answer in time",
		end: turns(toxic.NoFault), after: 1, value: first,
	}, {
		name:          "reset",
		begin:         turns(toxic.Reset),
		afterMaxStale: secrets.ErrUnavailable, says: "the connection broke",
		end: turns(toxic.NoFault), after: 1, value: first,
	}}
}

// accessFaults are faults of the service's permissions in Vault.
func accessFaults() []fault {
	revoked := func(t *testing.T, s *faultEnv) {
		s.server.Do(t, http.MethodPut, "sys/leases/revoke-prefix/auth/approle/login", map[string]any{"sync": true})
	}
	return []fault{{
		name: "policy lost",
		begin: func(t *testing.T, s *faultEnv) {
			s.server.Policy(t, s.name, `path "nothing" { capabilities = ["read"] }`)
		},
		afterRefresh: secrets.ErrDenied, afterMaxStale: secrets.ErrDenied, says: "permission denied (403)", logins: 2,
		end: func(t *testing.T, s *faultEnv) { s.permit(t) }, after: 1, value: first,
	}, {
		name: "token revoked just after its login", begin: revoked, logins: 2,
	}, {
		name: "two tokens revoked",
		begin: func(t *testing.T, s *faultEnv) {
			revoked(t, s)
			s.refresh(t)
			s.gets(t, "after the first", nil)
			revoked(t, s)
		},
		afterRefresh: secrets.ErrDenied, afterMaxStale: secrets.ErrDenied, says: "permission denied (403)", logins: 3,
		end: func(_ *testing.T, s *faultEnv) { s.tokens.add(10 * time.Second) }, after: 1, value: first,
	}, {
		name: "token revoked",
		begin: func(t *testing.T, s *faultEnv) {
			s.tokens.add(time.Minute)
			revoked(t, s)
		},
		logins: 2,
	}, {
		name: "too many requests",
		begin: func(t *testing.T, s *faultEnv) {
			s.server.Do(t, http.MethodPost, "sys/quotas/rate-limit/"+s.name,
				map[string]any{"path": "secret/metadata/" + s.ref.Path, "rate": 1, "interval": "1h"})
			s.refresh(t) // the quota still permits this one
		},
		afterMaxStale: secrets.ErrUnavailable, says: "too many requests: a quota of Vault's (429)",
		end: func(t *testing.T, s *faultEnv) {
			s.server.Do(t, http.MethodDelete, "sys/quotas/rate-limit/"+s.name, nil)
		}, after: 1, value: first,
	}}
}

// versionFaults are faults of the active version and its pointer.
func versionFaults() []fault {
	return []fault{{
		name:         "version deleted",
		begin:        func(t *testing.T, s *faultEnv) { s.server.Delete(t, s.ref.Path, 1) },
		afterRefresh: secrets.ErrDeleted, afterMaxStale: secrets.ErrDeleted,
		says: "active version 1 was deleted or destroyed",
		end:  func(t *testing.T, s *faultEnv) { s.server.Undelete(t, s.ref.Path, 1) }, after: 1, value: first,
	}, {
		name:         "version destroyed",
		begin:        func(t *testing.T, s *faultEnv) { s.server.Destroy(t, s.ref.Path, 1) },
		afterRefresh: secrets.ErrDeleted, afterMaxStale: secrets.ErrDeleted,
		says: "active version 1 was deleted or destroyed",
		end:  func(t *testing.T, s *faultEnv) { s.put(t, second) }, after: 2, value: second,
	}, {
		name:         "metadata deleted",
		begin:        func(t *testing.T, s *faultEnv) { s.server.Remove(t, s.ref.Path) },
		afterRefresh: secrets.ErrNotFound, afterMaxStale: secrets.ErrNotFound, says: "no such secret (404)",
		end: func(t *testing.T, s *faultEnv) { s.put(t, third) }, after: 1, value: third,
	}, {
		name: "pointer wiped",
		begin: func(t *testing.T, s *faultEnv) {
			s.server.PatchMetadata(t, s.ref.Path, map[string]string{"active_version": "1", "serial": "1"})
			s.put(t, second)
			s.refresh(t)
			s.gets(t, "staged", nil)
			s.server.SetMetadata(t, s.ref.Path, map[string]string{"owner": "another-team"})
		},
		says: "active_version has vanished",
		end: func(t *testing.T, s *faultEnv) {
			s.server.PatchMetadata(t, s.ref.Path, map[string]string{"active_version": "2", "serial": "2"})
		}, after: 2, value: second,
	}}
}

// valueFaults are faults of the value of the next version, which is active at once.
func valueFaults() []fault {
	next := func(fields map[string]string) func(*testing.T, *faultEnv) {
		return func(t *testing.T, s *faultEnv) { s.server.Put(t, s.ref.Path, fields) }
	}
	// Version 2 is destroyed, because an unusable previous version causes another alarm.
	again := func(t *testing.T, s *faultEnv) {
		s.put(t, third)
		s.server.Destroy(t, s.ref.Path, 2)
	}
	// There are several fields, because Vault limits the length of each string.
	huge := map[string]string{"shared_secret": canary}
	for _, field := range []string{"a", "b", "c", "d", "e"} {
		huge[field] = strings.Repeat(canary, 15_000)
	}
	return []fault{{
		name: "field missing", begin: next(map[string]string{"other": canary}),
		afterMaxStale: secrets.ErrUnusable, says: "it has no field shared_secret that is a string",
		end: again, after: 3, value: third,
	}, {
		name: "value too short", begin: next(map[string]string{"shared_secret": canary[:20]}),
		afterMaxStale: secrets.ErrUnusable, says: "version 2, field shared_secret: unusable",
		end: again, after: 3, value: third,
	}, {
		name: "value with a newline", begin: next(map[string]string{"shared_secret": canary + "\n"}),
		afterMaxStale: secrets.ErrUnusable, says: "version 2, field shared_secret: unusable",
		end: again, after: 3, value: third,
	}, {
		name: "huge answer", begin: next(huge),
		afterMaxStale: secrets.ErrUnavailable, says: "or too large",
		end: again, after: 3, value: third,
	}}
}

// mountFaults are faults of the configuration from the start. The keyring never holds a key.
func mountFaults() []fault {
	old := func(t *testing.T, s *faultEnv) {
		s.server.Do(t, http.MethodPost, "sys/mounts/old",
			map[string]any{"type": "kv", "options": map[string]string{"version": "1"}})
		s.server.Do(t, http.MethodPut, "old/"+s.ref.Path, map[string]string{s.ref.Field: first})
	}
	return []fault{{
		name: "wrong mount", mount: "elsewhere",
		afterRefresh: secrets.ErrNotFound, afterMaxStale: secrets.ErrNotFound, says: "check path, mount",
	}, {
		name: "KV version 1", mount: "old", begin: old,
		afterRefresh: secrets.ErrNotFound, afterMaxStale: secrets.ErrNotFound,
		says: "check path, mount (a KV engine of version 2)",
	}}
}
