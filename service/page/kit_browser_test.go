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

// returnTo contains characters that could break an attribute, a form or a URL.
const returnTo = `/hc/en-us?a=1&amp;b="2'<3>+%20#x`

// fixture consists of an application that serves the page on one origin, a sandbox on another
// origin, and a browser tab.
type fixture struct {
	t       *testing.T
	tab     context.Context
	app     string // origin of the application
	sandbox *sandbox.Sandbox
	reports chan string   // texts that pages report
	changed chan struct{} // has one element after an event of the browser or the sandbox

	mu     sync.Mutex
	held   chan struct{} // until it is closed, the sandbox doesn't answer POSTs
	served int           // number of times the page was served
	errors []string      // errors that the browser reported
}

// fixtureOptions changes the defaults of a fixture.
type fixtureOptions struct {
	headers func(http.Header) // changes the page's headers, like a relay
	onward  string            // host that Zendesk redirects the browser to
	listed  bool              // whether form-action contains that host
}

func newFixture(t *testing.T, browser context.Context, o fixtureOptions) *fixture {
	t.Helper()
	s := &fixture{t: t, held: make(chan struct{}), reports: make(chan string, 10), changed: make(chan struct{}, 1)}
	close(s.held)
	var err error
	s.sandbox, err = sandbox.New(sandbox.Options{
		Brands: []sandbox.Brand{{ID: "360001", Name: "Acme", Subdomain: "acme"}},
		Configurations: []sandbox.Configuration{
			{
				Name:      "customers",
				Audiences: []string{"end_user"},
				Brands:    []string{"360001"},
				Secret:    func() []byte { return []byte(secret) },
			},
		},
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

// openTab opens a tab with a separate profile.
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

// serve starts a test server and returns its URL. The server listens on 127.0.0.1.
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

// application returns a handler that relays the page. The start page has a link and a form that
// lead to /login. /login serves the page with a new token each time, and /same always with the same
// token.
func (s *fixture) application(p *page.Page, change func(http.Header)) http.Handler {
	once := token()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,">
			<h1 id="start">Shop</h1><a id="help" href="/login">Help</a>
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
	claims, _ := json.Marshal(map[string]any{
		"iat":   time.Now().Unix(),
		"jti":   rand.Text(),
		"email": "ada@example.com",
		"name":  "Ada",
	})
	signed := encode([]byte(`{"typ":"JWT","alg":"HS256"}`)) + "." + encode(claims)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

// recordEvent records errors that the browser reports: exceptions, blocked requests and unsupported
// headers. It also passes on what pages report.
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

// wait waits until holds returns true. It calls holds after every event of the browser or the
// sandbox.
func (s *fixture) wait(what string, holds func() bool) {
	s.t.Helper()
	for !holds() {
		select {
		case <-s.changed:
		case <-s.tab.Done():
			s.t.Fatalf("timeout while waiting for %s; %d POSTs, and the browser reported %q",
				what, len(s.sandbox.SignIns()), s.browserErrors())
		}
	}
}

// timesServed returns how often the page was served.
func (s *fixture) timesServed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served
}

func (s *fixture) notify() {
	select {
	case s.changed <- struct{}{}:
	default: // a notification is already pending
	}
}

func (s *fixture) browserErrors() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.errors)
}

// hold delays the sandbox's answers until release is called.
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

var (
	waitSignedIn = chromedp.WaitReady(chromedp.CSS("#signed-in"))
	waitStart    = chromedp.WaitReady(chromedp.CSS("#start"))
	button       = chromedp.CSS("#sign-in button")
)

func stateVisible(state string) chromedp.Action[chromedp.Void] {
	return chromedp.WaitVisible(chromedp.CSS(`section[data-state~="` + state + `"]`))
}

// expectPosts checks that the sandbox received this number of POSTs, that each signed Ada in, and
// that the browser reported no errors.
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

// store makes the tab remember three sign-ins. Each of them was ago milliseconds before now. The
// tab must be at the application's origin.
func (s *fixture) store(ago string) {
	s.t.Helper()
	evaluate[bool](s, `(() => {
		sessionStorage.setItem('deskmint:customers/360001', Array(3).fill(Date.now() - `+ago+`).join(' '));
		return true;
	})()`)
}

// speedUpClock makes the page's timers run fifty times as fast.
func (s *fixture) speedUpClock() {
	s.t.Helper()
	s.inject(`const original = setTimeout; window.setTimeout = (f, ms, ...given) => original(f, ms / 50, ...given);`)
}

// afterSubmit runs a script in each sign-in page after the page has submitted its form. The script
// can call report to pass a text to [fixture.reported]. While a POST is in progress, the browser
// stops parsing and delays commands to the page. But timers run, and reports arrive.
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
		params := emulation.SetScriptExecutionDisabledParams{Value: disabled}
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, params)
		return err
	})
}
