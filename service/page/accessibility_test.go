package page_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/page/browsertest"
)

// axeResult is the result of axe-core for a page: the violated, undecided and passed rules.
type axeResult struct {
	Violations []struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	Incomplete []struct{ ID string }
	Passes     []struct{ ID string }
}

// runAxe runs every rule of axe-core, including those that are only best practices.
const runAxe = `axe.run(document, {resultTypes: ['violations', 'incomplete', 'passes']}).then((r) => ({
	Violations: r.violations.map((v) => ({
		ID: v.id,
		Help: v.help,
		Nodes: v.nodes.map((n) => ({HTML: n.html, FailureSummary: n.failureSummary})),
	})),
	Incomplete: r.incomplete.map((v) => ({ID: v.id})),
	Passes: r.passes.map((v) => ({ID: v.id})),
}))`

// axe runs axe-core on the page in the tab. The parameter is the source of axe-core.
func (s *fixture) axe(source string) axeResult {
	s.t.Helper()
	if evaluate[bool](s, "!window.axe") {
		evaluate[bool](s, source+";true")
	}
	result, err := chromedp.Run(s.tab, chromedp.Evaluate[axeResult](runAxe, chromedp.EvalAwaitPromise))
	if err != nil {
		s.t.Fatal(err)
	}
	return result
}

// TestAccessibility checks that no page violates a rule of axe-core, in any language, in light and
// dark mode.
func TestAccessibility(t *testing.T) {
	source := browsertest.Axe(t)
	browser := browsertest.New(t)
	g := newGallery(t, browser, plainSettings, "Acme")
	pages, unsure := 0, map[string]int{}
	check := func(g *gallery, language, state, scheme string) {
		pages++
		result := g.axe(source)
		for _, v := range result.Violations {
			for _, node := range v.Nodes {
				t.Errorf("%s, %s, %s: %s: %s\n%s\n%s",
					language, state, scheme, v.ID, v.Help, node.HTML, node.FailureSummary)
			}
		}
		for _, v := range result.Incomplete {
			unsure[fmt.Sprint(v.ID, " ", state)]++
		}
		held := fmt.Sprint(result.Passes)
		for _, rule := range []string{
			"color-contrast", "document-title", "html-has-lang", "html-lang-valid", "landmark-one-main",
			"page-has-heading-one", "region",
		} {
			if !strings.Contains(held, "{"+rule+"}") {
				t.Errorf("%s, %s, %s: %s wasn't axeResult: %s", language, state, scheme, rule, held)
			}
		}
	}
	g.every(func(language, state, scheme string) { check(g, language, state, scheme) })
	drawn := newGallery(t, browser, settingsWithLogo("#ffd400"), "Acme")
	for _, state := range []string{"ready", "loop", "refused"} {
		drawn.show("ar", state)
		for _, scheme := range []string{"light", "dark"} {
			drawn.scheme(scheme)
			check(drawn, "ar with a logo", state, scheme)
		}
	}
	if want := 7*(len(states)+len(problemNames))*2 + 6; pages != want {
		t.Errorf("%d pages were axeResult, want %d", pages, want)
	}
	for _, g := range []*gallery{g, drawn} {
		if errs := g.browserErrors(); len(errs) > 0 {
			t.Errorf("the browser reported errors: %q", errs)
		}
	}
	// axe-core can't decide the contrast of the button's text, because it lies on an image.
	// TestContrastOfEveryColour checks it.
	t.Logf("%d pages; not decided: %v", pages, unsure)
	screenshots(t, browser)
}

// TestAccessibilityCanFail checks that the same check reports the defects of a broken page.
func TestAccessibilityCanFail(t *testing.T) {
	source := browsertest.Axe(t)
	g := newGallery(t, browsertest.New(t), plainSettings, "Acme")
	g.show("en", "loop")
	evaluate[bool](g.fixture, `(() => {
		document.documentElement.removeAttribute('lang');
		document.title = '';
		document.querySelector('button').textContent = '';
		document.querySelector('section[data-state=loop] p').setAttribute('aria-label', 'x');
		document.querySelector('section[data-state=loop] h1').style.setProperty('color', '#ddd');
		return true;
	})()`)
	found := fmt.Sprint(g.axe(source).Violations)
	for _, rule := range []string{"html-has-lang", "document-title", "button-name", "color-contrast"} {
		if !strings.Contains(found, rule) {
			t.Errorf("%s wasn't found: %s", rule, found)
		}
	}
}

const (
	outlineOfFocus = `(() => {
		const s = getComputedStyle(document.activeElement);
		return s.outlineStyle + ' ' + s.outlineWidth;
	})()`
	focusIsLargeEnough = `(() => {
		const r = document.activeElement.getBoundingClientRect();
		return r.height >= 44 && r.width >= 44;
	})()`
)

// TestKeyboard checks which elements the tab key reaches, in which order, and that the focus is
// visible.
func TestKeyboard(t *testing.T) {
	g := newGallery(t, browsertest.New(t), plainSettings, "Acme")
	for state, order := range map[string][]string{
		"ready": {"BUTTON"}, "sending": {"BODY"}, "slow": {"A"}, "blocked": {"A"}, "loop": {"BUTTON", "A"},
		"used": {"A"}, "refused": {"A"},
	} {
		g.show("en", state)
		for _, want := range order {
			g.do(chromedp.KeyEvent("\t"))
			if got := evaluate[string](g.fixture, `document.activeElement.tagName`); got != want {
				t.Errorf("%s: the tab key leads to %s, want %s of %v", state, got, want, order)
			}
			if want == "BODY" {
				continue
			}
			if got := evaluate[string](g.fixture, outlineOfFocus); got != "solid 3px" {
				t.Errorf("%s: the outline of %s is %s", state, want, got)
			}
			if !evaluate[bool](g.fixture, focusIsLargeEnough) {
				t.Errorf("%s: %s is too small for a finger", state, want)
			}
		}
	}
}
