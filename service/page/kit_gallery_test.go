package page_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/page"
)

// states are the states of the sign-in page.
var states = []string{"ready", "sending", "slow", "blocked", "loop", "used"}

var problemNames = map[string]page.Problem{
	"failed": page.ProblemFailed, "refused": page.ProblemRefused, "unavailable": page.ProblemUnavailable,
	"disabled": page.ProblemDisabled, "stopped": page.ProblemLoop, "spent": page.ProblemUsed,
	"late": page.ProblemLate, "other-way": page.ProblemOtherWay, "not-created": page.ProblemNotCreated,
	"conflict": page.ProblemConflict,
}

// svgLogo is dark on a transparent background, like most logos.
const svgLogo = `<svg xmlns="http://www.w3.org/2000/svg" width="160" height="48" viewBox="0 0 160 48">` +
	`<circle cx="24" cy="24" r="20" fill="#d9480f"/><path d="M24 10l11 26h-6l-5-13-5 13h-6z" fill="#fff"/>` +
	`<text x="54" y="32" font-family="sans-serif" font-size="24" font-weight="700" fill="#1b2027">Acme</text></svg>`

// plainSettings returns settings without a logo.
func plainSettings(language string) page.Settings { return page.Settings{Language: language} }

// settingsWithLogo returns settings with a logo and this colour.
func settingsWithLogo(color string) func(string) page.Settings {
	return func(language string) page.Settings {
		return page.Settings{
			Language: language, Color: color,
			Logo: "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(svgLogo)),
		}
	}
}

// gallery serves every page in a fixed state. /LANGUAGE/STATE is a state of the sign-in page, and
// /LANGUAGE/PROBLEM is a problem page.
type gallery struct {
	*fixture
	scriptsOff bool // pages that are displayed without scripts keep them disabled
}

func newGallery(
	t *testing.T,
	browser context.Context,
	settings func(language string) page.Settings,
	brand string,
) *gallery {
	t.Helper()
	g := &gallery{fixture: &fixture{
		site: &site{t: t, changed: make(chan struct{}, 1)}, reports: make(chan string, 10),
	}}
	g.app = serve(t, galleryHandler(t, settings, brand))
	g.openTab(browser, 4*time.Minute)
	// Prevent submissions, and prepare the storage, the timers and the events for the state.
	g.inject(`
		const state = location.pathname.split('/')[2];
		HTMLFormElement.prototype.submit = () => {
			if (state !== 'blocked') return;
			console.error = () => {};
			document.dispatchEvent(new SecurityPolicyViolationEvent('securitypolicyviolation', {
				bubbles: true, effectiveDirective: 'form-action', disposition: 'enforce',
			}));
		};
		if (state) {
			sessionStorage.clear();
			if (state === 'loop') sessionStorage.setItem('deskmint:gallery', Array(3).fill(Date.now()).join(' '));
			if (state === 'used') sessionStorage.setItem('deskmint:gallery:sent', '0123456789abcdef');
			const original = setTimeout;
			window.setTimeout = (f, ms, ...given) =>
				state === 'slow' && ms === 5000 ? f(...given) : original(f, ms, ...given);
		}`)
	return g
}

// galleryHandler serves every page. /LANGUAGE/PROBLEM is a problem page, and other paths below
// /LANGUAGE are the sign-in page.
func galleryHandler(t *testing.T, settings func(language string) page.Settings, brand string) http.Handler {
	t.Helper()
	pages := map[string]*page.Page{}
	for _, language := range page.Languages() {
		p, err := page.New(settings(language), page.Frame{
			Brand: brand, Action: "https://acme.zendesk.com/access/jwt",
			FormActionSources: []string{"https://acme.zendesk.com"}, Scope: "gallery",
		})
		if err != nil {
			t.Fatal(err)
		}
		pages[language] = p
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		language, state, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		p, ok := pages[language]
		if !ok {
			http.NotFound(w, r)
			return
		}
		for _, h := range p.Headers() {
			w.Header().Set(h.Name, h.Value)
		}
		html := p.Render("header.claims.0123456789abcdef", returnTo)
		if problem, ok := problemNames[state]; ok {
			html = p.RenderProblem(problem)
		}
		_, _ = w.Write(html)
	})
}

// show opens a page and waits until it reaches the state.
func (g *gallery) show(language, state string) {
	g.t.Helper()
	g.do(disableScripts(state == "ready"))
	g.do(chromedp.Navigate(g.app + "/" + language + "/" + state))
	switch state {
	case "ready":
		g.do(chromedp.WaitVisible(chromedp.CSS("noscript p")))
		if !g.scriptsOff {
			g.do(disableScripts(false))
		}
	case "sending", "slow", "blocked", "loop", "used":
		g.do(stateVisible(state))
	default:
		g.do(chromedp.WaitVisible(chromedp.CSS(".stopped")))
	}
}

func (g *gallery) scheme(scheme string) {
	g.t.Helper()
	params := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}}
	if _, err := chromedp.Call(g.tab, emulation.SetEmulatedMedia, params); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gallery) size(width, height int64) {
	g.t.Helper()
	params := emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1}
	if _, err := chromedp.Call(g.tab, emulation.SetDeviceMetricsOverride, params); err != nil {
		g.t.Fatal(err)
	}
}

// every calls see for each page in each language, in light and dark mode.
func (g *gallery) every(see func(language, state, scheme string)) {
	all := append([]string{}, states...)
	for name := range problemNames {
		all = append(all, name)
	}
	for _, language := range page.Languages() {
		for _, state := range all {
			g.show(language, state)
			for _, scheme := range []string{"light", "dark"} {
				g.scheme(scheme)
				see(language, state, scheme)
			}
		}
	}
}
