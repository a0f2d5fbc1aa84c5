package service_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc/codes"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/page"
)

// clock is a clock that a test sets. It starts at now.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time              { return now.Add(time.Duration(c.offset.Load())) }
func (c *clock) set(after time.Duration)     { c.offset.Store(int64(after)) }
func (c *clock) advance(after time.Duration) { c.offset.Add(int64(after)) }

// withAttempt adds an attempt to the fields of a sign-in.
func withAttempt(body, attempt string) string { return body + `,"attempt":` + quote(attempt) }

// mint signs in and returns the attempt of the answer.
func mint(t *testing.T, s *server, tr transport, c call) (attempt string) {
	t.Helper()
	c.method = "MintToken"
	r := tr.send(t.Context(), t, s, c)
	m := get[*pb.MintTokenResponse](t, r)
	if m.GetToken() == "" || m.GetAttempt() == "" {
		t.Fatalf("the answer has no token: %v %s %q %v", r.code, r.reason, r.message, r.field)
	}
	return m.GetAttempt()
}

// TestAttemptsOfSkewedReplicas checks that replicas whose clocks differ stop a browser at the same
// limit when its requests alternate between them. An attempt from more than 30 s in the future
// isn't counted, because then a clock has been corrected.
func TestAttemptsOfSkewedReplicas(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		for _, c := range []struct {
			ahead time.Duration
			stops int
		}{{2 * time.Second, 4}, {30 * time.Second, 4}, {31 * time.Second, 0}} {
			var ahead clock
			ahead.set(c.ahead)
			replicas := []*server{
				start(t, settings{configuration: configuration}),
				start(t, settings{configuration: configuration, now: ahead.now}),
			}
			attempt, stopped := "", 0
			for n := 1; n <= 6 && stopped == 0; n++ {
				r := tr.send(t.Context(), t, replicas[n%2],
					call{method: "MintToken", body: withAttempt(user(""), attempt)})
				if r.reason == "SIGN_IN_LOOP" {
					stopped = n
				}
				attempt = get[*pb.MintTokenResponse](t, r).GetAttempt()
			}
			if stopped != c.stops {
				t.Errorf("with clocks %v apart: stopped at %d, want %d", c.ahead, stopped, c.stops)
			}
		}
	})
}

// checkLoop signs in and checks that the answer is a loop.
func checkLoop(t *testing.T, s *server, tr transport, c call, retry time.Duration) {
	t.Helper()
	c.method = "MintToken"
	r := tr.send(t.Context(), t, s, c)
	if r.code != codes.FailedPrecondition || r.reason != "SIGN_IN_LOOP" || r.retry != retry {
		t.Fatalf("got %v %s, retry after %v; want SIGN_IN_LOOP and %v", r.code, r.reason, r.retry, retry)
	}
	if m := get[*pb.MintTokenResponse](t, r); m.GetToken() != "" {
		t.Error("the answer has a token in spite of the loop")
	}
	if tr.name != "http" {
		return
	}
	a := readError(t, r.header, r.http, r.body)
	if want := strconv.Itoa(int((retry + time.Second - 1) / time.Second)); a.http != http.StatusConflict ||
		r.header.Get("Retry-After") != want {
		t.Errorf("HTTP %d, Retry-After %q, want %s", a.http, r.header.Get("Retry-After"), want)
	}
}

func TestSignInLoop(t *testing.T) {
	var c clock
	s := start(t, settings{configuration: configuration, now: c.now})
	eachTransport(t, func(t *testing.T, tr transport) {
		c.set(0)
		first := mint(t, s, tr, call{body: user("")})
		c.advance(10 * time.Second)
		second := mint(t, s, tr, call{body: withAttempt(user(""), first)})
		c.advance(10 * time.Second)
		third := mint(t, s, tr, call{body: withAttempt(user(""), second)})
		c.advance(10 * time.Second)
		// Tokens and attempts have times in whole seconds. The window ends 60 s after the beginning
		// of the second in which the first attempt was made.
		fraction := time.Duration(now.Nanosecond())
		checkLoop(t, s, tr, call{body: withAttempt(user(""), third)}, 30*time.Second-fraction)
		r := tr.send(t.Context(), t, s, call{method: "RenderPage", body: withAttempt(user(""), third)})
		if r.reason != "SIGN_IN_LOOP" {
			t.Errorf("RenderPage doesn't count the attempts of MintToken: %s", r.reason)
		}

		// The first attempt has left the window, so one more is allowed.
		c.set(60*time.Second - fraction)
		fourth := mint(t, s, tr, call{body: withAttempt(user(""), third)})
		checkLoop(t, s, tr, call{body: withAttempt(user(""), fourth)}, 10*time.Second)
		c.set(10 * time.Minute)
		again := mint(t, s, tr, call{body: withAttempt(user(""), fourth)})
		if len(again) != len(first) {
			t.Errorf("the attempt has times outside the window: it has %d characters, want %d", len(again), len(first))
		}
	})
}

// TestLoopSettings checks that the limit and the window are those of the configuration, and that
// all three methods count.
func TestLoopSettings(t *testing.T) {
	var c clock
	yaml := strings.Replace(configuration, "    display_name: Acme customers", "    loop: {limit: 3, window: 5m}", 1)
	s := start(t, settings{configuration: yaml, now: c.now})
	eachTransport(t, func(t *testing.T, tr transport) {
		c.set(0)
		page := tr.send(t.Context(), t, s, call{method: "RenderPage", body: user("")})
		form := get[*pb.RenderFormResponse](
			t,
			tr.send(t.Context(), t, s, call{
				method: "RenderForm", body: withAttempt(user(""), page.header.Get("Deskmint-Attempt")),
			}),
		)
		c.set(4 * time.Minute)
		checkLoop(t, s, tr, call{body: withAttempt(user(""), form.GetAttempt())},
			time.Minute-time.Duration(now.Nanosecond()))
		c.set(5 * time.Minute)
		mint(t, s, tr, call{body: withAttempt(user(""), form.GetAttempt())})
	})
}

// TestLoopPage checks the page that reports a loop.
func TestLoopPage(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	eachTransport(t, func(t *testing.T, tr transport) {
		attempt := ""
		for range 3 {
			attempt = mint(t, s, tr, call{body: withAttempt(user(""), attempt)})
		}
		records(t, s)
		refusalCase{
			call: call{
				body: withAttempt(user(""), attempt),
			}, reason: "SIGN_IN_LOOP", code: codes.FailedPrecondition, http: http.StatusConflict,
			problem: page.ProblemLoop, loop: true,
		}.check(t, s, tr)
	})
}

// TestUncountedAttempts checks that neither a refusal nor a request with validate_only counts as an
// attempt.
func TestUncountedAttempts(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	eachTransport(t, func(t *testing.T, tr transport) {
		attempt := ""
		for range 2 {
			attempt = mint(t, s, tr, call{body: withAttempt(user(""), attempt)})
		}
		for range 5 {
			r := tr.send(t.Context(), t, s, call{
				method: "MintToken", body: withAttempt(user(""), attempt) + `,"validateOnly":true`,
			})
			if m := get[*pb.MintTokenResponse](t, r); r.code != codes.OK || m.GetAttempt() != "" ||
				m.GetToken() != "" ||
				m.GetJti() != "" ||
				m.GetForm() != nil {
				t.Fatalf("the answer to a request with validate_only is %v %v", r.code, m)
			}
			invalid := call{method: "MintToken", body: withAttempt(user(`,"organizations":[""]`), attempt)}
			if r := tr.send(t.Context(), t, s, invalid); r.reason != "INVALID_FIELD" {
				t.Fatal(r.reason)
			}
		}
		mint(t, s, tr, call{body: withAttempt(user(""), attempt)})
	})
}

// TestForeignAttempts checks that an attempt of another user or of another brand doesn't count, and
// neither does a damaged one. The sign-in then counts as the first.
func TestForeignAttempts(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	eachTransport(t, func(t *testing.T, tr transport) {
		third := ""
		for range 3 {
			third = mint(t, s, tr, call{body: withAttempt(user(""), third)})
		}
		checkLoop(t, s, tr, call{body: withAttempt(user(""), third)}, time.Minute-time.Duration(now.Nanosecond()))
		first := mint(t, s, tr, call{body: user("")})

		raw, err := base64.RawURLEncoding.DecodeString(third)
		if err != nil {
			t.Fatal(err)
		}
		altered := func(change func([]byte) []byte) string {
			return base64.RawURLEncoding.EncodeToString(change(bytes.Clone(raw)))
		}
		bodies := map[string]string{
			"another user": withAttempt(`"user":{"email":"bob@customer.example","emailVerified":true,"name":"Bob"}`,
				third),
			"another brand":      withAttempt(user("")+`,"brandId":"360002"`, third),
			"a forged MAC":       withAttempt(user(""), altered(func(b []byte) []byte { b[0] ^= 1; return b })),
			"another time":       withAttempt(user(""), altered(func(b []byte) []byte { b[len(b)-1] ^= 1; return b })),
			"the MAC alone":      withAttempt(user(""), altered(func(b []byte) []byte { return b[:32] })),
			"half a MAC":         withAttempt(user(""), altered(func(b []byte) []byte { return b[:16] })),
			"a time removed":     withAttempt(user(""), altered(func(b []byte) []byte { return b[:len(b)-5] })),
			"a time cut through": withAttempt(user(""), altered(func(b []byte) []byte { return b[:len(b)-1] })),
			"a time added": withAttempt(user(""),
				altered(func(b []byte) []byte { return append(b, b[len(b)-5:]...) })),
			"a MAC of zeros": withAttempt(user(""),
				altered(func(b []byte) []byte { return append(make([]byte, 32), b[32:]...) })),
			"a character removed":   withAttempt(user(""), third[:len(third)-1]),
			"padding":               withAttempt(user(""), third+"="),
			"the other alphabet":    withAttempt(user(""), "+/"+third[2:]),
			"white space":           withAttempt(user(""), " "+third),
			"nothing":               withAttempt(user(""), ""),
			"not base64":            withAttempt(user(""), "ünïcödé \x00"),
			"the maximum length":    withAttempt(user(""), strings.Repeat("A", 1024)),
			"two attempts in a row": withAttempt(user(""), first+third),
			"another user in capitals": withAttempt(
				`"user":{"email":"bob@CUSTOMER.example","emailVerified":true,"name":"Bob"}`, third),
		}
		for name, body := range bodies {
			t.Run(name, func(t *testing.T) {
				if got := mint(t, s, tr, call{body: body}); len(got) != len(first) {
					t.Errorf("the attempt was counted: the new one has %d characters, want %d", len(got), len(first))
				}
			})
		}
		t.Run("too long", func(t *testing.T) {
			r := tr.send(t.Context(), t, s, call{
				method: "MintToken", body: withAttempt(user(""), strings.Repeat("A", 1025)),
			})
			if r.reason != "INVALID_FIELD" || r.field["attempt"] == "" {
				t.Errorf("%s %v", r.reason, r.field)
			}
		})
		t.Run("the same user in capitals", func(t *testing.T) {
			r := tr.send(t.Context(), t, s, call{
				method: "MintToken",
				body:   withAttempt(`"user":{"email":"ANA@customer.example","emailVerified":true,"name":"Ana"}`, third),
			})
			if r.reason != "SIGN_IN_LOOP" {
				t.Errorf("got %v %s, want SIGN_IN_LOOP because it is the same user", r.code, r.reason)
			}
		})
	})
}

// TestAttemptsOfAnotherConfiguration checks that attempts at one configuration don't count at
// another one, even if both have the same secret and the same brand.
func TestAttemptsOfAnotherConfiguration(t *testing.T) {
	yaml := strings.Replace(configuration, "secret: {path: sso/acme-staff,", "secret: {path: sso/acme-customers,", 1)
	s := start(t, settings{configuration: yaml})
	eachTransport(t, func(t *testing.T, tr transport) {
		staff := call{name: "acme-staff", body: user(`,"role":"ROLE_AGENT"`) + `,"clientIp":"192.0.2.7"`}
		first := mint(t, s, tr, staff)
		customers := mint(t, s, tr, call{body: user("")})
		if got := mint(t, s, tr, call{body: withAttempt(user(""), customers)}); len(got) <= len(first) {
			t.Fatal("an attempt of the same configuration isn't counted")
		}
		staff.body = withAttempt(staff.body, customers)
		if got := mint(t, s, tr, staff); len(got) != len(first) {
			t.Error("an attempt of the other configuration was counted")
		}
	})
}

// TestAttemptsSurviveRotation checks that attempts count during a rotation, because a loop can
// continue through it. An attempt is accepted if it was sealed with any version that is held, and
// not otherwise.
func TestAttemptsSurviveRotation(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		s := start(t, settings{configuration: configuration})
		ref := secrets.Ref{Path: "sso/acme-customers", Field: "shared_secret"}
		activate := func(v secrets.Version) {
			t.Helper()
			if err := s.Store.Activate(ref.Path, v); err != nil {
				t.Fatal(err)
			}
			if _, after, err := s.Ring.Refresh(t.Context(), ref); err != nil || after.Active != v {
				t.Fatalf("%+v %v", after, err)
			}
		}
		activate(1)
		s.Store.Put(ref.Path, ref.Field, []byte(nextSecret))
		activate(1)
		sealedBy1 := mint(t, s, tr, call{body: user("")})
		sealedBy2 := mint(t, s, tr, call{body: withAttempt(user(""), sealedBy1) + `,"secretVersion":2`})
		third := mint(t, s, tr, call{body: withAttempt(user(""), sealedBy2)}) // verified with the staged version
		if !slices.IsSortedFunc([]string{sealedBy1, sealedBy2, third},
			func(a, b string) int { return len(a) - len(b) }) {
			t.Error("the attempt sealed with the staged version wasn't counted")
		}
		activate(2)
		left := time.Minute - time.Duration(now.Nanosecond())
		checkLoop(t, s, tr, call{body: withAttempt(user(""), third)}, left) // verified with the previous version
		s.Store.Put(ref.Path, ref.Field, []byte(nextSecret+"-3"))
		activate(3)
		fresh := mint(t, s, tr, call{body: withAttempt(user(""), third)}) // version 1 is no longer held
		if len(fresh) != len(sealedBy1) {
			t.Error("an attempt sealed with a version that isn't held was counted")
		}
	})
}

// TestAttemptIsNoToken checks that an attempt, which is sealed with the key that signs tokens, is
// not a valid token and can't be turned into one.
func TestAttemptIsNoToken(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	eachTransport(t, func(t *testing.T, tr transport) {
		attempt := mint(t, s, tr, call{body: user("")})
		if strings.Contains(attempt, ".") {
			t.Errorf("the attempt %q has several parts", attempt)
		}
		raw, err := base64.RawURLEncoding.DecodeString(attempt)
		if err != nil {
			t.Fatal(err)
		}
		mac, body := base64.RawURLEncoding.EncodeToString(raw[:32]), base64.RawURLEncoding.EncodeToString(raw[32:])
		key := func(*jwt.Token) (any, error) { return []byte(customersSecret), nil }
		for _, token := range []string{
			attempt,
			attempt + "." + attempt + "." + attempt,
			tokenHeader + "." + body + "." + mac,
			body + "." + body + "." + mac,
			tokenHeader + ".." + mac,
			".." + mac,
		} {
			if _, err := jwt.Parse(token, key, jwt.WithValidMethods([]string{"HS256"})); err == nil {
				t.Errorf("%q is accepted as a token", token)
			}
			m := get[*pb.InspectTokenResponse](t,
				tr.send(t.Context(), t, s, call{method: "InspectToken", body: `"token":` + quote(token)}))
			if m.GetAcceptable() || m.GetSecretVersion() != 0 {
				t.Errorf("%q: acceptable %v, signed with version %d", token, m.GetAcceptable(), m.GetSecretVersion())
			}
		}
		// A token is not a valid attempt either.
		r := tr.send(t.Context(), t, s, call{method: "RenderPage", body: user("")})
		token := string(tokenPattern.Find(get[*httpbody.HttpBody](t, r).GetData()))
		if got := mint(t, s, tr, call{body: withAttempt(user(""), token)}); len(got) != len(attempt) {
			t.Error("a token was counted as an attempt")
		}
	})
}
