package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/deskmint/deskmint/service/policy"
)

const aUUID = "0f5f3a6c-8B11-4c55-9d0e-7b432f6c1e0a"

// block returns a rule as the configuration file contains it, with text as values.
func block(keysAndValues ...string) map[string]any {
	m := map[string]any{}
	for pair := range slices.Chunk(keysAndValues, 2) {
		m[pair[0]] = pair[1]
	}
	return m
}

func externalID(rule any) func(grant) { return func(g grant) { g.Claims["external_id"] = rule } }

// checkFaults returns the faults that Check reports for a grant, as "key: fault".
func checkFaults(s policy.GrantSettings) (faults []string) {
	s.Check(func(key, fault string) { faults = append(faults, key+": "+fault) })
	return faults
}

// TestExternalIDRules checks which rules for external_id are valid in a grant that limits emails.
func TestExternalIDRules(t *testing.T) {
	const want, both = "must be {prefix: …}, a list of values", "must have both any: true and unbounded: true"
	for _, test := range []struct {
		name, claim string
		rule        any
		fault       string // a piece of it; "": no fault
	}{
		{"prefix", "external_id", block("prefix", "shop-"), ""},
		{"list", "external_id", []any{"1", "2"}, ""},
		{"digits", "external_id", block("form", "digits"), ""},
		{"uuid", "external_id", block("form", "uuid"), ""},
		{"unbounded", "external_id", block("any", "true", "unbounded", "true"), ""},
		{"unbounded in capitals", "external_id", block("any", "True", "unbounded", "TRUE"), ""},
		{"any", "external_id", "any", "must not be any in a grant that limits email_domains"},
		{"another word", "external_id", "all", want},
		{"no rule", "external_id", nil, want},
		{"any alone", "external_id", block("any", "true"), both},
		{"unbounded alone", "external_id", block("unbounded", "true"), both},
		{"any that isn't unbounded", "external_id", block("any", "true", "unbounded", "false"), both},
		{"unbounded that isn't any", "external_id", block("any", "false", "unbounded", "true"), both},
		{"yes", "external_id", block("any", "yes", "unbounded", "yes"), both},
		{"unbounded prefix", "external_id", block("prefix", "x", "unbounded", "true"), want},
		{"unbounded form", "external_id", block("form", "uuid", "any", "true", "unbounded", "true"), want},
		{"prefix and form", "external_id", block("prefix", "x", "form", "digits"), want},
		{"no key", "external_id", block(), want},
		{"unknown form", "external_id", block("form", "hex"),
			`has no form "hex": write {form: digits} or {form: uuid}`},
		{"empty form", "external_id", block("form", ""), `has no form ""`},
		{"empty prefix", "external_id", block("prefix", ""), want},
		{"prefix of a number", "external_id", map[string]any{"prefix": 7}, want},
		{"suffix", "external_id", block("suffix", "x"), want},
		{"prefix that is a space", "external_id", block("prefix", " "), "limits nothing"},
		{"prefix after a space", "external_id", block("prefix", "\u00a0x"), "limits nothing"},
		{"prefix that is an accent", "external_id", block("prefix", "\u0301"), "limits nothing"},
		{"prefix before a space", "external_id", block("prefix", "shop "), ""},
		{"form of another claim", "phone", block("form", "digits"),
			"must be any, a list of values, or {prefix: …}: form is for external_id only"},
		{"another claim unbounded", "tags", block("any", "true", "unbounded", "true"),
			"must be any, a list of values, or {prefix: …}: unbounded is for external_id only"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := fullGrant(func(g grant) { g.Claims = map[string]any{test.claim: test.rule} })
			faults := checkFaults(s)
			if test.fault == "" && len(faults) == 0 {
				return
			}
			key := "claims." + test.claim + ": "
			if test.fault == "" || len(faults) != 1 || !strings.HasPrefix(faults[0], key) ||
				!strings.Contains(faults[0], test.fault) {
				t.Errorf("faults %q, want %q", faults, test.fault)
			}
		})
	}
}

// TestAnyExternalIDWithEmailLimits checks that `any` is invalid in a grant that excludes some
// emails. The message must name every alternative.
func TestAnyExternalIDWithEmailLimits(t *testing.T) {
	for _, test := range []struct {
		allow, deny []string
		actions     []policy.Action
		refused     bool
	}{
		{[]string{"*"}, nil, []policy.Action{policy.SignIn}, false},
		{[]string{"acme.com", "*"}, nil, []policy.Action{policy.SignIn}, false},
		{[]string{"*"}, []string{"acme.com"}, []policy.Action{policy.SignIn}, true},
		{[]string{"acme.com"}, nil, []policy.Action{policy.SignIn, policy.Read}, true},
		{[]string{"*.acme.com", "acme.com"}, []string{"x.acme.com"}, []policy.Action{policy.SignIn}, true},
		{[]string{"acme.com"}, nil, []policy.Action{policy.Read}, false},
	} {
		for _, protected := range []bool{false, true} {
			faults := checkFaults(fullGrant(externalID("any"), func(g grant) {
				g.EmailDomains = policy.EmailDomains{Allow: test.allow, Deny: test.deny}
				g.Actions = test.actions
				g.Protected = protected
			}))
			if refused := len(faults) > 0; refused != test.refused {
				t.Errorf("%+v, protected %v: faults %q", test, protected, faults)
			}
			for _, way := range []string{
				"{prefix: …}", "list of ids", "{form: digits}", "{form: uuid}", "{any: true, unbounded: true}",
			} {
				if test.refused && !strings.Contains(strings.Join(faults, ""), way) {
					t.Errorf("%q doesn't name %s", faults, way)
				}
			}
		}
	}
}

// TestCheckProtected combines what configurations protect with what a grant's rule allows.
func TestCheckProtected(t *testing.T) {
	none := []policy.ProtectedPeople{}
	byEmail := []policy.ProtectedPeople{{Configuration: "a"}}
	ids := []string{"E-1", "77", strings.ToUpper(aUUID), "Shop-Chief"}
	byID := []policy.ProtectedPeople{{Configuration: "a"}, {Configuration: "b", ExternalIDs: ids}}
	all := func(g grant) { g.EmailDomains, g.Protected = policy.EmailDomains{Allow: []string{"*"}}, false }
	for _, test := range []struct {
		name   string
		rule   any
		change func(grant)
		people []policy.ProtectedPeople
		want   []string // "fault" or "warning", and a piece of it
	}{
		{"any, no one protected", "any", nil, none, nil},
		{"any, by email", "any", nil, byEmail,
			[]string{"fault: must not be any: configuration a has protected people"}},
		{"any, by id", "any", nil, byID, []string{"fault: must not be any"}},
		{"any, may sign in protected people", "any", func(g grant) { g.Protected = true }, byID, nil},
		{"any, without sign_in", "any", func(g grant) { g.Actions = []policy.Action{policy.Read} }, byID, nil},
		{"any, which Check has reported", "any",
			func(g grant) { g.EmailDomains.Deny = []string{"acme.com"} }, byID, nil},
		{"unbounded", block("any", "true", "unbounded", "true"), nil, byID, nil},
		{"a faulty rule", block("form", "hex"), nil, byID, nil},
		{"a form, by email", block("form", "digits"), nil, byEmail, nil},
		{"digits", block("form", "digits"), nil, byID,
			[]string{"fault: must not be this form: protected.external_ids[1] of configuration b"}},
		{"uuid", block("form", "uuid"), nil, byID,
			[]string{"fault: must not be this form: protected.external_ids[2] of configuration b"}},
		{"a prefix", block("prefix", "crm-"), nil, byID, nil},
		{"a prefix that covers one", block("prefix", "shop-"), nil, byID,
			[]string{"warning: covers protected.external_ids[3] of configuration b"}},
		{"a list", []any{"E-2", "7"}, nil, byID, nil},
		{"a list that covers one", []any{"e-1"}, nil, byID,
			[]string{"warning: covers protected.external_ids[0] of configuration b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := fullGrant(externalID(test.rule), all)
			if test.change != nil {
				test.change(&s)
			}
			var got []string
			say := func(kind string) func(key, message string) {
				return func(key, message string) {
					if key != "claims.external_id" {
						t.Errorf("reported for %s", key)
					}
					got = append(got, kind+": "+message)
				}
			}
			s.CheckProtected(test.people, say("fault"), say("warning"))
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("said %q, want %q", got, test.want)
			}
		})
	}
}

// TestExternalIDForms checks that a form matches only whole ids of exactly that form.
func TestExternalIDForms(t *testing.T) {
	for _, test := range []struct {
		form, id string
		want     bool
	}{
		{"digits", "7", true},
		{"digits", "0123456789", true},
		{"digits", "007", true},
		{"digits", "-7", false},
		{"digits", "7 ", false},
		{"digits", "7\n", false},
		{"digits", "E-1", false},
		{"digits", "1e3", false},
		{"digits", "٧", false},
		{"digits", "７", false},
		{"uuid", aUUID, true},
		{"uuid", strings.ToUpper(aUUID), true},
		{"uuid", strings.ReplaceAll(aUUID, "-", ""), false},
		{"uuid", "{" + aUUID + "}", false},
		{"uuid", "urn:uuid:" + aUUID, false},
		{"uuid", aUUID + "\n", false},
		{"uuid", " " + aUUID, false},
		{"uuid", strings.Replace(aUUID, "0", "g", 1), false},
		{"uuid", strings.Replace(aUUID, "0", "０", 1), false},
	} {
		p := policyOf(t, fullGrant(externalID(block("form", test.form))))
		request := fullRequest(func(r request) { r.Claims[2].Values = []string{test.id} })
		if got := allows(t, p, request); got != test.want {
			t.Errorf("form %s allows %q: %v", test.form, test.id, got)
		}
	}
	for _, form := range []string{"digits", "uuid"} {
		p := policyOf(t, fullGrant(externalID(block("form", form))))
		for _, values := range [][]string{nil, {""}, {"7", aUUID}} {
			if allows(t, p, fullRequest(func(r request) { r.Claims[2].Values = values })) {
				t.Errorf("form %s allows %q", form, values)
			}
		}
	}
	unbounded := policyOf(t, fullGrant(externalID(block("any", "true", "unbounded", "true"))))
	if !allows(t, unbounded, fullRequest(func(r request) { r.Claims[2].Values = []string{"E-1"} })) {
		t.Error("unbounded denies an id")
	}
}

// TestProtectedExternalID checks that only a grant with `protected: true` covers the id of a
// protected person.
func TestProtectedExternalID(t *testing.T) {
	request := fullRequest(func(r request) { r.Protected, r.ProtectedExternalID = false, true })
	if p := policyOf(t, fullGrant()); !allows(t, p, request) {
		t.Error("denied by a grant with protected: true")
	}
	p := policyOf(t, fullGrant(func(g grant) { g.Protected = false }))
	wantDenied(t, p, "shop", request, policy.ClaimNotAllowed, "user.external_id", "grants[0].protected")
	unbounded := policyOf(t,
		fullGrant(externalID(block("any", "true", "unbounded", "true")), func(g grant) { g.Protected = false }))
	wantDenied(t, unbounded, "shop", request, policy.ClaimNotAllowed, "user.external_id", "grants[0].protected")
}

// TestFoldExternalID checks that spellings that Zendesk may treat as one id are equal, and that
// others are not.
func TestFoldExternalID(t *testing.T) {
	for id, spellings := range map[string][]string{
		"kim-1": {
			"KIM-1", "Kim-1", "\u212aim-1", "k\u0130m-1", "k\u0131m-1", "ｋｉｍ－１", " kim-1", "kim-1\u00a0",
			"\u3000kim-1", "\u00a8kim-1", "kîm-1", "k\u0069\u0302m-1", "kim\u200b-1", "kim-1\u0000",
			"kim\u00ad-1", "kim-1\ufe0f", "\ufeffkim-1", "kim-\u2460", "𝐤𝐢𝐦-1",
		},
		"sos":    {"ſos", "SOS", "søs", "sös"},
		"strass": {"straß", "STRAẞ", "STRASS"},
		"όσος":   {"ΌΣΟΣ", "όσοσ", "οσος"},
		"łódź":   {"LODZ", "lodz"},
	} {
		for _, s := range spellings {
			if policy.FoldExternalID(s) != policy.FoldExternalID(id) {
				t.Errorf("%q is %q, and %q is %q", s, policy.FoldExternalID(s), id, policy.FoldExternalID(id))
			}
		}
	}
	apart := []string{"", "1", "01", "10", "e1", "e-1", "e_1", "e 1", "E-11", "é2", "一", "二", aUUID}
	for i, a := range apart {
		for _, b := range apart[:i] {
			if policy.FoldExternalID(a) == policy.FoldExternalID(b) {
				t.Errorf("%q and %q are one id", a, b)
			}
		}
	}
}

// TestFoldExternalIDFoldsEveryCase checks all letters in Unicode.
func TestFoldExternalIDFoldsEveryCase(t *testing.T) {
	for r := range unicode.MaxRune {
		if other := unicode.SimpleFold(r); other != r &&
			policy.FoldExternalID("x"+string(r)) != policy.FoldExternalID("X"+string(other)) {
			t.Errorf("%c (U+%04X) and %c (U+%04X) are apart", r, r, other, other)
		}
	}
}

// FuzzFoldExternalID checks that a change of case or outer white space never changes the folded id,
// and that folding twice equals folding once.
func FuzzFoldExternalID(f *testing.F) {
	for _, s := range []string{
		"", "E-1", "\u212aim", "k\u0130m", "k\u0131m", "ſ", "straße", "ǅ", "ΐ", "\u0345", "ﬁ", "\u1e9e", " x ",
		"ꭰ", "ᏸ", aUUID,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if !utf8.ValidString(id) {
			t.Skip("the API takes valid UTF-8 only")
		}
		folded := policy.FoldExternalID(id)
		for how, s := range map[string]string{
			"itself": folded, "upper": strings.ToUpper(id), "lower": strings.ToLower(id), "title": strings.ToTitle(id),
			"padded": fmt.Sprintf(" %s\u00a0", id),
		} {
			if again := policy.FoldExternalID(s); again != folded {
				t.Errorf("%q becomes %q; %s, %q becomes %q", id, folded, how, s, again)
			}
		}
	})
}

// TestFoldVisibleASCII compares the short way for ASCII with the long one, which an invisible
// character brings about.
func TestFoldVisibleASCII(t *testing.T) {
	for c := rune(1); c <= unicode.MaxASCII; c++ {
		id := "Shop-" + string(c) + "-E"
		if got, want := policy.FoldExternalID(id), policy.FoldExternalID(id+"\u200b"); got != want {
			t.Errorf("%q is folded to %q, want %q", id, got, want)
		}
	}
}
