package zendesk_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/zendesk"
)

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
				// The role is valid, so that only the optional claim is at fault.
				r.User.Role = zendesk.RoleAgent
			}
			if strings.HasPrefix(name, "no role") {
				r.User.Role = zendesk.RoleUnset
			}
			edit(&r.User)
			checked, err := p.Check(p.Brand(""), r)
			if checked != nil {
				t.Error("Check returned both a result and an error")
			}
			wantFaults(t, faultsOf(t, err), want...)
		})
	}
	for _, test := range requiredFaults {
		run(test.name, settingsOf(test.settings), test.user, test.want)
		run(test.name+" with optional claims left out",
			settingsOf(test.settings, omitInvalid), test.user, test.want)
	}
	for _, test := range optionalFaults {
		run(test.name, settingsOf(test.settings, refuseInvalid), test.user, test.want...)
	}
}

// TestCheckOmits checks every fault of an optional claim with a profile that leaves out what is
// invalid. The token must be as if the caller had not sent it, and each fault must be a warning.
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
			if left := leftAfterOmission[test.name]; left != nil {
				left(&wanted.User)
			}
			checked, err := p.Check(p.Brand(""), r)
			if err != nil {
				t.Fatal(err)
			}
			wantFaults(t, checked.Warnings, test.want...)
			for _, w := range checked.Warnings {
				if !strings.Contains(w.Description, "left out") {
					t.Errorf("the warning %q doesn't say that something is left out", w)
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

// TestOnInvalidOptional checks which claims each setting leaves out. What the setting doesn't name
// has its default.
func TestOnInvalidOptional(t *testing.T) {
	bad := map[string]func(user){
		"external_id":      func(u user) { u.ExternalID = " " },
		"custom_role_id":   func(u user) { u.CustomRoleID = 5 },
		"locale_id":        func(u user) { u.LocaleID = -1 },
		"organizations":    func(u user) { u.Organizations = []string{","} },
		"organization_ids": func(u user) { u.OrganizationIDs = []string{","} },
		"phone":            func(u user) { u.Phone = "0171/123456" },
		"tags":             func(u user) { u.Tags = []string{""} },
		"remote_photo_url": func(u user) { u.RemotePhotoURL = "x" },
		"user_fields":      func(u user) { u.UserFields = map[string]any{"": "x"} },
	}
	var all []string
	for claim := range bad {
		all = append(all, claim)
	}
	byDefault := []string{"phone", "remote_photo_url", "locale_id"}
	for _, test := range []struct {
		setting any
		omitted []string
	}{
		{nil, byDefault},
		{"", byDefault},
		{map[string]any{}, byDefault},
		{map[string]any{"phone": "omit", "remote_photo_url": "omit", "locale_id": "omit"}, byDefault},
		{"refuse", nil},
		{"omit", all},
		{map[string]any{"phone": "refuse"}, []string{"remote_photo_url", "locale_id"}},
		{map[string]any{"tags": "omit", "locale_id": "refuse"}, []string{"phone", "remote_photo_url", "tags"}},
	} {
		p := testProfile(t, func(s *zendesk.Settings) { s.OnInvalidOptional = test.setting })
		for claim, edit := range bad {
			checked, err := p.Check(p.Brand(""), testSignIn(func(r *zendesk.SignIn) { edit(&r.User) }))
			if omitted := slices.Contains(test.omitted, claim); omitted != (err == nil) {
				t.Errorf("%v: %s: %v", test.setting, claim, err)
			} else if omitted && len(checked.Warnings) != 1 {
				t.Errorf("%v: %s: warnings %v, want one", test.setting, claim, checked.Warnings)
			}
		}
	}
}

// TestCheckReportsAllFaults checks a sign-in with an invalid value in every field.
func TestCheckReportsAllFaults(t *testing.T) {
	p := testProfile(t, refuseInvalid, func(s *zendesk.Settings) { s.IPRanges = []string{"192.0.2.0/24"} })
	_, err := p.Check(p.Brand(""), zendesk.SignIn{
		User: zendesk.User{
			Email: "jo", Name: "\x00", ExternalID: "\u202e", Role: "root", CustomRoleID: -1, LocaleID: -1,
			Organizations: []string{"a,b", ""}, OrganizationIDs: []string{","}, Phone: "1",
			Tags:           []string{"", "ok", " "},
			RemotePhotoURL: "x", UserFields: map[string]any{"b": []any{"x", 1.0}, "a": "\u2028", "": 1.0},
		},
		ReturnTo: `\`, ClientIP: "localhost",
	})
	faults := faultsOf(t, err)
	wantFaults(t, faults,
		fault{"client_ip", "IP address"}, fault{"return_to", "backslash"},
		fault{"user.email", "@"}, fault{"user.email_verified", "true"},
		fault{"user.name", "control"}, fault{"user.external_id", "bidirectional"}, fault{"user.role", "no role"},
		fault{"user.custom_role_id", "between"}, fault{"user.custom_role_id", "agent"},
		fault{"user.locale_id", "between"},
		fault{"user.organizations[0]", "comma"}, fault{"user.organizations[1]", "empty"},
		fault{"user.organization_ids[0]", "comma"}, fault{"user.phone", "E.164"},
		fault{"user.tags.values[0]", "empty"}, fault{"user.tags.values[2]", "space"},
		fault{"user.remote_photo_url", "https"}, fault{`user.user_fields[""]`, "empty key"},
		fault{`user.user_fields["a"]`, "separator"}, fault{`user.user_fields["b"][1]`, "must be"})
	for _, f := range faults {
		if !strings.Contains(err.Error(), f.Field+" "+f.Description) {
			t.Errorf("the error's text lacks %q", f)
		}
	}
}

// TestFaultsDontRepeatValues checks that faults contain no personal data, because callers may log
// them.
func TestFaultsDontRepeatValues(t *testing.T) {
	const canary = "canary7f3a"
	p := testProfile(t, refuseInvalid)
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

// TestCheckErrorsInOrder checks that faults of the request come first, then a foreign return_to,
// and then a browser outside the ranges.
func TestCheckErrorsInOrder(t *testing.T) {
	p := testProfile(t, refuseInvalid, func(s *zendesk.Settings) { s.IPRanges = []string{"192.0.2.0/24"} })
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

// TestCheckLimits checks values exactly at each limit. TestCheckRefuses checks values just beyond
// it.
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
		"a field's lines":  func(u user) { u.UserFields = map[string]any{"a": strings.Repeat("\r\n", 2048)} },
		"a field's list":   func(u user) { u.UserFields = map[string]any{"a": slices.Repeat([]any{"forty"}, 100)} },
		"a list's size": func(u user) {
			u.UserFields = map[string]any{"a": slices.Repeat([]any{strings.Repeat("x", 128)}, 32)}
		},
	} {
		r := testSignIn(func(r *zendesk.SignIn) { edit(&r.User) })
		if _, err := p.Check(p.Brand(""), r); err != nil {
			t.Errorf("%s at its limit: %v", name, err)
		}
	}
}

// TestCheckLimitsTheToken checks that valid claims may be too large together. They are then refused
// even if the profile leaves out invalid optional claims, because it isn't clear which claim to
// leave out.
func TestCheckLimitsTheToken(t *testing.T) {
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
		wantFaults(t, faultsOf(t, err), fault{"user", "more than the maximum of 16384"})
	}
	token, _ := mint(t, testProfile(t), testSignIn(func(r *zendesk.SignIn) { r.User.UserFields = fields(4, 4050) }))
	if n := len(token.Value); n < 20<<10 || n > 22<<10 {
		t.Errorf("the largest token has %d bytes, want 20 to 22 KiB", n)
	}
}
