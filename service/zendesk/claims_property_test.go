package zendesk_test

import (
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/zendesk"
)

// claimTypes contains all claims with their JSON types.
var claimTypes = map[string][]string{
	"iat": {"integer"}, "jti": {"string"}, "email": {"string"}, "name": {"string"}, "external_id": {"string"},
	"role":           {"string"},
	"custom_role_id": {"integer"}, "locale": {"integer"}, "locale_id": {"integer"}, "organization": {"string"},
	"organizations":   {"string"},
	"organization_id": {"string", "integer"}, "organization_ids": {"string"}, "phone": {"string"}, "tags": {"array"},
	"remote_photo_url": {"string"}, "user_fields": {"object"}, "exp": {"integer"},
}

func jsonType(v any) string {
	switch v := v.(type) {
	case string:
		return "string"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "float"
		}
		return "integer"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "other"
}

// expected computes the claims of a valid user a second time, without the encoder. It leaves out
// iat, jti and exp.
func expected(u zendesk.User, audiences []zendesk.Audience, integerIDs bool) map[string]any {
	email := strings.ToLower(u.Email)
	want := map[string]any{"email": email, "name": u.Name}
	put := func(name string, v any, there bool) {
		if there {
			want[name] = v
		}
	}
	put("external_id", u.ExternalID, u.ExternalID != "")
	put("role", string(u.Role), u.Role != "")
	put("custom_role_id", u.CustomRoleID, u.CustomRoleID != 0)
	staff := u.Role == "agent" || u.Role == "admin" ||
		u.Role == "" && slices.Equal(audiences, []zendesk.Audience{"team_member"})
	put("locale", u.LocaleID, u.LocaleID != 0 && !staff)
	put("locale_id", u.LocaleID, u.LocaleID != 0 && staff)
	for name, list := range map[string][]string{"organization": u.Organizations, "organization_id": u.OrganizationIDs} {
		put(name, strings.Join(list, ","), len(list) == 1)
		put(name+"s", strings.Join(list, ","), len(list) > 1)
	}
	if id, ok := want["organization_id"].(string); ok && integerIDs &&
		regexp.MustCompile(`^(0|[1-9][0-9]*)$`).MatchString(id) {
		want["organization_id"] = json.Number(id)
	}
	put("phone", u.Phone, u.Phone != "")
	put("tags", u.Tags, u.Tags != nil)
	put("remote_photo_url", u.RemotePhotoURL, u.RemotePhotoURL != "")
	fields := maps.Clone(u.UserFields)
	for key, v := range fields {
		if n, ok := v.(float64); ok {
			fields[key] = n + 0 // -0 is 0
		}
	}
	put("user_fields", fields, len(fields) > 0)
	return want
}

// wantPayload compares a token's payload with the expected claims.
func wantPayload(t *testing.T, payload []byte, want map[string]any) {
	t.Helper()
	read := func(b []byte) (m map[string]any) {
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.UseNumber()
		if err := d.Decode(&m); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		return m
	}
	got := read(payload)
	for name, v := range got {
		if !slices.Contains(claimTypes[name], jsonType(v)) {
			t.Fatalf("claim %q is of type %s in %s", name, jsonType(v), payload)
		}
	}
	encoded, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{"iat", "jti", "exp"} {
		delete(got, own)
	}
	if want := read(encoded); !reflect.DeepEqual(got, want) {
		t.Fatalf("claims\n got %v\nwant %v", got, want)
	}
}

// checkClaims checks a user. If the user is valid, another library must verify the token, the token
// must have exactly the expected claims, and Inspect must accept it. checkClaims reports whether
// the user is valid.
func checkClaims(t *testing.T, s zendesk.Settings, u zendesk.User) bool {
	t.Helper()
	key := testKey(t, 1, testSecret)
	p, err := zendesk.New(s, testBrands())
	if err != nil {
		t.Fatal(err)
	}
	checked, err := p.Check(p.Brand(""), zendesk.SignIn{User: u})
	if err != nil {
		if len(faultsOf(t, err)) == 0 {
			t.Fatal("refused without a fault")
		}
		return false
	}
	token, err := checked.Sign(t.Context(), key, testTime)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jose.ParseSignedCompact(token.Value, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := signed.Verify([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	wantPayload(t, payload, expected(u, s.Audiences, s.OrganizationIDType == "integer"))
	wantAccepted(t, p, token, key)
	return true
}

func wantAccepted(t *testing.T, p *zendesk.Profile, token zendesk.Token, key secrets.Key) {
	t.Helper()
	for _, now := range []time.Time{
		token.IssueTime, token.IssueTime.Add(zendesk.Lifetime), token.IssueTime.Add(-zendesk.Lifetime),
	} {
		got := p.Inspect(token.Value, []secrets.Key{key}, now)
		wantProblems(t, got)
		if got.Version != key.Version() || !got.IssueTime.Equal(token.IssueTime) ||
			len(got.Claims) != len(token.Claims) {
			t.Fatalf("Inspect returns %+v for %+v", got, token)
		}
		for _, name := range token.Claims {
			if _, ok := got.Claims[name]; !ok {
				t.Fatalf("the token's claim %s is not found", name)
			}
		}
	}
	end := token.IssueTime.Add(zendesk.Lifetime)
	if late := p.Inspect(token.Value, []secrets.Key{key}, end.Add(time.Second)); len(late.Problems) != 1 {
		t.Fatalf("problems after the end of the lifetime: %+v", late.Problems)
	}
}

// TestClaimsProperty combines good and bad values of all fields.
func TestClaimsProperty(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(s ...string) string { return s[random.IntN(len(s))] }
	several := func(n int, s ...string) (list []string) {
		for range random.IntN(n) {
			list = append(list, pick(s...))
		}
		return list
	}
	numbers := []int64{0, 0, 0, 1, 8, 360000123456, 1<<53 - 1, 1 << 53, -1}
	values := []any{
		"pro", "", "é\u0301", nil, true, false, 0.0, math.Copysign(0, -1), -0.5, 42.0, float64(1<<53 - 1),
		float64(1 << 53), "2026-01-31",
	}
	audiences := [][]zendesk.Audience{{zendesk.EndUser}, {zendesk.TeamMember}, {zendesk.EndUser, zendesk.TeamMember}}
	passed := map[bool]int{}
	for range 6000 {
		s := zendesk.Settings{
			Audiences: audiences[random.IntN(3)], OmitRole: random.IntN(2) == 0, EmitExp: random.IntN(2) == 0,
			OrganizationIDType: pick("", "string", "integer"),
		}
		u := zendesk.User{
			Email: pick("jo@example.com", "Jo.Doe+X@EXAMPLE.co.uk",
				"o'neil@a-b.example", "!#$%&'*+-/=?^_`{|}~@example.com"),
			EmailVerified:   true,
			Name:            pick("Jo", "Zoë <王> & \"Co\" \\", "علی\u200cرضا", "❤\ufe0f", "</script>"),
			ExternalID:      pick("", "", "0042", "shop-7", "a b", `{"role":"admin"}`, `","role":"admin`),
			Role:            zendesk.Role(pick("", "end_user", "agent", "admin")),
			Organizations:   several(4, "Acme", "Söhne & Co", "Initech", `"`),
			OrganizationIDs: several(3, "42", "007", "0", "org-7", "9007199254740993"),
			Phone:           pick("", "", "+15551234567"),
			RemotePhotoURL:  pick("", "", "https://img.example.com/?a=1&b=<2>"),
			LocaleID:        numbers[random.IntN(len(numbers))],
		}
		if u.Role == zendesk.RoleAgent {
			u.CustomRoleID = numbers[random.IntN(len(numbers))]
		}
		if random.IntN(2) == 0 {
			u.Tags = slices.Concat([]string{}, several(3, "vip", "beta", `"role"`))
		}
		if random.IntN(2) == 0 {
			u.UserFields = map[string]any{}
			for range random.IntN(4) {
				u.UserFields[pick("plan", "email", "role", "iat", "jti", "exp",
					"user_fields", "é", `a"b`)] = values[random.IntN(len(values))]
			}
		}
		passed[checkClaims(t, s, u)]++
	}
	if passed[true] < 600 || passed[false] < 600 {
		t.Errorf("%d passed, %d didn't: too few of one kind to tell anything", passed[true], passed[false])
	}
}
