package policy_test

import (
	"errors"
	"testing"

	"github.com/deskmint/deskmint/service/policy"
)

// TestGrantsNeverCombine splits one grant into grants that only together have every part.
func TestGrantsNeverCombine(t *testing.T) {
	for name, without := range map[string]func(grant){
		"brand":     func(g grant) { g.Brands = []string{"360002"} },
		"action":    func(g grant) { g.Actions = g.Actions[:1] },
		"role":      func(g grant) { g.Roles = []string{"agent"} },
		"claim":     func(g grant) { delete(g.Claims, "phone") },
		"value":     func(g grant) { g.Claims["tags"] = []any{"vip"} },
		"domain":    func(g grant) { g.EmailDomains.Allow = []string{"example.org"} },
		"protected": func(g grant) { g.Protected = false },
		"host":      func(g grant) { g.ReturnToHosts = nil },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := fullGrant(without), fullGrant(func(g grant) { g.Configurations = []string{"acme-staff"} })
			rest := fullGrant(func(g grant) {
				*g = policy.GrantSettings{
					Configurations: g.Configurations, Brands: g.Brands, Actions: g.Actions, Roles: g.Roles,
					Claims:        map[string]any{"phone": "any"},
					EmailDomains:  policy.EmailDomains{Allow: []string{"elsewhere.example"}},
					ReturnToHosts: g.ReturnToHosts, Protected: true,
				}
			})
			for _, order := range [][]policy.GrantSettings{{a, b, rest}, {rest, b, a}, {b, a, rest}} {
				if allows(t, policyOf(t, order...), fullRequest()) {
					t.Error("several grants combined")
				}
			}
			if !allows(t, policyOf(t, a, b, rest, fullGrant()), fullRequest()) {
				t.Error("the grant that covers the request is not found after the others")
			}
		})
	}
}

// TestReasonOfFurthestGrant checks that the reason comes from the grant that passed the most
// checks. Otherwise a caller with several grants would learn about a grant that doesn't concern it.
func TestReasonOfFurthestGrant(t *testing.T) {
	brand := fullGrant(func(g grant) { g.Brands = []string{"360002"} })
	claim := fullGrant(func(g grant) { delete(g.Claims, "tags") })
	earlierClaim := fullGrant(func(g grant) { delete(g.Claims, "phone") })
	host := fullGrant(func(g grant) { g.ReturnToHosts = nil })
	other := fullGrant(func(g grant) { g.Configurations = []string{"acme-staff"} })
	for _, test := range []struct {
		name   string
		grants []policy.GrantSettings
		reason policy.Reason
		field  string
		rule   string
	}{
		{"brand, claim", []policy.GrantSettings{brand, claim},
			policy.ClaimNotAllowed, "user.tags", "grants[1].claims.tags"},
		{"claim, brand", []policy.GrantSettings{claim, brand},
			policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"other configuration first", []policy.GrantSettings{other, brand},
			policy.BrandNotAllowed, "brand_id", "grants[1].brands"},
		{"all", []policy.GrantSettings{other, host, claim, brand},
			policy.ReturnToNotAllowed, "return_to", "grants[1].return_to_hosts"},
		{"the first of equals", []policy.GrantSettings{claim, earlierClaim},
			policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"only other configurations", []policy.GrantSettings{other, other},
			policy.CallerNotAllowed, "", "no grant of caller shop"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantDenied(t, policyOf(t, test.grants...), "shop", fullRequest(), test.reason, test.field, test.rule)
		})
	}
}

// TestDenialsRevealNothingOfOthers checks that an error depends only on the caller's own grants for
// the configuration. If the caller has none, the error is the same for every request.
func TestDenialsRevealNothingOfOthers(t *testing.T) {
	denial := func(p *policy.Policy, request policy.Request) policy.DeniedError {
		_, err := p.Allow("shop", request)
		var denied *policy.DeniedError
		if !errors.As(err, &denied) {
			t.Fatalf("got %v", err)
		}
		return *denied
	}
	mine := fullGrant(func(g grant) { g.Configurations = []string{"acme-staff"} })
	alone := policyOf(t, mine)
	among := policyOfAll(t,
		map[string][]policy.GrantSettings{"shop": {mine}, "cron": {fullGrant()}, "*": {fullGrant()}})
	for _, p := range []*policy.Policy{alone, among} {
		for name, request := range map[string]policy.Request{
			"another's configuration":         fullRequest(),
			"no such configuration":           fullRequest(func(r request) { r.Configuration = "nope" }),
			"another's, with a foreign brand": fullRequest(func(r request) { r.Brand = "999" }),
			"another's, as admin":             fullRequest(func(r request) { r.Role = "admin" }),
			"another's, protected":            fullRequest(func(r request) { r.Protected = !r.Protected }),
			"another's, read": fullRequest(func(r request) {
				r.Actions = []policy.Action{policy.Read}
			}),
		} {
			// The rule, which is not sent to callers, names the actions of the request.
			unknown := policy.Request{Configuration: "unknown", Actions: request.Actions}
			if got, want := denial(p, request), denial(alone, unknown); got != want {
				t.Errorf("%s: %+v, want %+v as for an unknown configuration", name, got, want)
			}
		}
	}
}
