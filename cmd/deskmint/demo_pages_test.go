package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/demo"
	"github.com/deskmint/deskmint/service/config"
)

// personFrame begins the frame that has the page of a person who isn't signed in.
const personFrame = `title="The page that the person sees"`

// TestDemoClaims checks that the trace has the fields of the form, the claims that were sent, and
// what Zendesk did with them.
func TestDemoClaims(t *testing.T) {
	t.Parallel()
	d := dev(t)
	contains(t, "Ana's profile", d.signIn(t, url.Values{}), "shop-1001",
		"&#34;organization&#34;: &#34;Ana and Daughters&#34;", "<ins>newsletter</ins>",
		"&#34;decision&#34;: &#34;allow&#34;")
	trace := d.signIn(t, url.Values{
		"tags":          {"vip, <b>"},
		"user_fields":   {"plan=gold, seats="},
		"organizations": {"Other"},
	})
	contains(t, "with changes", trace, "<del>newsletter</del></td>", "<ins>vip, &lt;b&gt;</ins></td>",
		"<ins>gold</ins>", "<ins>Ana and Daughters, Other</ins>", "&#34;seats&#34;: null")
	contains(t, "without tags", d.signIn(t, url.Values{"tags": {"-"}}), "<del>vip, &lt;b&gt;</del></td>")
	if trace := d.signIn(t, url.Values{"profile": {"none"}, "tags": {"x"}}); !strings.Contains(trace, "Nothing new") ||
		strings.Contains(trace, "&#34;tags&#34;") {
		t.Errorf("with no claims: %s", trace)
	}
	checkShown(t, false, trace, tokenStart)
	contains(t, "with a foreign return_to", d.signIn(t, url.Values{"return_to": {"https://evil.example/"}}),
		`id="warnings"`, "<code>return_to</code>", "Signed in.")
	contains(t, "the operator's page", d.visit(t, "/operator").body, "A value was changed or left out: return_to.")
	// A token that something other than the demo requested has a trace, too.
	minted := d.post(t, config.DevKey, "/v1/configurations/acme-customers:mintToken", anaJSON)
	page := checkPost(t, d.sandbox, minted.form, "Ana")
	found := regexp.MustCompile(`/received\?sign_in=\d+`).FindString(page)
	contains(t, "of another caller", d.visit(t, found).body, "Somebody at Acme", "MintToken", "Signed in.")
	// So does a request without a token.
	explained := toSandboxPage(t, d, "/access/jwt")
	found = regexp.MustCompile(`/received\?sign_in=\d+`).FindString(explained)
	for range 2 {
		contains(t, "of a GET", d.visit(t, found).body, "GET is deprecated",
			"It may not be a token of Deskmint’s at all")
	}
	if n := strings.Count(d.home(t), "not from here</span>"); n != 2 {
		t.Errorf("%d traces of other requests, want 2", n)
	}
	if got := d.visit(t, "/received?sign_in=99"); got.status != http.StatusNotFound {
		t.Errorf("of no sign-in: %d", got.status)
	}
}

// TestDemoFaults checks what Zendesk, the person and the operator see of each fault, and that the
// fault can be switched off.
func TestDemoFaults(t *testing.T) {
	t.Parallel()
	d := dev(t)
	for fault, want := range map[string][]string{
		"ahead":  {"Invalid iat parameter.", "CLASS_CLOCK", "minutes ahead."},
		"behind": {"Invalid iat parameter.", "CLASS_CLOCK", "minutes behind."},
		"rate":   {"rate limit", "CLASS_RATE_LIMITED", "too many sign-ins."},
		"blocked": {
			"ana@customer.example are not allowed to sign up", "CLASS_BLOCKED", "block list has ana@customer.example.",
		},
		"unassigned": {"t authenticate you", "CLASS_NOT_ENABLED", "assigned to nobody."},
	} {
		d.submit(t, "/faults", url.Values{"fault": {fault}, "on": {"yes"}, "address": {"ana@customer.example"}})
		contains(t, fault, d.signIn(t, url.Values{}), append(want, personFrame)...)
		d.submit(t, "/faults", url.Values{"fault": {fault}, "on": {"no"}})
		if trace := d.signIn(t, url.Values{}); !strings.Contains(trace, "Signed in.") ||
			strings.Contains(trace, "Out of order") {
			t.Errorf("after %s: %s", fault, trace)
		}
	}
	if got := d.submit(t, "/faults", url.Values{"fault": {"none"}}); got.status != http.StatusBadRequest {
		t.Errorf("no such fault: %d", got.status)
	}
}

// TestDemoRotation rotates a secret in place, with the failures that this causes, and back.
func TestDemoRotation(t *testing.T) {
	t.Parallel()
	d := dev(t)
	act := func(name string) string {
		t.Helper()
		got := d.submit(t, "/secrets", url.Values{"configuration": {"acme-customers"}, "act": {name}})
		if got.status != http.StatusOK {
			t.Fatalf("%s: %d %s", name, got.status, got.body)
		}
		return got.body
	}
	contains(t, "in the beginning", d.visit(t, "/secrets").body, "In order:")
	contains(t, "after the reset", act("reset"), "Stage it.", "Out of order")
	contains(t, "a sign-in in between", d.signIn(t, url.Values{}), "JWT signature invalid.", "CLASS_SIGNATURE",
		"has been reset since")
	contains(t, "staged", act("stage"), "try it, then activate it.")
	contains(t, "still the old one", d.signIn(t, url.Values{}), "version 1 of the secret", "JWT signature invalid.")
	contains(t, "tried", d.signIn(t, url.Values{"staged": {"yes"}}), "version 2 of the secret", "Signed in.")
	contains(t, "activated", act("activate"), "In order:")
	contains(t, "the new one", d.signIn(t, url.Values{}), "version 2 of the secret", "Signed in.")
	contains(t, "the operator's page", d.visit(t, "/operator").body, "acme-customers", "usable",
		`data-label="Active">2</td>`, "secret loaded", "SignInFailure")
	contains(t, "rolled back", act("rollback"), "a version that Zendesk has forgotten")
	contains(t, "the old one again", d.signIn(t, url.Values{}), "JWT signature invalid.")
	act("activate")
	contains(t, "switched off", act("disable"), "Switched off:")
	contains(t, "a sign-in then", d.signIn(t, url.Values{}), "CONFIGURATION_DISABLED", personFrame)
	act("enable")
	contains(t, "in the end", d.signIn(t, url.Values{}), "Signed in.")
	for _, refused := range []string{"stage", "activate", "nonsense"} {
		if got := d.submit(t, "/secrets",
			url.Values{"configuration": {"acme-customers"}, "act": {refused}}); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d", refused, got.status)
		}
	}
	d.checkNoSecretsButGreeting(t)
}

// TestDemoRotationWithoutGap checks that no sign-in fails during a rotation with a second
// configuration at Zendesk.
func TestDemoRotationWithoutGap(t *testing.T) {
	t.Parallel()
	d := dev(t)
	for _, step := range []struct {
		act, says, signsWith string
		resets               int
	}{
		{"second", "configuration’s secret can be staged.", "version 1 of", 1},
		{"stage", "secret is staged: try it", "version 1 of", 1},
		{"activate", "The first configuration there can go.", "version 2 of", 2},
		{"rollback", "secret is staged: try it", "version 1 of", 1},
		{"activate", "The first configuration there can go.", "version 2 of", 2},
		{"remove", "In order:", "version 2 of", 2},
		{"second", "can be staged.", "version 2 of", 1},
	} {
		got := d.submit(t, "/secrets", url.Values{"configuration": {"acme-customers"}, "act": {step.act}})
		contains(t, step.act, got.body, step.says, "In order:")
		// The page has the button that resets a secret only if that secret signs.
		if got, want := strings.Count(d.visit(t, "/faults").body, "Reset it at Zendesk"), step.resets; got != want {
			t.Errorf("after %s secrets of %d configurations can be reset, want %d", step.act, got, want)
		}
		contains(t, "a sign-in after "+step.act, d.signIn(t, url.Values{}), step.signsWith, "Signed in.")
	}
	// Zendesk refuses the secret of the configuration that was removed.
	d.submit(t, "/secrets", url.Values{"configuration": {"acme-customers"}, "act": {"rollback"}})
	contains(t, "with the first one's secret", d.signIn(t, url.Values{}), "JWT signature invalid.", "CLASS_SIGNATURE")
	for _, act := range []string{"second", "remove"} {
		d.submit(t, "/secrets", url.Values{"configuration": {"acme-staff"}, "act": {act}})
		if got := d.submit(t, "/secrets",
			url.Values{"configuration": {"acme-staff"}, "act": {act}}); got.status != http.StatusBadRequest {
			t.Errorf("%s a second time: %d", act, got.status)
		}
	}
}

// devWith starts dev with a changed copy of its configuration.
func devWith(t *testing.T, change ...string) *deskmint {
	t.Helper()
	for i := 0; i < len(change); i += 2 {
		if !bytes.Contains(demo.Configuration(), []byte(change[i])) {
			t.Fatalf("the demo's configuration has no %q", change[i])
		}
	}
	file := filepath.Join(t.TempDir(), "deskmint.yaml")
	if err := os.WriteFile(file, []byte(strings.NewReplacer(change...).Replace(string(demo.Configuration()))),
		0o600); err != nil {
		t.Fatal(err)
	}
	return dev(t, "--config", file)
}

// TestDemoSharedPath keeps the secrets of two configurations in fields of one path. Each version
// has both fields, and a rotation of one doesn't change the other.
func TestDemoSharedPath(t *testing.T) {
	t.Parallel()
	d := devWith(t, "path: sso/acme-staff, field: shared_secret", "path: sso/acme-customers, field: staff_secret")
	both := func(when string) {
		t.Helper()
		contains(t, "a customer "+when, d.signIn(t, url.Values{}), "Signed in.")
		contains(t, "an agent "+when, d.signIn(t, url.Values{"configuration": {"acme-staff"}, "person": {"2"}}),
			"Signed in.")
		for _, path := range []string{"/", "/secrets", "/faults"} {
			if got := d.visit(t, path); got.status != http.StatusOK || !strings.Contains(got.body, "</html>") ||
				strings.Contains(got.body, "Out of order") {
				t.Errorf("%s %s: %d %s", path, when, got.status, got.body)
			}
		}
	}
	both("in the beginning")
	for _, act := range []string{"reset", "stage", "activate"} {
		if got := d.submit(t, "/secrets",
			url.Values{"configuration": {"acme-staff"}, "act": {act}}); got.status != http.StatusOK {
			t.Fatalf("%s: %d %s", act, got.status, got.body)
		}
	}
	both("after a change of one")
}

// TestDemoRefusals checks the page of a refusal, with and without an error page for the person.
func TestDemoRefusals(t *testing.T) {
	t.Parallel()
	d := dev(t)
	check := func(trace string, wanted ...string) {
		t.Helper()
		contains(t, "the trace", trace, append(wanted, "Nothing was signed.", `class="failed"`)...)
		contains(t, "the list", d.rows(t)[0], "refused: ", "never asked")
		if strings.Contains(trace, "Allowed:") || strings.Contains(trace, "It has not arrived") {
			t.Errorf("a refusal is displayed as a sign-in: %s", trace)
		}
	}
	check(d.signIn(t, url.Values{"brand": {"99"}}), "Refused. The app has no grant for this brand.</strong>",
		"HTTP 403, <code>BRAND_NOT_ALLOWED</code>", personFrame)
	// An angle bracket is six times as long in JSON, so the request exceeds the limit.
	response, err := http.Post("http://"+d.sandbox+"/sign-in", "application/x-www-form-urlencoded",
		strings.NewReader("person=0&configuration=acme-customers&brand="+strings.Repeat("<", 15000)))
	if err != nil {
		t.Fatal(err)
	}
	check(readAnswer(t, response).body, "HTTP 413, <code>INVALID_REQUEST</code>")
}

// TestDemoRemoteURLs opens the URLs that Zendesk sends people to, and a forged one.
func TestDemoRemoteURLs(t *testing.T) {
	t.Parallel()
	d := dev(t)
	contains(t, "the remote login",
		d.visit(t, "/login?configuration=acme-customers&brand_id=360002&return_to=/hc/%3Cb%3E").body,
		`id="asked"`, `value="360002" selected`, `value="/hc/&lt;b&gt;"`)
	contains(t, "the remote logout",
		d.visit(t, "/signed-out?configuration=acme-customers&email=a@b.example&brand_id=360001").body,
		`id="signed-out"`, "a@b.example")
	forged := d.visit(t, "/signed-out?configuration=acme-customers&kind=error&brand_id=360001"+
		"&message=JWT+signature+invalid.+%3Cscript%3E")
	contains(t, "a forged report", forged.body, "CLASS_SIGNATURE", "signature invalid. &lt;script&gt;")
	if strings.Count(forged.body, "<script") != 1 {
		t.Errorf("a forged report: %s", forged.body)
	}
	if got := d.visit(t, "/signed-out?configuration=nobody&kind=error"); got.status != http.StatusBadRequest {
		t.Errorf("of no configuration: %d", got.status)
	}
}

// TestDemoCrossOrigin checks that other sites can't post the demo's forms, and that every page has
// a content security policy.
func TestDemoCrossOrigin(t *testing.T) {
	t.Parallel()
	d := dev(t)
	for _, path := range []string{"/sign-in", "/secrets", "/faults"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+d.sandbox+path,
			strings.NewReader("fault=rate&on=yes"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Sec-Fetch-Site", "cross-site")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAnswer(t, response); got.status != http.StatusForbidden {
			t.Errorf("%s from another site: %d", path, got.status)
		}
	}
	for _, path := range []string{
		"/", "/secrets", "/faults", "/operator", "/login", "/signed-out?configuration=acme-staff",
	} {
		got := d.visit(t, path)
		policy := got.header.Get("Content-Security-Policy")
		if got.status != http.StatusOK || !strings.HasPrefix(policy, "default-src 'none'; ") ||
			strings.Contains(policy, "unsafe") || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", path, got.status, policy)
		}
		_, script, _ := strings.Cut(got.body, "<script>")
		script, after, _ := strings.Cut(script, "</script>")
		sum := sha256.Sum256([]byte(script))
		if !strings.Contains(policy, "script-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"';") ||
			strings.Contains(after, "<script") || strings.Contains(got.body, "Out of order") ||
			strings.Contains(got.body, " style=") {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	// None of these hosts belongs to a brand.
	for _, host := range []string{"localhost:8081", "127.0.0.1", "[::1]:8081", "[::1]"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.sandbox+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		contains(t, host, readAnswer(t, response).body, "Sign somebody in")
	}
	for _, path := range []string{"/traces/1", "/traces/x", "/traces/1/page", "/nothing"} {
		if got := d.visit(t, path); got.status != http.StatusNotFound ||
			!strings.Contains(got.body, `<nav aria-label="Demo">`) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}
