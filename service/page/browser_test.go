package page_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/page/browsertest"
)

func TestBrowser(t *testing.T) {
	browser := browsertest.New(t)
	for name, test := range map[string]func(*fixture){
		"signs in":                   testSignsIn,
		"without scripts":            testWithoutScripts,
		"back":                       testBack,
		"click during the POST":      testClickDuringPost,
		"start link":                 testStartLink,
		"restored from a cache":      testRestored,
		"back to a sent page":        testBackToSentPage,
		"back to an unsent page":     testBackToUnsentPage,
		"loop":                       testLoop,
		"loop window":                testLoopWindow,
		"loop limits storage":        testLoopLimitsStorage,
		"page left open":             testLeftOpen,
		"page left open by a clock":  testLeftOpenByTheClock,
		"without storage":            testWithoutStorage,
		"two tabs are no loop":       testTwoTabs,
		"slow":                       testSlow,
		"reload":                     testReload,
		"reload during the POST":     testReloadDuringPost,
		"result of a POST":           testRelayedPost,
		"same page twice":            testSamePage,
		"same page later":            testSamePageLater,
		"same page during the POST":  testSamePageDuringPost,
		"copied tab":                 testCopiedTab,
		"ten tabs at once":           testTenTabs,
		"clicks without scripts":     testClicksWithoutScripts,
		"colour survives the policy": testColour,
	} {
		t.Run(name, func(t *testing.T) { test(newFixture(t, browser, fixtureOptions{})) })
	}
}

// TestPolicyInBrowser checks that the browser enforces the policy. The tests above treat the
// absence of errors as success. Here the browser must report an error, and either send no POST or
// fail to complete the sign-in.
func TestPolicyInBrowser(t *testing.T) {
	browser := browsertest.New(t)
	elsewhere := func(policy string) string {
		return strings.ReplaceAll(policy, "http://acme.localhost", "http://other.localhost")
	}
	without := func(h http.Header) { h.Del("Content-Security-Policy") }
	for name, test := range map[string]struct {
		fixtureOptions
		posts int
	}{
		"form-action without the sandbox": {fixtureOptions{headers: func(h http.Header) {
			h.Set("Content-Security-Policy", elsewhere(h.Get("Content-Security-Policy")))
		}}, 0},
		"form-action without the host after the redirect": {
			fixtureOptions{onward: "help.localhost"}, 1,
		},
		"form-action without the host after the redirect, no header": {
			fixtureOptions{onward: "help.localhost", headers: without}, 1,
		},
		"form-action without the host after the redirect, without scripts": {
			fixtureOptions{onward: "help.localhost"}, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, browser, test.fixtureOptions)
			if strings.HasSuffix(name, "scripts") {
				s.do(disableScripts(true))
			}
			s.goTo("/login")
			if strings.HasSuffix(name, "scripts") {
				s.do(chromedp.Click(button))
			}
			s.wait("an error of the browser", func() bool { return len(s.browserErrors()) > 0 })
			if got := s.browserErrors(); !strings.Contains(got[0], "form-action") ||
				len(s.sandbox.SignIns()) != test.posts {
				t.Errorf("%d POSTs, and the browser reported %q", len(s.sandbox.SignIns()), got)
			}
		})
	}
	t.Run("form-action with it", func(t *testing.T) {
		s := newFixture(t, browser, fixtureOptions{onward: "help.localhost", listed: true})
		s.goTo("/login")
		s.do(waitSignedIn)
		if at := evaluate[string](s, "location.hostname"); at != "help.localhost" {
			t.Errorf("ended at %s", at)
		}
		s.expectPosts(1)
	})
	t.Run("a relay that loses the headers", func(t *testing.T) {
		s := newFixture(t, browser, fixtureOptions{headers: func(h http.Header) {
			clear(h)
			h.Set("Content-Type", "text/html")
		}})
		s.goTo("/login")
		s.do(waitSignedIn)
		s.expectPosts(1)
	})
}

func testSignsIn(s *fixture) {
	s.goTo("/login")
	s.do(waitSignedIn)
	at := evaluate[string](s, "location.pathname + location.search + location.hash")
	if !strings.HasPrefix(at, "/hc/en-us?a=1&amp;b=") {
		s.t.Errorf("ended at %s", at)
	}
	s.expectPosts(1)
}

func testWithoutScripts(s *fixture) {
	s.do(disableScripts(true))
	s.goTo("/login")
	s.do(chromedp.WaitVisible(chromedp.CSS("noscript p")))
	s.expectPosts(0)
	s.do(chromedp.Click(button), waitSignedIn)
	s.expectPosts(1)
}

func testBack(s *fixture) {
	s.goTo("/")
	s.do(waitStart, chromedp.Click(chromedp.CSS("#help")), waitSignedIn)
	s.expectPosts(1)
	s.back()
	s.until(`document.getElementById('start')`)
	s.forward()
	s.until(`document.getElementById('signed-in')`)
	s.expectPosts(1)
	if n := s.timesServed(); n != 1 {
		s.t.Errorf("the page was served %d times: it is still in the tab's history", n)
	}
}

// testClickDuringPost checks that the page and its button stay visible until the script's POST
// has an answer.
func testClickDuringPost(s *fixture) {
	release := s.hold()
	s.afterSubmit(`
		const button = document.querySelector('#sign-in button');
		button.click();
		button.click();
		// The browser queues a submission as a task, and a later submission replaces it. So wait
		// until the first one has started.
		setTimeout(() => {
			button.click();
			setTimeout(() => report(button.getAttribute('aria-disabled')), 100);
		}, 100);`)
	s.goTo("/login")
	if got := s.reported(); got != "true" {
		s.t.Errorf("the button says %q of being out of use", got)
	}
	release()
	s.do(waitSignedIn)
	s.expectPosts(1)
}

// testRestored dispatches the pageshow event of a restored page, first without and then with the
// back/forward cache.
func testRestored(s *fixture) {
	release := s.hold()
	s.afterSubmit(`
		const visible = (selector) => document.querySelector(selector).checkVisibility();
		const seen = [];
		for (const persisted of [false, true]) {
			dispatchEvent(new PageTransitionEvent('pageshow', {persisted}));
			seen.push(visible('[data-state~=sending]'), visible('[data-state=used]'), visible('#sign-in'));
		}
		// If the timer still ran, it would replace the text.
		setTimeout(() => {
			seen.push(visible('[data-state=used]'), document.title);
			report(seen.join());
		}, 6000);`)
	s.speedUpClock()
	s.goTo("/login")
	if got, want := s.reported(), "true,false,false,false,true,false,true,This sign-in has been used"; got != want {
		s.t.Errorf("sending, used and form are visible: %s, want %s", got, want)
	}
	release()
	s.do(waitSignedIn)
	s.expectPosts(1)
}

// testBackToSentPage checks a page that the user submitted. It stays in the tab's history, so Back
// leads to it.
func testBackToSentPage(s *fixture) {
	s.goTo("/")
	s.do(waitStart)
	s.store("1000")
	s.goTo("/login")
	s.do(stateVisible("loop"), chromedp.Click(button), waitSignedIn)
	s.expectPosts(1)
	s.back()
	s.until(`document.querySelector('[data-state=used]')?.checkVisibility()`)
	got := evaluate[string](s, `document.querySelector('[role=status]').innerText.replace(/\s+/g, ' ') +
		document.querySelectorAll('form button').length + document.querySelector('form').checkVisibility()`)
	want := "This sign-in has been used A sign-in works only once. " +
		"To sign in again, open Acme from where you usually start.1false"
	if got != want {
		s.t.Errorf("the page says %q", got)
	}
	if n := s.timesServed(); n != 1 {
		s.t.Errorf("the page was served %d times: it didn't come from the cache", n)
	}
	evaluate[bool](s, `(document.querySelector('.out a').click(), true)`)
	s.do(waitStart)
	s.expectPosts(1)
}

// testStartLink checks that a user whose sign-in was stopped in a loop can follow the start link,
// and that the link sends no POST.
func testStartLink(s *fixture) {
	s.openLoopPage()
	s.do(chromedp.Click(chromedp.CSS(".out a")), waitStart)
	s.expectPosts(0)
}

func testWithoutStorage(s *fixture) {
	s.inject(`Object.defineProperty(window, 'sessionStorage', {
		get() { throw new DOMException('refused', 'SecurityError'); },
	})`)
	for visit := range 5 {
		s.goTo("/login")
		s.do(waitSignedIn)
		s.expectPosts(visit + 1)
	}
}

// testTwoTabs signs in from several tabs at once, as when a browser restores its windows.
func testTwoTabs(s *fixture) {
	s.goTo("/login")
	s.do(waitSignedIn)
	for range 4 {
		tab, closeTab := chromedp.NewContext(s.tab)
		if err := chromedp.Do(tab, chromedp.Navigate(s.app+"/login"), waitSignedIn); err != nil {
			s.t.Error(err)
		}
		closeTab()
	}
	s.expectPosts(5)
}

// testColour checks that the brand's colour is drawn although the policy allows no further style.
func testColour(s *fixture) {
	s.do(disableScripts(true))
	s.goTo("/login")
	s.do(chromedp.WaitVisible(button))
	s.do(disableScripts(false))
	for _, test := range []struct{ script, want string }{
		{`getComputedStyle(document.querySelector('button rect')).fill`, "rgb(31, 115, 183)"},
		{`getComputedStyle(document.querySelector('button')).color`, "rgb(255, 255, 255)"},
		{`getComputedStyle(document.querySelector('button svg')).position`, "absolute"},
		{`String(document.querySelector('button svg').getBoundingClientRect().height >= 40)`, "true"},
		{`getComputedStyle(document.querySelector('.band rect')).fill`, "rgb(31, 115, 183)"},
		{`getComputedStyle(document.querySelector('section[data-state=loop]')).display`, "none"},
		{`document.elementFromPoint(...(r => [r.x + r.width / 2, r.y + r.height / 2])(
			document.querySelector('button').getBoundingClientRect())).closest('button').type`, "submit"},
	} {
		if got := evaluate[string](s, test.script); got != test.want {
			s.t.Errorf("%s is %q, want %q", test.script, got, test.want)
		}
	}
	s.expectPosts(0)
}
