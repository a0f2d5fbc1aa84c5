package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// underPath are the paths of the brands for clients that can't resolve *.localhost.
const underPath = "/brands/acme"

// TestUnderPath signs a user in and out under a path of a loopback address. No redirect leaves the
// path.
func TestUnderPath(t *testing.T) {
	z := withRemotes(t, func(o *Options) { o.Redirect = true })
	for returnTo, want := range map[string]string{
		"":                     underPath + "/",
		"/hc/en-us?a=1#b":      underPath + "/hc/en-us?a=1#b",
		"/hc/50%25":            underPath + "/hc/50%25",
		"https://evil.example": underPath + "/",
		"https://acme.zendesk.com/agent/tickets?x=%2F#1": underPath + "/agent/tickets?x=%2F#1",
		"https://acme.zendesk.com":                       underPath + "/",
		"https://acme.zendesk.com?q=1":                   underPath + "/?q=1",
		"http://acme.localhost:8081/hc":                  underPath + "/hc",
		"https://help.acme.com//evil.example":            underPath + "//evil.example",
		"https://acme-labs.zendesk.com/hc":               "/brands/acme-labs/hc",
	} {
		fields := url.Values{"jwt": {tokenWith(nil)}, "return_to": {returnTo}}
		got := z.send(t, "POST", z.url("127.0.0.1", underPath+"/access/jwt"), formType, fields.Encode())
		if at := got.header.Get("Location"); got.status != http.StatusFound || at != want {
			t.Errorf("%q leads to %q (%d), want %q", returnTo, at, got.status, want)
		}
		if id := got.header.Get("Sandbox-Sign-In"); id != fmt.Sprint(z.last(t).ID) {
			t.Errorf("the answer names the sign-in %q, want %d", id, z.last(t).ID)
		}
	}
	page := z.get(t, "127.0.0.1", underPath+"/hc/en-us/requests")
	for _, want := range []string{
		"Signed in as Ada Lovelace", `href="/brands/acme/access/logout"`, `href="/brands/acme/sandbox/users"`,
	} {
		if !strings.Contains(page.body, want) {
			t.Errorf("%q isn't on the page\n%s", want, page.body)
		}
	}
	// The cookie is for the path of this brand only.
	for _, other := range []string{"/brands/acme-labs/", "/brands/acme-labs/hc"} {
		if page := z.get(t, "127.0.0.1", other); !strings.Contains(page.body, `id="signed-out"`) {
			t.Errorf("%s: %d %s", other, page.status, page.body)
		}
	}
	if to, query := z.visit(t, z.url("127.0.0.1", underPath+"/access/logout")); to != "https://acme.example/out#/x" ||
		query.Get("email") != "ada@example.com" {
		t.Errorf("signed out to %s with %v", to, query)
	}
	// The remote login gets a return_to that an application accepts.
	to, query := z.visit(t, z.url("127.0.0.1", underPath+"/agent/tickets?x=1"))
	if !strings.HasPrefix(to, remoteLogin) ||
		query.Get("return_to") != "https://acme.zendesk.com/agent/tickets?x=1" {
		t.Errorf("the agent interface leads to %s with %v", to, query)
	}
}

// TestRefusedUnderPath checks that the page of a refusal is under the path, too.
func TestRefusedUnderPath(t *testing.T) {
	z := startWith(t, func(o *Options) { o.Redirect = true })
	got := z.send(t, "POST", z.url("127.0.0.1", underPath+"/access/jwt"), formType, "jwt=nonsense")
	if !strings.Contains(got.body, `id="reason">token<`) || !strings.Contains(got.body, `href="/brands/acme/"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestUnknownPaths(t *testing.T) {
	z := start(t)
	for _, path := range []string{
		"/nothing", "/agentx", "/hcx", "/access", "/access/", "/access/jwt/", "/access/jwt2", "/robots.txt", "//hc",
		"/sandbox", "/sandbox/", "/sandbox/users/1", "/brands/acme/", "/auth/v2/login", "/favicon.ico",
	} {
		for _, at := range []struct{ host, path string }{
			{"acme.localhost", path}, {"127.0.0.1", underPath + path},
		} {
			got := z.get(t, at.host, at.path)
			if got.status != http.StatusNotFound || !strings.Contains(got.body, `id="unknown"`) ||
				!strings.Contains(got.body, `/sandbox/users">Users</a>`) {
				t.Errorf("%s%s: %d %s", at.host, at.path, got.status, got.body)
			}
		}
	}
	for _, path := range []string{
		"/nothing", "/access/jwt", "/brands", "/brands/", "/brands/nobody/", "/brands/Acme/",
	} {
		if got := z.get(t, "localhost", path); got.status != http.StatusNotFound ||
			!strings.Contains(got.body, "/brands/acme-labs/access/jwt") {
			t.Errorf("localhost%s: %d %s", path, got.status, got.body)
		}
	}
	for _, path := range []string{
		"", "/", "/home", "/hc", "/hc/de/articles/1", "/admin/home", "/auth/v2/login/signed_in?theme=hc", "/tickets/1",
	} {
		for _, at := range []struct{ host, path string }{{"acme.localhost", path}, {"localhost", underPath + path}} {
			if got := z.get(t, at.host, at.path); got.status != http.StatusOK {
				t.Errorf("%s%s: %d", at.host, at.path, got.status)
			}
		}
	}
}

// TestReturnToPath checks Zendesk's own target /access/return_to, which leads on to a host of the
// account only.
func TestReturnToPath(t *testing.T) {
	z := withRemotes(t, func(*Options) {})
	const path = "/access/return_to?return_to="
	for address, want := range map[string]string{
		z.url("acme.localhost", path+"https%3A%2F%2Fhelp.acme.com%2Fhc"): "https://help.acme.com/hc",
		z.url("acme.localhost", path+"https%3A%2F%2Fevil.example%2Fhc"):  "/",
		z.url("127.0.0.1", underPath+path+"%2Fhc"):                       underPath + "/hc",
	} {
		if got := z.send(t, "GET", address, "", ""); got.header.Get("Location") != want {
			t.Errorf("%s leads to %q, want %q", address, got.header.Get("Location"), want)
		}
	}
}

// TestAnyHost checks that other host names are served only with the option for them.
func TestAnyHost(t *testing.T) {
	for anyHost, want := range map[bool]int{false: http.StatusNotFound, true: http.StatusOK} {
		z := startWith(t, func(o *Options) { o.AnyHost = anyHost })
		for _, host := range []string{"zendesk", "sandbox.example", "192.0.2.1"} {
			for _, path := range []string{underPath + "/hc", apiPath + "/users"} {
				if got := z.get(t, host, path); got.status != want {
					t.Errorf("%v: http://%s%s: %d, want %d", anyHost, host, path, got.status, want)
				}
			}
		}
	}
}
