package page_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
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
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
		g.t.Fatal(err)
	}
}
