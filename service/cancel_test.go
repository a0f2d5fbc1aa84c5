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
