package policy_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/policy"
)

type (
	grant   = *policy.GrantSettings
	request = *policy.Request
)

func TestAllowCoversAll(t *testing.T) {
	p := policyOf(t, fullGrant())
	g, err := p.Allow("shop", fullRequest())
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
		"other caller": {policyOfAll(t, map[string][]policy.GrantSettings{"cron": {fullGrant()}}), unknown},
		"no grants":    {policyOf(t), none},
		"empty grant":  {policyOf(t, policy.GrantSettings{}), none},
	} {
		t.Run(name, func(t *testing.T) {
			wantDenied(t, test.policy, "shop", fullRequest(), policy.CallerNotAllowed, "", test.rule)
			wantDenied(t, test.policy, "", fullRequest(), policy.CallerNotAllowed, "", unknown)
			wantDenied(t, test.policy, "*", fullRequest(), policy.CallerNotAllowed, "", unknown)
			wantDenied(t, test.policy, "shop", policy.Request{}, policy.CallerNotAllowed, "", test.rule)
		})
	}
}

// TestAllowNeedsAnAction checks that a request without an action is denied. Such a request is a bug
// of the service.
func TestAllowNeedsAnAction(t *testing.T) {
	p := policyOf(t, fullGrant(func(g grant) { g.Configurations = []string{"*"} }))
	wantDenied(t, p, "shop", fullRequest(func(r request) { r.Actions = nil }), policy.CallerNotAllowed, "", "")
}

// TestAllowDenies removes one part from the grant, or adds one to the request.
func TestAllowDenies(t *testing.T) {
	for _, test := range []struct {
		name    string
		grant   func(grant)
		request func(request)
		reason  policy.Reason
		field   string
		rule    string
	}{
		{"configuration not granted", func(g grant) { g.Configurations = nil }, nil,
			policy.CallerNotAllowed, "", "names the configuration and the action"},
		{"another configuration granted", func(g grant) { g.Configurations = []string{"acme-staff"} },
			nil, policy.CallerNotAllowed, "", "names the configuration"},
		{"part of its name granted", func(g grant) { g.Configurations = []string{"acme"} },
			nil, policy.CallerNotAllowed, "", "names the configuration"},
		{"pattern granted, of which there are none", func(g grant) { g.Configurations = []string{"acme-*"} },
			nil, policy.CallerNotAllowed, "", "names the configuration"},
		{"all configurations requested", nil, func(r request) { r.Configuration = "*" },
			policy.CallerNotAllowed, "", "names the configuration"},
		{"no action granted", func(g grant) { g.Actions = nil }, nil,
			policy.CallerNotAllowed, "", "names the configuration"},
		{"one action of two granted", func(g grant) { g.Actions = []policy.Action{policy.SignIn} },
			nil, policy.CallerNotAllowed, "", "names the configuration"},
		{"the other action of two granted", func(g grant) { g.Actions = []policy.Action{policy.Stage} },
			nil, policy.CallerNotAllowed, "", "names the configuration"},
		{"another action requested", nil, func(r request) { r.Actions = []policy.Action{policy.Read} },
			policy.CallerNotAllowed, "", "names the configuration"},

		{"no brand granted", func(g grant) { g.Brands = nil }, nil,
			policy.BrandNotAllowed, "brand_id", "grants[0].brands"},
		{"another brand granted", func(g grant) { g.Brands = []string{"360002", "36000"} },
			nil, policy.BrandNotAllowed, "brand_id", "grants[0].brands"},
		{"no brand requested", nil, func(r request) { r.Brand = "" },
			policy.BrandNotAllowed, "brand_id", "grants[0].brands"},

		{"no role granted", func(g grant) { g.Roles = nil }, nil,
			policy.RoleNotAllowed, "user.role", "grants[0].roles"},
		{"another role granted", func(g grant) { g.Roles = []string{"unset", "agent"} },
			nil, policy.RoleNotAllowed, "user.role", "grants[0].roles"},
		{"higher role requested", nil, func(r request) { r.Role = "admin" },
			policy.RoleNotAllowed, "user.role", "grants[0].roles"},
		{"role left out", nil, func(r request) { r.Role = policy.RoleUnset },
			policy.RoleNotAllowed, "user.role", "grants[0].roles"},
		{"role not even unset", nil, func(r request) { r.Role = "" },
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
		{"prefix inside", nil, func(r request) { r.Claims[2].Values = []string{"x-shop-0042"} },
			policy.ClaimNotAllowed, "user.external_id", "grants[0].claims.external_id"},
		{"star is a value, not a pattern", func(g grant) { g.Claims["tags"] = []any{"*"} },
			nil, policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"any in a list is a value too", func(g grant) { g.Claims["tags"] = []any{"any"} },
			nil, policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"one more value requested", nil, func(r request) { r.Claims[1].Values = []string{"vip", "beta", "staff"} },
			policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"an empty value requested", nil, func(r request) { r.Claims[1].Values = []string{"vip", ""} },
			policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		// Without a value, the limit can't be checked, so the request is denied.
		{"no value requested, of a list", nil, func(r request) { r.Claims[1].Values = nil },
			policy.ClaimNotAllowed, "user.tags", "grants[0].claims.tags"},
		{"no value requested, of a prefix", nil, func(r request) { r.Claims[2].Values = nil },
			policy.ClaimNotAllowed, "user.external_id", "grants[0].claims.external_id"},
		{"one more claim requested", nil, func(r request) {
			r.Claims = append(r.Claims,
				policy.Claim{Name: "organizations", Field: "user.organizations", Values: []string{"Acme"}})
		}, policy.ClaimNotAllowed, "user.organizations", "grants[0].claims.organizations"},
		{"clearing tags isn't setting them", nil, func(r request) { r.Claims[1].Name = "clear_tags" },
			policy.ClaimNotAllowed, "user.tags", "grants[0].claims.clear_tags"},
		{"setting fields isn't clearing them", nil, func(r request) { r.Claims[3].Name = "user_fields" },
			policy.ClaimNotAllowed, "user.user_fields", "grants[0].claims.user_fields"},
		{"another field cleared", nil, func(r request) { r.Claims[3].Values = []string{"plan", "debt"} },
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
		{"host with a port", nil, func(r request) { r.ReturnToHosts = []string{"acme.zendesk.com:8443"} },
			policy.ReturnToNotAllowed, "return_to", "grants[0].return_to_hosts"},
		{"nested host", nil, func(r request) { r.ReturnToHosts = append(r.ReturnToHosts, "help.acme.com") },
			policy.ReturnToNotAllowed, "return_to", "grants[0].return_to_hosts"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, request := fullGrant(), fullRequest()
			if test.grant != nil {
				test.grant(&s)
			}
			if test.request != nil {
				test.request(&request)
			}
			wantDenied(t, policyOf(t, s), "shop", request, test.reason, test.field, test.rule)
		})
	}
}

// TestAllowAllows checks smaller requests against the same grant, and other requests against wider
// grants.
func TestAllowAllows(t *testing.T) {
	for _, test := range []struct {
		name    string
		grant   func(grant)
		request func(request)
	}{
		{"less than all", nil, func(r request) {
			r.Actions, r.Claims, r.Protected, r.ReturnToHosts = []policy.Action{policy.SignIn}, nil, false, nil
		}},
		{"any configuration", func(g grant) { g.Configurations = []string{"*"} },
			func(r request) { r.Configuration = "acme-staff" }},
		{"any brand", func(g grant) { g.Brands = []string{"*"} }, func(r request) { r.Brand = "999" }},
		{"any brand, none requested", func(g grant) { g.Brands = []string{"*"} }, func(r request) { r.Brand = "" }},
		{"any host", func(g grant) { g.ReturnToHosts = []string{"*"} },
			func(r request) { r.ReturnToHosts = []string{"help.acme.com"} }},
		{"any domain", func(g grant) { g.EmailDomains.Allow = []string{"*"} },
			func(r request) { r.Email = "jo@elsewhere.example" }},
		{"role left out", func(g grant) { g.Roles = []string{"unset"} }, func(r request) { r.Role = policy.RoleUnset }},
		{"claim any", nil, func(r request) { r.Claims[0].Values = []string{"+49", ""} }},
		{"claim any without a value", func(g grant) { g.Claims["clear_tags"] = "any" }, func(r request) {
			r.Claims = []policy.Claim{{Name: "clear_tags", Field: "user.tags"}}
		}},
		{"one value of a list", nil, func(r request) { r.Claims[1].Values = []string{"beta"} }},
		{"the prefix itself", nil, func(r request) { r.Claims[2].Values = []string{"shop-"} }},
		{"numbers in a list", func(g grant) { g.Claims["locale_id"] = []any{"1", "8"} }, func(r request) {
			r.Claims = []policy.Claim{{Name: "locale_id", Values: []string{"8"}}}
		}},
		{"no email, for the validation to refuse", nil, func(r request) { r.Email = "" }},
		{"person not protected", func(g grant) { g.Protected = false }, func(r request) { r.Protected = false }},
		{"path for return_to", func(g grant) { g.ReturnToHosts = nil }, func(r request) { r.ReturnToHosts = nil }},
		// Limits on people apply to sign-ins only.
		{"no sign-in", func(g grant) {
			*g = policy.GrantSettings{Configurations: []string{"acme-customers"}, Actions: []policy.Action{policy.Read}}
		}, func(r request) {
			*r = policy.Request{Configuration: "acme-customers", Actions: []policy.Action{policy.Read}}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, request := fullGrant(), fullRequest()
			if test.grant != nil {
				test.grant(&s)
			}
			if test.request != nil {
				test.request(&request)
			}
			if _, err := policyOf(t, s).Allow("shop", request); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestActions checks that each action is granted separately.
func TestActions(t *testing.T) {
	all := []policy.Action{policy.SignIn, policy.Read, policy.Inspect, policy.Report, policy.Refresh, policy.Stage}
	for _, granted := range all {
		p := policyOf(t, fullGrant(func(g grant) { g.Actions = []policy.Action{granted} }))
		for _, wanted := range all {
			request := fullRequest(func(r request) { r.Actions = []policy.Action{wanted} })
			if got := allows(t, p, request); got != (granted == wanted) {
				t.Errorf("%s granted, %s requested: %t", granted, wanted, got)
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
		if got := allows(t, p, fullRequest(func(r request) { r.Email = test.email })); got != test.want {
			t.Errorf("allow %q, deny %q: %s is %t", test.allow, test.deny, test.email, got)
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
		grants, _ := p.Matching(test.caller, test.configuration, test.action)
		var got []string
		for _, b := range []string{"360001", "360002", "360003"} {
			if grants.Brand(b) {
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
	_, err := policyOf(t, fullGrant(func(g grant) { g.Roles = nil })).Allow("shop", fullRequest())
	for _, piece := range []string{"ROLE_NOT_ALLOWED", "user.role", "grants[0].roles"} {
		if !strings.Contains(err.Error(), piece) {
			t.Errorf("%q lacks %q", err, piece)
		}
	}
}

// BenchmarkAllow checks requests against grants that name few or many configurations. The number
// must not matter.
func BenchmarkAllow(b *testing.B) {
	for _, many := range []int{10, 10_000} {
		b.Run(strconv.Itoa(many), func(b *testing.B) {
			names := make([]string, many)
			for i := range names {
				names[i] = fmt.Sprintf("acme-%d", i)
			}
			p := policyOf(b, fullGrant(func(g grant) { g.Configurations = names }))
			request := fullRequest(func(r request) { r.Configuration = names[many-1] })
			for b.Loop() {
				if _, err := p.Allow("shop", request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
