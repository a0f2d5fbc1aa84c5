package zendesk_test

import (
	"math"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/zendesk"
)

// TestClaims has a row for every rule about a claim: its name, JSON type, order and absence. The
// payloads are handwritten. JTI is a placeholder for the token's jti.
func TestClaims(t *testing.T) {
	const plain = `{"iat":1767323045,"jti":"JTI","email":"jo@example.com","name":"Jo Doe"`
	type settings = func(*zendesk.Settings)
	for _, test := range []struct {
		name     string
		settings []settings
		user     func(*zendesk.User)
		want     string
	}{
		{"only what is required", nil, func(u *zendesk.User) {}, plain + `}`},

		{"email is lower-cased", nil, func(u *zendesk.User) { u.Email = "Jo.Doe+Shop@EXAMPLE.Com" },
			`{"iat":1767323045,"jti":"JTI","email":"jo.doe+shop@example.com","name":"Jo Doe"}`},
		{"unverified email that the profile allows",
			[]settings{func(s *zendesk.Settings) { s.AllowUnverifiedEmail = true }},
			func(u *zendesk.User) { u.EmailVerified = false }, plain + `}`},

		{"name in another script", nil, func(u *zendesk.User) { u.Name = "Zoë 王小明" },
			`{"iat":1767323045,"jti":"JTI","email":"jo@example.com","name":"Zoë 王小明"}`},
		{"name keeps HTML's characters as they are", nil, func(u *zendesk.User) { u.Name = `<b>"Jo" & \Co>` },
			`{"iat":1767323045,"jti":"JTI","email":"jo@example.com","name":"<b>\"Jo\" & \\Co>"}`},

		{"external_id", nil, func(u *zendesk.User) { u.ExternalID = "shop-0042" },
			plain + `,"external_id":"shop-0042"}`},
		{"external_id of digits stays a string", nil,
			func(u *zendesk.User) { u.ExternalID = "0042" }, plain + `,"external_id":"0042"}`},

		{"role end_user", nil, func(u *zendesk.User) { u.Role = zendesk.RoleEndUser }, plain + `,"role":"end_user"}`},
		{"role agent", []settings{forStaff},
			func(u *zendesk.User) { u.Role = zendesk.RoleAgent }, plain + `,"role":"agent"}`},
		{"role admin", []settings{forStaff},
			func(u *zendesk.User) { u.Role = zendesk.RoleAdmin }, plain + `,"role":"admin"}`},
		{"role agent where both are served", []settings{forBoth},
			func(u *zendesk.User) { u.Role = zendesk.RoleAgent }, plain + `,"role":"agent"}`},
		{"role end_user where both are served", []settings{forBoth},
			func(u *zendesk.User) { u.Role = zendesk.RoleEndUser }, plain + `,"role":"end_user"}`},
		{"no role for team members", []settings{forStaff, omitRole}, func(u *zendesk.User) {}, plain + `}`},
		{"no role for both", []settings{forBoth, omitRole}, func(u *zendesk.User) {}, plain + `}`},

		{"custom_role_id", []settings{forStaff},
			func(u *zendesk.User) { u.Role, u.CustomRoleID = zendesk.RoleAgent, 360000123456 },
			plain + `,"role":"agent","custom_role_id":360000123456}`},
		{"custom_role_id 2^53-1", []settings{forStaff},
			func(u *zendesk.User) { u.Role, u.CustomRoleID = zendesk.RoleAgent, 1<<53-1 },
			plain + `,"role":"agent","custom_role_id":9007199254740991}`},

		{"locale of an end user", nil, func(u *zendesk.User) { u.Role, u.LocaleID = zendesk.RoleEndUser, 8 },
			plain + `,"role":"end_user","locale":8}`},
		{"locale without role, end users only", nil, func(u *zendesk.User) { u.LocaleID = 1 }, plain + `,"locale":1}`},
		{"locale of an end user where both are served", []settings{forBoth},
			func(u *zendesk.User) { u.Role, u.LocaleID = zendesk.RoleEndUser, 8 },
			plain + `,"role":"end_user","locale":8}`},
		{"locale_id of an agent", []settings{forBoth},
			func(u *zendesk.User) { u.Role, u.LocaleID = zendesk.RoleAgent, 8 },
			plain + `,"role":"agent","locale_id":8}`},
		{"locale_id of an admin", []settings{forStaff},
			func(u *zendesk.User) { u.Role, u.LocaleID = zendesk.RoleAdmin, 8 },
			plain + `,"role":"admin","locale_id":8}`},
		{"locale_id without role, team members only", []settings{forStaff, omitRole},
			func(u *zendesk.User) { u.LocaleID = 8 }, plain + `,"locale_id":8}`},
		{"locale 2^53-1", nil, func(u *zendesk.User) { u.LocaleID = 1<<53 - 1 }, plain + `,"locale":9007199254740991}`},

		{"one organisation", nil, func(u *zendesk.User) { u.Organizations = []string{"Acme & Söhne"} },
			plain + `,"organization":"Acme & Söhne"}`},
		{"two organisations", nil, func(u *zendesk.User) { u.Organizations = []string{"Acme", "Initech GmbH"} },
			plain + `,"organizations":"Acme,Initech GmbH"}`},
		{"no organisations", nil,
			func(u *zendesk.User) { u.Organizations, u.OrganizationIDs = []string{}, []string{} }, plain + `}`},
		{"one organisation id", nil, func(u *zendesk.User) { u.OrganizationIDs = []string{"42"} },
			plain + `,"organization_id":"42"}`},
		{"two organisation ids", nil, func(u *zendesk.User) { u.OrganizationIDs = []string{"42", "b-7"} },
			plain + `,"organization_ids":"42,b-7"}`},
		{"names and ids together", nil,
			func(u *zendesk.User) { u.Organizations, u.OrganizationIDs = []string{"Acme"}, []string{"1", "2"} },
			plain + `,"organization":"Acme","organization_ids":"1,2"}`},
		{"organisation id beyond 2^53 as a string", nil,
			func(u *zendesk.User) { u.OrganizationIDs = []string{"9007199254740993"} },
			plain + `,"organization_id":"9007199254740993"}`},
		{"organisation id as an integer", []settings{integerOrgIDs},
			func(u *zendesk.User) { u.OrganizationIDs = []string{"42"} }, plain + `,"organization_id":42}`},
		{"organisation id zero as an integer", []settings{integerOrgIDs},
			func(u *zendesk.User) { u.OrganizationIDs = []string{"0"} }, plain + `,"organization_id":0}`},
		{"organisation id 2^53-1 as an integer", []settings{integerOrgIDs},
			func(u *zendesk.User) { u.OrganizationIDs = []string{"9007199254740991"} },
			plain + `,"organization_id":9007199254740991}`},
		{"leading zeros are no integer", []settings{integerOrgIDs},
			func(u *zendesk.User) { u.OrganizationIDs = []string{"007"} }, plain + `,"organization_id":"007"}`},
		{"two zeros are no integer", []settings{integerOrgIDs},
			func(u *zendesk.User) { u.OrganizationIDs = []string{"00"} }, plain + `,"organization_id":"00"}`},
		{"leading zeros beyond 2^53", []settings{integerOrgIDs},
			func(u *zendesk.User) { u.OrganizationIDs = []string{"09007199254740993"} },
			plain + `,"organization_id":"09007199254740993"}`},
		{"a sign is no integer", []settings{integerOrgIDs},
			func(u *zendesk.User) { u.OrganizationIDs = []string{"-42"} }, plain + `,"organization_id":"-42"}`},
		{"letters are no integer", []settings{integerOrgIDs},
			func(u *zendesk.User) { u.OrganizationIDs = []string{"org-42"} }, plain + `,"organization_id":"org-42"}`},
		{"digits of other scripts are no integer", []settings{integerOrgIDs},
			func(u *zendesk.User) { u.OrganizationIDs = []string{"٤٢"} }, plain + `,"organization_id":"٤٢"}`},
		{"several ids are always one string", []settings{integerOrgIDs},
			func(u *zendesk.User) { u.OrganizationIDs = []string{"42", "43"} },
			plain + `,"organization_ids":"42,43"}`},

		{"phone", nil, func(u *zendesk.User) { u.Phone = "+15551234567" }, plain + `,"phone":"+15551234567"}`},
		{"phone of 8 digits", nil, func(u *zendesk.User) { u.Phone = "+29012345" }, plain + `,"phone":"+29012345"}`},
		{"phone of 15 digits", nil, func(u *zendesk.User) { u.Phone = "+123456789012345" },
			plain + `,"phone":"+123456789012345"}`},

		{"tags", nil, func(u *zendesk.User) { u.Tags = []string{"vip", "beta_2"} },
			plain + `,"tags":["vip","beta_2"]}`},
		{"one tag is an array too", nil,
			func(u *zendesk.User) { u.Tags = []string{"vip"} }, plain + `,"tags":["vip"]}`},
		{"empty tags remove all", nil, func(u *zendesk.User) { u.Tags = []string{} }, plain + `,"tags":[]}`},
		{"nil tags leave all", nil, func(u *zendesk.User) { u.Tags = nil }, plain + `}`},

		{"remote_photo_url", nil, func(u *zendesk.User) { u.RemotePhotoURL = "https://img.example.com/p?a=1&b=<2>" },
			plain + `,"remote_photo_url":"https://img.example.com/p?a=1&b=<2>"}`},

		{"user_fields by key", nil, func(u *zendesk.User) {
			u.UserFields = map[string]any{
				"plan":   "pro",
				"since":  "2026-01-31",
				"active": true,
				"trial":  false,
				"old":    nil,
				"note":   "",
			}
		}, plain +
			`,"user_fields":{"active":true,"note":"","old":null,"plan":"pro","since":"2026-01-31","trial":false}}`},
		{"user_fields: whole numbers are integers", nil, func(u *zendesk.User) {
			u.UserFields = map[string]any{
				"a": float64(0),
				"b": float64(42),
				"c": float64(-7),
				"d": 1e15,
				"e": math.Copysign(0, -1),
			}
		}, plain + `,"user_fields":{"a":0,"b":42,"c":-7,"d":1000000000000000,"e":0}}`},
		{"user_fields: fractions are not", nil, func(u *zendesk.User) {
			u.UserFields = map[string]any{"a": 0.5, "b": -2.25, "c": 0.1}
		}, plain + `,"user_fields":{"a":0.5,"b":-2.25,"c":0.1}}`},
		{"user_fields up to 2^53-1", nil, func(u *zendesk.User) {
			u.UserFields = map[string]any{"max": float64(1<<53 - 1), "min": -float64(1<<53 - 1)}
		}, plain + `,"user_fields":{"max":9007199254740991,"min":-9007199254740991}}`},
		{"only null in user_fields", nil, func(u *zendesk.User) { u.UserFields = map[string]any{"plan": nil} },
			plain + `,"user_fields":{"plan":null}}`},
		{"no user_fields", nil, func(u *zendesk.User) { u.UserFields = map[string]any{} }, plain + `}`},
		{"claims' names in user_fields stay there", nil, func(u *zendesk.User) {
			u.UserFields = map[string]any{"email": "admin@acme.com", "role": "admin", "iat": 1.0, "user_fields": "x"}
		}, plain + `,"user_fields":{"email":"admin@acme.com","iat":1,"role":"admin","user_fields":"x"}}`},

		{"exp where the profile says so", []settings{func(s *zendesk.Settings) { s.EmitExp = true }},
			func(u *zendesk.User) {}, plain + `,"exp":1767323225}`},

		{"everything", []settings{forBoth, func(s *zendesk.Settings) { s.EmitExp = true }}, func(u *zendesk.User) {
			u.ExternalID, u.Role, u.CustomRoleID, u.LocaleID = "e1", zendesk.RoleAgent, 5, 8
			u.Organizations, u.OrganizationIDs = []string{"A", "B"}, []string{"1"}
			u.Phone, u.Tags, u.RemotePhotoURL = "+4930123456", []string{"t"}, "https://img.example.com/jo.png"
			u.UserFields = map[string]any{"k": "v"}
		}, plain +
			`,"external_id":"e1","role":"agent","custom_role_id":5,"locale_id":8,` +
			`"organizations":"A,B","organization_id":"1","phone":"+4930123456","tags":["t"],` +
			`"remote_photo_url":"https://img.example.com/jo.png","user_fields":{"k":"v"},"exp":1767323225}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := testSignIn()
			test.user(&r.User)
			token, got := mint(t, testProfile(t, test.settings...), r)
			if want := strings.ReplaceAll(test.want, "JTI", token.ID); got != want {
				t.Errorf("claims\n got %s\nwant %s", got, want)
			}
		})
	}
}

// TestClaimsAreCopied checks that changes of the user after Check don't affect the token.
func TestClaimsAreCopied(t *testing.T) {
	tags, orgs := []string{"vip"}, []string{"Acme", "Initech"}
	fields := map[string]any{"plan": "pro"}
	r := testSignIn(func(r *zendesk.SignIn) {
		r.User.Tags, r.User.Organizations, r.User.UserFields = tags, orgs, fields
	})
	p := testProfile(t)
	checked, err := p.Check(p.Brand(""), r)
	if err != nil {
		t.Fatal(err)
	}
	tags[0], orgs[0], fields["plan"] = "a,b", "Evil", "free"
	token, err := checked.Sign(t.Context(), testKey(t, 1, testSecret), testTime)
	if err != nil {
		t.Fatal(err)
	}
	got := segment(t, token.Value, 1)
	for _, want := range []string{`"tags":["vip"]`, `"organizations":"Acme,Initech"`, `"user_fields":{"plan":"pro"}`} {
		if !strings.Contains(got, want) {
			t.Errorf("claims %s lack %s", got, want)
		}
	}
}
