// Package sandbox is a stand-in for Zendesk's side of JWT single sign-on, for development and for
// tests.
//
// It takes the form that a browser posts to /access/jwt, judges the token as Zendesk does so far as
// that is known, keeps the users that Zendesk would have, and sends the browser where Zendesk sends
// it. Where Zendesk says nothing it is strict, because a fault found here costs a minute and there
// a support case. It shares no code with what makes the tokens: a fault common to both would be
// invisible to every test.
//
// What nobody knows of Zendesk is decided here as follows, and said in [SignIn.Notes] where it
// matters:
//   - A token without a role fits every audience, and makes its user an end user: that is the
//     documented default.
//   - A user is found by email; where no one has it, by external id, whose email is then changed.
//   - A return_to that names a foreign host leads to the home page.
//   - A token with a bad signature is reported to the remote logout URL of the configuration whose
//     secret made it before a reset, or else of the brand's first; its email is not told, since
//     nobody vouches for it.
//   - A configuration has no IP ranges.
//   - Claims that Zendesk doesn't document are recorded and ignored.
//
// It is not meant for strangers: anybody who can reach it can read the names and addresses of those
// who signed in.
package sandbox

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what the sandbox stands in for.
type Options struct {
	Brands         []Brand
	Configurations []Configuration
	// Now is the clock that tokens are judged by. nil: time.Now.
	Now func() time.Time
	// Log gets one line for each POST, without token or claims. nil: none.
	Log *slog.Logger

	// MultipleOrganizations is the account's option of that meaning: organisations are added to
	// those that the user has. Without it the first one takes the place of what was there.
	MultipleOrganizations bool
	// Redirect answers the endpoint's POST with 302 Found, as browsers have been reported to see,
	// and not with the documented 200. Only then is a page's form-action held to where the answer
	// leads.
	Redirect bool
	// BrowsersOnly refuses a POST that doesn't say that it is a navigation of a browser
	// (Sec-Fetch-Mode), as Zendesk refuses servers. Without it a test's client will do; a browser's
	// fetch is refused either way.
	BrowsersOnly bool
	// App is the URL of the company's app, which the sandbox's pages link back to. "": none.
	App string
	// Explain is the URL of a page that tells more of a sign-in, which the sandbox's pages link to
	// with sign_in=ID in the query. "": none.
	Explain string
}

// Brand is a brand of the Zendesk account. It answers on the host SUBDOMAIN.localhost, on any port.
type Brand struct {
	ID        string // as Zendesk's brand_id
	Name      string
	Subdomain string   // one DNS label in lower case
	Hosts     []string // mapped hosts, which return_to may name; forms are never posted to them
}

// Configuration is one JWT SSO configuration of the account.
type Configuration struct {
	Name      string
	Audiences []string // end_user, team_member: who may sign in with it
	Brands    []string // ids of Options.Brands
	// Secret returns the shared secret's bytes as they stand. It is asked for every token and from
	// several goroutines, so it may change its answer; while it returns none, the configuration
	// verifies nothing. After [Sandbox.ResetSecret] it is asked no more.
	Secret func() []byte

	RemoteLogin       string // http(s) URL where people who aren't signed in are sent; "": they see that they are signed out
	RemoteLogout      string // http(s) URL where they are sent after signing out, and with the message after an error; "": none
	UpdateExternalIDs bool   // whether a token may change the external id that a user has
}

// The audiences of a configuration.
const (
	audienceEndUser    = "end_user"
	audienceTeamMember = "team_member"
)

// Sandbox is the stand-in. It is an http.Handler, and may be used by any number of goroutines.
type Sandbox struct {
	options Options
	brands  map[string]Brand        // by host name
	serving atomic.Pointer[serving] // swapped whole
	known   map[string]bool         // hosts that return_to may name
	log     *slog.Logger
	used    replays

	signIns  record
	sessions sessions
	secrets  shared
	users    users

	mu     sync.Mutex // of what follows, and held to swap serving
	faults Faults
}

// serving are the configurations by the id of each of their brands. It is never changed.
type serving map[string][]Configuration

var labelForm = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// New returns a sandbox that nobody has signed in to yet. The error names every fault of the
// options.
func New(options Options) (*Sandbox, error) {
	s := &Sandbox{
		options: options,
		brands:  map[string]Brand{},
		known:   map[string]bool{},
		log:     options.Log,
	}
	if s.options.Now == nil {
		s.options.Now = time.Now
	}

	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := errors.Join(append(s.addBrands(options.Brands), s.addConfigurations(options.Configurations)...)...); err != nil {
		return nil, fmt.Errorf("setting up the sandbox: %w", err)
	}
	return s, nil
}

func (s *Sandbox) addBrands(brands []Brand) (faults []error) {
	ids := map[string]bool{}
	for _, brand := range brands {
		if brand.ID == "" || ids[brand.ID] {
			faults = append(faults, fmt.Errorf("brand id %q is empty or there twice", brand.ID))
		}
		ids[brand.ID] = true
		host := brand.Subdomain + ".localhost"
		if _, twice := s.brands[host]; twice || !labelForm.MatchString(brand.Subdomain) {
			faults = append(faults, fmt.Errorf("brand %q: subdomain %q is not a DNS label in lower case, or there twice", brand.ID, brand.Subdomain))
		}
		s.brands[host] = brand
		for _, name := range append([]string{host, brand.Subdomain + ".zendesk.com"}, brand.Hosts...) {
			s.known[name] = true
		}
	}
	return faults
}

func (s *Sandbox) addConfigurations(configurations []Configuration) (faults []error) {
	known := map[string]bool{}
	for _, brand := range s.brands {
		known[brand.ID] = true
	}
	names, all := map[string]bool{}, serving{}
	for _, c := range configurations {
		if c.Name == "" || names[c.Name] {
			faults = append(faults, fmt.Errorf("configuration name %q is empty or there twice", c.Name))
		}
		names[c.Name] = true
		if c.Secret == nil {
			faults = append(faults, fmt.Errorf("configuration %q has no secret", c.Name))
		}
		for what, address := range map[string]string{"remote login": c.RemoteLogin, "remote logout": c.RemoteLogout} {
			if u, err := url.Parse(address); address != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
				faults = append(faults, fmt.Errorf("configuration %q: the %s URL is no http or https URL", c.Name, what))
			}
		}
		for _, audience := range c.Audiences {
			if audience != audienceEndUser && audience != audienceTeamMember {
				faults = append(faults, fmt.Errorf("configuration %q: unknown audience %q", c.Name, audience))
			}
		}
		c.Audiences = slices.Clone(c.Audiences)
		for _, id := range c.Brands {
			if !known[id] {
				faults = append(faults, fmt.Errorf("configuration %q: unknown brand %q", c.Name, id))
			}
			all[id] = append(all[id], c)
		}
	}
	s.serving.Store(&all)
	return faults
}

// ServeHTTP answers for the brand that the request's host names: the endpoint, the addresses where
// people sign in and out, the users that the account has (/sandbox/users), and everywhere else a
// page that shows who is signed in.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	brand, ok := s.brands[hostname(r.Host)]
	if !ok {
		s.writePage(w, http.StatusNotFound, "unknown-host", nil)
		return
	}
	switch path := r.URL.Path; {
	case path == "/access/jwt":
		s.signIn(w, r, brand)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are known here", http.StatusMethodNotAllowed)
	case path == "/access/unauthenticated":
		s.showRefusal(w, r, brand)
	case path == "/access/logout":
		s.signOut(w, r, brand)
	case path == "/access/normal":
		s.writePage(w, http.StatusOK, "own-form", s.frame(brand))
	case path == "/access/login" || signInPath.MatchString(path):
		s.askToSignIn(w, r, brand, r.URL.Query().Get("return_to"))
	case path == "/sandbox/users":
		s.showUsers(w, brand)
	case private.MatchString(path) && !s.signedIn(r, brand):
		s.askToSignIn(w, r, brand, origin(r)+r.URL.RequestURI())
	default:
		s.showHome(w, r, brand)
	}
}

// now is the account's clock, which may be off.
func (s *Sandbox) now() time.Time { return s.options.Now().Add(s.Faults().ClockOffset) }

// hostname is the Host header without its port. Brands are found by equality with it, never by a
// part of it.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
