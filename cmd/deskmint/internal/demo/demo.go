// Package demo serves the pages of `deskmint dev`: a company's app that signs people in to Zendesk
// with Deskmint, and the tools that an operator uses to rotate secrets and to find faults.
//
// The demo is a client of Deskmint's REST gateway, as a real app is. Zendesk is played by
// [github.com/deskmint/deskmint/service/sandbox]. The demo keeps a trace of each sign-in and shows
// it step by step: the app's request, Deskmint's decision and audit record, and what Zendesk did.
package demo

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/sandbox"
	"github.com/deskmint/deskmint/service/zendesk"
)

//go:embed demo.html demo.css demo.js demo.yaml
var files embed.FS

// readFile returns an embedded file.
func readFile(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err) // the compiler has embedded it
	}
	return b
}

// Configuration returns the configuration file that `deskmint dev` uses if it is given none.
func Configuration() []byte { return readFile("demo.yaml") }

// Origin returns the URL of the app, which is served at the sandbox's port.
func Origin(port string) string { return "http://localhost:" + port }

// Options of [New].
type Options struct {
	// Snapshot is the configuration of the service.
	Snapshot *config.Snapshot
	// Port is the port that [Demo.Handler] is served at.
	Port string
	// Output receives the log and the audit records.
	Output io.Writer
}

// Addresses are those of the service's listeners, each as HOST:PORT.
type Addresses struct{ GRPC, HTTP, Ops string }

// Demo holds the state of the demo. It is safe for concurrent use.
type Demo struct {
	snapshot       *config.Snapshot
	port           string
	configurations []configurationView
	people         []person
	sandbox        *sandbox.Sandbox
	templates      *template.Template
	style, script  string
	output         *heldWriter
	audit, log     *recorder
	rotation       *rotation
	traces         traceStore
	changes        atomic.Int64 // how often a fault or a secret was changed
}

type configurationView struct {
	Name, DisplayName string
	Brands            []*zendesk.Brand
	Customers, Team   bool // whether it signs in end users, and team members
}

// New generates the secrets that the configuration names, and makes a sandbox that has the same
// secrets.
func New(o Options) (*Demo, error) {
	store, values := newSecrets(o.Snapshot)
	z, err := newSandbox(o.Snapshot, values, Origin(o.Port))
	if err != nil {
		return nil, err
	}
	output := &heldWriter{to: o.Output}
	d := &Demo{
		snapshot: o.Snapshot,
		port:     o.Port,
		sandbox:  z,
		style:    string(readFile("demo.css")),
		script:   string(readFile("demo.js")),
		output:   output,
		people:   demoPeople(),
		audit:    &recorder{to: output},
		log:      &recorder{to: output},
		rotation: newRotation(o.Snapshot, z, store, values),
	}
	d.templates = template.Must(template.New("demo").Funcs(template.FuncMap{
		"style":  func() template.CSS { return template.CSS(d.style) }, // #nosec G203 -- our own file
		"script": func() template.JS { return template.JS(d.script) },  // #nosec G203 -- our own file
		"pretty": indentJSON,
		"code":   breakable,
		"class":  shortClass,
		"times":  times,
		"clock":  func(t time.Time) string { return t.Format("15:04:05") },
	}).ParseFS(files, "demo.html"))
	for _, name := range o.Snapshot.Names() {
		conf, _ := o.Snapshot.Configuration(name)
		view := configurationView{
			Name: name, DisplayName: conf.DisplayName, Brands: conf.Profile.Brands(),
			Customers: slices.Contains(conf.Profile.Audiences(), zendesk.EndUser),
			Team:      slices.Contains(conf.Profile.Audiences(), zendesk.TeamMember),
		}
		if view.DisplayName == "" {
			view.DisplayName = name
		}
		d.configurations = append(d.configurations, view)
	}
	return d, nil
}

// Secrets returns the store that the service must read its secrets from.
func (d *Demo) Secrets() secrets.Source { return d.rotation.store }

// Audit returns the writer for audit records, which the pages show.
func (d *Demo) Audit() io.Writer { return d.audit }

// Log returns the writer for the log, which the pages show.
func (d *Demo) Log() io.Writer { return d.log }

// Handler serves the demo at http://localhost:PORT/. It serves the sandbox at the hosts of its
// brands, and at the demo's host under the sandbox's paths.
func (d *Demo) Handler(at Addresses) http.Handler {
	p := &pages{Demo: d, client: &client{
		rest: "http://" + at.HTTP, ops: "http://" + at.Ops, http: &http.Client{Timeout: 10 * time.Second},
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.showHome)
	mux.HandleFunc("GET /login", p.showHome) // the remote login URL
	mux.HandleFunc("POST /sign-in", p.signIn)
	mux.HandleFunc("GET /signed-out", p.signedOut) // the remote logout URL
	mux.HandleFunc("GET /received", p.showReceived)
	mux.HandleFunc("GET /traces/{id}", p.showTrace)
	mux.HandleFunc("GET /traces/{id}/page", p.showUserPage)
	mux.HandleFunc("GET /secrets", p.showSecrets)
	mux.HandleFunc("POST /secrets", p.changeSecret)
	mux.HandleFunc("GET /faults", p.showFaults)
	mux.HandleFunc("POST /faults", p.setFault)
	mux.HandleFunc("GET /operator", p.showOperator)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		d.fail(w, http.StatusNotFound, "There is no such page.")
	})
	// The pages of other sites must not be able to post the demo's forms.
	app := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			name = r.Host
		}
		if name == "localhost" || name == "127.0.0.1" || name == "::1" || name == "[::1]" {
			if sandbox.ServesPath(r.URL.Path) {
				d.sandbox.ServeHTTP(w, r)
				return
			}
			app.ServeHTTP(w, r)
			return
		}
		d.sandbox.ServeHTTP(w, r)
	})
}

// pages are the HTTP handlers.
type pages struct {
	*Demo

	client *client
}

// usersURL is the sandbox's list of users; "" if the first configuration has no brands.
func (d *Demo) usersURL() string {
	brands := d.configurations[0].Brands
	if len(brands) == 0 {
		return ""
	}
	return fmt.Sprintf("http://%s.localhost:%s/sandbox/users", brands[0].Subdomain, d.port)
}

// hasConfiguration reports whether there is a configuration with that name.
func (d *Demo) hasConfiguration(name string) bool {
	_, ok := d.snapshot.Configuration(name)
	return ok
}

// layout is the data for the parts that all pages have in common.
type layout struct {
	Title, At string // At is the path of the page, for the navigation
	UsersURL  string
	Faults    []string // the faults that are switched on, in words
	Changes   int64    // how often a fault or a secret was changed
	View      any
}

// render writes a page. styles are the hashes of styles that an embedded frame has.
func (d *Demo) render(w http.ResponseWriter, name, title, at string, view any, styles ...string) {
	d.renderStatus(w, http.StatusOK, name, title, at, view, styles...)
}

func (d *Demo) renderStatus(
	w http.ResponseWriter, status int, name, title, at string, view any, styles ...string,
) {
	var page bytes.Buffer
	data := layout{title, at, d.usersURL(), d.activeFaults(), d.changes.Load(), view}
	if err := d.templates.ExecuteTemplate(&page, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	styles = append(styles, hashSource(d.style))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; img-src data:; form-action 'self'; "+
		"frame-ancestors 'none'; base-uri 'none'; script-src "+hashSource(d.script)+"; style-src "+
		strings.Join(styles, " "))
	if status != http.StatusOK {
		w.WriteHeader(status)
	}
	_, _ = page.WriteTo(w)
}

// fail writes a page that says what is wrong. It has the navigation of every page.
func (d *Demo) fail(w http.ResponseWriter, status int, sentence string) {
	d.renderStatus(w, status, "failure", http.StatusText(status), "", sentence)
}

// hashSource returns the source of a style or script in a content security policy.
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

var punctuation = regexp.MustCompile(`[_.:@]`)

// breakable returns a code as HTML that may break into lines behind its punctuation.
func breakable(code string) template.HTML {
	escaped := template.HTMLEscapeString(code)
	// #nosec G203 -- escaped above
	return template.HTML(punctuation.ReplaceAllString(escaped, "$0<wbr>"))
}

// indentJSON breaks JSON into lines. It returns other text as it is.
func indentJSON(text string) string {
	var out bytes.Buffer
	if json.Indent(&out, []byte(text), "", "  ") != nil {
		return text
	}
	return strings.TrimSpace(out.String())
}
