package page_test

import (
	"fmt"
	"testing"

	"github.com/deskmint/deskmint/service/page/browsertest"
)

// engineFixture is a [site] and a tab of any engine.
type engineFixture struct {
	*site
	engine browsertest.Engine
	tab    *browsertest.Tab
}

// engineTest is a test that runs in every engine.
type engineTest struct {
	run func(*engineFixture)
	fixtureOptions
	browsertest.TabOptions
}

func (test engineTest) start(t *testing.T, browser *browsertest.Browser) {
	t.Helper()
	site := newSite(t, test.fixtureOptions)
	test.run(&engineFixture{site, browser.Engine, browser.Open(t, test.TabOptions)})
}

// These scripts find out where a tab is.
const (
	atStart    = `document.getElementById('start')`
	atSignedIn = `document.getElementById('signed-in')`
	theButton  = `#sign-in button`
)

// inState returns a script that finds out whether the page is in a state.
func inState(state string) string {
	return fmt.Sprintf(`document.querySelector('section[data-state~="%s"]')?.checkVisibility()`, state)
}

// goTo opens a path of the application without waiting.
func (s *engineFixture) goTo(path string) { s.t.Helper(); s.tab.Open(s.app + path) }

// expectPosts is like [fixture.expectPosts].
func (s *engineFixture) expectPosts(posts int) {
	s.t.Helper()
	s.expectSignIns(posts)
	s.expectNoErrors()
}

// expectNoErrors checks that the browser has reported none.
func (s *engineFixture) expectNoErrors() {
	s.t.Helper()
	if errs := s.tab.Errors(); len(errs) > 0 {
		s.t.Errorf("the browser reported errors: %q", errs)
	}
}

// waitForPosts waits until the sandbox has received this number of POSTs.
func (s *engineFixture) waitForPosts(posts int) {
	s.t.Helper()
	s.tab.Poll(fmt.Sprintf("%d POSTs", posts), func() (bool, error) {
		n := len(s.sandbox.SignIns())
		return n == posts, fmt.Errorf("the sandbox received %d", n)
	})
}

// store is like [fixture.store].
func (s *engineFixture) store() {
	s.t.Helper()
	browsertest.Evaluate[bool](s.tab, `(() => {
		sessionStorage.setItem('deskmint:customers/360001', Array(3).fill(Date.now() - 1000).join(' '));
		return true;
	})()`)
}

// loadTwice opens a path of the application, and at once again, which stops the first load. A script
// does it, because WebKit's browser ends if its driver opens two addresses at once.
func (s *engineFixture) loadTwice(path string) {
	s.t.Helper()
	s.goTo("/")
	s.tab.Until(atStart + ` && document.readyState === 'complete'`)
	browsertest.Evaluate[bool](s.tab, `(setTimeout(() => {
		location.href = '`+path+`';
		setTimeout(() => { location.href = '`+path+`'; });
	}), true)`)
}
