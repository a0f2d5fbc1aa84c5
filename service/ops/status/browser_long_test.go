//go:build long

package status_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/ops/status"
	"github.com/deskmint/deskmint/service/page/browsertest"
)

// axeResult is the result of axe-core for a page.
type axeResult struct {
	Held  []string
	Where string
}

const runAxe = `axe.run(document).then((r) => ({
	Held: r.passes.map((v) => v.id),
	Where: r.violations.map((v) =>
		v.id + ": " + v.nodes.map((n) => n.html + " " + n.failureSummary).join("\n")).join("\n"),
}))`

// brokenWords returns the words that are on more than one line, and what is wider than the window.
const brokenWords = `(() => {
	const broken = [];
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		for (const word of texts.currentNode.data.matchAll(/[\w.]+/g)) {
			const range = document.createRange();
			range.setStart(texts.currentNode, word.index);
			range.setEnd(texts.currentNode, word.index + word[0].length);
			if (new Set([...range.getClientRects()].map((r) => r.top)).size > 1) broken.push(word[0]);
		}
	}
	if (document.documentElement.scrollWidth > innerWidth) broken.push('wider than the window');
	return broken.join(' ');
})()`

// TestStatusPageInBrowser checks the page with axe-core, light and dark, on a desktop and on a
// phone. With DESKMINT_SCREENSHOTS it also writes pictures to that folder.
func TestStatusPageInBrowser(t *testing.T) {
	source := browsertest.Axe(t)
	tab, cancel := context.WithTimeout(browsertest.New(t), time.Minute)
	defer cancel()
	renderer := status.NewRenderer()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := renderer.Write(w, fullPage()); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	reports := make(chan string, 100)
	if err := chromedp.Listen(tab, func(event any) {
		if e, ok := event.(*cdplog.EventEntryAdded); ok {
			reports <- e.Entry.Text
		}
	}); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int64{1100, 375} {
		call(t, tab, emulation.SetDeviceMetricsOverride,
			emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 800, DeviceScaleFactor: 1})
		for _, scheme := range []string{"light", "dark"} {
			call(t, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			if err := chromedp.Do(tab, chromedp.Navigate(server.URL)); err != nil {
				t.Fatal(err)
			}
			if got := evaluate[string](t, tab, brokenWords); got != "" {
				t.Errorf("%d, %s: broken: %s", width, scheme, got)
			}
			evaluate[string](t, tab, source+";''")
			got := evaluate[axeResult](t, tab, runAxe, chromedp.EvalAwaitPromise)
			if got.Where != "" {
				t.Errorf("%d, %s:\n%s", width, scheme, got.Where)
			}
			for _, rule := range []string{
				"color-contrast", "document-title", "html-has-lang", "label", "landmark-one-main",
				"page-has-heading-one",
				"region", "th-has-data-cells",
			} {
				if !slices.Contains(got.Held, rule) {
					t.Errorf("%d, %s: %s wasn't checked: %v", width, scheme, rule, got.Held)
				}
			}
			screenshot(t, tab, scheme, width)
		}
	}
	close(reports)
	for report := range reports {
		t.Errorf("the browser reports %s", report)
	}
}

func call[P, R any](t *testing.T, tab context.Context, command cdp.Command[P, R], params P) {
	t.Helper()
	if _, err := chromedp.Call(tab, command, params); err != nil {
		t.Fatal(err)
	}
}

func evaluate[T any](t *testing.T, tab context.Context, script string, o ...chromedp.EvaluateOption) T {
	t.Helper()
	value, err := chromedp.Run(tab, chromedp.Evaluate[T](script, o...))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func screenshot(t *testing.T, tab context.Context, scheme string, width int64) {
	t.Helper()
	folder := os.Getenv("DESKMINT_SCREENSHOTS")
	if folder == "" {
		return
	}
	png, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, fmt.Sprintf("status-%s-%d.png", scheme, width)), png, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
