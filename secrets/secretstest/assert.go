package secretstest

import (
	"errors"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/secrets"
)

// Must returns a function that ends the test if err isn't nil, and that returns v otherwise. It is
// called with the results of another function:
//
//	plan := secretstest.Must(rotator.Stage(ctx, value))(t)
func Must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// CheckKey fails the test unless key makes the same signatures as a key of secret.
func CheckKey(t testing.TB, key secrets.Key, secret string) {
	t.Helper()
	want, err := secrets.NewKey(key.Version(), []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := want.Sign(t.Context(), "input")
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Verify("input", signature); err != nil {
		t.Errorf("%v is not the key of the expected secret: %v", key, err)
	}
}

// CheckError ends the test unless err wraps kind. It then calls [CheckErrorText].
func CheckError(t testing.TB, err, kind error, parts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("%v, want %v", err, kind)
	}
	CheckErrorText(t, err, parts...)
}

// CheckErrorText fails the test unless the text of err contains all parts and leaks none of the
// secrets of this package.
func CheckErrorText(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one that contains %q", parts)
		return
	}
	text := err.Error()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q doesn't contain %q", text, part)
		}
	}
	for _, secret := range []string{Canary, First, Second, Third} {
		if found := Leaks(text, secret); found != nil {
			t.Errorf("%q leaks a secret: %v", text, found)
		}
	}
	if strings.Contains(strings.ToLower(text), strings.ToLower(Canary[:6])) {
		t.Errorf("%q leaks the beginning of a secret", text)
	}
}
