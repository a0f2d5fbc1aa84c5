package sandbox

import (
	"net/http"

	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	// private is what Zendesk shows nobody who isn't signed in: the agent interface, one's own
	// requests.
	private = regexp.MustCompile(`^/(?:agent|tickets|hc/[a-z-]+/(?:requests|restricted))(?:/|$)`)
	// signInPath is the help centre's own link.
	signInPath = regexp.MustCompile(`^/hc/[a-z-]+/signin$`)
)

// english is Zendesk's id of the locale that the sandbox is in.
const english = "1"

// askToSignIn sends a visitor to the remote login URL, with what Zendesk tells it. Who the visitor
// is nobody knows yet: the agent interface is taken for the team's, everything else for the
// customers'.
func (s *Sandbox) askToSignIn(w http.ResponseWriter, r *http.Request, brand Brand, returnTo string) {
	audience := audienceEndUser
	if target, err := url.Parse(returnTo); err == nil && (strings.HasPrefix(target.Path, "/agent") || strings.HasPrefix(target.Path, "/tickets")) {
		audience = audienceTeamMember
	}
	i := slices.IndexFunc(s.at(brand.ID), func(c Configuration) bool {
		return c.RemoteLogin != "" && slices.Contains(c.Audiences, audience)
	})
	if i < 0 {
		s.showHome(w, r, brand)
		return
	}
	s.toRemoteLogin(w, r, s.at(brand.ID)[i], brand, returnTo)
}

func (s *Sandbox) toRemoteLogin(w http.ResponseWriter, r *http.Request, c Configuration, brand Brand, returnTo string) {
	http.Redirect(w, r, withQuery(c.RemoteLogin, "brand_id", brand.ID, "locale_id", english, "return_to", returnTo,
		"timestamp", strconv.FormatInt(s.now().Unix(), 10)), http.StatusFound)
}

// signOut ends the session and tells the remote logout URL who has gone.
func (s *Sandbox) signOut(w http.ResponseWriter, r *http.Request, brand Brand) {
	who, ok := s.sessions.of(r, brand)
	http.SetCookie(w, s.sessions.end(r))
	if !ok {
		http.Redirect(w, r, "/", http.StatusFound)
		return
	}
	configuration := s.configuration(brand, who.Configuration)
	if configuration.RemoteLogout == "" {
		http.Redirect(w, r, "/", http.StatusFound)
		return
	}
	c := claims(who.Claims)
	http.Redirect(w, r, withQuery(configuration.RemoteLogout,
		"email", c.text("email"), "external_id", c.text("external_id"), "brand_id", brand.ID), http.StatusFound)
}

// leadAway sends a browser whose sign-in was refused on: to the remote logout URL with Zendesk's
// message, or, without one, to the remote login URL, which for somebody who is signed in there is
// the way into a loop. It reports whether there is such a URL.
func (s *Sandbox) leadAway(w http.ResponseWriter, r *http.Request, brand Brand, refused SignIn) bool {
	switch configuration := s.configuration(brand, refused.Configuration); {
	case configuration.RemoteLogout != "":
		c := claims(refused.Claims)
		http.Redirect(w, r, withQuery(configuration.RemoteLogout, "kind", "error", "message", refused.Message,
			"email", c.text("email"), "external_id", c.text("external_id"), "brand_id", brand.ID), http.StatusFound)
		return true
	case configuration.RemoteLogin != "":
		s.toRemoteLogin(w, r, configuration, brand, refused.ReturnTo)
		return true
	}
	return false
}

// configuration is the brand's of that name, else its first.
func (s *Sandbox) configuration(brand Brand, name string) Configuration {
	all := s.at(brand.ID)
	if i := slices.IndexFunc(all, func(c Configuration) bool { return c.Name == name }); i >= 0 {
		return all[i]
	}
	if len(all) > 0 {
		return all[0]
	}
	return Configuration{}
}

// withQuery adds pairs of name and value to an address. A parameter that is there already stays as
// it is: so an admin keeps addresses out of the remote logout URL, by writing it with a blank
// email. A fragment stays at the end.
func withQuery(address string, pairs ...string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "/"
	}
	have := u.Query()
	for pair := range slices.Chunk(pairs, 2) {
		name, value := pair[0], pair[1]
		if have.Has(name) {
			continue
		}
		if u.RawQuery != "" && !strings.HasSuffix(u.RawQuery, "&") {
			u.RawQuery += "&"
		}
		u.RawQuery += url.QueryEscape(name) + "=" + url.QueryEscape(value)
	}
	return u.String()
}
