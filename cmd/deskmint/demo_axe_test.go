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

// runAxe returns the rules that hold and those that are broken. The page in the frame of a trace
// has its own test.
const runAxe = `axe.run(document, {iframes: false}).then((r) => ({
	Held: r.passes.map((v) => v.id),
	Broken: r.violations.map((v) => v.id),
	Where: r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html + " " + n.failureSummary).join("\n")).join("\n"),
}))`

// checked is what axe-core says of a page.
type checked struct {
	Held, Broken []string
	Where        string
}

// axe checks the page in the tab, which has the source loaded.
func axe(t *testing.T, tab context.Context) checked {
	t.Helper()
	result, err := chromedp.Run(tab, chromedp.Evaluate[checked](runAxe, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// prefer makes the tab's browser one that prefers light or dark.
func prefer(t *testing.T, tab context.Context, scheme string) {
	t.Helper()
	do(t, tab, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// TestDemoAccessibility: no page of the demo, nor of the sandbox that it shows, breaks a rule,
// light or dark. They are visited after sign-ins that went well, were refused by Deskmint and by
// Zendesk, and with something out of order.
func TestDemoAccessibility(t *testing.T) {
	t.Parallel()
	source := browsertest.Axe(t)
	tab := browsertest.New(t) // the browser's first: it may take longer than what must happen soon
	d := dev(t)
	d.signIn(t, url.Values{"person": {"0"}})
	d.signIn(t, url.Values{"person": {"3"}}) // not a customer: Deskmint refuses
	d.press(t, "/secrets", url.Values{"configuration": {"acme-customers"}, "act": {"reset"}})
	d.signIn(t, url.Values{"person": {"0"}}) // Zendesk refuses
	d.press(t, "/secrets", url.Values{"configuration": {"acme-customers"}, "act": {"stage"}})
	d.choose(t, tab, choice{"acme-staff", "360001", 2, ""})
	do(t, tab, signedIn)

	port := portOf(t, d.sandbox)
	demo, acme, labs := "http://localhost:"+port, "http://acme.localhost:"+port, "http://acme-labs.localhost:"+port
	for _, address := range []string{
		demo + "/", demo + "/?staged=yes", demo + "/login?configuration=acme-customers&brand_id=360001&return_to=/x",
		demo + "/traces/1", demo + "/traces/2", demo + "/traces/2/page", demo + "/traces/3",
		demo + "/secrets", demo + "/faults", demo + "/operator", demo + "/signed-out?configuration=acme-staff&email=a@b.example",
		acme + "/hc/en-us", acme + "/sandbox/users", labs + "/hc/en-us", labs + "/access/normal", labs + "/access/unauthenticated", labs + "/access/jwt",
	} {
		do(t, tab, chromedp.Navigate(address))
		evaluate(t, tab, source+";'loaded'")
		for _, scheme := range []string{"light", "dark"} {
			prefer(t, tab, scheme)
			got := axe(t, tab)
			if len(got.Broken) > 0 {
				t.Errorf("%s, %s:\n%s", address, scheme, got.Where)
			}
			for _, rule := range []string{"color-contrast", "document-title", "html-has-lang", "page-has-heading-one", "region"} {
				if !slices.Contains(got.Held, rule) {
					t.Errorf("%s, %s: %s wasn't checked: %v", address, scheme, rule, got.Held)
				}
			}
		}
	}
	// The same check finds what is wrong with a page that is.
	evaluate(t, tab, `document.documentElement.removeAttribute("lang"); document.title = ""; document.querySelector("h1").style.setProperty("color", "#333"); "spoilt"`)
	got := axe(t, tab)
	for _, rule := range []string{"html-has-lang", "document-title", "color-contrast"} {
		if !slices.Contains(got.Broken, rule) {
			t.Errorf("%s wasn't found: %v", rule, got.Broken)
		}
	}
}
