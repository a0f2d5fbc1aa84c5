package inspect_test

import (
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/zendesk"
	"github.com/deskmint/deskmint/service/zendesk/inspect"
)

func emitExp(s *zendesk.Settings)       { s.EmitExp = true }
func integerOrgIDs(s *zendesk.Settings) { s.OrganizationIDType = "integer" }
func omitInvalid(s *zendesk.Settings)   { s.OnInvalidOptional = "omit" }
func inRanges(s *zendesk.Settings)      { s.IPRanges = []string{"192.0.2.0/24"} }
func omitRole(s *zendesk.Settings)      { s.OmitRole = true }

// TestDifferences checks what Deskmint would refuse, leave out or send in another way. A difference
// doesn't make a token unacceptable.
func TestDifferences(t *testing.T) {
	type change = func(*zendesk.Settings)
	const notSent, otherType = "would not be sent", "would be sent with another value or type"
	for _, test := range []struct {
		settings []change
		members  string
		want     []string // NAME: DESCRIPTION
	}{
		{nil, `"role":"end_user","locale":8,"external_id":"7","phone":"+15551234567"`, nil},
		{nil, `"tags":["a"],"user_fields":{"a":null,"b":1.5,"c":true},"organizations":"A,B"`, nil},
		{nil, `"tags":[],"organization":"A","organization_ids":"1,2","remote_photo_url":"https://x.example/"`, nil},
		{nil, `"user_fields":{"list":["a","b"],"text":"two\nlines"}`, nil},
		{[]change{inRanges}, `"role":"end_user"`, nil},

		{nil, `"exp":1767323225`, []string{"exp: would not be sent, because emit_exp isn't set"}},
		{[]change{emitExp}, `"exp":1767323225`, nil},
		{nil, `"iss":"us","nbf":1767323045`, []string{"iss: " + notSent, "nbf: " + notSent}},
		{nil, `"externalId":"7"`, []string{"externalId: " + notSent}},
		{nil, `"external_id":7`, []string{"external_id: has a value of a type that Deskmint doesn't send"}},
		{nil, `"external_id":""`, []string{"external_id: " + notSent}},
		{nil, `"external_id":null`, []string{"external_id: is null, which Deskmint sends only in user_fields"}},
		{nil, `"tags":"a,b"`, []string{"tags: has a value of a type"}},
		{nil, `"tags":["a b"]`, []string{"tags: [0] is empty, or contains a space"}},
		{nil, `"user_fields":[]`, []string{"user_fields: has a value of a type"}},
		{nil, `"user_fields":{"a":{}}`, []string{`user_fields: ["a"] must be`}},
		{nil, `"phone":"0171/123456"`, []string{"phone: is not in E.164"}},
		{
			[]change{omitInvalid}, `"phone":"0171/123456","iss":"us"`,
			[]string{"phone: is not in E.164", "iss: " + notSent},
		},
		{nil, `"phone":"0171/123456","iss":"us"`, []string{"phone: is not in E.164", "iss: " + notSent}},
		{nil, `"organization_id":7`, []string{"organization_id: " + otherType}},
		{[]change{integerOrgIDs}, `"organization_id":7`, nil},
		{[]change{integerOrgIDs}, `"organization_id":"7"`, []string{"organization_id: " + otherType}},
		{nil, `"organizations":"Acme"`, []string{"organizations: would be sent as organization"}},
		{nil, `"organization":"A,B"`, []string{"organization: [0] contains a comma"}},
		{
			nil, `"organization":"A","organizations":"B,C"`,
			[]string{"organization: would be sent as organizations", "organizations: " + otherType},
		},
		{nil, `"locale_id":8`, []string{"locale_id: would be sent as locale"}},
		{[]change{forBoth, omitRole}, `"locale_id":8`, []string{"locale_id: needs a role"}},
		{[]change{forBoth, omitRole}, `"locale":8`, []string{"locale: needs a role"}},
		{nil, `"locale":8.0`, []string{"locale: has a value of a type"}},
		{nil, `"role":"admin"`, []string{"role: is admin, but this configuration doesn't sign in team members"}},
		{nil, `"role":"user"`, []string{"role: is no role"}},
		{nil, `"custom_role_id":5`, []string{"custom_role_id: goes only with the role agent"}},
		{[]change{forStaff}, `"locale_id":8`, []string{"role: is required"}},
	} {
		payload := goodPayload[:len(goodPayload)-1] + "," + test.members + "}"
		got := inspectPayload(t, testProfile(t, test.settings...), payload, inspectTime)
		var want []inspect.Problem
		for _, text := range test.want {
			want = append(want, named(text)...)
		}
		wantDifferences(t, got, want...)
		if t.Failed() {
			t.Fatalf("with %s", test.members)
		}
	}
}

// wantDifferences checks the differences as wantProblems checks the problems.
func wantDifferences(t testing.TB, got inspect.Result, want ...inspect.Problem) {
	t.Helper()
	wantProblems(t, inspect.Result{Problems: got.Differences}, want...)
}

func TestDifferencesOfRequiredClaims(t *testing.T) {
	for payload, want := range map[string][]string{
		strings.Replace(goodPayload, "jo@", "jo.@", 1):         {"email: has a dot at the start or end"},
		strings.Replace(goodPayload, "jo@", "Jo@", 1):          {"email: would be sent in lower case"},
		strings.Replace(goodPayload, `"email":`, `"mail":`, 1): {"email: is required", "mail: would not be sent"},
		strings.Replace(goodPayload, `"Jo"`, `""`, 1):          {"name: is required"},
		strings.Replace(goodPayload, `"Jo"`, `7`, 1): {
			"name: has a value of a type", "name: is required",
		},
		goodPayload: nil,
	} {
		var problems []inspect.Problem
		for _, text := range want {
			problems = append(problems, named(text)...)
		}
		wantDifferences(t, inspectPayload(t, testProfile(t), payload, inspectTime), problems...)
		if t.Failed() {
			t.Fatalf("with %s", payload)
		}
	}
}

// TestDifferencesOfTheHeader checks that a parameter that Deskmint doesn't send is one.
func TestDifferencesOfTheHeader(t *testing.T) {
	key := testKey(t, 1, testSecret)
	token := seal(t, key, encode(`{"typ":"JWT","alg":"HS256","kid":"1"}`), encode(goodPayload))
	got := inspect.Token(testProfile(t), token, nil, inspectTime)
	wantDifferences(t, got, inspect.Problem{Part: inspect.PartHeader, Name: "kid", Description: "would not be sent"})
}
