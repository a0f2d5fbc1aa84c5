package page_test

import (
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// goTo starts a navigation without waiting for a load event. A page that submits itself at once may
// not have one.
func (s *fixture) goTo(path string) {
	s.t.Helper()
	if _, err := chromedp.Call(s.tab, cdppage.Navigate, cdppage.NavigateParams{URL: s.app + path}); err != nil {
		s.t.Fatal(err)
	}
}

// back and forward do what the browser's buttons do. They don't use chromedp.NavigateBack, because
// it waits for a load event, and a page from the back/forward cache has none.
func (s *fixture) back()    { s.t.Helper(); s.navigateHistory(-1) }
func (s *fixture) forward() { s.t.Helper(); s.navigateHistory(+1) }

func (s *fixture) navigateHistory(by int) {
	s.t.Helper()
	history, err := chromedp.Run(s.tab, chromedp.NavigationEntries())
	if err != nil {
		s.t.Fatal(err)
	}
	entry := history.Entries[int(history.CurrentIndex)+by].ID
	params := cdppage.NavigateToHistoryEntryParams{EntryID: entry}
	if _, err := chromedp.Call(s.tab, cdppage.NavigateToHistoryEntry, params); err != nil {
		s.t.Fatal(err)
	}
}

// until waits until a script returns a true value. Unlike the wait actions of chromedp, it works in
// a page from the back/forward cache.
func (s *fixture) until(script string) {
	s.t.Helper()
	for {
		yes, err := chromedp.Run(s.tab, chromedp.Evaluate[bool]("Boolean("+script+")"))
		if yes {
			return
		}
		select {
		case <-s.tab.Done():
			s.t.Fatalf("waiting for %s: %v; the browser reported %q", script, err, s.browserErrors())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
