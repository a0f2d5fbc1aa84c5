package service_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"
)

// requestID matches a valid id of a request.
var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// TestRequestID checks that the answer, the record and the log have the same id of a request. It is
// the id from the caller if that is valid, otherwise a new one.
func TestRequestID(t *testing.T) {
	var hook hookedSecrets
	s := start(t, settings{configuration: configuration, secrets: hook.wrap})
	hook.setOnGet(func() { panic("a panic writes a line to the log") })
	for _, c := range []struct {
		name  string
		given []string
		used  bool
	}{
		{"none", nil, false},
		{"plain", []string{"4bf92f35-77.b3_X"}, true},
		{"longest", []string{strings.Repeat("a", 64)}, true},
		{"too long", []string{strings.Repeat("a", 65)}, false},
		{"empty", []string{""}, false},
		{"two", []string{"one", "two"}, false},
		{"a space", []string{"a b"}, false},
		{"a quote", []string{`a"b`}, false},
		{"not ASCII", []string{"ä"}, false},
		{"a key", []string{"dmk_everything"}, false},
		{"a token's beginning", []string{tokenHeader + ".e30.x"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, tr transport) {
				if tr.name == "grpc" && c.name == "not ASCII" {
					return // a gRPC client can't send it
				}
				for _, call := range []call{
					{method: "ListConfigurations"},
					{method: "MintToken", keys: []string{}},
					{method: "MintToken", body: user("")},
				} {
					ctx := t.Context()
					for _, id := range c.given {
						ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", id)
					}
					call.header = http.Header{"X-Request-Id": c.given}
					logged := len(s.Log.String())
					r := tr.send(ctx, t, s, call)
					id := r.header.Get("X-Request-Id")
					if len(r.header.Values("X-Request-Id")) != 1 || !requestID.MatchString(id) ||
						(c.used && id != c.given[0]) ||
						(!c.used && len(id) != 26) {
						t.Errorf("%s: the ids in the answer are %q", call.method, r.header.Values("X-Request-Id"))
					}
					if all := records(t, s); len(all) != 1 || all[0].RequestID != id {
						t.Errorf("the answer has the id %q, the records are %+v", id, all)
					}
					line := s.Log.String()[logged:]
					if r.reason == "INTERNAL" && line != "" && !strings.Contains(line, `"request_id":"`+id+`"`) {
						t.Errorf("the answer has the id %q, the log has %s", id, line)
					}
				}
			})
		})
	}
	if !strings.Contains(s.Log.String(), `"request_id":"`) {
		t.Errorf("the log has no request id: %s", s.Log)
	}
	// A request that matches no route has an id, too.
	res, _ := s.sendRaw(t, rawRequest("GET", "/nowhere", "X-Request-Id: mine\r\n"))
	if got := res.Header.Values("X-Request-Id"); len(got) != 1 || got[0] != "mine" {
		t.Errorf("the ids of a request for an unknown path are %q", got)
	}
}

// TestRequestIDsDiffer checks that each request without an id gets a different one.
func TestRequestIDsDiffer(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	seen := make(map[string]bool)
	eachTransport(t, func(t *testing.T, tr transport) {
		for range 20 {
			r := tr.send(context.WithoutCancel(t.Context()), t, s, call{method: "ListConfigurations"})
			seen[r.header.Get("X-Request-Id")] = true
		}
	})
	if len(seen) != 40 {
		t.Errorf("40 requests have %d different ids, want 40", len(seen))
	}
}
