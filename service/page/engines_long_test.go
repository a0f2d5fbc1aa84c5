//go:build long

package page_test

import (
	"testing"

	"github.com/deskmint/deskmint/service/page/browsertest"
)

func TestFirefox(t *testing.T) { testEngine(t, browsertest.Firefox) }

func TestWebKit(t *testing.T) { testEngine(t, browsertest.WebKit) }

// TestFirefoxRestored checks a browser that ends and restores its tab. A tab that was signed in stays
// where it is. The page isn't in its history.
func TestFirefoxRestored(t *testing.T) {
	browser := browsertest.Firefox.Start(t)
	site := newSite(t, fixtureOptions{})
	session := t.TempDir()
	tab := browser.Open(t, browsertest.TabOptions{Session: session})
	tab.Open(site.app + "/")
	tab.Until(atStart)
	tab.Open(site.app + "/login")
	tab.Until(atSignedIn)
	tab.End()
	site.expectSignIns(1)

	tab = browser.Open(t, browsertest.TabOptions{Session: session})
	tab.Until(atSignedIn)
	tab.Back()
	tab.Until(atStart)
	tab.Forward()
	tab.Until(atSignedIn)
	site.expectSignIns(1)
}
