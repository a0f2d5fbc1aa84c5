//go:build unix

package file_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/secretstest"
)

// TestReplaceableByOthers checks that the store refuses a file that another user can replace, that
// it says what to do, and that it notices the correction although the file is unchanged.
func TestReplaceableByOthers(t *testing.T) {
	path := write(t, good, 0o600)
	folder := filepath.Dir(path)
	longAgo := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	chmod := func(mode fs.FileMode) {
		t.Helper()
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
	}
	chmod(0o777)
	store := newStore(path)
	for range 2 {
		_, err := store.Status(t.Context(), acme.Path)
		secretstest.CheckError(t, err, secrets.ErrUnusable, path+": ", "chmod go-w "+folder)
	}
	chmod(0o755)
	if _, err := store.Status(t.Context(), acme.Path); err != nil {
		t.Errorf("after the correction: %v", err)
	}

	chmod(0o777)
	rewrite(t, path, strings.Replace(good, "active: 1", "active: 1\n    disabled: true", 1), 0o600)
	status, err := store.Status(t.Context(), acme.Path)
	secretstest.CheckError(t, err, secrets.ErrUnusable, "other users can replace the file")
	if !status.Disabled {
		t.Error("the kill switch has no effect in a file that others can replace")
	}
	// An operator's command may run as another user than the service.
	if _, err := rotator(path).Status(t.Context(), ""); err != nil {
		t.Errorf("a command refuses the file: %v", err)
	}
}
