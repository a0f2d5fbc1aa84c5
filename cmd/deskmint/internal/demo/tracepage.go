package demo

import (
	"cmp"
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
	Snippets  []snippet
	Why, Todo string   // of a refusal by Deskmint
	Warnings  []string // fields that Deskmint changed or left out
}

var styleHash = regexp.MustCompile(`'sha256-[A-Za-z0-9+/=]+'`)

func (d *pages) showTrace(w http.ResponseWriter, r *http.Request) {
	t, ok := d.requestedTrace(r)
	if !ok {
		d.fail(w, http.StatusNotFound, "There is no such sign-in: only the latest are remembered.")
		return
	}
	view := traceView{
		trace: t, BrandName: cmp.Or(d.brandName(t.Configuration, t.Brand), "the default brand"),
		SignIns: d.signInsOf(t), Frame: t.Page != "", Snippets: d.snippets(t),
	}
	for _, record := range t.Audit {
		view.Warnings = append(view.Warnings, newDecision(record, signInFailure{}).Warnings...)
	}
	if t.Refused() {
		view.Why, view.Todo = explainReason(t.Reason)
	}
	for _, signIn := range view.SignIns {
		claims, err := json.Marshal(signIn.Claims)
		if err != nil {
			claims = []byte("{}")
		}
		view.Claims = append(view.Claims, string(claims))
	}
	// A frame is made of an attribute and not of a URL, so the policy of this page also applies to its
	// style.
	var styles []string
	for _, headers := range []map[string]string{t.PageHeaders, t.FailureHeaders} {
		policy := headerValue(headers, "Content-Security-Policy")
		styles = append(styles, styleHash.FindAllString(directive(policy, "style-src"), -1)...)
	}
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
		d.fail(w, http.StatusNotFound, "There is no such page.")
		return
	}
	for name, value := range t.ErrorHeaders() {
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
