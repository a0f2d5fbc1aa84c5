package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// Engine is a kind of browser, as DESKMINT_REQUIRE spells it. A test that uses only [Browser] and
// [Tab] runs in each of them.
type Engine string

// The engines. Chromium is the one that the other functions of this package start.
const (
	Chromium Engine = "chromium"
	Firefox  Engine = "firefox"
	WebKit   Engine = "webkit"
)

// binary returns the path of the engine's binary, or of the driver that starts it. This is the one
// that the environment variable CHROMIUM, FIREFOX or WEBKIT names, or one on the PATH. If there is
// none, the test is skipped. If DESKMINT_REQUIRE contains the engine, the test fails instead.
func (e Engine) binary(t testing.TB) string {
	t.Helper()
	variable := strings.ToUpper(string(e))
	names := map[Engine][]string{
		Chromium: {"chromium"}, Firefox: {"firefox-esr", "firefox"}, WebKit: {"WebKitWebDriver"},
	}[e]
	if path := os.Getenv(variable); path != "" {
		names = []string{path}
	}
	var err error
	for _, name := range names {
		var path string
		if path, err = exec.LookPath(name); err == nil {
			return path
		}
	}
	if required(string(e)) {
		t.Fatalf("DESKMINT_REQUIRE requires %s: %v", e, err)
	}
	t.Skipf("needs %s (set %s to what tools/find-%s prints): %v", e, variable, e, err)
	return ""
}

// Browser is a browser of one engine. It ends when the test ends. Only one goroutine may use it.
type Browser struct {
	Engine Engine
	opener opener
}

// Start starts a browser. If there is none on this machine, the test is skipped, or it fails as
// [New] says.
func (e Engine) Start(t testing.TB) *Browser {
	t.Helper()
	start := map[Engine]func(testing.TB, string) opener{
		Chromium: startChromium, Firefox: startFirefox, WebKit: startWebKit,
	}[e]
	return &Browser{Engine: e, opener: start(t, e.binary(t))}
}

// TabOptions changes how a tab is opened.
type TabOptions struct {
	ScriptsOff bool // pages run no scripts; the test still can
	Dark       bool // the user prefers dark colours
	// Session is the folder of a profile, from which Firefox restores the tabs it had when it ended
	// with [Tab.End]. Chromium has [Restore] instead, and WebKit can't do it while a test drives it.
	Session string
}

// Open opens a tab with a new profile. All calls of the tab together may take two minutes. The tab
// is closed when the test ends.
func (b *Browser) Open(t testing.TB, o TabOptions) *Tab {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), tabTimeout)
	t.Cleanup(cancel)
	d, err := b.opener.open(ctx, t, o)
	if err != nil {
		t.Fatalf("opening a tab in %s: %v", b.Engine, err)
	}
	return &Tab{t: t, ctx: ctx, driver: d}
}

const tabTimeout = 2 * time.Minute

// opener opens tabs with new profiles. It closes them when the test ends.
type opener interface {
	open(context.Context, testing.TB, TabOptions) (driver, error)
}

// driver controls one tab. The calls that navigate don't wait.
type driver interface {
	navigate(ctx context.Context, url string) error
	traverse(ctx context.Context, by int) error
	reload(ctx context.Context) error
	// evaluate returns the JSON text that the script's value is, if it is a string.
	evaluate(ctx context.Context, script string) (string, error)
	// aim returns a function that clicks at the middle of an element. The function works even while
	// the next page loads.
	aim(ctx context.Context, selector string) (click func(context.Context) error, err error)
	resize(ctx context.Context, width, height int) error
	screenshot(ctx context.Context) ([]byte, error)
	// tabs returns the names of the browser's tabs. attach returns one of them, and create opens one
	// with the same profile.
	tabs(ctx context.Context) ([]string, error)
	attach(ctx context.Context, name string) (driver, error)
	create(ctx context.Context) (driver, error)
	// errors returns what the browser reported: exceptions and violations of a policy.
	errors() []string
	// end ends a browser whose session is kept.
	end(ctx context.Context) error
}

// Tab is a tab of a browser. Its methods end the test if the browser doesn't do what they say.
type Tab struct {
	t      testing.TB
	ctx    context.Context
	driver driver
}

// Open goes to a URL like a user who typed it. It doesn't wait.
func (v *Tab) Open(url string) { v.t.Helper(); v.must("opening "+url, v.driver.navigate(v.ctx, url)) }

// Back does what the browser's button does. It doesn't wait.
func (v *Tab) Back() { v.t.Helper(); v.must("going back", v.driver.traverse(v.ctx, -1)) }

// Forward does what the browser's button does. It doesn't wait.
func (v *Tab) Forward() { v.t.Helper(); v.must("going forward", v.driver.traverse(v.ctx, +1)) }

// Reload does what the browser's button does. It doesn't wait.
func (v *Tab) Reload() { v.t.Helper(); v.must("reloading", v.driver.reload(v.ctx)) }

// Resize sets the size of the viewport in CSS pixels.
func (v *Tab) Resize(width, height int) {
	v.t.Helper()
	v.must("resizing", v.driver.resize(v.ctx, width, height))
	v.Until(fmt.Sprintf("innerWidth === %d && innerHeight === %d", width, height))
}

// Screenshot returns a PNG of the viewport.
func (v *Tab) Screenshot() []byte {
	v.t.Helper()
	png, err := v.driver.screenshot(v.ctx)
	v.must("making a screenshot", err)
	return png
}

// Errors returns what the browser reported: exceptions and violations of a policy. WebKit doesn't
// pass them on.
func (v *Tab) Errors() []string { return v.driver.errors() }

// End ends a browser whose session is kept. It returns when the session is written.
func (v *Tab) End() { v.t.Helper(); v.must("ending the browser", v.driver.end(v.ctx)) }

// New opens another tab with the same profile.
func (v *Tab) New() *Tab {
	v.t.Helper()
	d, err := v.driver.create(v.ctx)
	v.must("opening another tab", err)
	return &Tab{t: v.t, ctx: v.ctx, driver: d}
}

// Opened waits until f has opened another tab, and returns it.
func (v *Tab) Opened(f func()) *Tab {
	v.t.Helper()
	before, err := v.driver.tabs(v.ctx)
	v.must("listing the tabs", err)
	f()
	var opened string
	v.Poll("another tab", func() (bool, error) {
		now, err := v.driver.tabs(v.ctx)
		for _, name := range now {
			if !slices.Contains(before, name) {
				opened = name
			}
		}
		return opened != "", err
	})
	d, err := v.driver.attach(v.ctx, opened)
	v.must("attaching to another tab", err)
	return &Tab{t: v.t, ctx: v.ctx, driver: d}
}

// Until waits until a script returns a true value. The page may change while it waits.
func (v *Tab) Until(script string) {
	v.t.Helper()
	limit := evaluateTimeout
	v.Poll(script, func() (bool, error) {
		// WebKit's driver may never answer if the page changes at that moment.
		ctx, cancel := context.WithTimeout(v.ctx, limit)
		defer cancel()
		text, err := v.driver.evaluate(ctx, "String(Boolean("+script+"))")
		if errors.Is(err, context.DeadlineExceeded) {
			limit = min(2*limit, maxEvaluateTimeout) // the machine may be slow
		}
		return text == "true", err
	})
}

// Poll waits until holds returns true. An error isn't the end: the browser may be busy with a
// navigation.
func (v *Tab) Poll(what string, holds func() (bool, error)) {
	v.t.Helper()
	for {
		yes, err := holds()
		if yes {
			return
		}
		select {
		case <-v.ctx.Done():
			at := v.position()
			v.t.Fatalf("waiting for %s: %v; the tab is at %s; the browser reported %q", what, err, at, v.Errors())
		case <-time.After(pollInterval):
		}
	}
}

// position describes what the tab displays. The tab's own time is over when a test asks.
func (v *Tab) position() string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.ctx), maxEvaluateTimeout)
	defer cancel()
	text, err := v.driver.evaluate(ctx, "location.href + ' ' + document.body?.innerText")
	if err != nil {
		return err.Error()
	}
	return text
}

const (
	pollInterval       = 10 * time.Millisecond
	evaluateTimeout    = time.Second
	maxEvaluateTimeout = 8 * time.Second
)

// Click clicks at the middle of an element, as a user would.
func (v *Tab) Click(selector string) { v.t.Helper(); v.Clicks(selector, 1, func(int) {}) }

// Clicks clicks several times at the middle of an element. It calls between after each click with
// the number of clicks. The element must stay where it is.
func (v *Tab) Clicks(selector string, times int, between func(clicks int)) {
	v.t.Helper()
	v.Until(fmt.Sprintf("document.querySelector(%q)?.getBoundingClientRect().width", selector))
	click, err := v.driver.aim(v.ctx, selector)
	v.must("finding "+selector, err)
	for n := range times {
		v.must("clicking "+selector, click(v.ctx))
		between(n + 1)
	}
}

// Evaluate returns the value of a script in the tab.
func Evaluate[T any](v *Tab, script string) T {
	v.t.Helper()
	text, err := v.driver.evaluate(v.ctx, "JSON.stringify("+script+")")
	v.must(script, err)
	var value T
	v.must(script, json.Unmarshal([]byte(text), &value))
	return value
}

func (v *Tab) must(what string, err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatalf("%s: %v; the browser reported %q", what, err, v.Errors())
	}
}
