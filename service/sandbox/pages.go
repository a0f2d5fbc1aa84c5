package sandbox

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

var (
	//go:embed pages.html
	markup string
	//go:embed pages.css
	style string

	pages  = template.Must(template.New("pages").Funcs(template.FuncMap{"style": pageStyle}).Parse(markup))
	policy = contentSecurityPolicy(style)
)

func pageStyle() template.CSS { return template.CSS(style) } //nolint:gosec // from this repository

func contentSecurityPolicy(style string) string {
	sum := sha256.Sum256([]byte(style))
	hash := base64.StdEncoding.EncodeToString(sum[:])
	return "default-src 'none'; style-src 'sha256-" + hash + "'; img-src data:; " +
		"form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
}

func setHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

// redirect answers as Zendesk documents it: with status 200 and a page with a link. The link's
// target depends on the result of the sign-in. The document doesn't say how a browser follows the
// link. Browsers are reported to receive 302 instead, which [Options.Redirect] selects. Without
// that option, the Refresh field moves the browser to the target. So tests can check the body, the
// user needn't click, and, as with a redirect, the answer doesn't appear in the tab's history.
//
// The target must be a valid URL in printable ASCII that isn't a script.
func (s *Sandbox) redirect(w http.ResponseWriter, target string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if s.options.Redirect {
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusFound)
	} else {
		w.Header().Set("Refresh", "0; url="+target)
	}
	fmt.Fprintf(w, `<html><body>You are being <a href="%s">redirected</a>.</body></html>`,
		template.HTMLEscapeString(target))
}

func refusalPath(id int) string { return "/access/unauthenticated?sign_in=" + strconv.Itoa(id) }

// frame is the data that every page of a brand needs.
type frame struct {
	Brand site
	App   string
}

func (s *Sandbox) frame(at site) frame { return frame{at, s.options.App} }

type refusalView struct {
	frame
	SignIn  SignIn
	Explain string
}

// showRefusal redirects a browser whose sign-in was refused, or displays the reason. The query
// contains only the ID of the sign-in. So a link from elsewhere can't put text on this page.
func (s *Sandbox) showRefusal(w http.ResponseWriter, r *http.Request, at site) {
	id, _ := strconv.Atoi(r.URL.Query().Get("sign_in"))
	found, ok := s.signIns.find(id)
	if !ok || found.Brand != at.ID || found.Outcome != OutcomeRefused {
		found = SignIn{Message: "There is no refused sign-in with this link."}
	} else if s.redirectRefused(w, r, at.Brand, found) {
		return
	}
	s.writePage(w, http.StatusOK, "refusal", refusalView{s.frame(at), found, s.explain(found)})
}

// explain returns the URL of the page with details of a sign-in, or "" if there is none.
func (s *Sandbox) explain(signIn SignIn) string {
	if s.options.Explain == "" || signIn.ID == 0 {
		return ""
	}
	return withQuery(s.options.Explain, "sign_in", strconv.Itoa(signIn.ID))
}

type homeView struct {
	frame
	Path     string
	SignedIn bool
	SignIn   SignIn
	User     User
	Claims   []Field
	Explain  string
}

// showHome serves every page of the help centre and the agent interface. It displays who is signed
// in.
func (s *Sandbox) showHome(w http.ResponseWriter, r *http.Request, at site) {
	view := homeView{frame: s.frame(at), Path: r.URL.Path}
	if view.SignIn, view.SignedIn = s.sessions.of(r, at); view.SignedIn {
		c := claims(view.SignIn.Claims)
		view.User, view.Explain = User{Name: c.text("name"), Email: c.text("email")}, s.explain(view.SignIn)
		for _, name := range slices.Sorted(maps.Keys(c)) {
			view.Claims = append(view.Claims, Field{name, asJSON(c[name])})
		}
	}
	s.writePage(w, http.StatusOK, "home", view)
}

func (s *Sandbox) signedIn(r *http.Request, at site) bool {
	_, ok := s.sessions.of(r, at)
	return ok
}

// maxListedSignIns is the maximum number of sign-ins on the page of users.
const maxListedSignIns = 50

type usersView struct {
	frame
	Users   []User
	SignIns []SignIn
}

// showUsers displays the account's users and what each sign-in changed. All brands have the same
// users.
func (s *Sandbox) showUsers(w http.ResponseWriter, at site) {
	signIns := s.SignIns()
	slices.Reverse(signIns)
	signIns = slices.DeleteFunc(signIns, func(i SignIn) bool { return i.Outcome != OutcomeSignedIn })
	listed := signIns[:min(len(signIns), maxListedSignIns)]
	s.writePage(w, http.StatusOK, "users", usersView{s.frame(at), s.Users(), listed})
}

// asJSON returns a value from JSON as JSON, without the escapes that json.Marshal adds for HTML.
func asJSON(value any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value)
	return strings.TrimSpace(text.String())
}

// writePage renders the page completely before it writes it, so that an error doesn't send half a
// page.
func (s *Sandbox) writePage(w http.ResponseWriter, status int, name string, view any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, view); err != nil {
		s.log.Error("rendering a sandbox page", "page", name, "error", err)
		http.Error(w, "the page can't be rendered", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// An error means that the browser has closed the connection.
	_, _ = page.WriteTo(w)
}
