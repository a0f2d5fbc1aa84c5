// Package sandbox simulates Zendesk's side of JWT single sign-on for development and tests.
//
// It accepts the form that a browser posts to /access/jwt. It checks the token as Zendesk does, as
// far as that is known, keeps the users that Zendesk would have, and sends the browser where
// Zendesk sends it. Where Zendesk's behaviour isn't documented, the sandbox is strict, because an
// error costs a minute here and a support case there. It shares no code with the packages that make
// the tokens. Otherwise an error in shared code would be invisible to every test.
//
// Where Zendesk's behaviour is unknown, the sandbox behaves as follows. If it matters for a
// sign-in, [SignIn.Notes] mentions it.
//   - A token without a role is valid for every audience and makes its user an end user, which is
//     the documented default.
//   - A user is found by email. If no user has the email, the user is found by external ID, and the
//     email is changed.
//   - A return_to with a foreign host leads to the home page.
//   - A token with an invalid signature is reported to a remote logout URL. The URL is that of the
//     configuration whose secret made the signature before a reset, or else that of the brand's
//     first configuration. The URL doesn't contain the email of the token, because it isn't
//     verified.
//   - A configuration has no IP ranges.
//   - Claims that Zendesk doesn't document are recorded and ignored.
//
// Don't expose the sandbox to strangers. Anyone who can reach it can read the names and addresses
// of the users who signed in.
package sandbox

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options describe the simulated Zendesk account.
type Options struct {
	Brands         []Brand
	Configurations []Configuration
	// Now returns the current time, which tokens are checked against. The default is time.Now.
	Now func() time.Time
	// Log receives one line for each POST, without the token and the claims. If it is nil, nothing
	// is logged.
	Log *slog.Logger

	// MultipleOrganizations is Zendesk's option to allow several organisations for a user. New
	// organisations are then added to the user's. Without the option, the first new one replaces
	// them.
	MultipleOrganizations bool
	// Redirect answers the endpoint's POST with 302 Found, which browsers are reported to receive,
	// instead of the documented 200. Only with 302 do browsers apply the form-action of the page to
	// the target of the answer.
	Redirect bool
	// BrowsersOnly refuses a POST without a Sec-Fetch-Mode that declares a navigation of a browser.
	// Zendesk refuses servers in the same way. Without this option, HTTP clients of tests are
	// accepted, too. A fetch of a browser's script is always refused.
	BrowsersOnly bool
	// App is the URL of the company's app. The sandbox's pages link to it unless it is empty.
	App string
	// Explain is the URL of a page with details of a sign-in. The sandbox's pages link to it with
	// sign_in=ID in the query unless it is empty.
	Explain string
	// AnyHost serves the paths /brands and /sandbox/v1 under every host name that isn't a brand's.
	// Without it, the host must be a loopback address, so that the page of a stranger can't reach
	// the sandbox through a name that resolves to this machine.
	AnyHost bool
}

// Brand is a brand of the Zendesk account. It answers on the host SUBDOMAIN.localhost, on any port,
// and under the path /brands/SUBDOMAIN of a loopback address.
type Brand struct {
	ID        string // Zendesk's brand_id
	Name      string
	Subdomain string   // one DNS label in lower case
	Hosts     []string // mapped hosts, which return_to may contain; forms are never posted to them
}

// Configuration is one JWT SSO configuration of the account.
type Configuration struct {
	Name      string
	Audiences []string // users who may sign in with it: end_user, team_member
	Brands    []string // ids of Options.Brands
	// Secret returns the bytes of the shared secret. It is called for every token and must be safe
	// for concurrent use, so its result may change. While it returns no bytes, the configuration
	// verifies no signature. After [Sandbox.ResetSecret] it isn't called any more.
	Secret func() []byte

	// RemoteLogin is the http or https URL that users who aren't signed in are redirected to. If it
	// is empty, they see a page that says that they are signed out.
	RemoteLogin string
	// RemoteLogout is the http or https URL that users are redirected to after they sign out, and
	// after an error, with the message. It may be empty.
	RemoteLogout string
	// UpdateExternalIDs lets a token change an external ID. Without it, a token can only set a
	// missing one.
	UpdateExternalIDs bool
}

// The audiences of a configuration.
const (
	audienceEndUser    = "end_user"
	audienceTeamMember = "team_member"
)

// Sandbox is a simulated Zendesk account. It is an http.Handler and safe for concurrent use.
type Sandbox struct {
	options        Options
	brands         map[string]Brand                      // by host name
	configurations atomic.Pointer[configurationsByBrand] // replaced as a whole
	returnHosts    map[string]Brand                      // by host that return_to may contain
	api            http.Handler
	log            *slog.Logger
	used           replays

	signIns  record
	sessions sessions
	secrets  resetSecrets
	users    users

	mu     sync.Mutex // guards faults and the replacement of configurations
	faults Faults
}

// configurationsByBrand maps the ID of a brand to its configurations. It is immutable.
type configurationsByBrand map[string][]Configuration

var labelPattern = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// New returns a sandbox without users and sessions. The error names every invalid option.
func New(options Options) (*Sandbox, error) {
	s := &Sandbox{
		options:     options,
		brands:      map[string]Brand{},
		returnHosts: map[string]Brand{},
		log:         options.Log,
	}
	if s.options.Now == nil {
		s.options.Now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	errs := append(s.addBrands(options.Brands), s.addConfigurations(options.Configurations)...)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("setting up the sandbox: %w", err)
	}
	s.api = s.newAPI()
	return s, nil
}

func (s *Sandbox) addBrands(brands []Brand) (errs []error) {
	ids := map[string]bool{}
	for _, brand := range brands {
		if brand.ID == "" || ids[brand.ID] {
			errs = append(errs, fmt.Errorf("brand id %q is empty or used twice", brand.ID))
		}
		ids[brand.ID] = true
		host := brand.Subdomain + ".localhost"
		if _, exists := s.brands[host]; exists {
			errs = append(errs, fmt.Errorf("brand %q: another brand has the subdomain %q", brand.ID, brand.Subdomain))
		} else if !labelPattern.MatchString(brand.Subdomain) {
			errs = append(errs, fmt.Errorf("brand %q: subdomain %q is not of lower-case letters, digits and hyphens",
				brand.ID, brand.Subdomain))
		}
		s.brands[host] = brand
		for _, name := range append([]string{host, brand.Subdomain + ".zendesk.com"}, brand.Hosts...) {
			s.returnHosts[name] = brand
		}
	}
	return errs
}

func (s *Sandbox) addConfigurations(configurations []Configuration) (errs []error) {
	known := map[string]bool{}
	for _, brand := range s.brands {
		known[brand.ID] = true
	}
	names, all := map[string]bool{}, configurationsByBrand{}
	for _, c := range configurations {
		if c.Name == "" || names[c.Name] {
			errs = append(errs, fmt.Errorf("configuration name %q is empty or used twice", c.Name))
		}
		names[c.Name] = true
		if c.Secret == nil {
			errs = append(errs, fmt.Errorf("configuration %q has no secret", c.Name))
		}
		for what, address := range map[string]string{"remote login": c.RemoteLogin, "remote logout": c.RemoteLogout} {
			if address != "" && !isHTTP(address) {
				err := fmt.Errorf("configuration %q: the %s URL is not an http or https URL", c.Name, what)
				errs = append(errs, err)
			}
		}
		for _, audience := range c.Audiences {
			if audience != audienceEndUser && audience != audienceTeamMember {
				errs = append(errs, fmt.Errorf("configuration %q: unknown audience %q", c.Name, audience))
			}
		}
		c.Audiences = slices.Clone(c.Audiences)
		for _, id := range c.Brands {
			if !known[id] {
				errs = append(errs, fmt.Errorf("configuration %q: unknown brand %q", c.Name, id))
			}
			all[id] = append(all[id], c)
		}
	}
	s.configurations.Store(&all)
	return errs
}

// isHTTP reports whether the address is an http or https URL with a host.
func isHTTP(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// now returns the time of the account's clock, which may be wrong.
func (s *Sandbox) now() time.Time { return s.options.Now().Add(s.Faults().ClockOffset) }
