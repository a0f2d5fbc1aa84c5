package demo

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/deskmint/deskmint/service/sandbox"
)

type homeView struct {
	Configurations []configurationView
	People         []person
	Traces         []summary
	LoginQuery     url.Values // what Zendesk sent to the remote login URL; nil on the home page
	ReturnTo       string
	Staged         map[string]uint32 // by configuration
	TryStaged      bool
}

// Preselected returns the index of the first person whom a configuration signs in.
func (v homeView) Preselected(c configurationView) int {
	return max(0, slices.IndexFunc(v.People, func(p person) bool {
		return c.Customers == (p.Role == "" || p.Role == "ROLE_END_USER")
	}))
}

// showHome shows the forms that sign people in. It also serves the remote login URL, to which
// Zendesk sends people who want to sign in.
func (d *pages) showHome(w http.ResponseWriter, r *http.Request) {
	view := homeView{
		Configurations: d.configurations, People: d.people, Traces: d.summaries(), ReturnTo: "/hc/en-us",
		Staged: map[string]uint32{}, TryStaged: r.FormValue("staged") != "",
	}
	for _, c := range d.configurations {
		view.Staged[c.Name] = d.rotation.staged(c.Name)
	}
	if r.URL.Path == "/login" {
		if view.LoginQuery = r.URL.Query(); view.LoginQuery.Get("return_to") != "" {
			view.ReturnTo = view.LoginQuery.Get("return_to")
		}
	}
	d.render(w, "home", "Sign somebody in", "/", view)
}

// signIn requests the page that signs a person in, and passes it through with its headers. If
// Deskmint refuses, it shows the trace instead, with Deskmint's error page inside: the reader is a
// developer.
func (d *pages) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	n, err := strconv.Atoi(r.FormValue("person"))
	if err != nil || n < 0 || n >= len(d.people) {
		d.fail(w, http.StatusBadRequest, "There is no such person.")
		return
	}
	name := r.FormValue("configuration")
	i := slices.IndexFunc(d.configurations, func(c configurationView) bool { return c.Name == name })
	if i < 0 {
		d.fail(w, http.StatusBadRequest, "There is no such configuration.")
		return
	}
	t := trace{Person: d.people[n].Name, Configuration: d.configurations[i].Name, Brand: r.FormValue("brand")}
	request := map[string]any{
		"brandId": t.Brand, "user": userMessage(d.people[n], r), "returnTo": r.FormValue("return_to"),
		"onError": "ON_ERROR_PAGE", // a person would see the JSON of an error
	}
	if version := d.rotation.staged(t.Configuration); r.FormValue("staged") != "" && version != 0 {
		request["secretVersion"] = version
	}
	body, err := json.Marshal(request)
	if err != nil {
		d.fail(w, http.StatusBadRequest, "These claims can’t be sent.")
		return
	}
	position := d.audit.position()
	answer, err := d.client.post(r.Context(), "/v1/configurations/"+t.Configuration+":renderPage", body)
	if err != nil {
		d.fail(w, http.StatusBadGateway, "Deskmint can’t be reached.")
		return
	}
	t.Request, t.Audit = string(body), d.audit.since(position)
	t.addResponse(answer)
	t = d.traces.add(t)
	if t.Outcome == "OUTCOME_SIGN_IN" {
		// Its start link leads to the trace, as the setting start leads to a page of a company's app.
		answer.body = startLink.ReplaceAll(answer.body, []byte("${1}"+tracePath(t.ID)))
		answer.writeTo(w)
		return
	}
	http.Redirect(w, r, tracePath(t.ID), http.StatusSeeOther)
}

// addResponse adds Deskmint's response to the request for a page.
func (t *trace) addResponse(r response) {
	t.Status = r.status
	t.Outcome, t.Reason = r.header.Get("Deskmint-Outcome"), r.header.Get("Deskmint-Reason")
	t.SecretVersion, t.JTI = r.header.Get("Deskmint-Secret-Version"), r.header.Get("Deskmint-Jti")
	switch {
	case t.Outcome == "OUTCOME_SIGN_IN":
		t.addSignInPage(r)
	case !strings.HasPrefix(r.header.Get("Content-Type"), "text/html"):
		t.Reason = reasonOf(r.body) // an error without a page
	default:
		t.Page, t.PageHeaders = string(r.body), r.headerFields()
	}
}

var (
	tokenField  = regexp.MustCompile(`(name="jwt" value=")[^"]*`)
	formAction  = regexp.MustCompile(`<form [^>]*action="([^"]*)"`)
	startLink   = regexp.MustCompile(`(<p class="out"[^>]*><a href=")[^"]*`)
	scriptBlock = regexp.MustCompile(`(?s)<script>.*</script>`)
)

// addSignInPage adds the page that posts the token, without the token and the script.
func (t *trace) addSignInPage(r response) {
	t.SignInPage = tokenField.ReplaceAllString(string(r.body), "${1}THE-TOKEN")
	t.SignInPage = scriptBlock.ReplaceAllString(t.SignInPage, "<!-- the script, which posts the form -->")
	t.PageHeaders = r.headerFields()
	if found := formAction.FindStringSubmatch(t.SignInPage); found != nil {
		if action, err := url.Parse(html.UnescapeString(found[1])); err == nil {
			t.Action = *action
		}
	}
}

// headerFields returns the header as it is passed through, one value a field.
func (r response) headerFields() map[string]string {
	fields := map[string]string{}
	for name := range r.passedHeader() {
		fields[name] = r.header.Get(name)
	}
	return fields
}

// passedHeader returns the header without the fields that the demo's own server sets.
func (r response) passedHeader() http.Header {
	header := r.header.Clone()
	header.Del("Content-Length")
	header.Del("Date")
	return header
}

func (r response) writeTo(w http.ResponseWriter) {
	for name, values := range r.passedHeader() {
		w.Header()[name] = values
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body)
}

// signedOut serves the remote logout URL. Zendesk sends people here when they sign out, and when it
// couldn't sign them in.
func (d *pages) signedOut(w http.ResponseWriter, r *http.Request) {
	fields := map[string]string{ // of ReportSignInFailure, by parameter of the URL
		"kind": "kind", "message": "message", "email": "email", "external_id": "externalId", "brand_id": "brandId",
	}
	query := map[string]string{}
	for parameter, field := range fields {
		if value := r.FormValue(parameter); value != "" {
			query[field] = value
		}
	}
	configuration := r.FormValue("configuration")
	if !d.hasConfiguration(configuration) {
		d.fail(w, http.StatusBadRequest, "There is no such configuration.")
		return
	}
	position := d.audit.position()
	failure, err := d.client.reportSignInFailure(r.Context(), configuration, query)
	if err != nil {
		d.fail(w, http.StatusBadGateway, "Deskmint can’t be reached.")
		return
	}
	if query["kind"] == "" {
		d.render(w, "signed-out", "Signed out", "", query)
		return
	}
	t := d.traceOfFailure(configuration, query["brandId"])
	d.traces.update(t.ID, func(t *trace) {
		t.Query, t.Failure, t.Page, t.FailureHeaders = query, failure, failure.HTML, failure.Headers
		t.Reports = d.audit.since(position)
	})
	http.Redirect(w, r, tracePath(t.ID), http.StatusSeeOther)
}

// showReceived is the target of the links in the sandbox's pages. It leads to the trace.
func (d *pages) showReceived(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.FormValue("sign_in"))
	all := d.sandbox.SignIns()
	i := slices.IndexFunc(all, func(s sandbox.SignIn) bool { return s.ID == id })
	if i < 0 {
		d.fail(w, http.StatusNotFound, "The sandbox remembers no such sign-in.")
		return
	}
	http.Redirect(w, r, tracePath(d.traceOf(all[i]).ID), http.StatusFound)
}
