//go:build long

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
)

// TestMaxRate checks that neither the first load nor the later refreshes send more requests to
// Vault than max_rate.
func TestMaxRate(t *testing.T) {
	t.Parallel()
	const secrets, rate, window = 300, 60, 5
	vault := vaulttest.Start(t)
	way := newCountingProxy(t, vault)
	config, key := manyConfigurations(t, vault, way.URL, secrets, rate)
	d := serve(t, config)
	loaded := time.Now()
	if n := len(way.since(time.Time{})); n < 2*secrets {
		t.Errorf("ready after %d reads: not everything is loaded", n)
	}
	eventually(t, func() error {
		ready, all := d.readyz(t)
		usable := 0
		for _, standing := range all {
			if standing.State == "usable" && standing.Fault == "" {
				usable++
			}
		}
		if n := len(way.since(loaded)); !ready || usable < secrets || n < 2*secrets {
			// This takes eleven seconds.
			return fmt.Errorf("ready: %v; %d of %d are usable; %d reads", ready, usable, secrets, n)
		}
		return nil
	})
	// On a busy machine, delayed reads come together with those after them. At most as many can be
	// delayed as are in flight at once.
	const under = 2 * 16
	if n := maxWithin(way.since(time.Time{}), window*time.Second); n > window*rate+under {
		t.Errorf("%d reads within %d s, with a max_rate of %d", n, window, rate)
	}
	d.mint(t, key, "acme-7")
}
