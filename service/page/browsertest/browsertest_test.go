package browsertest

import (
	"fmt"
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
			v := &verdict{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				New(v)
			}()
			<-done
			if !strings.HasPrefix(v.said, want) || !strings.Contains(strings.ToLower(v.said), "chromium") {
				t.Errorf("%s, required %q: %q, want it %q", name, require, v.said, want)
			}
		}
	}
}
