package filepattern_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/config/internal/filepattern"
)

// TestExpand checks the files of patterns in a folder whose own name has wildcards.
func TestExpand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[1]*")
	for _, name := range []string{"a.yaml", "conf.d/b.yaml", "conf.d/c.yaml", "conf.d/.hidden.yaml"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, want := range map[string]string{
		"a.yaml":         "a.yaml",
		"*/*.yaml":       "conf.d/b.yaml conf.d/c.yaml",
		"conf.d/.*.yaml": "conf.d/.hidden.yaml",
		"none.d/*.yaml":  "",
	} {
		got, err := filepattern.Expand(dir, pattern)
		if text := strings.ReplaceAll(strings.Join(got, " "), dir+"/", ""); err != nil || text != want {
			t.Errorf("%s: %s, want %s, %v", pattern, text, want, err)
		}
	}
	if _, err := filepattern.Expand(dir, "absent.yaml"); !os.IsNotExist(err) {
		t.Errorf("a missing file: %v", err)
	}
}
