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
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; img-src data:; " +
		"form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
}

func setHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

// redirect answers as Zendesk documents it: 200 with a page whose link says by its target how the
// sign-in went. The document doesn't say how a browser gets on from there, and browsers have been
// reported to see 302: that is [Options.Redirect]. Without it the status is kept as documented, and
// the Refresh field moves the browser: so the body can be checked, no click is needed, and, like a
// redirect, the answer leaves nothing in the tab's history.
//
// The target has been checked to be a URL in printable ASCII that isn't script.
func (s *Sandbox) redirect(w http.ResponseWriter, target string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if s.options.Redirect {
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusFound)
	} else {
		w.Header().Set("Refresh", "0; url="+target)
	}
	fmt.Fprintf(w, `<html><body>You are being <a href="%s">redirected</a>.</body></html>`, template.HTMLEscapeString(target))
}

func refusalPath(id int) string { return "/access/unauthenticated?sign_in=" + strconv.Itoa(id) }

// frame is what every page of a brand has around it.
type frame struct {
	Brand Brand
	App   string
}

func (s *Sandbox) frame(brand Brand) frame { return frame{brand, s.options.App} }

type refusalView struct {
	frame
	SignIn  SignIn
	Explain string
}

// showRefusal leads a browser whose sign-in was refused on, or says why it was. The query only
// names the sign-in: a link from elsewhere can't put words here.
func (s *Sandbox) showRefusal(w http.ResponseWriter, r *http.Request, brand Brand) {
	id, _ := strconv.Atoi(r.URL.Query().Get("sign_in"))
	found, ok := s.signIns.find(id)
	if !ok || found.Brand != brand.ID || found.Outcome != OutcomeRefused {
		found = SignIn{Message: "No refused sign-in is known by this link."}
	} else if s.leadAway(w, r, brand, found) {
		return
	}
	s.writePage(w, http.StatusOK, "refusal", refusalView{s.frame(brand), found, s.explain(found)})
}

// explain is the address of the page that tells more of a sign-in, "" if there is none.
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

// showHome is every page of the help centre and the agent interface: it says who is signed in.
func (s *Sandbox) showHome(w http.ResponseWriter, r *http.Request, brand Brand) {
	view := homeView{frame: s.frame(brand), Path: r.URL.Path}
	if view.SignIn, view.SignedIn = s.sessions.of(r, brand); view.SignedIn {
		c := claims(view.SignIn.Claims)
		view.User, view.Explain = User{Name: c.text("name"), Email: c.text("email")}, s.explain(view.SignIn)
		for _, name := range slices.Sorted(maps.Keys(c)) {
			view.Claims = append(view.Claims, Field{name, asJSON(c[name])})
		}
	}
	s.writePage(w, http.StatusOK, "home", view)
}

func (s *Sandbox) signedIn(r *http.Request, brand Brand) bool {
	_, ok := s.sessions.of(r, brand)
	return ok
}

// shownSignIns is how many sign-ins the page of users lists.
const shownSignIns = 50

type usersView struct {
	frame
	Users   []User
	SignIns []SignIn
}

// showUsers is the account's people as the sign-ins have made them, and what each sign-in changed.
// All brands have the same.
func (s *Sandbox) showUsers(w http.ResponseWriter, brand Brand) {
	signIns := s.SignIns()
	slices.Reverse(signIns)
	signIns = slices.DeleteFunc(signIns, func(i SignIn) bool { return i.Outcome != OutcomeSignedIn })
	s.writePage(w, http.StatusOK, "users", usersView{s.frame(brand), s.Users(), signIns[:min(len(signIns), shownSignIns)]})
}

// asJSON writes a value that came from JSON as JSON, without the escapes that are for scripts.
func asJSON(value any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value)
	return strings.TrimSpace(text.String())
}

// writePage renders before it writes, so that a fault doesn't send half a page.
func (s *Sandbox) writePage(w http.ResponseWriter, status int, name string, view any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, view); err != nil {
		s.log.Error("rendering a sandbox page", "page", name, "error", err)
		http.Error(w, "the page can't be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// An error here means that the browser has gone.
	_, _ = page.WriteTo(w)
}
