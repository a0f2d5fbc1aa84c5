// Package browsertest starts a headless Chromium for tests that need a real browser.
package browsertest

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// patience is how long one browser may live: a test that hangs must end before the test binary's
// own deadline.
const patience = 5 * time.Minute

// flags make a browser that talks to nobody but the test's servers and doesn't ask the machine for
// anything. The sandbox is off because containers, where tests run as root, don't allow it; the
// pages are our own.
var flags = []chromedp.ExecAllocatorOption{
	chromedp.Headless,
	chromedp.NoSandbox,
	chromedp.DisableGPU,
	chromedp.NoFirstRun,
	chromedp.Flag("disable-quic", true),
	chromedp.Flag("disable-background-networking", true),
	chromedp.Flag("disable-component-update", true),
	chromedp.Flag("disable-sync", true),
	chromedp.Flag("disable-dev-shm-usage", true), // /dev/shm is small in containers
	chromedp.Flag("no-proxy-server", true),
	chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost"),
}

// New starts a browser with a profile of its own and returns a chromedp context for its first tab;
// chromedp.NewContext with that as parent opens another tab. Names under .localhost are loopback
// addresses to the browser. It is stopped when the test ends.
//
// The binary is the environment's CHROMIUM or a chromium on the PATH. Without one the test is
// skipped, unless DESKMINT_REQUIRE, a list separated by commas, names chromium: then it fails, so
// that CI can't pass by skipping.
func New(t testing.TB) context.Context {
	t.Helper()
	browser, _ := start(t)
	return browser
}

// Restore is New with the profile in a folder, and with the tabs that the browser had when it was
// last ended with that profile. end ends it as its user would, and returns when all is written.
func Restore(t testing.TB, profile string) (browser context.Context, end func()) {
	t.Helper()
	return start(t, chromedp.UserDataDir(profile), chromedp.Flag("restore-last-session", true))
}

func start(t testing.TB, more ...chromedp.ExecAllocatorOption) (browser context.Context, end func()) {
	t.Helper()
	path, err := binary()
	if err != nil {
		if required("chromium") {
			t.Fatalf("DESKMINT_REQUIRE asks for chromium: %v", err)
		}
		t.Skipf("needs a Chromium (set CHROMIUM, or install chromium): %v", err)
	}
	alive, stop := context.WithTimeout(context.Background(), patience)
	t.Cleanup(stop)
	options := slices.Concat([]chromedp.ExecAllocatorOption{chromedp.ExecPath(path)}, flags, more)
	allocator, release := chromedp.NewExecAllocator(alive, options...)
	t.Cleanup(release)
	ctx, closeTab := chromedp.NewContext(allocator, chromedp.WithErrorf(t.Logf))
	t.Cleanup(closeTab)
	// The browser lives as long as the context of its first command: this one, and not one with a
	// test's timeout.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return ctx, func() {
		t.Helper()
		if err := chromedp.Cancel(ctx); err != nil {
			t.Fatalf("ending %s: %v", path, err)
		}
	}
}

func binary() (string, error) {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return exec.LookPath(path)
	}
	return exec.LookPath("chromium")
}

// Axe returns the source of axe-core, the accessibility checker, for a test to evaluate in its tab.
//
// It is the file that the environment's AXE names; tools/find-axe gets it. Without one the test is
// skipped, unless DESKMINT_REQUIRE names axe.
func Axe(t testing.TB) string {
	t.Helper()
	source, err := os.ReadFile(os.Getenv("AXE"))
	if err == nil {
		return string(source)
	}
	if required("axe") {
		t.Fatalf("DESKMINT_REQUIRE asks for axe: %v", err)
	}
	t.Skipf("needs axe-core (set AXE to what tools/find-axe prints): %v", err)
	return ""
}

func required(what string) bool {
	for name := range strings.SplitSeq(os.Getenv("DESKMINT_REQUIRE"), ",") {
		if strings.TrimSpace(name) == what {
			return true
		}
	}
	return false
}
