// Package sandbox is a stand-in for Zendesk's side of JWT single sign-on, for development and for tests.
//
// It takes the form that a browser posts to /access/jwt, judges the token as Zendesk does so far as that is known, and
// answers like Zendesk. Where Zendesk says nothing it is strict, because a fault found here costs a minute and there a
// support case. It shares no code with what makes the tokens: a fault common to both would be invisible to every test.
//
// What it leaves open, because nobody knows what Zendesk does: return_to may name any http or https host (allow-listing
// is the sender's duty), a missing role fits every audience, and claims that Zendesk doesn't document are recorded and
// ignored.
//
// It is not meant for strangers: anybody who can reach it can read the names and addresses of those who signed in.
package sandbox

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
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
}

// Brand is a brand of the Zendesk account. It answers on the host SUBDOMAIN.localhost, on any port.
type Brand struct {
	ID        string // as Zendesk's brand_id
	Name      string
	Subdomain string // one DNS label in lower case
}

// Configuration is one JWT SSO configuration of the account.
type Configuration struct {
	Name      string
	Audiences []string // end_user, team_member: who may sign in with it
	Brands    []string // ids of Options.Brands
	// Secret returns the shared secret's bytes as they stand. It is asked for every token and from several goroutines,
	// so it may change its answer; while it returns none, the configuration verifies nothing.
	Secret func() []byte
}

// The audiences of a configuration.
const (
	audienceEndUser    = "end_user"
	audienceTeamMember = "team_member"
)

// Sandbox is the stand-in. It is an http.Handler, and may be used by any number of goroutines.
type Sandbox struct {
	brands   map[string]Brand           // by host name
	serving  map[string][]Configuration // by brand id
	now      func() time.Time
	log      *slog.Logger
	used     replays
	signIns  record
	sessions sessions
}

var labelForm = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// New returns a sandbox that nobody has signed in to yet. The error names every fault of the options.
func New(options Options) (*Sandbox, error) {
	s := &Sandbox{
		brands:  map[string]Brand{},
		serving: map[string][]Configuration{},
		now:     options.Now,
		log:     options.Log,
	}
	if s.now == nil {
		s.now = time.Now
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
	}
	return faults
}

func (s *Sandbox) addConfigurations(configurations []Configuration) (faults []error) {
	known := map[string]bool{}
	for _, brand := range s.brands {
		known[brand.ID] = true
	}
	names := map[string]bool{}
	for _, c := range configurations {
		if c.Name == "" || names[c.Name] {
			faults = append(faults, fmt.Errorf("configuration name %q is empty or there twice", c.Name))
		}
		names[c.Name] = true
		if c.Secret == nil {
			faults = append(faults, fmt.Errorf("configuration %q has no secret", c.Name))
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
			s.serving[id] = append(s.serving[id], c)
		}
	}
	return faults
}

// ServeHTTP answers for the brand that the request's host names: the endpoint at /access/jwt, the page that says why a
// sign-in was refused at /access/unauthenticated, and a page that shows who is signed in everywhere else.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	brand, ok := s.brands[hostname(r.Host)]
	if !ok {
		s.writePage(w, http.StatusNotFound, "unknown-host", nil)
		return
	}
	switch {
	case r.URL.Path == "/access/jwt":
		s.signIn(w, r, brand)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are known here", http.StatusMethodNotAllowed)
	case r.URL.Path == "/access/unauthenticated":
		s.showRefusal(w, r, brand)
	default:
		s.showHome(w, r, brand)
	}
}

// hostname is the Host header without its port. Brands are found by equality with it, never by a part of it.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
