package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deskmint/deskmint/service/sandbox"
)

// maxStories is how many are remembered; the oldest go first.
const maxStories = 50

// story is one sign-in seen from all sides: what the app asked, what Deskmint
// decided and wrote down, what Zendesk made of it. It never holds a token.
type story struct {
	ID            int
	Time          time.Time
	Person        string // "" where something else than the demo asked
	Configuration string
	Brand         string // id
	Request       string // JSON, as it was posted
	Status        int    // of Deskmint's answer; 0: it wasn't the demo that asked
	Outcome       string // as in Deskmint-Outcome
	Reason        string
	SecretVersion string
	JTI           string
	SignIn        int    // the sandbox's id, where that is how the story began; else 0
	Page          string // what the person sees instead of Zendesk; "" while nothing is wrong
	PageHeaders   map[string]string
	Audit         []string          // records, JSON
	Query         map[string]string // what came to the remote logout URL; nil: nothing
	Failure       failure           // what Deskmint says of it
}

// tell keeps a new story and gives it its number.
func (d *demo) tell(s story) *story {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	s.ID, s.Time = d.last, time.Now()
	d.stories = slices.Insert(d.stories[:min(len(d.stories), maxStories-1)], 0, &s)
	return &s
}

// find returns a copy of the latest story that fits.
func (d *demo) find(fits func(*story) bool) (story, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.IndexFunc(d.stories, fits); i >= 0 {
		return *d.stories[i], true
	}
	return story{}, false
}

// received is what the sandbox made of a story's token: nil until the browser has
// posted it. The latest first, since a token may be posted twice.
func (d *demo) received(s story) []sandbox.SignIn {
	var all []sandbox.SignIn
	for _, signIn := range slices.Backward(d.zendesk.SignIns()) {
		if s.JTI != "" && signIn.JTI == s.JTI || signIn.ID == s.SignIn {
			all = append(all, signIn)
		}
	}
	return all
}

// storyOfSignIn is the story of what the sandbox received; something else than the
// demo may have asked for the token, and then it begins here.
func (d *demo) storyOfSignIn(signIn sandbox.SignIn) story {
	same := func(s *story) bool { return signIn.JTI != "" && s.JTI == signIn.JTI || s.SignIn == signIn.ID }
	if s, ok := d.find(same); ok {
		return s
	}
	s := story{Configuration: signIn.Configuration, Brand: signIn.Brand, JTI: signIn.JTI, SignIn: signIn.ID}
	for _, record := range d.audit.since(0) {
		if signIn.JTI != "" && strings.Contains(record, strconv.Quote(signIn.JTI)) {
			s.Audit = append(s.Audit, record)
		}
	}
	return *d.tell(s)
}

// showReceived is where the sandbox's pages link to.
func (d *demo) showReceived(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.FormValue("sign_in"))
	all := d.zendesk.SignIns()
	i := slices.IndexFunc(all, func(s sandbox.SignIn) bool { return s.ID == id })
	if i < 0 {
		http.Error(w, "the sandbox remembers no such sign-in", http.StatusNotFound)
		return
	}
	http.Redirect(w, r, storyPath(d.storyOfSignIn(all[i])), http.StatusFound)
}

// Refused says whether Deskmint gave no token.
func (s story) Refused() bool { return s.Status >= http.StatusBadRequest }

func storyPath(s story) string { return fmt.Sprintf("/stories/%d", s.ID) }

// signIn asks Deskmint for the page and passes it through, headers and all. A page
// that says why there is no sign-in is shown within its story: who reads it here is
// a developer.
func (d *demo) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	n, err := strconv.Atoi(r.FormValue("person"))
	if err != nil || n < 0 || n >= len(d.people) {
		http.Error(w, "no such person", http.StatusBadRequest)
		return
	}
	i := slices.IndexFunc(d.configurations, func(c demoConfigurationView) bool { return c.Name == r.FormValue("configuration") })
	if i < 0 {
		http.Error(w, "no such configuration", http.StatusBadRequest)
		return
	}
	s := story{Person: d.people[n].Name, Configuration: d.configurations[i].Name, Brand: r.FormValue("brand")}
	// Refusals are asked for as pages too: who would read the JSON is a person.
	request := map[string]any{"brandId": s.Brand, "user": userOf(d.people[n], r), "returnTo": r.FormValue("return_to"), "onError": "ON_ERROR_PAGE"}
	if version := d.vault.staged(s.Configuration); r.FormValue("staged") != "" && version != 0 {
		request["secretVersion"] = version
	}
	body, err := json.Marshal(request)
	if err != nil {
		http.Error(w, "these claims can't be sent", http.StatusBadRequest)
		return
	}
	mark := d.audit.mark()
	answer, err := d.ask(r.Context(), "/v1/configurations/"+s.Configuration+":renderPage", body)
	if err != nil {
		http.Error(w, "Deskmint can't be reached", http.StatusBadGateway)
		return
	}
	s.Request, s.Status, s.Audit = string(body), answer.status, d.audit.since(mark)
	s.Outcome, s.Reason = answer.header.Get("Deskmint-Outcome"), answer.header.Get("Deskmint-Reason")
	s.SecretVersion, s.JTI = answer.header.Get("Deskmint-Secret-Version"), answer.header.Get("Deskmint-Jti")
	if s.Outcome == "OUTCOME_SIGN_IN" {
		d.tell(s)
		d.pass(w, answer)
		return
	}
	if !strings.HasPrefix(answer.header.Get("Content-Type"), "text/html") {
		s.Reason = reasonIn(answer.body) // an error that came without a page
		http.Redirect(w, r, storyPath(*d.tell(s)), http.StatusSeeOther)
		return
	}
	s.Page, s.PageHeaders = string(answer.body), map[string]string{}
	for name := range answer.header {
		if name != "Content-Length" && name != "Date" {
			s.PageHeaders[name] = answer.header.Get(name)
		}
	}
	http.Redirect(w, r, storyPath(*d.tell(s)), http.StatusSeeOther)
}

func (d *demo) pass(w http.ResponseWriter, answer answered) {
	for name, values := range answer.header {
		if name != "Content-Length" && name != "Date" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body)
}

// signedOut is the company's remote logout URL: Zendesk sends people here who signed
// out, and those whom it couldn't sign in.
func (d *demo) signedOut(w http.ResponseWriter, r *http.Request) {
	query := map[string]string{}
	for parameter, field := range map[string]string{"kind": "kind", "message": "message", "email": "email", "external_id": "externalId", "brand_id": "brandId"} {
		if value := r.FormValue(parameter); value != "" {
			query[field] = value
		}
	}
	configuration := r.FormValue("configuration")
	if !slices.ContainsFunc(d.configurations, func(c demoConfigurationView) bool { return c.Name == configuration }) {
		http.Error(w, "no such configuration", http.StatusBadRequest)
		return
	}
	said, err := d.report(r.Context(), configuration, query)
	if err != nil {
		http.Error(w, "Deskmint can't be reached", http.StatusBadGateway)
		return
	}
	if query["kind"] == "" {
		d.show(w, "signed-out", "Signed out", "", query)
		return
	}
	s := d.storyOfFailure(configuration, query["brandId"])
	d.mu.Lock()
	for _, told := range d.stories {
		if told.ID == s.ID {
			told.Query, told.Failure, told.Page, told.PageHeaders = query, said, said.HTML, said.Headers
		}
	}
	d.mu.Unlock()
	http.Redirect(w, r, storyPath(s), http.StatusSeeOther)
}

// storyOfFailure finds whose failure Zendesk tells of: that of the latest sign-in it
// refused there and hasn't told of yet. A query that fits none has a story of its own,
// since anybody can make one up.
func (d *demo) storyOfFailure(configuration, brand string) story {
	for _, signIn := range slices.Backward(d.zendesk.SignIns()) {
		if signIn.Outcome != sandbox.OutcomeRefused || signIn.Brand != brand || signIn.JTI == "" {
			continue
		}
		if s := d.storyOfSignIn(signIn); s.Query == nil && (s.Configuration == configuration || s.Configuration == "") {
			return s
		}
		break
	}
	return *d.tell(story{Configuration: configuration, Brand: brand})
}

type storyView struct {
	story
	BrandName string
	Received  []sandbox.SignIn
	Claims    []string // of what was received, JSON; one for each
	Frame     bool     // whether there is a page to show in a frame
}

var styleHash = regexp.MustCompile(`'sha256-[A-Za-z0-9+/=]+'`)

func (d *demo) showStory(w http.ResponseWriter, r *http.Request) {
	s, ok := d.storyAt(r)
	if !ok {
		http.Error(w, "no such story: only the latest are remembered", http.StatusNotFound)
		return
	}
	view := storyView{story: s, BrandName: d.brandName(s.Configuration, s.Brand), Received: d.received(s), Frame: s.Page != ""}
	for _, signIn := range view.Received {
		claims, err := json.Marshal(signIn.Claims)
		if err != nil {
			claims = []byte("{}")
		}
		view.Claims = append(view.Claims, string(claims))
	}
	// The frame has no origin of its own to be served from, so its style falls under this page's policy.
	styles := styleHash.FindAllString(directive(headerOf(s.PageHeaders, "Content-Security-Policy"), "style-src"), -1)
	d.show(w, "story", "Step by step", "", view, styles...)
}

// directive returns one of a content security policy's.
func directive(policy, name string) string {
	for part := range strings.SplitSeq(policy, ";") {
		if part = strings.TrimSpace(part); strings.HasPrefix(part, name+" ") {
			return part
		}
	}
	return ""
}

func headerOf(headers map[string]string, name string) string {
	for key, value := range headers {
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

// showPersonsPage is the page alone, as the person sees it, with its own headers.
func (d *demo) showPersonsPage(w http.ResponseWriter, r *http.Request) {
	s, ok := d.storyAt(r)
	if !ok || s.Page == "" {
		http.Error(w, "there is no such page", http.StatusNotFound)
		return
	}
	for name, value := range s.PageHeaders {
		w.Header().Set(name, value)
	}
	if s.Query == nil {
		w.WriteHeader(s.Status)
	}
	_, _ = w.Write([]byte(s.Page))
}

func (d *demo) storyAt(r *http.Request) (story, bool) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return story{}, false
	}
	return d.find(func(s *story) bool { return s.ID == id })
}

// brandName is for reading; the id where no configuration knows it.
func (d *demo) brandName(configuration, id string) string {
	for _, c := range d.configurations {
		for _, b := range c.Brands {
			if c.Name == configuration && b.ID == id {
				return b.Name
			}
		}
	}
	return id
}

// verdict is a story in a few words, for the list.
type verdict struct {
	story
	BrandName, Deskmint, Zendesk string
	Good, Bad                    bool // at Zendesk
}

// verdicts are all stories, those included that began elsewhere: a pasted curl has one.
func (d *demo) verdicts() []verdict {
	received := d.zendesk.SignIns()
	for _, signIn := range received[max(0, len(received)-maxStories):] {
		if signIn.JTI != "" {
			d.storyOfSignIn(signIn)
		}
	}
	d.mu.Lock()
	stories := make([]story, 0, len(d.stories))
	for _, s := range d.stories {
		stories = append(stories, *s)
	}
	d.mu.Unlock()
	all := make([]verdict, 0, len(stories))
	for _, s := range stories {
		v := verdict{story: s, BrandName: d.brandName(s.Configuration, s.Brand), Deskmint: "page given", Zendesk: "not posted yet"}
		switch received := d.received(s); {
		case s.Refused():
			v.Deskmint, v.Zendesk = "refused: "+s.Reason, "never asked"
		case len(received) == 0:
		case slices.ContainsFunc(received, func(i sandbox.SignIn) bool { return i.Outcome == sandbox.OutcomeSignedIn }):
			v.Zendesk, v.Good = "signed in", true
		default:
			v.Zendesk, v.Bad = "refused: "+string(received[0].Reason), true
		}
		all = append(all, v)
	}
	return all
}

type homeView struct {
	Configurations []demoConfigurationView
	People         []person
	Stories        []verdict
	Asked          url.Values // what Zendesk sent to the remote login URL; nil: nobody was sent
	ReturnTo       string
	Staged         map[string]uint32 // by configuration
	TryStaged      bool
}

// showHome is also the remote login URL: Zendesk sends people here who want in.
func (d *demo) showHome(w http.ResponseWriter, r *http.Request) {
	view := homeView{
		Configurations: d.configurations, People: d.people, Stories: d.verdicts(), ReturnTo: "/hc/en-us",
		Staged: map[string]uint32{}, TryStaged: r.FormValue("staged") != "",
	}
	for _, c := range d.configurations {
		view.Staged[c.Name] = d.vault.staged(c.Name)
	}
	if r.URL.Path == "/login" {
		if view.Asked = r.URL.Query(); view.Asked.Get("return_to") != "" {
			view.ReturnTo = view.Asked.Get("return_to")
		}
	}
	d.show(w, "home", "Sign somebody in", "/", view)
}
