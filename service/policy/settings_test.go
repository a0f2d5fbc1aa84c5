package policy_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/policy"
)

func TestSettingsCheck(t *testing.T) {
	const rule = "must be any, a list of values, or {prefix: …}"
	domains := func(allow, deny string) func(grant) {
		return func(g grant) {
			g.EmailDomains = policy.EmailDomains{Allow: []string{allow}, Deny: []string{"ok.example", deny}}
		}
	}
	claim := func(name string, v any) func(grant) { return func(g grant) { g.Claims = map[string]any{name: v} } }
	rate := func(perSecond float64, burst int) func(grant) {
		return func(g grant) { g.Rate = &policy.Rate{PerSecond: perSecond, Burst: burst} }
	}
	for _, test := range []struct {
		name  string
		grant func(grant)
		want  []string // "key: piece of the fault"
	}{
		{"nothing wrong", func(g grant) {}, nil},
		{"stars", func(g grant) {
			g.Configurations = []string{"*"}
			g.Brands = []string{"*"}
			g.ReturnToHosts = []string{"*"}
			g.EmailDomains.Allow = []string{"*"}
		}, nil},
		{"read only", func(g grant) {
			*g = policy.GrantSettings{
				Configurations: []string{"a"},
				Actions: []policy.Action{
					policy.Read, policy.Inspect, policy.Report, policy.Refresh, policy.Stage,
				},
			}
		}, nil},
		{"all roles", func(g grant) { g.Roles = []string{"unset", "end_user", "agent", "admin"} }, nil},
		{"nothing at all", func(g grant) { *g = policy.GrantSettings{} },
			[]string{"configurations: is required", "actions: is required"}},

		{"no configurations", func(g grant) { g.Configurations = nil }, []string{"configurations: is required"}},
		{"no actions", func(g grant) { g.Actions = nil }, []string{"actions: is required"}},
		{"unknown action", func(g grant) { g.Actions = []policy.Action{policy.SignIn, "mint"} },
			[]string{`actions[1]: "mint" is none of its values: use sign_in, read, inspect, report, refresh, stage`}},
		{"all actions", func(g grant) { g.Actions = []policy.Action{"*"} },
			[]string{`actions[0]: "*" is none of its values`}},
		{"sign-in without brands", func(g grant) { g.Brands = nil }, []string{"brands: is required with sign_in"}},
		{"sign-in without roles", func(g grant) { g.Roles = nil }, []string{"roles: is required with sign_in"}},
		{"sign-in without domains", func(g grant) { g.EmailDomains.Allow = nil },
			[]string{"email_domains.allow: is required with sign_in"}},
		{"unknown role", func(g grant) { g.Roles = []string{"end_user", "owner"} },
			[]string{`roles[1]: "owner" is none of its values: use unset, end_user, agent, admin`}},
		{"empty role", func(g grant) { g.Roles = []string{""} }, []string{`roles[0]: "" is none`}},
		{"all roles in one", func(g grant) { g.Roles = []string{"*"} }, []string{`roles[0]: "*" is none`}},

		{"unknown claim", claim("nickname", "any"), []string{"claims.nickname: is no claim that can be granted"}},
		{"required claim", claim("email", "any"), []string{"claims.email: is no claim that can be granted"}},
		{"role as a claim", claim("role", "any"), []string{"claims.role: is no claim that can be granted"}},
		{"claim of Zendesk's name", claim("organization", "any"),
			[]string{"claims.organization: is no claim that can be granted"}},
		{"claim of nothing", claim("phone", nil), []string{"claims.phone: " + rule}},
		{"claim of another word", claim("phone", "all"), []string{"claims.phone: " + rule}},
		{"claim of true", claim("phone", true), []string{"claims.phone: " + rule}},
		{"claim of a number", claim("locale_id", 8), []string{"claims.locale_id: " + rule}},
		{"list of lists", claim("tags", []any{"a", []any{"b"}}), []string{"claims.tags: " + rule}},
		{"list with null", claim("tags", []any{nil}), []string{"claims.tags: " + rule}},
		{"list with a fraction", claim("tags", []any{1.5}), []string{"claims.tags: " + rule}},
		{"list of texts", claim("tags", []any{"a", "8", "true"}), nil},
		{"list with a number", claim("tags", []any{"a", 8}), []string{"claims.tags: " + rule}},
		{"list with true", claim("tags", []any{true}), []string{"claims.tags: " + rule}},
		{"prefix", claim("external_id", map[string]any{"prefix": "shop-"}), nil},
		{"empty prefix", claim("phone", map[string]any{"prefix": ""}), []string{"claims.phone: " + rule}},
		{"prefix of a number", claim("phone", map[string]any{"prefix": 7}), []string{"claims.phone: " + rule}},
		{"suffix", claim("phone", map[string]any{"suffix": "x"}), []string{"claims.phone: " + rule}},
		{"prefix and more", claim("phone", map[string]any{"prefix": "x", "any": true}),
			[]string{"claims.phone: " + rule}},
		{"clear_tags", claim("clear_tags", "any"), nil},
		{"clear_tags by value", claim("clear_tags", []any{"vip"}), []string{"claims.clear_tags: must be any"}},
		{"clear_tags of none", claim("clear_tags", []any{}), []string{"claims.clear_tags: must be any"}},
		{"clear_tags by prefix", claim("clear_tags", map[string]any{"prefix": "x"}),
			[]string{"claims.clear_tags: must be any"}},
		{"clear_user_fields by key", claim("clear_user_fields", []any{"plan"}), nil},

		{"good domains", domains("*.acme.com", "*"), nil},
		{"domain in capitals", domains("Acme.com", "a.example"),
			[]string{`email_domains.allow[0]: "Acme.com" is no domain: write acme.com`}},
		{"both wrong", domains("acme", "@acme.com"),
			[]string{`email_domains.allow[0]: "acme" is no domain`, `email_domains.deny[1]: "@acme.com" is no domain`}},
		{"subdomains of a top level", domains("*.com", "a.example"), []string{"email_domains.allow[0]: "}},
		{"star inside", domains("mail.*.com", "a.example"), []string{"email_domains.allow[0]: "}},
		{"two stars", domains("*.*.acme.com", "a.example"), []string{"email_domains.allow[0]: "}},
		{"star without dot", domains("*acme.com", "a.example"), []string{"email_domains.allow[0]: "}},
		{"trailing dot", domains("acme.com.", "a.example"), []string{"email_domains.allow[0]: "}},
		{"leading dot", domains(".acme.com", "a.example"), []string{"email_domains.allow[0]: "}},
		{"hyphen at the end", domains("acme-.com", "a.example"), []string{"email_domains.allow[0]: "}},
		{"international domain", domains("*.bücher.example", "ａcme.com"), []string{
			`email_domains.allow[0]: "*.bücher.example" is no domain: write *.xn--bcher-kva.example`,
			`email_domains.deny[1]: "ａcme.com" is no domain: write acme.com`,
		}},
		{"domain with an underscore", domains("my_store.typepad.com", "*._x.acme.com"), nil},
		{"underscore in the last label", domains("acme.c_m", "a.example"), []string{"email_domains.allow[0]: "}},
		{"newline", domains("acme.com\n", "a.example"), []string{"email_domains.allow[0]: "}},
		{"empty", domains("acme.com", ""), []string{`email_domains.deny[1]: "" is no domain`}},

		{"rate", rate(0.5, 0), nil},
		{"rate and burst", rate(50, 100), nil},
		{"rate of nothing", rate(0, 1), []string{"rate: must have a per_second above 0"}},
		{"rate below nothing", rate(-1, 1), []string{"rate: must have a per_second above 0"}},
		{"rate that is no number", rate(math.NaN(), 1), []string{"rate: must have a per_second above 0"}},
		{"rate without end", rate(math.Inf(1), 0), []string{"rate: must have a per_second above 0"}},
		{"rate beyond an int", rate(1e300, 0), []string{"rate: must have a per_second above 0"}},
		{"burst beyond reason", rate(1000, 1_000_001), []string{"rate: must have a per_second above 0"}},
		{"burst that takes more than a day", rate(1, 86_401),
			[]string{"rate: must have a burst that is back within 24 hours"}},
		{"one in two days", rate(0.000005, 0), []string{"rate: must have a burst that is back within 24 hours"}},
		{"one a day", rate(1.0/86_400, 1), nil},
		{"team rate", func(g grant) { g.TeamRate = &policy.Rate{PerSecond: 1} }, nil},
		{"both rates of nothing", func(g grant) { g.Rate, g.TeamRate = &policy.Rate{}, &policy.Rate{} },
			[]string{"rate: must have", "team_rate: must have"}},
		{"burst below nothing", rate(1, -1),
			[]string{"rate: must have a per_second above 0, up to a million, and a burst of 0 or more"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := fullGrant(test.grant)
			for range 5 { // the order is the same each time
				var got []string
				s.Check(func(key, fault string) { got = append(got, key+": "+fault) })
				if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
					t.Fatalf("faults\n got %q\nwant %q", got, test.want)
				}
			}
		})
	}
}

// TestNewRefusesBadRules checks that New returns an error for a rule that Check would have
// reported.
func TestNewRefusesBadRules(t *testing.T) {
	s := fullGrant(func(g grant) { g.Claims["phone"] = "all" })
	p, err := policy.New(map[string][]policy.GrantSettings{"shop": {fullGrant(), s}},
		func(string, int) string { return "callers[3].grants[1]" })
	if p != nil || err == nil || !strings.Contains(err.Error(), "callers[3].grants[1].claims.phone must be any") {
		t.Errorf("New returned %v, %v", p, err)
	}
}

// TestNewKeepsNothing checks that New keeps no reference to the settings.
func TestNewKeepsNothing(t *testing.T) {
	s := fullGrant()
	p := policyOf(t, s)
	s.Configurations[0], s.Brands[0], s.Actions[0], s.Roles[0], s.ReturnToHosts[0] = "x", "x", "x", "x", "x"
	s.Claims["tags"].([]any)[0], s.EmailDomains.Allow[0], s.EmailDomains.Deny[0] = "x", "x", "example.com"
	delete(s.Claims, "phone")
	if _, err := p.Allow("shop", fullRequest()); err != nil {
		t.Error(err)
	}
}

// TestNewCallsPlace checks that New calls place once for each grant.
func TestNewCallsPlace(t *testing.T) {
	calls := map[string]int{}
	_, err := policy.New(map[string][]policy.GrantSettings{
		"shop": {fullGrant(), fullGrant()},
		"cron": {fullGrant()},
	}, func(caller string, grant int) string {
		calls[caller+string(rune('0'+grant))]++
		return ""
	})
	if err != nil || len(calls) != 3 || calls["shop0"] != 1 || calls["shop1"] != 1 || calls["cron0"] != 1 {
		t.Errorf("places %v, %v", calls, err)
	}
}
