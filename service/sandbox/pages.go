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

// redirect answers as Zendesk documents it: 200 with a page whose link says by its target how the sign-in went. The
// document doesn't say how a browser gets on from there, and browsers have been reported to see 302. The status is kept as
// documented, and the Refresh field moves the browser: so the body can be checked, no click is needed, and, like a redirect,
// the answer leaves nothing in the tab's history. One thing differs: form-action doesn't apply to a Refresh, so it takes
// another test to show that a page's form-action names the whole chain.
//
// The target has been checked to be a URL in printable ASCII that isn't script.
func redirect(w http.ResponseWriter, target string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Refresh", "0; url="+target)
	fmt.Fprintf(w, `<html><body>You are being <a href="%s">redirected</a>.</body></html>`, template.HTMLEscapeString(target))
}

func refusalPath(id int) string { return "/access/unauthenticated?sign_in=" + strconv.Itoa(id) }

type refusalView struct {
	Brand  Brand
	SignIn SignIn
}

// showRefusal says why a sign-in was refused. The query only names it: a link from elsewhere can't put words here.
func (s *Sandbox) showRefusal(w http.ResponseWriter, r *http.Request, brand Brand) {
	id, _ := strconv.Atoi(r.URL.Query().Get("sign_in"))
	found, ok := s.signIns.find(id)
	if !ok || found.Brand != brand.ID || found.Outcome != OutcomeRefused {
		found = SignIn{Message: "No refused sign-in is known by this link."}
	}
	s.writePage(w, http.StatusOK, "refusal", refusalView{brand, found})
}

type homeView struct {
	Brand       Brand
	Path        string
	SignedIn    bool
	Name, Email string
	Claims      []claimView
}

type claimView struct{ Name, Value string }

// showHome is every page of the help centre and the agent interface: it says who is signed in.
func (s *Sandbox) showHome(w http.ResponseWriter, r *http.Request, brand Brand) {
	view := homeView{Brand: brand, Path: r.URL.Path}
	who, ok := s.sessions.of(r, brand)
	if ok {
		c := claims(who.Claims)
		view.SignedIn, view.Name, view.Email = true, c.text("name"), c.text("email")
		for _, name := range slices.Sorted(maps.Keys(c)) {
			view.Claims = append(view.Claims, claimView{name, asJSON(c[name])})
		}
	}
	s.writePage(w, http.StatusOK, "home", view)
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
