package demo

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/deskmint/deskmint/service/sandbox"
)

type traceView struct {
	trace
	BrandName string
	SignIns   []sandbox.SignIn
	Claims    []string // of each of SignIns, JSON
	Frame     bool     // whether there is a page to show in a frame
}

var styleHash = regexp.MustCompile(`'sha256-[A-Za-z0-9+/=]+'`)

func (d *pages) showTrace(w http.ResponseWriter, r *http.Request) {
	t, ok := d.requestedTrace(r)
	if !ok {
		http.Error(w, "no such sign-in: only the latest are remembered", http.StatusNotFound)
		return
	}
	view := traceView{
		trace: t, BrandName: d.brandName(t.Configuration, t.Brand), SignIns: d.signInsOf(t), Frame: t.Page != "",
	}
	for _, signIn := range view.SignIns {
		claims, err := json.Marshal(signIn.Claims)
		if err != nil {
			claims = []byte("{}")
		}
		view.Claims = append(view.Claims, string(claims))
	}
	// The frame is made of an attribute and not of a URL, so the policy of this page also applies
	// to its style.
	policy := headerValue(t.PageHeaders, "Content-Security-Policy")
	styles := styleHash.FindAllString(directive(policy, "style-src"), -1)
	d.render(w, "trace", "Step by step", "", view, styles...)
}

// directive returns the directive of a content security policy that has this name; "" if there is
// none.
func directive(policy, name string) string {
	for part := range strings.SplitSeq(policy, ";") {
		if part = strings.TrimSpace(part); strings.HasPrefix(part, name+" ") {
			return part
		}
	}
	return ""
}

func headerValue(headers map[string]string, name string) string {
	for key, value := range headers {
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

// showUserPage shows only the page that the user saw, with its own headers.
func (d *pages) showUserPage(w http.ResponseWriter, r *http.Request) {
	t, ok := d.requestedTrace(r)
	if !ok || t.Page == "" {
		http.Error(w, "there is no such page", http.StatusNotFound)
		return
	}
	for name, value := range t.PageHeaders {
		w.Header().Set(name, value)
	}
	if t.Query == nil {
		w.WriteHeader(t.Status)
	}
	_, _ = w.Write([]byte(t.Page))
}

// requestedTrace returns the trace that the path of a request names.
func (d *pages) requestedTrace(r *http.Request) (trace, bool) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return trace{}, false
	}
	return d.traces.find(func(t *trace) bool { return t.ID == id })
}
