package page_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// fixture is a [site] and a tab of Chromium. It is for tests that need the Chrome DevTools Protocol.
// The others use [engineFixture].
type fixture struct {
	*site
	tab     context.Context
	reports chan string // texts that pages report
	errors  []string    // errors that the browser reported
}

func newFixture(t *testing.T, browser context.Context, o fixtureOptions) *fixture {
	t.Helper()
	s := &fixture{site: newSite(t, o), reports: make(chan string, 10)}
	s.openTab(browser, 2*time.Minute)
	return s
}

// openTab opens a tab with a separate profile.
func (s *fixture) openTab(browser context.Context, limit time.Duration) {
	s.t.Helper()
	tab, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	s.t.Cleanup(closeTab)
	if err := chromedp.Listen(tab, s.recordEvent); err != nil {
		s.t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(tab, limit)
	s.t.Cleanup(cancel)
	s.tab = limited
}

// recordEvent records errors that the browser reports: exceptions, blocked requests and unsupported
// headers. It also passes on what pages report.
func (s *fixture) recordEvent(event any) {
	defer s.notify()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch event := event.(type) {
	case *cdplog.EventEntryAdded:
		s.errors = append(s.errors, event.Entry.Text)
	case *runtime.EventExceptionThrown:
		s.errors = append(s.errors, event.ExceptionDetails.Text)
	case *runtime.EventBindingCalled:
		s.reports <- event.Payload
	case *runtime.EventConsoleAPICalled:
		s.errors = append(s.errors, "a message on the console")
	}
}

// wait waits until holds returns true. It calls holds after every event of the browser or the
// sandbox.
func (s *fixture) wait(what string, holds func() bool) {
	s.t.Helper()
	for !holds() {
		select {
		case <-s.changed:
		case <-s.tab.Done():
			s.t.Fatalf("timeout while waiting for %s; %d POSTs, and the browser reported %q",
				what, len(s.sandbox.SignIns()), s.browserErrors())
		}
	}
}

func (s *fixture) browserErrors() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.errors)
}

func (s *fixture) do(steps ...chromedp.Action[chromedp.Void]) {
	s.t.Helper()
	if err := chromedp.Do(s.tab, steps...); err != nil {
		s.t.Fatalf("%v; the browser reported %q", err, s.browserErrors())
	}
}

func evaluate[T any](s *fixture, script string) T {
	s.t.Helper()
	value, err := chromedp.Run(s.tab, chromedp.Evaluate[T](script))
	if err != nil {
		s.t.Fatalf("%s: %v", script, err)
	}
	return value
}

var (
	waitSignedIn = chromedp.WaitReady(chromedp.CSS("#signed-in"))
	waitStart    = chromedp.WaitReady(chromedp.CSS("#start"))
	button       = chromedp.CSS("#sign-in button")
)

func stateVisible(state string) chromedp.Action[chromedp.Void] {
	return chromedp.WaitVisible(chromedp.CSS(`section[data-state~="` + state + `"]`))
}

// expectPosts checks that the sandbox received this number of POSTs, that each signed Ada in, and
// that the browser reported no errors.
func (s *fixture) expectPosts(posts int) {
	s.t.Helper()
	s.expectSignIns(posts)
	if errs := s.browserErrors(); len(errs) > 0 {
		s.t.Errorf("the browser reported errors: %q", errs)
	}
}

// store makes the tab remember three sign-ins. Each of them was ago milliseconds before now. The
// tab must be at the application's origin.
func (s *fixture) store(ago string) {
	s.t.Helper()
	evaluate[bool](s, `(() => {
		sessionStorage.setItem('deskmint:customers/360001', Array(3).fill(Date.now() - `+ago+`).join(' '));
		return true;
	})()`)
}

// speedUpClock makes the page's timers run fifty times as fast.
func (s *fixture) speedUpClock() {
	s.t.Helper()
	s.inject(`const original = setTimeout; window.setTimeout = (f, ms, ...given) => original(f, ms / 50, ...given);`)
}

// afterSubmit runs a script in each sign-in page after the page has submitted its form. The script
// can call report to pass a text to [fixture.reported]. While a POST is in progress, the browser
// stops parsing and delays commands to the page. But timers run, and reports arrive.
func (s *fixture) afterSubmit(script string) {
	s.t.Helper()
	if _, err := chromedp.Call(s.tab, runtime.AddBinding, runtime.AddBindingParams{Name: "report"}); err != nil {
		s.t.Fatal(err)
	}
	s.inject(`if (location.pathname === '/login') {
		const wait = setInterval(() => {
			if (!document.querySelector('#sign-in button')?.hasAttribute('aria-disabled')) return;
			clearInterval(wait);
			` + script + `
		}, 5);
	}`)
}

func (s *fixture) inject(script string) {
	s.t.Helper()
	params := cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script}
	if _, err := chromedp.Call(s.tab, cdppage.AddScriptToEvaluateOnNewDocument, params); err != nil {
		s.t.Fatal(err)
	}
}

func (s *fixture) reported() string {
	s.t.Helper()
	select {
	case text := <-s.reports:
		return text
	case <-s.tab.Done():
		s.t.Fatalf("the page reports nothing; the browser reported %q", s.browserErrors())
		return ""
	}
}

func disableScripts(disabled bool) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		params := emulation.SetScriptExecutionDisabledParams{Value: disabled}
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, params)
		return err
	})
}
