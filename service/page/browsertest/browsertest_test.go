package browsertest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// recorder records how a test ended instead of ending it.
type recorder struct {
	testing.TB
	outcome string
}

func (v *recorder) Skipf(format string, args ...any) {
	v.outcome = "skipped: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (v *recorder) Fatalf(format string, args ...any) {
	v.outcome = "failed: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// end runs f, which skips or fails a test, and returns how.
func end(t *testing.T, f func(testing.TB)) string {
	t.Helper()
	v := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(v)
	}()
	<-done
	return v.outcome
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
		if outcome := end(t, func(t testing.TB) { Axe(t) }); !strings.HasPrefix(outcome, want) {
			t.Errorf("required %q: outcome %q, want %q", require, outcome, want)
		}
	}
}

// TestWithoutBrowser checks that a machine without a browser skips the tests and reports what is
// missing. CI fails instead.
func TestWithoutBrowser(t *testing.T) {
	for _, engine := range []Engine{Chromium, Firefox, WebKit} {
		name := string(engine)
		for require, want := range map[string]string{
			"":                     "skipped: ",
			"vault":                "skipped: ",
			name + "s":             "skipped: ",
			name:                   "failed: ",
			"vault, " + name + " ": "failed: ",
		} {
			for situation, setting := range map[string]struct{ binary, path string }{
				"nothing on the PATH": {"", t.TempDir()},
				"it isn't there":      {t.TempDir() + "/" + name, "/usr/bin:/bin"},
			} {
				t.Setenv("DESKMINT_REQUIRE", require)
				t.Setenv(strings.ToUpper(name), setting.binary)
				t.Setenv("PATH", setting.path)
				outcome := end(t, func(t testing.TB) { engine.Start(t) })
				if !strings.HasPrefix(outcome, want) || !strings.Contains(outcome, name) {
					t.Errorf("%s, %s, required %q: outcome %q, want %q", name, situation, require, outcome, want)
				}
			}
		}
	}
}
