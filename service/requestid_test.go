package service_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"
)

// requestID is what a request may be called.
var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// A request is called by one name in its answer, its record and the log: the caller's own where
// that is a plain one, otherwise one of ours.
func TestRequestID(t *testing.T) {
	var hook hookedSecrets
	s := start(t, settings{configuration: configuration, secrets: hook.wrap})
	hook.setOnGet(func() { panic("so that there is a line in the log") })
	for _, c := range []struct {
		name  string
		given []string
		taken bool
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
					return // which no client can send
				}
				for _, call := range []call{{method: "ListConfigurations"}, {method: "MintToken", keys: []string{}}, {method: "MintToken", body: user("")}} {
					ctx := t.Context()
					for _, id := range c.given {
						ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", id)
					}
					call.header = http.Header{"X-Request-Id": c.given}
					logged := len(s.Log.String())
					r := tr.send(ctx, t, s, call)
					id := r.header.Get("X-Request-Id")
					if len(r.header.Values("X-Request-Id")) != 1 || !requestID.MatchString(id) ||
						(c.taken && id != c.given[0]) ||
						(!c.taken && len(id) != 26) {
						t.Errorf("%s is called %q", call.method, r.header.Values("X-Request-Id"))
					}
					if all := records(t, s); len(all) != 1 || all[0].RequestID != id {
						t.Errorf("the answer says %q, the record %+v", id, all)
					}
					line := s.Log.String()[logged:]
					if r.reason == "INTERNAL" && line != "" && !strings.Contains(line, `"request_id":"`+id+`"`) {
						t.Errorf("the answer says %q, the log %s", id, line)
					}
				}
			})
		})
	}
	if !strings.Contains(s.Log.String(), `"request_id":"`) {
		t.Errorf("no request has a name in the log: %s", s.Log)
	}
	// What never becomes a call has a name too.
	res, _ := s.sendRaw(t, rawRequest("GET", "/nowhere", "X-Request-Id: mine\r\n"))
	if got := res.Header.Values("X-Request-Id"); len(got) != 1 || got[0] != "mine" {
		t.Errorf("a path that isn't there is called %q", got)
	}
}

// Nobody is given another's name: a request without one gets a new one each time.
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
		t.Errorf("40 requests have %d names", len(seen))
	}
}
