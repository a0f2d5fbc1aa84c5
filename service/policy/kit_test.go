package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/policy"
)

// fullGrant covers fullRequest. Each part of the grant is necessary for that.
func fullGrant(change ...func(*policy.GrantSettings)) policy.GrantSettings {
	s := policy.GrantSettings{
		Configurations: []string{"acme-customers"},
		Brands:         []string{"360001"},
		Actions:        []policy.Action{policy.SignIn, policy.Stage},
		Roles:          []string{"end_user"},
		Claims: map[string]any{
			"phone":             "any",
			"tags":              []any{"vip", "beta"},
			"external_id":       map[string]any{"prefix": "shop-"},
			"clear_user_fields": []any{"plan"},
		},
		EmailDomains:  policy.EmailDomains{Allow: []string{"example.com"}, Deny: []string{"acme.com"}},
		ReturnToHosts: []string{"acme.zendesk.com"},
		Protected:     true,
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

func fullRequest(change ...func(*policy.Request)) policy.Request {
	a := policy.Request{
		Configuration: "acme-customers",
		Actions:       []policy.Action{policy.SignIn, policy.Stage},
		Brand:         "360001",
		Role:          "end_user",
		Claims: []policy.Claim{
			{Name: "phone", Field: "user.phone", Values: []string{"+15551234567"}},
			{Name: "tags", Field: "user.tags", Values: []string{"vip", "beta"}},
			{Name: "external_id", Field: "user.external_id", Values: []string{"shop-0042"}},
			{Name: "clear_user_fields", Field: "user.user_fields", Values: []string{"plan"}},
		},
		Email:         "jo@example.com",
		Protected:     true,
		ReturnToHosts: []string{"acme.zendesk.com"},
	}
	for _, c := range change {
		c(&a)
	}
	return a
}

// policyOf returns a policy in which the caller "shop" has the grants, at grants[0], grants[1], ….
func policyOf(t testing.TB, grants ...policy.GrantSettings) *policy.Policy {
	t.Helper()
	return policyOfAll(t, map[string][]policy.GrantSettings{"shop": grants})
}

func policyOfAll(t testing.TB, grants map[string][]policy.GrantSettings) *policy.Policy {
	t.Helper()
	p, err := policy.New(grants, func(caller string, grant int) string { return fmt.Sprintf("grants[%d]", grant) })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func allows(t testing.TB, p *policy.Policy, request policy.Request) bool {
	t.Helper()
	g, err := p.Allow("shop", request)
	if (g == nil) == (err == nil) {
		t.Fatalf("Allow returned %v and %v", g, err)
	}
	return err == nil
}

// wantDenied checks that the request is denied with this reason, field and piece of the rule.
func wantDenied(
	t testing.TB, p *policy.Policy, caller string, request policy.Request, reason policy.Reason, field, rule string,
) {
	t.Helper()
	g, err := p.Allow(caller, request)
	var denied *policy.DeniedError
	switch {
	case g != nil || !errors.As(err, &denied):
		t.Errorf("Allow returned %v and %v, want %s", g, err, reason)
	case denied.Reason != reason || denied.Field != field || !strings.Contains(denied.Rule, rule):
		t.Errorf("denied with %+v, want %s, field %q, rule … %s …", denied, reason, field, rule)
	}
}
