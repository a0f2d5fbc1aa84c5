package demo

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/deskmint/deskmint/service/sandbox"
)

// maxTraces is how many traces are kept. The oldest are dropped first.
const maxTraces = 50

// trace is one sign-in as each side saw it: the app's request, Deskmint's decision and audit
// records, and what Zendesk reported. It never holds a token.
type trace struct {
	ID            int
	Time          time.Time
	Person        string // "" if the demo didn't make the request
	Configuration string
	Brand         string // id
	Request       string // the JSON that was posted
	Status        int    // of Deskmint's response; 0 if the demo didn't make the request
	Outcome       string // the header Deskmint-Outcome
	Reason        string
	SecretVersion string
	JTI           string
	SignIn        int               // the id of the sandbox's record, if the trace began with it; else 0
	SignInPage    string            // the page that posts the token, without the token; "" if there is none
	Action        url.URL           // where SignInPage posts to
	Page          string            // what the user sees in place of Zendesk; "" if nothing went wrong
	PageHeaders   map[string]string // of the response to the request
	Audit         []string          // records, JSON
	Query         map[string]string // what Zendesk sent to the remote logout URL; nil: nothing
	Failure       signInFailure     // Deskmint's explanation of Query
	Reports       []string          // records of Failure, JSON
	// FailureHeaders are the headers of Page if Failure has it.
	FailureHeaders map[string]string
}

// ErrorHeaders returns the headers of Page.
func (t trace) ErrorHeaders() map[string]string {
	if t.FailureHeaders != nil {
		return t.FailureHeaders
	}
	return t.PageHeaders
}

// Refused reports whether Deskmint returned no token.
func (t trace) Refused() bool { return t.Status >= http.StatusBadRequest }

func tracePath(id int) string { return fmt.Sprintf("/traces/%d", id) }

// isOf reports whether a trace and a record of the sandbox are about the same sign-in.
func (t trace) isOf(s sandbox.SignIn) bool {
	return s.JTI != "" && t.JTI == s.JTI || t.SignIn == s.ID
}

// traceStore keeps the latest traces.
type traceStore struct {
	mu     sync.Mutex
	latest []*trace // the newest first
	lastID int
}

// add stores a trace and returns it with its ID and time.
func (s *traceStore) add(t trace) trace {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	t.ID, t.Time = s.lastID, time.Now()
	s.latest = slices.Insert(s.latest[:min(len(s.latest), maxTraces-1)], 0, &t)
	return t
}

// find returns the newest trace that matches.
func (s *traceStore) find(matches func(*trace) bool) (trace, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.latest, matches); i >= 0 {
		return *s.latest[i], true
	}
	return trace{}, false
}

// update changes the trace with that ID, if it is still kept.
func (s *traceStore) update(id int, change func(*trace)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.latest {
		if t.ID == id {
			change(t)
		}
	}
}

// all returns every trace, the newest first.
func (s *traceStore) all() []trace {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]trace, 0, len(s.latest))
	for _, t := range s.latest {
		all = append(all, *t)
	}
	return all
}

// signInsOf returns the sandbox's records of a trace, the newest first. There is none before the
// browser has posted the token, and more than one if it posts the token again.
func (d *Demo) signInsOf(t trace) []sandbox.SignIn {
	var all []sandbox.SignIn
	for _, signIn := range slices.Backward(d.sandbox.SignIns()) {
		if t.isOf(signIn) {
			all = append(all, signIn)
		}
	}
	return all
}

// traceOf returns the trace of a sandbox's record. It creates one if something other than the demo
// requested the token.
func (d *Demo) traceOf(signIn sandbox.SignIn) trace {
	if t, ok := d.traces.find(func(t *trace) bool { return t.isOf(signIn) }); ok {
		return t
	}
	t := trace{Configuration: signIn.Configuration, Brand: signIn.Brand, JTI: signIn.JTI, SignIn: signIn.ID}
	for _, record := range d.audit.since(0) {
		if signIn.JTI != "" && strings.Contains(record, strconv.Quote(signIn.JTI)) {
			t.Audit = append(t.Audit, record)
		}
	}
	return d.traces.add(t)
}

// traceOfFailure returns the trace for a failure that Zendesk has reported at the remote logout
// URL. That is the trace of the latest sign-in that Zendesk refused for this brand, if the trace
// has no report yet. Anyone can open that URL, so a report that matches no sign-in gets a new
// trace.
func (d *Demo) traceOfFailure(configuration, brand string) trace {
	for _, signIn := range slices.Backward(d.sandbox.SignIns()) {
		if signIn.Outcome != sandbox.OutcomeRefused || signIn.Brand != brand || signIn.JTI == "" {
			continue
		}
		t := d.traceOf(signIn)
		if t.Query == nil && (t.Configuration == configuration || t.Configuration == "") {
			return t
		}
		break
	}
	return d.traces.add(trace{Configuration: configuration, Brand: brand})
}

// summary is a trace in a few words, for the list.
type summary struct {
	trace
	BrandName, Deskmint, Zendesk string
	Good, Bad                    bool // the outcome at Zendesk
}

// summaries returns a summary of every trace. It first adds traces for tokens that something other
// than the demo requested, such as a pasted curl command.
func (d *Demo) summaries() []summary {
	signIns := d.sandbox.SignIns()
	for _, signIn := range signIns[max(0, len(signIns)-maxTraces):] {
		if signIn.JTI != "" {
			d.traceOf(signIn)
		}
	}
	traces := d.traces.all()
	all := make([]summary, 0, len(traces))
	for _, t := range traces {
		all = append(all, d.summarize(t))
	}
	return all
}

func (d *Demo) summarize(t trace) summary {
	s := summary{
		trace: t, BrandName: d.brandName(t.Configuration, t.Brand),
		Deskmint: "page given", Zendesk: "not posted yet",
	}
	signedIn := func(i sandbox.SignIn) bool { return i.Outcome == sandbox.OutcomeSignedIn }
	switch signIns := d.signInsOf(t); {
	case t.Refused():
		s.Deskmint, s.Zendesk = "refused: "+t.Reason, "never asked"
	case len(signIns) == 0:
	case slices.ContainsFunc(signIns, signedIn):
		s.Zendesk, s.Good = "signed in", true
	default:
		s.Zendesk, s.Bad = "refused: "+string(signIns[0].Reason), true
	}
	return s
}

// brandName returns the name of a brand, or its id if no configuration has it.
func (d *Demo) brandName(configuration, id string) string {
	for _, c := range d.configurations {
		for _, b := range c.Brands {
			if c.Name == configuration && b.ID == id {
				return b.Name
			}
		}
	}
	return id
}
