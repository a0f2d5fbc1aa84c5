package service_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestAmbiguousResolve checks that the error of an ambiguous search names the candidates, of those
// that the caller may read, and the fields that choose between them.
func TestAmbiguousResolve(t *testing.T) {
	// acme-twin serves the same people as acme-off, at the same brand and hosts.
	twins := strings.Replace(configuration, "  - name: acme-secluded", `  - name: acme-twin
    secret: {path: sso/acme-off, field: shared_secret}
    zendesk_sso: {audiences: [end_user], brands: [{id: "1", subdomain: off}]}
  - name: acme-secluded`, 1)
	const fixed = "Several of the caller's configurations or brands serve this: send a field that chooses one."
	for name, c := range map[string]struct {
		read             string // the configurations that the caller may read
		body, candidates string
		choices          map[string]string
		message          string
	}{
		"a brand of two": {
			"[acme-customers, acme-staff]", `"brandId":"360001"`, "acme-customers/360001, acme-staff/360001",
			map[string]string{
				"audience": "is missing: AUDIENCE_END_USER is for acme-customers; " +
					"AUDIENCE_TEAM_MEMBER is for acme-staff",
				"client_ip": "is missing: the candidates have different ip_ranges",
				"return_to": "names no host: the candidates have different hosts",
			}, fixed,
		},
		"by a host of two": {
			"[acme-customers, acme-staff]", `"returnTo":"https://acme.zendesk.com/agent","clientIp":"192.0.2.9"`,
			"acme-customers/360001, acme-staff/360001",
			map[string]string{
				"audience": "is missing: AUDIENCE_END_USER is for acme-customers; " +
					"AUDIENCE_TEAM_MEMBER is for acme-staff",
			}, fixed,
		},
		"the team's default brands": {
			"[acme-customers, acme-staff, acme-both]", `"audience":"AUDIENCE_TEAM_MEMBER"`,
			"acme-both/360009, acme-staff/360001",
			map[string]string{
				"brand_id":  "is missing: the candidates have different brands",
				"client_ip": "is missing: the candidates have different ip_ranges",
				"return_to": "names no host: the candidates have different hosts",
			}, fixed,
		},
		"nothing chooses": {
			"[acme-off, acme-twin]", `"brandId":"1"`, "acme-off/1, acme-twin/1", nil,
			"Several of the caller's configurations serve this, and nothing that a request can say chooses between " +
				"them: name one of the candidates at sign-in.",
		},
		"more than are named": {
			`["*"]`, "", "acme-both/360009, acme-broken/1, acme-customers/360001, acme-gone/1, acme-off/1, …",
			map[string]string{
				"audience": "is missing: AUDIENCE_END_USER is for acme-both, acme-broken, acme-customers, acme-gone, " +
					"acme-off, acme-secluded; AUDIENCE_TEAM_MEMBER is for acme-both",
				"brand_id":  "is missing: the candidates have different brands",
				"return_to": "names no host: the candidates have different hosts",
			}, fixed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(twins,
				"[acme-customers, acme-staff, acme-both, acme-broken, acme-gone, acme-off]", c.read, 1)
			s := start(t, settings{configuration: text})
			eachTransport(t, func(t *testing.T, tr transport) {
				r := tr.send(t.Context(), t, s, call{method: "ResolveConfiguration", body: c.body})
				if r.reason != "CONFIGURATION_AMBIGUOUS" || r.info["candidates"] != c.candidates {
					t.Errorf("%s %q, want %q", r.reason, r.info, c.candidates)
				}
				if r.answer.message != c.message || !maps.Equal(r.field, c.choices) {
					t.Errorf("%s\n%q, want\n%q", r.answer.message, r.field, c.choices)
				}
			})
		})
	}
}

// TestAmbiguousResolveIsShort checks that long names leave an error short, and that no name is cut.
func TestAmbiguousResolveIsShort(t *testing.T) {
	names := make([]string, 8)
	text := configuration
	for i := range names {
		names[i] = strings.Repeat("long-name-", 6) + string(rune('a'+i))
		text = strings.Replace(text, "callers:\n", "  - {name: "+names[i]+", secret: {path: sso/acme-off}, "+
			`zendesk_sso: {audiences: [end_user], brands: [{id: "12345678901234567890", subdomain: long}]}}`+
			"\ncallers:\n", 1)
	}
	text = strings.Replace(text,
		"[acme-customers, acme-staff, acme-both, acme-broken, acme-gone, acme-off]", `["*"]`, 1)
	s := start(t, settings{configuration: text})
	eachTransport(t, func(t *testing.T, tr transport) {
		r := tr.send(t.Context(), t, s, call{method: "ResolveConfiguration", body: `"brandId":"12345678901234567890"`})
		got := strings.Split(r.info["candidates"], ", ")
		if len(got) != 3 || got[2] != "…" || slices.ContainsFunc(got[:2], func(name string) bool {
			return !slices.Contains(names, strings.TrimSuffix(name, "/12345678901234567890"))
		}) {
			t.Errorf("%q", got)
		}
	})
}

// TestUnresolvedReturnTo checks that the error says so if only the return_to is the reason why
// nothing was found.
func TestUnresolvedReturnTo(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	const without = ". Without it, the search finds something"
	for name, c := range map[string]struct{ body, fault string }{
		"where people sign out": {
			`"brandId":"360002","returnTo":"/logout"`,
			"leads to a page where Zendesk signs people in or out or redirects them again, such as those below " +
				"/access/ or /auth/, or /logout" + without,
		},
		"another brand's host": {
			`"brandId":"360002","returnTo":"https://acme.zendesk.com/"`,
			"must be a path, or start with one of https://acme-labs.zendesk.com/" + without,
		},
		"a host of nobody": {
			`"returnTo":"https://evil.example/"`,
			"is allowed by none of the brands that the rest of the request may mean" + without,
		},
		"an unknown brand": {`"brandId":"1234567","returnTo":"/logout"`, ""},
		"no return_to":     {`"brandId":"1234567"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, tr transport) {
				r := tr.send(t.Context(), t, s, call{method: "ResolveConfiguration", body: c.body})
				if r.reason != "CONFIGURATION_NOT_RESOLVED" || r.field["return_to"] != c.fault {
					t.Errorf("%s %q, want %q", r.reason, r.field, c.fault)
				}
			})
		})
	}
}
