package sandbox

import (
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// brandsPath is the path under which brands are served to programs that can't resolve *.localhost.
const brandsPath = "/brands/"

// site is a brand together with the place where a request has reached it.
type site struct {
	Brand
	base string // "" at the brand's own host, or else the path /brands/SUBDOMAIN
}

// Base returns the path before the brand's paths. It is "" at the brand's own host.
func (at site) Base() string { return at.base }

var (
	// zendeskPath matches the pages of Zendesk's products, and those that are known to be targets
	// after a sign-in. The sandbox shows the same page for all of them.
	zendeskPath = regexp.MustCompile(`^/(?:$|(?:home|hc|agent|admin|chat|explore|knowledge|organizations|` +
		`requests|theming|tickets|users)(?:/|$)|auth/v2/login/signed_in$)`)
	// privatePath matches the pages that Zendesk serves only to users who are signed in: the agent
	// interface and the user's requests.
	privatePath = regexp.MustCompile(`^/(?:agent|tickets|hc/[a-z-]+/(?:requests|restricted))(?:/|$)`)
	// signInPath matches the sign-in link of the help centre.
	signInPath = regexp.MustCompile(`^/hc/[a-z-]+/signin$`)
)

// ServesPath reports whether a path belongs to the sandbox at hosts that aren't a brand's: the paths
// of the brands, and the API for tests.
func ServesPath(path string) bool {
	return path+"/" == brandsPath || strings.HasPrefix(path, brandsPath) ||
		path == apiPath || strings.HasPrefix(path, apiPath+"/")
}

// ServeHTTP serves a brand at the host SUBDOMAIN.localhost, and at a loopback address under
// /brands/SUBDOMAIN. It also serves the API for tests, under /sandbox/v1 of every host.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	name := hostname(r.Host)
	brand, isBrand := s.brands[name]
	rest, underPath := strings.CutPrefix(r.URL.Path, brandsPath)
	switch {
	case !isBrand && !s.options.AnyHost && !isLoopback(name):
		s.writePage(w, http.StatusNotFound, "unknown-host", nil)
	case r.URL.Path == apiPath || strings.HasPrefix(r.URL.Path, apiPath+"/"):
		s.api.ServeHTTP(w, r)
	case isBrand:
		s.serveBrand(w, r, site{Brand: brand})
	case underPath:
		s.serveUnderPath(w, r, rest)
	case r.URL.Path == "/":
		s.writePage(w, http.StatusOK, "index", indexView{s.options.Brands, apiPath})
	default:
		s.writePage(w, http.StatusNotFound, "unknown-path", indexView{s.options.Brands, apiPath})
	}
}

// indexView is the data of the page at a host that isn't a brand's.
type indexView struct {
	Brands []Brand
	API    string
}

// serveUnderPath serves the brand whose subdomain is the first part of the path.
func (s *Sandbox) serveUnderPath(w http.ResponseWriter, r *http.Request, path string) {
	subdomain, _, _ := strings.Cut(path, "/")
	i := slices.IndexFunc(s.options.Brands, func(b Brand) bool { return b.Subdomain == subdomain })
	if i < 0 {
		s.writePage(w, http.StatusNotFound, "unknown-path", indexView{s.options.Brands, apiPath})
		return
	}
	at := site{s.options.Brands[i], brandsPath + subdomain}
	http.StripPrefix(at.base, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serveBrand(w, r, at)
	})).ServeHTTP(w, r)
}

// serveBrand serves the endpoint, the pages for signing in and out, the account's users
// (/sandbox/users), and one page for all pages of Zendesk's products. Other paths don't exist.
func (s *Sandbox) serveBrand(w http.ResponseWriter, r *http.Request, at site) {
	switch path := r.URL.Path; {
	case path == "/access/jwt":
		s.signIn(w, r, at)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are allowed here", http.StatusMethodNotAllowed)
	case path == "/access/unauthenticated":
		s.showRefusal(w, r, at)
	case path == "/access/logout":
		s.signOut(w, r, at)
	case path == "/access/normal":
		s.writePage(w, http.StatusOK, "own-form", s.frame(at))
	case path == "/access/return_to":
		target, _ := s.destination(r.URL.Query().Get("return_to"))
		// #nosec G710 -- the target is a path or has a host of the account
		http.Redirect(w, r, s.locate(at, target), http.StatusFound)
	case path == "/access/login" || signInPath.MatchString(path):
		s.redirectToSignIn(w, r, at, r.URL.Query().Get("return_to"))
	case path == "/sandbox/users":
		s.showUsers(w, at)
	case privatePath.MatchString(path) && !s.signedIn(r, at):
		s.redirectToSignIn(w, r, at, at.absolute(r))
	case path == "" || zendeskPath.MatchString(path):
		s.showHome(w, r, at)
	default:
		s.writePage(w, http.StatusNotFound, "unknown-page", s.frame(at))
	}
}

// absolute returns the URL of a request, for the remote login URL. Under a path this is the URL at
// Zendesk, because an application's checks wouldn't accept a loopback address as a brand's host.
func (at site) absolute(r *http.Request) string {
	if at.base != "" {
		return "https://" + at.Subdomain + ".zendesk.com" + r.URL.RequestURI()
	}
	return origin(r) + r.URL.RequestURI()
}

// locate returns the address of a result of destination. For a request under a path this is the
// same page under the path of its brand. So a client needs to resolve no other host.
func (s *Sandbox) locate(at site, target string) string {
	if at.base == "" {
		return target
	}
	base := at.base
	if u, err := url.Parse(target); err == nil && u.Host != "" {
		base = brandsPath + s.returnHosts[u.Hostname()].Subdomain
		_, target, _ = strings.Cut(target, "://")
		target = target[len(u.Host):]
	}
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	return base + target
}

// hostname returns the Host header without its port. Brands are found by equality with it, never by
// a part of it.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// isLoopback reports whether a host name is this machine's in every resolver.
func isLoopback(name string) bool {
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}
