package service_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// secretValue is a panic value with a secret and a key.
type secretValue struct{ secret, key string }

func (m secretValue) Error() string { return m.secret }

// TestPanic checks that a panic is the error of one request and that the service continues. The log
// has the place of the panic. Neither the log nor the answer has its value.
func TestPanic(t *testing.T) {
	values := map[string]any{
		"text":    customersSecret,
		"error":   errors.New(customersSecret),
		"struct":  secretValue{customersSecret, "dmk_everything"},
		"pointer": &secretValue{customersSecret, "dmk_everything"},
		"bytes":   []byte(customersSecret),
		"abort":   http.ErrAbortHandler,
		"status":  status.Error(codes.NotFound, customersSecret),
		"context": context.Canceled,
		"runtime": nil, // an index out of range
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, tr transport) {
				var hook hookedSecrets
				s := start(t, settings{configuration: configuration, secrets: hook.wrap})
				hook.setOnGet(func() {
					if value == nil {
						_ = []int{}[len(name)]
					}
					panic(value)
				})
				for _, method := range []string{"MintToken", "RenderPage"} {
					r := tr.send(t.Context(), t, s, call{method: method, body: user("") + onErrorPage(method)})
					checkInternal(t, tr, r)
				}
				hook.setOnGet(nil)
				all := records(t, s)
				if len(all) != 2 || all[0].Decision != "deny" || all[0].Reason != "INTERNAL" ||
					all[0].Caller != "everything" {
					t.Errorf("the records are %+v", all)
				}
				if log := s.Log.String(); !strings.Contains(log, "(*hookedSecrets).Get:") {
					t.Errorf("the log doesn't have the place of the panic: %s", log)
				}
				mint(t, s, tr, call{body: user("")})
			})
		})
	}
}

func onErrorPage(method string) string {
	if method == "RenderPage" {
		return `,"onError":"ON_ERROR_STATUS"`
	}
	return ""
}

func checkInternal(t *testing.T, tr transport, r reply) {
	t.Helper()
	if r.code != codes.Internal || r.reason != "INTERNAL" ||
		tr.name == "http" && r.http != http.StatusInternalServerError {
		t.Errorf("got %v %s %q, HTTP %d", r.code, r.reason, r.answer.message, r.http)
	}
	if tr.name == "http" {
		readError(t, r.header, r.http, r.body)
	}
}

// TestPanicAroundTheHandler checks panics outside of any handler: in the clock, which also dates
// the record, and in the output of the audit log.
func TestPanicAroundTheHandler(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		t.Run("clock", func(t *testing.T) {
			var broken atomic.Bool
			s := start(t, settings{configuration: configuration, now: func() time.Time {
				if broken.Load() {
					panic(customersSecret)
				}
				return now
			}})
			for _, method := range []string{"MintToken", "RenderForm", "InspectToken", "ListConfigurations"} {
				broken.Store(true)
				c := call{method: method, body: user("")}
				if method == "InspectToken" {
					c.body = `"token":"x"`
				} else if method == "ListConfigurations" {
					c.body = ""
				}
				checkInternal(t, tr, tr.send(t.Context(), t, s, c))
				broken.Store(false)
			}
			mint(t, s, tr, call{body: user("")})
			if log := s.Log.String(); strings.Count(log, "panic with a string at ") < 4 {
				t.Errorf("the log doesn't have all panics: %s", log)
			}
		})
		t.Run("record", func(t *testing.T) {
			w := &panickingWriter{}
			s := start(t, settings{configuration: configuration, audit: w})
			w.armed.Store(true)
			r := tr.send(t.Context(), t, s, call{method: "RenderPage", body: user("")})
			checkRefused(t, tr, r, codes.Unavailable, "AUDIT_UNAVAILABLE", http.StatusServiceUnavailable, time.Second)
			for name := range r.header {
				if strings.HasPrefix(name, "Deskmint-") {
					t.Errorf("the error has the header %s", name)
				}
			}
			w.armed.Store(false)
			mint(t, s, tr, call{body: user("")})
		})
	})
}

type panickingWriter struct{ armed atomic.Bool }

func (p *panickingWriter) Write(b []byte) (int, error) {
	if p.armed.Load() {
		panic("cannot write " + string(b))
	}
	return len(b), nil
}

// TestPanicInProbes does the same for a probe and for a scrape.
func TestPanicInProbes(t *testing.T) {
	var hook hookedSecrets
	s := start(t, settings{configuration: configuration, secrets: hook.wrap})
	hook.setOnGet(func() { panic(secretValue{customersSecret, "dmk_everything"}) })
	for _, path := range []string{"/readyz", "/metrics"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Ops+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, body, err := roundTrip(r); err == nil && res.StatusCode != http.StatusInternalServerError {
			t.Errorf("%s: HTTP %d %s", path, res.StatusCode, body)
		} else if strings.Contains(string(body), customersSecret) {
			t.Errorf("%s: %s", path, body)
		}
	}
	hook.setOnGet(nil)
	if got := s.ops(t, "/readyz"); !strings.Contains(got, `"ready":true`) {
		t.Errorf("after a panic, /readyz returns %s", got)
	}
	if got := s.Log.String(); strings.Contains(got, customersSecret) ||
		!strings.Contains(got, "panic with a service_test.secretValue at ") {
		t.Errorf("the log has %s", got)
	}
	eachTransport(t, func(t *testing.T, tr transport) { mint(t, s, tr, call{body: user("")}) })
}
