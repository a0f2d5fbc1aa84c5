package main

import (
	"context"
	"testing"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// tab opens a tab with separate cookies and storage.
func tab(t *testing.T, browser context.Context) context.Context {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	ctx, cancel := context.WithTimeout(ctx, longTimeout)
	t.Cleanup(cancel)
	return ctx
}

func do(t *testing.T, tab context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(tab, steps...); err != nil {
		shown, _ := chromedp.Run(tab,
			chromedp.Evaluate[string](`location.href + "\n" + document.documentElement.innerText`))
		t.Fatalf("%v; the tab shows %s", err, shown)
	}
}

// goTo navigates without waiting for a load event. A page that posts its form at once may not have
// one.
func goTo(t *testing.T, tab context.Context, address string) {
	t.Helper()
	if _, err := chromedp.Call(tab, cdppage.Navigate, cdppage.NavigateParams{URL: address}); err != nil {
		t.Fatal(err)
	}
}

func evaluate(t *testing.T, tab context.Context, script string) string {
	t.Helper()
	value, err := chromedp.Run(tab, chromedp.Evaluate[string](script))
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return value
}

var signedIn = chromedp.WaitVisible(chromedp.CSS("#signed-in"))
