package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestRequestsRefused checks requests that no browser's form would send.
func TestRequestsRefused(t *testing.T) {
	z := start(t)
	good := tokenWith(nil)
	body := url.Values{"jwt": {good}}.Encode()
	for name, test := range map[string]struct {
		method, query, contentType, body string
		status                           int
		reason                           Reason
		detail                           string
	}{
		"GET":                 {"GET", "?jwt=" + good, "", "", 405, ReasonMethod, "GET is deprecated"},
		"GET without a token": {"GET", "", "", "", 405, ReasonMethod, "GET is deprecated"},
		"PUT":                 {"PUT", "", formType, body, 405, ReasonMethod, "POST"},
		"OPTIONS":             {"OPTIONS", "", "", "", 405, ReasonMethod, "POST"},
		"JSON": {
			"POST", "", "application/json", `{"jwt":"` + good + `"}`, 415, ReasonContentType, "JSON",
		},
		"multipart":              {"POST", "", "multipart/form-data; boundary=x", body, 415, ReasonContentType, "form"},
		"plain text":             {"POST", "", "text/plain", body, 415, ReasonContentType, "form"},
		"no content type":        {"POST", "", "", body, 415, ReasonContentType, "form"},
		"broken content type":    {"POST", "", formType + "; a=b; a=c", body, 415, ReasonContentType, "form"},
		"token in the query":     {"POST", "?jwt=" + good, formType, "", 400, ReasonTokenInURL, "never in the URL"},
		"token in both":          {"POST", "?jwt=" + good, formType, body, 400, ReasonTokenInURL, "never in the URL"},
		"empty one in the query": {"POST", "?jwt", formType, body, 400, ReasonTokenInURL, "never in the URL"},
		"unreadable query":       {"POST", "?%zz", formType, body, 400, ReasonForm, "query"},
		"no token":               {"POST", "", formType, "return_to=/", 400, ReasonForm, "exactly one"},
		"empty token":            {"POST", "", formType, "jwt=", 400, ReasonForm, "exactly one"},
		"two tokens":             {"POST", "", formType, body + "&" + body, 400, ReasonForm, "exactly one"},
		"broken form":            {"POST", "", formType, "jwt=%zz", 400, ReasonForm, "can't be read"},
		"endless form": {
			"POST", "", formType, body + "&a=" + strings.Repeat("a", maxBody), 413, ReasonForm, "too large",
		},
	} {
		got := z.send(t, test.method, z.url("acme.localhost", "/access/jwt"+test.query), test.contentType, test.body)
		signIn := z.last(t)
		if got.status != test.status || signIn.Outcome != OutcomeRefused || signIn.Reason != test.reason ||
			!strings.Contains(signIn.Detail, test.detail) {
			t.Errorf("%s: %d %+v", name, got.status, signIn)
		}
		if !strings.Contains(got.body, `id="refused"`) || !strings.Contains(got.body, string(test.reason)) {
			t.Errorf("%s: the answer doesn't say why: %s", name, got.body)
		}
		if (test.status == 405) != (got.header.Get("Allow") == "POST") {
			t.Errorf("%s: Allow: %s", name, got.header.Get("Allow"))
		}
		if got.header.Get("Set-Cookie") != "" || signIn.Claims != nil {
			t.Errorf("%s: a cookie or claims", name)
		}
	}
	// None of these requests used the token.
	if z.post(t, "acme.localhost", url.Values{"jwt": {good}}); z.last(t).Outcome != OutcomeSignedIn {
		t.Errorf("in the end: %+v", z.last(t))
	}
	if got := z.send(t, "POST", z.url("acme.localhost", "/hc"), formType, "a=b"); got.status != 405 ||
		got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST to a page: %d, Allow: %s", got.status, got.header.Get("Allow"))
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// checkTokensRefused checks that the tokens are refused, and that a valid token is accepted
// afterwards.
func checkTokensRefused(
	t *testing.T, z *zendesk, good string, tokens map[string]string, reason Reason, message string,
) {
	t.Helper()
	for name, token := range tokens {
		checkRefused(t, z, name, token, reason, message)
	}
	if z.post(t, "acme.localhost", url.Values{"jwt": {good}}); z.last(t).Outcome != OutcomeSignedIn {
		t.Errorf("the valid token at the end: %+v", z.last(t))
	}
}

// TestMalformedTokensRefused checks tokens that aren't JWTs with a JSON object as claims.
func TestMalformedTokensRefused(t *testing.T) {
	z := start(t)
	good := tokenWith(nil)
	parts := strings.Split(good, ".")
	raw := func(claims string) string { return sign(goodHeader, claims, customersSecret) }
	checkTokensRefused(t, z, good, map[string]string{
		"not a token":        "hello",
		"two parts":          "a.b",
		"four parts":         good + ".x",
		"padding":            good + "=",
		"line end":           good[:10] + "\n" + good[10:],
		"not base64url":      "!." + parts[1] + "." + parts[2],
		"claims aren't JSON": raw("hello"),
		"claims are a list":  raw("[]"),
		"claims and more":    raw("{}{}"),
		"claims end early":   raw(`{"iat":1`),
		"trailing comma":     raw(`{"iat":1,}`),
		"email twice":        raw(`{"email":"a@example.com","\u0065mail":"b@example.com"}`),
		"user field twice":   raw(`{"user_fields":{"a":1,"a":2}}`),
		"bad UTF-8":          raw("{\"name\":\"\xff\"}"),
		"nested without end": raw(`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}"),
	}, ReasonToken, "invalid_token")
}

// TestHeadersRefused checks tokens with an invalid header. Zendesk reports an invalid signature.
func TestHeadersRefused(t *testing.T) {
	z := start(t)
	good := tokenWith(nil)
	parts := strings.Split(good, ".")
	withHeader := func(header string) string { return sign(header, claimsWith(nil), customersSecret) }
	checkTokensRefused(t, z, good, map[string]string{
		"no typ":            withHeader(`{"alg":"HS256"}`),
		"no alg":            withHeader(`{"typ":"JWT"}`),
		"empty header":      withHeader(`{}`),
		"header with kid":   withHeader(`{"typ":"JWT","alg":"HS256","kid":"1"}`),
		"lower case typ":    withHeader(`{"typ":"jwt","alg":"HS256"}`),
		"alg none":          b64(`{"typ":"JWT","alg":"none"}`) + "." + parts[1] + ".",
		"alg HS512":         withHeader(`{"typ":"JWT","alg":"HS512"}`),
		"alg twice":         withHeader(`{"typ":"JWT","alg":"none","alg":"HS256"}`),
		"header isn't JSON": withHeader("hello"),
	}, ReasonHeader, "JWT signature invalid")
}

// TestSignaturesRefused checks tokens with an invalid signature.
func TestSignaturesRefused(t *testing.T) {
	z := start(t)
	good := tokenWith(nil)
	parts := strings.Split(good, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(staffSecret)
	if err != nil {
		t.Fatal(err)
	}
	changed := b64(claimsWith(map[string]any{"email": "eve@example.com"}))
	checkTokensRefused(t, z, good, map[string]string{
		"no signature":     parts[0] + "." + parts[1] + ".",
		"half a signature": good[:len(good)-19],
		"another secret":   sign(goodHeader, claimsWith(nil), "another"+customersSecret),
		"empty secret":     sign(goodHeader, claimsWith(nil), ""),
		"decoded secret":   sign(goodHeader, claimsWith(nil), string(decoded)),
		"changed claims":   parts[0] + "." + changed + "." + parts[2],
	}, ReasonSignature, "JWT signature invalid")
	// The token has the signature of a configuration that isn't assigned to the brand.
	z.post(t, "acme-labs.localhost", url.Values{"jwt": {sign(goodHeader, claimsWith(nil), staffSecret)}})
	if got := z.last(t); got.Reason != ReasonSignature {
		t.Errorf("a configuration of another brand: %+v", got)
	}
}

// TestAudiencesRefused checks tokens whose role doesn't match the configuration's audience.
func TestAudiencesRefused(t *testing.T) {
	checkTokensRefused(t, start(t), tokenWith(nil), map[string]string{
		"customer as an agent":  tokenWith(map[string]any{"role": "agent"}),
		"customer as an admin":  tokenWith(map[string]any{"role": "admin"}),
		"colleague as end user": sign(goodHeader, claimsWith(map[string]any{"role": "end_user"}), staffSecret),
	}, ReasonAudience, "Couldn't authenticate you")
}

var link = regexp.MustCompile(`^<html><body>You are being <a href="([^"]*)">redirected</a>\.</body></html>$`)

// checkRefused posts a token and follows the answer to the page with the reason.
func checkRefused(t *testing.T, z *zendesk, name, token string, reason Reason, message string) {
	t.Helper()
	got := z.post(t, "acme.localhost", url.Values{"jwt": {token}, "return_to": {"/hc"}})
	signIn := z.last(t)
	if signIn.Outcome != OutcomeRefused || signIn.Reason != reason || !strings.HasPrefix(signIn.Message, message) ||
		signIn.Detail == "" {
		t.Errorf("%s: %+v", name, signIn)
	}
	if strings.Contains(fmt.Sprintf("%+v", signIn), token) {
		t.Errorf("%s: the record keeps the token", name)
	}
	found := link.FindStringSubmatch(got.body)
	if got.status != 200 || found == nil ||
		!strings.HasPrefix(found[1], z.url("acme.localhost", "/access/unauthenticated")) {
		t.Errorf("%s: %d %s", name, got.status, got.body)
		return
	}
	if got.header.Get("Refresh") != "0; url="+found[1] || got.header.Get("Set-Cookie") != "" {
		t.Errorf("%s: %v", name, got.header)
	}
	page := z.send(t, "GET", found[1], "", "")
	if page.status != 200 || !strings.Contains(page.body, `<code id="reason">`+string(reason)+`</code>`) {
		t.Errorf("%s: the page doesn't name the rule: %s", name, page.body)
	}
	if reason != ReasonAudience && !strings.Contains(page.body, message) {
		t.Errorf("%s: the page doesn't say %q: %s", name, message, page.body)
	}
}

func TestIssueTime(t *testing.T) {
	z := start(t)
	for name, test := range map[string]struct {
		iat  any
		good bool
	}{
		"now":                {testTime.Unix(), true},
		"3 minutes ago":      {testTime.Unix() - 180, true},
		"in 3 minutes":       {testTime.Unix() + 180, true},
		"longer ago":         {testTime.Unix() - 181, false},
		"further ahead":      {testTime.Unix() + 181, false},
		"milliseconds":       {testTime.UnixMilli(), false},
		"missing":            {nil, false},
		"string":             {fmt.Sprint(testTime.Unix()), false},
		"float":              {json.RawMessage(fmt.Sprintf("%d.0", testTime.Unix())), true},
		"fraction":           {json.RawMessage(fmt.Sprintf("%d.5", testTime.Unix())), true},
		"fraction too far":   {json.RawMessage(fmt.Sprintf("%d.5", testTime.Unix()+180)), false},
		"exponent":           {json.RawMessage(fmt.Sprintf("%d.0e1", testTime.Unix()/10)), true},
		"exponent too far":   {json.RawMessage("1.7803e9"), false},
		"beyond float64":     {json.RawMessage("1e999"), false},
		"beyond 64 bits":     {json.RawMessage("99999999999999999999"), false},
		"largest":            {json.RawMessage("9223372036854775807"), false},
		"smallest":           {json.RawMessage("-9223372036854775808"), false},
		"zero":               {0, false},
		"null, not left out": {json.RawMessage("null"), false},
	} {
		token := tokenWith(map[string]any{"iat": test.iat})
		if !test.good {
			checkRefused(t, z, name, token, ReasonIssueTime, "Invalid iat parameter.")
			continue
		}
		if z.post(t, "acme.localhost", url.Values{"jwt": {token}}); z.last(t).Outcome != OutcomeSignedIn {
			t.Errorf("%s: %+v", name, z.last(t))
		}
	}
	// The sandbox's clock counts, not the machine's.
	token := tokenWith(nil)
	z.clock.Store(int64(180*time.Second + time.Millisecond))
	checkRefused(t, z, "clock moved on", token, ReasonIssueTime, "Invalid iat parameter.")
}

var null = json.RawMessage("null")

// claimValues are valid and invalid values of every claim.
var claimValues = map[string]struct{ good, bad []any }{
	"jti": {[]any{"x", "0"}, []any{nil, "", " ", 7, null, []string{"a"}}},
	"email": {
		[]any{"a@b.c", "o'hara+x@example.com"},
		[]any{nil, "", "ada", "@example.com", "ada@", "a@b@c", "a b@c.d", 7, null, []string{"a@b.c"}},
	},
	"name":             {[]any{"Ada", "阿達"}, []any{"", "  ", 7, null, true}},
	"external_id":      {[]any{null, "7", "shop-7"}, []any{7, "", true}},
	"locale":           {[]any{null, 1, 1176}, []any{"1", 0, -1, 1.5, "en"}},
	"locale_id":        {[]any{null, 1}, []any{"1", 0, json.RawMessage("1e3")}},
	"organization":     {[]any{null, "Analytical Engines"}, []any{7, []string{"a"}}},
	"organizations":    {[]any{null, "a,b"}, []any{[]string{"a", "b"}, 7}},
	"organization_id":  {[]any{null, "org-7", "7", 7}, []any{7.5, true, []int{7}}},
	"organization_ids": {[]any{null, "7,8"}, []any{7, []string{"7"}}},
	"phone": {
		[]any{null, "+15551234567", "+12345678"},
		[]any{"15551234567", "+1", "+1 555 1234567", "+1234567890123456", 15551234567},
	},
	"tags": {
		[]any{null, []string{}, []string{"vip", "beta"}},
		[]any{"vip", `["vip"]`, []any{"vip", 7}, []any{""}, map[string]any{}},
	},
	"remote_photo_url": {
		[]any{null, "https://example.com/a.png"},
		[]any{"http://example.com/a.png", "//example.com/a.png", "data:image/png;base64,", "x", 7},
	},
	"role": {[]any{null, "end_user"}, []any{"user", "end-user", "Admin", "", 7, []string{"agent"}}},
	"user_fields": {
		[]any{
			null, map[string]any{},
			map[string]any{"a": "x", "b": 1, "c": true, "d": nil, "e": 1.5, "f": "2026-06-01"},
		},
		[]any{"{}", []any{}, 7},
	},
	"custom_role_id": {nil, []any{7}}, // needs an agent
	"anything_else":  {[]any{1, "x", null, []any{}, map[string]any{}}, nil},
}

// TestClaims checks valid and invalid values of every claim.
func TestClaims(t *testing.T) {
	z := start(t)
	for claim, values := range claimValues {
		for _, value := range values.good {
			changes := map[string]any{claim: value}
			z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(changes)}})
			if z.last(t).Outcome != OutcomeSignedIn {
				t.Errorf("%s %v: %+v", claim, value, z.last(t))
			}
		}
		for _, value := range values.bad {
			token := tokenWith(map[string]any{claim: value})
			checkRefused(t, z, fmt.Sprintf("%s %v", claim, value), token, ReasonClaims, "invalid_token")
			if detail := z.last(t).Detail; !strings.Contains(detail, "the claim "+claim+" ") {
				t.Errorf("%s %v: the detail names another claim: %s", claim, value, detail)
			}
		}
	}
	// Without a name, Zendesk was observed to answer 401 without a redirect.
	got := z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(map[string]any{"name": nil})}})
	if got.status != 401 || z.last(t).Reason != ReasonClaims {
		t.Errorf("without a name: %d %+v", got.status, z.last(t))
	}
	// The detail names all invalid claims.
	z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(map[string]any{"name": nil, "phone": 7, "tags": "a"})}})
	for _, want := range []string{"name is missing", "phone must", "tags must"} {
		if got := z.last(t).Detail; !strings.Contains(got, want) {
			t.Errorf("%q is missing from %q", want, got)
		}
	}
}

// TestStaff signs team members in with the claims that only they may have.
func TestStaff(t *testing.T) {
	z := start(t)
	for name, changes := range map[string]map[string]any{
		"agent":        {"role": "agent"},
		"light agent":  {"role": "agent", "custom_role_id": 360000001234, "locale_id": 1},
		"admin":        {"role": "admin"},
		"without role": {},
	} {
		token := sign(goodHeader, claimsWith(changes), staffSecret)
		z.post(t, "acme.localhost", url.Values{"jwt": {token}})
		if got := z.last(t); got.Outcome != OutcomeSignedIn || got.Configuration != "acme-staff" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, changes := range map[string]map[string]any{
		"admin with a custom role": {"role": "admin", "custom_role_id": 7},
		"custom role as text":      {"role": "agent", "custom_role_id": "7"},
	} {
		checkRefused(t, z, name, sign(goodHeader, claimsWith(changes), staffSecret), ReasonClaims, "invalid_token")
	}
}

// TestHeaderOrder checks that the order of the header's members doesn't matter.
func TestHeaderOrder(t *testing.T) {
	z := start(t)
	token := sign(`{ "alg": "HS256", "typ": "JWT" }`, claimsWith(nil), customersSecret)
	if z.post(t, "acme.localhost", url.Values{"jwt": {token}}); z.last(t).Outcome != OutcomeSignedIn {
		t.Errorf("%+v", z.last(t))
	}
}
