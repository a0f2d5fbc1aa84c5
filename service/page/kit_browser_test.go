package page_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/sandbox"
)

const secret = "secret-secret-secret-secret-secret-secret-secret"

// returnTo has what an attribute, a form and a URL may each break on.
const returnTo = `/hc/en-us?a=1&amp;b="2'<3>+%20#x`

// scene is an application that serves the page on one origin, a sandbox on another, and a tab of a
// browser.
type fixture struct {
	t       *testing.T
	tab     context.Context
	app     string // origin of the application
	sandbox *sandbox.Sandbox
	reports chan string   // what pages report
	changed chan struct{} // holds one once something has happened

	mu     sync.Mutex
	held   chan struct{} // while it is open, the sandbox has the POST but doesn't answer
	served int           // how often the page was served
	errors []string      // what the browser complained of
}

// option makes a scene differ from the usual one.
type fixtureOptions struct {
	headers func(http.Header) // what a relay does to the page's
	onward  string            // host that Zendesk sends the browser on to
	listed  bool              // whether that is in form-action
}

func newFixture(t *testing.T, browser context.Context, o fixtureOptions) *fixture {
	t.Helper()
	s := &fixture{t: t, held: make(chan struct{}), reports: make(chan string, 10), changed: make(chan struct{}, 1)}
	close(s.held)
	var err error
	s.sandbox, err = sandbox.New(sandbox.Options{
		Brands:         []sandbox.Brand{{ID: "360001", Name: "Acme", Subdomain: "acme"}},
		Configurations: []sandbox.Configuration{{Name: "customers", Audiences: []string{"end_user"}, Brands: []string{"360001"}, Secret: func() []byte { return []byte(secret) }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var onward string
	zendesk := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.onward != "" && strings.HasPrefix(r.Host, o.onward) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,"><h1 id="signed-in">Help centre</h1>`))
			return
		}
		answer := httptest.NewRecorder()
		s.sandbox.ServeHTTP(answer, r)
		s.notify()
		s.mu.Lock()
		held := s.held
		s.mu.Unlock()
		if r.URL.Path == "/access/jwt" {
			<-held
			if onward != "" {
				http.Redirect(w, r, onward+"/hc", http.StatusFound)
				return
			}
		}
		copyResponse(w, answer)
	}))
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(zendesk, "http://"))
	origin := "http://acme.localhost:" + port
	sources := []string{origin}
	if o.onward != "" {
		onward = "http://" + o.onward + ":" + port
		if o.listed {
			sources = append(sources, onward)
		}
	}
	p, err := page.New(page.Settings{}, page.Frame{
		Brand: "Acme", Action: origin + "/access/jwt", FormActionSources: sources, Scope: "customers/360001",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.app = serve(t, s.application(p, o.headers))
	s.openTab(browser, 2*time.Minute)
	return s
}

// openTab opens a tab with a profile of its own.
func (s *fixture) openTab(browser context.Context, limit time.Duration) {
	s.t.Helper()
	tab, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	s.t.Cleanup(closeTab)
	if err := chromedp.Listen(tab, s.recordEvent); err != nil {
		s.t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(tab, limit)
	s.t.Cleanup(cancel)
	s.tab = limited
}

// serve is httptest's server, on 127.0.0.1 whatever the machine prefers.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func copyResponse(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = answer.Body.WriteTo(w)
}

// application is what relays the page: a start page with a link and a form that lead to it, the
// page itself with a new token each time, and at /same with the same one.
func (s *fixture) application(p *page.Page, change func(http.Header)) http.Handler {
	once := token()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,"><h1 id="start">Shop</h1><a id="help" href="/login">Help</a>
			<form method="post" action="/login"><button id="ask">Help</button></form>
			<a id="copy" href="/" target="_blank" rel="opener">Open a tab that has this one's session storage</a>`))
	})
	login := func(w http.ResponseWriter, token string) {
		s.mu.Lock()
		s.served++
		s.mu.Unlock()
		for _, h := range p.Headers() {
			w.Header().Set(h.Name, h.Value)
		}
		if change != nil {
			change(w.Header())
		}
		_, _ = w.Write(p.Render(token, returnTo))
	}
	mux.HandleFunc("/login", func(w http.ResponseWriter, _ *http.Request) { login(w, token()) })
	mux.HandleFunc("GET /same", func(w http.ResponseWriter, _ *http.Request) { login(w, once) })
	return mux
}

func token() string {
	encode := base64.RawURLEncoding.EncodeToString
	claims, _ := json.Marshal(map[string]any{"iat": time.Now().Unix(), "jti": rand.Text(), "email": "ada@example.com", "name": "Ada"})
	signed := encode([]byte(`{"typ":"JWT","alg":"HS256"}`)) + "." + encode(claims)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

// hear notes what the browser complains of: exceptions, blocked requests, headers it doesn't know.
func (s *fixture) recordEvent(event any) {
	defer s.notify()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch event := event.(type) {
	case *cdplog.EventEntryAdded:
		s.errors = append(s.errors, event.Entry.Text)
	case *runtime.EventExceptionThrown:
		s.errors = append(s.errors, event.ExceptionDetails.Text)
	case *runtime.EventBindingCalled:
		s.reports <- event.Payload
	case *runtime.EventConsoleAPICalled:
		s.errors = append(s.errors, "a message on the console")
	}
}

// wait returns when what is waited for holds; it looks again whenever the browser or the sandbox
// has something new.
func (s *fixture) wait(what string, holds func() bool) {
	s.t.Helper()
	for !holds() {
		select {
		case <-s.changed:
		case <-s.tab.Done():
			s.t.Fatalf("%s didn't come; %d POSTs, and the browser reported %q", what, len(s.sandbox.SignIns()), s.browserErrors())
		}
	}
}

// servings returns how often the page was served.
func (s *fixture) timesServed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served
}

func (s *fixture) notify() {
	select {
	case s.changed <- struct{}{}:
	default: // it has been told, and hasn't looked yet
	}
}

func (s *fixture) browserErrors() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.errors)
}

// hold keeps the sandbox's answers back until the returned func is called.
func (s *fixture) hold() (release func()) {
	held := make(chan struct{})
	release = sync.OnceFunc(func() { close(held) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
	s.t.Cleanup(release)
	return release
}

func (s *fixture) do(steps ...chromedp.Action[chromedp.Void]) {
	s.t.Helper()
	if err := chromedp.Do(s.tab, steps...); err != nil {
		s.t.Fatalf("%v; the browser reported %q", err, s.browserErrors())
	}
}

func evaluate[T any](s *fixture, script string) T {
	s.t.Helper()
	value, err := chromedp.Run(s.tab, chromedp.Evaluate[T](script))
	if err != nil {
		s.t.Fatalf("%s: %v", script, err)
	}
	return value
}

// goTo starts a navigation without waiting for a load event, which a page that goes on at once may
// not have.
func (s *fixture) goTo(path string) {
	s.t.Helper()
	if _, err := chromedp.Call(s.tab, cdppage.Navigate, cdppage.NavigateParams{URL: s.app + path}); err != nil {
		s.t.Fatal(err)
	}
}

var (
	waitSignedIn = chromedp.WaitReady(chromedp.CSS("#signed-in"))
	waitStart    = chromedp.WaitReady(chromedp.CSS("#start"))
	button       = chromedp.CSS("#sign-in button")
)

func stateVisible(state string) chromedp.Action[chromedp.Void] {
	return chromedp.WaitVisible(chromedp.CSS(`section[data-state~="` + state + `"]`))
}

// expect holds the sandbox's record to so many POSTs, each with a token that signed Ada in, and the
// browser to silence.
func (s *fixture) expectPosts(posts int) {
	s.t.Helper()
	received := s.sandbox.SignIns()
	for _, signIn := range received {
		if signIn.Outcome != sandbox.OutcomeSignedIn || signIn.ReturnTo != returnTo {
			s.t.Errorf("received %+v", signIn)
		}
	}
	if len(received) != posts {
		s.t.Errorf("the sandbox received %d POSTs, want %d", len(received), posts)
	}
	if errs := s.browserErrors(); len(errs) > 0 {
		s.t.Errorf("the browser reported errors: %q", errs)
	}
}

// store has the tab remember three sign-ins so many milliseconds ago. The tab must be at the
// application's origin.
func (s *fixture) store(ago string) {
	s.t.Helper()
	evaluate[bool](s, `(sessionStorage.setItem('deskmint:customers/360001', Array(3).fill(Date.now() - `+ago+`).join(' ')), true)`)
}

// back and forward do what the browser's buttons do. chromedp.NavigateBack waits for a load event,
// which a page from the back/forward cache doesn't have.
func (s *fixture) back()    { s.t.Helper(); s.navigateHistory(-1) }
func (s *fixture) forward() { s.t.Helper(); s.navigateHistory(+1) }

func (s *fixture) navigateHistory(by int) {
	s.t.Helper()
	history, err := chromedp.Run(s.tab, chromedp.NavigationEntries())
	if err != nil {
		s.t.Fatal(err)
	}
	entry := history.Entries[int(history.CurrentIndex)+by].ID
	if _, err := chromedp.Call(s.tab, cdppage.NavigateToHistoryEntry, cdppage.NavigateToHistoryEntryParams{EntryID: entry}); err != nil {
		s.t.Fatal(err)
	}
}

// reload does what the browser's button does, and doesn't wait.
func (s *fixture) reload() {
	s.t.Helper()
	if _, err := chromedp.Call(s.tab, cdppage.Reload, cdppage.ReloadParams{}); err != nil {
		s.t.Fatal(err)
	}
}

// hurry makes the page's clock run fifty times as fast.
func (s *fixture) speedUpClock() {
	s.t.Helper()
	s.inject(`const unhurried = setTimeout; window.setTimeout = (f, ms, ...given) => unhurried(f, ms / 50, ...given);`)
}

// until waits for a script to say yes. Unlike chromedp's waiting, it finds its way in a page from
// the back/forward cache.
func (s *fixture) until(script string) {
	s.t.Helper()
	for {
		yes, err := chromedp.Run(s.tab, chromedp.Evaluate[bool]("Boolean("+script+")"))
		if yes {
			return
		}
		select {
		case <-s.tab.Done():
			s.t.Fatalf("waiting for %s: %v; the browser reported %q", script, err, s.browserErrors())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// onceSent runs a script in each sign-in page when the page has sent its form; report in it hands a
// text to [scene.reported]. While a POST is under way the browser parses nothing more and holds
// back commands to the page, but timers run and what the page reports arrives.
func (s *fixture) afterSubmit(script string) {
	s.t.Helper()
	if _, err := chromedp.Call(s.tab, runtime.AddBinding, runtime.AddBindingParams{Name: "report"}); err != nil {
		s.t.Fatal(err)
	}
	s.inject(`if (location.pathname === '/login') {
		const wait = setInterval(() => {
			if (!document.querySelector('#sign-in button')?.hasAttribute('aria-disabled')) return;
			clearInterval(wait);
			` + script + `
		}, 5);
	}`)
}

func (s *fixture) inject(script string) {
	s.t.Helper()
	params := cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script}
	if _, err := chromedp.Call(s.tab, cdppage.AddScriptToEvaluateOnNewDocument, params); err != nil {
		s.t.Fatal(err)
	}
}

func (s *fixture) reported() string {
	s.t.Helper()
	select {
	case text := <-s.reports:
		return text
	case <-s.tab.Done():
		s.t.Fatalf("the page reports nothing; the browser reported %q", s.browserErrors())
		return ""
	}
}

func disableScripts(disabled bool) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: disabled})
		return err
	})
}
