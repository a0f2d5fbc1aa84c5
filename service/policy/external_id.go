package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// An external id is an identity. Zendesk finds a person by email. If no one has that email, it may
// find the person by external id. A caller that may send any external id can therefore sign in as
// any person, whatever emails its grant allows. The rule for external_id therefore has forms that
// other claims don't have, and `any` needs the further word `unbounded` if the grant limits people.
//
// No other claim is an identity. Email is the identity key, and email_domains and protected limit
// it. A phone number, an organisation, a tag or a user field is written into the record of the
// person that email and external id have found. custom_role_id is a right, not a person.

// externalIDForms are the forms that `{form: …}` can name. They match the text exactly as the token
// contains it.
var externalIDForms = map[string]*regexp.Regexp{
	"digits": regexp.MustCompile(`^[0-9]+$`),
	"uuid":   regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`), // RFC 9562
}

const (
	wantExternalID = "must be {prefix: …}, a list of values, {form: digits}, {form: uuid}, any, " +
		"or {any: true, unbounded: true}"
	wantUnbounded = "must have both any: true and unbounded: true to let every id through, " +
		"or be {prefix: …}, a list of ids, {form: digits} or {form: uuid} to limit the ids"
	alternatives = "write {prefix: …}, a list of ids, {form: digits} or {form: uuid} (if the people to exclude have " +
		"ids of another form), or {any: true, unbounded: true} (if the caller may sign in anyone)"
)

// parseExternalIDBlock parses the rule for external_id if it is a block. The values are text, as in
// the configuration file.
func parseExternalIDBlock(block map[string]any) (rule claimRule, fault string) {
	text := func(key string) (value string, given bool) {
		v, given := block[key]
		value, _ = v.(string)
		return value, given
	}
	prefix, hasPrefix := text("prefix")
	form, hasForm := text("form")
	anyID, hasAny := text("any")
	unbounded, hasUnbounded := text("unbounded")
	switch {
	case len(block) == 1 && hasPrefix:
		if prefix == "" {
			return rule, wantExternalID
		}
		return claimRule{prefix: prefix}, prefixFault(prefix)
	case len(block) == 1 && hasForm:
		if externalIDForms[form] == nil {
			return rule, fmt.Sprintf("has no form %q: write {form: digits} or {form: uuid}", form)
		}
		return claimRule{form: externalIDForms[form]}, ""
	case len(block) == 2 && isTrue(anyID) && isTrue(unbounded):
		return claimRule{any: true, unbounded: true}, ""
	case (hasAny || hasUnbounded) && !hasPrefix && !hasForm:
		return rule, wantUnbounded
	}
	return rule, wantExternalID
}

// isTrue reports whether s is a spelling of true in YAML.
func isTrue(s string) bool { return s == "true" || s == "True" || s == "TRUE" }

// prefixFault explains why a prefix limits nothing. No id in a token begins with white space.
// Zendesk may ignore a prefix of combining marks alone.
func prefixFault(prefix string) string {
	if strings.TrimLeftFunc(prefix, unicode.IsSpace) != prefix || FoldExternalID(prefix) == "" {
		return "has a prefix that limits nothing: begin it with a letter, a digit or a sign"
	}
	return ""
}

func (s GrantSettings) externalIDRule() (rule claimRule, ok bool) {
	v, given := s.Claims[ClaimExternalID]
	if !given || !slices.Contains(s.Actions, SignIn) {
		return rule, false
	}
	rule, fault := parseClaimRule(ClaimExternalID, v)
	return rule, fault == ""
}

// checkExternalID reports a rule that allows every external id in a grant that limits emails.
func (s GrantSettings) checkExternalID(report func(key, fault string)) {
	if rule, ok := s.externalIDRule(); ok && rule.any && !rule.unbounded && s.EmailDomains.limited() {
		report("claims."+ClaimExternalID, "must not be any in a grant that limits email_domains: an external id is an "+
			"identity, so with any id the caller can sign in people whom email_domains keeps out: "+alternatives)
	}
}

// limited reports whether some emails are not allowed.
func (d EmailDomains) limited() bool {
	return len(d.Allow) > 0 && (!slices.Contains(d.Allow, "*") || len(d.Deny) > 0)
}

// ProtectedPeople are the people that one configuration protects.
type ProtectedPeople struct {
	Configuration string
	ExternalIDs   []string
}

// CheckProtected reports whether a grant's rule for external_id covers people that its
// configurations protect. people has an entry for each configuration of the grant that protects any
// people. Call Check too: it reports what depends on no configuration, and CheckProtected doesn't
// repeat that.
func (s GrantSettings) CheckProtected(people []ProtectedPeople, report, warn func(key, message string)) {
	const key = "claims." + ClaimExternalID
	rule, ok := s.externalIDRule()
	if !ok || s.Protected || rule.unbounded || len(people) == 0 {
		return
	}
	if rule.any {
		if !s.EmailDomains.limited() {
			report(key, fmt.Sprintf("must not be any: configuration %s has protected people, an external id is an "+
				"identity, and the grant has no `protected: true`: %s", people[0].Configuration, alternatives))
		}
		return
	}
	for _, p := range people {
		i := slices.IndexFunc(p.ExternalIDs, rule.coversFolded)
		switch {
		case i < 0:
		case rule.form != nil:
			report(key, fmt.Sprintf("must not be this form: protected.external_ids[%d] of configuration %s has the "+
				"same form, so it doesn't exclude protected people: write {prefix: …}, a list of ids, another form, "+
				"or {any: true, unbounded: true}", i, p.Configuration))
		default:
			warn(key, fmt.Sprintf("covers protected.external_ids[%d] of configuration %s, which is still refused: "+
				"choose a prefix or a list that covers no protected id, or write `protected: true`",
				i, p.Configuration))
		}
	}
}

// coversFolded reports whether the rule covers an id in any spelling that Zendesk may treat as the
// same id.
func (r claimRule) coversFolded(id string) bool {
	id = FoldExternalID(id)
	if r.prefix != "" && strings.HasPrefix(id, FoldExternalID(r.prefix)) || r.form != nil && r.form.MatchString(id) {
		return true
	}
	for value := range r.values {
		if FoldExternalID(value) == id {
			return true
		}
	}
	return false
}

// similarLetters are lower-case letters that decomposition doesn't change. A database that ignores
// accents may treat them as equal to the letters after them.
var similarLetters = strings.NewReplacer("ß", "ss", "ø", "o", "đ", "d", "ð", "d", "ł", "l", "ħ", "h", "ŧ", "t",
	"æ", "ae", "œ", "oe", "þ", "th")

// FoldExternalID returns the form of an external id that is compared with protected ids. Zendesk
// documents that it compares ids without case. It doesn't document what else it ignores, so two ids
// are equal here if they differ only in Unicode case, width, accents, dashes, invisible characters
// or white space. If this ignores too much, a sign-in is refused and the operator sees why. If it
// ignored too little, a caller could sign in a protected person.
func FoldExternalID(id string) string {
	if isVisibleASCII(id) { // nothing but the case can differ
		return strings.ToLower(id)
	}
	// All case variants of a letter have the same upper case, which has one lower case. The case
	// folding of golang.org/x/text doesn't help here, because it swaps the two cases of Cherokee.
	folded := norm.NFKD.String(strings.ToLower(strings.ToUpper(norm.NFKD.String(id))))
	visible := strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Pd) || r == '\u2212' { // all dashes are equal
			return '-'
		}
		if unicode.In(r, unicode.M, unicode.Cf, unicode.Cc, unicode.Other_Default_Ignorable_Code_Point) {
			return -1
		}
		return r
	}, folded)
	return strings.Join(strings.Fields(similarLetters.Replace(visible)), " ")
}

// isVisibleASCII reports whether the text has only ASCII characters without spaces and controls.
func isVisibleASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= unicode.MaxASCII })
}
