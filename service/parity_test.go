package service_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// counted returns one value of deskmint_requests_total.
func counted(t *testing.T, s *server, transport, method string, code codes.Code, reason string) string {
	t.Helper()
	text := s.ops(t, "/metrics")
	line := fmt.Sprintf(`deskmint_requests_total{code=%q,method=%q,reason=%q,transport=%q} `, code, method, reason,
		transport)
	_, rest, _ := strings.Cut(text, line)
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

// ops returns the body of a page of the ops listener, with any status.
func (s *server) ops(t *testing.T, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Ops+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := roundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestCallerGone checks that nothing is signed and recorded for a caller that goes away during its
// request.
func TestCallerGone(t *testing.T) {
	for name, c := range map[string]struct {
		context func(context.Context) (context.Context, context.CancelFunc)
		cancel  bool
		code    codes.Code
		http    int
	}{
		"cancelled": {context.WithCancel, true, codes.Canceled, 0},
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second) // the call must reach its handler within that time
		}, false, codes.DeadlineExceeded, http.StatusGatewayTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, tr transport) {
				calls, hook := newStatsRecorder(), &hookedSecrets{}
				s := start(t, settings{configuration: configuration, secrets: hook.wrap, stats: calls})
				entered, release := hook.blockGets(t)
				ctx, cancel := c.context(t.Context())
				defer cancel()
				answered := make(chan reply, 1)
				go func() { answered <- tr.send(ctx, t, s, call{method: "MintToken", body: user("")}) }()
				<-entered
				served := <-calls.begun
				if c.cancel {
					cancel()
				}
				served.awaitCancelled()
				release()
				r := <-answered
				if r.code != c.code || r.reason != "" || tr.name == "http" && r.http != c.http {
					t.Errorf("the caller gets %v %s, HTTP %d; want %v, HTTP %d", r.code, r.reason, r.http, c.code,
						c.http)
				}
				ended := status.Code((<-calls.ended).Error)
				// A gRPC client whose deadline has passed also cancels the call. The server may
				// receive the cancellation before its own timer ends.
				if ended != c.code && !(tr.name == "grpc" && ended == codes.Canceled) {
					t.Errorf("the call ended with %v, want %v", ended, c.code)
				}
				if got := counted(t, s, tr.name, "MintToken", ended, ""); got != "1" {
					t.Errorf("counted %q times as %v, want 1", got, ended)
				}
				if got := s.Audit.String(); got != "" {
					t.Errorf("the audit log has %s", got)
				}
				if got := s.Log.String(); strings.Contains(got, "request failed") {
					t.Errorf("the log has a fault: %s", got)
				}
				if mint(t, s, tr, call{body: user("")}) == "" {
					t.Error("the next request has no answer")
				}
			})
		})
	}
}

// TestDeadlineBeforeTheHandler checks that a request whose deadline has already passed doesn't
// reach a handler.
func TestDeadlineBeforeTheHandler(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		var hook hookedSecrets
		s := start(t, settings{configuration: configuration, secrets: hook.wrap})
		hook.setOnGet(func() { t.Error("the request reached a handler") })
		defer hook.setOnGet(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		for range 3 {
			r := tr.send(ctx, t, s, call{method: "MintToken", body: user("")})
			if r.code != codes.DeadlineExceeded || r.reason != "" {
				t.Errorf("got %v %s", r.code, r.reason)
			}
		}
		hook.setOnGet(nil)
		if got := s.Audit.String(); got != "" {
			t.Errorf("the audit log has %s", got)
		}
	})
}

// TestRefreshEndsWithItsCaller checks that a refresh from the store has the context of its request.
func TestRefreshEndsWithItsCaller(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		hook := hookedSecrets{onRefresh: func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("the store: %w", ctx.Err())
		}}
		s := start(t, settings{configuration: configuration, secrets: hook.wrap})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if r := tr.send(ctx, t, s, call{method: "RefreshSecret"}); r.code != codes.DeadlineExceeded || r.reason != "" {
			t.Errorf("got %v %s", r.code, r.reason)
		}
	})
}

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

// TestTwoServers checks that two services in one process share no secrets, callers or metrics, and
// that one continues when the other stops.
func TestTwoServers(t *testing.T) {
	one := start(t, settings{configuration: configuration})
	renamed := strings.ReplaceAll(configuration, "acme-customers", "other-customers")
	other := start(t, settings{configuration: strings.ReplaceAll(renamed, "sso/other-customers", "sso/acme-customers")})
	eachTransport(t, func(t *testing.T, tr transport) {
		for range 3 {
			mint(t, one, tr, call{body: user("")})
		}
		r := tr.send(t.Context(), t, other, call{method: "MintToken", body: user("")})
		if r.reason != "CALLER_NOT_ALLOWED" {
			t.Errorf("the second service has a configuration of the first: %v %s", r.code, r.reason)
		}
		mint(t, other, tr, call{name: "other-customers", body: user("")})
		a := counted(t, one, tr.name, "MintToken", codes.OK, "")
		b := counted(t, other, tr.name, "MintToken", codes.OK, "")
		if a != "3" || b != "1" {
			t.Errorf("the services counted %s and %s requests, want 3 and 1", a, b)
		}
	})
	if err := one.stop(); err != nil {
		t.Error(err)
	}
	eachTransport(t, func(t *testing.T, tr transport) {
		r := tr.send(t.Context(), t, other, call{method: "GetConfiguration", name: "other-customers"})
		if get[*pb.Configuration](t, r).GetName() != "configurations/other-customers" {
			t.Errorf("after the first service has stopped, the second answers %v %s", r.code, r.reason)
		}
	})
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
