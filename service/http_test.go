package service_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// inputMarker is a value in requests. No error may repeat it.
const inputMarker = "zq7-echo"

const mintPath = "/v1/configurations/acme-customers:mintToken"

// sendRaw sends bytes unchanged, including those that an HTTP client doesn't send, and reads one
// response.
func (s *server) sendRaw(t *testing.T, request string) (responseHead, []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	h, body, err := readAnswer(bufio.NewReader(conn), method)
	if err != nil {
		t.Fatal(err)
	}
	return h, body
}

func readAnswer(from *bufio.Reader, method string) (responseHead, []byte, error) {
	res, err := http.ReadResponse(from, &http.Request{Method: method})
	if err != nil {
		return responseHead{}, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return headOf(res), body, err
}

// rawPost returns the bytes of a POST request with a body.
func rawPost(path, head, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: deskmint\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s",
		path, head, len(body), body)
}

// successHeaders are the names of the headers of a successful JSON answer.
var successHeaders = []string{
	"Cache-Control", "Content-Length", "Content-Type", "Date", "X-Content-Type-Options", "X-Request-Id",
}

const (
	asEverything = "Authorization: Bearer dmk_everything\r\n"
	asJSON       = "Content-Type: application/json\r\n"
)

// checkHeader checks the headers that every answer of the REST gateway must have.
func checkHeader(t *testing.T, h http.Header) {
	t.Helper()
	if got := h.Values("Cache-Control"); !slices.Equal(got, []string{"no-store"}) {
		t.Errorf("Cache-Control %q", got)
	}
	if got := h.Values("X-Content-Type-Options"); !slices.Equal(got, []string{"nosniff"}) {
		t.Errorf("X-Content-Type-Options %q", got)
	}
	if got := h.Get("X-Request-Id"); !requestID.MatchString(got) {
		t.Errorf("X-Request-Id %q", got)
	}
	for name, values := range h {
		if len(values) != 1 {
			t.Errorf("the header %s is there %d times", name, len(values))
		}
	}
}

// checkErrorHeader checks that an error has no other headers than those of an error.
func checkErrorHeader(t *testing.T, h http.Header, code int) {
	t.Helper()
	checkHeader(t, h)
	allowed := []string{
		"Cache-Control",
		"Content-Length",
		"Content-Type",
		"Date",
		"X-Content-Type-Options",
		"X-Request-Id",
	}
	switch code {
	case http.StatusUnauthorized:
		allowed = append(allowed, "Www-Authenticate")
		if got := h.Get("WWW-Authenticate"); got != "Bearer" {
			t.Errorf("WWW-Authenticate %q", got)
		}
	case http.StatusMethodNotAllowed:
		allowed = append(allowed, "Allow")
	case http.StatusTooManyRequests, http.StatusConflict, http.StatusServiceUnavailable:
		allowed = append(allowed, "Retry-After")
	}
	for name := range h {
		if !slices.Contains(allowed, name) {
			t.Errorf("the error has the header %s", name)
		}
	}
}

// readError parses the body of an error. The body must be a google.rpc.Status in the JSON mapping
// of protobuf.
func readError(t *testing.T, h http.Header, code int, body []byte) answer {
	t.Helper()
	checkErrorHeader(t, h, code)
	if got := h.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(body, &keys); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if got := slices.Sorted(maps.Keys(keys)); !slices.Equal(got, []string{"code", "details", "message"}) {
		t.Errorf("the error's fields are %v", got)
	}
	var details []struct {
		Type string `json:"@type"`
	}
	if err := json.Unmarshal(keys["details"], &details); err != nil || len(details) == 0 {
		t.Fatalf("details %s: %v", keys["details"], err)
	}
	if details[0].Type != "type.googleapis.com/google.rpc.ErrorInfo" {
		t.Errorf("the first detail is a %q", details[0].Type)
	}
	var st rpcstatus.Status
	if err := protojson.Unmarshal(body, &st); err != nil {
		t.Fatal(err)
	}
	a := answer{http: code, header: h, body: body}
	a.details(status.FromProto(&st))
	if strings.Contains(string(body)+fmt.Sprint(h), inputMarker) {
		t.Errorf("the error repeats a value of the request: %v %s", h, body)
	}
	return a
}

// httpCase is a POST request with JSON and the error that it must get.
type httpCase struct {
	name  string
	body  string
	code  int    // the HTTP status; 0 means 400
	field string // the field of a violation, or "-" if there must be none
	says  string // a part of the message or of the violation
}

func TestJSON(t *testing.T) {
	person := func(more string) string { return `{"user":{` + ana + more + `}}` }
	invalid := "INVALID_REQUEST"
	cases := []httpCase{
		// Not JSON, or not an object.
		{name: "nothing closed", body: `{"user":{"email":"` + inputMarker, says: "it was perhaps cut off", field: "-"},
		{name: "bare words", body: inputMarker, says: "a JSON value must be here"},
		{name: "single quotes", body: `{'user':{}}`, says: "line 1, column 2"},
		{name: "an extra comma", body: "{\"user\":{" + ana + "},\n}",
			says: "at line 1, column 75, there is a comma after the last entry"},
		{name: "a comment", body: `{/* ` + inputMarker + ` */}`},
		{name: "null", body: `null`},
		{name: "an array", body: `[` + person("") + `]`},
		{name: "a string", body: `"` + inputMarker + `"`},
		{name: "a number", body: `42`},
		{name: "white space", body: " \n\t "},
		{name: "a byte order mark", body: "\ufeff" + person("")},
		{name: "UTF-16", body: "{\x00}\x00"},
		{name: "text after it", body: person("") + inputMarker},
		{name: "a second object", body: person("") + person("")},
		{name: "a second line", body: person("") + "\n" + person("")},
		{name: "bad UTF-8", body: `{"user":{"email":"a@b.example","emailVerified":true,"name":"` + "\xff\xfe" + `"}}`},
		{name: "overlong UTF-8",
			body: `{"user":{"email":"a@b.example","emailVerified":true,"name":"` + "\xc0\xaf" + `"}}`},
		{name: "half a surrogate pair", body: `{"user":{"email":"a@b.example","emailVerified":true,"name":"\ud800"}}`},
		{name: "a bad escape", body: `{"user":{"name":"\x41"}}`},
		{name: "a control character", body: "{\"user\":{\"name\":\"a\tb\"}}"},
		{name: "too deep",
			body: person(`,"userFields":{"f":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`)},
		{name: "too deep to begin with", body: strings.Repeat(`{"user":`, 8_000)},

		// Unknown fields.
		{name: "a misspelt field", body: person(`,"rolle":"ROLE_ADMIN"`), field: "user.rolle", says: "is not a field"},
		{name: "a field of another message", body: person("")[:len(person(""))-1] + `,"email":"` + inputMarker + `"}`,
			field: "email"},
		{name: "a field in another case", body: person(`,"Role":"ROLE_ADMIN"`), field: "user.Role"},
		{name: "a field in capitals", body: `{"USER":{}}`, field: "USER"},
		{name: "mixed snake and camel case", body: `{"brand_Id":"1"}`, field: "brand_Id"},
		{name: "a field of RenderForm", body: person("")[:len(person(""))-1] + `,"language":"de"}`, field: "language"},
		{name: "a field within tags", body: person(`,"tags":{"value":["vip"]}`), field: "user.tags.value"},
		{name: "a marker as the name of a field", body: person(`,"` + inputMarker + `":1`), field: "user"},
		{name: "a type URL", body: `{"@type":"type.googleapis.com/deskmint.v1.MintTokenRequest"}`, field: "-"},
		{name: "an empty name", body: person(`,"":1`), field: "user"},
		{name: "an extension's name", body: person(`,"[google.api.http]":1`), field: "user"},

		// Duplicate fields.
		{name: "twice", body: person(`,"name":"Eve"`), field: "user.name", says: "twice"},
		{name: "twice the same", body: `{"brandId":"1","brandId":"1"}`, field: "brandId", says: "twice"},
		{name: "in both spellings", body: `{"brandId":"360001","brand_id":"360002"}`, field: "brand_id",
			says: "is another spelling of brandId"},
		{name: "in both spellings within", body: person(`,"external_id":"1","externalId":"2"`),
			field: "user.externalId", says: "another spelling of external_id"},
		{name: "the user twice", body: `{"user":{},"user":{}}`, field: "user", says: "twice"},
		{name: "in an escaped spelling", body: person(`,"n\u0061me":"Eve"`)},
		{name: "a custom field twice",
			body: person(`,"userFields":{"` + inputMarker + `":1,"` + inputMarker + `":2}`), field: "user.userFields"},

		// Values of the wrong type.
		{name: "number for a string", body: `{"user":{"email":42}}`, field: "user.email", says: "string"},
		{name: "bool for a string", body: `{"attempt":true}`, field: "attempt"},
		{name: "string for a bool", body: `{"user":{"emailVerified":"` + inputMarker + `"}}`,
			field: "user.emailVerified"},
		{name: "string for true", body: `{"validateOnly":"true"}`, field: "validateOnly"},
		{name: "string for a message", body: `{"user":"` + inputMarker + `"}`},
		{name: "array for a message", body: `{"user":[]}`},
		{name: "array for tags", body: person(`,"tags":["vip"]`)},
		{name: "string for a list", body: person(`,"organizations":"` + inputMarker + `"`)},
		{name: "list in a list", body: person(`,"organizations":[["` + inputMarker + `"]]`)},
		{name: "null in a list", body: person(`,"organizations":[null]`)},
		{name: "array for a map", body: person(`,"userFields":[]`)},
		{name: "negative version", body: `{"secretVersion":-1}`, field: "secretVersion"},
		{name: "fraction of a version", body: `{"secretVersion":1.5}`, field: "secretVersion"},
		{name: "version beyond 32 bits", body: `{"secretVersion":4294967296}`, field: "secretVersion"},
		{name: "not a number", body: person(`,"localeId":"` + inputMarker + `"`), field: "user.localeId"},
		{name: "beyond 64 bits", body: person(`,"localeId":"9223372036854775808"`), field: "user.localeId"},
		{name: "fraction of an id", body: person(`,"customRoleId":0.5`), field: "user.customRoleId"},
		{name: "unknown role", body: person(`,"role":"` + inputMarker + `"`), field: "user.role",
			says: "ROLE_END_USER, ROLE_AGENT or ROLE_ADMIN"},
		{name: "Zendesk's name of a role", body: person(`,"role":"admin"`),
			field: "user.role", says: "did you mean ROLE_ADMIN?"},
		{name: "infinite custom field", body: person(`,"userFields":{"f":1e999}`)},

		// Sizes.
		{name: "too large", body: strings.Repeat(" ", 64<<10) + "{}",
			code: http.StatusRequestEntityTooLarge, says: "65536"},
		{name: "too large by a byte", body: person("") + strings.Repeat(" ", 64<<10-len(person(""))+1),
			code: http.StatusRequestEntityTooLarge},
	}
	s := start(t, settings{configuration: configuration})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			res, body := s.sendRaw(t, rawPost(mintPath, asEverything+asJSON, c.body))
			a := readError(t, res.Header, res.StatusCode, body)
			want, wantGRPC := c.code, codes.ResourceExhausted
			if c.code == 0 {
				want, wantGRPC = http.StatusBadRequest, codes.InvalidArgument
			}
			if a.http != want || a.code != wantGRPC || a.reason != invalid {
				t.Fatalf("got HTTP %d, %v %s %q, want HTTP %d %v", a.http, a.code, a.reason, a.message, want, wantGRPC)
			}
			description, ok := a.field[c.field]
			if c.field == "-" && len(a.field) > 0 || c.field != "-" && c.field != "" && !ok {
				t.Errorf("violations %v, want one of %s", a.field, c.field)
			}
			if !strings.Contains(a.message+" "+description, c.says) {
				t.Errorf("%q %q doesn't contain %q", a.message, description, c.says)
			}
		})
	}
	for record := range strings.Lines(s.Audit.String()) {
		if !strings.Contains(record, `"decision":"deny","reason":"INVALID_`) {
			t.Errorf("the record of a request that can't be decoded is %s", record)
		}
	}
}

// TestValidJSON checks that the strict decoder accepts all valid forms of a request.
func TestValidJSON(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	full := `{"user":{` + ana + `}}`
	for name, body := range map[string]string{
		"the maximum size":     full + strings.Repeat(" ", 64<<10-len(full)),
		"white space around":   "\r\n\t " + full + "\n",
		"the name of the path": `{"configuration":"configurations/acme-customers","user":{` + ana + `}}`,
		"nulls":                `{"brandId":null,"returnTo":null,"user":{` + ana + `,"tags":null,"role":null}}`,
		"defaults": `{"brandId":"","secretVersion":0,"validateOnly":false,"user":{` + ana +
			`,"organizations":[],"userFields":{}}}`,
		"an id as a number":      `{"user":{` + ana + `,"role":"ROLE_END_USER","localeId":1}}`,
		"an id as a string":      `{"user":{` + ana + `,"role":"ROLE_END_USER","localeId":"1"}}`,
		"a role by its number":   `{"user":{` + ana + `,"role":1}}`,
		"escaped field names":    `{"\u0075ser":{` + ana + `}}`,
		"a number as its string": `{"secretVersion":"1","user":{` + ana + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			res, got := s.sendRaw(t, rawPost(mintPath, asEverything+asJSON, body))
			if res.StatusCode != http.StatusOK {
				t.Fatalf("HTTP %d %s", res.StatusCode, got)
			}
			checkHeader(t, res.Header)
		})
	}
}

// TestSuccessBody checks that the JSON of a success is in lowerCamelCase and has every field.
// Clients in languages without default values then need no special case.
func TestSuccessBody(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	res, body := s.sendRaw(t, rawPost(mintPath, asEverything+asJSON, `{"user":{`+ana+`},"return_to":"/hc"}`))
	recorder.recordTokens(string(body))
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys,
		[]string{"attempt", "expireTime", "form", "issueTime", "jti", "secretVersion", "token", "warnings"}) {
		t.Errorf("fields %v", keys)
	}
	form, _ := got["form"].(map[string]any)
	if keys := slices.Sorted(maps.Keys(form)); !slices.Equal(keys, []string{"action", "fields", "formActionSources"}) {
		t.Errorf("form fields %v", keys)
	}
	if fields, _ := form["fields"].(map[string]any); fields["return_to"] != "/hc" || fields["jwt"] != got["token"] {
		t.Errorf("the fields of the form are %v", fields)
	}
	if got["issueTime"] != "2026-03-14T15:09:26Z" || got["expireTime"] != "2026-03-14T15:12:26Z" {
		t.Errorf("times %v %v", got["issueTime"], got["expireTime"])
	}
	if got := slices.Sorted(maps.Keys(res.Header)); !slices.Equal(got, successHeaders) {
		t.Errorf("headers %v, want %v", got, successHeaders)
	}
	var m pb.MintTokenResponse
	if err := protojson.Unmarshal(body, &m); err != nil || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v, Content-Type %q", err, res.Header.Get("Content-Type"))
	}
}
