package file_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/secretstest"
)

// TestFaultsOfManySecrets checks the errors of a file in which each of 1,000 secrets has a fault.
// Each error has the faults of its secret and the first ones of the file. The log and the states
// grow with the file and not with its square.
func TestFaultsOfManySecrets(t *testing.T) {
	const count = 1000
	var text strings.Builder
	text.WriteString("secrets:\n")
	refs := make([]secrets.Ref, count)
	for i := range refs {
		refs[i] = secrets.Ref{Path: fmt.Sprintf("sso/shop-%04d", i), Field: "s"}
		fmt.Fprintf(&text, "  %s:\n    activ: 1\n    versions: {1: {s: %s}}\n", refs[i].Path, canary)
	}
	path := write(t, text.String(), 0o600)

	log := &secretstest.Buffer{}
	ring := secrets.NewKeyring(secrets.Options{
		Source: newStore(path), MaxRate: 1e6, Log: slog.New(slog.NewJSONHandler(log, nil)),
	})
	if err := ring.Warm(t.Context(), refs...); err != nil {
		t.Fatal(err)
	}
	if n := len(log.String()); n > 1000*count {
		t.Errorf("the log has %d bytes", n)
	}
	for i, ref := range refs {
		state, _ := ring.State(ref)
		if state.Fault == nil || !errors.Is(state.Fault, secrets.ErrUnusable) {
			t.Fatalf("%s: %v", ref, state.Fault)
		}
		fault := state.Fault.Error()
		for _, want := range []string{
			fmt.Sprintf("%s:%d: secret %s: unknown key activ", path, 3*i+3, ref.Path),
			"secrets.yaml:3: secret sso/shop-0000",
			"and 996 more in the file",
		} {
			if !strings.Contains(fault, want) {
				t.Errorf("%s: %s doesn't contain %q", ref, fault, want)
			}
		}
		if len(fault) > 1000 {
			t.Errorf("%s: the fault has %d bytes", ref, len(fault))
		}
	}
}

// TestFaultsOfOneSecret checks that many faults of one secret are cut, that another secret's error
// names the first of them, and that a key of a secret that occurs twice is a fault of that secret.
func TestFaultsOfOneSecret(t *testing.T) {
	text := "secrets:\n  a:\n    versions: {1: {s: " + canary + "}}\n" + strings.Repeat("    extra: 1\n", 20) +
		"  b:\n    versions: {1: {s: " + canary + "}}\n" + strings.Repeat("  c: {versions: {}}\n", 20)
	store := newStore(write(t, text, 0o600))
	for path, want := range map[string]string{
		"a": ":8: secret a: key extra occurs a second time (first in line 4); and 15 more of this secret; ",
		"b": ":6: secret a: key extra occurs a second time (first in line 4); and 37 more in the file",
		"c": ":30: secrets: key c occurs a second time (first in line 26); and 15 more of this secret; ",
	} {
		if _, err := store.Status(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v doesn't contain %q", path, err, want)
		}
	}
}
