package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// An external id is an identity. Zendesk finds a person by email, and may find them by external id
// where nobody has the email. A caller that may send any external id can therefore sign in as any
// person, whatever emails its grant allows. So the rule for external_id has forms that other
// claims don't have, and `any` needs a second word where the grant limits people.
//
// No other claim is an identity. Email is the identity key, and email_domains and protected limit
// it. A phone number, an organisation, a tag or a user field is written into the record of the
// person that email and external id have found. custom_role_id is a right, not a person.

// externalIDForms are the forms that `{form: …}` can name. They match the very text that the
// token carries.
var externalIDForms = map[string]*regexp.Regexp{
	"digits": regexp.MustCompile(`^[0-9]+$`),
	"uuid":   regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`), // RFC 9562
}

const (
	wantExternalID = "must be {prefix: …}, a list of values, {form: digits}, {form: uuid}, any, " +
		"or {any: true, unbounded: true}"
	wantUnbounded = "must have both any: true and unbounded: true to let every id through, " +
		"or be {prefix: …}, a list of ids, {form: digits} or {form: uuid} to limit the ids"
	waysOut = "write {prefix: …}, a list of ids, {form: digits} or {form: uuid} (where the people to keep out have ids " +
		"of another form), or {any: true, unbounded: true} (where the caller may sign in anybody)"
)

// parseExternalIDBlock reads the rule for external_id where it is a block. The values are text, as
// the configuration file has them.
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

// isTrue accepts the spellings of true that YAML has.
func isTrue(s string) bool { return s == "true" || s == "True" || s == "TRUE" }

// prefixFault says why a prefix limits nothing. No id in a token begins with white space. A prefix
// of combining marks alone may be nothing to Zendesk.
func prefixFault(prefix string) string {
	if strings.TrimLeftFunc(prefix, unicode.IsSpace) != prefix || FoldExternalID(prefix) == "" {
		return "has a prefix that limits nothing: begin it with a letter, a digit or a sign"
	}
	return ""
}

func (s Settings) externalIDRule() (rule claimRule, ok bool) {
	v, given := s.Claims[ClaimExternalID]
	if !given || !slices.Contains(s.Actions, SignIn) {
		return rule, false
	}
	rule, fault := parseClaimRule(ClaimExternalID, v)
	return rule, fault == ""
}

// checkExternalID reports a rule that lets every external id through in a grant that limits emails.
func (s Settings) checkExternalID(report func(key, fault string)) {
	if rule, ok := s.externalIDRule(); ok && rule.any && !rule.unbounded && s.EmailDomains.limit() {
		report("claims."+ClaimExternalID, "must not be any in a grant that limits email_domains: an external id is an "+
			"identity, so with any id the caller can sign in people whom email_domains keeps out: "+waysOut)
	}
}

// limit is true where some email is not allowed.
func (d EmailDomains) limit() bool {
	return len(d.Allow) > 0 && (!slices.Contains(d.Allow, "*") || len(d.Deny) > 0)
}

// ProtectedPeople are the people whom one configuration protects.
type ProtectedPeople struct {
	Configuration string
	ExternalIDs   []string
}

// CheckProtected reports where a grant's rule for external_id covers people whom the configurations
// that it names protect. people has an entry for each of these configurations that protects
// anybody. Check must be called too. It reports what needs no configuration, and CheckProtected
// doesn't repeat it.
func (s Settings) CheckProtected(people []ProtectedPeople, report, warn func(key, message string)) {
	const key = "claims." + ClaimExternalID
	rule, ok := s.externalIDRule()
	if !ok || s.Protected || rule.unbounded || len(people) == 0 {
		return
	}
	if rule.any {
		if !s.EmailDomains.limit() {
			report(key, fmt.Sprintf("must not be any: configuration %s has protected people, an external id is an "+
				"identity, and the grant has no `protected: true`: %s", people[0].Configuration, waysOut))
		}
		return
	}
	for _, p := range people {
		i := slices.IndexFunc(p.ExternalIDs, rule.reaches)
		switch {
		case i < 0:
		case rule.form != nil:
			report(key, fmt.Sprintf("must not be this form: protected.external_ids[%d] of configuration %s has the same form, "+
				"so it doesn't keep protected people apart: write {prefix: …}, a list of ids, another form, "+
				"or {any: true, unbounded: true}", i, p.Configuration))
		default:
			warn(key, fmt.Sprintf("covers protected.external_ids[%d] of configuration %s, which is refused all the same: "+
				"choose a prefix or a list that no protected id has, or write `protected: true`", i, p.Configuration))
		}
	}
}

// reaches is true where the rule covers an id in any of the spellings that may be one id to
// Zendesk.
func (r claimRule) reaches(id string) bool {
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

// similarLetters are lower-case letters that decomposition leaves alone, with the letters that
// databases which ignore accents take them for.
var similarLetters = strings.NewReplacer("ß", "ss", "ø", "o", "đ", "d", "ð", "d", "ł", "l", "ħ", "h", "ŧ", "t",
	"æ", "ae", "œ", "oe", "þ", "th")

// FoldExternalID returns an external id in the form in which ids are compared with protected ones.
// Zendesk documents that it compares ids without case. It doesn't say what else it ignores, so two
// ids are the same here if they differ in Unicode case, width, accents, dashes, invisible
// characters or white space only. If this ignores too much, a sign-in is refused and the operator
// sees why. If it ignored too little, a caller could sign in a protected person.
func FoldExternalID(id string) string {
	// Every case of a letter has the same upper case, and that has one lower case. Case folding of
	// golang.org/x/text exchanges the two cases of Cherokee.
	folded := norm.NFKD.String(strings.ToLower(strings.ToUpper(norm.NFKD.String(id))))
	visible := strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Pd) || r == '\u2212' { // a dash looks like every other
			return '-'
		}
		if unicode.In(r, unicode.M, unicode.Cf, unicode.Cc, unicode.Other_Default_Ignorable_Code_Point) {
			return -1
		}
		return r
	}, folded)
	return strings.Join(strings.Fields(similarLetters.Replace(visible)), " ")
}
