package main

import (
	"context"
	"net/url"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/page/browsertest"
)

// runAxe returns the rules that the page follows and those that it breaks. The page in the frame of
// a trace has a separate test.
const runAxe = `axe.run(document, {iframes: false}).then((r) => ({
	Held: r.passes.map((v) => v.id),
	Broken: r.violations.map((v) => v.id),
	Where: r.violations.map((v) =>
		v.id + ": " + v.nodes.map((n) => n.html + " " + n.failureSummary).join("\n")).join("\n"),
}))`

// axeResult is the result of axe-core for a page.
type axeResult struct {
	Held, Broken []string
	Where        string
}

// axe checks the page in the tab, which has loaded axe-core.
func axe(t *testing.T, tab context.Context) axeResult {
	t.Helper()
	result, err := chromedp.Run(tab, chromedp.Evaluate[axeResult](runAxe, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// setColorScheme makes the tab's browser prefer light or dark.
func setColorScheme(t *testing.T, tab context.Context, scheme string) {
	t.Helper()
	do(t, tab, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// setWidth gives the tab the width of a window, in CSS pixels.
func setWidth(t *testing.T, tab context.Context, width int64) {
	t.Helper()
	do(t, tab, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: width, Height: 800, DeviceScaleFactor: 1,
		})
		return err
	}))
}

// findBroken returns what doesn't fit on a page: a page or table wider than the window, a frame that
// hides a part of its page, and a word that is broken in a table.
const findBroken = `(() => {
	const wrong = [];
	const wide = document.documentElement.scrollWidth;
	if (wide > innerWidth) wrong.push("the page is " + wide + " pixels wide");
	document.querySelectorAll("table").forEach((table) => {
		if (table.getBoundingClientRect().right > innerWidth) wrong.push("a table is cut: " + table.innerText);
		const texts = document.createTreeWalker(table, NodeFilter.SHOW_TEXT);
		while (texts.nextNode()) {
			const shown = texts.currentNode.parentElement;
			if (!shown.checkVisibility() || shown.closest("pre")) continue;
			for (const word of texts.currentNode.data.matchAll(/[\p{L}\p{N}]+/gu)) {
				const range = new Range();
				range.setStart(texts.currentNode, word.index);
				range.setEnd(texts.currentNode, word.index + word[0].length);
				if (range.getClientRects().length > 1) wrong.push("a word is broken: " + word[0]);
			}
		}
	});
	document.querySelectorAll("iframe").forEach((frame) => {
		const page = frame.contentDocument.documentElement;
		if (page.scrollHeight > frame.clientHeight) wrong.push("a frame is cut: " + frame.title);
	});
	return wrong.join("\n");
})()`

// TestDemoAccessibility checks that no page of the demo or the sandbox breaks a rule, light or
// dark, and that all of it can be read on a phone. It visits them after sign-ins that
// succeeded, that Deskmint refused and that Zendesk refused, and while a fault is switched on.
func TestDemoAccessibility(t *testing.T) {
	t.Parallel()
	source := browsertest.Axe(t)
	tab := browsertest.New(t) // the start of the browser may take longer than longTimeout
	d := dev(t)
	d.signIn(t, url.Values{"person": {"0"}})
	d.signIn(t, url.Values{"person": {"3"}}) // not a customer, so Deskmint refuses
	d.submit(t, "/secrets", url.Values{"configuration": {"acme-customers"}, "act": {"reset"}})
	d.signIn(t, url.Values{"person": {"0"}}) // Zendesk refuses
	d.submit(t, "/secrets", url.Values{"configuration": {"acme-customers"}, "act": {"stage"}})
	d.choose(t, tab, choice{"acme-staff", "360001", 2, ""})
	do(t, tab, signedIn)

	port := portOf(t, d.sandbox)
	demo, acme, labs := "http://localhost:"+port, "http://acme.localhost:"+port, "http://acme-labs.localhost:"+port
	setWidth(t, tab, 375)
	for _, address := range []string{
		demo + "/", demo + "/nothing", demo + "/?staged=yes",
		demo + "/login?configuration=acme-customers&brand_id=360001&return_to=/x",
		demo + "/traces/1", demo + "/traces/2", demo + "/traces/2/page", demo + "/traces/3",
		demo + "/secrets", demo + "/faults", demo + "/operator",
		demo + "/signed-out?configuration=acme-staff&email=a@b.example",
		acme + "/hc/en-us", acme + "/sandbox/users", labs + "/hc/en-us", labs + "/access/normal",
		labs + "/access/unauthenticated", labs + "/access/jwt",
	} {
		do(t, tab, chromedp.Navigate(address))
		evaluate(t, tab, source+";'loaded'")
		if wrong := evaluate(t, tab, findBroken); wrong != "" {
			t.Errorf("%s on a phone:\n%s", address, wrong)
		}
		for _, scheme := range []string{"light", "dark"} {
			setColorScheme(t, tab, scheme)
			got := axe(t, tab)
			if len(got.Broken) > 0 {
				t.Errorf("%s, %s:\n%s", address, scheme, got.Where)
			}
			for _, rule := range []string{
				"color-contrast", "document-title", "html-has-lang", "page-has-heading-one", "region",
			} {
				if !slices.Contains(got.Held, rule) {
					t.Errorf("%s, %s: %s wasn't checked: %v", address, scheme, rule, got.Held)
				}
			}
		}
	}
	// The same check finds the errors of a page that has some.
	evaluate(t, tab, `
		document.documentElement.removeAttribute("lang");
		document.title = "";
		document.querySelector("h1").style.setProperty("color", "#333");
		"broken"`)
	got := axe(t, tab)
	for _, rule := range []string{"html-has-lang", "document-title", "color-contrast"} {
		if !slices.Contains(got.Broken, rule) {
			t.Errorf("%s wasn't found: %v", rule, got.Broken)
		}
	}
}
