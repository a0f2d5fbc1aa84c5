package zendesk_test

import (
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/zendesk"
)

func inspectPayload(t testing.TB, p *zendesk.Profile, payload string, now time.Time) zendesk.Inspection {
	t.Helper()
	key := testKey(t, 1, testSecret)
	return p.Inspect(seal(t, key, encode(goodHeader), encode(payload)), []secrets.Key{key}, now)
}

func TestInspectIssuedAt(t *testing.T) {
	const whole, unit = "must be a whole number of seconds", "is no time in seconds since 1970"
	for _, test := range []struct {
		iat  string
		now  time.Time
		want string
	}{
		{"1767323045", inspectTime, ""},
		{"1767323045", inspectTime.Add(3 * time.Minute), ""},
		{"1767323045", inspectTime.Add(3*time.Minute + time.Second), "was 3m1s ago"},
		{"1767323045", inspectTime.Add(-3 * time.Minute), ""},
		{"1767323045", inspectTime.Add(-3*time.Minute - time.Second), "is 3m1s ahead"},
		{"1767323045", inspectTime.Add(48 * time.Hour), "was 48h0m0s ago"},
		{" 1767323045 ", inspectTime, ""},
		{"0", inspectTime, "ago"},
		{"99999999999", inspectTime, "is more than 100 years ahead"}, // more than a Duration holds
		{"1767323045000", inspectTime, unit},
		{"1767323045000", time.Unix(1767323045000, 0), unit},
		{"100000000001", inspectTime, unit},
		{"-1767323045", inspectTime, unit},
		{"1767323045.0", inspectTime, whole},
		{"1767323045.678", inspectTime, whole},
		{"1.767323045e9", inspectTime, whole},
		{"1767323045e0", inspectTime, whole},
		{`"1767323045"`, inspectTime, whole},
		{"null", inspectTime, whole},
		{"true", inspectTime, whole},
		{"[1767323045]", inspectTime, whole},
		{"{}", inspectTime, whole},
		{"9007199254740992", inspectTime, whole},
		{"9223372036854775808", inspectTime, whole},
		{"-9223372036854775808", inspectTime, whole},
		{strings.Repeat("9", 400), inspectTime, whole},
	} {
		got := inspectPayload(t, testProfile(t), strings.Replace(goodPayload, "1767323045", test.iat, 1), test.now)
		var want []zendesk.Problem
		if test.want != "" {
			want = append(want, zendesk.Problem{Part: zendesk.PartIssuedAt, Name: "iat", Description: test.want})
		}
		wantProblems(t, got, want...)
		if readable := test.want != whole && test.want != unit; got.IssueTime.IsZero() == readable {
			t.Errorf("iat %s: IssueTime is %v", test.iat, got.IssueTime)
		}
	}
	wantProblems(t, inspectPayload(t, testProfile(t),
		strings.Replace(goodPayload, `"iat":1767323045,`, "", 1), inspectTime),
		zendesk.Problem{Part: zendesk.PartIssuedAt, Name: "iat", Description: "is missing"})
}

func TestInspectClaims(t *testing.T) {
	const str, whole, array = "must be a string", "must be a whole number", "must be an array of strings"
	bad := func(value, why string) [2]string { return [2]string{value, why} }
	good := func(value string) [2]string { return [2]string{value, ""} }
	staff := testProfile(t, forBoth)
	for claim, values := range map[string][][2]string{
		"jti": {
			good(`"x"`), bad(`7`, str), bad(`""`, "is empty"), bad(`" "`, "is empty"), bad(`null`, str),
			bad(`["x"]`, str),
		},
		"email": {
			good(`"Jo.Doe@Example.com"`), bad(`"jo"`, "one @"), bad(`"Jo <jo@example.com>"`, "unquoted"),
			bad(`"ad\u212ain@acme.com"`, "ASCII"),
			bad(`""`, "is empty"), bad(`null`, str), bad(`{}`, str),
		},
		"name":        {good(`"\u738b"`), bad(`""`, "is empty"), bad(`"\u3000"`, "is empty"), bad(`false`, str)},
		"external_id": {good(`"0042"`), bad(`42`, str), bad(`""`, "is empty"), bad(`null`, str)},
		"role": {
			good(`"end_user"`), good(`"agent"`), good(`"admin"`),
			bad(`"user"`, "one of end_user, agent, admin"), bad(`"Agent"`, "one of"), bad(`null`, "one of"),
			bad(`1`, "one of"),
		},
		"locale": {
			good(`8`), bad(`"8"`, whole), bad(`8.0`, whole), bad(`null`, whole), bad(`"en-us"`, whole),
		},
		"locale_id":     {good(`8`), bad(`"8"`, whole), bad(`1e3`, whole)},
		"organization":  {good(`"Acme"`), bad(`["Acme"]`, str), bad(`5`, str), bad(`""`, "is empty")},
		"organizations": {good(`"Acme,Initech"`), bad(`["Acme","Initech"]`, str)},
		"organization_id": {
			good(`"org-7"`), good(`7`), bad(`7.5`, "string or a whole number"),
			bad(`""`, "string or a whole number"), bad(`null`, "string or a whole number"),
			bad(`9007199254740992`, "string or a whole number"),
		},
		"organization_ids": {good(`"1,2"`), bad(`[1,2]`, str), bad(`12`, str)},
		"phone":            {good(`"+15551234567"`), bad(`15551234567`, str)},
		"tags": {
			good(`[]`), good(`["a"]`), good(`["null"]`), bad(`"a,b"`, array), bad(`"[\"a\"]"`, array),
			bad(`["a",1]`, array), bad(`["a",null]`, array), bad(`null`, array), bad(`{}`, array),
		},
		"remote_photo_url": {good(`"https://x.example/"`), bad(`null`, str), bad(`{}`, str)},
		"user_fields": {
			good(`{}`), good(`{"a":null,"b":1.5,"c":[]}`), bad(`"a"`, "must be a JSON object"),
			bad(`[]`, "must be a JSON object"), bad(`null`, "must be a JSON object"),
			bad(`{"a":1,"a":2}`, `it contains "a" twice`),
		},
		"exp":                {good(`1767323225`), bad(`"1767323225"`, whole), bad(`1767323225.5`, whole)},
		"iss":                {good(`"us"`)}, // a claim that Zendesk doesn't document is no problem
		"Email":              {good(`7`)},
		"constructor":        {good(`{}`)},
		"unknown \\u0000 x":  {good(`0`)},
		"notBefore\\ud83d":   {good(`0`)},
		"custom_role_id_two": {good(`"x"`)},
	} {
		for _, v := range values {
			member := `"` + claim + `":` + v[0]
			payload := goodPayload[:len(goodPayload)-1] + "," + member + "}"
			for _, required := range []string{`"jti":"j1"`, `"email":"jo@example.com"`, `"name":"Jo"`} {
				if strings.HasPrefix(required, `"`+claim+`"`) {
					payload = strings.Replace(goodPayload, required, member, 1)
				}
			}
			var want []zendesk.Problem
			if v[1] != "" {
				want = append(want, zendesk.Problem{Part: zendesk.PartClaims, Name: claim, Description: v[1]})
			}
			got := inspectPayload(t, staff, payload, inspectTime)
			wantProblems(t, got, want...)
			if t.Failed() {
				t.Fatalf("with %s", member)
			}
		}
	}
	for _, name := range []string{"jti", "email", "name"} {
		payload := strings.Replace(goodPayload, `"`+name+`"`, `"x"`, 1)
		wantProblems(t, inspectPayload(t, staff, payload, inspectTime),
			zendesk.Problem{Part: zendesk.PartClaims, Name: name, Description: "is missing"})
	}
}

// TestInspectRoles checks that the valid roles depend on the audiences of the configuration.
func TestInspectRoles(t *testing.T) {
	const foreign, custom = "isn't assigned to", "goes only with the role agent"
	role := func(why string) zendesk.Problem {
		return zendesk.Problem{Part: zendesk.PartClaims, Name: "role", Description: why}
	}
	customRole := func(why string) zendesk.Problem {
		return zendesk.Problem{Part: zendesk.PartClaims, Name: "custom_role_id", Description: why}
	}
	customers, staff, both := testProfile(t), testProfile(t, forStaff), testProfile(t, forBoth)
	for _, test := range []struct {
		profile *zendesk.Profile
		members string
		want    []zendesk.Problem
	}{
		{customers, `"role":"end_user"`, nil},
		{customers, `"role":"agent"`, []zendesk.Problem{role(foreign)}},
		{customers, `"role":"admin"`, []zendesk.Problem{role(foreign)}},
		{staff, `"role":"end_user"`, []zendesk.Problem{role(foreign)}},
		{staff, `"role":"agent"`, nil},
		{both, `"role":"end_user"`, nil},
		{both, `"role":"admin"`, nil},
		{staff, `"x":0`, nil},
		{staff, `"role":"agent","custom_role_id":5`, nil},
		{staff, `"role":"admin","custom_role_id":5`, []zendesk.Problem{customRole(custom)}},
		{staff, `"custom_role_id":5`, []zendesk.Problem{customRole(custom)}},
		{staff, `"role":"agent","custom_role_id":"5"`, []zendesk.Problem{customRole("whole number")}},
		{staff, `"role":7,"custom_role_id":5`, []zendesk.Problem{role("one of"), customRole(custom)}},
		{customers, `"role":"agent","custom_role_id":5`, []zendesk.Problem{role(foreign)}},
	} {
		got := inspectPayload(t, test.profile, goodPayload[:len(goodPayload)-1]+","+test.members+"}", inspectTime)
		wantProblems(t, got, test.want...)
		if t.Failed() {
			t.Fatalf("with %s for %v", test.members, test.profile.Audiences())
		}
	}
}
