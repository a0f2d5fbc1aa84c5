package page_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/sandbox"
)

const secret = "secret-secret-secret-secret-secret-secret-secret"

// returnTo contains characters that could break an attribute, a form or a URL.
const returnTo = `/hc/en-us?a=1&amp;b="2'<3>+%20#x`

// site consists of an application that serves the page on one origin, and a sandbox on another
// origin.
type site struct {
	t       *testing.T
	app     string // origin of the application
	sandbox *sandbox.Sandbox
	changed chan struct{} // has one element after an event of the browser or the sandbox

	mu     sync.Mutex
	held   chan struct{} // until it is closed, the sandbox doesn't answer POSTs
	served int           // number of times the page was served
}

// fixtureOptions changes the defaults of a fixture.
type fixtureOptions struct {
	headers func(http.Header) // changes the page's headers, like a relay
	onward  string            // host that Zendesk redirects the browser to
	listed  bool              // whether form-action contains that host
}

func newSite(t *testing.T, o fixtureOptions) *site {
	t.Helper()
	s := &site{t: t, held: make(chan struct{}), changed: make(chan struct{}, 1)}
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
	return s
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
// token. /redirect redirects to /login.
func (s *site) application(p *page.Page, change func(http.Header)) http.Handler {
	once := token()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,">
			<h1 id="start">Shop</h1><a id="help" href="/login">Help</a>
			<form method="post" action="/login"><button id="ask">Help</button></form>
			<a id="redirect" href="/redirect">Help after a redirect</a>
			<button id="copy" onclick="window.open('/')">Open a tab that has this one's session storage</button>`))
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
	mux.Handle("GET /redirect", http.RedirectHandler("/login", http.StatusFound))
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

// timesServed returns how often the page was served.
func (s *site) timesServed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served
}

func (s *site) notify() {
	select {
	case s.changed <- struct{}{}:
	default: // a notification is already pending
	}
}

// hold delays the sandbox's answers until release is called.
func (s *site) hold() (release func()) {
	held := make(chan struct{})
	release = sync.OnceFunc(func() { close(held) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
	s.t.Cleanup(release)
	return release
}

// expectSignIns checks that the sandbox received this number of POSTs, and that each signed Ada in.
func (s *site) expectSignIns(posts int) {
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
}
