package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/deskmint/deskmint/service/zendesk"
)

// differ adds a difference between the token and one that Deskmint would make.
func (r *Result) differ(part Part, name, format string, args ...any) {
	r.Differences = append(r.Differences, Problem{part, name, fmt.Sprintf(format, args...)})
}

// compare finds the differences between the claims and those that Deskmint would send for the same
// person. It reads the claims as a request, so that the rules are those of a request. A token
// doesn't say whether the email is verified, so it counts as verified.
func (r *Result) compare(p *zendesk.Profile) {
	c := comparison{Result: r, found: map[string]bool{"iat": true, "jti": true, "exp": p.EmitsExp()}}
	checked, err := p.CheckUser(c.user())
	var sent map[string]json.RawMessage // nil: the request is refused
	if invalid := (*zendesk.InvalidError)(nil); errors.As(err, &invalid) {
		c.violations(invalid.Violations)
	} else if err == nil && json.Unmarshal(checked.Claims(), &sent) == nil {
		c.violations(checked.Warnings)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		if !c.found[name] && (sent != nil || !isDocumented(name)) {
			c.claim(name, sent)
		}
	}
}

// comparison is the comparison of one token.
type comparison struct {
	*Result

	found map[string]bool // claims that need no further comparison
}

func (c *comparison) differ(name, format string, args ...any) {
	c.found[name] = true
	c.Result.differ(PartClaims, name, format, args...)
}

// alternatives are the pairs of claims that one field of a request is sent as.
var alternatives = map[string]string{
	"locale": "locale_id", "locale_id": "locale",
	"organization": "organizations", "organizations": "organization",
	"organization_id": "organization_ids", "organization_ids": "organization_id",
}

// claim compares a claim with the claims that Deskmint would send.
func (c *comparison) claim(name string, sent map[string]json.RawMessage) {
	value, ok := sent[name]
	switch {
	case ok && equal(value, c.Claims[name]):
	case ok && name == "email":
		c.differ(name, "would be sent in lower case")
	case ok:
		c.differ(name, "would be sent with another value or type")
	case sent[alternatives[name]] != nil:
		c.differ(name, "would be sent as %s", alternatives[name])
	case name == "exp":
		c.differ(name, "would not be sent, because emit_exp isn't set")
	default:
		c.differ(name, "would not be sent")
	}
}

// isDocumented reports whether Zendesk documents a claim.
func isDocumented(name string) bool {
	for _, c := range claimRules {
		if c.name == name {
			return true
		}
	}
	return false
}

// equal reports whether two JSON values are equal in any spelling.
func equal(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// violations adds what the profile says against a request, by the claims of the token.
func (c *comparison) violations(violations []zendesk.Violation) {
	for _, v := range violations {
		field, ok := strings.CutPrefix(v.Field, "user.")
		if !ok {
			c.differ("", "%s", v.Description) // of all claims together
			continue
		}
		end := strings.IndexAny(field, ".[")
		if end < 0 {
			end = len(field)
		}
		entry := strings.TrimPrefix(field[end:], ".values")
		c.differ(c.claimOf(field[:end]), "%s", strings.TrimSpace(entry+" "+v.Description))
	}
}

// claimOf returns the claim of the token that became a field of the request.
func (c *comparison) claimOf(field string) string {
	claims := map[string][]string{
		"locale_id":        {"locale_id", "locale"},
		"organizations":    {"organizations", "organization"},
		"organization_ids": {"organization_ids", "organization_id"},
	}[field]
	for _, name := range claims {
		if c.has(name) {
			return name
		}
	}
	return field
}

// user returns the claims as the user of a request. It adds a difference for each claim of a type
// that Deskmint doesn't send.
func (c *comparison) user() zendesk.User {
	u := zendesk.User{
		EmailVerified:  true,
		Email:          c.text("email"),
		Name:           c.text("name"),
		ExternalID:     c.text("external_id"),
		Role:           zendesk.Role(c.text("role")),
		CustomRoleID:   c.integer("custom_role_id"),
		LocaleID:       c.integer("locale"),
		Phone:          c.text("phone"),
		RemotePhotoURL: c.text("remote_photo_url"),
	}
	if id := c.integer("locale_id"); id != 0 {
		u.LocaleID = id
	}
	u.Organizations = slices.Concat(c.single("organization"), c.several("organizations"))
	u.OrganizationIDs = slices.Concat(c.single("organization_id"), c.several("organization_ids"))
	c.decode("tags", &u.Tags)
	c.decode("user_fields", &u.UserFields)
	return u
}

// decode decodes a claim into a value of the type that the claim must have.
func (c *comparison) decode(name string, value any) {
	raw, ok := c.Claims[name]
	switch {
	case !ok:
	case isNull(raw):
		c.differ(name, "is null, which Deskmint sends only in user_fields")
	case json.Unmarshal(raw, value) != nil:
		reflect.ValueOf(value).Elem().SetZero()
		c.differ(name, "has a value of a type that Deskmint doesn't send")
	}
}

func (c *comparison) text(name string) (s string) {
	c.decode(name, &s)
	return s
}

func (c *comparison) integer(name string) (n int64) {
	c.decode(name, &n)
	return n
}

// single returns the value of a claim for one item, which may be a number.
func (c *comparison) single(name string) []string {
	if raw, ok := c.Claims[name]; ok && isNumber(raw) {
		return []string{string(raw)}
	}
	return c.items(name, func(s string) []string { return []string{s} })
}

// several returns the values of a claim that Zendesk splits at its commas.
func (c *comparison) several(name string) []string {
	return c.items(name, func(s string) []string { return strings.Split(s, ",") })
}

func (c *comparison) items(name string, split func(string) []string) []string {
	if s := c.text(name); s != "" {
		return split(s)
	}
	return nil
}
