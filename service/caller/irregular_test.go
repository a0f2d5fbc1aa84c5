//go:build unix

package caller_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFilesThatAreNone checks that a FIFO in place of an issuer's files fails the fetch. Reading it
// would block every later fetch.
func TestFilesThatAreNone(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*fixture){
		"jwks":       func(f *fixture) { f.issuer.JWKS, f.issuer.CA = fifo, "" },
		"ca":         func(f *fixture) { f.issuer.CA = fifo },
		"token_file": func(f *fixture) { f.issuer.TokenFile = fifo },
	} {
		f := newFixture(t, change)
		f.warm(t)
		if log := f.log.String(); !strings.Contains(log, "is a FIFO, not a regular file") {
			t.Errorf("%s: the log is %s", name, log)
		}
	}
}
