package service_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

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
				if r.code != c.code || r.reason != ownReason(tr, r.code) || tr.name == "http" && r.http != c.http {
					t.Errorf("the caller gets %v %s, HTTP %d; want %v, HTTP %d", r.code, r.reason, r.http, c.code,
						c.http)
				}
				ended := status.Code((<-calls.ended).Error)
				// A gRPC client whose deadline has passed also cancels the call. The server may
				// receive the cancellation before its own timer ends.
				if ended != c.code && !(tr.name == "grpc" && ended == codes.Canceled) {
					t.Errorf("the call ended with %v, want %v", ended, c.code)
				}
				reason := map[codes.Code]string{codes.DeadlineExceeded: "DEADLINE_EXCEEDED"}[ended]
				if got := counted(t, s, tr.name, "MintToken", ended, reason); got != "1" {
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

// ownReason returns the reason that a client sees for a deadline that has passed. A gRPC client
// makes the error itself, without details.
func ownReason(tr transport, code codes.Code) string {
	if tr.name == "http" && code == codes.DeadlineExceeded {
		return "DEADLINE_EXCEEDED"
	}
	return ""
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
			if r.code != codes.DeadlineExceeded || r.reason != ownReason(tr, r.code) {
				t.Errorf("got %v %s", r.code, r.reason)
			}
		}
		hook.setOnGet(nil)
		if got := s.Audit.String(); got != "" {
			t.Errorf("the audit log has %s", got)
		}
	})
}

// TestRefreshEndsWithItsCaller checks that a refresh from the store has the context of its request,
// and that it is recorded although its caller has gone away, because the store was read.
func TestRefreshEndsWithItsCaller(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		entered := make(chan struct{})
		hook := hookedSecrets{onRefresh: func(ctx context.Context) error {
			close(entered)
			<-ctx.Done()
			return fmt.Errorf("the store: %w", ctx.Err())
		}}
		s := start(t, settings{configuration: configuration, secrets: hook.wrap})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		answered := make(chan reply, 1)
		go func() { answered <- tr.send(ctx, t, s, call{method: "RefreshSecret"}) }()
		<-entered
		cancel()
		if r := <-answered; r.code != codes.Canceled || r.reason != "" {
			t.Errorf("got %v %s", r.code, r.reason)
		}
		waitUntil(t, func() string {
			if s.Audit.String() == "" {
				return "the refresh isn't recorded"
			}
			return ""
		})
		got := records(t, s)
		if len(got) != 1 || got[0].Action != "refresh" || got[0].Configuration != "acme-customers" ||
			got[0].Decision != "deny" {
			t.Errorf("recorded %+v, want the refresh", got)
		}
	})
}

// TestActIsRecordedLate checks that an act is recorded although its caller's deadline passes while
// the audit output is slow.
func TestActIsRecordedLate(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		w := &blockingWriter{}
		acted := make(chan struct{}, 1)
		hook := hookedSecrets{onRefresh: func(context.Context) error { acted <- struct{}{}; return nil }}
		s := start(t, settings{configuration: configuration, audit: w, secrets: hook.wrap})
		release := w.block()
		// The write of another record is in progress, so that the record of the act waits.
		other := make(chan reply, 1)
		go func() { other <- tr.send(t.Context(), t, s, call{method: "GetConfiguration"}) }()
		waitUntil(t, func() string {
			if !w.writing() {
				return "no record is being written"
			}
			return ""
		})
		answered := make(chan reply, 1)
		refresh := func(timeout time.Duration) bool {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			go func() { answered <- tr.send(ctx, t, s, call{method: "RefreshSecret"}) }()
			select {
			case <-acted:
				<-ctx.Done()
				return true
			case <-answered: // the deadline was too short for a busy machine
				return false
			}
		}
		for timeout := time.Second; !refresh(timeout); timeout *= 2 {
			t.Logf("no refresh within %v", timeout)
		}
		<-time.After(100 * time.Millisecond) // without the rule, the record is withdrawn in this time
		release()
		<-answered
		<-other
		waitUntil(t, func() string {
			if !strings.Contains(s.Audit.String(), `"action":"refresh"`) {
				return "the refresh isn't recorded"
			}
			return ""
		})
	})
}

// TestShortDeadlines checks that a deadline that passes while the record is written is the caller's
// fault, not one of the audit log: the answer has another reason, and no fault is logged. A caller
// that shows refusals to users gets its page.
func TestShortDeadlines(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		w := &blockingWriter{}
		s := start(t, settings{configuration: configuration, audit: w})
		for _, c := range []call{
			{method: "MintToken", body: user("")},
			{method: "MintToken", keys: []string{"dmk_other"}, body: user("")}, // an unknown caller
			{method: "RenderPage", body: user("") + `,"onError":"ON_ERROR_PAGE"`},
		} {
			wantPage := tr.name == "http" && c.method == "RenderPage"
			for timeout := 400 * time.Millisecond; ; timeout *= 2 {
				release := w.block()
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				r := tr.send(ctx, t, s, c)
				cancel()
				release()
				// Over gRPC a page has the code OK. It may arrive just before the client's own
				// timer ends.
				if r.code != codes.DeadlineExceeded && r.header.Get("Deskmint-Reason") != "DEADLINE_EXCEEDED" {
					t.Errorf("%s: %v %s, HTTP %d", c.method, r.code, r.reason, r.http)
				}
				if tr.name == "http" && r.http != http.StatusGatewayTimeout {
					t.Errorf("%s: HTTP %d", c.method, r.http)
				}
				page := strings.Contains(string(r.body), "<!doctype html>")
				if page == wantPage {
					break
				}
				// A busy machine may not have read the request before its deadline.
				if page || timeout > 3*time.Second {
					t.Errorf("%s: a page: %v: %s", c.method, page, r.body)
					break
				}
			}
		}
		if got := s.Log.String(); strings.Contains(got, "request failed") {
			t.Errorf("the log has a fault: %s", got)
		}
		if got := s.ops(t, "/metrics"); strings.Contains(got, `reason="AUDIT_UNAVAILABLE"} 1`) {
			t.Error("a fault of the audit log is counted")
		}
	})
}

// TestFloodOfShortDeadlines checks that strangers with deadlines of 200 µs get no other answers
// than they should, and cause no fault.
func TestFloodOfShortDeadlines(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for i := range 160 {
		head := fmt.Sprintf("Grpc-Timeout: %du\r\n", 100+i)
		res, body := s.sendRaw(t, rawPost(mintPath, head+asJSON, `{}`))
		a := readError(t, res.Header, res.StatusCode, body)
		if a.reason != "DEADLINE_EXCEEDED" && a.reason != "CALLER_UNAUTHENTICATED" {
			t.Errorf("HTTP %d %s", a.http, a.reason)
		}
	}
	if got := s.Log.String(); strings.Contains(got, "request failed") {
		t.Errorf("the log has a fault: %s", got)
	}
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
