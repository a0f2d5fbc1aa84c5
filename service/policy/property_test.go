package policy_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/policy"
)

// reference implements the rule for grants a second time, from the settings alone.
func reference(s policy.GrantSettings, a policy.Request) bool {
	has := func(list []string, v string) bool { return slices.Contains(list, v) || slices.Contains(list, "*") }
	if !has(s.Configurations, a.Configuration) || len(a.Actions) == 0 {
		return false
	}
	signIn := false
	for _, action := range a.Actions {
		if !slices.Contains(s.Actions, action) {
			return false
		}
		signIn = signIn || action == "sign_in"
	}
	if !signIn {
		return true
	}
	for _, c := range a.Claims {
		switch rule := s.Claims[c.Name].(type) {
		case string: // any
		case []any:
			for _, v := range c.Values {
				if !slices.Contains(rule, any(v)) {
					return false
				}
			}
			if len(c.Values) == 0 {
				return false
			}
		case map[string]any:
			if rule["unbounded"] == "true" {
				break
			}
			prefix, _ := rule["prefix"].(string)
			for _, v := range c.Values {
				formless := rule["form"] == "digits" && strings.Trim(v, "0123456789") != "" ||
					rule["form"] == "uuid" && v != aUUID
				if formless || !strings.HasPrefix(v, prefix) {
					return false
				}
			}
			if len(c.Values) == 0 {
				return false
			}
		default:
			return false
		}
	}
	email := true
	if a.Email != "" {
		domain := a.Email[strings.LastIndexByte(a.Email, '@')+1:]
		in := func(list []string) bool {
			for _, p := range list {
				if p == "*" || p == domain ||
					strings.HasPrefix(p, "*.") && strings.HasSuffix(domain, p[1:]) && domain != p[1:] {
					return true
				}
			}
			return false
		}
		email = in(s.EmailDomains.Allow) && !in(s.EmailDomains.Deny)
	}
	return has(s.Brands, a.Brand) && slices.Contains(s.Roles, a.Role) && email &&
		(s.Protected || !a.Protected && !a.ProtectedExternalID) &&
		!slices.ContainsFunc(a.ReturnToHosts, func(host string) bool { return !has(s.ReturnToHosts, host) })
}

// generator makes random grants and requests. It uses few values, so that they often match.
type generator struct{ *rand.Rand }

func (gen generator) one(values ...string) string { return values[gen.IntN(len(values))] }

func (gen generator) some(values ...string) (list []string) {
	for _, v := range values {
		if gen.IntN(3) > 0 {
			list = append(list, v)
		}
	}
	return list
}

// allOrSome returns "*" or some of the values, with the same probability.
func (gen generator) allOrSome(values ...string) []string {
	if gen.IntN(2) == 0 {
		return []string{"*"}
	}
	return gen.some(values...)
}

func (gen generator) grant() policy.GrantSettings {
	s := policy.GrantSettings{
		Configurations: gen.allOrSome("a", "b"),
		Brands:         gen.allOrSome("1", "2"),
		Roles:          gen.some("unset", "end_user", "agent"),
		Claims:         map[string]any{},
		EmailDomains:   policy.EmailDomains{Allow: gen.allOrSome("acme.com", "*.acme.com", "example.com")},
		ReturnToHosts:  gen.allOrSome("acme.zendesk.com", "help.acme.com"),
		Protected:      gen.IntN(3) > 0,
	}
	for _, a := range gen.some("sign_in", "sign_in", "stage", "read") {
		s.Actions = append(s.Actions, policy.Action(a))
	}
	if gen.IntN(3) == 0 {
		s.EmailDomains.Deny = gen.some("acme.com", "*.acme.com")
	}
	for _, name := range gen.some("phone", "tags", "external_id", "clear_tags") {
		switch gen.IntN(4) {
		case 0, 1:
			s.Claims[name] = "any"
		case 2:
			list := []any{}
			for _, v := range gen.some("x", "xy", "z") {
				list = append(list, v)
			}
			s.Claims[name] = list
		case 3:
			s.Claims[name] = map[string]any{"prefix": "x"}
		}
		if name == "external_id" && gen.IntN(2) == 0 {
			forms := []any{block("form", "digits"), block("form", "uuid"), block("any", "true", "unbounded", "true")}
			s.Claims[name] = forms[gen.IntN(len(forms))]
		}
	}
	return s
}

func (gen generator) request() policy.Request {
	a := policy.Request{
		Configuration: gen.one("a", "a", "b", "c"),
		Actions:       []policy.Action{policy.SignIn},
		Brand:         gen.one("1", "1", "2", "3"),
		Role:          gen.one("unset", "end_user", "end_user", "agent"),
		Email:         gen.one("jo@acme.com", "jo@mail.acme.com", "jo@example.com", "jo@example.com", ""),
		Protected:     gen.IntN(4) == 0,
		ReturnToHosts: strings.Fields(gen.one("", "", "acme.zendesk.com", "help.acme.com",
			"acme.zendesk.com help.acme.com")),
	}
	if gen.IntN(5) == 0 {
		a.Actions = append(a.Actions, policy.Action(gen.one("stage", "read")))
	}
	for _, name := range gen.some("phone", "tags") {
		a.Claims = append(a.Claims, policy.Claim{Name: name, Field: "user." + name, Values: gen.some("x", "xy")})
	}
	if gen.IntN(3) == 0 {
		values := []string{gen.one("x", "xy", "12", aUUID)}
		a.Claims = append(a.Claims, policy.Claim{Name: "external_id", Field: "user.external_id", Values: values})
		a.ProtectedExternalID = gen.IntN(4) == 0
	}
	return a
}

// TestAllowIsAnyGrant checks that any number of grants allow a request exactly if one of them does.
func TestAllowIsAnyGrant(t *testing.T) {
	gen := generator{rand.New(rand.NewPCG(5, 6))}
	count := map[bool]int{}
	for range 20_000 {
		var grants []policy.GrantSettings
		for range gen.IntN(4) {
			grants = append(grants, gen.grant())
		}
		request := gen.request()
		first := slices.IndexFunc(grants, func(s policy.GrantSettings) bool { return reference(s, request) })
		g, err := policyOf(t, grants...).Allow("shop", request)
		if (err == nil) != (first >= 0) || first >= 0 && g.Place != fmt.Sprintf("grants[%d]", first) {
			t.Fatalf("grants %+v\nask %+v\ngot %v, %v; want grant %d", grants, request, g, err, first)
		}
		count[err == nil]++
	}
	if count[true] < 800 || count[false] < 800 {
		t.Errorf("%d allowed, %d denied: too few of one kind", count[true], count[false])
	}
}

// TestGrantsNeverCombineAtRandom searches for two grants that each deny a request which the union
// of both would cover. Together they must deny it too.
func TestGrantsNeverCombineAtRandom(t *testing.T) {
	gen := generator{rand.New(rand.NewPCG(7, 8))}
	candidates := 0
	for range 20_000 {
		a, b, request := gen.grant(), gen.grant(), gen.request()
		if reference(a, request) || reference(b, request) || !reference(union(a, b), request) {
			continue
		}
		candidates++
		if allows(t, policyOf(t, a, b), request) {
			t.Fatalf("the grants combined\n%+v\n%+v\nrequest %+v", a, b, request)
		}
	}
	if candidates < 200 {
		t.Errorf("only %d pairs could have combined", candidates)
	}
}

func union(a, b policy.GrantSettings) policy.GrantSettings {
	claims := maps.Clone(a.Claims)
	for name, rule := range b.Claims {
		if claims[name] != any("any") {
			claims[name] = rule
		}
	}
	return policy.GrantSettings{
		Configurations: slices.Concat(a.Configurations, b.Configurations),
		Brands:         slices.Concat(a.Brands, b.Brands),
		Actions:        slices.Concat(a.Actions, b.Actions),
		Roles:          slices.Concat(a.Roles, b.Roles),
		Claims:         claims,
		EmailDomains:   policy.EmailDomains{Allow: slices.Concat(a.EmailDomains.Allow, b.EmailDomains.Allow)},
		ReturnToHosts:  slices.Concat(a.ReturnToHosts, b.ReturnToHosts),
		Protected:      a.Protected || b.Protected,
	}
}

// TestLessNeverAllowsMore removes each single part from a grant, or adds one to its denials. A
// request that was denied must stay denied.
func TestLessNeverAllowsMore(t *testing.T) {
	gen := generator{rand.New(rand.NewPCG(9, 10))}
	lost := 0
	for range 3000 {
		s, request := gen.grant(), gen.request()
		before := allows(t, policyOf(t, s), request)
		for name, less := range narrowed(s) {
			after := allows(t, policyOf(t, less), request)
			if after && !before {
				t.Fatalf("without %s it allows more\n%+v\nrequest %+v", name, s, request)
			}
			if before && !after {
				lost++
			}
		}
	}
	if lost < 400 {
		t.Errorf("a removal changed the result only %d times", lost)
	}
}

// narrowed returns all grants with one part less.
func narrowed(s policy.GrantSettings) map[string]policy.GrantSettings {
	out := map[string]policy.GrantSettings{}
	without := func(name string, list []string, set func(*policy.GrantSettings, []string)) {
		for i := range list {
			less := s
			set(&less, slices.Delete(slices.Clone(list), i, i+1))
			out[fmt.Sprintf("%s[%d]", name, i)] = less
		}
	}
	without("configurations", s.Configurations, func(s *policy.GrantSettings, l []string) { s.Configurations = l })
	without("brands", s.Brands, func(s *policy.GrantSettings, l []string) { s.Brands = l })
	without("roles", s.Roles, func(s *policy.GrantSettings, l []string) { s.Roles = l })
	without("allow", s.EmailDomains.Allow, func(s *policy.GrantSettings, l []string) { s.EmailDomains.Allow = l })
	without("hosts", s.ReturnToHosts, func(s *policy.GrantSettings, l []string) { s.ReturnToHosts = l })
	for i := range s.Actions {
		less := s
		less.Actions = slices.Delete(slices.Clone(s.Actions), i, i+1)
		out[fmt.Sprintf("actions[%d]", i)] = less
	}
	for name, rule := range s.Claims {
		less := s
		less.Claims = maps.Clone(s.Claims)
		delete(less.Claims, name)
		out["claims."+name] = less
		narrower := func(how string, rule any) {
			less := s
			less.Claims = maps.Clone(s.Claims)
			less.Claims[name] = rule
			out["claims."+name+how] = less
		}
		switch rule := rule.(type) {
		case string: // any
			if name != "clear_tags" {
				narrower(" as a list", []any{"x", "xy", "z"})
				narrower(" as a prefix", map[string]any{"prefix": "x"})
			}
			if name == "external_id" {
				narrower(" as a form", block("form", "digits"))
			}
		case []any:
			for i := range rule {
				narrower(fmt.Sprintf("[%d]", i), slices.Delete(slices.Clone(rule), i, i+1))
			}
		case map[string]any:
			switch {
			case rule["prefix"] != nil:
				narrower(" with a longer prefix", map[string]any{"prefix": "xy"})
			case rule["unbounded"] != nil:
				narrower(" as digits", block("form", "digits"))
				narrower(" as a uuid", block("form", "uuid"))
			case rule["form"] == "digits":
				narrower(" as a list of digits", []any{"12"})
			}
		}
	}
	unprotected := s
	unprotected.Protected = false
	out["protected"] = unprotected
	denied := s
	denied.EmailDomains.Deny = slices.Concat(s.EmailDomains.Deny, []string{"example.com"})
	out["a denial more"] = denied
	return out
}

// TestOrderDoesntMatter checks that the order of grants changes neither the result nor the reason.
func TestOrderDoesntMatter(t *testing.T) {
	gen := generator{rand.New(rand.NewPCG(13, 14))}
	count := map[bool]int{}
	for range 10_000 {
		var grants []policy.GrantSettings
		for range 2 + gen.IntN(3) {
			grants = append(grants, gen.grant())
		}
		request := gen.request()
		_, before := policyOf(t, grants...).Allow("shop", request)
		gen.Shuffle(len(grants), func(i, j int) { grants[i], grants[j] = grants[j], grants[i] })
		_, after := policyOf(t, grants...).Allow("shop", request)
		if reasonOf(before) != reasonOf(after) {
			t.Fatalf("in one order %v, in another %v: %+v\nask %+v", before, after, grants, request)
		}
		count[before == nil]++
	}
	if count[true] < 400 || count[false] < 400 {
		t.Errorf("%d allowed, %d denied: too few of one kind", count[true], count[false])
	}
}

func reasonOf(err error) policy.Reason {
	var denied *policy.DeniedError
	if errors.As(err, &denied) {
		return denied.Reason
	}
	return ""
}

// TestAddingToRequestNeverAllows adds something to a request that is denied.
func TestAddingToRequestNeverAllows(t *testing.T) {
	gen := generator{rand.New(rand.NewPCG(11, 12))}
	refused := 0
	for range 12_000 {
		p, request := policyOf(t, gen.grant(), gen.grant()), gen.request()
		before := allows(t, p, request)
		more := request
		more.Actions, more.Claims = slices.Clone(request.Actions), slices.Clone(request.Claims)
		switch gen.IntN(5) {
		case 0:
			more.Actions = append(more.Actions, policy.Stage)
		case 1:
			more.Claims = append(more.Claims, policy.Claim{Name: "external_id", Values: []string{"x"}})
		case 2:
			more.Protected = true
		case 3:
			more.ProtectedExternalID = true
		case 4:
			for i := range more.Claims {
				more.Claims[i].Values = append(slices.Clone(more.Claims[i].Values), "z")
			}
			if len(request.Claims) > 0 &&
				slices.ContainsFunc(request.Claims, func(c policy.Claim) bool { return len(c.Values) == 0 }) {
				continue // from no value to one isn't more of the same
			}
		}
		after := allows(t, p, more)
		if after && !before {
			t.Fatalf("a larger request is allowed\nrequest %+v\nlarger %+v", request, more)
		}
		if before && !after {
			refused++
		}
	}
	if refused < 200 {
		t.Errorf("an addition changed the result only %d times", refused)
	}
}
