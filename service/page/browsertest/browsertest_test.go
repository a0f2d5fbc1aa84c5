package browsertest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// verdict notes how a test ended instead of ending it.
type verdict struct {
	testing.TB
	said string
}

func (v *verdict) Skipf(format string, args ...any) {
	v.said = "skipped: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.said = "failed: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// end runs what would end a test, and returns how.
func end(t *testing.T, f func(testing.TB)) string {
	t.Helper()
	v := &verdict{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(v)
	}()
	<-done
	return v.said
}

func TestAxe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "axe.min.js")
	if err := os.WriteFile(file, []byte("axe"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AXE", file)
	if got := Axe(t); got != "axe" {
		t.Errorf("read %q", got)
	}
	t.Setenv("AXE", "")
	for require, want := range map[string]string{"": "skipped: ", "chromium": "skipped: ", "vault, axe": "failed: "} {
		t.Setenv("DESKMINT_REQUIRE", require)
		if said := end(t, func(t testing.TB) { Axe(t) }); !strings.HasPrefix(said, want) {
			t.Errorf("required %q: %q, want it %q", require, said, want)
		}
	}
}

// TestWithoutBrowser: a machine without a browser skips, and says what it needs; CI fails.
func TestWithoutBrowser(t *testing.T) {
	for require, want := range map[string]string{
		"":                 "skipped: ",
		"vault":            "skipped: ",
		"chromiums":        "skipped: ",
		"chromium":         "failed: ",
		"vault, chromium ": "failed: ",
	} {
		for name, setting := range map[string]struct{ chromium, path string }{
			"nothing on the PATH":  {"", t.TempDir()},
			"CHROMIUM isn't there": {t.TempDir() + "/chromium", "/usr/bin:/bin"},
		} {
			t.Setenv("DESKMINT_REQUIRE", require)
			t.Setenv("CHROMIUM", setting.chromium)
			t.Setenv("PATH", setting.path)
			said := end(t, func(t testing.TB) { New(t) })
			if !strings.HasPrefix(said, want) || !strings.Contains(strings.ToLower(said), "chromium") {
				t.Errorf("%s, required %q: %q, want it %q", name, require, said, want)
			}
		}
	}
}
