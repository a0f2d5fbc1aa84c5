package rotate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/rotate"
)

// planNow is the time of the clock in the plan tests.
const planNow = 1_800_000_000

// planTest is an act on a secret in a given state, and its plan.
type planTest struct {
	name    string
	secret  secrets.Status
	change  []func(*fakeStore)
	act     act
	steps   string // empty: the act is refused
	says    string // in the notes or in the error
	noNotes bool
}

// TestPlans performs each act twice. The dry run must change nothing. The real run must perform the
// steps of the dry run.
func TestPlans(t *testing.T) {
	for _, tc := range slices.Concat(stagePlans, activatePlans, switchPlans) {
		t.Run(tc.name, func(t *testing.T) {
			b := newStore(tc.secret, tc.change...)
			r := b.rotator()
			r.Now = func() time.Time { return time.Unix(planNow, 0) }
			r.DryRun = true
			dry, err := tc.act(r, t.Context())
			if len(b.writes) > 0 || dry.Done != 0 {
				t.Fatalf("a dry run has written: %v", b.writes)
			}
			if tc.steps == "" {
				if !errors.Is(err, rotate.ErrRefused) || len(dry.Steps) > 0 {
					t.Fatalf("%+v, %v, want ErrRefused", dry, err)
				}
				checkText(t, tc.name, err.Error(), tc.says, "vault: secret/metadata/sso/acme: refused: ")
				return
			}
			notes := strings.Join(dry.Notes, "\n")
			if err != nil || planSteps(dry) != tc.steps || tc.noNotes != (notes == "") {
				t.Fatalf("%q, notes %q, %v, want %q", planSteps(dry), notes, err, tc.steps)
			}
			checkText(t, tc.name, notes, tc.says)
			r.DryRun = false
			done, err := tc.act(r, t.Context())
			if err != nil || planSteps(done) != tc.steps || done.Done != len(done.Steps) ||
				len(b.writes) != len(done.Steps) {
				t.Errorf("real run: %q, %d done, written %q, %v", planSteps(done), done.Done, b.writes, err)
			}
			if err := r.Holds(t.Context(), done); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestValues checks that a faulty value is refused before the store is accessed.
func TestValues(t *testing.T) {
	for name, tc := range map[string]struct{ value, says string }{
		"empty":         {"", "empty"},
		"a newline":     {canary + "\n", "white space (a newline from pasting or piping?)"},
		"a space first": {" " + canary, "white space"},
		"short":         {canary[:31], "it is too short (16 to 31 bytes; at least 32 are needed)"},
		"two lines":     {canary + "\n" + canary, "more than one line?"},
		"a NUL":         {canary + "\x00" + canary, "control character"},
		"not UTF-8":     {canary + "\xff" + canary, "not text in UTF-8"},
	} {
		r := &rotate.Rotator{Ref: acme} // has no store, so any access would panic
		for _, act := range []act{stage(tc.value), replace(tc.value)} {
			_, err := act(r, t.Context())
			if !errors.Is(err, secrets.ErrUnusable) {
				t.Fatalf("%s: %v", name, err)
			}
			if checkText(t, name, err.Error(), "the value is unusable: ", tc.says); leaks(err.Error(), canary) != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestOtherFieldsOfThePath checks that a version is usable for every configuration of the path
// before the pointer moves.
func TestOtherFieldsOfThePath(t *testing.T) {
	b := newStore(pointed(1, 0, 2, 1))
	r := b.rotator()
	r.Siblings = []secrets.Ref{{Path: acme.Path, Field: "staff"}}
	_, err := r.Activate(t.Context(), 0)
	if !errors.Is(err, rotate.ErrRefused) {
		t.Fatalf("%v", err)
	}
	checkText(t, "refusal", err.Error(), "field staff", "version 2")

	// The staff field can't be used with the active version either, so it is not checked.
	b.keyErr = nil
	b.o.Active, b.o.Previous = 3, 1
	b.add(3, newValue)
	b.o.Pinned, b.o.Active = true, 3
	if _, err := r.Activate(t.Context(), 2); err != nil {
		t.Errorf("a reference that never had a secret prevents the activation: %v", err)
	}
}
