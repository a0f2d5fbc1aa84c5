package zendesk_test

import (
	"encoding/json"
	"fmt"
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
	"golang.org/x/net/idna"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/zendesk"
	"github.com/deskmint/deskmint/service/zendesk/inspect"
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
	want := map[string]any{
		"email": expectedEmail(u.Email),
		"name":  strings.TrimSpace(harmless.ReplaceAllString(u.Name, "")),
	}
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
		switch v := v.(type) {
		case float64:
			fields[key] = v + 0 // -0 is 0
		case string:
			fields[key] = expectedLines(v)
		}
	}
	put("user_fields", fields, len(fields) > 0)
	return want
}

var harmless = regexp.MustCompile(`[\x{AD}\x{61C}\x{180E}\x{200B}\x{200E}\x{200F}\x{2060}-\x{2064}\x{FEFF}]`)

// expectedEmail computes an accepted address with a profile of IDNA that maps more than ours.
func expectedEmail(s string) string {
	local, domain, _ := strings.Cut(strings.TrimSpace(s), "@")
	if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = ascii
	}
	return strings.ToLower(local + "@" + domain)
}

func expectedLines(s string) string {
	s = harmless.ReplaceAllString(s, "")
	return strings.NewReplacer("\x00", "\r\n", "\r", "\n").Replace(strings.ReplaceAll(s, "\r\n", "\x00"))
}

// withoutOmitted removes from a user what the warnings say is left out. ok is false if a warning names
// no single field, because two long keys have the same start.
func withoutOmitted(u zendesk.User, warnings []zendesk.Violation) (left zendesk.User, ok bool) {
	gone := map[string]bool{}
	for _, w := range warnings {
		if strings.HasSuffix(w.Description, "; it is left out") {
			gone[w.Field] = true
		}
	}
	items := func(path string, list []string) (left []string) {
		for i, s := range list {
			if !gone[path] && !gone[fmt.Sprintf("%s[%d]", path, i)] {
				left = append(left, s)
			}
		}
		return left
	}
	if gone["user.external_id"] {
		u.ExternalID = ""
	}
	if gone["user.custom_role_id"] {
		u.CustomRoleID = 0
	}
	if gone["user.locale_id"] {
		u.LocaleID = 0
	}
	if gone["user.phone"] {
		u.Phone = ""
	}
	if gone["user.remote_photo_url"] {
		u.RemotePhotoURL = ""
	}
	u.Organizations = items("user.organizations", u.Organizations)
	u.OrganizationIDs = items("user.organization_ids", u.OrganizationIDs)
	if len(u.Tags) > 0 {
		u.Tags = items("user.tags.values", u.Tags)
	}
	u.UserFields, ok = fieldsWithoutOmitted(u.UserFields, gone)
	return u, ok
}

func fieldsWithoutOmitted(in map[string]any, gone map[string]bool) (left map[string]any, ok bool) {
	left = map[string]any{}
	paths := map[string]bool{}
	for key, v := range in {
		path := fmt.Sprintf("user.user_fields[%.40q]", key)
		if paths[path] {
			return nil, false
		}
		paths[path] = true
		if list, isList := v.([]any); isList {
			kept := []any{}
			for i, item := range list {
				if !gone[fmt.Sprintf("%s[%d]", path, i)] {
					kept = append(kept, item)
				}
			}
			if v = any(kept); len(kept) == 0 && len(list) > 0 {
				continue
			}
		}
		if !gone[path] && !gone["user.user_fields"] {
			left[key] = v
		}
	}
	return left, true
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
// must have exactly the expected claims, and package inspect must accept it without a difference.
// checkClaims reports whether the user is valid.
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
	left, ok := withoutOmitted(u, checked.Warnings)
	if !ok {
		return true
	}
	wantPayload(t, payload, expected(left, s.Audiences, s.OrganizationIDType == "integer"))
	s.OnInvalidOptional = "refuse"
	if strict, err := zendesk.New(s, testBrands()); err != nil {
		t.Fatal(err)
	} else if _, err := strict.Check(strict.Brand(""), zendesk.SignIn{User: left}); err != nil {
		t.Fatalf("%+v is signed, although it has %v", left, err)
	}
	wantAccepted(t, p, token, key)
	return true
}

func wantAccepted(t *testing.T, p *zendesk.Profile, token zendesk.Token, key secrets.Key) {
	t.Helper()
	for _, now := range []time.Time{
		token.IssueTime, token.IssueTime.Add(zendesk.Lifetime), token.IssueTime.Add(-zendesk.Lifetime),
	} {
		got := inspect.Token(p, token.Value, []secrets.Key{key}, now)
		if len(got.Problems) > 0 || len(got.Differences) > 0 {
			t.Fatalf("a token of Deskmint's has problems %+v, differences %+v", got.Problems, got.Differences)
		}
		for _, w := range got.Warnings {
			isList := w.Name == "user_fields" && strings.Contains(w.Description, "is a list")
			isOver := w.Name == "exp" && now.Equal(token.IssueTime.Add(zendesk.Lifetime))
			isIgnored := w.Name == "organization" && strings.Contains(w.Description, "beside organization_id")
			if !isList && !isOver && !isIgnored {
				t.Fatalf("a token of Deskmint's has the warning %+v", w)
			}
		}
		if got.Version != key.Version() || !got.IssueTime.Equal(token.IssueTime) ||
			len(got.Claims) != len(token.Claims) {
			t.Fatalf("Token returns %+v for %+v", got, token)
		}
		for _, name := range token.Claims {
			if _, ok := got.Claims[name]; !ok {
				t.Fatalf("the token's claim %s is not found", name)
			}
		}
	}
	end := token.IssueTime.Add(zendesk.Lifetime)
	if late := inspect.Token(p, token.Value, []secrets.Key{key}, end.Add(time.Second)); len(late.Problems) != 1 {
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
		float64(1 << 53), "2026-01-31", "a\r\nb\rc\n", "\u00ada\u200db", []any{}, []any{"en", "de"},
		[]any{"en", "", 1.0}, []any{""}, "\t",
	}
	invalid := []any{nil, "refuse", "omit", map[string]any{"tags": "omit", "phone": "refuse"}}
	audiences := [][]zendesk.Audience{{zendesk.EndUser}, {zendesk.TeamMember}, {zendesk.EndUser, zendesk.TeamMember}}
	passed := map[bool]int{}
	for range 6000 {
		s := zendesk.Settings{
			Audiences: audiences[random.IntN(3)], OmitRole: random.IntN(2) == 0, EmitExp: random.IntN(2) == 0,
			OrganizationIDType: pick("", "string", "integer"),
			OnInvalidOptional:  invalid[random.IntN(len(invalid))],
			EmailForms:         zendesk.EmailForms()[:random.IntN(4)],
		}
		u := zendesk.User{
			Email: pick("jo@example.com", "Jo.Doe+X@EXAMPLE.co.uk",
				"o'neil@a-b.example", "!#$%&'*+-/=?^_`{|}~@example.com", " jo@example.com\n", "a..b@docomo.ne.jp",
				"jo@my_store.example", "Jo@BÜCHER.example"),
			EmailVerified: true,
			Name: pick("Jo", "Zoë <王> & \"Co\" \\", "علی\u200cرضا", "❤\ufe0f", "</script>",
				"\ufeff Jo\u00a0"),
			ExternalID:      pick("", "", "0042", "shop-7", "a b", `{"role":"admin"}`, `","role":"admin`),
			Role:            zendesk.Role(pick("", "end_user", "agent", "admin")),
			Organizations:   several(4, "Acme", "Söhne & Co", "Initech", `"`, "A, B"),
			OrganizationIDs: several(3, "42", "007", "0", "org-7", "9007199254740993", "1,2"),
			Phone:           pick("", "", "+15551234567", "0171/123456"),
			RemotePhotoURL:  pick("", "", "https://img.example.com/?a=1&b=<2>"),
			LocaleID:        numbers[random.IntN(len(numbers))],
		}
		if u.Role == zendesk.RoleAgent {
			u.CustomRoleID = numbers[random.IntN(len(numbers))]
		}
		if random.IntN(2) == 0 {
			u.Tags = slices.Concat([]string{}, several(3, "vip", "beta", `"role"`, "a b"))
		}
		if random.IntN(2) == 0 {
			u.UserFields = map[string]any{}
			for range random.IntN(4) {
				u.UserFields[pick("plan", "email", "role", "iat", "jti", "exp",
					"user_fields", "é", "_1", `a"b`, "42")] = values[random.IntN(len(values))]
			}
		}
		passed[checkClaims(t, s, u)]++
	}
	if passed[true] < 600 || passed[false] < 600 {
		t.Errorf("%d passed, %d didn't: too few of one kind to tell anything", passed[true], passed[false])
	}
}
