package zendesk_test

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/deskmint/deskmint/service/zendesk"
)

type (
	user   = *zendesk.User
	fault  = zendesk.Violation
	change = func(*zendesk.Settings)
)

func manyOf(n int, item string) []string { return slices.Repeat([]string{item}, n) }

func manyFields(n int) map[string]any {
	m := map[string]any{}
	for i := range n {
		m[fmt.Sprintf("f%d", i)] = true
	}
	return m
}

// requiredFaults and optionalFaults have one invalid input per row, and the exact faults that it
// causes.
var requiredFaults = []struct {
	name     string
	settings change
	user     func(user)
	want     fault
}{
	{"no email", nil, func(u user) { u.Email = "" }, fault{"user.email", "is required"}},
	{"bad email", nil, func(u user) { u.Email = "jo@localhost" }, fault{"user.email", "only one label"}},
	{"unverified email", nil, func(u user) { u.EmailVerified = false }, fault{"user.email_verified", "must be true"}},
	{"no name", nil, func(u user) { u.Name = "" }, fault{"user.name", "is required"}},
	{"blank name", nil, func(u user) { u.Name = " \u00a0\u3000" }, fault{"user.name", "is required"}},
	{"name of joiners only", nil, func(u user) { u.Name = "\u200c\u200d" }, fault{"user.name", "visible"}},
	{"name of variation selectors only", nil, func(u user) { u.Name = " \ufe0f" }, fault{"user.name", "is required"}},
	{"long name", nil, func(u user) { u.Name = strings.Repeat("é", 256) },
		fault{"user.name", "256 characters, more than 255"}},
	{"name with a newline", nil, func(u user) { u.Name = "Jo\nDoe" }, fault{"user.name", "U+000A) at byte 2"}},
	{"name of Hangul fillers only", nil, func(u user) { u.Name = "\u3164\u115f\u1160\uffa0" },
		fault{"user.name", "an invisible character (U+3164)"}},
	{"name of braille blanks only", nil, func(u user) { u.Name = "\u2800\u2800" }, fault{"user.name", "visible"}},
	{"name of combining marks only", nil, func(u user) { u.Name = "\u0301\u20dd" }, fault{"user.name", "visible"}},
	{"name of tags only", nil, func(u user) { u.Name = "\U000E0067\U000E007F" },
		fault{"user.name", "an invisible character (U+E0067)"}},
	{"name of harmless invisible characters only", nil, func(u user) { u.Name = "\ufeff \u00ad\u200b\u200e" },
		fault{"user.name", "at least one of its characters must be visible"}},
	{"name with an override", nil, func(u user) { u.Name = "Jo\u202eDoe" }, fault{"user.name", "bidirectional"}},
	{"name with an isolate", nil, func(u user) { u.Name = "Jo\u2067Doe\u2069" }, fault{"user.name", "bidirectional"}},
	{"name in bad UTF-8 with a byte order mark", nil, func(u user) { u.Name = "\ufeffJo\xff" },
		fault{"user.name", "UTF-8"}},
	{"email with a byte order mark", nil, func(u user) { u.Email = "\ufeffjo@example.com" },
		fault{"user.email", "outside ASCII"}},
	{"email of white space", nil, func(u user) { u.Email = " \t\u00a0" }, fault{"user.email", "is required"}},
	{"name in bad UTF-8", nil, func(u user) { u.Name = "Jo\xff" }, fault{"user.name", "UTF-8"}},
	{"no role for team members", forStaff, func(u user) {}, fault{"user.role", "is required"}},
	{"no role for both", forBoth, func(u user) {}, fault{"user.role", "is required"}},
	{"agent at an end-user configuration", nil, func(u user) { u.Role = zendesk.RoleAgent },
		fault{"user.role", "doesn't sign in team members"}},
	{"admin at an end-user configuration", nil, func(u user) { u.Role = zendesk.RoleAdmin },
		fault{"user.role", "doesn't sign in team members"}},
	{"end user at a team-member configuration", forStaff,
		func(u user) { u.Role = zendesk.RoleEndUser }, fault{"user.role", "doesn't sign in end users"}},
	{"end user where the role may be left out", func(s *zendesk.Settings) { forStaff(s); omitRole(s) },
		func(u user) { u.Role = zendesk.RoleEndUser }, fault{"user.role", "doesn't sign in end users"}},
	{"unknown role", nil, func(u user) { u.Role = "owner" }, fault{"user.role", "is no role"}},
	{"role in the REST API's spelling", nil, func(u user) { u.Role = "end-user" }, fault{"user.role", "is no role"}},
	{"role in capitals", forStaff, func(u user) { u.Role = "Admin" }, fault{"user.role", "is no role"}},
	// Without its custom role, a light agent would become a full agent.
	{"custom role of an agent below 1", forStaff, func(u user) { u.Role, u.CustomRoleID = zendesk.RoleAgent, -1 },
		fault{"user.custom_role_id", "between 1 and 2^53 - 1"}},
	{"custom role of an agent 2^53", forStaff, func(u user) { u.Role, u.CustomRoleID = zendesk.RoleAgent, 1<<53 },
		fault{"user.custom_role_id", "between 1 and 2^53 - 1"}},
}

var optionalFaults = []struct {
	name     string
	settings change
	user     func(user)
	want     []fault
}{
	{"blank external_id", nil, func(u user) { u.ExternalID = " " }, []fault{{"user.external_id", "is blank"}}},
	{"long external_id", nil, func(u user) { u.ExternalID = strings.Repeat("x", 256) },
		[]fault{{"user.external_id", "more than 255"}}},
	{"external_id with a joiner", nil, func(u user) { u.ExternalID = "a\u200db" },
		[]fault{{"user.external_id", "invisible"}}},

	{"custom role without role", nil, func(u user) { u.CustomRoleID = 5 },
		[]fault{{"user.custom_role_id", "only with the role agent"}}},
	{"custom role of an end user", nil, func(u user) { u.Role, u.CustomRoleID = zendesk.RoleEndUser, 5 },
		[]fault{{"user.custom_role_id", "only with the role agent"}}},
	{"custom role of an admin", forStaff, func(u user) { u.Role, u.CustomRoleID = zendesk.RoleAdmin, 5 },
		[]fault{{"user.custom_role_id", "only with the role agent"}}},

	{"locale without role where both are served", func(s *zendesk.Settings) { forBoth(s); omitRole(s) },
		func(u user) { u.LocaleID = 8 }, []fault{{"user.locale_id", "needs a role"}}},
	{"locale below 1", nil, func(u user) { u.LocaleID = -8 }, []fault{{"user.locale_id", "between 1 and 2^53 - 1"}}},
	{"locale 2^53", nil, func(u user) { u.LocaleID = 1 << 53 }, []fault{{"user.locale_id", "between 1 and 2^53 - 1"}}},
	{"locale MaxInt64", nil, func(u user) { u.LocaleID = math.MaxInt64 },
		[]fault{{"user.locale_id", "between 1 and 2^53 - 1"}}},

	{"comma in the only organisation", nil, func(u user) { u.Organizations = []string{"Acme, Inc."} },
		[]fault{{"user.organizations[0]", "send the organisation's external id in organization_ids"}}},
	{"organisation with a soft hyphen", nil, func(u user) { u.Organizations = []string{"Ac\u00adme"} },
		[]fault{{"user.organizations[0]", "invisible"}}},
	{"organisation of a braille blank", nil, func(u user) { u.Organizations = []string{"\u2800"} },
		[]fault{{"user.organizations[0]", "is empty"}}},
	{"comma in the second organisation", nil, func(u user) { u.Organizations = []string{"Acme", "B,C"} },
		[]fault{{"user.organizations[1]", "comma"}}},
	{"empty organisation", nil, func(u user) { u.Organizations = []string{""} },
		[]fault{{"user.organizations[0]", "is empty"}}},
	{"blank organisation", nil, func(u user) { u.Organizations = []string{"A", "\u2003"} },
		[]fault{{"user.organizations[1]", "is empty"}}},
	{"invisible organisation", nil, func(u user) { u.Organizations = []string{"\u200d\ufe0f"} },
		[]fault{{"user.organizations[0]", "is empty"}}},
	{"long organisation", nil, func(u user) { u.Organizations = []string{strings.Repeat("x", 256)} },
		[]fault{{"user.organizations[0]", "more than 255"}}},
	{"101 organisations", nil, func(u user) { u.Organizations = manyOf(101, "A") },
		[]fault{{"user.organizations", "101 entries, more than 100"}}},
	{"two bad organisations", nil, func(u user) { u.Organizations = []string{"A,", "B", ""} },
		[]fault{{"user.organizations[0]", "comma"}, {"user.organizations[2]", "is empty"}}},

	{"comma in an organisation id", nil, func(u user) { u.OrganizationIDs = []string{"1,2"} },
		[]fault{{"user.organization_ids[0]", "comma"}}},
	{"empty organisation id", nil, func(u user) { u.OrganizationIDs = []string{"1", ""} },
		[]fault{{"user.organization_ids[1]", "is empty"}}},
	{"empty organisation id as an integer", integerOrgIDs, func(u user) { u.OrganizationIDs = []string{""} },
		[]fault{{"user.organization_ids[0]", "is empty"}}},
	{"101 organisation ids", nil, func(u user) { u.OrganizationIDs = manyOf(101, "1") },
		[]fault{{"user.organization_ids", "more than 100"}}},
	{"organisation id with a joiner", nil, func(u user) { u.OrganizationIDs = []string{"a\u200cb"} },
		[]fault{{"user.organization_ids[0]", "invisible"}}},
	{"integer organisation id 2^53", integerOrgIDs, func(u user) { u.OrganizationIDs = []string{"9007199254740992"} },
		[]fault{{"user.organization_ids[0]", "2^53 - 1"}}},
	{"integer organisation id beyond int64", integerOrgIDs,
		func(u user) { u.OrganizationIDs = []string{"99999999999999999999"} },
		[]fault{{"user.organization_ids[0]", "2^53 - 1"}}},

	{"phone without plus", nil, func(u user) { u.Phone = "15551234567" }, []fault{{"user.phone", "E.164"}}},
	{"phone of 7 digits", nil, func(u user) { u.Phone = "+1234567" }, []fault{{"user.phone", "E.164"}}},
	{"phone of 16 digits", nil, func(u user) { u.Phone = "+1234567890123456" }, []fault{{"user.phone", "E.164"}}},
	{"phone with spaces", nil, func(u user) { u.Phone = "+1 555 123 4567" }, []fault{{"user.phone", "E.164"}}},
	{"phone with 00", nil, func(u user) { u.Phone = "0015551234567" }, []fault{{"user.phone", "E.164"}}},
	{"phone with a leading zero", nil, func(u user) { u.Phone = "+0155512345" }, []fault{{"user.phone", "E.164"}}},
	{"phone with a newline", nil, func(u user) { u.Phone = "+15551234567\n" }, []fault{{"user.phone", "E.164"}}},
	{"phone in Arabic digits", nil, func(u user) { u.Phone = "+١٥٥٥١٢٣٤٥٦٧" }, []fault{{"user.phone", "E.164"}}},

	{"empty tag", nil, func(u user) { u.Tags = []string{"a", ""} }, []fault{{"user.tags.values[1]", "is empty"}}},
	{"tag with a space", nil, func(u user) { u.Tags = []string{"very important"} },
		[]fault{{"user.tags.values[0]", "space"}}},
	{"tag with a comma", nil, func(u user) { u.Tags = []string{"a", "b", "c,d"} },
		[]fault{{"user.tags.values[2]", "comma"}}},
	{"tag with an ideographic space", nil, func(u user) { u.Tags = []string{"a\u3000b"} },
		[]fault{{"user.tags.values[0]", "space"}}},
	{"tag with a no-break space", nil, func(u user) { u.Tags = []string{"a\u00a0b"} },
		[]fault{{"user.tags.values[0]", "space"}}},
	{"stringified tags", nil, func(u user) { u.Tags = []string{`["a", "b"]`} },
		[]fault{{"user.tags.values[0]", "comma"}}},
	{"long tag", nil, func(u user) { u.Tags = []string{strings.Repeat("x", 256)} },
		[]fault{{"user.tags.values[0]", "more than 255"}}},
	{"101 tags", nil, func(u user) { u.Tags = manyOf(101, "t") },
		[]fault{{"user.tags.values", "101 entries, more than 100"}}},

	{"photo over http", nil, func(u user) { u.RemotePhotoURL = "http://img.example.com/p" },
		[]fault{{"user.remote_photo_url", "https"}}},
	{"photo without host", nil, func(u user) { u.RemotePhotoURL = "https:///p" },
		[]fault{{"user.remote_photo_url", "https"}}},
	{"photo with a port only", nil, func(u user) { u.RemotePhotoURL = "https://:443/p" },
		[]fault{{"user.remote_photo_url", "https"}}},
	{"photo with user name", nil, func(u user) { u.RemotePhotoURL = "https://me@img.example.com/p" },
		[]fault{{"user.remote_photo_url", "user name"}}},
	{"photo as a path", nil, func(u user) { u.RemotePhotoURL = "/p.png" }, []fault{{"user.remote_photo_url", "https"}}},
	{"photo as data", nil, func(u user) { u.RemotePhotoURL = "data:image/png;base64,AAAA" },
		[]fault{{"user.remote_photo_url", "https"}}},
	{"photo as a script", nil, func(u user) { u.RemotePhotoURL = "javascript:alert(1)" },
		[]fault{{"user.remote_photo_url", "https"}}},
	{"photo with a space", nil, func(u user) { u.RemotePhotoURL = "https://img.example.com/a b" },
		[]fault{{"user.remote_photo_url", "https"}}},
	{"photo with a backslash", nil, func(u user) { u.RemotePhotoURL = `https://img.example.com\p` },
		[]fault{{"user.remote_photo_url", "https"}}},
	{"long photo URL", nil, func(u user) { u.RemotePhotoURL = "https://img.example.com/" + strings.Repeat("x", 2025) },
		[]fault{{"user.remote_photo_url", "2048"}}},

	{"empty field key", nil, func(u user) { u.UserFields = map[string]any{"": "x"} },
		[]fault{{`user.user_fields[""]`, "empty key"}}},
	{"long field key", nil, func(u user) { u.UserFields = map[string]any{strings.Repeat("k", 256): "x"} },
		[]fault{
			{`user.user_fields["` + strings.Repeat("k", 40) + `"]`, "more than 255"},
		}}, // enough of the key to find it
	{"field key with a newline", nil, func(u user) { u.UserFields = map[string]any{"a\nb": "x"} },
		[]fault{{`user.user_fields["a\nb"]`, "control"}}},
	{"field value with NUL", nil, func(u user) { u.UserFields = map[string]any{"a": "x\x00"} },
		[]fault{{`user.user_fields["a"]`, "U+0000"}}},
	{"long field value", nil, func(u user) { u.UserFields = map[string]any{"a": strings.Repeat("x", 4097)} },
		[]fault{{`user.user_fields["a"]`, "4097 bytes, more than 4096"}}},
	{"field value 2^53", nil, func(u user) { u.UserFields = map[string]any{"a": float64(1 << 53)} },
		[]fault{{`user.user_fields["a"]`, "2^53 - 1"}}},
	{"field value -2^53", nil, func(u user) { u.UserFields = map[string]any{"a": -float64(1 << 53)} },
		[]fault{{`user.user_fields["a"]`, "2^53 - 1"}}},
	{"field value NaN", nil, func(u user) { u.UserFields = map[string]any{"a": math.NaN()} },
		[]fault{{`user.user_fields["a"]`, "not a number"}}},
	{"field value infinite", nil, func(u user) { u.UserFields = map[string]any{"a": math.Inf(-1)} },
		[]fault{{`user.user_fields["a"]`, "not a number"}}},
	{"only digits as a field key", nil, func(u user) { u.UserFields = map[string]any{"360001": "x", "a": "b"} },
		[]fault{{`user.user_fields["360001"]`, "only digits"}}},
	{"digits of another script as a field key", nil, func(u user) { u.UserFields = map[string]any{"٤٢": "x"} },
		[]fault{{`user.user_fields["٤٢"]`, "only digits"}}},
	{"field key with a space", nil, func(u user) { u.UserFields = map[string]any{"a b": "x"} },
		[]fault{{`user.user_fields["a b"]`, "letters, digits and underscores"}}},
	{"field key with a hyphen", nil, func(u user) { u.UserFields = map[string]any{"a-b": "x", "a": "b", "c": nil} },
		[]fault{{`user.user_fields["a-b"]`, "letters, digits and underscores"}}},
	{"field key of one mark", nil, func(u user) { u.UserFields = map[string]any{"\u0301": "x"} },
		[]fault{{"user.user_fields[\"\u0301\"]", "letters, digits and underscores"}}},
	{"field key as a placeholder", nil, func(u user) { u.UserFields = map[string]any{"{{plan}}": nil} },
		[]fault{{`user.user_fields["{{plan}}"]`, "letters, digits and underscores"}}},
	{"bad key and bad value", nil, func(u user) { u.UserFields = map[string]any{"1": "\u202e"} },
		[]fault{{`user.user_fields["1"]`, "only digits"}, {`user.user_fields["1"]`, "bidirectional"}}},
	{"field value with a tab", nil, func(u user) { u.UserFields = map[string]any{"a": "x\ty"} },
		[]fault{{`user.user_fields["a"]`, "U+0009) at byte 1"}}},
	{"field value with a separator after lines", nil,
		func(u user) { u.UserFields = map[string]any{"a": "x\r\ny\u2028"} },
		[]fault{{`user.user_fields["a"]`, "U+2028) at byte 4"}}},
	{"list of numbers", nil, func(u user) { u.UserFields = map[string]any{"a": []any{1.0}} },
		[]fault{{`user.user_fields["a"][0]`, "must be a string"}}},
	{"list with null", nil, func(u user) { u.UserFields = map[string]any{"a": []any{"x", nil, "y"}} },
		[]fault{{`user.user_fields["a"][1]`, "must be a string"}}},
	{"list in a list", nil, func(u user) { u.UserFields = map[string]any{"a": []any{[]any{"x"}, map[string]any{}}} },
		[]fault{{`user.user_fields["a"][0]`, "must be a string"}, {`user.user_fields["a"][1]`, "must be a string"}}},
	{"list with an empty text", nil, func(u user) { u.UserFields = map[string]any{"a": []any{"x", "", " "}} },
		[]fault{{`user.user_fields["a"][1]`, "is empty"}, {`user.user_fields["a"][2]`, "is empty"}}},
	{"list with a line break", nil, func(u user) { u.UserFields = map[string]any{"a": []any{"x\ny"}} },
		[]fault{{`user.user_fields["a"][0]`, "control"}}},
	{"long list", nil, func(u user) { u.UserFields = map[string]any{"a": slices.Repeat([]any{"x"}, 101), "b": true} },
		[]fault{{`user.user_fields["a"]`, "101 entries, more than 100"}}},
	{"large list", nil,
		func(u user) { u.UserFields = map[string]any{"a": slices.Repeat([]any{strings.Repeat("x", 128)}, 33)} },
		[]fault{{`user.user_fields["a"]`, "4224 bytes in all its entries, more than 4096"}}},
	{"object as a field value", nil, func(u user) { u.UserFields = map[string]any{"a": map[string]any{}} },
		[]fault{{`user.user_fields["a"]`, "must be a string"}}},
	{"101 fields", nil, func(u user) { u.UserFields = manyFields(101) },
		[]fault{{"user.user_fields", "101 entries, more than 100"}}},
}

// leftAfterOmission contains what the rows of optionalFaults leave of a claim in which not
// everything is invalid. Nothing is left of the claims of the other rows.
var leftAfterOmission = map[string]func(user){
	"comma in the second organisation": func(u user) { u.Organizations = []string{"Acme"} },
	"blank organisation":               func(u user) { u.Organizations = []string{"A"} },
	"two bad organisations":            func(u user) { u.Organizations = []string{"B"} },
	"empty organisation id":            func(u user) { u.OrganizationIDs = []string{"1"} },
	"empty tag":                        func(u user) { u.Tags = []string{"a"} },
	"tag with a comma":                 func(u user) { u.Tags = []string{"a", "b"} },
	"only digits as a field key":       func(u user) { u.UserFields = map[string]any{"a": "b"} },
	"field key with a hyphen":          func(u user) { u.UserFields = map[string]any{"a": "b", "c": nil} },
	"list with null":                   func(u user) { u.UserFields = map[string]any{"a": []any{"x", "y"}} },
	"list with an empty text":          func(u user) { u.UserFields = map[string]any{"a": []any{"x"}} },
	"long list":                        func(u user) { u.UserFields = map[string]any{"b": true} },
}
