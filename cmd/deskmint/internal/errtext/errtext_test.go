package errtext_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/errtext"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	key, token := "dmk_"+strings.Repeat("k", 43), "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl"
	for text, want := range map[string]string{
		"open " + key + ": no such file": "open …: no such file",
		token + " and " + key:            "… and …",
		strings.ToUpper(key):             "…",
		"the key dmk_dev":                "the key dmk_dev", // public, and too short for a real key
		"no credential":                  "no credential",
	} {
		if got := errtext.Redact(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestCause(t *testing.T) {
	t.Parallel()
	_, err := os.Open("/nowhere/at/all")
	if got := errtext.Cause(err); strings.Contains(got.Error(), "nowhere") || !errors.Is(got, os.ErrNotExist) {
		t.Errorf("of an error with a path: %v", got)
	}
	if got := errtext.Cause(os.ErrClosed); !errors.Is(got, os.ErrClosed) {
		t.Errorf("of an error that wraps none: %v", got)
	}
}
