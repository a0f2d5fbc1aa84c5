package sandbox

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// localeEnglish is Zendesk's ID of the sandbox's locale.
const localeEnglish = "1"

// redirectToSignIn redirects a visitor to the remote login URL with Zendesk's parameters. The
// visitor's role isn't known yet. So for the agent interface it uses the configuration of the team
// members, and for everything else that of the end users.
func (s *Sandbox) redirectToSignIn(w http.ResponseWriter, r *http.Request, at site, returnTo string) {
	audience := audienceEndUser
	if target, err := url.Parse(returnTo); err == nil &&
		(strings.HasPrefix(target.Path, "/agent") || strings.HasPrefix(target.Path, "/tickets")) {
		audience = audienceTeamMember
	}
	i := slices.IndexFunc(s.configurationsOf(at.ID), func(c Configuration) bool {
		return c.RemoteLogin != "" && slices.Contains(c.Audiences, audience)
	})
	if i < 0 {
		s.showHome(w, r, at)
		return
	}
	s.toRemoteLogin(w, r, s.configurationsOf(at.ID)[i], at.Brand, returnTo)
}

func (s *Sandbox) toRemoteLogin(w http.ResponseWriter, r *http.Request, c Configuration, brand Brand, returnTo string) {
	target := withQuery(c.RemoteLogin,
		"brand_id", brand.ID,
		"locale_id", localeEnglish,
		"return_to", returnTo,
		"timestamp", strconv.FormatInt(s.now().Unix(), 10),
	)
	http.Redirect(w, r, target, http.StatusFound)
}

// signOut ends the session and redirects to the remote logout URL with the user's identity.
func (s *Sandbox) signOut(w http.ResponseWriter, r *http.Request, at site) {
	signIn, ok := s.sessions.of(r, at)
	http.SetCookie(w, s.sessions.end(r, at))
	if !ok {
		http.Redirect(w, r, at.base+"/", http.StatusFound)
		return
	}
	configuration := s.configuration(at.Brand, signIn.Configuration)
	if configuration.RemoteLogout == "" {
		http.Redirect(w, r, at.base+"/", http.StatusFound)
		return
	}
	c := claims(signIn.Claims)
	http.Redirect(w, r, withQuery(configuration.RemoteLogout,
		"email", c.text("email"), "external_id", c.text("external_id"), "brand_id", at.ID), http.StatusFound)
}

// redirectRefused redirects a browser whose sign-in was refused. The target is the remote logout
// URL with Zendesk's message. Without a remote logout URL it is the remote login URL, which can
// start a loop if the user is signed in there. redirectRefused reports whether there is such a URL.
func (s *Sandbox) redirectRefused(w http.ResponseWriter, r *http.Request, brand Brand, refused SignIn) bool {
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

// configuration returns the brand's configuration with this name, or else the brand's first one.
func (s *Sandbox) configuration(brand Brand, name string) Configuration {
	all := s.configurationsOf(brand.ID)
	if i := slices.IndexFunc(all, func(c Configuration) bool { return c.Name == name }); i >= 0 {
		return all[i]
	}
	if len(all) > 0 {
		return all[0]
	}
	return Configuration{}
}

// withQuery adds pairs of name and value to a URL. It doesn't change parameters that the URL
// already has. So an admin can omit email addresses from the remote logout URL by adding a blank
// email to it. A fragment stays at the end.
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
