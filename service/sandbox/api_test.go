package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// call calls the API and returns the status and the decoded body.
func (z *zendesk) call(t *testing.T, method, path, body string) (status int, out map[string]any) {
	t.Helper()
	contentType := ""
	if body != "" {
		contentType = "application/json"
	}
	got := z.send(t, method, z.url("127.0.0.1", apiPath+path), contentType, body)
	if got.status == http.StatusNoContent {
		return got.status, nil
	}
	if err := json.Unmarshal([]byte(got.body), &out); err != nil ||
		got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s %s: %d %v %s", method, path, got.status, err, got.body)
	}
	return got.status, out
}

// at returns the member that a path such as "sign_ins.0.jti" names.
func at(value any, path string) any {
	for part := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[part]
		case []any:
			var i int
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

func checkMembers(t *testing.T, what string, got map[string]any, want map[string]any) {
	t.Helper()
	for path, value := range want {
		if fmt.Sprint(at(got, path)) != fmt.Sprint(value) {
			t.Errorf("%s: %s is %v, want %v, in %v", what, path, at(got, path), value, got)
		}
	}
}

func TestAPI(t *testing.T) {
	z := start(t)
	if status, _ := z.call(t, "GET", "/sign-ins/last", ""); status != http.StatusNotFound {
		t.Errorf("the last of none: %d", status)
	}
	z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(map[string]any{"jti": "one", "tags": []string{"vip"}})}})
	z.post(t, "acme-labs.localhost", url.Values{"jwt": {tokenWith(map[string]any{"jti": "two", "name": nil, "x": 1})}})
	z.post(t, "acme.localhost", url.Values{"jwt": {sign(goodHeader, claimsWith(nil), "wrong")}, "return_to": {"/hc"}})

	_, one := z.call(t, "GET", "/sign-ins/1", "")
	checkMembers(t, "signed in", one, map[string]any{
		"id": 1, "time": "2026-06-01T12:00:00Z", "brand": "acme", "brand_id": "360001",
		"configuration": "acme-customers", "outcome": "signed_in", "reason": "", "jti": "one", "user_id": 1,
		"created": true, "claims.email": "ada@example.com", "claims.tags.0": "vip", "changes.0.field": "email",
		"changes.0.after": "ada@example.com", "undocumented_claims": "[]",
	})
	_, last := z.call(t, "GET", "/sign-ins/last", "")
	checkMembers(t, "a wrong signature", last, map[string]any{
		"id": 3, "outcome": "refused", "reason": "signature", "message": messageSignature, "return_to": "/hc",
		"claims": nil, "user_id": 0, "changes": "[]", "notes": "[]",
		"detail": "no configuration of this brand has the secret that made the signature",
	})
	for query, want := range map[string]string{
		"":                    "3 2 1",
		"?limit=1":            "3",
		"?after=1":            "3 2",
		"?jti=two":            "2",
		"?brand=acme":         "3 1",
		"?brand=acme&limit=1": "3",
		"?jti=none":           "",
	} {
		_, found := z.call(t, "GET", "/sign-ins"+query, "")
		var ids []string
		for _, signIn := range found["sign_ins"].([]any) {
			ids = append(ids, fmt.Sprint(at(signIn, "id")))
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("sign-ins%s: %s, want %s", query, got, want)
		}
	}
	_, users := z.call(t, "GET", "/users", "")
	checkMembers(t, "users", users, map[string]any{
		"users.0.email": "ada@example.com", "users.0.role": "end_user", "users.0.tags": "[vip]",
		"users.0.organizations": "[]", "users.0.user_fields": "map[]", "users.1": nil,
	})
	if _, none := z.call(t, "GET", "/users?email=x@y.example", ""); len(none["users"].([]any)) != 0 {
		t.Errorf("users with another email: %v", none)
	}
	_, user := z.call(t, "GET", "/users/1", "")
	checkMembers(t, "user", user, map[string]any{"name": "Ada Lovelace"})
	_, account := z.call(t, "GET", "/account", "")
	checkMembers(t, "account", account, map[string]any{
		"brands.0.endpoint":          z.url("127.0.0.1", "/brands/acme/access/jwt"),
		"configurations.0.name":      "acme-customers",
		"configurations.0.brands":    "[acme acme-labs]",
		"configurations.1.audiences": "[team_member]",
	})
	if text := fmt.Sprint(account, last, users); strings.Contains(text, customersSecret) {
		t.Errorf("the API tells the secret: %s", text)
	}
}

func TestAPIReset(t *testing.T) {
	z := start(t)
	fields := url.Values{"jwt": {tokenWith(nil)}}
	for round := range 2 {
		z.SetFaults(Faults{})
		z.post(t, "acme.localhost", fields)
		if got := z.last(t); got.Outcome != OutcomeSignedIn || got.ID != round+1 || got.User != round+1 {
			t.Errorf("round %d: %+v", round, got)
		}
		z.SetFaults(Faults{RateLimited: true, ClockOffset: time.Minute, Blocked: []string{"a@b.example"}})
		if status, _ := z.call(t, "POST", "/reset", ""); status != http.StatusNoContent {
			t.Errorf("reset: %d", status)
		}
		_, faults := z.call(t, "GET", "/faults", "")
		checkMembers(t, "faults", faults, map[string]any{
			"rate_limited": false, "clock_offset_seconds": 0, "blocked": "[]", "unassigned": "[]",
		})
		if page := z.get(t, "acme.localhost", "/"); len(z.Users()) != 0 || len(z.SignIns()) != 0 ||
			!strings.Contains(page.body, `id="signed-out"`) {
			t.Errorf("after the reset: %v %v %s", z.Users(), z.SignIns(), page.body)
		}
	}
	z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(nil)}})
	for path, left := range map[string]func() int{
		"/sign-ins": func() int { return len(z.SignIns()) },
		"/users":    func() int { return len(z.Users()) },
	} {
		if status, _ := z.call(t, "DELETE", path, ""); status != http.StatusNoContent || left() != 0 {
			t.Errorf("DELETE %s: %d, %d left", path, status, left())
		}
	}
}

func TestAPIFaults(t *testing.T) {
	z := start(t)
	for fault, reason := range map[string]string{
		`{"clock_offset_seconds": 240}`:               "iat",
		`{"clock_offset_seconds": -240}`:              "iat",
		`{"rate_limited": true}`:                      "rate_limit",
		`{"blocked": ["ada@example.com", "@x.test"]}`: "block_list",
		`{"unassigned": ["acme-customers"]}`:          "audience",
		`{}`:                                          "",
	} {
		status, active := z.call(t, "POST", "/faults", fault)
		if status != http.StatusOK {
			t.Errorf("%s: %d %v", fault, status, active)
		}
		z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(nil)}})
		if got := z.last(t); string(got.Reason) != reason {
			t.Errorf("%s refuses because of %q, want %q", fault, got.Reason, reason)
		}
	}
	z.SetFaults(Faults{RateLimited: true})
	if status, _ := z.call(t, "DELETE", "/faults", ""); status != http.StatusNoContent || z.Faults().RateLimited {
		t.Errorf("ending them: %d %+v", status, z.Faults())
	}
}

// TestAPIErrors checks that each error is JSON and says what to do.
func TestAPIErrors(t *testing.T) {
	z := start(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		message            string
	}{
		{"GET", "", "", 404, "/sandbox/v1/sign-ins"},
		{"GET", "/nothing", "", 404, "/sandbox/v1/reset exist"},
		{"GET", "/sign-ins/x", "", 404, "named last"},
		{"GET", "/sign-ins/9", "", 404, "no sign-in 9"},
		{"GET", "/users/9", "", 404, "no user"},
		{"GET", "/sign-ins?limit=0", "", 400, "from 1 to 1000"},
		{"GET", "/sign-ins?after=x", "", 400, "after must be"},
		{"GET", "/sign-ins?email=x", "", 400, "after, brand, jti and limit"},
		{"GET", "/users?mail=x", "", 400, `"mail" is unknown: email is known`},
		{"GET", "/sign-ins?z=1&limit=0&b=2", "", 400, `"b" is unknown`},
		{"GET", "/reset", "", 405, "takes POST"},
		{"PUT", "/faults", "{}", 405, "takes DELETE, GET, POST"},
		{"POST", "/faults", "", 415, "application/json"},
		{"POST", "/faults", "nonsense", 400, "not JSON"},
		{"POST", "/faults", "{}{}", 400, "nothing more"},
		{"POST", "/faults", `{"rate": true}`, 400, `"rate" is unknown: clock_offset_seconds,`},
		{"POST", "/faults", `{"rate_limited": "yes"}`, 400, "rate_limited must be true or false; found a JSON string"},
		{"POST", "/faults", `{"blocked": [1]}`, 400, "blocked must be a string; found a JSON number"},
		{"POST", "/faults", `{"blocked": "x@y.example"}`, 400, "blocked must be a list of strings"},
		{"POST", "/faults", `[]`, 400, "must be a JSON object; found a JSON array"},
		{"POST", "/faults", `{"clock_offset_seconds": 99999999999999}`, 400, "less than a year"},
		{"POST", "/faults", `{"unassigned": ["nobody"]}`, 400, `"nobody"`},
		{"POST", "/faults", `{"blocked": ["` + strings.Repeat("x", maxAPIBody) + `"]}`, 413, "too large"},
	} {
		status, got := z.call(t, c.method, c.path, c.body)
		message, _ := at(got, "error.message").(string)
		if code, _ := at(got, "error.code").(string); status != c.status || code == "" ||
			!strings.Contains(message, c.message) {
			t.Errorf("%s %s: %d %v, want %d with %q", c.method, c.path, status, got, c.status, c.message)
		}
	}
	if f := z.Faults(); f.RateLimited || f.ClockOffset != 0 || f.Blocked != nil {
		t.Errorf("a refused request has set %+v", f)
	}
	// A page of another origin can't change anything.
	for _, method := range []string{"POST", "DELETE"} {
		request := httptest.NewRequest(method, "http://127.0.0.1"+apiPath+"/faults",
			strings.NewReader(`{"rate_limited":true}`))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Sec-Fetch-Site", "cross-site")
		recorder := httptest.NewRecorder()
		z.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusForbidden || !strings.Contains(recorder.Body.String(), "cross_origin") {
			t.Errorf("%s from another origin: %d %s", method, recorder.Code, recorder.Body)
		}
	}
}

// TestBytesAreBounded checks that large forms can't fill the memory.
func TestBytesAreBounded(t *testing.T) {
	var r record
	var s sessions
	const size = 60 << 10
	for range 1000 {
		s.open(r.add(SignIn{size: size}), site{}, false)
	}
	const most = maxRecordBytes / size
	if len(r.all()) != most || len(s.byID) != most || len(s.inOrder) != most || r.bytes != s.bytes {
		t.Errorf("%d sign-ins and %d sessions are kept, want %d", len(r.all()), len(s.byID), most)
	}
	if _, ok := r.find(1000); !ok {
		t.Error("the last isn't kept")
	}
	z := start(t)
	for i := range 4 {
		fields := map[string]any{"user_fields": map[string]any{fmt.Sprint("f", i): strings.Repeat("x", 30<<10)}}
		z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(fields)}})
	}
	if user := z.Users()[0]; len(user.UserFields) != 2 || len(z.last(t).Notes) != 1 {
		t.Errorf("%d fields are kept, and the last sign-in notes %q", len(user.UserFields), z.last(t).Notes)
	}
	var p replays
	for i := range maxReplays + 10 {
		p.claim(fmt.Sprint(i), testTime)
	}
	if len(p.until) > maxReplays || len(p.until) != len(p.inOrder) {
		t.Errorf("%d of the used jti are kept", len(p.until))
	}
}
