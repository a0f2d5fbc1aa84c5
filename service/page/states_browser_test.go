package page_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/page/browsertest"
)

// headingAndParts evaluates to the heading, and to whether the spinner, the form and the start link
// are visible.
const headingAndParts = `[
	document.querySelector('section:not([hidden]) h1').innerText,
	...['.wait', '#sign-in', '.out a'].map((part) => document.querySelector(part).checkVisibility()),
].join()`

// TestBlockedForm checks that the page says so when its policy blocks the form, or a redirect after
// the POST. This holds for the policy in the header and the one in the page. A policy that only
// reports changes nothing.
func TestBlockedForm(t *testing.T) {
	browser := browsertest.New(t)
	policy := "Content-Security-Policy"
	for name, test := range map[string]struct {
		fixtureOptions
		posts int
	}{
		"the form": {fixtureOptions{headers: func(h http.Header) {
			h.Set(policy, strings.ReplaceAll(h.Get(policy), "http://acme.localhost", "http://other.localhost"))
		}}, 0},
		"a redirect": {fixtureOptions{onward: "help.localhost"}, 1},
		"a redirect, no header": {
			fixtureOptions{onward: "help.localhost", headers: func(h http.Header) { h.Del(policy) }}, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, browser, test.fixtureOptions)
			s.speedUpClock()
			s.inject(`setTimeout(() => { window.elapsed = true; }, 10000);`) // after the slow state would begin
			s.goTo("/login")
			s.do(stateVisible("blocked"))
			evaluate[bool](s, `(document.querySelector('#sign-in').requestSubmit(), true)`)
			s.until(`window.elapsed`)
			want := "Your browser stopped on the way to Acme,false,false,true"
			if got := evaluate[string](s, headingAndParts); got != want {
				t.Errorf("heading, spinner, form and link are %s, want %s", got, want)
			}
			if n := len(s.sandbox.SignIns()); n != test.posts {
				t.Errorf("%d POSTs, want %d", n, test.posts)
			}
			if !slices.Contains(s.browserErrors(), "a message on the console") {
				t.Errorf("the operator finds no message: %q", s.browserErrors())
			}
			s.do(chromedp.Click(chromedp.CSS(".out a")), waitStart)
			if n := len(s.sandbox.SignIns()); n != test.posts {
				t.Errorf("%d POSTs after the link, want %d", n, test.posts)
			}
		})
	}
	t.Run("reports only", func(t *testing.T) {
		s := newFixture(t, browser, fixtureOptions{headers: func(h http.Header) {
			h.Set(policy+"-Report-Only", "form-action 'none'")
		}})
		release := s.hold()
		s.afterSubmit(`setTimeout(() => report(document.title), 200);`)
		s.goTo("/login")
		if got := s.reported(); got != "Signing you in to Acme" {
			t.Errorf("the title is %q", got)
		}
		release()
		s.do(waitSignedIn)
	})
}

// TestStopped checks a page whose POST the user stops. It says what to do, has no spinner, and
// sends nothing more.
func TestStopped(t *testing.T) {
	s := newFixture(t, browsertest.New(t), fixtureOptions{})
	release := s.hold()
	defer release()
	s.speedUpClock()
	s.goTo("/login")
	s.wait("the POST", func() bool { return len(s.sandbox.SignIns()) == 1 })
	if _, err := chromedp.Call(s.tab, cdppage.StopLoading, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	s.do(stateVisible("slow"))
	want := "Signing in to Acme is taking longer than usual,false,false,true"
	if got := evaluate[string](s, headingAndParts); got != want {
		t.Errorf("heading, spinner, form and link are %s, want %s", got, want)
	}
	evaluate[bool](s, `(document.querySelector('#sign-in').requestSubmit(), true)`)
	s.do(chromedp.Click(chromedp.CSS(".out a")), waitStart)
	s.expectPosts(1)
}

// TestLinkDuringSlowPost checks that a user who follows the link while Zendesk is slow sends no
// second POST.
func TestLinkDuringSlowPost(t *testing.T) {
	s := newFixture(t, browsertest.New(t), fixtureOptions{})
	release := s.hold()
	defer release()
	s.speedUpClock()
	s.afterSubmit(`
		const watch = setInterval(() => {
			const link = document.querySelector('.out a');
			if (!link.checkVisibility()) return;
			clearInterval(watch);
			link.click();
		}, 5);`)
	s.goTo("/login")
	s.do(waitStart)
	s.expectPosts(1)
}
