package inspect

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/deskmint/deskmint/service/zendesk"
)

// claimRules contains the claims that Zendesk documents, except iat, with the rules for their
// values.
var claimRules = []struct {
	name     string
	required bool
	rule     func(r *Result, name string, raw json.RawMessage)
}{
	{"jti", true, textRule},
	{"email", true, emailRule},
	{"name", true, textRule},
	{"external_id", false, textRule},
	{"role", false, roleRule},
	{"custom_role_id", false, wholeRule},
	{"locale", false, wholeRule},
	{"locale_id", false, wholeRule},
	{"organization", false, organizationRule},
	{"organizations", false, textRule},
	{"organization_id", false, textOrWholeRule},
	{"organization_ids", false, textRule},
	{"phone", false, phoneRule},
	{"tags", false, tagsRule},
	{"remote_photo_url", false, photoRule},
	{"user_fields", false, userFieldsRule},
}

func (r *Result) checkClaims(p *zendesk.Profile, now time.Time) {
	known := map[string]bool{"iat": true, "exp": true, "nbf": true}
	meant := map[string]string{"iat": "iat"} // by the plain spelling
	for _, c := range claimRules {
		known[c.name], meant[plainSpelling(c.name)] = true, c.name
		raw, ok := r.Claims[c.name]
		switch {
		case !ok && c.required:
			r.problem(PartClaims, c.name, "is missing")
		case !ok:
		case isNull(raw) && c.required:
			r.problem(PartClaims, c.name, "is null")
		case isNull(raw):
			r.warn(PartClaims, c.name, "is null. Zendesk accepts that, but doesn't document its effect: leave the "+
				"claim out")
		case isBlank(raw) && !c.required:
			r.warn(PartClaims, c.name, "is empty. Zendesk doesn't document the effect of that: leave the claim out")
		default:
			c.rule(r, c.name, raw)
		}
	}
	r.checkRole(p)
	r.checkOrganization()
	r.checkTimes(p, now)
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		if known[name] {
			continue
		}
		if claim := meant[plainSpelling(name)]; claim != "" {
			r.warn(PartClaims, name, "is no claim of Zendesk's, and has no effect. Is %s meant?", claim)
		} else {
			r.warn(PartClaims, name, "is not documented by Zendesk, and no effect of it is known: leave it out")
		}
	}
}

// plainSpelling returns a claim's name without what people spell in another way.
func plainSpelling(name string) string {
	const longest = len("organization_ids") + 8 // a longer name is no misspelling
	if len(name) > longest {
		return ""
	}
	name = strings.Map(func(c rune) rune {
		if strings.ContainsRune("_-. ", c) {
			return -1
		}
		return c
	}, strings.ToLower(name))
	return strings.ReplaceAll(name, "organisation", "organization")
}

// checkRole checks what depends on the role.
func (r *Result) checkRole(p *zendesk.Profile) {
	var role zendesk.Role
	if raw, ok := r.Claims["role"]; ok && json.Unmarshal(raw, &role) != nil {
		return
	}
	audience := role.Audience()
	if p != nil && audience != "" && !p.Serves(audience) {
		r.problem(PartClaims, "role", "is %s, which this configuration isn't assigned to", role)
	}
	if r.has("custom_role_id") && role != zendesk.RoleAgent {
		r.warn(PartClaims, "custom_role_id", "applies only with the role agent, which the token doesn't have")
	}
	if audience == "" && p != nil && len(p.Audiences()) == 1 {
		audience = p.Audiences()[0]
	}
	switch {
	case r.has("locale") && audience == zendesk.TeamMember:
		r.warn(PartClaims, "locale", "has no effect: for team members Zendesk reads locale_id")
	case r.has("locale_id") && audience == zendesk.EndUser:
		r.warn(PartClaims, "locale_id", "has no effect: for end users Zendesk reads locale")
	case r.has("locale_id") && audience == "":
		r.warn(PartClaims, "locale_id", "is only for team members, and the token has no role: for end users Zendesk "+
			"reads locale")
	}
}

func (r *Result) checkOrganization() {
	if r.has("organization") && r.has("organization_id") {
		r.warn(PartClaims, "organization", "has no effect: Zendesk ignores it beside organization_id")
	}
}

// has reports whether the token has a claim with a value.
func (r *Result) has(name string) bool {
	raw, ok := r.Claims[name]
	return ok && !isNull(raw)
}

// checkTimes checks exp and nbf, which libraries add by themselves. Zendesk documents neither.
func (r *Result) checkTimes(p *zendesk.Profile, now time.Time) {
	const advice = "Zendesk documents no %s, and may refuse the token: leave it out"
	for _, c := range []struct {
		name, passed string
		wrong        func(time.Duration) bool // of the time from now
	}{
		{"exp", "has passed", func(d time.Duration) bool { return d <= 0 }},
		{"nbf", "is in the future", func(d time.Duration) bool { return d > 0 }},
	} {
		raw, ok := r.Claims[c.name]
		if !ok {
			continue
		}
		seconds, err := strconv.ParseFloat(string(raw), 64)
		at := time.Unix(int64(min(max(seconds, 0), 1e11)), 0)
		switch {
		case !isNumber(raw) || err != nil:
			r.warn(PartClaims, c.name, "is no number of seconds. "+advice, c.name)
		case c.wrong(at.Sub(now)):
			r.warn(PartClaims, c.name, c.passed+" by the local clock. "+advice, c.name)
		case c.name == "exp" && p != nil && p.EmitsExp(): // the configuration wants it
		default:
			r.warn(PartClaims, c.name, "is not documented by Zendesk: leave it out")
		}
	}
}

// stringOf returns the text of a claim, or false if it isn't a string.
func stringOf(raw json.RawMessage) (string, bool) {
	var s string
	ok := len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil
	return s, ok
}

// isBlank reports whether a JSON value is a string without visible characters.
func isBlank(raw json.RawMessage) bool {
	s, ok := stringOf(raw)
	return ok && strings.TrimSpace(s) == ""
}

func textRule(r *Result, name string, raw json.RawMessage) {
	if _, ok := stringOf(raw); !ok {
		r.problem(PartClaims, name, "must be a string")
	} else if isBlank(raw) { // which only a required claim can be here
		r.problem(PartClaims, name, "is empty")
	}
}

// emailRule refuses what is no address at all. Zendesk may accept an address that Deskmint refuses.
func emailRule(r *Result, name string, raw json.RawMessage) {
	s, ok := stringOf(raw)
	if !ok || isBlank(raw) {
		textRule(r, name, raw)
		return
	}
	_, err := zendesk.ParseEmail(s, zendesk.CarrierDots, zendesk.UnderscoredDomains)
	local, domain, _ := strings.Cut(s, "@")
	switch {
	case err == nil:
	case local == "" || domain == "" || strings.Contains(domain, "@") || strings.ContainsFunc(s, noAddress):
		r.problem(PartClaims, name, "%v", err)
	default:
		r.warn(PartClaims, name, "%v. Whether Zendesk accepts the address is not known", err)
	}
}

// noAddress reports whether r is in no address without quotes.
func noAddress(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`<>(),:;"[]\`, r)
}

func roleRule(r *Result, name string, raw json.RawMessage) {
	switch s, _ := stringOf(raw); s {
	case "end_user", "agent", "admin":
	case "user", "end-user":
		r.warn(PartClaims, name, "has another name for end_user, from older documents or the REST API. Whether "+
			"Zendesk still accepts it is not known")
	default:
		r.problem(PartClaims, name, "must be one of end_user, agent, admin")
	}
}

func wholeRule(r *Result, name string, raw json.RawMessage) {
	if _, err := integer(raw); err == nil {
		return
	}
	n, err := strconv.ParseFloat(string(raw), 64)
	if !isNumber(raw) || err != nil || n != math.Trunc(n) || math.Abs(n) > maxExactInt {
		r.problem(PartClaims, name, "must be a whole number, without quotes")
		return
	}
	if strings.ContainsAny(string(raw), ".eE") {
		r.warn(PartClaims, name, "is written with a fraction or an exponent. Whether Zendesk accepts that is not known")
	}
}

func textOrWholeRule(r *Result, name string, raw json.RawMessage) {
	_, isText := stringOf(raw)
	if _, err := integer(raw); err != nil && !isText {
		r.problem(PartClaims, name, "must be a string or a whole number")
	}
}

func organizationRule(r *Result, name string, raw json.RawMessage) {
	textRule(r, name, raw)
	if s, _ := stringOf(raw); strings.Contains(s, ",") {
		r.warn(PartClaims, name, "contains a comma, at which Zendesk splits it into several organizations")
	}
}

func phoneRule(r *Result, name string, raw json.RawMessage) {
	textRule(r, name, raw)
	if s, ok := stringOf(raw); ok && !zendesk.IsPhone(s) {
		r.warn(PartClaims, name, "is not in E.164, which Zendesk documents: + and 8 to 15 digits. What Zendesk does "+
			"with it is not known")
	}
}

func photoRule(r *Result, name string, raw json.RawMessage) {
	textRule(r, name, raw)
	s, ok := stringOf(raw)
	if u, err := url.Parse(s); ok && (err != nil || u.Scheme != "https" || u.Host == "") {
		r.warn(PartClaims, name, "is no https URL. What Zendesk does with it is not known")
	}
}

func tagsRule(r *Result, name string, raw json.RawMessage) {
	var tags []*string // pointers, because null would otherwise become an empty string
	if raw[0] != '[' || json.Unmarshal(raw, &tags) != nil || slices.Contains(tags, nil) {
		r.problem(PartClaims, name, "must be an array of strings, not one string")
		return
	}
	for n, tag := range tags {
		if *tag == "" || strings.ContainsFunc(*tag, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
			r.warn(PartClaims, name, "[%d] is empty, or contains a space or comma, at which Zendesk would split it", n)
		}
	}
}

// noKey reports whether the key of a user field can't contain c.
func noKey(c rune) bool { return c != '_' && !unicode.In(c, unicode.L, unicode.M, unicode.Nd) }

func userFieldsRule(r *Result, name string, raw json.RawMessage) {
	fields, err := object(raw)
	if err != nil {
		r.problem(PartClaims, name, "must be a JSON object: %v", err)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		entry := fmt.Sprintf("[%.40q]", key)
		if strings.Trim(key, "0123456789") == "" || strings.ContainsFunc(key, noKey) {
			r.warn(PartClaims, name, "%s is no key of a user field: Zendesk ignores it silently. A key has letters, "+
				"digits and _, and not only digits", entry)
		}
		var list []string
		switch value := fields[key]; {
		case value[0] == '{' || value[0] == '[' && json.Unmarshal(value, &list) != nil:
			r.warn(PartClaims, name, "%s is nested, which no user field is: Zendesk ignores it silently", entry)
		case value[0] == '[':
			r.warn(PartClaims, name, "%s is a list. Whether Zendesk accepts one for a multi-select field is not known",
				entry)
		}
	}
}
