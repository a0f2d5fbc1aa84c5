package service_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

// TestContentType checks that a request with a body must have the content type of JSON.
func TestContentType(t *testing.T) {
	const full = `{"user":{` + ana + `}}`
	s := start(t, settings{configuration: configuration})
	for _, c := range []struct {
		name, head string
		ok         bool
	}{
		{"JSON", "Content-Type: application/json\r\n", true},
		{"with a charset", "Content-Type: application/json; charset=utf-8\r\n", true},
		{"with a charset in quotes", "Content-Type: application/json;charset=\"UTF-8\"\r\n", true},
		{"in capitals", "content-type: Application/JSON\r\n", true},
		{"none", "", false},
		{"empty", "Content-Type:\r\n", false},
		{"text", "Content-Type: text/plain\r\n", false},
		{"a form", "Content-Type: application/x-www-form-urlencoded\r\n", false},
		{"a form in parts", "Content-Type: multipart/form-data; boundary=x\r\n", false},
		{"gRPC", "Content-Type: application/grpc\r\n", false},
		{"gRPC-Web", "Content-Type: application/grpc-web+json\r\n", false},
		{"another JSON", "Content-Type: application/problem+json\r\n", false},
		{"nearly JSON", "Content-Type: application/jsonp\r\n", false},
		{"several", "Content-Type: application/json, text/plain\r\n", false},
		{"half a parameter", "Content-Type: application/json; charset\r\n", false},
		{"a value", "Content-Type: " + inputMarker + "\r\n", false},
		{"with a charset without a hyphen", "Content-Type: application/json; charset=utf8\r\n", true},
		{"with another charset", "Content-Type: application/json; charset=iso-8859-1\r\n", false},
		{"with a charset of two bytes", "Content-Type: application/json; charset=UTF-16\r\n", false},
		{"not compressed", "Content-Type: application/json\r\nContent-Encoding: identity\r\n", true},
		{"compressed", "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", false},
		{"compressed twice", "Content-Type: application/json\r\nContent-Encoding: identity, br\r\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := s.sendRaw(t, rawPost(mintPath, asEverything+c.head, full))
			if c.ok {
				if res.StatusCode != http.StatusOK {
					t.Errorf("HTTP %d %s", res.StatusCode, body)
				}
				return
			}
			a := readError(t, res.Header, res.StatusCode, body)
			if a.http != http.StatusUnsupportedMediaType || a.code != codes.InvalidArgument ||
				a.reason != "INVALID_REQUEST" {
				t.Errorf("HTTP %d %v %s", a.http, a.code, a.reason)
			}
		})
	}
	t.Run("an empty body needs none", func(t *testing.T) {
		res, body := s.sendRaw(t, rawPost(mintPath, asEverything, ""))
		if a := readError(t, res.Header, res.StatusCode, body); a.reason != "INVALID_FIELD" || a.field["user"] == "" {
			t.Errorf("%s %v, want a violation of user", a.reason, a.field)
		}
	})
	t.Run("an empty body of unknown length needs one", func(t *testing.T) {
		text := rawRequest("POST", mintPath, asEverything+"Transfer-Encoding: chunked\r\n") + "0\r\n\r\n"
		res, body := s.sendRaw(t, text)
		if a := readError(t, res.Header, res.StatusCode, body); a.http != http.StatusUnsupportedMediaType {
			t.Errorf("HTTP %d", a.http)
		}
	})
}

// TestIdentityIsTheAuthorizationHeader checks that exactly one Authorization header identifies the
// caller. Headers that grpc-gateway, gRPC or a proxy would use for an identity have no effect.
func TestIdentityIsTheAuthorizationHeader(t *testing.T) {
	const full = `{"user":{` + ana + `}}`
	type identity struct {
		name, head string
		code       int
		credential string // of a refusal with 401
		caller     string // of any other answer
	}
	cases := []identity{
		{name: "none", code: 401, credential: "missing"},
		{name: "empty", head: "Authorization:\r\n", code: 401, credential: "missing"},
		{name: "one", head: "Authorization: Bearer dmk_nobody\r\n", code: 403, caller: "nobody"},
		{name: "the scheme in another case", head: "authorization: bEARER dmk_nobody\r\n", code: 403, caller: "nobody"},
		{name: "two", head: asEverything + "Authorization: Bearer dmk_nobody\r\n", code: 401, credential: "several"},
		{name: "twice the same", head: asEverything + asEverything, code: 401, credential: "several"},
		{name: "one and an empty one", head: asEverything + "Authorization:\r\n", code: 401, credential: "several"},
		{name: "two in one", head: "Authorization: Bearer dmk_everything, Bearer dmk_nobody\r\n", code: 401,
			credential: "several"},
		{name: "without a scheme", head: "Authorization: dmk_everything\r\n", code: 401, credential: "malformed"},
		{name: "another scheme", head: "Authorization: Basic ZG1rX2V2ZXJ5dGhpbmc=\r\n", code: 401,
			credential: "malformed"},
		{name: "an unknown key", head: "Authorization: Bearer " + inputMarker + "\r\n", code: 401,
			credential: "unknown"},
		{name: "a key's hash",
			head: "Authorization: Bearer 91a9acd95e34a499af42f13fde84e3a09c70916ef7f9d2165525c2fcfdf39f92\r\n",
			code: 401, credential: "unknown"},
		{name: "white space within", head: "Authorization: Bearer dmk_everything dmk_everything\r\n", code: 401,
			credential: "malformed"},
		{name: "bytes that gRPC can't send", head: "Authorization: Bearer \xff\xfe\r\n", code: 401,
			credential: "unknown"},
	}
	for _, name := range []string{
		"Grpc-Metadata-Authorization",
		"Grpcgateway-Authorization",
		"Grpc-Metadata-Grpcgateway-Authorization",
		"Grpc-Metadata-Authorization-Bin",
		"X-Forwarded-Authorization",
		"Proxy-Authorization",
		"X-Api-Key",
		"Authorization-Bin",
	} {
		head := name + ": Bearer dmk_everything\r\n"
		cases = append(cases,
			identity{name: name + " alone", head: head, code: 401, credential: "missing"},
			identity{name: name + " with the key of another caller",
				head: head + "Authorization: Bearer dmk_nobody\r\n", code: 403, caller: "nobody"},
		)
	}
	for _, head := range []string{
		"Cookie: authorization=Bearer dmk_everything",
		"Cookie: grpcgateway-authorization=x; dmk_everything",
		"Grpc-Metadata-Cookie: x",
		"Grpc-Timeout: 5S",
		"X-Forwarded-For: 192.0.2.7",
		"X-Forwarded-Client-Cert: URI=spiffe://acme.internal/storefront",
		"Grpc-Metadata-X-Bin: !",
		"Grpc-Metadata-:authority: x",
	} {
		cases = append(cases,
			identity{name: head, head: head + "\r\nAuthorization: Bearer dmk_nobody\r\n", code: 403, caller: "nobody"})
	}
	s := start(t, settings{configuration: configuration})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			res, body := s.sendRaw(t, rawPost(mintPath, c.head+asJSON, full))
			a := readError(t, res.Header, res.StatusCode, body)
			if a.http != c.code || a.info["credential"] != c.credential {
				t.Fatalf("HTTP %d %s %v, want %d %s", a.http, a.reason, a.info, c.code, c.credential)
			}
			r := records(t, s)
			if len(r) != 1 || r[0].Caller != c.caller || r[0].Transport != "http" {
				t.Errorf("the records are %+v, want one of the caller %q", r, c.caller)
			}
		})
	}
}

// TestGRPCTimeoutHeader checks that the header Grpc-Timeout sets the deadline, as over gRPC. An
// invalid value is an error of the request, and the error doesn't repeat it.
func TestGRPCTimeoutHeader(t *testing.T) {
	const full = `{"user":{` + ana + `}}`
	s := start(t, settings{configuration: configuration})
	for value, want := range map[string]int{
		"10S": 200, "1H": 200, "99999999H": 200, "9223372036854775807H": 200, "0S": 200,
		"1n": 504, "1u": 504,
		inputMarker: 400, "S": 400, "10": 400, "-1S": 400, "1.5S": 400, "10s": 400, "1 S": 400,
		"18446744073709551616S": 400,
	} {
		t.Run(value, func(t *testing.T) {
			res, body := s.sendRaw(t, rawPost(mintPath, asEverything+asJSON+"Grpc-Timeout: "+value+"\r\n", full))
			if res.StatusCode != want {
				t.Fatalf("HTTP %d, want %d: %s", res.StatusCode, want, body)
			}
			switch want {
			case http.StatusBadRequest:
				if a := readError(t, res.Header, want, body); a.reason != "INVALID_REQUEST" ||
					!strings.Contains(a.message, "headers") {
					t.Errorf("%s %q", a.reason, a.message)
				}
			case http.StatusGatewayTimeout:
				var st struct{ Code codes.Code }
				if err := json.Unmarshal(body, &st); err != nil || st.Code != codes.DeadlineExceeded {
					t.Errorf("%v %s", err, body)
				}
				checkErrorHeader(t, res.Header, want)
			}
		})
	}
}

// TestAnswerHeaders checks that the headers of a request don't change the form or the headers of
// the answer.
func TestAnswerHeaders(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for _, head := range []string{
		"",
		"Accept: application/xml\r\n",
		"Accept: application/json;q=0, text/html\r\n",
		"TE: trailers\r\n",
		"TE: trailers, deflate\r\n",
		"Accept-Encoding: gzip\r\n",
		"Origin: https://evil.example\r\n",
		"Grpc-Metadata-X: 1\r\nGrpc-Accept-Encoding: gzip\r\n",
		"Range: bytes=0-1\r\n",
		"If-None-Match: *\r\n",
	} {
		res, body := s.sendRaw(t, rawPost(mintPath, asEverything+asJSON+head, `{"user":{`+ana+`}}`))
		if res.StatusCode != http.StatusOK || !json.Valid(body) {
			t.Errorf("%q: HTTP %d %s", head, res.StatusCode, body)
		}
		checkHeader(t, res.Header)
		for name := range res.Header {
			if !slices.Contains(successHeaders, name) {
				t.Errorf("%q: the answer has the header %s: %s", head, name, res.Header.Get(name))
			}
		}
		if len(res.Trailer) > 0 {
			t.Errorf("%q: the answer has the trailers %v", head, res.Trailer)
		}
	}
}

// TestConnectionAfterErrors checks that a connection stays open after an error if the whole body
// has been read, and is closed otherwise.
func TestConnectionAfterErrors(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for _, c := range []struct {
		body   string
		code   int
		closed bool
	}{
		{`{"rolle":1}`, 400, false},
		{`{"user":{` + ana + `}}`, 200, false},
		{strings.Repeat(" ", 300<<10), 413, true},
	} {
		text := strings.Replace(rawPost(mintPath, asEverything+asJSON, c.body), "Connection: close\r\n", "", 1)
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		res, _, err := readAnswer(answers, http.MethodPost)
		if err != nil || res.StatusCode != c.code || res.Close != c.closed {
			t.Errorf("HTTP %d, closing %v, %v; want %d, %v", res.StatusCode, res.Close, err, c.code, c.closed)
		}
	}
}

// TestBodyBreaksOff checks that an incomplete body is refused, even if the part that arrives is
// valid JSON.
func TestBodyBreaksOff(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for name, text := range map[string]string{
		"shorter than its length": strings.Replace(
			rawPost(mintPath, asEverything+asJSON, `{"user":{`+ana+`}}`+"     "), "     ", "", 1),
		"shorter than its chunk": rawRequest("POST", mintPath, asEverything+asJSON+"Transfer-Encoding: chunked\r\n") +
			"ff\r\n{\"user\":{" + ana + "}}",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		h, body, err := readAnswer(bufio.NewReader(conn), http.MethodPost)
		if err != nil {
			t.Fatal(err)
		}
		if a := readError(t, h.Header, h.StatusCode, body); a.http != http.StatusBadRequest ||
			a.reason != "INVALID_REQUEST" {
			t.Errorf("%s: HTTP %d %s", name, a.http, a.reason)
		}
	}
	for record := range strings.Lines(s.Audit.String()) { // the caller is known, so each has a record
		if !strings.Contains(record, `"decision":"deny","reason":"INVALID_REQUEST"`) {
			t.Errorf("the record is %s", record)
		}
	}
}

// TestBodyOfUnknownCaller checks that the answer to an unknown caller doesn't depend on the body,
// because the body isn't read.
func TestBodyOfUnknownCaller(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for name, body := range map[string]string{
		"a request":             `{"user":{` + ana + `}}`,
		"not JSON":              "{",
		"an unknown field":      `{"rolle":1}`,
		"another configuration": `{"configuration":"configurations/acme-both"}`,
		"too large":             strings.Repeat(" ", 256<<10),
		"empty":                 "",
	} {
		for _, credential := range []string{"", "Authorization: Bearer dmk_other\r\n", asEverything + asEverything} {
			h, answer := s.sendRaw(t, rawPost(mintPath, credential+asJSON, body))
			if a := readError(t, h.Header, h.StatusCode, answer); a.http != http.StatusUnauthorized ||
				a.reason != "CALLER_UNAUTHENTICATED" {
				t.Errorf("%s with %q: HTTP %d %s", name, credential, a.http, a.reason)
			}
			if r := records(t, s); len(r) != 1 || r[0].Reason != "CALLER_UNAUTHENTICATED" || r[0].Email != "" {
				t.Errorf("%s with %q: the records are %+v", name, credential, r)
			}
		}
	}
}
