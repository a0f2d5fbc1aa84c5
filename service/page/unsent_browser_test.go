package page_test

import "github.com/chromedp/chromedp"

// formAndTextVisible evaluates to the visibility of the form and of the loop text.
const formAndTextVisible = `[
	document.querySelector('#sign-in').checkVisibility(),
	document.querySelector('section[data-state=loop]').checkVisibility(),
].join()`

// skippedClock lets a test set a page's clock forward.
const skippedClock = `const unskipped = Date.now; Date.now = () => unskipped() + (window.skipped || 0);`

// openLoopPage opens a page that the script doesn't submit and whose button works.
func (s *fixture) openLoopPage() {
	s.t.Helper()
	s.goTo("/")
	s.do(waitStart)
	s.store("1000")
	s.goTo("/login")
	s.do(stateVisible("loop"), chromedp.WaitVisible(button))
}

// testBackToUnsentPage checks that an unsent page comes from the cache unchanged. Its token is
// still valid, or has become too old in the meantime.
func testBackToUnsentPage(s *fixture) {
	s.inject(skippedClock)
	for _, step := range []struct{ skipped, want string }{{"100000", "true,true"}, {"150000", "false,true"}} {
		s.openLoopPage()
		before := s.timesServed()
		s.goTo("/")
		s.do(waitStart)
		s.back()
		s.until(`document.querySelector('[data-state=loop]')`)
		if got := evaluate[string](s, formAndTextVisible); got != "true,true" {
			s.t.Errorf("at once the form and the text are visible: %s", got)
		}
		evaluate[bool](s, `(window.skipped = `+step.skipped+`, true)`)
		s.forward()
		s.until(`document.getElementById('start')`)
		s.back()
		s.until(`document.querySelector('[data-state=loop]')`)
		if got := evaluate[string](s, formAndTextVisible); got != step.want {
			s.t.Errorf("after %s ms the form and the text are visible: %s, want %s", step.skipped, got, step.want)
		}
		if n := s.timesServed(); n != before {
			s.t.Errorf("the page was served %d times more: it didn't come from the cache", n-before)
		}
		s.expectPosts(0)
	}
	s.openLoopPage()
	s.goTo("/")
	s.do(waitStart)
	s.back()
	s.until(`document.querySelector('[data-state=loop]')`)
	evaluate[bool](s, `(document.querySelector('#sign-in button').click(), true)`)
	s.do(waitSignedIn)
	s.expectPosts(1)
}

// testLeftOpen checks that the button disappears before the token is too old, and that the text
// stays.
func testLeftOpen(s *fixture) {
	s.speedUpClock()
	s.openLoopPage()
	s.until(`!document.querySelector('#sign-in').checkVisibility()`)
	evaluate[bool](s, `(document.querySelector('#sign-in').requestSubmit(), true)`)
	if got := evaluate[string](s, formAndTextVisible); got != "false,true" {
		s.t.Errorf("the form and the text are visible: %s", got)
	}
	s.goTo("/")
	s.do(waitStart)
	s.expectPosts(0)
}

// testLeftOpenByTheClock checks a machine that slept, so that the timers didn't run. Its user
// clicks at once.
func testLeftOpenByTheClock(s *fixture) {
	s.inject(skippedClock)
	s.openLoopPage()
	evaluate[bool](s, `(window.skipped = 150000, document.querySelector('#sign-in button').click(), true)`)
	if got := evaluate[string](s, formAndTextVisible); got != "false,true" {
		s.t.Errorf("the form and the text are visible: %s", got)
	}
	s.goTo("/")
	s.do(waitStart)
	s.expectPosts(0)
}

// testLoopLimitsStorage checks that repeated sign-ins don't fill the storage.
func testLoopLimitsStorage(s *fixture) {
	s.goTo("/")
	s.do(waitStart)
	evaluate[bool](s, `(() => {
		sessionStorage.setItem('deskmint:customers/360001', Array(20).fill(Date.now()).join(' '));
		return true;
	})()`)
	s.goTo("/login")
	s.do(stateVisible("loop"), chromedp.Click(button), waitSignedIn)
	s.goTo("/")
	s.do(waitStart)
	if n := evaluate[int](s, `sessionStorage.getItem('deskmint:customers/360001').split(' ').length`); n != 4 {
		s.t.Errorf("%d times are kept, want the limit, 4", n)
	}
	s.expectPosts(1)
}

// testLoop signs in repeatedly. The fourth time the page waits for the user, who may click any
// number of times.
func testLoop(s *fixture) {
	for visit := range 3 {
		s.goTo("/login")
		s.do(waitSignedIn)
		s.expectPosts(visit + 1)
	}
	s.goTo("/login")
	s.do(stateVisible("loop"))
	if got := evaluate[string](s, `document.querySelector('#sign-in button').innerText`); got != "Try once more" {
		s.t.Errorf("the button says %q", got)
	}
	s.expectPosts(3)
	s.do(chromedp.DoubleClick(button), waitSignedIn)
	s.expectPosts(4)
	// Continuing by hand doesn't reset the count.
	s.goTo("/login")
	s.do(stateVisible("loop"))
	s.expectPosts(4)
}

// testLoopWindow moves the stored times to just inside and just outside the window.
func testLoopWindow(s *fixture) {
	s.goTo("/")
	s.do(waitStart)
	s.store("30000")
	s.goTo("/login")
	s.do(stateVisible("loop"))
	s.expectPosts(0)
	// The times are too long ago, or in the future because the clock was set back.
	for i, ago := range []string{"60000", "-60000"} {
		s.goTo("/")
		s.do(waitStart)
		s.store(ago)
		s.goTo("/login")
		s.do(waitSignedIn)
		s.expectPosts(i + 1)
	}
	// Other data in the storage doesn't count as a sign-in.
	s.goTo("/")
	s.do(waitStart)
	evaluate[bool](s, `(sessionStorage.setItem('deskmint:customers/360001', 'x NaN {} Infinity'), true)`)
	s.goTo("/login")
	s.do(waitSignedIn)
	s.expectPosts(3)
}
