package zendesk_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/zendesk"
)

type (
	user   = *zendesk.User
	fault  = zendesk.Fault
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

// requiredFaults and optionalFaults have one bad input a row, and the exact faults
// that it makes.
var requiredFaults = []struct {
	name     string
	settings change
	user     func(user)
	want     fault
}{
	{"no email", nil, func(u user) { u.Email = "" }, fault{"user.email", "is required"}},
	{"bad email", nil, func(u user) { u.Email = "jo@localhost" }, fault{"user.email", "two labels"}},
	{"unverified email", nil, func(u user) { u.EmailVerified = false }, fault{"user.email_verified", "must be true"}},
	{"no name", nil, func(u user) { u.Name = "" }, fault{"user.name", "is required"}},
	{"blank name", nil, func(u user) { u.Name = " \u00a0\u3000" }, fault{"user.name", "is required"}},
	{"name of joiners only", nil, func(u user) { u.Name = "\u200c\u200d" }, fault{"user.name", "is required"}},
	{"name of variation selectors only", nil, func(u user) { u.Name = " \ufe0f" }, fault{"user.name", "is required"}},
	{"long name", nil, func(u user) { u.Name = strings.Repeat("é", 256) },
		fault{"user.name", "256 characters, more than 255"}},
	{"name with a newline", nil, func(u user) { u.Name = "Jo\nDoe" }, fault{"user.name", "U+000A) at byte 2"}},
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
	// A light agent is an agent with a custom role: without it, a full one.
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

	{"locale without role where both are served", func(s *zendesk.Settings) {
		forBoth(s)
		omitRole(s)
	}, func(u user) { u.LocaleID = 8 },
		[]fault{{"user.locale_id", "needs a role"}}},
	{"locale below 1", nil, func(u user) { u.LocaleID = -8 }, []fault{{"user.locale_id", "between 1 and 2^53 - 1"}}},
	{"locale 2^53", nil, func(u user) { u.LocaleID = 1 << 53 }, []fault{{"user.locale_id", "between 1 and 2^53 - 1"}}},
	{"locale MaxInt64", nil, func(u user) { u.LocaleID = math.MaxInt64 },
		[]fault{{"user.locale_id", "between 1 and 2^53 - 1"}}},

	{"comma in the only organisation", nil, func(u user) { u.Organizations = []string{"Acme, Inc."} },
		[]fault{{"user.organizations[0]", "comma"}}},
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
	{"integer organisation id beyond int64", integerOrgIDs, func(u user) {
		u.OrganizationIDs = []string{"99999999999999999999"}
	},
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
		[]fault{{`user.user_fields["` + strings.Repeat("k", 40) + `"]`, "more than 255"}}}, // enough to find it by
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
	{"list as a field value", nil, func(u user) { u.UserFields = map[string]any{"a": []any{"x"}} },
		[]fault{{`user.user_fields["a"]`, "must be a string"}}},
	{"object as a field value", nil, func(u user) { u.UserFields = map[string]any{"a": map[string]any{}} },
		[]fault{{`user.user_fields["a"]`, "must be a string"}}},
	{"101 fields", nil, func(u user) { u.UserFields = manyFields(101) },
		[]fault{{"user.user_fields", "101 entries, more than 100"}}},
}

func settingsOf(c change, more ...change) []change {
	if c == nil {
		return more
	}
	return append([]change{c}, more...)
}

func TestCheckRefuses(t *testing.T) {
	run := func(name string, settings []change, edit func(user), want ...fault) {
		t.Run(name, func(t *testing.T) {
			p := testProfile(t, settings...)
			r := testSignIn()
			if slices.Equal(p.Audiences(), []zendesk.Audience{zendesk.TeamMember}) {
				// What is tested of an optional claim shouldn't fail for the role.
				r.User.Role = zendesk.RoleAgent
			}
			if strings.HasPrefix(name, "no role") {
				r.User.Role = zendesk.RoleUnset
			}
			edit(&r.User)
			checked, err := p.Check(p.Brand(""), r)
			if checked != nil {
				t.Error("a refused sign-in came back checked")
			}
			wantFaults(t, faultsOf(t, err), want...)
		})
	}
	for _, test := range requiredFaults {
		run(test.name, settingsOf(test.settings), test.user, test.want)
		run(test.name+", though optional ones are left out",
			settingsOf(test.settings, omitInvalid), test.user, test.want)
	}
	for _, test := range optionalFaults {
		run(test.name, settingsOf(test.settings), test.user, test.want...)
	}
}

// TestCheckOmits runs every fault of an optional claim where the profile leaves
// such claims out: the token is as if the caller had not sent the claim, and each
// fault is a warning.
func TestCheckOmits(t *testing.T) {
	for _, test := range optionalFaults {
		t.Run(test.name, func(t *testing.T) {
			p := testProfile(t, settingsOf(test.settings, omitInvalid)...)
			r := testSignIn(func(r *zendesk.SignIn) { r.User.Phone = "+15551234567" })
			if slices.Equal(p.Audiences(), []zendesk.Audience{zendesk.TeamMember}) {
				r.User.Role = zendesk.RoleAgent
			}
			wanted := r
			test.user(&r.User)
			wanted.User.Role = r.User.Role
			if strings.HasPrefix(test.want[0].Field, "user.phone") {
				wanted.User.Phone = ""
			}
			checked, err := p.Check(p.Brand(""), r)
			if err != nil {
				t.Fatal(err)
			}
			wantFaults(t, checked.Warnings, test.want...)
			for _, w := range checked.Warnings {
				if !strings.Contains(w.Description, "left out") {
					t.Errorf("the warning %q doesn't say what was done", w)
				}
			}
			token, got := mint(t, p, r)
			plain, want := mint(t, p, wanted)
			if want = strings.ReplaceAll(want, plain.ID, token.ID); got != want {
				t.Errorf("claims\n got %s\nwant %s", got, want)
			}
		})
	}
}

// TestCheckReportsAllAtOnce: one bad value in every field.
func TestCheckReportsAllAtOnce(t *testing.T) {
	p := testProfile(t, func(s *zendesk.Settings) { s.IPRanges = []string{"192.0.2.0/24"} })
	_, err := p.Check(p.Brand(""), zendesk.SignIn{
		User: zendesk.User{
			Email: "jo", Name: "\x00", ExternalID: "\u202e", Role: "root", CustomRoleID: -1, LocaleID: -1,
			Organizations: []string{"a,b", ""}, OrganizationIDs: []string{","}, Phone: "1",
			Tags:           []string{"", "ok", " "},
			RemotePhotoURL: "x", UserFields: map[string]any{"b": []any{}, "a": "\u2028", "": 1.0},
		},
		ReturnTo: `\`, ClientIP: "localhost",
	})
	faults := faultsOf(t, err)
	wantFaults(t, faults,
		fault{
			"client_ip", "IP address",
		}, fault{"return_to", "backslash"}, fault{"user.email", "@"}, fault{"user.email_verified", "true"},
		fault{"user.name", "control"}, fault{"user.external_id", "bidirectional"}, fault{"user.role", "no role"},
		fault{
			"user.custom_role_id", "between",
		}, fault{"user.custom_role_id", "agent"}, fault{"user.locale_id", "between"},
		fault{
			"user.organizations[0]", "comma",
		}, fault{"user.organizations[1]", "empty"}, fault{"user.organization_ids[0]", "comma"},
		fault{"user.phone", "E.164"}, fault{"user.tags.values[0]", "empty"}, fault{"user.tags.values[2]", "space"},
		fault{"user.remote_photo_url", "https"},
		fault{
			`user.user_fields[""]`, "empty key",
		}, fault{`user.user_fields["a"]`, "separator"}, fault{`user.user_fields["b"]`, "must be"})
	for _, f := range faults {
		if !strings.Contains(err.Error(), f.Field+" "+f.Description) {
			t.Errorf("the error's text lacks %q", f)
		}
	}
}

// TestFaultsDontRepeatValues: a caller's log shouldn't get a person's data from us.
func TestFaultsDontRepeatValues(t *testing.T) {
	const canary = "canary7f3a"
	p := testProfile(t)
	_, err := p.Check(p.Brand(""), zendesk.SignIn{
		User: zendesk.User{
			Email: canary, Name: canary + "\x00", ExternalID: canary + "\x00", Role: canary,
			Organizations: []string{canary + ","}, OrganizationIDs: []string{canary + ","}, Phone: canary,
			Tags:           []string{canary + ","},
			RemotePhotoURL: canary, UserFields: map[string]any{"k": canary + "\x00"},
		},
		ReturnTo: canary, ClientIP: canary,
	})
	if len(faultsOf(t, err)) < 12 || strings.Contains(err.Error(), canary) {
		t.Errorf("a value is repeated, or a fault is missing: %v", err)
	}
}

func TestCheckClientIP(t *testing.T) {
	ranges := func(r ...string) change { return func(s *zendesk.Settings) { s.IPRanges = r } }
	none := ranges()
	two := ranges("192.0.2.0/24", "2001:db8::/32")
	for _, test := range []struct {
		settings change
		ip       string
		fault    string // of client_ip
		outside  bool
	}{
		{none, "", "", false},
		{none, "198.51.100.1", "", false},
		{none, "198.51.100.256", "is no IP address", false},
		{two, "", "is required", false},
		{two, "192.0.2.0", "", false},
		{two, "192.0.2.255", "", false},
		{two, "192.0.3.0", "", true},
		{two, "2001:db8::1", "", false},
		{two, "2001:db9::1", "", true},
		{two, "::ffff:192.0.2.7", "", false},
		{two, "::ffff:198.51.100.7", "", true},
		{two, "192.0.2.1:443", "is no IP address", false},
		{two, "[2001:db8::1]", "is no IP address", false},
		{two, "fe80::1%eth0", "is no IP address", false},
		{two, " 192.0.2.1", "is no IP address", false},
		{two, "192.0.2.1, 192.0.2.2", "is no IP address", false},
		{two, "192.0.2.010", "is no IP address", false},
		{two, "3221225985", "is no IP address", false},
		{ranges("192.0.2.7/32"), "192.0.2.7", "", false},
		{ranges("192.0.2.7/32"), "192.0.2.8", "", true},
		{ranges("0.0.0.0/0"), "198.51.100.1", "", false},
		{ranges("0.0.0.0/0"), "2001:db8::1", "", true},
	} {
		p := testProfile(t, test.settings)
		_, err := p.Check(p.Brand(""), testSignIn(func(r *zendesk.SignIn) { r.ClientIP = test.ip }))
		var outside *zendesk.OutOfRangeError
		switch {
		case test.fault != "":
			wantFaults(t, faultsOf(t, err), fault{"client_ip", test.fault})
		case test.outside != errors.As(err, &outside):
			t.Errorf("%q: %v; outside should be %t", test.ip, err, test.outside)
		case !test.outside && err != nil:
			t.Errorf("%q: %v", test.ip, err)
		}
	}
}

// TestCheckErrorsInOrder: what is wrong with the request comes before where it may
// lead, and that before whence it comes.
func TestCheckErrorsInOrder(t *testing.T) {
	p := testProfile(t, func(s *zendesk.Settings) { s.IPRanges = []string{"192.0.2.0/24"} })
	r := testSignIn(func(r *zendesk.SignIn) {
		r.User.Phone, r.ReturnTo, r.ClientIP = "1", "https://evil.example/", "198.51.100.1"
	})
	_, err := p.Check(p.Brand(""), r)
	wantFaults(t, faultsOf(t, err), fault{"user.phone", "E.164"})

	r.User.Phone = ""
	_, err = p.Check(p.Brand(""), r)
	var foreign *zendesk.ForeignError
	if !errors.As(err, &foreign) {
		t.Errorf("got %v, want a ForeignError", err)
	}

	r.ReturnTo = ""
	_, err = p.Check(p.Brand(""), r)
	var outside *zendesk.OutOfRangeError
	if !errors.As(err, &outside) || !strings.Contains(err.Error(), "ip_ranges") {
		t.Errorf("got %v, want an OutOfRangeError", err)
	}
}

// TestCheckLimits is at each limit, where TestCheckRefuses is one beyond.
func TestCheckLimits(t *testing.T) {
	p := testProfile(t)
	for name, edit := range map[string]func(user){
		"name":             func(u user) { u.Name = strings.Repeat("é", 255) },
		"external_id":      func(u user) { u.ExternalID = strings.Repeat("é", 255) },
		"organizations":    func(u user) { u.Organizations = manyOf(100, "A") },
		"organization_ids": func(u user) { u.OrganizationIDs = manyOf(100, "1") },
		"organization":     func(u user) { u.Organizations = []string{strings.Repeat("é", 255)} },
		"tags":             func(u user) { u.Tags = manyOf(100, "t") },
		"tag":              func(u user) { u.Tags = []string{strings.Repeat("é", 255)} },
		"remote_photo_url": func(u user) { u.RemotePhotoURL = "https://img.example.com/" + strings.Repeat("x", 2024) },
		"user_fields":      func(u user) { u.UserFields = manyFields(100) },
		"a field's key":    func(u user) { u.UserFields = map[string]any{strings.Repeat("é", 255): "x"} },
		"a field's value":  func(u user) { u.UserFields = map[string]any{"a": strings.Repeat("é", 2048)} },
	} {
		r := testSignIn(func(r *zendesk.SignIn) { edit(&r.User) })
		if _, err := p.Check(p.Brand(""), r); err != nil {
			t.Errorf("%s at its limit: %v", name, err)
		}
	}
}

// TestCheckBoundsTheToken: claims that each fit may be too much together; where
// optional ones are left out too, since nobody could say which.
func TestCheckBoundsTheToken(t *testing.T) {
	fields := func(n, size int) map[string]any {
		m := map[string]any{}
		for i := range n {
			m[fmt.Sprint("f", i)] = strings.Repeat("x", size)
		}
		return m
	}
	for _, s := range [][]change{nil, {omitInvalid}} {
		p := testProfile(t, s...)
		_, err := p.Check(p.Brand(""), testSignIn(func(r *zendesk.SignIn) { r.User.UserFields = fields(4, 4096) }))
		wantFaults(t, faultsOf(t, err), fault{"user", "more than the 16384"})
	}
	token, _ := mint(t, testProfile(t), testSignIn(func(r *zendesk.SignIn) { r.User.UserFields = fields(4, 4050) }))
	if n := len(token.Value); n < 20<<10 || n > 22<<10 {
		t.Errorf("the largest token has %d bytes, want 20 to 22 KiB", n)
	}
}
