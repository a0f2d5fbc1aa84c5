package vault_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/vault"
)

// TestKillSwitchInMalformedMetadata checks that the kill switch works in spite of any fault of the
// metadata. Correct metadata without the switch switch the secret on again.
func TestKillSwitchInMalformedMetadata(t *testing.T) {
	f := newFakeVault(t)
	f.answers["secret/metadata/sso/acme"] = reply{200, metadata(1, "", "{}")}
	f.answers["secret/data/sso/acme"] = reply{200, data(1, fmt.Sprintf(`{"shared_secret": %q}`, canary))}
	source := newSource(t, appRole(t, f.URL), vault.Options{})
	ring := secrets.NewKeyring(secrets.Options{Source: source})
	if err := ring.Warm(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name, custom string
		want         error
	}{
		{"no metadata", `{}`, nil},
		{"off, with a malformed serial", `{"disabled": "true", "serial": "x"}`, secrets.ErrDisabled},
		{"a malformed serial", `{"serial": "x"}`, secrets.ErrDisabled},
		{"repaired", `{}`, nil},
		{"a malformed pointer leaves the last good key", `{"active_version": "two"}`, nil},
	} {
		f.set(func(f *fakeVault) { f.answers["secret/metadata/sso/acme"] = reply{200, metadata(1, "", step.custom)} })
		_, _, _ = ring.Refresh(t.Context(), acme) // Get returns the same error
		if _, err := ring.Get(acme, time.Hour); !errors.Is(err, step.want) || (err == nil) != (step.want == nil) {
			t.Errorf("%s: %v, want %v", step.name, err, step.want)
		}
	}
}
