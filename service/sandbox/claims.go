package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSkew is how far iat may be from Zendesk's clock, either way.
const maxSkew = 3 * time.Minute

// claims are the claims of a token with a verified signature.
type claims map[string]any

// required are the claims that every sign-in needs. iat is required, too, but it is checked
// earlier.
var required = []string{"jti", "email", "name"}

// rules checks the value of each claim that Zendesk documents. A rule returns "" for a valid value,
// or what the value must be. The rules check the form and not the meaning. Zendesk ignores, for
// example, an unknown custom field.
var rules = map[string]func(any) string{
	"iat":              seconds, // checkIssueTime checks the time
	"jti":              text,
	"email":            email,
	"name":             text,
	"external_id":      text,
	"locale":           positive,
	"locale_id":        positive,
	"organization":     text,
	"organizations":    text,
	"organization_id":  textOrInteger, // an integer in the article, but the API's external ids are strings
	"organization_ids": text,
	"phone":            phone,
	"tags":             listOfText,
	"remote_photo_url": photo,
	"role":             role,
	"custom_role_id":   positive,
	"user_fields":      object,
}

// checkIssueTime checks iat, a number of seconds within [maxSkew] of now. Zendesk documents whole
// seconds and accepts fractions.
func (c claims) checkIssueTime(now time.Time) *refusal {
	value, ok := c["iat"]
	if !ok {
		return refuse(ReasonIssueTime, messageIssueTime, "the claim iat is missing")
	}
	if problem := seconds(value); problem != "" {
		return refuse(ReasonIssueTime, messageIssueTime, "the claim iat "+problem)
	}
	n, _ := value.(json.Number).Float64()
	if at := float64(now.UnixNano()) / float64(time.Second); math.Abs(at-n) > maxSkew.Seconds() {
		return refuse(ReasonIssueTime, messageIssueTime, "the claim iat is more than 3 minutes from this clock")
	}
	return nil
}

// withoutNulls returns the claims without the optional ones that are null. Zendesk accepts these,
// but doesn't document their effect. The notes name them.
func (c claims) withoutNulls() (rest claims, notes []string) {
	rest = maps.Clone(c)
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if c[name] == nil && rules[name] != nil && name != "iat" && !slices.Contains(required, name) {
			delete(rest, name)
			notes = append(notes, name+" is null, and was treated as absent: "+
				"Zendesk accepts that, but doesn't document its effect")
		}
	}
	return rest, notes
}

// check checks all other claims and names every invalid one.
func (c claims) check() *refusal {
	var problems []string
	for _, name := range required {
		if _, ok := c[name]; !ok {
			problems = append(problems, "the claim "+name+" is missing")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		value, ok := c[name]
		if !ok {
			continue
		}
		if problem := rules[name](value); problem != "" {
			problems = append(problems, "the claim "+name+" "+problem)
		}
	}
	if _, custom := c["custom_role_id"]; custom && c["role"] != "agent" {
		problems = append(problems, "the claim custom_role_id needs the role agent")
	}
	if problems == nil {
		return nil
	}
	refused := refuse(ReasonClaims, messageInvalid, strings.Join(problems, "; "))
	if _, named := c["name"]; !named {
		refused.status = http.StatusUnauthorized // observed at Zendesk
	}
	return refused
}

// undocumented returns the sorted names of the claims that Zendesk doesn't document.
func (c claims) undocumented() []string {
	var names []string
	for name := range c {
		if rules[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// audience returns the audience of the role. It returns "" without a role, because it isn't known
// whether Zendesk then treats an agent as an end user.
func (c claims) audience() string {
	switch c["role"] {
	case "end_user":
		return audienceEndUser
	case "agent", "admin":
		return audienceTeamMember
	}
	return ""
}

// text returns the value of a claim, or "" if it isn't a string.
func (c claims) text(name string) string {
	value, _ := c[name].(string)
	return value
}

func text(value any) string {
	if s, ok := value.(string); !ok || strings.TrimSpace(s) == "" {
		return "must be a string that isn't blank"
	}
	return ""
}

func seconds(value any) string {
	if number, ok := value.(json.Number); ok {
		if _, err := number.Float64(); err == nil {
			return ""
		}
	}
	return "must be a number of seconds"
}

func integer(value any) string {
	if number, ok := value.(json.Number); ok {
		if _, err := strconv.ParseInt(string(number), 10, 64); err == nil {
			return ""
		}
	}
	return "must be a whole number"
}

func positive(value any) string {
	if number, ok := value.(json.Number); ok {
		if n, err := strconv.ParseInt(string(number), 10, 64); err == nil && n > 0 {
			return ""
		}
	}
	return "must be a whole number above zero"
}

func textOrInteger(value any) string {
	if text(value) != "" && integer(value) != "" {
		return "must be a string or a whole number"
	}
	return ""
}

func listOfText(value any) string {
	list, ok := value.([]any)
	for _, item := range list {
		ok = ok && text(item) == ""
	}
	if !ok {
		return "must be an array of strings, not one string"
	}
	return ""
}

func object(value any) string {
	if _, ok := value.(map[string]any); !ok {
		return "must be an object"
	}
	return ""
}

func email(value any) string {
	s, _ := value.(string)
	local, domain, found := strings.Cut(s, "@")
	if !found || local == "" || domain == "" || strings.ContainsAny(domain, "@ ") || strings.ContainsAny(local, " ") {
		return "must be an email address"
	}
	return ""
}

var phonePattern = regexp.MustCompile(`^\+[0-9]{8,15}$`)

func phone(value any) string {
	if s, _ := value.(string); !phonePattern.MatchString(s) {
		return "must be a phone number in E.164 form: + and 8 to 15 digits"
	}
	return ""
}

func photo(value any) string {
	s, _ := value.(string)
	if u, err := url.Parse(s); err != nil || u.Scheme != "https" || u.Host == "" {
		return "must be an https URL"
	}
	return ""
}

func role(value any) string {
	switch value {
	case "end_user", "agent", "admin":
		return ""
	}
	return fmt.Sprintf("must be %q, %q or %q", "end_user", "agent", "admin")
}
