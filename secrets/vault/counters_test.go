package vault_test

import (
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets/vault"
)

// TestLoginsAndTokenExpiry checks that logins are counted by their result, and that the token
// expires with its lease.
func TestLoginsAndTokenExpiry(t *testing.T) {
	f, now := newFakeVault(t), newClock()
	f.lease = 600
	source := newSource(t, appRole(t, f.URL), vault.Options{Now: now.Now})
	if end, ends := source.TokenExpiry(); ends {
		t.Errorf("a token before the first login, until %v", end)
	}
	f.set(func(f *fakeVault) { f.answers["auth/approle/login"] = reply{503, canary} })
	if _, err := source.Status(t.Context(), acme.Path); err == nil {
		t.Fatal("read without a login")
	}
	f.set(func(f *fakeVault) { delete(f.answers, "auth/approle/login") })
	now.add(time.Minute)
	if _, err := source.Status(t.Context(), acme.Path); err != nil {
		t.Fatal(err)
	}
	if succeeded, failed := source.Logins(); succeeded != 1 || failed != 1 {
		t.Errorf("%d logins, and %d that failed", succeeded, failed)
	}
	if end, ends := source.TokenExpiry(); !ends || !end.Equal(now.Now().Add(10*time.Minute)) {
		t.Errorf("the token ends %v, %v", end, ends)
	}
}
