package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestFaults checks that each fault refuses sign-ins as Zendesk does. A fault applies from the next
// sign-in on, and only while it is active.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		faults  Faults
		reason  Reason
		message string
	}{
		"clock ahead":        {Faults{ClockOffset: 5 * time.Minute}, ReasonIssueTime, messageIssueTime},
		"clock behind":       {Faults{ClockOffset: -5 * time.Minute}, ReasonIssueTime, messageIssueTime},
		"clock a little off": {Faults{ClockOffset: 3 * time.Minute}, "", ""},
		"rate limit":         {Faults{RateLimited: true}, ReasonRateLimit, messageRateLimit},
		"address blocked": {
			Faults{Blocked: []string{"ADA@example.com"}}, ReasonBlocked,
			"Users with the email address ada@example.com are not allowed to sign up for this help desk",
		},
		"domain blocked": {
			Faults{Blocked: []string{"@example.com"}}, ReasonBlocked,
			"Users with the email address ada@example.com",
		},
		"others blocked": {
			Faults{Blocked: []string{"@ample.com", "example.com", "da@example.com", ""}},
			"",
			"",
		},
		"assigned to no users":    {Faults{Unassigned: []string{"acme-customers"}}, ReasonAudience, messageAudience},
		"another one is assigned": {Faults{Unassigned: []string{"acme-staff"}}, "", ""},
	} {
		z := start(t)
		z.SetFaults(c.faults)
		fields := url.Values{"jwt": {tokenWith(nil)}}
		z.post(t, "acme.localhost", fields)
		if got := z.last(t); got.Reason != c.reason || !strings.HasPrefix(got.Message, c.message) {
			t.Errorf("%s: %+v", name, got)
		}
		if c.reason == "" {
			continue
		}
		z.SetFaults(Faults{})
		if z.post(t, "acme.localhost", fields); z.last(t).Outcome != OutcomeSignedIn {
			t.Errorf("after %s: %+v", name, z.last(t))
		}
	}
}

// TestFaultsAreCopied checks that a caller can't change the faults through the slices that it
// passed.
func TestFaultsAreCopied(t *testing.T) {
	z := start(t)
	f := Faults{Blocked: []string{"ada@example.com"}, Unassigned: []string{"a"}}
	z.SetFaults(f)
	f.Blocked[0], f.Unassigned[0] = "x", "y"
	if got := fmt.Sprint(z.Faults()); got != "{0s false [ada@example.com] [a]}" {
		t.Error(got)
	}
}

// TestResetSecret checks that a reset returns the new secret once. The old secret stops working at
// once, also for tokens that were made before.
func TestResetSecret(t *testing.T) {
	z := start(t)
	before := tokenWith(nil)
	if start := z.SecretStart("acme-customers"); start != "cust" {
		t.Errorf("the secret begins with %q", start)
	}
	fresh, err := z.ResetSecret("acme-customers")
	if err != nil || len(fresh) != 48 || strings.Trim(fresh, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" ||
		z.SecretStart("acme-customers") != fresh[:4] {
		t.Fatalf("the new secret: %q, %v", fresh, err)
	}
	checkRefused(t, z, "signed before", before, ReasonSignature, messageSignature)
	if got := z.last(t); got.Configuration != "acme-customers" || !strings.Contains(got.Detail, "has been reset") ||
		got.Claims != nil {
		t.Errorf("the record says %+v", got)
	}
	z.post(t, "acme.localhost", url.Values{"jwt": {sign(goodHeader, claimsWith(nil), fresh)}})
	if z.last(t).Outcome != OutcomeSignedIn {
		t.Errorf("with the new secret: %+v", z.last(t))
	}
	again, err := z.ResetSecret("acme-customers")
	if err != nil || again == fresh {
		t.Errorf("reset again: %v", err)
	}
	for _, old := range []string{customersSecret, fresh} {
		checkRefused(t, z, "an older secret", sign(goodHeader, claimsWith(nil), old), ReasonSignature, messageSignature)
	}
	// The secret of the other configuration still works. An unknown configuration can't be reset.
	z.post(t, "acme.localhost", url.Values{"jwt": {sign(goodHeader, claimsWith(nil), staffSecret)}})
	if z.last(t).Outcome != OutcomeSignedIn {
		t.Errorf("the staff's: %+v", z.last(t))
	}
	if _, err := z.ResetSecret("nobody"); err == nil || z.SecretStart("nobody") != "" {
		t.Errorf("of no configuration: %v", err)
	}
	for range 2 * maxRetired {
		if _, err := z.ResetSecret("acme-customers"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(z.secrets.retired["acme-customers"]); n != maxRetired {
		t.Errorf("%d old secrets are kept", n)
	}
}

// TestTwoConfigurations checks two configurations with the same brand and audience. Both secrets
// work at the same time, so you can change a secret without an interruption.
func TestTwoConfigurations(t *testing.T) {
	green := "green-green-green-green-green-green-green-green-"
	z := startWith(t, func(o *Options) {
		blue := o.Configurations[0]
		blue.Name, blue.Secret = "acme-customers-2", func() []byte { return []byte(green) }
		o.Configurations = append(o.Configurations, blue)
	})
	for secret, configuration := range map[string]string{customersSecret: "acme-customers", green: "acme-customers-2"} {
		z.post(t, "acme.localhost", url.Values{"jwt": {sign(goodHeader, claimsWith(nil), secret)}})
		if got := z.last(t); got.Outcome != OutcomeSignedIn || got.Configuration != configuration {
			t.Errorf("%s: %+v", configuration, got)
		}
	}
	if len(z.Users()) != 1 {
		t.Errorf("one address is %d users", len(z.Users()))
	}
}

// TestAddedConfiguration does the same with configurations that are added and removed at runtime.
func TestAddedConfiguration(t *testing.T) {
	z := start(t)
	fresh, err := z.AddConfiguration("acme-customers", "acme-customers-2")
	if err != nil || len(fresh) != 48 {
		t.Fatalf("%q, %v", fresh, err)
	}
	for _, brand := range []string{"acme.localhost", "acme-labs.localhost"} {
		for secret, configuration := range map[string]string{
			customersSecret: "acme-customers",
			fresh:           "acme-customers-2",
		} {
			z.post(t, brand, url.Values{"jwt": {sign(goodHeader, claimsWith(nil), secret)}})
			if got := z.last(t); got.Outcome != OutcomeSignedIn || got.Configuration != configuration {
				t.Errorf("%s at %s: %+v", configuration, brand, got)
			}
		}
	}
	for _, names := range [][2]string{
		{"nobody", "new"},
		{"acme-customers", "acme-customers-2"},
		{"acme-customers", ""},
	} {
		if _, err := z.AddConfiguration(names[0], names[1]); err == nil {
			t.Errorf("made %q", names)
		}
	}
	if err := z.RemoveConfiguration("acme-customers"); err != nil || z.RemoveConfiguration("acme-customers") == nil {
		t.Errorf("removing the first: %v", err)
	}
	checkRefused(t, z, "of the removed one", tokenWith(nil), ReasonSignature, messageSignature)
	z.post(t, "acme.localhost", url.Values{"jwt": {sign(goodHeader, claimsWith(nil), fresh)}})
	if got := z.last(t); got.Outcome != OutcomeSignedIn {
		t.Errorf("of the second: %+v", got)
	}
	// A reused name gets none of the secrets of the removed configuration.
	reset, err := z.ResetSecret("acme-customers-2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = z.AddConfiguration("acme-customers-2", "acme-customers"); err != nil ||
		z.RemoveConfiguration("acme-customers-2") != nil {
		t.Fatal(err)
	}
	again, err := z.AddConfiguration("acme-customers", "acme-customers-2")
	if err != nil {
		t.Fatal(err)
	}
	checkRefused(t, z, "of its past", sign(goodHeader, claimsWith(nil), reset), ReasonSignature, messageSignature)
	z.post(t, "acme.localhost", url.Values{"jwt": {sign(goodHeader, claimsWith(nil), again)}})
	if got := z.last(t); got.Outcome != OutcomeSignedIn || got.Configuration != "acme-customers-2" {
		t.Errorf("of the name that came again: %+v", got)
	}
}

// TestScriptsAndServers checks that the endpoint refuses requests that a browser's form didn't
// send. The answer has no CORS header that would let a script read it.
func TestScriptsAndServers(t *testing.T) {
	for name, c := range map[string]struct {
		header       http.Header
		browsersOnly bool
		refused      bool
	}{
		"form": {
			http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"cross-site"}, "Origin": {"null"}},
			true,
			false,
		},
		"fetch": {
			http.Header{
				"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://shop.example"},
			},
			false,
			true,
		},
		"fetch without CORS": {
			http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Site": {"same-site"}},
			false,
			true,
		},
		"fetch of the same origin": {
			http.Header{"Sec-Fetch-Mode": {"same-origin"}, "Sec-Fetch-Site": {"same-origin"}},
			false,
			true,
		},
		"fetch of Node, a test":       {http.Header{"Sec-Fetch-Mode": {"cors"}}, false, false},
		"fetch of Node, a server":     {http.Header{"Sec-Fetch-Mode": {"cors"}}, true, true},
		"XMLHttpRequest, old browser": {http.Header{"X-Requested-With": {"XMLHttpRequest"}}, false, true},
		"server":                      {http.Header{}, true, true},
		"a test's client":             {http.Header{}, false, false},
	} {
		z := startWith(t, func(o *Options) { o.BrowsersOnly = c.browsersOnly })
		address, body := z.url("acme.localhost", "/access/jwt"), strings.NewReader("jwt="+tokenWith(nil))
		request, err := http.NewRequestWithContext(t.Context(), "POST", address, body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = c.header
		request.Header.Set("Content-Type", formType)
		response, err := z.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		got := z.last(t)
		if c.refused != (response.StatusCode == 403) || c.refused != (got.Reason == ReasonNavigation) ||
			c.refused == (len(z.Users()) == 1) {
			t.Errorf("%s: %d %+v", name, response.StatusCode, got)
		}
		for field := range response.Header {
			if strings.HasPrefix(field, "Access-Control-") {
				t.Errorf("%s: %s", name, field)
			}
		}
	}
	// A preflight fails, too.
	z := start(t)
	if got := z.send(t, "OPTIONS", z.url("acme.localhost", "/access/jwt"), "", ""); got.status != 405 ||
		got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight: %d", got.status)
	}
}

// TestRedirect checks that the redirect, which browsers are reported to receive, has the same body.
func TestRedirect(t *testing.T) {
	z := startWith(t, func(o *Options) { o.Redirect = true })
	z.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for token, want := range map[string]string{
		tokenWith(nil): "/hc/x",
		"nonsense":     z.url("acme.localhost", "/access/unauthenticated?sign_in="),
	} {
		got := z.post(t, "acme.localhost", url.Values{"jwt": {token}, "return_to": {"/hc/x"}})
		found := link.FindStringSubmatch(got.body)
		if got.status != 302 || found == nil || found[1] != got.header.Get("Location") ||
			!strings.HasPrefix(found[1], want) || got.header.Get("Refresh") != "" {
			t.Errorf("got %d %v %s", got.status, got.header, got.body)
		}
	}
}
