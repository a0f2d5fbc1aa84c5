package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/policy"
)

type (
	grant = *policy.Settings
	asked = *policy.Ask
)

func TestAllowCoversAll(t *testing.T) {
	p := policyOf(t, fullGrant())
	g, err := p.Allow("shop", fullAsk())
	if err != nil || g.Place != "grants[0]" {
		t.Fatalf("Allow returned %v and %v", g, err)
	}
}

func TestAllowDeniesByDefault(t *testing.T) {
	const unknown, none = "no such caller", "no grant of caller shop"
	for name, test := range map[string]struct {
		policy *policy.Policy
		rule   string
	}{
		"no callers":   {policyOfAll(t, nil), unknown},
		"other caller": {policyOfAll(t, map[string][]policy.Settings{"cron": {fullGrant()}}), unknown},
		"no grants":    {policyOf(t), none},
		"empty grant":  {policyOf(t, policy.Settings{}), none},
	} {
		t.Run(name, func(t *testing.T) {
			wantDenied(t, test.policy, "shop", fullAsk(), policy.CallerNotAllowed, "", test.rule)
			wantDenied(t, test.policy, "", fullAsk(), policy.CallerNotAllowed, "", unknown)
			wantDenied(t, test.policy, "*", fullAsk(), policy.CallerNotAllowed, "", unknown)
			wantDenied(t, test.policy, "shop", policy.Ask{}, policy.CallerNotAllowed, "", test.rule)
		})
	}
}

// TestAllowNeedsAnAction: who asks for nothing is a slip of ours, and gets nothing.
func TestAllowNeedsAnAction(t *testing.T) {
	p := policyOf(t, fullGrant(func(g grant) { g.Configurations = []string{"*"} }))
	wantDenied(t, p, "shop", fullAsk(func(a asked) { a.Actions = nil }), policy.CallerNotAllowed, "", "")
}

// TestAllowDenies takes one part away from the grant, or asks for one thing more.
func TestAllowDenies(t *testing.T) {
	for _, test := range []struct {
		name   string
		grant  func(grant)
		ask    func(asked)
		reason policy.Reason
		field  string
		rule   string
	}{
		{"configuration not granted", func(g grant) { g.Configurations = nil }, nil,
			policy.CallerNotAllowed, "", "names the configuration and the action"},
		{"another configuration granted", func(g grant) { g.Configurations = []string{"acme-staff"} },
			nil, policy.CallerNotAllowed, "", "names the configuration"},
		{"part of its name granted", func(g grant) { g.Configurations = []string{"acme"} },
			nil, policy.CallerNotAllowed, "", "names the configuration"},
		{"pattern granted, of which there are none", func(g grant) { g.Configurations = []string{"acme-*"} },
			nil, policy.CallerNotAllowed, "", "names the configuration"},
		{"all configurations asked for", nil, func(a asked) { a.Configuration = "*" },
			policy.CallerNotAllowed, "", "names the configuration"},
		{"no action granted", func(g grant) { g.Actions = nil }, nil,
			policy.CallerNotAllowed, "", "names the configuration"},
		{"one action of two granted", func(g grant) { g.Actions = []policy.Action{policy.SignIn} },
			nil, policy.CallerNotAllowed, "", "names the configuration"},
		{"the other action of two granted", func(g grant) { g.Actions = []policy.Action{policy.Stage} },
			nil, policy.CallerNotAllowed, "", "names the configuration"},
		{"another action asked for", nil, func(a asked) { a.Actions = []policy.Action{policy.Read} },
			policy.CallerNotAllowed, "", "names the configuration"},

		{"no brand granted", func(g grant) { g.Brands = nil }, nil,
			policy.BrandNotAllowed, "brand_id", "grants[0].brands"},
		{"another brand granted", func(g grant) { g.Brands = []string{"360002", "36000"} },
			nil, policy.BrandNotAllowed, "brand_id", "grants[0].brands"},
		{"no brand asked for", nil, func(a asked) { a.Brand = "" },
			policy.BrandNotAllowed, "brand_id", "grants[0].brands"},

		{"no role granted", func(g grant) { g.Roles = nil }, nil,
			policy.RoleNotAllowed, "user.role", "grants[0].roles"},
		{"another role granted", func(g grant) { g.Roles = []string{"unset", "agent"} },
			nil, policy.RoleNotAllowed, "user.role", "grants[0].roles"},
		{"higher role asked for", nil, func(a asked) { a.Role = "admin" },
			policy.RoleNotAllowed, "user.role", "grants[0].roles"},
		{"role left out", nil, func(a asked) { a.Role = policy.RoleUnset },
			policy.RoleNotAllowed, "user.role", "grants[0].roles"},
		{"role not even unset", nil, func(a asked) { a.Role = "" },
			policy.RoleNotAllowed, "user.role", "grants[0].roles"},
		{"roles have no star", func(g grant) { g.Roles = []string{"*"} },
			nil, policy.RoleNotAllowed, "user.role", "grants[0].roles"},

		{"no claims granted", func(g grant) { g.Claims = nil }, nil,
			policy.ClaimNotAllowed, "user.phone", "grants[0].claims.phone"},
		{"claim any not granted", func(g grant) { delete(g.Claims, "phone") },
			nil, policy.ClaimNotAllowed, "user.phone", "grants[0].claims.phone"},
		{"claim with list not granted", func(g grant) { delete(g.Claims, "tags") },
			nil, policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"claim with prefix not granted", func(g grant) { delete(g.Claims, "external_id") },
			nil, policy.ClaimNotAllowed, "user.external_id", "grants[0].claims.external_id"},
		{"one value of two granted", func(g grant) { g.Claims["tags"] = []any{"vip"} },
			nil, policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"no value granted", func(g grant) { g.Claims["tags"] = []any{} },
			nil, policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"value in another case", func(g grant) { g.Claims["tags"] = []any{"VIP", "beta"} },
			nil, policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"prefix in another case", func(g grant) { g.Claims["external_id"] = map[string]any{"prefix": "Shop-"} },
			nil, policy.ClaimNotAllowed, "user.external_id", "grants[0].claims.external_id"},
		{"prefix inside", nil, func(a asked) { a.Claims[2].Values = []string{"x-shop-0042"} },
			policy.ClaimNotAllowed, "user.external_id", "grants[0].claims.external_id"},
		{"star is a value, not a pattern", func(g grant) { g.Claims["tags"] = []any{"*"} },
			nil, policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"any in a list is a value too", func(g grant) { g.Claims["tags"] = []any{"any"} },
			nil, policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"a value more asked for", nil, func(a asked) { a.Claims[1].Values = []string{"vip", "beta", "staff"} },
			policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"an empty value asked for", nil, func(a asked) { a.Claims[1].Values = []string{"vip", ""} },
			policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		// There is nothing to hold the limit against, so it isn't met.
		{"no value asked for, of a list", nil, func(a asked) { a.Claims[1].Values = nil },
			policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"no value asked for, of a prefix", nil, func(a asked) { a.Claims[2].Values = nil },
			policy.ClaimNotAllowed, "user.external_id", "grants[0].claims.external_id"},
		{"a claim more asked for", nil, func(a asked) {
			a.Claims = append(a.Claims,
				policy.Claim{Name: "organizations", Field: "user.organizations", Values: []string{"Acme"}})
		}, policy.ClaimNotAllowed, "user.organizations", "grants[0].claims.organizations"},
		{"clearing tags isn't setting them", nil, func(a asked) { a.Claims[1].Name = "clear_tags" },
			policy.ClaimNotAllowed, "user.tags", "grants[0].claims.clear_tags"},
		{"setting fields isn't clearing them", nil, func(a asked) { a.Claims[3].Name = "user_fields" },
			policy.ClaimNotAllowed, "user.user_fields", "grants[0].claims.user_fields"},
		{"another field cleared", nil, func(a asked) { a.Claims[3].Values = []string{"plan", "debt"} },
			policy.ClaimNotAllowed, "user.user_fields", "grants[0].claims.clear_user_fields"},

		{"no domain granted", func(g grant) { g.EmailDomains.Allow = nil }, nil,
			policy.EmailNotAllowed, "user.email", "grants[0].email_domains"},
		{"another domain granted", func(g grant) { g.EmailDomains.Allow = []string{"example.org"} },
			nil, policy.EmailNotAllowed, "user.email", "grants[0].email_domains"},
		{"domain denied", func(g grant) { g.EmailDomains.Deny = []string{"example.com"} },
			nil, policy.EmailNotAllowed, "user.email", "grants[0].email_domains"},
		{"protected person", func(g grant) { g.Protected = false }, nil,
			policy.EmailNotAllowed, "user.email", "grants[0].protected"},

		{"no return_to host granted", func(g grant) { g.ReturnToHosts = nil }, nil,
			policy.ReturnToNotAllowed, "return_to", "grants[0].return_to_hosts"},
		{"another host granted", func(g grant) { g.ReturnToHosts = []string{"zendesk.com", "help.acme.com"} },
			nil, policy.ReturnToNotAllowed, "return_to", "grants[0].return_to_hosts"},
		{"host with a port", nil, func(a asked) { a.ReturnToHost = "acme.zendesk.com:8443" },
			policy.ReturnToNotAllowed, "return_to", "grants[0].return_to_hosts"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, ask := fullGrant(), fullAsk()
			if test.grant != nil {
				test.grant(&s)
			}
			if test.ask != nil {
				test.ask(&ask)
			}
			wantDenied(t, policyOf(t, s), "shop", ask, test.reason, test.field, test.rule)
		})
	}
}

// TestAllowTakes is what the same grant does cover, and what wider ones do.
func TestAllowTakes(t *testing.T) {
	for _, test := range []struct {
		name  string
		grant func(grant)
		ask   func(asked)
	}{
		{"less than all", nil, func(a asked) {
			a.Actions, a.Claims, a.Protected, a.ReturnToHost = []policy.Action{policy.SignIn}, nil, false, ""
		}},
		{"any configuration", func(g grant) { g.Configurations = []string{"*"} },
			func(a asked) { a.Configuration = "acme-staff" }},
		{"any brand", func(g grant) { g.Brands = []string{"*"} }, func(a asked) { a.Brand = "999" }},
		{"any brand, none asked for", func(g grant) { g.Brands = []string{"*"} }, func(a asked) { a.Brand = "" }},
		{"any host", func(g grant) { g.ReturnToHosts = []string{"*"} },
			func(a asked) { a.ReturnToHost = "help.acme.com" }},
		{"any domain", func(g grant) { g.EmailDomains.Allow = []string{"*"} },
			func(a asked) { a.Email = "jo@elsewhere.example" }},
		{"role left out", func(g grant) { g.Roles = []string{"unset"} }, func(a asked) { a.Role = policy.RoleUnset }},
		{"claim any", nil, func(a asked) { a.Claims[0].Values = []string{"+49", ""} }},
		{"claim any without a value", func(g grant) { g.Claims["clear_tags"] = "any" }, func(a asked) {
			a.Claims = []policy.Claim{{Name: "clear_tags", Field: "user.tags"}}
		}},
		{"one value of a list", nil, func(a asked) { a.Claims[1].Values = []string{"beta"} }},
		{"the prefix itself", nil, func(a asked) { a.Claims[2].Values = []string{"shop-"} }},
		{"numbers in a list", func(g grant) { g.Claims["locale_id"] = []any{"1", "8"} }, func(a asked) {
			a.Claims = []policy.Claim{{Name: "locale_id", Values: []string{"8"}}}
		}},
		{"no email, for the validation to refuse", nil, func(a asked) { a.Email = "" }},
		{"person not protected", func(g grant) { g.Protected = false }, func(a asked) { a.Protected = false }},
		{"path for return_to", func(g grant) { g.ReturnToHosts = nil }, func(a asked) { a.ReturnToHost = "" }},
		// What is about people is checked for sign-ins only.
		{"no sign-in", func(g grant) {
			*g = policy.Settings{Configurations: []string{"acme-customers"}, Actions: []policy.Action{policy.Read}}
		}, func(a asked) { *a = policy.Ask{Configuration: "acme-customers", Actions: []policy.Action{policy.Read}} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, ask := fullGrant(), fullAsk()
			if test.grant != nil {
				test.grant(&s)
			}
			if test.ask != nil {
				test.ask(&ask)
			}
			if _, err := policyOf(t, s).Allow("shop", ask); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestActions: each by itself, and none instead of another.
func TestActions(t *testing.T) {
	all := []policy.Action{policy.SignIn, policy.Read, policy.Inspect, policy.Report, policy.Refresh, policy.Stage}
	for _, granted := range all {
		p := policyOf(t, fullGrant(func(g grant) { g.Actions = []policy.Action{granted} }))
		for _, wanted := range all {
			ask := fullAsk(func(a asked) { a.Actions = []policy.Action{wanted} })
			if got := allows(t, p, ask); got != (granted == wanted) {
				t.Errorf("%s granted, %s asked for: %t", granted, wanted, got)
			}
		}
	}
}

func TestEmailDomains(t *testing.T) {
	for _, test := range []struct {
		allow, deny []string
		email       string
		want        bool
	}{
		{[]string{"acme.com"}, nil, "jo@acme.com", true},
		{[]string{"acme.com"}, nil, "jo@mail.acme.com", false},
		{[]string{"acme.com"}, nil, "jo@xacme.com", false},
		{[]string{"acme.com"}, nil, "jo@acme.com.evil.example", false},
		{[]string{"acme.com"}, nil, "acme.com@evil.example", false},
		{[]string{"*.acme.com"}, nil, "jo@mail.acme.com", true},
		{[]string{"*.acme.com"}, nil, "jo@a.b.acme.com", true},
		{[]string{"*.acme.com"}, nil, "jo@acme.com", false},
		{[]string{"*.acme.com"}, nil, "jo@xacme.com", false},
		{[]string{"*.acme.com"}, nil, "jo@mail.acme.com.evil.example", false},
		{[]string{"acme.com", "*.acme.com"}, nil, "jo@acme.com", true},
		{[]string{"*"}, nil, "jo@any.example", true},
		{[]string{"*"}, []string{"acme.com"}, "jo@acme.com", false},
		{[]string{"*"}, []string{"acme.com"}, "jo@mail.acme.com", true},
		{[]string{"*"}, []string{"acme.com", "*.acme.com"}, "jo@mail.acme.com", false},
		{[]string{"*"}, []string{"acme.com"}, "jo@xacme.com", true},
		{[]string{"acme.com"}, []string{"acme.com"}, "jo@acme.com", false},
		{[]string{"mail.acme.com"}, []string{"*.acme.com"}, "jo@mail.acme.com", false},
		{[]string{"acme.com"}, []string{"*"}, "jo@acme.com", false},
		{nil, nil, "jo@acme.com", false},
		{nil, []string{"evil.example"}, "jo@acme.com", false},
	} {
		p := policyOf(t,
			fullGrant(func(g grant) { g.EmailDomains = policy.EmailDomains{Allow: test.allow, Deny: test.deny} }))
		if got := allows(t, p, fullAsk(func(a asked) { a.Email = test.email })); got != test.want {
			t.Errorf("allow %q, deny %q: %s is %t", test.allow, test.deny, test.email, got)
		}
	}
}

// TestGrantsNeverAddUp splits one grant into two that have every part between them.
func TestGrantsNeverAddUp(t *testing.T) {
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
				*g = policy.Settings{
					Configurations: g.Configurations, Brands: g.Brands, Actions: g.Actions, Roles: g.Roles,
					Claims:        map[string]any{"phone": "any"},
					EmailDomains:  policy.EmailDomains{Allow: []string{"elsewhere.example"}},
					ReturnToHosts: g.ReturnToHosts, Protected: true,
				}
			})
			for _, order := range [][]policy.Settings{{a, b, rest}, {rest, b, a}, {b, a, rest}} {
				if allows(t, policyOf(t, order...), fullAsk()) {
					t.Error("two grants added up to a third")
				}
			}
			if !allows(t, policyOf(t, a, b, rest, fullGrant()), fullAsk()) {
				t.Error("the grant that covers all is not found behind the others")
			}
		})
	}
}

// TestFurthest: the reason is that of the grant that came furthest, so that a caller
// with several isn't told of the one that it didn't mean.
func TestFurthest(t *testing.T) {
	brand := fullGrant(func(g grant) { g.Brands = []string{"360002"} })
	claim := fullGrant(func(g grant) { delete(g.Claims, "tags") })
	earlierClaim := fullGrant(func(g grant) { delete(g.Claims, "phone") })
	host := fullGrant(func(g grant) { g.ReturnToHosts = nil })
	other := fullGrant(func(g grant) { g.Configurations = []string{"acme-staff"} })
	for _, test := range []struct {
		name   string
		grants []policy.Settings
		reason policy.Reason
		field  string
		rule   string
	}{
		{"brand, claim", []policy.Settings{brand, claim}, policy.ClaimNotAllowed, "user.tags", "grants[1].claims.tags"},
		{"claim, brand", []policy.Settings{claim, brand}, policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"other configuration first", []policy.Settings{other, brand},
			policy.BrandNotAllowed, "brand_id", "grants[1].brands"},
		{"all", []policy.Settings{other, host, claim, brand},
			policy.ReturnToNotAllowed, "return_to", "grants[1].return_to_hosts"},
		{"the first of equals", []policy.Settings{claim, earlierClaim},
			policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"only other configurations", []policy.Settings{other, other},
			policy.CallerNotAllowed, "", "no grant of caller shop"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantDenied(t, policyOf(t, test.grants...), "shop", fullAsk(), test.reason, test.field, test.rule)
		})
	}
}

// TestDenialsTellNothingOfOthers: what a caller learns depends on its own grants for
// this configuration alone. Where it has none, nothing that it asks changes the answer.
func TestDenialsTellNothingOfOthers(t *testing.T) {
	denial := func(p *policy.Policy, ask policy.Ask) policy.DeniedError {
		_, err := p.Allow("shop", ask)
		var denied *policy.DeniedError
		if !errors.As(err, &denied) {
			t.Fatalf("got %v", err)
		}
		return *denied
	}
	mine := fullGrant(func(g grant) { g.Configurations = []string{"acme-staff"} })
	alone := policyOf(t, mine)
	among := policyOfAll(t, map[string][]policy.Settings{"shop": {mine}, "cron": {fullGrant()}, "*": {fullGrant()}})
	for _, p := range []*policy.Policy{alone, among} {
		for name, ask := range map[string]policy.Ask{
			"another's configuration":         fullAsk(),
			"no such configuration":           fullAsk(func(a asked) { a.Configuration = "nope" }),
			"another's, with a foreign brand": fullAsk(func(a asked) { a.Brand = "999" }),
			"another's, as admin":             fullAsk(func(a asked) { a.Role = "admin" }),
			"another's, protected":            fullAsk(func(a asked) { a.Protected = !a.Protected }),
			"another's, read":                 fullAsk(func(a asked) { a.Actions = []policy.Action{policy.Read} }),
		} {
			// The rule, which callers aren't told, names the actions of the request.
			nobody := policy.Ask{Configuration: "unheard-of", Actions: ask.Actions}
			if got, want := denial(p, ask), denial(alone, nobody); got != want {
				t.Errorf("%s: %+v, want %+v as for any other", name, got, want)
			}
		}
	}
}

func TestBrands(t *testing.T) {
	p := policyOf(t,
		fullGrant(),
		fullGrant(func(g grant) { g.Brands = []string{"360002"}; g.Actions = []policy.Action{policy.Read} }),
		fullGrant(func(g grant) { g.Configurations, g.Brands = []string{"acme-staff"}, []string{"*"} }),
	)
	for _, test := range []struct {
		caller, configuration string
		action                policy.Action
		want                  []string
	}{
		{"shop", "acme-customers", policy.SignIn, []string{"360001"}},
		{"shop", "acme-customers", policy.Read, []string{"360002"}},
		{"shop", "acme-customers", policy.Inspect, nil},
		{"shop", "acme-staff", policy.SignIn, []string{"360001", "360002", "360003"}},
		{"shop", "acme-staff", policy.Read, nil},
		{"shop", "nope", policy.SignIn, nil},
		{"cron", "acme-staff", policy.SignIn, nil},
	} {
		may := p.Brands(test.caller, test.configuration, test.action)
		var got []string
		for _, b := range []string{"360001", "360002", "360003"} {
			if may(b) {
				got = append(got, b)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s, %s, %s: %q, want %q", test.caller, test.configuration, test.action, got, test.want)
		}
	}
}

func TestDomainMatches(t *testing.T) {
	for _, test := range []struct {
		pattern, domain string
		want            bool
	}{
		{"acme.com", "acme.com", true},
		{"acme.com", "x.acme.com", false},
		{"acme.com", "xacme.com", false},
		{"*.acme.com", "x.acme.com", true},
		{"*.acme.com", "y.x.acme.com", true},
		{"*.acme.com", "acme.com", false},
		{"*.acme.com", "xacme.com", false},
		{"*", "acme.com", true},
		{"*acme.com", "xacme.com", false}, // no pattern
	} {
		if got := policy.DomainMatches(test.pattern, test.domain); got != test.want {
			t.Errorf("DomainMatches(%q, %q) is %t", test.pattern, test.domain, got)
		}
	}
}

func TestDeniedErrorText(t *testing.T) {
	_, err := policyOf(t, fullGrant(func(g grant) { g.Roles = nil })).Allow("shop", fullAsk())
	for _, piece := range []string{"ROLE_NOT_ALLOWED", "user.role", "grants[0].roles"} {
		if !strings.Contains(err.Error(), piece) {
			t.Errorf("%q lacks %q", err, piece)
		}
	}
}

// BenchmarkAllow asks of grants that name few and many; how many should not show.
func BenchmarkAllow(b *testing.B) {
	for _, many := range []int{10, 10_000} {
		b.Run(strconv.Itoa(many), func(b *testing.B) {
			names := make([]string, many)
			for i := range names {
				names[i] = fmt.Sprintf("acme-%d", i)
			}
			p := policyOf(b, fullGrant(func(g grant) { g.Configurations = names }))
			ask := fullAsk(func(a asked) { a.Configuration = names[many-1] })
			for b.Loop() {
				if _, err := p.Allow("shop", ask); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
