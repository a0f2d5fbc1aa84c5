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
		"click during the POST":     testClickDuringPost,
		"start link":                testStartLink,
		"restored from a cache":     testRestored,
		"back to an unsent page":    testBackToUnsentPage,
		"loop":                      testLoop,
		"loop window":               testLoopWindow,
		"loop limits storage":       testLoopLimitsStorage,
		"page left open":            testLeftOpen,
		"page left open by a clock": testLeftOpenByTheClock,
		"without storage":           testWithoutStorage,
		"slow":                      testSlow,
		"same page later":           testSamePageLater,
		"ten tabs at once":          testTenTabs,
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
