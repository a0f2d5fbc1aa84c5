//go:build long

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
)

// TestMaxRate: neither the first load nor the refreshes after it ask Vault for more than max_rate.
func TestMaxRate(t *testing.T) {
	t.Parallel()
	const secrets, rate, window = 300, 60, 5
	vault := vaulttest.Start(t)
	way := count(t, vault)
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
			return fmt.Errorf("ready: %v; %d of %d are usable; %d looks", ready, usable, secrets, n) // it takes eleven seconds
		}
		return nil
	})
	// Reads that a busy machine holds up come together with those after them: as many as go on at
	// once.
	const under = 2 * 16
	if n := most(way.since(time.Time{}), window*time.Second); n > window*rate+under {
		t.Errorf("%d reads within %d s, with a max_rate of %d", n, window, rate)
	}
	d.mint(t, key, "acme-7")
}
