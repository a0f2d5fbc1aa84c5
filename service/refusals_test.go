package service_test

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
)

// checkRefused checks the code and the reason of an error and the time after which the caller may
// retry.
func checkRefused(
	t *testing.T,
	tr transport,
	r reply,
	code codes.Code,
	reason string,
	httpCode int,
	retry time.Duration,
) {
	t.Helper()
	if r.code != code || r.reason != reason || r.retry != retry {
		t.Errorf("got %v %s, retry after %v; want %v %s %v", r.code, r.reason, r.retry, code, reason, retry)
	}
	if tr.name != "http" {
		return
	}
	want := ""
	if retry > 0 {
		want = strconv.Itoa(int((retry + time.Second - 1) / time.Second))
	}
	if r.http != httpCode || r.header.Get("Retry-After") != want {
		t.Errorf("HTTP %d, Retry-After %q; want %d %q", r.http, r.header.Get("Retry-After"), httpCode, want)
	}
	readError(t, r.header, r.http, r.body)
}

// TestStoreUnavailable checks that sign-ins succeed while the store doesn't answer, until the held
// secret is older than max_stale.
func TestStoreUnavailable(t *testing.T) {
	var c clock
	s := start(t, settings{
		configuration: strings.Replace(configuration, "    display_name: Acme customers", "    max_stale: 1h", 1),
		now:           c.now,
	})
	s.Store.SetError(errors.New("dial tcp 10.9.8.7:8200: connection refused"))
	ref := secrets.Ref{Path: "sso/acme-customers", Field: "shared_secret"}
	if _, _, err := s.Ring.Refresh(t.Context(), ref); !errors.Is(err, secrets.ErrUnavailable) {
		t.Fatal(err)
	}
	eachTransport(t, func(t *testing.T, tr transport) {
		c.set(time.Hour)
		mint(t, s, tr, call{body: user("")})
		c.set(time.Hour + time.Second)
		for _, method := range []string{"MintToken", "RenderForm", "RenderPage"} {
			r := tr.send(t.Context(), t, s, call{method: method, body: user("")})
			checkRefused(t, tr, r, codes.Unavailable, "SECRET_UNAVAILABLE", http.StatusServiceUnavailable,
				10*time.Second)
			if strings.Contains(r.answer.message+string(r.body), "10.9.8.7") {
				t.Errorf("the answer has the cause: %s %s", r.answer.message, r.body)
			}
		}
		checkRefused(t, tr, tr.send(t.Context(), t, s, call{method: "InspectToken", body: `"token":"x"`}),
			codes.Unavailable, "SECRET_UNAVAILABLE", 503, 10*time.Second)
		// Another configuration has a longer max_stale.
		mint(t, s, tr, call{name: "acme-both", body: user("")})
		m := get[*pb.Configuration](t, tr.send(t.Context(), t, s, call{method: "GetConfiguration"}))
		if m.GetSecret().GetState() != pb.SecretState_SECRET_STATE_UNAVAILABLE {
			t.Errorf("the secret is %v", m.GetSecret())
		}
		page := tr.send(t.Context(), t, s, call{method: "RenderForm", body: user("") + `,"onError":"ON_ERROR_PAGE"`})
		if m := get[*pb.RenderFormResponse](t, page); m.GetReason() != "SECRET_UNAVAILABLE" ||
			m.GetOutcome() != pb.Outcome_OUTCOME_REFUSED {
			t.Errorf("the page has %v %s", m.GetOutcome(), m.GetReason())
		}
	})
	if !strings.Contains(s.Log.String(), "10.9.8.7") {
		t.Errorf("the log doesn't have the cause: %s", s.Log)
	}
}

// TestRate checks the rate of a grant. A refusal by it has the time after which a request succeeds.
// A refusal of another kind doesn't count, and neither does a request with validate_only.
func TestRate(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		var c clock
		s := start(t, settings{configuration: configuration, now: c.now})
		slow := []string{"dmk_slow"}
		for range 5 {
			for _, method := range []string{"MintToken", "RenderForm", "RenderPage"} {
				validate := call{method: method, keys: slow, body: user("") + `,"validateOnly":true`}
				if r := tr.send(t.Context(), t, s, validate); r.code != codes.OK {
					t.Fatalf("a request with validate_only: %v %s", r.code, r.reason)
				}
				denied := call{method: method, keys: slow, body: user(`,"phone":"+4930123456"`)}
				if r := tr.send(t.Context(), t, s, denied); r.reason != "CLAIM_NOT_ALLOWED" {
					t.Fatalf("%v %s", r.code, r.reason)
				}
			}
		}
		mint(t, s, tr, call{keys: slow, body: user("")})
		for range 3 { // a refusal doesn't make the wait longer
			checkRefused(t, tr, tr.send(t.Context(), t, s, call{method: "MintToken", keys: slow, body: user("")}),
				codes.ResourceExhausted, "RATE_LIMITED", http.StatusTooManyRequests, 2*time.Second)
		}
		c.set(1500 * time.Millisecond)
		checkRefused(t, tr, tr.send(t.Context(), t, s, call{method: "RenderPage", keys: slow, body: user("")}),
			codes.ResourceExhausted, "RATE_LIMITED", http.StatusTooManyRequests, 500*time.Millisecond)
		page := tr.send(t.Context(), t, s, call{
			method: "RenderForm", keys: slow, body: user("") + `,"onError":"ON_ERROR_PAGE"`,
		})
		if m := get[*pb.RenderFormResponse](t, page); m.GetReason() != "RATE_LIMITED" {
			t.Errorf("the page has %v %s", m.GetOutcome(), m.GetReason())
		}
		mint(t, s, tr, call{body: user("")}) // another caller has a separate rate
		c.set(2 * time.Second)
		mint(t, s, tr, call{keys: slow, body: user("")})
	})
}

// failingWriter is a writer that fails while armed is set. With short set, it writes half of the
// data first.
type failingWriter struct{ armed, short atomic.Bool }

func (f *failingWriter) Write(b []byte) (int, error) {
	switch {
	case f.armed.Load() && f.short.Load():
		return len(b) / 2, errors.New("short write")
	case f.armed.Load():
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

// TestAuditUnavailable checks that a request fails if its record can't be written. The answer has
// no token and no header about one. The error is the same for a request that would be refused.
func TestAuditUnavailable(t *testing.T) {
	w := &failingWriter{}
	s := start(t, settings{configuration: configuration, audit: w})
	eachTransport(t, func(t *testing.T, tr transport) {
		for _, c := range []call{
			{method: "MintToken", body: user("")},
			{method: "RenderForm", body: user("")},
			{method: "RenderPage", body: user("")},
			{method: "RenderPage", body: user("") + `,"secretVersion":9,"onError":"ON_ERROR_STATUS"`},
			{method: "MintToken", body: user("") + `,"validateOnly":true`},
			{method: "MintToken", body: user("") + `,"secretVersion":9`},
			{method: "MintToken", keys: []string{}, body: user("")},
			{method: "InspectToken", body: `"token":"x"`},
			{method: "ListConfigurations"},
			{method: "GetConfiguration"},
			{method: "RefreshSecret"},
		} {
			w.armed.Store(true)
			w.short.Store(c.method == "MintToken")
			r := tr.send(t.Context(), t, s, c)
			w.armed.Store(false)
			checkRefused(t, tr, r, codes.Unavailable, "AUDIT_UNAVAILABLE", http.StatusServiceUnavailable, time.Second)
			for name := range r.header {
				if strings.HasPrefix(name, "Deskmint-") || name == "Content-Security-Policy" {
					t.Errorf("%s: the error has the header %s", c.method, name)
				}
			}
			if tokenPattern.Match(r.body) {
				t.Errorf("%s: the error has a token: %s", c.method, r.body)
			}
		}
		mint(t, s, tr, call{body: user("")})
	})
}

// hookedWriter is a buffer that calls a function before each write.
type hookedWriter struct {
	bytes.Buffer
	before func()
}

func (h *hookedWriter) Write(b []byte) (int, error) {
	if h.before != nil {
		h.before()
	}
	return h.Buffer.Write(b)
}

// TestRecordBeforeAnswer checks that the answer is sent only after the record has been written.
func TestRecordBeforeAnswer(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		for _, c := range []call{
			{method: "MintToken", body: user("")},
			{method: "RenderForm", body: user("")},
			{method: "RenderPage", body: user("")},
			{method: "RenderForm", body: user(`,"organizations":[""]`) + `,"onError":"ON_ERROR_PAGE"`},
			{method: "RenderPage", body: user(`,"organizations":[""]`) + `,"onError":"ON_ERROR_PAGE"`},
		} {
			writing, release := make(chan struct{}), make(chan struct{})
			w := &hookedWriter{before: func() { writing <- struct{}{}; <-release }}
			s := start(t, settings{configuration: configuration, audit: w})
			answered := make(chan reply, 1)
			go func() { answered <- tr.send(t.Context(), t, s, c) }()
			<-writing
			select {
			case r := <-answered:
				t.Errorf("%s: the answer arrived before the record was written: %v", c.method, r.code)
			case <-time.After(20 * time.Millisecond): // the answer waits for nothing else
			}
			close(release)
			if r := <-answered; r.code != codes.OK {
				t.Errorf("%s: %v %s", c.method, r.code, r.reason)
			}
		}
	})
}
