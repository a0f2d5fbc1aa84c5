package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestDoctorIdentityUse checks doctor against records that a running service has written.
func TestDoctorIdentityUse(t *testing.T) {
	t.Parallel()
	config, key := recordFiles(t)
	d := serve(t, config)
	d.mintFor(t, key, "http", "ana@customer.example", "Shop-1")
	runDoctor(t, 0, []string{"--config", config}, `ok +identities: records show that each of 1 was used within 90 days`)
	log := filepath.Join(filepath.Dir(config), "audit.log")
	if err := os.Rename(log, filepath.Join(filepath.Dir(config), "kept.log")); err != nil {
		t.Fatal(err)
	}
	runDoctor(t, 0, []string{"--config", config},
		`ok +identities: .* isn't known: there is no file of records here, .*`)
	runDoctor(t, 0, []string{"--config", config, "--audit", filepath.Join(filepath.Dir(config), "kept.log")},
		`ok +identities: records show .*`)
}
