package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/page/browsertest"
	"github.com/deskmint/deskmint/service/sandbox"
)

// company is an app and a Zendesk. The app passes on the pages of two replicas in turn, and keeps
// no state about people. Zendesk redirects every person that it refuses to the app.
type company struct {
	app      string // URL
	zendesk  *sandbox.Sandbox
	replicas [2]*deskmint
	key      string
	requests atomic.Int64
}

func (c *company) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	turn := c.requests.Add(1)
	(&relay{deskmint: c.replicas[turn%2], key: c.key}).byREST(w, r)
}

// newCompany returns a company whose configuration has this line, and a brand in this language.
// redirect is the option of the sandbox.
func newCompany(t *testing.T, line, language string, redirect bool) *company {
	t.Helper()
	key, hash := caller.NewKey()
	c := &company{key: key}
	app := httptest.NewUnstartedServer(c)
	t.Cleanup(app.Close)
	c.app = "http://" + app.Listener.Addr().String()
	zendesk, err := sandbox.New(sandbox.Options{
		Brands: []sandbox.Brand{{ID: "360001", Name: "Acme", Subdomain: "acme"}},
		Configurations: []sandbox.Configuration{{
			Name: "acme-customers", Audiences: []string{"end_user"}, Brands: []string{"360001"},
			Secret: func() []byte { return []byte(customersSecret) }, RemoteLogin: c.app,
		}},
		Redirect: redirect, BrowsersOnly: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(zendesk)
	t.Cleanup(server.Close)
	c.zendesk = zendesk
	text := strings.NewReplacer(
		"audiences: [end_user]", `audiences: [end_user]
      endpoint: "http://{subdomain}.localhost:`+portOf(t, server.Listener.Addr().String())+`"`,
		"https://login.acme.com", c.app,
		"subdomain: acme}", "subdomain: acme, page: {language: "+language+"}}",
		// Remove the rate limit of the tests. Ten tabs must be within the default limit.
		"user_rate: {per_minute: 60000}", line,
	).Replace(onFile(hash))
	dir := folder(t, map[string]string{"deskmint.yaml": text, "secrets.yaml": secretsYAML(customersSecret)})
	for i := range c.replicas {
		c.replicas[i] = serve(t, filepath.Join(dir, "deskmint.yaml"))
	}
	app.Start()
	return c
}

// checkReceived checks that the sandbox has received this many POSTs with this outcome since the
// last call, and no others. Each replica must have served its share of the pages.
func (c *company) checkReceived(t *testing.T, before, posts int, outcome sandbox.Outcome, pages int) {
	t.Helper()
	all := c.zendesk.SignIns()
	if len(all) != before+posts {
		t.Fatalf("%d POSTs, want %d after %d", len(all)-before, posts, before)
	}
	used := map[string]bool{}
	for _, s := range all {
		used[s.JTI] = true
	}
	if len(used) != len(all) {
		t.Errorf("%d POSTs had only %d tokens", len(all), len(used))
	}
	for _, s := range all[before:] {
		if s.Outcome != outcome {
			t.Errorf("%s %s: %s", s.Outcome, s.Reason, s.Detail)
		}
	}
	for i, d := range c.replicas {
		// The second replica responds first.
		if got, want := len(linesWith(d.out.String(), `{"schema":`)), (pages+i)/2; got != want {
			t.Errorf("replica %d decided %d times, want %d of %d pages", i, got, want, pages)
		}
	}
}

// newTab opens a tab that shares its cookies with the other tabs of the browser. It lives as long
// as the browser.
func newTab(t *testing.T, browser context.Context) context.Context {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(browser)
	t.Cleanup(closeTab)
	do(t, ctx)
	return ctx
}

// TestBrowserLoop checks that a loop ends after the configured number of sign-ins, whichever
// replicas rendered its pages. The person can go on when the cause is removed.
func TestBrowserLoop(t *testing.T) {
	t.Parallel()
	browser := browsertest.New(t)
	for _, c := range []struct {
		name, line, language, heading, direction string
		redirect                                 bool
		posts                                    int // one less than the limit, which counts the stopped sign-in
	}{
		{"by default", "", "de", "Die Anmeldung bei Acme funktioniert gerade nicht", "ltr", false, 3},
		{"third time", "loop: {limit: 3}", "ar", "يتعذر تسجيل الدخول إلى \u2068Acme\u2069", "rtl", true, 2},
		{"sixth time", "loop: {limit: 6, window: 5m}", "fr", "La connexion à Acme ne fonctionne pas", "ltr", true, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			acme := newCompany(t, c.line, c.language, c.redirect)
			acme.zendesk.SetFaults(sandbox.Faults{RateLimited: true})
			tab := newTab(t, browser)
			goTo(t, tab, acme.app)
			do(t, tab, chromedp.WaitVisible(chromedp.CSS("section[data-state=loop]")))
			acme.checkReceived(t, 0, c.posts, sandbox.OutcomeRefused, c.posts+1)
			if at := evaluate(t, tab, "location.origin"); at != acme.app {
				t.Errorf("stopped at %s", at)
			}
			shown := evaluate(t, tab, `[
				document.documentElement.lang, document.documentElement.dir, document.title,
				...[...document.querySelectorAll("h1")].filter((h) => h.checkVisibility()).map((h) => h.innerText),
			].join("|")`)
			if want := strings.Join([]string{c.language, c.direction, c.heading, c.heading}, "|"); shown != want {
				t.Errorf("the page has %s, want %s", shown, want)
			}
			// The button signs the person in. Nothing was posted before.
			acme.zendesk.SetFaults(sandbox.Faults{})
			do(t, tab, chromedp.Click(chromedp.CSS("#sign-in button")), signedIn)
			acme.checkReceived(t, c.posts, 1, sandbox.OutcomeSignedIn, c.posts+1)
			// Another tab enters a loop again.
			acme.zendesk.SetFaults(sandbox.Faults{RateLimited: true})
			other := newTab(t, browser)
			goTo(t, other, acme.app)
			do(t, other, chromedp.WaitVisible(chromedp.CSS("section[data-state=loop]")))
			acme.checkReceived(t, c.posts+1, c.posts, sandbox.OutcomeRefused, 2*(c.posts+1))
		})
	}
}

// TestTenTabs checks that ten tabs are no loop, if they are opened at once, and if they are
// restored at once with their state.
func TestTenTabs(t *testing.T) {
	t.Parallel()
	browser := browsertest.New(t)
	acme := newCompany(t, "", "en", true)
	const many = 10
	var tabs []context.Context
	for range many {
		tabs = append(tabs, newTab(t, browser))
	}
	for round := range 2 {
		var opening sync.WaitGroup
		for _, tab := range tabs {
			opening.Go(func() {
				if _, err := chromedp.Call(tab, cdppage.Navigate, cdppage.NavigateParams{URL: acme.app}); err != nil {
					t.Error(err)
				}
			})
		}
		opening.Wait()
		for i, tab := range tabs {
			do(t, tab, signedIn)
			if who := evaluate(t, tab, `document.querySelector("#signed-in").innerText`); who != "Signed in as Ana" {
				t.Errorf("round %d, tab %d: %s", round, i, who)
			}
		}
		acme.checkReceived(t, round*many, many, sandbox.OutcomeSignedIn, (round+1)*many)
	}
}
