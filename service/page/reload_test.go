package page_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/page/browsertest"
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
