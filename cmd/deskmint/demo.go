package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/sandbox"
	"github.com/deskmint/deskmint/service/zendesk"
)

//go:embed demo.html demo.css
var demoFiles embed.FS

// demo is the company's app in the newcomer's first minute. It does what a legacy
// backend does: it has a signed-in person, asks Deskmint's REST door for the page,
// and passes the answer through.
type demo struct {
	configurations []demoConfigurationView
	people         []person
	deskmint       string // URL of the REST door
	client         *http.Client
	zendesk        *sandbox.Sandbox
	page           *template.Template
	style          template.CSS

	mu      sync.Mutex
	answers []demoAnswer // of Deskmint, the latest first
}

// demoAnswer is what the person's browser got, in words for the developer.
type demoAnswer struct {
	Person, Configuration string
	Status                int
	Outcome, Reason       string
}

// shown is how many rows each of the page's tables has at most.
const shown = 10

// person is somebody whom the demo's app has signed in.
type person struct {
	Name, Email string
	Role        string // as the API has it; empty: left out
	About       string
}

type demoConfigurationView struct {
	Name, DisplayName string
	Brands            []*zendesk.Brand
	Customers, Team   bool
}

func newDemo(s *config.Snapshot, deskmint string, z *sandbox.Sandbox) *demo {
	style, err := demoFiles.ReadFile("demo.css")
	if err != nil {
		panic(err) // it is compiled in
	}
	d := &demo{
		deskmint: deskmint,
		zendesk:  z,
		client:   &http.Client{Timeout: 10 * time.Second},
		style:    template.CSS(style), // #nosec G203 -- our own file
		page:     template.Must(template.ParseFS(demoFiles, "demo.html")),
		people: []person{
			{Name: "Ana Customer", Email: "ana@customer.example", About: "a customer"},
			{Name: "Bao Customer", Email: "bao@customer.example", Role: "ROLE_END_USER", About: "a customer, with the role in the token"},
			{Name: "Chidi Agent", Email: "chidi@acme.example", Role: "ROLE_AGENT", About: "an agent"},
			{Name: "Dana Admin", Email: "dana@acme.example", Role: "ROLE_ADMIN", About: "an administrator"},
		},
	}
	for _, name := range s.Names() {
		conf, _ := s.Configuration(name)
		d.configurations = append(d.configurations, demoConfigurationView{
			Name: name, DisplayName: conf.DisplayName, Brands: conf.Profile.Brands(),
			Customers: slices.Contains(conf.Profile.Audiences(), zendesk.EndUser),
			Team:      slices.Contains(conf.Profile.Audiences(), zendesk.TeamMember),
		})
	}
	return d
}

// beside puts the demo at http://localhost:PORT/ and the sandbox at its brands' hosts.
func (d *demo) beside(z http.Handler, port string) http.Handler {
	own := http.NewServeMux()
	own.HandleFunc("GET /{$}", d.home)
	own.HandleFunc("POST /sign-in", d.signIn)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			name = r.Host
		}
		if name == "localhost" || name == "127.0.0.1" {
			own.ServeHTTP(w, r)
			return
		}
		z.ServeHTTP(w, r)
	})
}

func (d *demo) home(w http.ResponseWriter, _ *http.Request) {
	signIns := d.zendesk.SignIns()
	slices.Reverse(signIns)
	d.mu.Lock()
	answers := d.answers
	d.mu.Unlock()
	var page bytes.Buffer
	err := d.page.Execute(&page, map[string]any{
		"Style": d.style, "Configurations": d.configurations, "People": d.people,
		"Answers": answers, "SignIns": signIns[:min(len(signIns), shown)],
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256([]byte(d.style))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; form-action 'self' http://*.localhost:*; frame-ancestors 'none'; base-uri 'none'; style-src 'sha256-"+
		base64.StdEncoding.EncodeToString(sum[:])+"'")
	_, _ = page.WriteTo(w)
}

// signIn asks Deskmint for the page and passes it through, headers and all.
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
	configuration := d.configurations[i].Name
	answer, err := d.renderPage(r.Context(), d.people[n], configuration, r.FormValue("brand"), r.FormValue("return_to"))
	if err != nil {
		http.Error(w, "Deskmint can't be reached", http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	d.note(demoAnswer{
		Person: d.people[n].Name, Configuration: configuration, Status: answer.StatusCode,
		Outcome: answer.Header.Get("Deskmint-Outcome"), Reason: answer.Header.Get("Deskmint-Reason"),
	})
	for name, values := range answer.Header {
		if name != "Content-Length" && name != "Date" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

func (d *demo) note(a demoAnswer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers = slices.Insert(slices.Clone(d.answers[:min(len(d.answers), shown-1)]), 0, a)
}

// renderPage asks for refusals as pages too: who reads the answer is a person.
func (d *demo) renderPage(ctx context.Context, p person, configuration, brand, returnTo string) (*http.Response, error) {
	user := map[string]any{"email": p.Email, "emailVerified": true, "name": p.Name}
	if p.Role != "" {
		user["role"] = p.Role
	}
	body, err := json.Marshal(map[string]any{"brandId": brand, "user": user, "returnTo": returnTo, "onError": "ON_ERROR_PAGE"})
	if err != nil {
		return nil, err
	}
	url := fmt.Sprintf("%s/v1/configurations/%s:renderPage", d.deskmint, configuration)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+config.DevKey)
	return d.client.Do(request)
}

// greet tells what to do next, in lines to paste.
func greet(std streams, s *config.Snapshot, l service.Listeners, port string) {
	name := s.Names()[0]
	conf, _ := s.Configuration(name)
	role := ""
	if !conf.Profile.Serves(zendesk.EndUser) {
		role = `,"role":"ROLE_AGENT"`
	}
	user := `"user":{"email":"ana@customer.example","emailVerified":true,"name":"Ana Customer"` + role + `}`
	fmt.Fprintf(std.out, `
Sign somebody in, in your browser:

    http://localhost:%[1]s/

The caller's key is %[2]s. A token over REST:

curl -sS http://%[3]s/v1/configurations/%[4]s:mintToken -H 'Authorization: Bearer %[2]s' -H 'Content-Type: application/json' -d '{%[5]s}'

The page itself, with its headers:

curl -sSi http://%[3]s/v1/configurations/%[4]s:renderPage -H 'Authorization: Bearer %[2]s' -H 'Content-Type: application/json' -d '{%[5]s}'

The same over gRPC (without grpcurl on the PATH: go tool -modfile=tools/go.mod grpcurl …):

grpcurl -plaintext -H 'Authorization: Bearer %[2]s' -d '{"configuration":"configurations/%[4]s",%[5]s}' %[6]s deskmint.v1.TokenService/MintToken

Ctrl-C ends it.
`, port, config.DevKey, l.HTTP.Addr(), name, user, l.GRPC.Addr())
}
