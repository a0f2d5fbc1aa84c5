package rotate_test

import (
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/rotate"
)

func TestReport(t *testing.T) {
	b := newStore(pointed(2, 1, 5, 3, 3))
	b.values[5] = b.values[1]
	b.keyErr = map[secrets.Version]error{4: fmt.Errorf("%w: version 4 is too short", secrets.ErrUnusable)}
	b.o.Fates[3] = "destroyed"
	report, err := b.rotator().Status(t.Context(), "0004")
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		version                  secrets.Version
		active, staged, previous bool
		fate                     string
		match                    string
		fingerprint, fault       bool
	}
	var got []row
	prints := map[secrets.Version]string{}
	for _, d := range report.Details {
		match := "-"
		if d.Match != nil {
			match = fmt.Sprint(*d.Match)
		}
		prints[d.Version] = d.Fingerprint
		got = append(got,
			row{d.Version, d.Active, d.Staged, d.Previous, d.Fate, match, d.Fingerprint != "", d.Fault != nil})
	}
	want := []row{
		{5, false, true, false, "", "false", true, false},
		{4, false, false, false, "", "true", false, true}, // too short to sign with, but it can be compared
		{3, false, false, false, "destroyed", "-", false, false},
		{2, true, false, false, "", "false", true, false},
		{1, false, false, true, "", "false", true, false},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if prints[5] != prints[1] || prints[1] == prints[2] {
		t.Errorf("equal values must have equal fingerprints, and others not: %v", prints)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(prints[1]) {
		t.Errorf("fingerprint %q", prints[1])
	}
	checkText(t, "report", fmt.Sprintf("%+v", report))
}

// TestFingerprintsDontChange checks a fingerprint that another implementation computed. Operators
// compare fingerprints over years and stores, so they are part of the interface.
func TestFingerprintsDontChange(t *testing.T) {
	b := newStore(unpinned(1))
	b.values[1] = "an-example-that-no-zendesk-account-will-take"
	report, err := b.rotator().Status(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	// This is the result of any implementation of HMAC-SHA256 and PBKDF2.
	if got := report.Details[0].Fingerprint; got != "eae240cc" {
		t.Errorf("fingerprint %s", got)
	}
	if report.Details[0].Match != nil {
		t.Error("Match is set without a prefix")
	}
}

func TestPrefixes(t *testing.T) {
	b := newStore(unpinned(1))
	b.values[1] = canary
	for prefix, want := range map[string]bool{
		canary[:1]: true, canary[:8]: true,
		"kLm9Qx": false, "KLM9Q": false, "é": false,
	} {
		report, err := b.rotator().Status(t.Context(), prefix)
		if err != nil || report.Details[0].Match == nil || *report.Details[0].Match != want {
			t.Errorf("%q: %+v, %v", prefix, report.Details, err)
		}
	}
	_, err := b.rotator().Status(t.Context(), canary[:9])
	if !errors.Is(err, rotate.ErrRefused) {
		t.Fatalf("nine characters: %v", err)
	}
	if checkText(t, "refusal", err.Error(), "at most 8 characters"); leaks(err.Error(), canary) != nil {
		t.Errorf("%v", err)
	}

	denied := fmt.Errorf("%w: no policy", secrets.ErrDenied)
	b.keyErr = map[secrets.Version]error{1: denied}
	report, err := b.rotator().Status(t.Context(), "kLm")
	if err != nil || !errors.Is(report.Details[0].Fault, secrets.ErrDenied) || report.Details[0].Match != nil {
		t.Errorf("a value that can't be read: %+v, %v", report.Details, err)
	}
	if _, err := newStore(secrets.Status{}).rotator().Status(t.Context(), ""); !errors.Is(err, secrets.ErrNotFound) {
		t.Errorf("no secret: %v", err)
	}
}
