package page_test

import (
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/page/browsertest"
	"github.com/deskmint/deskmint/service/sandbox"
)

// TestChromium runs the tests that need only what every engine has. `make test-long` runs them in
// Firefox and WebKit, too. docs/browsers.md has a table of the results.
func TestChromium(t *testing.T) { testEngine(t, browsertest.Chromium) }

func testEngine(t *testing.T, engine browsertest.Engine) {
	t.Helper()
	withoutScripts := browsertest.TabOptions{ScriptsOff: true}
	browser := engine.Start(t)
	for name, test := range map[string]engineTest{
		"opened by an address":      {run: testOpened(func(s *engineFixture) { s.goTo("/login") })},
		"opened by a link":          {run: testOpened(func(s *engineFixture) { s.tab.Click("#help") })},
		"opened by a form":          {run: testOpened(func(s *engineFixture) { s.tab.Click("#ask") })},
		"opened by a redirect":      {run: testOpened(func(s *engineFixture) { s.tab.Click("#redirect") })},
		"opened in a new tab":       {run: testNewTab},
		"back to a sent page":       {run: testBackToSentPage},
		"loop page after a form":    {run: testRelayedPost},
		"reload during the POST":    {run: testReloadDuringPost},
		"same page twice":           {run: testSamePage},
		"same page during the POST": {run: testSamePageDuringPost},
		"loaded twice at once":      {run: testLoadedTwice},
		"same page loaded twice":    {run: testSamePageLoadedTwice},
		"copied tab":                {run: testCopiedTab},
		"form-action with the host": {
			run: testFormAction(true), fixtureOptions: fixtureOptions{onward: "help.localhost", listed: true},
		},
		"form-action without the host": {
			run: testFormAction(false), fixtureOptions: fixtureOptions{onward: "help.localhost"},
		},
		"without scripts":            {run: testWithoutScripts, TabOptions: withoutScripts},
		"clicks without scripts":     {run: testClicksWithoutScripts, TabOptions: withoutScripts},
		"colour survives the policy": {run: testColour, TabOptions: withoutScripts},
	} {
		t.Run(name, func(t *testing.T) { test.start(t, browser) })
	}
	t.Run("drawn", func(t *testing.T) { testDrawn(t, browser) })
}

// testOpened checks that a page sends one POST, and that going back and forward and reloading send
// no other. The page isn't in the tab's history.
func testOpened(open func(*engineFixture)) func(*engineFixture) {
	return func(s *engineFixture) {
		s.goTo("/")
		s.tab.Until(atStart)
		open(s)
		s.tab.Until(atSignedIn)
		at := browsertest.Evaluate[string](s.tab, "location.pathname + location.search + location.hash")
		if !strings.HasPrefix(at, "/hc/en-us?a=1&amp;b=") {
			s.t.Errorf("ended at %s", at)
		}
		s.expectPosts(1)
		s.tab.Reload()
		s.tab.Until(atSignedIn)
		s.tab.Back()
		s.tab.Until(atStart)
		s.tab.Forward()
		s.tab.Until(atSignedIn)
		s.expectPosts(1)
		if n := s.timesServed(); n != 1 {
			s.t.Errorf("the page was served %d times: it is still in the tab's history", n)
		}
	}
}

// testNewTab signs in from several tabs, as when a browser restores its windows.
func testNewTab(s *engineFixture) {
	for tabs := range 3 {
		tab := s.tab.New()
		tab.Open(s.app + "/login")
		tab.Until(atSignedIn)
		s.expectPosts(tabs + 1)
	}
}

// testBackToSentPage checks a page that the user submitted. It stays in the tab's history, so Back
// leads to it, in Chromium from the back/forward cache.
func testBackToSentPage(s *engineFixture) {
	s.goTo("/")
	s.tab.Until(atStart)
	s.store()
	s.goTo("/login")
	s.tab.Until(inState("loop"))
	s.tab.Click(theButton)
	s.tab.Until(atSignedIn)
	s.expectPosts(1)
	s.tab.Back()
	s.tab.Until(inState("used") + ` || ` + inState("loop"))
	// Without the cache, the tab has another page with a token that wasn't sent.
	want := `This sign-in has been used|false`
	if s.timesServed() == 2 {
		want = `Signing in to Acme isn't working|true`
	}
	got := browsertest.Evaluate[string](s.tab,
		`document.title + '|' + document.querySelector('form').checkVisibility()`)
	if got != want {
		s.t.Errorf("the page says %q, want %q", got, want)
	}
	s.tab.Click(".out a")
	s.tab.Until(atStart)
	s.expectPosts(1)
}

// testRelayedPost checks a page that is the response to a POST and waits for the user. A reload
// requests it again.
func testRelayedPost(s *engineFixture) {
	s.goTo("/")
	s.tab.Until(atStart)
	s.store()
	s.tab.Click("#ask")
	s.tab.Until(inState("loop"))
	s.tab.Reload()
	s.tab.Poll("the page again", func() (bool, error) { return s.timesServed() == 2, nil })
	s.tab.Until(inState("loop"))
	s.expectPosts(0)
	s.tab.Click(theButton)
	s.tab.Until(atSignedIn)
	s.expectPosts(1)
}

// testReloadDuringPost checks that a reload during the POST fetches the page again, with a new
// token.
func testReloadDuringPost(s *engineFixture) {
	release := s.hold()
	s.goTo("/login")
	s.waitForPosts(1)
	s.tab.Reload()
	s.waitForPosts(2)
	release()
	s.tab.Until(atSignedIn)
	s.expectPosts(2)
	if n := s.timesServed(); n != 2 {
		s.t.Errorf("the page was served %d times", n)
	}
}

// testSamePage checks that a browser, or an app with an embedded browser, doesn't submit the same
// page again.
func testSamePage(s *engineFixture) {
	s.goTo("/same")
	s.tab.Until(atSignedIn)
	for range 3 {
		s.goTo("/same")
		s.tab.Until(inState("used"))
		if browsertest.Evaluate[bool](s.tab, `document.querySelector('#sign-in').checkVisibility()`) {
			s.t.Error("there is a button to send it again")
		}
		s.expectPosts(1)
	}
	s.goTo("/login")
	s.tab.Until(atSignedIn)
	s.expectPosts(2)
}

func testSamePageDuringPost(s *engineFixture) {
	release := s.hold()
	s.goTo("/same")
	s.waitForPosts(1)
	s.goTo("/same")
	s.tab.Until(inState("used"))
	release()
	s.expectPosts(1)
}

// testLoadedTwice checks an app whose embedded browser loads the address twice. The second load
// ends the first one, before or after its POST. Each token is sent once.
func testLoadedTwice(s *engineFixture) {
	s.loadTwice("/login")
	s.tab.Until(atSignedIn)
	s.expectNoErrors()
	if posts, served := len(s.sandbox.SignIns()), s.timesServed(); posts < 1 || posts > served {
		s.t.Errorf("%d POSTs of %d pages", posts, served)
	}
}

// testSamePageLoadedTwice checks the same with a page that the app has fetched once.
func testSamePageLoadedTwice(s *engineFixture) {
	s.loadTwice("/same")
	s.tab.Until(atSignedIn + ` || ` + inState("used"))
	if n := len(s.sandbox.SignIns()); n > 1 {
		s.t.Errorf("the token was sent %d times", n)
	}
	s.expectNoErrors()
}

// testCopiedTab checks a tab that was copied or restored. It has the session storage and the
// address of the original tab. Its page contains a new token, or comes from a cache with a token
// that was already sent.
func testCopiedTab(s *engineFixture) {
	s.goTo("/same")
	s.tab.Until(atSignedIn)
	s.goTo("/")
	s.tab.Until(atStart)
	copied := s.tab.Opened(func() { s.tab.Click("#copy") })
	copied.Until(atStart)
	posts := 1
	if s.engine != browsertest.Firefox { // it doesn't copy the storage
		copied.Open(s.app + "/same")
		copied.Until(inState("used"))
		s.expectPosts(posts)
	}
	copied.Open(s.app + "/login")
	copied.Until(atSignedIn)
	s.expectPosts(posts + 1)
}

// testFormAction checks a sign-in that Zendesk redirects to another host. If form-action doesn't
// contain that host, Chromium and WebKit stay at the page, which says so. Firefox applies form-action
// only to the POST.
func testFormAction(listed bool) func(*engineFixture) {
	return func(s *engineFixture) {
		s.goTo("/login")
		if listed || s.engine == browsertest.Firefox {
			s.tab.Until(atSignedIn)
			if at := browsertest.Evaluate[string](s.tab, "location.hostname"); at != "help.localhost" {
				s.t.Errorf("ended at %s", at)
			}
			s.expectPosts(1)
			return
		}
		s.tab.Until(inState("blocked"))
		s.expectSignIns(1)
	}
}

func testWithoutScripts(s *engineFixture) {
	s.goTo("/login")
	s.tab.Until(`document.querySelector('noscript p')?.checkVisibility()`)
	s.expectPosts(0)
	s.tab.Click(theButton)
	s.tab.Until(atSignedIn)
	s.expectPosts(1)
}

// testClicksWithoutScripts checks impatient clicks without scripts. Nothing can stop them: each
// click sends the token again. The token signs in only once.
func testClicksWithoutScripts(s *engineFixture) {
	const clicks = 5
	release := s.hold()
	s.goTo("/login")
	s.tab.Until(`document.querySelector('noscript p')?.checkVisibility()`)
	s.tab.Clicks(theButton, clicks, s.waitForPosts)
	release()
	s.tab.Until(`location.host.startsWith('acme.localhost')`)
	signedIn := 0
	for _, signIn := range s.sandbox.SignIns() {
		if signIn.Outcome == sandbox.OutcomeSignedIn {
			signedIn++
		}
	}
	if n := len(s.sandbox.SignIns()); n != clicks || signedIn != 1 {
		s.t.Errorf("%d clicks made %d POSTs and %d sign-ins", clicks, n, signedIn)
	}
}

// testColour checks that the brand's colour is drawn although the policy allows no further style.
func testColour(s *engineFixture) {
	s.goTo("/login")
	s.tab.Until(`document.querySelector('button')?.checkVisibility()`)
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
		if got := browsertest.Evaluate[string](s.tab, test.script); got != test.want {
			s.t.Errorf("%s is %q, want %q", test.script, got, test.want)
		}
	}
	s.expectPosts(0)
}
