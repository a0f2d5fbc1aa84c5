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

// company is an app that passes on the pages of two replicas, each in its turn, and a Zendesk that
// sends everybody it refuses back to the app. The app remembers nothing of anybody.
type company struct {
	app      string // URL
	zendesk  *sandbox.Sandbox
	replicas [2]*deskmint
	key      string
	asked    atomic.Int64
}

func (c *company) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	turn := c.asked.Add(1)
	(&relay{deskmint: c.replicas[turn%2], key: c.key}).byREST(w, r)
}

// newCompany has a configuration with this line, and a brand in this language. redirect is the
// sandbox's option.
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
      endpoint: "http://{subdomain}.localhost:`+portOf(t, server.Listener.Addr().String())+`"
      origins: [`+c.app+`]`,
		"subdomain: acme}", "subdomain: acme, page: {language: "+language+"}}",
		// Out with the tests' own rate: ten tabs are to be within the one that everybody has.
		"user_rate: {per_minute: 60000}", line,
	).Replace(onFile(hash))
	dir := folder(t, map[string]string{"deskmint.yaml": text, "secrets.yaml": secretsYAML(customersSecret)})
	for i := range c.replicas {
		c.replicas[i] = serve(t, filepath.Join(dir, "deskmint.yaml"))
	}
	app.Start()
	return c
}

// received holds the company to this many POSTs with this outcome and no others since the last
// time, and both replicas to their share of the pages so far.
func (c *company) received(t *testing.T, before, posts int, outcome sandbox.Outcome, pages int) {
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
		// The second one answers first.
		if got, want := len(linesWith(d.out.String(), `{"schema":`)), (pages+i)/2; got != want {
			t.Errorf("replica %d decided %d times, want %d of %d pages", i, got, want, pages)
		}
	}
}

// another opens a tab that shares its cookies with the browser's others, and lives as long as the
// browser.
func another(t *testing.T, browser context.Context) context.Context {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(browser)
	t.Cleanup(closeTab)
	do(t, ctx)
	return ctx
}

// TestBrowserInALoop: it is stopped where the configuration says, whichever replicas made its
// pages, and the person can go on once the cause is mended.
func TestBrowserInALoop(t *testing.T) {
	t.Parallel()
	browser := browsertest.New(t)
	for _, c := range []struct {
		name, line, language, heading, direction string
		redirect                                 bool
		posts                                    int // the limit is the number of the sign-in that is stopped
	}{
		{"as everybody has it", "", "de", "Die Anmeldung bei Acme funktioniert gerade nicht", "ltr", false, 3},
		{"third time", "loop: {limit: 3}", "ar", "يتعذر تسجيل الدخول إلى \u2068Acme\u2069", "rtl", true, 2},
		{"sixth time", "loop: {limit: 6, window: 5m}", "fr", "La connexion à Acme ne fonctionne pas", "ltr", true, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			acme := newCompany(t, c.line, c.language, c.redirect)
			acme.zendesk.SetFaults(sandbox.Faults{RateLimited: true})
			tab := another(t, browser)
			goTo(t, tab, acme.app)
			do(t, tab, chromedp.WaitVisible(chromedp.CSS("section[data-state=loop]")))
			acme.received(t, 0, c.posts, sandbox.OutcomeRefused, c.posts+1)
			if at := evaluate(t, tab, "location.origin"); at != acme.app {
				t.Errorf("stopped at %s", at)
			}
			shown := evaluate(t, tab, `[document.documentElement.lang, document.documentElement.dir, document.title,
				...[...document.querySelectorAll("h1")].filter(h => h.checkVisibility()).map(h => h.innerText)].join("|")`)
			if want := strings.Join([]string{c.language, c.direction, c.heading, c.heading}, "|"); shown != want {
				t.Errorf("shown: %s, want %s", shown, want)
			}
			// The way out; and that nothing was posted in between.
			acme.zendesk.SetFaults(sandbox.Faults{})
			do(t, tab, chromedp.Click(chromedp.CSS("#sign-in button")), signedIn)
			acme.received(t, c.posts, 1, sandbox.OutcomeSignedIn, c.posts+1)
			// Another tab has come back from nowhere.
			acme.zendesk.SetFaults(sandbox.Faults{RateLimited: true})
			other := another(t, browser)
			goTo(t, other, acme.app)
			do(t, other, chromedp.WaitVisible(chromedp.CSS("section[data-state=loop]")))
			acme.received(t, c.posts+1, c.posts, sandbox.OutcomeRefused, 2*(c.posts+1))
		})
	}
}

// TestTenTabs are no loop: neither opened at once, nor restored at once with what each of them
// remembers.
func TestTenTabs(t *testing.T) {
	t.Parallel()
	browser := browsertest.New(t)
	acme := newCompany(t, "", "en", true)
	const many = 10
	var tabs []context.Context
	for range many {
		tabs = append(tabs, another(t, browser))
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
		acme.received(t, round*many, many, sandbox.OutcomeSignedIn, (round+1)*many)
	}
}
