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

// model is the grant rule said once more, from the settings alone.
func model(s policy.Settings, a policy.Ask) bool {
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
		(a.ReturnToHost == "" || has(s.ReturnToHosts, a.ReturnToHost))
}

// dice makes random grants and asks of few values, so that they often meet.
type dice struct{ *rand.Rand }

func (d dice) one(values ...string) string { return values[d.IntN(len(values))] }

func (d dice) some(values ...string) (list []string) {
	for _, v := range values {
		if d.IntN(3) > 0 {
			list = append(list, v)
		}
	}
	return list
}

// oftenAll is some of the values, or, as often, the star.
func (d dice) oftenAll(values ...string) []string {
	if d.IntN(2) == 0 {
		return []string{"*"}
	}
	return d.some(values...)
}

func (d dice) grant() policy.Settings {
	s := policy.Settings{
		Configurations: d.oftenAll("a", "b"),
		Brands:         d.oftenAll("1", "2"),
		Roles:          d.some("unset", "end_user", "agent"),
		Claims:         map[string]any{},
		EmailDomains:   policy.EmailDomains{Allow: d.oftenAll("acme.com", "*.acme.com", "example.com")},
		ReturnToHosts:  d.oftenAll("acme.zendesk.com", "help.acme.com"),
		Protected:      d.IntN(3) > 0,
	}
	for _, a := range d.some("sign_in", "sign_in", "stage", "read") {
		s.Actions = append(s.Actions, policy.Action(a))
	}
	if d.IntN(3) == 0 {
		s.EmailDomains.Deny = d.some("acme.com", "*.acme.com")
	}
	for _, name := range d.some("phone", "tags", "external_id", "clear_tags") {
		switch d.IntN(4) {
		case 0, 1:
			s.Claims[name] = "any"
		case 2:
			list := []any{}
			for _, v := range d.some("x", "xy", "z") {
				list = append(list, v)
			}
			s.Claims[name] = list
		case 3:
			s.Claims[name] = map[string]any{"prefix": "x"}
		}
		if name == "external_id" && d.IntN(2) == 0 {
			forms := []any{block("form", "digits"), block("form", "uuid"), block("any", "true", "unbounded", "true")}
			s.Claims[name] = forms[d.IntN(len(forms))]
		}
	}
	return s
}

func (d dice) ask() policy.Ask {
	a := policy.Ask{
		Configuration: d.one("a", "a", "b", "c"),
		Actions:       []policy.Action{policy.SignIn},
		Brand:         d.one("1", "1", "2", "3"),
		Role:          d.one("unset", "end_user", "end_user", "agent"),
		Email:         d.one("jo@acme.com", "jo@mail.acme.com", "jo@example.com", "jo@example.com", ""),
		Protected:     d.IntN(4) == 0,
		ReturnToHost:  d.one("", "", "acme.zendesk.com", "help.acme.com"),
	}
	if d.IntN(5) == 0 {
		a.Actions = append(a.Actions, policy.Action(d.one("stage", "read")))
	}
	for _, name := range d.some("phone", "tags") {
		a.Claims = append(a.Claims, policy.Claim{Name: name, Field: "user." + name, Values: d.some("x", "xy")})
	}
	if d.IntN(3) == 0 {
		values := []string{d.one("x", "xy", "12", aUUID)}
		a.Claims = append(a.Claims, policy.Claim{Name: "external_id", Field: "user.external_id", Values: values})
		a.ProtectedExternalID = d.IntN(4) == 0
	}
	return a
}

// TestAllowIsAnyGrant: with any number of grants, the answer is that of one of them.
func TestAllowIsAnyGrant(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(5, 6))}
	count := map[bool]int{}
	for range 20_000 {
		var grants []policy.Settings
		for range d.IntN(4) {
			grants = append(grants, d.grant())
		}
		ask := d.ask()
		first := slices.IndexFunc(grants, func(s policy.Settings) bool { return model(s, ask) })
		g, err := policyOf(t, grants...).Allow("shop", ask)
		if (err == nil) != (first >= 0) || first >= 0 && g.Place != fmt.Sprintf("grants[%d]", first) {
			t.Fatalf("grants %+v\nask %+v\ngot %v, %v; want grant %d", grants, ask, g, err, first)
		}
		count[err == nil]++
	}
	if count[true] < 800 || count[false] < 800 {
		t.Errorf("%d allowed, %d denied: too few of one kind to tell anything", count[true], count[false])
	}
}

// TestGrantsNeverAddUpAtRandom looks for two grants which deny an ask that one with
// everything of both would cover; together they must deny it too.
func TestGrantsNeverAddUpAtRandom(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(7, 8))}
	tempting := 0
	for range 20_000 {
		a, b, ask := d.grant(), d.grant(), d.ask()
		if model(a, ask) || model(b, ask) || !model(union(a, b), ask) {
			continue
		}
		tempting++
		if allows(t, policyOf(t, a, b), ask) {
			t.Fatalf("these two added up\n%+v\n%+v\nask %+v", a, b, ask)
		}
	}
	if tempting < 200 {
		t.Errorf("%d pairs were near enough to tell anything", tempting)
	}
}

func union(a, b policy.Settings) policy.Settings {
	claims := maps.Clone(a.Claims)
	for name, rule := range b.Claims {
		if claims[name] != any("any") {
			claims[name] = rule
		}
	}
	return policy.Settings{
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

// TestLessNeverAllowsMore takes one part away from a grant, in every way there is,
// and adds one to its denials: what was denied stays denied.
func TestLessNeverAllowsMore(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(9, 10))}
	lost := 0
	for range 3000 {
		s, ask := d.grant(), d.ask()
		before := allows(t, policyOf(t, s), ask)
		for name, less := range lesser(s) {
			after := allows(t, policyOf(t, less), ask)
			if after && !before {
				t.Fatalf("without %s it allows more\n%+v\nask %+v", name, s, ask)
			}
			if before && !after {
				lost++
			}
		}
	}
	if lost < 400 {
		t.Errorf("taking away mattered %d times: too few to tell anything", lost)
	}
}

// lesser are the grants with one part less.
func lesser(s policy.Settings) map[string]policy.Settings {
	out := map[string]policy.Settings{}
	without := func(name string, list []string, set func(*policy.Settings, []string)) {
		for i := range list {
			less := s
			set(&less, slices.Delete(slices.Clone(list), i, i+1))
			out[fmt.Sprintf("%s[%d]", name, i)] = less
		}
	}
	without("configurations", s.Configurations, func(s *policy.Settings, l []string) { s.Configurations = l })
	without("brands", s.Brands, func(s *policy.Settings, l []string) { s.Brands = l })
	without("roles", s.Roles, func(s *policy.Settings, l []string) { s.Roles = l })
	without("allow", s.EmailDomains.Allow, func(s *policy.Settings, l []string) { s.EmailDomains.Allow = l })
	without("hosts", s.ReturnToHosts, func(s *policy.Settings, l []string) { s.ReturnToHosts = l })
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

// TestOrderDoesntMatter: the same grants in another order decide the same, and give the
// same reason.
func TestOrderDoesntMatter(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(13, 14))}
	count := map[bool]int{}
	for range 10_000 {
		var grants []policy.Settings
		for range 2 + d.IntN(3) {
			grants = append(grants, d.grant())
		}
		ask := d.ask()
		_, before := policyOf(t, grants...).Allow("shop", ask)
		d.Shuffle(len(grants), func(i, j int) { grants[i], grants[j] = grants[j], grants[i] })
		_, after := policyOf(t, grants...).Allow("shop", ask)
		if reasonOf(before) != reasonOf(after) {
			t.Fatalf("in one order %v, in another %v: %+v\nask %+v", before, after, grants, ask)
		}
		count[before == nil]++
	}
	if count[true] < 400 || count[false] < 400 {
		t.Errorf("%d allowed, %d denied: too few of one kind to tell anything", count[true], count[false])
	}
}

func reasonOf(err error) policy.Reason {
	var denied *policy.DeniedError
	if errors.As(err, &denied) {
		return denied.Reason
	}
	return ""
}

// TestAskingMoreNeverAllows: to an ask that is denied, something is added.
func TestAskingMoreNeverAllows(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(11, 12))}
	refused := 0
	for range 12_000 {
		p, ask := policyOf(t, d.grant(), d.grant()), d.ask()
		before := allows(t, p, ask)
		more := ask
		more.Actions, more.Claims = slices.Clone(ask.Actions), slices.Clone(ask.Claims)
		switch d.IntN(5) {
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
			if len(ask.Claims) > 0 &&
				slices.ContainsFunc(ask.Claims, func(c policy.Claim) bool { return len(c.Values) == 0 }) {
				continue // from no value to one isn't more of the same
			}
		}
		after := allows(t, p, more)
		if after && !before {
			t.Fatalf("asking for more is allowed\nask %+v\nmore %+v", ask, more)
		}
		if before && !after {
			refused++
		}
	}
	if refused < 200 {
		t.Errorf("asking for more mattered %d times: too few to tell anything", refused)
	}
}
