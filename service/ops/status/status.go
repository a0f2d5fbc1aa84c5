// Package status renders the page on which people read the state of a service.
//
// The page is HTML without scripts. It has no secret and no person's address.
package status

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the template and the style sheet
	"encoding/base64"
	"html/template"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/deskmint/deskmint/service/text"
)

// Page is everything that the page shows.
type Page struct {
	Now      time.Time
	Ready    bool
	Digest   string // of the configuration
	Findings []Finding
	List     List
	Store    Store
	Clocks   []Clock
	Issuers  []Issuer
	Ends     []End // what ends, the soonest first
	MoreEnds int   // of those that aren't in Ends
	Reload   *Reload
	Loaded   time.Time // when the configuration was last read and found good
	// Decisions are the decisions by reason, Reports the reported failures by class, and Warnings
	// the sign-ins with a field that was cleaned or left out, by field.
	Decisions, Reports, Warnings []Count
	Build                        Build
}

// Finding is something that a person should know, and what to do about it.
type Finding struct {
	What, Advice string
	Severe       bool // sign-ins fail
}

// List is the part of the configurations that the page shows.
type List struct {
	Total, Matched int     // all configurations, and those that the selection has
	States         []State // the numbers of configurations by their state
	Rows           []Row
	First          int       // the number of the first row, from 1
	Selection      Selection // what the person has asked for
	Pages          int
}

// Selection is what the parameters of the page select.
type Selection struct {
	Find  string // a part of the name
	State string
	Page  int // from 1
}

// State is the number of configurations in a state.
type State struct {
	Name  string
	Count int
}

// Row is one configuration.
type Row struct {
	Name, DisplayName, State string
	Active, Staged, Previous uint32    // versions of the secret; 0: none
	Created                  time.Time // of the active version; zero: unknown
	Read                     time.Time // when the store last answered with something to sign with; zero: never
	Findings                 []Finding
}

// Store is the state of the secret store.
type Store struct {
	Source            string
	Network           bool // it is behind a network, so the rest has a meaning
	Succeeded, Failed uint64
	TokenExpiry       time.Time // zero: unknown, or no end
	Interval          time.Duration
	Refreshes         []Count // by result
}

// Clock is a clock that this machine's is compared with.
type Clock struct {
	Host  string
	Ahead time.Duration
}

// Issuer is when the keys of an issuer were last fetched.
type Issuer struct {
	Name    string
	Fetched time.Time // zero: never
}

// End is a certificate or an identity that ends.
type End struct {
	What, Name string
	At         time.Time
	Soon       bool
}

// Reload is the last reload of the configuration.
type Reload struct {
	At            time.Time
	Result, Fault string
}

// Count is a counter.
type Count struct {
	Name  string
	Value uint64
}

// Build is the build of the program, and when its process began.
type Build struct {
	Version, Commit, Go string
	Started             time.Time
}

//go:embed page.html
var source string

//go:embed page.css
var style string

// Renderer renders pages. It is safe for concurrent use.
type Renderer struct {
	page   *template.Template
	policy string
}

// NewRenderer returns a renderer.
func NewRenderer() *Renderer {
	sum := sha256.Sum256([]byte(style))
	page := template.Must(template.New("page").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(style) }, // #nosec G203 -- a constant
		"count": text.Count,
		"span":  span,
		"clean": withoutAddresses,
		"add":   func(a, b int) int { return a + b },
		"odd":   func(n int) bool { return n%2 == 1 },
		// Every second part is a command, which the text has between backticks.
		"aroundCode": func(s string) []string { return strings.Split(s, "`") },
	}).Parse(source)) // the program's own template, which the tests render
	return &Renderer{
		page: page,
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	}
}

// Write writes the page as the answer to a request. If it can't render the page, it returns an error
// and writes nothing.
func (r *Renderer) Write(w http.ResponseWriter, p *Page) error {
	var b bytes.Buffer
	if err := r.page.Execute(&b, p); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", r.policy)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(b.Bytes()) // an error means that the client has gone away
	return nil
}

// Moment is a time together with its distance from the time of the page.
type Moment struct {
	At   time.Time
	Span string // such as "4 s ago" or "in 3 days"
}

// Moment returns a time for the template.
func (p *Page) Moment(at time.Time) Moment {
	switch ahead := at.Sub(p.Now); {
	case ahead >= time.Second:
		return Moment{at.UTC(), "in " + span(ahead)}
	case ahead > -time.Second:
		return Moment{at.UTC(), "just now"}
	}
	return Moment{at.UTC(), span(p.Now.Sub(at)) + " ago"}
}

// span returns a duration in its largest unit.
func span(d time.Duration) string {
	switch d = d.Abs(); {
	case d < time.Second:
		return text.Count(int(d.Milliseconds()), "millisecond")
	case d < 2*time.Minute:
		return text.Count(int(d.Seconds()), "second")
	case d < 2*time.Hour:
		return text.Count(int(d.Minutes()), "minute")
	case d < 48*time.Hour:
		return text.Count(int(d.Hours()), "hour")
	}
	return text.Count(int(d.Hours()/24), "day")
}

// Behind describes the offset of a clock.
func (c Clock) Behind() string {
	switch {
	case c.Ahead.Abs() < time.Second:
		return "equal, within a second"
	case c.Ahead > 0:
		return "ahead of this machine by " + span(c.Ahead)
	}
	return "behind this machine by " + span(c.Ahead)
}

// address is an e-mail address. A configuration file can have some, so its faults can, too.
var address = regexp.MustCompile(`[^\s"'<>(),;:/=]+(?:@|%40)[^\s"'<>(),;:/=]+`)

// withoutAddresses returns a text without e-mail addresses. It replaces bytes that are not UTF-8.
func withoutAddresses(s string) string {
	return address.ReplaceAllString(strings.ToValidUTF8(s, "�"), "(an address)")
}
