package page_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/page/browsertest"
)

// screenshots writes every page as a PNG into the folder that DESKMINT_SCREENSHOTS names, for
// manual review. [TestAccessibility] calls it. If the variable isn't set, it does nothing.
func screenshots(t *testing.T, browser context.Context) {
	t.Helper()
	folder := os.Getenv("DESKMINT_SCREENSHOTS")
	if folder == "" {
		return
	}
	g := newGallery(t, browser, plainSettings, "Acme")
	g.size(800, 560)
	g.scriptsOff = true
	g.every(func(language, state, scheme string) { g.saveScreenshot(folder, language+"-"+state+"-"+scheme) })

	for name, color := range map[string]string{
		"orange": "#d9480f",
		"white":  "#ffffff",
		"black":  "#000000",
		"yellow": "#ffd400",
	} {
		g := newGallery(t, browser, settingsWithLogo(color), "Acme")
		g.scriptsOff = true
		for _, state := range []string{"ready", "sending", "loop", "refused"} {
			g.show("en", state)
			for _, scheme := range []string{"light", "dark"} {
				g.scheme(scheme)
				g.size(800, 560)
				g.saveScreenshot(folder, "brand-"+name+"-"+state+"-"+scheme)
			}
		}
	}
	const longName = "Kundenservice der Vereinigten Donaudampfschifffahrtsgesellschaften mbH"
	long := newGallery(t, browser, plainSettings, longName)
	long.scriptsOff = true
	for _, language := range []string{"de", "ar"} {
		for _, state := range []string{"ready", "loop"} {
			long.show(language, state)
			long.size(320, 640)
			long.saveScreenshot(folder, "narrow-"+language+"-"+state)
		}
	}
}

func (g *gallery) saveScreenshot(folder, name string) {
	g.t.Helper()
	png, err := chromedp.Run(g.tab, chromedp.CaptureScreenshot())
	if err != nil {
		g.t.Fatal(err)
	}
	saveScreenshot(g.t, folder, name, png)
}

func saveScreenshot(t *testing.T, folder, name string, png []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// testDrawn checks colours, direction and width of pages in light and dark mode, on a desktop and a
// phone. It also writes screenshots into the folder that DESKMINT_SCREENSHOTS names.
func testDrawn(t *testing.T, browser *browsertest.Browser) {
	t.Helper()
	app := serve(t, galleryHandler(t, plainSettings, "Acme"))
	folder := os.Getenv("DESKMINT_SCREENSHOTS")
	for scheme, background := range map[string]string{"light": "rgb(244, 245, 247)", "dark": "rgb(16, 19, 23)"} {
		tab := browser.Open(t, browsertest.TabOptions{Dark: scheme == "dark"})
		tab.Open(app + "/")
		tab.Until(`location.pathname === '/' && document.readyState === 'complete'`)
		browsertest.Evaluate[bool](tab, `(() => {
			sessionStorage.setItem('deskmint:gallery', Array(3).fill(Date.now()).join(' '));
			return true;
		})()`)
		// WebKit doesn't draw a page again for the screenshot if only its size has changed.
		for _, width := range []int{800, 375} {
			tab.Resize(width, 700)
			for language, direction := range map[string]string{"en": "ltr", "ar": "rtl"} {
				for state, visible := range map[string]string{
					"loop": inState("loop"), "refused": `document.querySelector('.stopped')`,
				} {
					tab.Open(app + "/" + language + "/" + state)
					tab.Until(`location.pathname === '/` + language + `/` + state + `' && ` + visible)
					got := browsertest.Evaluate[string](tab, `[
						getComputedStyle(document.body).backgroundColor,
						getComputedStyle(document.body).direction,
						document.documentElement.scrollWidth <= innerWidth,
					].join('|')`)
					if want := background + "|" + direction + "|true"; got != want {
						t.Errorf("%s, %s, %s, %d: %s, want %s", scheme, language, state, width, got, want)
					}
					if folder != "" {
						name := fmt.Sprintf("%s-%s-%s-%s-%d", browser.Engine, language, state, scheme, width)
						saveScreenshot(t, folder, name, tab.Screenshot())
					}
				}
			}
		}
	}
}
