// Package browsertest starts Chromium, Firefox and WebKit for tests that need a real browser.
package browsertest

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browserTimeout limits the lifetime of one browser. A test that hangs must end before the deadline
// of the test binary.
const browserTimeout = 10 * time.Minute

// flags configure a browser that connects only to the test's servers and doesn't depend on the
// machine's settings. The sandbox is off because containers in which tests run as root don't
// support it. The tests load only their own pages.
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

// New starts a browser with a new profile and returns a chromedp context for its first tab. To open
// another tab, call chromedp.NewContext with this context as the parent. The browser resolves names
// under .localhost to loopback addresses. It stops when the test ends.
//
// The binary is the one that the environment variable CHROMIUM names, or a chromium on the PATH. If
// there is none, the test is skipped. DESKMINT_REQUIRE is a list separated by commas. If it
// contains chromium, the test fails instead, so that CI can't pass by skipping.
func New(t testing.TB) context.Context {
	t.Helper()
	browser, _ := start(t)
	return browser
}

// Restore is like New, but it uses the profile in a folder. It also restores the tabs that the
// browser had when it last ended with that profile. end closes the browser as a user would, and
// returns when the profile is written.
func Restore(t testing.TB, profile string) (browser context.Context, end func()) {
	t.Helper()
	return start(t, chromedp.UserDataDir(profile), chromedp.Flag("restore-last-session", true))
}

// A browser that restores tabs replaces its first tab. If the first command attaches to that tab,
// the browser answers with replacedTab.
const (
	replacedTab     = "Inspected target navigated or closed"
	maxReplacedTabs = 10
)

func start(t testing.TB, more ...chromedp.ExecAllocatorOption) (browser context.Context, end func()) {
	t.Helper()
	path := Chromium.binary(t)
	alive, stop := context.WithTimeout(context.Background(), browserTimeout)
	t.Cleanup(stop)
	options := slices.Concat([]chromedp.ExecAllocatorOption{chromedp.ExecPath(path)}, flags, more)
	allocator, release := chromedp.NewExecAllocator(alive, options...)
	t.Cleanup(release)
	ctx, closeTab := chromedp.NewContext(allocator, chromedp.WithErrorf(t.Logf))
	t.Cleanup(closeTab)
	// The browser lives as long as the context of its first command. So the first command uses this
	// context and not one with a test's timeout.
	err := chromedp.Do(ctx)
	for range maxReplacedTabs {
		if err == nil || !strings.Contains(err.Error(), replacedTab) {
			break
		}
		err = chromedp.Do(ctx)
	}
	if err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return ctx, func() {
		t.Helper()
		if err := chromedp.Cancel(ctx); err != nil {
			t.Fatalf("ending %s: %v", path, err)
		}
	}
}

// Axe returns the source of axe-core, the accessibility checker, for a test to evaluate in its tab.
//
// It reads the file that the environment variable AXE names. tools/find-axe downloads it. If the
// file can't be read, the test is skipped. If DESKMINT_REQUIRE contains axe, the test fails
// instead.
func Axe(t testing.TB) string {
	t.Helper()
	source, err := os.ReadFile(os.Getenv("AXE"))
	if err == nil {
		return string(source)
	}
	if required("axe") {
		t.Fatalf("DESKMINT_REQUIRE requires axe: %v", err)
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
