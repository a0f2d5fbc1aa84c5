package service_test

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

// rawRequest returns the bytes of a request without a body.
func rawRequest(method, path, head string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: deskmint\r\nConnection: close\r\n" + head + "\r\n"
}

// TestRoutes checks the answers for paths that don't exist and for methods that a path doesn't
// have.
func TestRoutes(t *testing.T) {
	const name = "/v1/configurations/acme-customers"
	const full = `{"user":{` + ana + `}}`
	form := "Content-Type: application/x-www-form-urlencoded\r\n"
	cases := []struct {
		name, method, path, head, body string
		code                           int    // the HTTP status; 0 means 404
		allow                          string // the header Allow of a 405
	}{
		// Paths that don't exist.
		{name: "root", method: "GET", path: "/"},
		{name: "version alone", method: "GET", path: "/v1"},
		{name: "another version", method: "GET", path: "/v2/configurations"},
		{name: "another collection", method: "GET", path: "/v1/secrets"},
		{name: "below a configuration", method: "GET", path: name + "/secret"},
		{name: "trailing slash", method: "GET", path: name + "/"},
		{name: "trailing slash on a verb", method: "POST", path: mintPath + "/", head: asJSON, body: full},
		{name: "doubled slash", method: "POST", path: "/v1//configurations/acme-customers:mintToken", head: asJSON,
			body: full},
		{name: "slash before the path", method: "POST", path: "/" + mintPath, head: asJSON, body: full},
		{name: "dot segment", method: "POST", path: "/v1/./configurations/acme-customers:mintToken", head: asJSON,
			body: full},
		{name: "dot dot segment", method: "POST", path: "/v1/x/../configurations/acme-customers:mintToken",
			head: asJSON, body: full},
		{name: "dot dot as escapes", method: "POST", path: "/v1/x/%2e%2e/configurations/acme-customers:mintToken",
			head: asJSON, body: full},
		{name: "a verb without a configuration", method: "POST", path: "/v1/configurations/:mintToken", head: asJSON,
			body: full},
		{name: "GET of a verb without a configuration", method: "GET", path: "/v1/configurations/:mintToken"},
		{name: "verb alone", method: "POST", path: "/v1/:mintToken", head: asJSON, body: full},
		{name: "verb of the root", method: "POST", path: "/:mintToken", head: asJSON, body: full},
		{name: "unknown verb", method: "POST", path: name + ":forgeToken", head: asJSON, body: full},
		{name: "unknown verb read", method: "GET", path: name + ":forgeToken"},
		{name: "verb in another case", method: "POST", path: name + ":MintToken", head: asJSON, body: full},
		{name: "two verbs", method: "POST", path: name + ":mintToken:renderPage:x", head: asJSON, body: full},
		{name: "the collection's verb on one", method: "POST", path: name + ":resolve", head: asJSON, body: `{}`},
		{name: "a verb of one on the collection", method: "POST", path: "/v1/configurations:mintToken",
			head: asJSON, body: full},
		{name: "gRPC's path", method: "POST", path: "/deskmint.v1.TokenService/MintToken", head: asJSON, body: full},
		{name: "health", method: "GET", path: "/healthz"},
		{name: "readiness", method: "GET", path: "/readyz"},
		{name: "metrics", method: "GET", path: "/metrics"},
		{name: "profiles", method: "GET", path: "/debug/pprof/"},
		{name: "the value of a path", method: "GET", path: "/" + inputMarker},

		// Paths that don't have the method.
		{name: "GET of a verb", method: "GET", path: mintPath, code: 405, allow: "POST"},
		{name: "GET of the collection's verb", method: "GET", path: "/v1/configurations:resolve",
			code: 405, allow: "POST"},
		{name: "HEAD of a verb", method: "HEAD", path: mintPath, code: 405, allow: "POST"},
		{name: "PUT of a verb", method: "PUT", path: mintPath, head: asJSON, body: full, code: 405, allow: "POST"},
		{name: "DELETE", method: "DELETE", path: name, code: 405, allow: "GET"},
		{name: "PATCH", method: "PATCH", path: name, head: asJSON, body: `{}`, code: 405, allow: "GET"},
		{name: "POST of a configuration", method: "POST", path: name, head: asJSON, body: `{}`,
			code: 405, allow: "GET"},
		{name: "POST of the list", method: "POST", path: "/v1/configurations", head: asJSON, body: `{}`,
			code: 405, allow: "GET"},
		{name: "HEAD of the list", method: "HEAD", path: "/v1/configurations", code: 405, allow: "GET"},
		{name: "OPTIONS", method: "OPTIONS", path: mintPath, code: 405, allow: "POST"},
		{name: "TRACE", method: "TRACE", path: mintPath, code: 405, allow: "POST"},
		{name: "an unknown method", method: "MINT", path: mintPath, code: 405, allow: "POST"},
		{name: "a method in lower case", method: "post", path: mintPath, head: asJSON, body: full,
			code: 405, allow: "POST"},
		{name: "override of the method", method: "GET", path: mintPath, head: "X-HTTP-Method-Override: POST\r\n",
			code: 405, allow: "POST"},
		{name: "override by a form", method: "POST", path: name, head: form + "X-HTTP-Method-Override: GET\r\n",
			body: "a=b",
			code: 405, allow: "GET"},
		{name: "a form where a GET would be too long", method: "POST", path: "/v1/configurations", head: form,
			body: "pageSize=1",
			code: 405, allow: "GET"},

		// Targets that aren't paths.
		{name: "OPTIONS of everything", method: "OPTIONS", path: "*", code: 400},
		{name: "CONNECT", method: "CONNECT", path: "deskmint:443", code: 400},
	}
	s := start(t, settings{configuration: configuration})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			text := rawRequest(c.method, c.path, asEverything+c.head)
			if c.body != "" {
				text = strings.Replace(rawPost(c.path, asEverything+c.head, c.body), "POST", c.method, 1)
			}
			res, body := s.sendRaw(t, text)
			want := c.code
			if want == 0 {
				want = http.StatusNotFound
			}
			if got := res.Header.Get("Allow"); res.StatusCode != want || got != c.allow {
				t.Fatalf("HTTP %d, Allow %q, want %d and %q: %s", res.StatusCode, got, want, c.allow, body)
			}
			if c.method == "HEAD" {
				checkErrorHeader(t, res.Header, want)
				if len(body) > 0 {
					t.Errorf("the answer to HEAD has a body: %s", body)
				}
				return
			}
			a := readError(t, res.Header, res.StatusCode, body)
			grpcCode := map[int]codes.Code{
				400: codes.InvalidArgument, 404: codes.NotFound, 405: codes.Unimplemented,
			}[want]
			if a.reason != "INVALID_REQUEST" || a.code != grpcCode {
				t.Errorf("%v %s, want %v", a.code, a.reason, grpcCode)
			}
		})
	}
	all := records(t, s)
	for _, r := range all {
		if r.Method != "unknown" || r.Caller != "everything" || r.Reason != "INVALID_REQUEST" {
			t.Errorf("the record of a request without a method is %+v", r)
		}
	}
	if len(all) != len(cases) {
		t.Errorf("%d records of %d requests", len(all), len(cases))
	}
}

// TestEscapedPaths checks that a path is unescaped exactly once. Clients that are generated from
// the OpenAPI document escape the slash of a parameter, and some escape the colon of a path.
func TestEscapedPaths(t *testing.T) {
	const full = `{"user":{` + ana + `}}`
	s := start(t, settings{configuration: configuration})
	for path, want := range map[string]struct {
		code   int
		reason string
	}{
		"/v1/configurations%2Facme-customers:mintToken":       {200, ""},
		"/v1/configurations/acme-customers%3AmintToken":       {200, ""},
		"/v1/configurations/acme%2Dcustomers:mint%54oken":     {200, ""},
		"/v1/configurations%252Facme-customers:mintToken":     {404, "INVALID_REQUEST"},
		"/v1/configurations/acme%252Dcustomers:mintToken":     {400, "INVALID_FIELD"},
		"/v1/configurations/acme-customers%00:mintToken":      {400, "INVALID_FIELD"},
		"/v1/configurations/acme-customers%0a:mintToken":      {400, "INVALID_FIELD"},
		"/v1/configurations/acme-customers%20:mintToken":      {400, "INVALID_FIELD"},
		"/v1/configurations/acme-customers%ff:mintToken":      {400, "INVALID_FIELD"},
		"/v1/configurations/%2e%2e:mintToken":                 {400, "INVALID_FIELD"},
		"/v1/configurations/..:mintToken":                     {400, "INVALID_FIELD"},
		"/v1/configurations/Acme-Customers:mintToken":         {400, "INVALID_FIELD"},
		"/v1/configurations/acme-customers;v=1:mintToken":     {400, "INVALID_FIELD"},
		"/v1/configurations/acme-customers%2F..:mintToken":    {404, "INVALID_REQUEST"},
		"/v1/configurations/" + inputMarker + "%3F:mintToken": {400, "INVALID_FIELD"},
		"/v1/configurations/acme-customers:mintToken%3Fx=1":   {404, "INVALID_REQUEST"},
		"http://elsewhere.example" + mintPath:                 {200, ""}, // the form of a request to a proxy
	} {
		t.Run(path, func(t *testing.T) {
			res, body := s.sendRaw(t, rawPost(path, asEverything+asJSON, full))
			if want.reason == "" {
				if res.StatusCode != http.StatusOK {
					t.Errorf("HTTP %d %s", res.StatusCode, body)
				}
				return
			}
			if a := readError(t, res.Header, res.StatusCode, body); a.http != want.code || a.reason != want.reason {
				t.Errorf("HTTP %d %s, want %d %s", a.http, a.reason, want.code, want.reason)
			}
		})
	}
}

// TestQuery checks that an unknown parameter in the query is an error. It can be a misspelt
// parameter, or a credential, which must not be in a URL.
func TestQuery(t *testing.T) {
	const full = `{"user":{` + ana + `}}`
	s := start(t, settings{configuration: configuration})
	for _, c := range []struct {
		name, method, target string
		ok                   bool
	}{
		{name: "none", method: "POST", target: mintPath, ok: true},
		{name: "an empty query", method: "POST", target: mintPath + "?", ok: true},
		{name: "a field of the body", method: "POST", target: mintPath + "?validateOnly=true"},
		{name: "a credential", method: "POST", target: mintPath + "?access_token=" + inputMarker},
		{name: "an empty parameter", method: "POST", target: mintPath + "?="},
		{name: "list", method: "GET", target: "/v1/configurations?pageSize=2&pageToken=", ok: true},
		{name: "list in snake case", method: "GET", target: "/v1/configurations?page_size=2", ok: true},
		{name: "list with an unknown parameter", method: "GET", target: "/v1/configurations?pageSise=2"},
		{name: "list with a parameter in another case", method: "GET", target: "/v1/configurations?PageSize=2"},
		{name: "list with a nested parameter", method: "GET", target: "/v1/configurations?page_size.x=2"},
		{name: "list with a parameter twice", method: "GET", target: "/v1/configurations?pageSize=2&pageSize=3"},
		{name: "list with both spellings", method: "GET", target: "/v1/configurations?pageSize=2&page_size=3"},
		{name: "list with a map", method: "GET", target: "/v1/configurations?pageSize[a]=2"},
		{name: "list with a word for a number", method: "GET", target: "/v1/configurations?pageSize=" + inputMarker},
		{name: "list with a bad escape", method: "GET", target: "/v1/configurations?pageToken=%zz" + inputMarker},
		{name: "list with a semicolon", method: "GET",
			target: "/v1/configurations?pageSize=2;pageToken=" + inputMarker},
		{name: "get", method: "GET", target: "/v1/configurations/acme-customers", ok: true},
		{name: "get with an unknown parameter", method: "GET",
			target: "/v1/configurations/acme-customers?view=" + inputMarker},
		{name: "get with a parameter of list", method: "GET", target: "/v1/configurations/acme-customers?pageSize=2"},
		{name: "get with the parameter of the path", method: "GET",
			target: "/v1/configurations/acme-customers?name=configurations/acme-staff"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := rawRequest(c.method, c.target, asEverything)
			if c.method == "POST" {
				text = rawPost(c.target, asEverything+asJSON, full)
			}
			res, body := s.sendRaw(t, text)
			if c.ok {
				if res.StatusCode != http.StatusOK {
					t.Errorf("HTTP %d %s", res.StatusCode, body)
				}
				return
			}
			if a := readError(t, res.Header, res.StatusCode, body); a.http != http.StatusBadRequest ||
				a.reason != "INVALID_REQUEST" {
				t.Errorf("HTTP %d %s, want 400 INVALID_REQUEST", a.http, a.reason)
			}
		})
	}
}

// TestPathAndBody checks that a body may repeat the name in the path but must not have another one.
func TestPathAndBody(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for _, c := range []struct {
		path, body, field string
		code              int
	}{
		{mintPath, `{"configuration":"configurations/acme-customers","user":{` + ana + `}}`, "", 200},
		{mintPath, `{"configuration":"","user":{` + ana + `}}`, "", 200},
		{mintPath, `{"configuration":"configurations/acme-both","user":{` + ana + `}}`, "configuration", 400},
		{mintPath, `{"configuration":"acme-customers","user":{` + ana + `}}`, "configuration", 400},
		{mintPath, `{"configuration":"` + inputMarker + `","user":{` + ana + `}}`, "configuration", 400},
		{"/v1/configurations/acme-customers:refreshSecret", `{"name":"configurations/acme-staff"}`, "name", 400},
		{"/v1/configurations/acme-customers:refreshSecret", `{"name":"configurations/acme-customers"}`, "", 200},
		{"/v1/configurations/acme-customers:renderPage",
			`{"configuration":"configurations/acme-both","user":{` + ana + `}}`, "configuration", 400},
		{"/v1/configurations/acme-customers:inspectToken", `{"configuration":"configurations/acme-both","token":"x"}`,
			"configuration", 400},
	} {
		res, body := s.sendRaw(t, rawPost(c.path, asEverything+asJSON, c.body))
		if res.StatusCode != c.code {
			t.Errorf("%s %s: HTTP %d, want %d: %s", c.path, c.body, res.StatusCode, c.code, body)
		} else if c.field != "" {
			a := readError(t, res.Header, res.StatusCode, body)
			if a.reason != "INVALID_FIELD" || a.field[c.field] == "" {
				t.Errorf("%s %s: %s %v, want a violation of %s", c.path, c.body, a.reason, a.field, c.field)
			}
		}
	}
}
