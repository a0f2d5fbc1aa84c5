package inspect_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/zendesk"
	"github.com/deskmint/deskmint/service/zendesk/inspect"
)

func TestIssuedAt(t *testing.T) {
	const number, unit, fraction = "must be a number of seconds", "is no time in seconds", "fraction or an exponent"
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
		{"1767323045.0", inspectTime, fraction},
		{"1767323045.678", inspectTime, fraction},
		{"1.767323045e9", inspectTime, fraction},
		{"1767323045e0", inspectTime, fraction},
		{"17.67323045E+8", inspectTime, fraction},
		{"1767323045123.4", inspectTime, unit},
		{"1.767323045e12", inspectTime, unit},
		{`"1767323045"`, inspectTime, number},
		{"null", inspectTime, number},
		{"true", inspectTime, number},
		{"[1767323045]", inspectTime, number},
		{"{}", inspectTime, number},
		{"9007199254740992", inspectTime, unit},
		{"9223372036854775808", inspectTime, unit},
		{"-9223372036854775808", inspectTime, unit},
		{strings.Repeat("9", 400), inspectTime, unit},
	} {
		got := inspectPayload(t, testProfile(t), strings.Replace(goodPayload, "1767323045", test.iat, 1), test.now)
		var want, warnings []inspect.Problem
		problem := inspect.Problem{Part: inspect.PartIssuedAt, Name: "iat", Description: test.want}
		switch test.want {
		case "":
		case fraction:
			warnings = append(warnings, problem)
		default:
			want = append(want, problem)
		}
		wantProblems(t, got, want...)
		wantWarnings(t, got, warnings...)
		if readable := test.want != number && test.want != unit; got.IssueTime.IsZero() == readable {
			t.Errorf("iat %s: IssueTime is %v", test.iat, got.IssueTime)
		}
	}
	wantProblems(t, inspectPayload(t, testProfile(t),
		strings.Replace(goodPayload, `"iat":1767323045,`, "", 1), inspectTime),
		inspect.Problem{Part: inspect.PartIssuedAt, Name: "iat", Description: "is missing"})
}

// TestFractionAtTheLimit checks that a fraction of a second counts.
func TestFractionAtTheLimit(t *testing.T) {
	payload := strings.Replace(goodPayload, "1767323045", "1767323045.25", 1)
	at := inspectTime.Add(3 * time.Minute)
	for _, test := range []struct {
		now  time.Time
		want int
	}{{at.Add(250 * time.Millisecond), 0}, {at.Add(251 * time.Millisecond), 1}} {
		if got := inspectPayload(t, testProfile(t), payload, test.now); len(got.Problems) != test.want {
			t.Errorf("at %v: %+v", test.now, got.Problems)
		}
	}
}

// claimTest is a value of a claim, and what is said about it.
type claimTest struct{ value, problem, warning string }

func good(value string) claimTest         { return claimTest{value: value} }
func bad(value, problem string) claimTest { return claimTest{value: value, problem: problem} }
func odd(value, warning string) claimTest { return claimTest{value: value, warning: warning} }

// The beginnings of what is said about values.
const (
	notText, notWhole, notArray = "must be a string", "must be a whole number", "must be an array of strings"
	isNull, isEmpty             = "is null. Zendesk accepts that", "is empty. Zendesk doesn't document"
	fraction, unknown           = "is written with a fraction", "is not documented by Zendesk"
)

// claimTests are values of each claim that Zendesk documents, and of some others.
var claimTests = map[string][]claimTest{
	"jti": {
		good(`"x"`), bad(`7`, notText), bad(`""`, "is empty"), bad(`" "`, "is empty"), bad(`null`, "is null"),
		bad(`["x"]`, notText),
	},
	"email": {
		good(`"Jo.Doe@Example.com"`), bad(`"jo"`, "one @"), bad(`"Jo <jo@example.com>"`, "unquoted"),
		bad(`"a@b@c"`, "one @"), bad(`"@b.c"`, "before the @"), bad(`"jo@"`, "domain"), bad(`"a b@c.d"`, "unquoted"),
		bad(`""`, "is empty"), bad(`null`, "is null"), bad(`{}`, notText), bad(`" "`, "is empty"),
		odd(`"ad\u212ain@acme.com"`, "has a character outside ASCII"), good(`"a..b@docomo.ne.jp"`),
		odd(`"jo@m\u00fcller.example"`, "has an international domain"), good(`"jo@under_score.example"`),
	},
	"name":        {good(`"\u738b"`), bad(`""`, "is empty"), bad(`"\u3000"`, "is empty"), bad(`false`, notText)},
	"external_id": {good(`"0042"`), bad(`42`, notText), odd(`""`, isEmpty), odd(`" "`, isEmpty), odd(`null`, isNull)},
	"role": {
		good(`"end_user"`), good(`"agent"`), good(`"admin"`), odd(`"user"`, "another name for end_user"),
		odd(`"end-user"`, "another name for end_user"), bad(`"Agent"`, "one of end_user, agent, admin"),
		odd(`null`, isNull), odd(`""`, isEmpty), bad(`1`, "one of"), bad(`["agent"]`, "one of"),
	},
	"locale": {
		good(`8`), bad(`"8"`, notWhole), odd(`8.0`, fraction), odd(`null`, isNull), bad(`"en-us"`, notWhole),
		bad(`8.5`, notWhole), odd(`""`, isEmpty), bad(`9007199254740992`, notWhole), bad(`1e400`, notWhole),
	},
	"organization": {
		good(`"Acme"`), bad(`["Acme"]`, notText), bad(`5`, notText), odd(`""`, isEmpty), odd(`" "`, isEmpty),
		odd(`"Acme, Inc."`, "at which Zendesk splits it"), odd(`null`, isNull),
	},
	"organizations": {good(`"Acme,Initech"`), bad(`["Acme","Initech"]`, notText), odd(`null`, isNull)},
	"organization_id": {
		good(`"org-7"`), good(`7`), bad(`7.5`, "string or a whole number"), odd(`""`, isEmpty), odd(`null`, isNull),
		bad(`9007199254740992`, "string or a whole number"), bad(`[7]`, "string or a whole number"),
	},
	"organization_ids": {good(`"1,2"`), bad(`[1,2]`, notText), bad(`12`, notText)},
	"phone": {
		good(`"+15551234567"`), bad(`15551234567`, notText), odd(`"0171/123456"`, "E.164"), odd(`""`, isEmpty),
		odd(`"+1 555 123 4567"`, "E.164"),
	},
	"tags": {
		good(`[]`), good(`["a"]`), good(`["null"]`), bad(`"a,b"`, notArray), bad(`"[\"a\"]"`, notArray),
		bad(`["a",1]`, notArray), bad(`["a",null]`, notArray), odd(`null`, isNull), bad(`{}`, notArray),
		odd(`["a","b c"]`, "[1] is empty, or contains a space"), odd(`[""]`, "[0] is empty"), odd(`["a,b"]`, "comma"),
	},
	"remote_photo_url": {
		good(`"https://x.example/"`), odd(`null`, isNull), bad(`{}`, notText), odd(`"http://x.example/"`, "no https"),
		odd(`"x.png"`, "no https"),
	},
	"user_fields": {
		good(`{}`), good(`{"a":null,"b":1.5,"c_1":true,"d":"x\ny"}`), bad(`"a"`, "must be a JSON object"),
		bad(`[]`, "must be a JSON object"), odd(`null`, isNull), bad(`{"a":1,"a":2}`, `it contains "a" twice`),
		odd(`{"a":{"b":1}}`, `["a"] is nested`), odd(`{"a":[1]}`, `["a"] is nested`),
		odd(`{"a":["x","y"]}`, `["a"] is a list. Whether Zendesk accepts one`),
		odd(`{"123":"x"}`, `["123"] is no key`), odd(`{"":"x"}`, `[""] is no key`),
		odd(`{"a b":1}`, `["a b"] is no key`), odd(`{"a-b":1}`, `["a-b"] is no key`),
	},
	"exp": {
		odd(`1767323225`, unknown), odd(`"1767323225"`, "is no number"), odd(`1767323225.5`, unknown),
		odd(`1767323044`, "has passed by the local clock. Zendesk documents no exp, and may refuse the token"),
		odd(`1767323045`, "has passed"), odd(`-1`, "has passed"), odd(`1e99`, unknown), odd(`null`, "is no number"),
	},
	"nbf": {
		odd(`1767323045`, unknown), odd(`1767323046`, "is in the future by the local clock. Zendesk documents no nbf"),
		odd(`"x"`, "is no number"),
	},
	"iss": {odd(`"us"`, unknown)}, "aud": {odd(`["zendesk"]`, unknown)}, "sub": {odd(`"1"`, unknown)},
	"Email":              {odd(`7`, "Is email meant?")},
	"externalId":         {odd(`"1"`, "Is external_id meant?")},
	"organisation":       {odd(`"A"`, "Is organization meant?")},
	"organisation-ids":   {odd(`"A"`, "Is organization_ids meant?")},
	"remotePhotoURL":     {odd(`"A"`, "Is remote_photo_url meant?")},
	"constructor":        {odd(`{}`, unknown)},
	"custom_role_id_two": {odd(`"x"`, unknown)},
}

// with returns the good payload with a claim, which replaces one of the same name.
func with(claim, value string) string {
	member := `"` + claim + `":` + value
	for _, required := range []string{`"jti":"j1"`, `"email":"jo@example.com"`, `"name":"Jo"`} {
		if strings.HasPrefix(required, `"`+claim+`"`) {
			return strings.Replace(goodPayload, required, member, 1)
		}
	}
	return goodPayload[:len(goodPayload)-1] + "," + member + "}"
}

func TestClaims(t *testing.T) {
	staff := testProfile(t, forBoth)
	for claim, values := range claimTests {
		for _, v := range values {
			var problems, warnings []inspect.Problem
			if v.problem != "" {
				problems = []inspect.Problem{{Part: inspect.PartClaims, Name: claim, Description: v.problem}}
			}
			if v.warning != "" {
				warnings = []inspect.Problem{{Part: inspect.PartClaims, Name: claim, Description: v.warning}}
			}
			got := inspectPayload(t, staff, with(claim, v.value), inspectTime)
			wantProblems(t, got, problems...)
			wantWarnings(t, got, warnings...)
			if t.Failed() {
				t.Fatalf("with %q: %s", claim, v.value)
			}
		}
	}
	for _, name := range []string{"jti", "email", "name"} {
		payload := strings.Replace(goodPayload, `"`+name+`"`, `"x"`, 1)
		wantProblems(t, inspectPayload(t, staff, payload, inspectTime),
			inspect.Problem{Part: inspect.PartClaims, Name: name, Description: "is missing"})
	}
}

// TestManyClaims checks that an answer about a token with very many claims is short.
func TestManyClaims(t *testing.T) {
	var b strings.Builder
	for n := range 200 {
		fmt.Fprintf(&b, `"x%d":0,`, n)
	}
	got := inspectPayload(t, testProfile(t), "{"+b.String()+goodPayload[1:], inspectTime)
	for _, list := range [][]inspect.Problem{got.Warnings, got.Differences} {
		if len(list) != 51 || list[50].Description != "has 150 further problems of this kind" {
			t.Errorf("%d: %+v", len(list), list[len(list)-1])
		}
	}
}

// TestRoles checks that the valid roles, and the claims that depend on the role, depend on
// the audiences of the configuration. Without a configuration, only the role in the token counts.
func TestRoles(t *testing.T) {
	const foreign, custom = "isn't assigned to", "applies only with the role agent"
	const team, users, either = "for team members Zendesk reads locale_id", "for end users Zendesk reads locale",
		"is only for team members"
	customers, staff, both := testProfile(t), testProfile(t, forStaff), testProfile(t, forBoth)
	for _, test := range []struct {
		profile          *zendesk.Profile // nil: none
		members          string
		problem, warning string // NAME: DESCRIPTION
	}{
		{customers, `"role":"end_user"`, "", ""},
		{customers, `"role":"agent"`, "role: " + foreign, ""},
		{customers, `"role":"admin"`, "role: " + foreign, ""},
		{staff, `"role":"end_user"`, "role: " + foreign, ""},
		{staff, `"role":"agent"`, "", ""},
		{both, `"role":"end_user"`, "", ""},
		{both, `"role":"admin"`, "", ""},
		{nil, `"role":"admin"`, "", ""},
		{staff, `"phone":"+15551234567"`, "", ""},
		{staff, `"role":"agent","custom_role_id":5`, "", ""},
		{staff, `"role":"admin","custom_role_id":5`, "", "custom_role_id: " + custom},
		{staff, `"custom_role_id":5`, "", "custom_role_id: " + custom},
		{nil, `"custom_role_id":5`, "", "custom_role_id: " + custom},
		{staff, `"role":"agent","custom_role_id":"5"`, "custom_role_id: whole number", ""},
		{staff, `"role":"agent","custom_role_id":null`, "", "custom_role_id: is null"},
		{customers, `"role":"agent","custom_role_id":5`, "role: " + foreign, ""},

		{customers, `"locale":8`, "", ""},
		{customers, `"locale_id":8`, "", "locale_id: " + users},
		{staff, `"locale":8`, "", "locale: " + team},
		{staff, `"locale_id":8`, "", ""},
		{both, `"locale":8`, "", ""},
		{both, `"locale_id":8`, "", "locale_id: " + either},
		{both, `"role":"end_user","locale_id":8`, "", "locale_id: " + users},
		{both, `"role":"admin","locale":8`, "", "locale: " + team},
		{nil, `"role":"end_user","locale_id":8`, "", "locale_id: " + users},
		{nil, `"role":"agent","locale":8`, "", "locale: " + team},
		{nil, `"role":"agent","locale_id":8`, "", ""},
		{nil, `"locale_id":8`, "", "locale_id: " + either},

		{customers, `"organization":"Acme","organization_id":"7"`, "", "organization: has no effect"},
		{customers, `"organization":"Acme","organization_ids":"7,8"`, "", ""},
	} {
		payload := goodPayload[:len(goodPayload)-1] + "," + test.members + "}"
		key := testKey(t, 1, testSecret)
		token, keys := seal(t, key, encode(goodHeader), encode(payload)), []secrets.Key{key}
		got := inspect.Token(test.profile, token, keys, inspectTime)
		wantProblems(t, got, named(test.problem)...)
		wantWarnings(t, got, named(test.warning)...)
		if test.profile == nil && got.Differences != nil {
			t.Errorf("differences without a profile: %+v", got.Differences)
		}
		if t.Failed() {
			t.Fatalf("with %s for %+v", test.members, test.profile)
		}
	}
}

// named returns the problem that a text describes as NAME: DESCRIPTION.
func named(text string) []inspect.Problem {
	if text == "" {
		return nil
	}
	name, description, _ := strings.Cut(text, ": ")
	return []inspect.Problem{{Part: inspect.PartClaims, Name: name, Description: description}}
}
