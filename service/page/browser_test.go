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
	"github.com/deskmint/deskmint/service/page/browsertest"
	"github.com/deskmint/deskmint/service/sandbox"
)

const secret = "secret-secret-secret-secret-secret-secret-secret"

// returnTo has what an attribute, a form and a URL may each break on.
const returnTo = `/hc/en-us?a=1&amp;b="2'<3>+%20#x`

// scene is an application that serves the page on one origin, a sandbox on another, and a tab of a browser.
type scene struct {
	t       *testing.T
	tab     context.Context
	app     string // origin of the application
	sandbox *sandbox.Sandbox
	reports chan string // what pages report

	mu     sync.Mutex
	held   chan struct{} // while it is open, the sandbox has the POST but doesn't answer
	served int           // how often the page was served
	faults []string      // what the browser complained of
}

func newScene(t *testing.T, browser context.Context, change func(http.Header)) *scene {
	t.Helper()
	s := &scene{t: t, held: make(chan struct{}), reports: make(chan string, 10)}
	close(s.held)
	var err error
	s.sandbox, err = sandbox.New(sandbox.Options{
		Brands:         []sandbox.Brand{{ID: "360001", Name: "Acme", Subdomain: "acme"}},
		Configurations: []sandbox.Configuration{{Name: "customers", Audiences: []string{"end_user"}, Brands: []string{"360001"}, Secret: func() []byte { return []byte(secret) }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	zendesk := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		s.sandbox.ServeHTTP(answer, r)
		s.mu.Lock()
		held := s.held
		s.mu.Unlock()
		if r.URL.Path == "/access/jwt" {
			<-held
		}
		copyAnswer(w, answer)
	}))
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(zendesk, "http://"))
	origin := "http://acme.localhost:" + port
	p, err := page.New(page.Settings{}, page.Frame{
		Brand: "Acme", Action: origin + "/access/jwt", FormActionSources: []string{origin}, Scope: "customers/360001",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.app = serve(t, s.application(p, change))

	tab, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	if err := chromedp.Listen(tab, s.hear); err != nil {
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(tab, 30*time.Second)
	t.Cleanup(cancel)
	s.tab = limited
	return s
}

// serve is httptest's server, on 127.0.0.1 whatever the machine prefers.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func copyAnswer(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = answer.Body.WriteTo(w)
}

// application is what relays the page: a start page with a link, and the page itself with a new token each time.
func (s *scene) application(p *page.Page, change func(http.Header)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,"><h1 id="start">Shop</h1><a id="help" href="/login">Help</a>`))
	})
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		s.served++
		s.mu.Unlock()
		for _, h := range p.Headers() {
			w.Header().Set(h.Name, h.Value)
		}
		change(w.Header())
		_, _ = w.Write(p.Render(token(), returnTo))
	})
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
func (s *scene) hear(event any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch event := event.(type) {
	case *cdplog.EventEntryAdded:
		s.faults = append(s.faults, event.Entry.Text)
	case *runtime.EventExceptionThrown:
		s.faults = append(s.faults, event.ExceptionDetails.Text)
	case *runtime.EventBindingCalled:
		s.reports <- event.Payload
	case *runtime.EventConsoleAPICalled:
		s.faults = append(s.faults, "a message on the console")
	}
}

func (s *scene) complaints() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.faults)
}

// hold keeps the sandbox's answers back until the returned func is called.
func (s *scene) hold() (release func()) {
	held := make(chan struct{})
	release = sync.OnceFunc(func() { close(held) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
	s.t.Cleanup(release)
	return release
}

func (s *scene) do(steps ...chromedp.Action[chromedp.Void]) {
	s.t.Helper()
	if err := chromedp.Do(s.tab, steps...); err != nil {
		s.t.Fatalf("%v; the browser said %q", err, s.complaints())
	}
}

func evaluate[T any](s *scene, script string) T {
	s.t.Helper()
	value, err := chromedp.Run(s.tab, chromedp.Evaluate[T](script))
	if err != nil {
		s.t.Fatalf("%s: %v", script, err)
	}
	return value
}

// goTo starts a navigation without waiting for a load event, which a page that goes on at once may not have.
func (s *scene) goTo(path string) {
	s.t.Helper()
	if _, err := chromedp.Call(s.tab, cdppage.Navigate, cdppage.NavigateParams{URL: s.app + path}); err != nil {
		s.t.Fatal(err)
	}
}

var (
	signedIn = chromedp.WaitReady(chromedp.CSS("#signed-in"))
	start    = chromedp.WaitReady(chromedp.CSS("#start"))
	button   = chromedp.CSS("#sign-in button")
)

func shown(state string) chromedp.Action[chromedp.Void] {
	return chromedp.WaitVisible(chromedp.CSS("section[data-state=" + state + "]"))
}

// expect holds the sandbox's record to so many POSTs, each with a token that signed Ada in, and the browser to silence.
func (s *scene) expect(posts int) {
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
	if faults := s.complaints(); len(faults) > 0 {
		s.t.Errorf("the browser complained: %q", faults)
	}
}

// store has the tab remember three sign-ins so many milliseconds ago. The tab must be at the application's origin.
func (s *scene) store(ago string) {
	s.t.Helper()
	evaluate[bool](s, `(sessionStorage.setItem('deskmint:customers/360001', Array(3).fill(Date.now() - `+ago+`).join(' ')), true)`)
}

// back does what the browser's button does. chromedp.NavigateBack waits for a load event, which a page from the
// back/forward cache doesn't have.
func (s *scene) back() {
	s.t.Helper()
	history, err := chromedp.Run(s.tab, chromedp.NavigationEntries())
	if err != nil {
		s.t.Fatal(err)
	}
	before := history.Entries[history.CurrentIndex-1].ID
	if _, err := chromedp.Call(s.tab, cdppage.NavigateToHistoryEntry, cdppage.NavigateToHistoryEntryParams{EntryID: before}); err != nil {
		s.t.Fatal(err)
	}
}

// onLoad runs a script in each page at its load event; report in it hands a text to [scene.reported]. It is for what
// happens while a POST is under way: the browser holds commands back then, but not what it has to tell.
func (s *scene) onLoad(script string) {
	s.t.Helper()
	if _, err := chromedp.Call(s.tab, runtime.AddBinding, runtime.AddBindingParams{Name: "report"}); err != nil {
		s.t.Fatal(err)
	}
	s.inject("if (location.pathname === '/login') addEventListener('load', () => {" + script + "})")
}

func (s *scene) inject(script string) {
	s.t.Helper()
	params := cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script}
	if _, err := chromedp.Call(s.tab, cdppage.AddScriptToEvaluateOnNewDocument, params); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) reported() string {
	s.t.Helper()
	select {
	case text := <-s.reports:
		return text
	case <-s.tab.Done():
		s.t.Fatalf("the page reports nothing; the browser said %q", s.complaints())
		return ""
	}
}

func disableScripts(disabled bool) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: disabled})
		return err
	})
}

func TestBrowser(t *testing.T) {
	browser := browsertest.New(t)
	for name, test := range map[string]func(*scene){
		"signs in":                   testSignsIn,
		"without scripts":            testWithoutScripts,
		"back":                       testBack,
		"click while under way":      testClickWhileUnderWay,
		"restored from a cache":      testRestored,
		"back to a sent page":        testBackToSentPage,
		"loop":                       testLoop,
		"loop forgets":               testLoopForgets,
		"without storage":            testWithoutStorage,
		"two tabs are no loop":       testTwoTabs,
		"colour survives the policy": testColour,
	} {
		t.Run(name, func(t *testing.T) { test(newScene(t, browser, func(http.Header) {})) })
	}
	// The tests above count silence as success: here the browser must speak, and the POST stay away.
	t.Run("form-action without the sandbox", func(t *testing.T) {
		s := newScene(t, browser, func(h http.Header) {
			h.Set("Content-Security-Policy", strings.ReplaceAll(h.Get("Content-Security-Policy"), "http://acme.localhost", "http://other.localhost"))
		})
		s.goTo("/login")
		s.do(shown("sending"))
		for len(s.complaints()) == 0 && s.tab.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		if got := s.complaints(); len(got) == 0 || !strings.Contains(got[0], "form-action") || len(s.sandbox.SignIns()) != 0 {
			t.Errorf("%d POSTs, and the browser said %q", len(s.sandbox.SignIns()), got)
		}
	})
}

func testSignsIn(s *scene) {
	s.goTo("/login")
	s.do(signedIn)
	if at := evaluate[string](s, "location.pathname + location.search + location.hash"); !strings.HasPrefix(at, "/hc/en-us?a=1&amp;b=") {
		s.t.Errorf("ended at %s", at)
	}
	s.expect(1)
}

func testWithoutScripts(s *scene) {
	s.do(disableScripts(true))
	s.goTo("/login")
	s.do(chromedp.WaitVisible(chromedp.CSS("noscript p")))
	s.expect(0)
	s.do(chromedp.Click(button), signedIn)
	s.expect(1)
}

func testBack(s *scene) {
	s.goTo("/")
	s.do(start, chromedp.Click(chromedp.CSS("#help")), signedIn)
	s.expect(1)
	s.back()
	s.do(start)
	s.expect(1)
	if s.served != 1 {
		s.t.Errorf("the page was served %d times: it is still in the tab's history", s.served)
	}
}

// testClickWhileUnderWay: while the script's POST has no answer, the page stays, and so does its button.
func testClickWhileUnderWay(s *scene) {
	release := s.hold()
	s.onLoad(`
		const button = document.querySelector('#sign-in button');
		button.click();
		button.click();
		setTimeout(() => report(button.getAttribute('aria-disabled')), 200);`)
	s.goTo("/login")
	if got := s.reported(); got != "true" {
		s.t.Errorf("the button says %q of being out of use", got)
	}
	release()
	s.do(signedIn)
	s.expect(1)
}

// testRestored makes the events of a page that is shown again, first from no cache, then from one.
func testRestored(s *scene) {
	release := s.hold()
	s.onLoad(`
		const visible = (selector) => document.querySelector(selector).checkVisibility();
		const seen = [];
		for (const persisted of [false, true]) {
			dispatchEvent(new PageTransitionEvent('pageshow', {persisted}));
			seen.push(visible('[data-state=sending]'), visible('[data-state=used]'), visible('#sign-in'));
		}
		setTimeout(() => report(seen.join()), 200);`)
	s.goTo("/login")
	if got, want := s.reported(), "true,false,true,false,true,false"; got != want {
		s.t.Errorf("sending, used and form are visible: %s, want %s", got, want)
	}
	release()
	s.do(signedIn)
	s.expect(1)
}

// testBackToSentPage: a page that was sent by hand stays in the tab's history, and Back finds it there.
func testBackToSentPage(s *scene) {
	s.goTo("/")
	s.do(start)
	s.store("1000")
	s.goTo("/login")
	s.do(shown("loop"), chromedp.Click(button), signedIn)
	s.expect(1)
	s.back()
	s.do(shown("used"))
	s.expect(1)
}

// testLoop comes back again and again; the fourth time the user decides, with as many clicks as they like.
func testLoop(s *scene) {
	for visit := range 3 {
		s.goTo("/login")
		s.do(signedIn)
		s.expect(visit + 1)
	}
	s.goTo("/login")
	s.do(shown("loop"))
	if got := evaluate[string](s, `document.querySelector('#sign-in button').innerText`); got != "Try once more" {
		s.t.Errorf("the button says %q", got)
	}
	s.expect(3)
	s.do(chromedp.DoubleClick(button), signedIn)
	s.expect(4)
	// Going on deliberately isn't a licence to loop.
	s.goTo("/login")
	s.do(shown("loop"))
	s.expect(4)
}

// testLoopForgets moves the stored times to just within, and just out of, the window.
func testLoopForgets(s *scene) {
	s.goTo("/")
	s.do(start)
	s.store("30000")
	s.goTo("/login")
	s.do(shown("loop"))
	s.expect(0)
	for i, ago := range []string{"60000", "-60000"} { // too long ago, or in a future that a corrected clock left behind
		s.goTo("/")
		s.do(start)
		s.store(ago)
		s.goTo("/login")
		s.do(signedIn)
		s.expect(i + 1)
	}
	// What somebody else stored there is no sign-in.
	s.goTo("/")
	s.do(start)
	evaluate[bool](s, `(sessionStorage.setItem('deskmint:customers/360001', 'x NaN {} Infinity'), true)`)
	s.goTo("/login")
	s.do(signedIn)
	s.expect(3)
}

func testWithoutStorage(s *scene) {
	s.inject(`Object.defineProperty(window, 'sessionStorage', {get() { throw new DOMException('refused', 'SecurityError'); }})`)
	for visit := range 5 {
		s.goTo("/login")
		s.do(signedIn)
		s.expect(visit + 1)
	}
}

// testTwoTabs: as when a browser restores its windows, several tabs sign in at once.
func testTwoTabs(s *scene) {
	s.goTo("/login")
	s.do(signedIn)
	for range 4 {
		tab, closeTab := chromedp.NewContext(s.tab)
		if err := chromedp.Do(tab, chromedp.Navigate(s.app+"/login"), signedIn); err != nil {
			s.t.Error(err)
		}
		closeTab()
	}
	s.expect(5)
}

// testColour: the brand's colour is drawn although no style of its own is allowed.
func testColour(s *scene) {
	s.do(disableScripts(true))
	s.goTo("/login")
	s.do(chromedp.WaitVisible(button))
	s.do(disableScripts(false))
	for script, want := range map[string]string{
		`getComputedStyle(document.querySelector('button rect')).fill`:                                                                                                  "rgb(31, 115, 183)",
		`getComputedStyle(document.querySelector('button')).color`:                                                                                                      "rgb(255, 255, 255)",
		`getComputedStyle(document.querySelector('button svg')).position`:                                                                                               "absolute",
		`String(document.querySelector('button svg').getBoundingClientRect().height >= 40)`:                                                                             "true",
		`getComputedStyle(document.querySelector('.band rect')).fill`:                                                                                                   "rgb(31, 115, 183)",
		`getComputedStyle(document.querySelector('section[data-state=loop]')).display`:                                                                                  "none",
		`document.elementFromPoint(...(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector('button').getBoundingClientRect())).closest('button').type`: "submit",
	} {
		if got := evaluate[string](s, script); got != want {
			s.t.Errorf("%s is %q, want %q", script, got, want)
		}
	}
	s.expect(0)
}
