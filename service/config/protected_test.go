package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const roles = "roles: [end_user]"

// protecting returns the minimal configuration with protected people and one rule for external_id.
func protecting(t *testing.T, protected, rule string, more ...string) string {
	t.Helper()
	text := change(t, roles, roles+"\n        claims: {external_id: "+rule+"}")
	if protected != "" {
		text = strings.Replace(text, "    zendesk_sso:", "    protected: "+protected+"\n    zendesk_sso:", 1)
	}
	return strings.NewReplacer(more...).Replace(text)
}

// TestExternalIDWithProtectedPeople shows which rules for external_id a grant may have if its
// configurations have protected people, and the place of the problem or warning.
func TestExternalIDWithProtectedPeople(t *testing.T) {
	const (
		people     = "{emails: [ceo@acme.com], external_ids: ['1', Shop-Chief, 0F5F3A6C-8b11-4c55-9d0e-7b432f6c1e0a]}"
		emails     = "{emails: [ceo@acme.com]}"
		domains    = "{domains: [acme.com, '*.acme.com']}"
		unbound    = "{any: true, unbounded: true}"
		allow      = `allow: ["*"]`
		anyProblem = "must not be any"
	)
	second := `
  - name: second
    secret: {path: b}
    protected: ` + emails + `
    zendesk_sso: {audiences: [end_user], origins: [https://b.example], brands: [{id: '2', subdomain: b}]}
callers:`
	for _, test := range []struct {
		name, protected, rule string
		more                  []string // old and new parts
		problem               string   // a piece of it; empty: none
		warning               string
	}{
		{"any, no protected people", "", "any", nil, "", ""},
		{"any, an address", emails, "any", nil, anyProblem, ""},
		{"any, a domain", domains, "any", nil, anyProblem, ""},
		{"any, an id", "{external_ids: ['1']}", "any", nil, anyProblem, ""},
		{"any, protected: true", people, "any", []string{roles, roles + "\n        protected: true"}, "", ""},
		{
			"any, protected and denied", people, "any",
			[]string{allow, allow + ", deny: [acme.com, '*.acme.com']"}, anyProblem, "",
		},
		{"any, without sign_in", people, "any", []string{"actions: [sign_in, read]", "actions: [read]"}, "", ""},
		{"unbounded", people, unbound, nil, "", ""},
		{"unbounded, denied", people, unbound, []string{allow, allow + ", deny: [acme.com, '*.acme.com']"}, "", ""},
		{"half of unbounded", people, "{any: true}", nil, "must have both any: true and unbounded: true", ""},
		{
			"not unbounded", people, "{any: true, unbounded: false}", nil,
			"must have both any: true and unbounded: true", "",
		},
		{
			"digits, as a protected id", people, "{form: digits}", nil,
			"protected.external_ids[0] of configuration acme-customers has the same form", "",
		},
		{
			"uuid, as a protected id", people, "{form: uuid}", nil,
			"protected.external_ids[2] of configuration acme-customers has the same form", "",
		},
		{"digits, unlike the protected id", "{external_ids: [E-1]}", "{form: digits}", nil, "", ""},
		{"digits, an address", emails, "{form: digits}", nil, "", ""},
		{"a prefix", people, "{prefix: crm-}", nil, "", ""},
		{
			"a prefix of a protected id", people, "{prefix: shop-}", nil, "",
			"covers protected.external_ids[1] of configuration acme-customers",
		},
		{"a list with a protected id", people, "[0, 1]", nil, "", "covers protected.external_ids[0]"},
	} {
		for _, named := range []string{"[acme-customers]", `["*"]`} {
			t.Run(test.name+" "+named, func(t *testing.T) {
				more := append(slices.Clone(test.more), "configurations: [acme-customers]", "configurations: "+named)
				text := protecting(t, test.protected, test.rule, more...) + audited
				line := 1 + strings.Count(text[:strings.Index(text, "claims:")], "\n")
				want := fmt.Sprintf("deskmint.yaml:%d callers[0].grants[0].claims.external_id", line)
				s, err := Parse("deskmint.yaml", []byte(text), Options{})
				if test.problem != "" {
					places, messages := problems(t, err)
					if !slices.Equal(places, []string{want}) || !strings.Contains(messages, test.problem) {
						t.Errorf("problems %s, want one at %s: %s", messages, want, test.problem)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if (test.warning != "") != (len(s.Warnings) == 1) ||
					!strings.Contains(fmt.Sprint(s.Warnings), test.warning) {
					t.Errorf("warnings %v, want %q", s.Warnings, test.warning)
				}
			})
		}
	}
	// The protected people of all configurations of the grant count, and no others.
	for named, refused := range map[string]bool{
		"[acme-customers]":         false,
		"[acme-customers, second]": true,
		`["*"]`:                    true,
	} {
		text := protecting(t, "", "any",
			"\ncallers:", second,
			"configurations: [acme-customers]", "configurations: "+named)
		_, err := Parse("deskmint.yaml", []byte(text), Options{})
		const message = "configuration second has protected people"
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v", named, err)
		}
	}
}

func TestProtectedExternalIDs(t *testing.T) {
	for ids, problem := range map[string]string{
		"[E-1, 'e 1', '1', '01', Zoë]":          "",
		"[E-1, e-1]":                            "external_ids[1]: is the same id as in line 8",
		"[Kim, \"\\u212aim\"]":                  "external_ids[1]: is the same id",
		"['']":                                  "external_ids[0]: is empty",
		"[' x']":                                "external_ids[0]: has white space",
		"[\"x\\u00a0\"]":                        "external_ids[0]: has white space",
		"[\"a\\tb\"]":                           "external_ids[0]: holds a control character",
		"[7]":                                   "external_ids[0]: must be text: put it in quotes",
		"[" + strings.Repeat("x ", 127) + "x]":  "",
		"[" + strings.Repeat("x ", 127) + "xx]": "external_ids[0]: is longer than 255 characters",
	} {
		text := change(t, "    zendesk_sso:", "    protected: {external_ids: "+ids+"}\n    zendesk_sso:")
		_, err := Parse("deskmint.yaml", []byte(text), Options{})
		want := "deskmint.yaml:8: configurations[0].protected." + problem
		if (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", ids, err, want)
		}
	}
	s := parsed(t, change(t, "    zendesk_sso:", "    protected: {external_ids: [Kim-1]}\n    zendesk_sso:"), Options{})
	c, _ := s.Configuration("acme-customers")
	for id, want := range map[string]bool{
		"Kim-1": true, "kim-1": true, "\u212aIM-1": true, " kim-1\u00a0": true, "kım-1": true,
		"": false, "kim": false, "kim-11": false, "xkim-1": false, "kim_1": false,
	} {
		if got := c.ProtectsExternalID(id); got != want {
			t.Errorf("ProtectsExternalID(%q) is %v", id, got)
		}
	}
	none := parsed(t, minimal, Options{})
	if c, _ := none.Configuration("acme-customers"); c.ProtectsExternalID("") || c.ProtectsExternalID("x") {
		t.Error("an id is protected where none is listed")
	}
}

// TestHalfDomainWarnings shows the warnings about a domain without its subdomains, and about
// subdomains without their domain. There is none if the missing entry would have no effect.
func TestHalfDomainWarnings(t *testing.T) {
	protected := func(list string) string {
		return change(t, "    zendesk_sso:", "    protected: {domains: ["+list+"]}\n    zendesk_sso:")
	}
	deny := func(allow, list string) string {
		return change(t, `{allow: ["*"]}`, "{allow: ["+allow+"], deny: ["+list+"]}")
	}
	const (
		atProtected = "configurations[0].protected.domains"
		atDeny      = "callers[0].grants[0].email_domains.deny"
	)
	for _, test := range []struct {
		name, text string
		want       []string // "KEY: piece of the message"
	}{
		{
			"protected domain", protected("acme.com"),
			[]string{
				atProtected + `[0]: protects acme.com, but not its subdomains, such as sub.acme.com: add "*.acme.com"`,
			},
		},
		{
			"protected subdomains", protected("'*.acme.com'"),
			[]string{atProtected + `[0]: protects the subdomains of acme.com, but not acme.com itself: add "acme.com"`},
		},
		{"both protected", protected("'*.acme.com', acme.com"), nil},
		{"everyone protected", protected("acme.com, '*'"), nil},
		{"a subdomain of protected subdomains", protected("'*.acme.com', acme.com, board.acme.com"), nil},
		{"two halves", protected("acme.com, '*.b.example'"), []string{atProtected + "[0]: ", atProtected + "[1]: "}},
		{
			"denied domain", deny("'*'", "acme.com"),
			[]string{atDeny + `[0]: denies acme.com, but not its subdomains, such as sub.acme.com: add "*.acme.com"`},
		},
		{
			"denied subdomains", deny("'*'", "'*.acme.com'"),
			[]string{atDeny + `[0]: denies the subdomains of acme.com, but not acme.com itself: add "acme.com"`},
		},
		{"both denied", deny("'*'", "acme.com, '*.acme.com'"), nil},
		{"denied where subdomains aren't allowed", deny("acme.com, b.example", "acme.com"), nil},
		{"denied where subdomains are allowed", deny("'*.acme.com'", "acme.com"), []string{atDeny + "[0]: "}},
		{"denied where one subdomain is allowed by name", deny("mail.acme.com", "acme.com"), nil},
		{"subdomains denied where the domain isn't allowed", deny("'*.acme.com', b.example", "'*.acme.com'"), nil},
		{"a denied subdomain of allowed ones", deny("'*.acme.com'", "x.acme.com"), []string{atDeny + "[0]: "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, w := range parsed(t, test.text+audited, Options{}).Warnings {
				got = append(got, w.Key+": "+w.Message)
			}
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("warnings %q, want %q", got, test.want)
			}
		})
	}
	read := strings.Replace(deny("'*'", "acme.com"), "actions: [sign_in, read]", "actions: [read]", 1)
	if s := parsed(t, read+audited, Options{}); len(s.Warnings) > 0 {
		t.Errorf("a grant without sign_in: %v", s.Warnings)
	}
}

// TestSchemaOfExternalIDRules shows that the schema and the parser accept the same forms.
func TestSchemaOfExternalIDRules(t *testing.T) {
	s := compiled(t)
	for rule, taken := range map[string]bool{
		"any": true, "[1, a]": true, "{prefix: shop-}": true, "{form: digits}": true, "{form: uuid}": true,
		"{any: true, unbounded: true}": true, "{any: True, unbounded: TRUE}": true,
		"{any: 'true', unbounded: 'true'}": true, "{any: true}": false, "{unbounded: true}": false,
		"{any: true, unbounded: false}": false, "{any: yes, unbounded: true}": false,
		"{form: hex}": false, "{form: [digits]}": false, "{form: digits, prefix: a}": false, "{prefix: ' a'}": false,
		"{form: digits, any: true, unbounded: true}": false, "{}": false, "all": false, "true": false,
	} {
		text := protecting(t, "", rule)
		_, err := Parse("deskmint.yaml", []byte(text), Options{})
		if schemaErr := validate(s, text); (err == nil) != taken || (schemaErr == nil) != taken {
			t.Errorf("%s: Parse returns %v, the schema %v, want accepted %v", rule, err, schemaErr, taken)
		}
	}
	for claim, with := range map[string]string{"phone": "{form: digits}", "tags": "{any: true, unbounded: true}"} {
		text := change(t, roles, roles+"\n        claims: {"+claim+": "+with+"}")
		if _, err := Parse("deskmint.yaml", []byte(text), Options{}); err == nil || validate(s, text) == nil {
			t.Errorf("the rule %s of %s was accepted", with, claim)
		}
	}
	for ids, taken := range map[string]bool{
		"[E-1, 'a b', ü, x]": true, "['1']": true, "[1]": false,
		"[' x']": false, "['x ']": false, "[\"a\\tb\"]": false, "x": false,
		"[" + strings.Repeat("x", 255) + "]": true, "[" + strings.Repeat("x", 256) + "]": false,
	} {
		text := change(t, "    zendesk_sso:", "    protected: {external_ids: "+ids+"}\n    zendesk_sso:")
		_, err := Parse("deskmint.yaml", []byte(text), Options{})
		if schemaErr := validate(s, text); (err == nil) != taken || (schemaErr == nil) != taken {
			t.Errorf("external_ids %s: Parse returns %v, the schema %v, want accepted %v", ids, err, schemaErr, taken)
		}
	}
}
