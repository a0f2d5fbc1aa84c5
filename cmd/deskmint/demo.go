package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deskmint/deskmint/secrets/memory"
	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/sandbox"
	"github.com/deskmint/deskmint/service/zendesk"
)

//go:embed demo.html demo.css
var demoFiles embed.FS

// demo is the company in the newcomer's first minute: the app that has somebody
// signed in, asks Deskmint's REST gateway for the page and passes it through; the page
// that Zendesk sends failed sign-ins to; and the operator, who rotates secrets and
// finds out what went wrong.
type demo struct {
	configurations []demoConfigurationView
	people         []person
	deskmint, ops  string // URLs of the REST gateway and the ops listener
	usersURL       string // of the sandbox's page of users
	client         *http.Client
	zendesk        *sandbox.Sandbox
	pages          *template.Template
	style          string
	audit, log     *witness
	vault          *demoVault

	mu      sync.Mutex
	stories []*story // the latest first
	last    int
}

type demoConfigurationView struct {
	Name, DisplayName string
	Brands            []*zendesk.Brand
	Customers, Team   bool
}

// demoParts are what the demo is put together from.
type demoParts struct {
	snapshot   *config.Snapshot
	listeners  service.Listeners
	zendesk    *sandbox.Sandbox
	store      *memory.Store
	secrets    demoSecretValues
	audit, log *witness
	port       string // of the sandbox's listener, which the demo shares
}

func newDemo(p demoParts) *demo {
	style, err := demoFiles.ReadFile("demo.css")
	if err != nil {
		panic(err) // it is compiled in
	}
	d := &demo{
		deskmint: "http://" + p.listeners.HTTP.Addr().String(),
		ops:      "http://" + p.listeners.Ops.Addr().String(),
		zendesk:  p.zendesk,
		client:   &http.Client{Timeout: 10 * time.Second},
		style:    string(style),
		people:   demoPeople(),
		audit:    p.audit,
		log:      p.log,
		vault:    newDemoVault(p.snapshot, p.store, p.secrets),
	}
	d.pages = template.Must(template.New("demo").Funcs(template.FuncMap{
		"style":  func() template.CSS { return template.CSS(d.style) }, // #nosec G203 -- our own file
		"pretty": pretty,
		"clock":  func(t time.Time) string { return t.Format("15:04:05") },
	}).ParseFS(demoFiles, "demo.html"))
	for _, name := range p.snapshot.Names() {
		conf, _ := p.snapshot.Configuration(name)
		view := demoConfigurationView{
			Name: name, DisplayName: conf.DisplayName, Brands: conf.Profile.Brands(),
			Customers: slices.Contains(conf.Profile.Audiences(), zendesk.EndUser),
			Team:      slices.Contains(conf.Profile.Audiences(), zendesk.TeamMember),
		}
		if view.DisplayName == "" {
			view.DisplayName = name
		}
		d.configurations = append(d.configurations, view)
	}
	if first := d.configurations[0].Brands; len(first) > 0 {
		d.usersURL = fmt.Sprintf("http://%s.localhost:%s/sandbox/users", first[0].Subdomain, p.port)
	}
	return d
}

// beside puts the demo at http://localhost:PORT/ and the sandbox at its brands' hosts.
func (d *demo) beside(z http.Handler) http.Handler {
	own := http.NewServeMux()
	own.HandleFunc("GET /{$}", d.showHome)
	own.HandleFunc("GET /login", d.showHome) // the remote login URL
	own.HandleFunc("POST /sign-in", d.signIn)
	own.HandleFunc("GET /signed-out", d.signedOut) // the remote logout URL
	own.HandleFunc("GET /received", d.showReceived)
	own.HandleFunc("GET /stories/{id}", d.showStory)
	own.HandleFunc("GET /stories/{id}/page", d.showPersonsPage)
	own.HandleFunc("GET /secrets", d.showSecrets)
	own.HandleFunc("POST /secrets", d.changeSecret)
	own.HandleFunc("GET /faults", d.showFaults)
	own.HandleFunc("POST /faults", d.setFault)
	own.HandleFunc("GET /operator", d.showOperator)
	// Other sites' pages may not press these buttons.
	guarded := http.NewCrossOriginProtection().Handler(own)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			name = r.Host
		}
		if name == "localhost" || name == "127.0.0.1" || name == "::1" || name == "[::1]" {
			guarded.ServeHTTP(w, r)
			return
		}
		z.ServeHTTP(w, r)
	})
}

// frame is what every page of the demo has around it.
type frame struct {
	Title, At string // At is the path of the page, for the navigation
	UsersURL  string
	Faults    []string // that are switched on, in words
	View      any
}

// show renders before it writes. styles are the hashes of further styles that the
// page may hold, in a frame.
func (d *demo) show(w http.ResponseWriter, name, title, at string, view any, styles ...string) {
	var page bytes.Buffer
	err := d.pages.ExecuteTemplate(&page, name, frame{title, at, d.usersURL, d.switchedOn(), view})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256([]byte(d.style))
	styles = append(styles, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; style-src "+
		strings.Join(styles, " "))
	_, _ = page.WriteTo(w)
}

// pretty sets JSON over several lines; what isn't JSON stays as it is.
func pretty(text string) string {
	var out bytes.Buffer
	if json.Indent(&out, []byte(text), "", "  ") != nil {
		return text
	}
	return strings.TrimSpace(out.String())
}
