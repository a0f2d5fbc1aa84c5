package page_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/page/browsertest"
)

// watchScript reports the effects of payloads from every frame. It also prevents pages from
// submitting their forms.
const watchScript = `
	HTMLFormElement.prototype.submit = () => {};
	for (const name of ['pwned', 'alert', 'confirm', 'prompt', 'print', 'open', 'eval']) {
		window[name] = () => report(name + ' in ' + location);
	}
	addEventListener('securitypolicyviolation', (event) => report(event.violatedDirective + ' in ' + location));
	addEventListener('error', (event) => report('error in ' + location), true);
	addEventListener('load', () => {
		const wanted = [
			'HTML', 'HEAD', 'META', 'TITLE', 'LINK', 'STYLE', 'BODY', 'svg', 'rect', 'MAIN', 'P', 'BDI', 'DIV',
			'SECTION', 'H1', 'FORM', 'INPUT', 'NOSCRIPT', 'BUTTON', 'SPAN', 'SCRIPT',
		];
		if (top !== window) {
			document.querySelectorAll('*').forEach((e) => {
				if (!wanted.includes(e.tagName) && !e.matches('.out > a')) report(e.tagName + ' in ' + location);
			});
		}
	});`

// A page contains several payloads, and a view contains several pages, because browsers load pages
// slowly.
const (
	perPage = 4
	perView = 50
)

// payloadApp is an application whose page N contains the payloads from N·perPage on. The path
// /all/N displays the pages from N on.
func payloadApp(t *testing.T, payloads []string, unescaped bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /all/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,"><body>`))
		for i := n; i < min(n+perView, len(payloads)/perPage); i++ {
			_, _ = fmt.Fprintf(w, `<iframe src="/%d" width="20" height="20"></iframe>`, i)
		}
	})
	mux.HandleFunc("GET /{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		carried := payloads[n*perPage:][:perPage]
		p, err := pageWithPayloads(carried)
		if err != nil {
			t.Error(err)
			return
		}
		for _, h := range p.Headers() {
			w.Header().Set(h.Name, h.Value)
		}
		// The test displays the pages in frames.
		w.Header().Del("X-Frame-Options")
		framable := strings.ReplaceAll(p.ContentSecurityPolicy(), "; frame-ancestors 'none'", "")
		w.Header().Set("Content-Security-Policy", framable)
		html := string(p.Render(carried[0], carried[1]))
		if unescaped {
			html = strings.Replace(html, "<main>", "<main>"+strings.Join(carried, ""), 1)
		}
		_, _ = w.Write([]byte(html))
	})
	return mux
}

// pageWithPayloads returns a page with each of the payloads in an attribute and, where the checks
// allow it, in a text. The first two are used for the token and return_to.
func pageWithPayloads(payloads []string) (*page.Page, error) {
	settings := page.Settings{Title: payloads[0], Message: payloads[1], Button: payloads[2], Start: payloads[3]}
	settings.Check(func(path, _ string) {
		*map[string]*string{
			"title":   &settings.Title,
			"message": &settings.Message,
			"button":  &settings.Button,
			"start":   &settings.Start,
		}[path] = ""
	})
	frame := page.Frame{
		Brand:             payloads[3],
		Scope:             payloads[2],
		Action:            "https://acme.zendesk.com/access/jwt?" + url.QueryEscape(payloads[3]),
		FormActionSources: []string{"https://acme.zendesk.com"},
	}
	p, err := page.New(settings, frame)
	if err != nil {
		frame.Brand = "Acme"
		return page.New(settings, frame)
	}
	return p, nil
}

func newPayloadFixture(t *testing.T, payloads []string, unescaped bool) *fixture {
	t.Helper()
	s := &fixture{site: &site{t: t, changed: make(chan struct{}, 1)}, reports: make(chan string, 10000)}
	s.app = serve(t, payloadApp(t, payloads, unescaped))
	s.openTab(browsertest.New(t), 4*time.Minute)
	if _, err := chromedp.Call(s.tab, runtime.AddBinding, runtime.AddBindingParams{Name: "report"}); err != nil {
		t.Fatal(err)
	}
	s.inject(watchScript)
	return s
}

// TestPayloadsInBrowser checks that no payload runs or attempts to run.
func TestPayloadsInBrowser(t *testing.T) {
	payloads := page.Payloads()
	for len(payloads)%perPage != 0 {
		payloads = append(payloads, payloads[0])
	}
	s := newPayloadFixture(t, payloads, false)
	for n := 0; n < len(payloads)/perPage; n += perView {
		s.do(chromedp.Navigate(fmt.Sprintf("%s/all/%d", s.app, n)))
		want := min(perView, len(payloads)/perPage-n)
		got := evaluate[int](s, `[...document.querySelectorAll('iframe')]
			.filter((f) => f.contentDocument.querySelector('#sign-in')).length`)
		if got != want {
			t.Errorf("from %d on, %d pages are there, want %d", n, got, want)
		}
	}
	for len(s.reports) > 0 {
		t.Error(<-s.reports)
	}
	if errs := s.browserErrors(); len(errs) > 0 {
		t.Errorf("the browser reported errors: %q", errs)
	}
}

// TestPayloadsInUnescapedPage checks that the browser reports payloads in a page that doesn't
// escape them.
func TestPayloadsInUnescapedPage(t *testing.T) {
	s := newPayloadFixture(t, []string{
		`<img src=x onerror=pwned()>`, `<script>pwned()</script>`, `<style>*{color:red}</style>`, `<b>`,
	}, true)
	s.do(chromedp.Navigate(s.app + "/all/0"))
	var reports strings.Builder
	for _, want := range []string{"script-src-elem", "script-src-attr", "style-src-elem", "IMG in", "B in"} {
		for !strings.Contains(reports.String(), want) {
			reports.WriteString(s.reported() + "\n")
		}
	}
	if len(s.browserErrors()) == 0 {
		t.Error("the browser reported no errors")
	}
}
