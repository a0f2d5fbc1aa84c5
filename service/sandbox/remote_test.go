package sandbox

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const (
	remoteLogin  = "https://acme.example/zendesk/sso"
	remoteLogout = "https://acme.example/out?from=zendesk#/x"
)

// withRemotes returns a sandbox whose configurations have remote URLs. Its client doesn't follow
// redirects.
func withRemotes(t *testing.T, change func(*Options)) *zendesk {
	t.Helper()
	z := startWith(t, func(o *Options) {
		for i := range o.Configurations {
			c := &o.Configurations[i]
			c.RemoteLogin, c.RemoteLogout = remoteLogin+"?c="+c.Name, remoteLogout
		}
		change(o)
	})
	z.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return z
}

// visit returns the target that a GET is redirected to: Location without its query, and the query.
func (z *zendesk) visit(t *testing.T, address string) (to string, query url.Values) {
	t.Helper()
	got := z.send(t, "GET", address, "", "")
	u, err := url.Parse(got.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	query = u.Query()
	u.RawQuery = ""
	return u.String(), query
}

// postRefused posts a token that is refused, and follows the link in the answer.
func (z *zendesk) postRefused(t *testing.T, token string) (to string, query url.Values) {
	t.Helper()
	got := z.post(t, "acme.localhost", url.Values{"jwt": {token}, "return_to": {"/hc/x"}})
	found := link.FindStringSubmatch(got.body)
	if found == nil || !strings.HasPrefix(found[1], z.url("acme.localhost", "/access/unauthenticated")) {
		t.Fatalf("refused with %s", got.body)
	}
	return z.visit(t, found[1])
}

func equalQuery(t *testing.T, what string, got url.Values, want url.Values) {
	t.Helper()
	if got.Encode() != want.Encode() {
		t.Errorf("%s: the query is\n%s, want\n%s", what, got.Encode(), want.Encode())
	}
}

// TestErrorsAreReported checks that every message is sent to the remote logout URL, together with
// the identity of the user.
func TestErrorsAreReported(t *testing.T) {
	z := withRemotes(t, func(*Options) {})
	z.SetFaults(Faults{Blocked: []string{"eve@example.com"}})
	used := tokenWith(map[string]any{"email": "used@example.com"})
	z.post(t, "acme.localhost", url.Values{"jwt": {used}})
	z.clock.Store(int64(61e9))
	for name, c := range map[string]struct{ token, message, email string }{
		"clock": {tokenWith(map[string]any{"iat": testTime.Unix() - 180}), messageIssueTime, "ada@example.com"},
		// its email isn't verified
		"signature": {
			sign(goodHeader, claimsWith(nil), "another"+customersSecret), messageSignature, "",
		},
		"no typ": {sign(`{"alg":"HS256"}`, claimsWith(nil), customersSecret), messageSignature, ""},
		"claims": {tokenWith(map[string]any{"name": 7}), "invalid_token", "ada@example.com"},
		"replay": {used, messageReplay, "used@example.com"},
		"blocked": {
			tokenWith(map[string]any{"email": "Eve@example.com"}),
			"Users with the email address Eve@example.com are not allowed to sign up for this help desk",
			"Eve@example.com",
		},
		"audience": {tokenWith(map[string]any{"role": "agent"}), messageAudience, "ada@example.com"},
	} {
		to, query := z.postRefused(t, c.token)
		if to != "https://acme.example/out#/x" {
			t.Errorf("%s: sent to %s", name, to)
		}
		equalQuery(t, name, query, url.Values{
			"from":        {"zendesk"},
			"kind":        {"error"},
			"message":     {c.message},
			"email":       {c.email},
			"external_id": {""},
			"brand_id":    {"360001"},
		})
	}
	z.SetFaults(Faults{RateLimited: true})
	_, query := z.postRefused(t, tokenWith(nil))
	if query.Get("message") != messageRateLimit || z.last(t).Reason != ReasonRateLimit {
		t.Errorf("rate limit: %v, %+v", query, z.last(t))
	}
	z.SetFaults(Faults{})
	if z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(nil)}}); z.last(t).Outcome != OutcomeSignedIn {
		t.Errorf("without the rate limit: %+v", z.last(t))
	}
}

// TestErrorsWithoutRemoteLogout checks that the browser is sent to the remote login URL, which can
// start a loop.
func TestErrorsWithoutRemoteLogout(t *testing.T) {
	z := withRemotes(t, func(o *Options) {
		for i := range o.Configurations {
			o.Configurations[i].RemoteLogout = ""
		}
	})
	to, query := z.postRefused(t, tokenWith(map[string]any{"iat": 1}))
	if to != remoteLogin || query.Get("return_to") != "/hc/x" || query.Get("brand_id") != "360001" ||
		query.Has("message") {
		t.Errorf("sent to %s with %v", to, query)
	}
	// The URL is that of the configuration whose secret made the token.
	_, query = z.postRefused(t, sign(goodHeader, claimsWith(map[string]any{"iat": 1}), staffSecret))
	if query.Get("c") != "acme-staff" {
		t.Errorf("of the staff: %v", query)
	}
}

func TestRemoteLogin(t *testing.T) {
	z := withRemotes(t, func(*Options) {})
	for path, c := range map[string]struct{ configuration, returnTo string }{
		"/access/login?return_to=%2Fhc%2Fx":   {"acme-customers", "/hc/x"},
		"/hc/en-us/signin?return_to=%2Fhc":    {"acme-customers", "/hc"},
		"/hc/en-us/signin":                    {"acme-customers", ""},
		"/hc/en-us/requests/7?a=b":            {"acme-customers", z.url("acme.localhost", "/hc/en-us/requests/7?a=b")},
		"/hc/en-us/restricted":                {"acme-customers", z.url("acme.localhost", "/hc/en-us/restricted")},
		"/agent/tickets/1232":                 {"acme-staff", z.url("acme.localhost", "/agent/tickets/1232")},
		"/tickets/1232":                       {"acme-staff", z.url("acme.localhost", "/tickets/1232")},
		"/access/login?return_to=%2Fagent%2F": {"acme-staff", "/agent/"},
	} {
		to, query := z.visit(t, z.url("acme.localhost", path))
		if to != remoteLogin {
			t.Errorf("%s: sent to %q", path, to)
		}
		equalQuery(t, path, query, url.Values{
			"c":         {c.configuration},
			"brand_id":  {"360001"},
			"locale_id": {"1"},
			"return_to": {c.returnTo},
			"timestamp": {"1780315200"},
		})
	}
	for _, path := range []string{"/", "/hc/en-us", "/hc/en-us/articles/1", "/chat/agent"} {
		if got := z.get(t, "acme.localhost", path); got.status != 200 ||
			!strings.Contains(got.body, `id="signed-out"`) {
			t.Errorf("%s should need no sign-in: %d %s", path, got.status, got.body)
		}
	}
	// This brand has no configuration for team members.
	if got := z.get(t, "acme-labs.localhost", "/agent/"); !strings.Contains(got.body, `id="signed-out"`) {
		t.Errorf("the other brand: %d %s", got.status, got.body)
	}
	z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(nil)}})
	if got := z.get(t, "acme.localhost", "/hc/en-us/requests"); !strings.Contains(got.body, `id="signed-in"`) {
		t.Errorf("signed in: %d %s", got.status, got.body)
	}
}

// TestOwnForm checks the page that Zendesk's own sign-in form is replaced with.
func TestOwnForm(t *testing.T) {
	z := start(t)
	if got := z.get(t, "acme.localhost", "/access/normal"); !strings.Contains(got.body, `id="own-form"`) {
		t.Errorf("the other form: %s", got.body)
	}
}

func TestLogout(t *testing.T) {
	z := withRemotes(t, func(o *Options) {
		o.Configurations[1].RemoteLogout = "https://acme.example/out?email=&external_id="
	})
	out := z.url("acme.localhost", "/access/logout")
	if to, query := z.visit(t, out); to != "/" || len(query) != 0 {
		t.Errorf("signing out without a session leads to %s %v", to, query)
	}
	z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(map[string]any{"external_id": "7&8"})}})
	to, query := z.visit(t, out)
	if to != "https://acme.example/out#/x" {
		t.Errorf("sent to %s", to)
	}
	equalQuery(t, "signing out", query, url.Values{
		"from":        {"zendesk"},
		"email":       {"ada@example.com"},
		"external_id": {"7&8"},
		"brand_id":    {"360001"},
	})
	if got := z.get(t, "acme.localhost", "/"); !strings.Contains(got.body, `id="signed-out"`) {
		t.Errorf("still signed in: %s", got.body)
	}
	// Blank parameters keep email addresses out of the URL.
	z.post(t, "acme.localhost", url.Values{
		"jwt": {sign(goodHeader, claimsWith(map[string]any{"role": "agent"}), staffSecret)},
	})
	_, query = z.visit(t, out)
	equalQuery(t, "with blank parameters", query, url.Values{
		"email":       {""},
		"external_id": {""},
		"brand_id":    {"360001"},
	})
	// Without a remote logout URL the session ends, too.
	plain := start(t)
	plain.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(nil)}})
	if got := plain.get(t, "acme.localhost", "/access/logout"); !strings.Contains(got.body, `id="signed-out"`) ||
		len(plain.sessions.byID) != 0 || len(plain.sessions.inOrder) != 0 {
		t.Errorf("without a URL: %s", got.body)
	}
}

// TestSessionEndsForGood checks that the cookie of an ended session is invalid, even if a client
// kept it.
func TestSessionEndsForGood(t *testing.T) {
	z := start(t)
	got := z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(nil)}})
	kept, _, _ := strings.Cut(got.header.Get("Set-Cookie"), ";")
	z.get(t, "acme.localhost", "/access/logout")
	if u, err := url.Parse(z.url("acme.localhost", "/")); err != nil || len(z.client.Jar.Cookies(u)) != 0 {
		t.Errorf("the browser still has %v, %v", z.client.Jar.Cookies(u), err)
	}
	request, _ := http.NewRequestWithContext(t.Context(), "GET", z.url("acme.localhost", "/"), nil)
	request.Header.Set("Cookie", kept)
	response, err := z.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(body), `id="signed-out"`) {
		t.Error("signed in with the cookie of an ended session")
	}
}
