package page_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/page/browsertest"
	"github.com/deskmint/deskmint/service/sandbox"
)

// testSlow checks the message that the page displays when the answer takes long, and that nothing
// else happens.
func testSlow(s *fixture) {
	release := s.hold()
	s.inject(`window.delays = []; const unwatched = setTimeout;
		window.setTimeout = (f, ms, ...given) => { delays.push(ms); return unwatched(f, ms / 50, ...given); };`)
	s.afterSubmit(`
		const slow = document.querySelector('section[data-state=slow]');
		const visible = (selector) => document.querySelector(selector).checkVisibility();
		const before = slow.checkVisibility();
		const watch = setInterval(() => {
			if (!slow.checkVisibility()) return;
			clearInterval(watch);
			report([before, delays, slow.closest('[role]').getAttribute('role'), slow.querySelector('p').innerText,
				visible('.wait'), visible('#sign-in'), document.title].join('|'));
		}, 5);`)
	s.goTo("/login")
	want := "false|5000|status|" +
		"If Acme doesn't open within a minute, or if you have stopped this page, " +
		"go back to the start and sign in again." +
		"|false|false|Signing in to Acme is taking longer than usual"
	if got := s.reported(); got != want {
		s.t.Errorf("got  %s\nwant %s", got, want)
	}
	release()
	s.do(waitSignedIn)
	s.expectPosts(1)
}

func testReload(s *fixture) {
	s.goTo("/login")
	s.do(waitSignedIn)
	s.reload()
	s.do(waitSignedIn)
	s.expectPosts(1)
}

// testReloadDuringPost checks that a reload during the POST fetches the page again, with a new
// token.
func testReloadDuringPost(s *fixture) {
	release := s.hold()
	s.goTo("/login")
	s.wait("the first POST", func() bool { return len(s.sandbox.SignIns()) == 1 })
	s.reload()
	s.wait("the second POST", func() bool { return len(s.sandbox.SignIns()) == 2 })
	release()
	s.do(waitSignedIn)
	s.expectPosts(2)
	if n := s.timesServed(); n != 2 {
		s.t.Errorf("the page was served %d times", n)
	}
}

// testRelayedPost checks a page that is the response to a POST. The next page replaces it in the
// history like any other, and a reload requests it again.
func testRelayedPost(s *fixture) {
	helpButton := chromedp.CSS("#ask")
	s.goTo("/")
	s.do(waitStart, chromedp.Click(helpButton), waitSignedIn)
	s.expectPosts(1)
	s.back()
	s.until(`document.getElementById('start')`)
	s.expectPosts(1)
	s.goTo("/")
	s.do(waitStart)
	s.store("1000")
	s.do(chromedp.Click(helpButton), stateVisible("loop"))
	s.reload()
	s.wait("the page again", func() bool { return s.timesServed() == 3 })
	s.do(stateVisible("loop"))
	s.expectPosts(1)
	s.do(chromedp.Click(button), waitSignedIn)
	s.expectPosts(2)
}

// testSamePage checks that a browser, or an app with an embedded browser, doesn't submit the same
// page again.
func testSamePage(s *fixture) {
	s.goTo("/same")
	s.do(waitSignedIn)
	for range 3 {
		s.goTo("/same")
		s.do(stateVisible("used"))
		if evaluate[bool](s, `document.querySelector('#sign-in').checkVisibility()`) {
			s.t.Error("there is a button to send it again")
		}
		s.expectPosts(1)
	}
	s.goTo("/login")
	s.do(waitSignedIn)
	s.expectPosts(2)
}

// testSamePageLater loads the same page again after other pages. The script records the last eight
// pages, which is as many as one tab usually opens within a token's lifetime.
func testSamePageLater(s *fixture) {
	s.goTo("/same")
	s.do(waitSignedIn)
	for others := range 8 {
		s.goTo("/")
		s.do(waitStart)
		evaluate[bool](s, `(sessionStorage.removeItem('deskmint:customers/360001'), true)`) // prevents a loop
		if others == 7 {
			break
		}
		s.goTo("/login")
		s.do(waitSignedIn)
		s.goTo("/same")
		s.do(stateVisible("used"))
		s.expectPosts(others + 2)
	}
	s.goTo("/login")
	s.do(waitSignedIn)
	s.goTo("/")
	s.do(waitStart)
	if n := evaluate[int](s, `sessionStorage.getItem('deskmint:customers/360001:sent').split(' ').length`); n != 8 {
		s.t.Errorf("%d marks are kept, want 8", n)
	}
	s.expectPosts(9)
}

func testSamePageDuringPost(s *fixture) {
	release := s.hold()
	s.goTo("/same")
	s.wait("the POST", func() bool { return len(s.sandbox.SignIns()) == 1 })
	s.goTo("/same")
	s.do(stateVisible("used"))
	release()
	s.expectPosts(1)
}

// testCopiedTab checks a tab that was copied or restored. It has the session storage and the
// address of the original tab. Its page contains a new token, or comes from a cache with a token
// that was already sent.
func testCopiedTab(s *fixture) {
	s.goTo("/same")
	s.do(waitSignedIn)
	s.goTo("/")
	s.do(waitStart)
	for _, step := range []struct {
		path  string
		shows chromedp.Action[chromedp.Void]
		posts int
	}{
		{"/same", stateVisible("used"), 1},
		{"/login", waitSignedIn, 2},
	} {
		opened := chromedp.WaitNewTarget(s.tab, func(*target.Info) bool { return true })
		s.do(chromedp.Click(chromedp.CSS("#copy")))
		var id target.ID
		select {
		case id = <-opened:
		case <-s.tab.Done():
			s.t.Fatal("no tab was opened")
		}
		copied, closeTab := chromedp.NewContext(s.tab, chromedp.WithTargetID(id))
		if err := chromedp.Do(copied, waitStart); err != nil {
			s.t.Fatal(err)
		}
		params := cdppage.NavigateParams{URL: s.app + step.path}
		if _, err := chromedp.Call(copied, cdppage.Navigate, params); err != nil {
			s.t.Fatal(err)
		}
		if err := chromedp.Do(copied, step.shows); err != nil {
			s.t.Fatal(err)
		}
		closeTab()
		s.expectPosts(step.posts)
	}
}

// testTenTabs signs in from ten tabs at once, as when a browser restores its windows.
func testTenTabs(s *fixture) {
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			tab, closeTab := chromedp.NewContext(s.tab)
			defer closeTab()
			if err := chromedp.Do(tab, chromedp.Navigate(s.app+"/login"), waitSignedIn); err != nil {
				s.t.Error(err)
			}
		})
	}
	wait.Wait()
	s.expectPosts(10)
}

// TestRestoredSession checks a browser that restarts with its tabs. Tabs that were signed in stay
// where they are. Tabs whose POST was in progress request the page again. In the end all tabs are
// signed in.
func TestRestoredSession(t *testing.T) {
	profile := t.TempDir()
	browser, end := browsertest.Restore(t, profile)
	s := newFixture(t, browser, fixtureOptions{})
	const each = 5 // one less than the number of concurrent requests that a browser sends to one host
	open := func(arrived chromedp.Action[chromedp.Void]) {
		tab, closeTab := chromedp.NewContext(browser)
		t.Cleanup(closeTab)
		if _, err := chromedp.Call(tab, cdppage.Navigate, cdppage.NavigateParams{URL: s.app + "/login"}); err != nil {
			t.Fatal(err)
		}
		if err := chromedp.Do(tab, arrived); err != nil {
			t.Fatal(err)
		}
	}
	for range each {
		open(waitSignedIn)
	}
	release := s.hold()
	for range each {
		open(chromedp.Steps())
	}
	s.wait("the POSTs", func() bool { return len(s.sandbox.SignIns()) == 2*each })
	end()
	release()
	if n := s.timesServed(); n != 2*each {
		t.Fatalf("the page was served %d times, want %d", n, 2*each)
	}

	browser, _ = browsertest.Restore(t, profile)
	limited, cancel := context.WithTimeout(browser, 2*time.Minute)
	defer cancel()
	s.tab = limited
	s.wait("POSTs of the restored tabs", func() bool { return len(s.sandbox.SignIns()) == 3*each })
	for arrived := 0; arrived < 2*each; {
		tabs, err := chromedp.Targets(limited)
		if err != nil {
			t.Fatalf("%d tabs are signed in: %v", arrived, err)
		}
		arrived = 0
		for _, tab := range tabs {
			if strings.Contains(tab.URL, "acme.localhost") && tab.Title == "Signed in" {
				arrived++
			}
		}
	}
	if n := s.timesServed(); n != 3*each {
		t.Errorf("the page was served %d times, want %d", n, 3*each)
	}
	s.expectPosts(3 * each)
}

// testClicksWithoutScripts checks clicks without scripts. The page can't block a second click then.
// But each click sends at most one POST, and the token signs in only once.
func testClicksWithoutScripts(s *fixture) {
	s.do(disableScripts(true))
	release := s.hold()
	s.goTo("/login")
	s.do(chromedp.DoubleClick(button))
	s.wait("the POST", func() bool { return len(s.sandbox.SignIns()) > 0 })
	release()
	s.until(`location.host.startsWith('acme.localhost')`)
	signedIn := 0
	for _, signIn := range s.sandbox.SignIns() {
		if signIn.Outcome == sandbox.OutcomeSignedIn {
			signedIn++
		}
	}
	if n := len(s.sandbox.SignIns()); n > 2 || signedIn != 1 {
		s.t.Errorf("two clicks made %d POSTs and %d sign-ins", n, signedIn)
	}
}
