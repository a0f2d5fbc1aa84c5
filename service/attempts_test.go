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

// clock is one that the test sets.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time              { return now.Add(time.Duration(c.offset.Load())) }
func (c *clock) set(after time.Duration)     { c.offset.Store(int64(after)) }
func (c *clock) advance(after time.Duration) { c.offset.Add(int64(after)) }

// with adds an attempt to a sign-in's fields.
func with(body, attempt string) string { return body + `,"attempt":` + quote(attempt) }

// mint signs in and returns the attempt that came back.
func mint(t *testing.T, s *server, d transport, c call) (attempt string) {
	t.Helper()
	c.method = "MintToken"
	r := d.send(t.Context(), t, s, c)
	m := get[*pb.MintTokenResponse](t, r)
	if m.GetToken() == "" || m.GetAttempt() == "" {
		t.Fatalf("no token: %v %s %q %v", r.code, r.reason, r.message, r.field)
	}
	return m.GetAttempt()
}

// Replicas whose clocks differ count alike: a browser that is sent from one to the other is stopped
// at the limit. What is from far ahead is a clock put right since.
func TestAttemptsOfSkewedReplicas(t *testing.T) {
	eachTransport(t, func(t *testing.T, d transport) {
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
				r := d.send(t.Context(), t, replicas[n%2], call{method: "MintToken", body: with(user(""), attempt)})
				if r.reason == "SIGN_IN_LOOP" {
					stopped = n
				}
				attempt = get[*pb.MintTokenResponse](t, r).GetAttempt()
			}
			if stopped != c.stops {
				t.Errorf("%v apart: stopped at %d, want %d", c.ahead, stopped, c.stops)
			}
		}
	})
}

// looped is a sign-in that must be stopped.
func looped(t *testing.T, s *server, d transport, c call, retry time.Duration) {
	t.Helper()
	c.method = "MintToken"
	r := d.send(t.Context(), t, s, c)
	if r.code != codes.FailedPrecondition || r.reason != "SIGN_IN_LOOP" || r.retry != retry {
		t.Fatalf("got %v %s, retry after %v; want a loop and %v", r.code, r.reason, r.retry, retry)
	}
	if m := get[*pb.MintTokenResponse](t, r); m.GetToken() != "" {
		t.Error("a loop came with a token")
	}
	if d.name != "http" {
		return
	}
	a := readError(t, r.header, r.http, r.body)
	if want := strconv.Itoa(int((retry + time.Second - 1) / time.Second)); a.http != http.StatusConflict ||
		r.header.Get("Retry-After") != want {
		t.Errorf("HTTP %d, Retry-After %q, want %s", a.http, r.header.Get("Retry-After"), want)
	}
}

func TestFourthSignInIsALoop(t *testing.T) {
	var c clock
	s := start(t, settings{configuration: configuration, now: c.now})
	eachTransport(t, func(t *testing.T, d transport) {
		c.set(0)
		first := mint(t, s, d, call{body: user("")})
		c.advance(10 * time.Second)
		second := mint(t, s, d, call{body: with(user(""), first)})
		c.advance(10 * time.Second)
		third := mint(t, s, d, call{body: with(user(""), second)})
		c.advance(10 * time.Second)
		// The token's time is in whole seconds, and so is the attempt's: the window ends 60 s after
		// the beginning of the first one's second.
		fraction := time.Duration(now.Nanosecond())
		looped(t, s, d, call{body: with(user(""), third)}, 30*time.Second-fraction)
		if r := d.send(t.Context(), t, s, call{method: "RenderPage", body: with(user(""), third)}); r.reason != "SIGN_IN_LOOP" {
			t.Errorf("a page is another sign-in: %s", r.reason)
		}

		// One forgotten by now makes room for one more.
		c.set(60*time.Second - fraction)
		fourth := mint(t, s, d, call{body: with(user(""), third)})
		looped(t, s, d, call{body: with(user(""), fourth)}, 10*time.Second)
		c.set(10 * time.Minute)
		again := mint(t, s, d, call{body: with(user(""), fourth)})
		if len(again) != len(first) {
			t.Errorf("an attempt keeps what is past: %d characters, the first has %d", len(again), len(first))
		}
	})
}

// Limit and window are the configuration's, and each way to sign in counts.
func TestLoopSettings(t *testing.T) {
	var c clock
	yaml := strings.Replace(configuration, "    display_name: Acme customers", "    loop: {limit: 3, window: 5m}", 1)
	s := start(t, settings{configuration: yaml, now: c.now})
	eachTransport(t, func(t *testing.T, d transport) {
		c.set(0)
		page := d.send(t.Context(), t, s, call{method: "RenderPage", body: user("")})
		form := get[*pb.RenderFormResponse](
			t,
			d.send(t.Context(), t, s, call{
				method: "RenderForm", body: with(user(""), page.header.Get("Deskmint-Attempt")),
			}),
		)
		c.set(4 * time.Minute)
		looped(t, s, d, call{body: with(user(""), form.GetAttempt())}, time.Minute-time.Duration(now.Nanosecond()))
		c.set(5 * time.Minute)
		mint(t, s, d, call{body: with(user(""), form.GetAttempt())})
	})
}

// The page says that it is a loop, and asks for a sign-in of its own later.
func TestLoopAsAPage(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	eachTransport(t, func(t *testing.T, d transport) {
		attempt := ""
		for range 3 {
			attempt = mint(t, s, d, call{body: with(user(""), attempt)})
		}
		records(t, s)
		refusal{
			call: call{
				body: with(user(""), attempt),
			}, reason: "SIGN_IN_LOOP", code: codes.FailedPrecondition, http: http.StatusConflict,
			problem: page.ProblemLoop, loop: true,
		}.check(t, s, d)
	})
}

// Neither a refusal nor a trial run counts.
func TestWhatIsNoAttempt(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	eachTransport(t, func(t *testing.T, d transport) {
		attempt := ""
		for range 2 {
			attempt = mint(t, s, d, call{body: with(user(""), attempt)})
		}
		for range 5 {
			r := d.send(t.Context(), t, s, call{
				method: "MintToken", body: with(user(""), attempt) + `,"validateOnly":true`,
			})
			if m := get[*pb.MintTokenResponse](t, r); r.code != codes.OK || m.GetAttempt() != "" ||
				m.GetToken() != "" ||
				m.GetJti() != "" ||
				m.GetForm() != nil {
				t.Fatalf("a trial run is answered with %v %v", r.code, m)
			}
			if r := d.send(t.Context(), t, s, call{method: "MintToken", body: with(user(`,"phone":"1"`), attempt)}); r.reason != "INVALID_FIELD" {
				t.Fatal(r.reason)
			}
		}
		mint(t, s, d, call{body: with(user(""), attempt)})
	})
}

// What isn't this person's own, here, counts as a first time: an attempt can stop nobody else, and
// one that is damaged stops nobody at all.
func TestForeignAttempts(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	eachTransport(t, func(t *testing.T, d transport) {
		third := ""
		for range 3 {
			third = mint(t, s, d, call{body: with(user(""), third)})
		}
		looped(t, s, d, call{body: with(user(""), third)}, time.Minute-time.Duration(now.Nanosecond()))
		first := mint(t, s, d, call{body: user("")})

		raw, err := base64.RawURLEncoding.DecodeString(third)
		if err != nil {
			t.Fatal(err)
		}
		altered := func(change func([]byte) []byte) string {
			return base64.RawURLEncoding.EncodeToString(change(bytes.Clone(raw)))
		}
		bodies := map[string]string{
			"another person": with(`"user":{"email":"bob@customer.example","emailVerified":true,"name":"Bob"}`,
				third),
			"another brand":      with(user("")+`,"brandId":"360002"`, third),
			"a forged MAC":       with(user(""), altered(func(b []byte) []byte { b[0] ^= 1; return b })),
			"another time":       with(user(""), altered(func(b []byte) []byte { b[len(b)-1] ^= 1; return b })),
			"the MAC alone":      with(user(""), altered(func(b []byte) []byte { return b[:32] })),
			"half a MAC":         with(user(""), altered(func(b []byte) []byte { return b[:16] })),
			"a time taken off":   with(user(""), altered(func(b []byte) []byte { return b[:len(b)-5] })),
			"a time cut through": with(user(""), altered(func(b []byte) []byte { return b[:len(b)-1] })),
			"a time added":       with(user(""), altered(func(b []byte) []byte { return append(b, b[len(b)-5:]...) })),
			"no MAC of zeros": with(user(""),
				altered(func(b []byte) []byte { return append(make([]byte, 32), b[32:]...) })),
			"a character off":       with(user(""), third[:len(third)-1]),
			"padding":               with(user(""), third+"="),
			"the other alphabet":    with(user(""), "+/"+third[2:]),
			"white space":           with(user(""), " "+third),
			"nothing":               with(user(""), ""),
			"no base64 at all":      with(user(""), "ünïcödé \x00"),
			"as long as it may be":  with(user(""), strings.Repeat("A", 1024)),
			"two attempts in a row": with(user(""), first+third),
			"the same person, upper": with(
				`"user":{"email":"bob@CUSTOMER.example","emailVerified":true,"name":"Bob"}`, third),
		}
		for name, body := range bodies {
			t.Run(name, func(t *testing.T) {
				if got := mint(t, s, d, call{body: body}); len(got) != len(first) {
					t.Errorf("it was counted: %d characters, a first time has %d", len(got), len(first))
				}
			})
		}
		t.Run("too long", func(t *testing.T) {
			r := d.send(t.Context(), t, s, call{method: "MintToken", body: with(user(""), strings.Repeat("A", 1025))})
			if r.reason != "INVALID_FIELD" || r.field["attempt"] == "" {
				t.Errorf("%s %v", r.reason, r.field)
			}
		})
		t.Run("the same person in capitals", func(t *testing.T) {
			r := d.send(t.Context(), t, s, call{
				method: "MintToken",
				body:   with(`"user":{"email":"ANA@customer.example","emailVerified":true,"name":"Ana"}`, third),
			})
			if r.reason != "SIGN_IN_LOOP" {
				t.Errorf("%v %s: it is the same person", r.code, r.reason)
			}
		})
	})
}

// Two configurations can have one secret and one brand; a loop at one is none at the other.
func TestAttemptsOfAnotherConfiguration(t *testing.T) {
	yaml := strings.Replace(configuration, "secret: {path: sso/acme-staff,", "secret: {path: sso/acme-customers,", 1)
	s := start(t, settings{configuration: yaml})
	eachTransport(t, func(t *testing.T, d transport) {
		staff := call{name: "acme-staff", body: user(`,"role":"ROLE_AGENT"`) + `,"clientIp":"192.0.2.7"`}
		first := mint(t, s, d, staff)
		customers := mint(t, s, d, call{body: user("")})
		if got := mint(t, s, d, call{body: with(user(""), customers)}); len(got) <= len(first) {
			t.Fatal("its own isn't counted")
		}
		staff.body = with(staff.body, customers)
		if got := mint(t, s, d, staff); len(got) != len(first) {
			t.Error("the other's was counted")
		}
	})
}

// A loop goes on through a rotation, so its count does: what any held version has sealed is
// believed. What was sealed under one that is held no more isn't.
func TestAttemptsSurviveRotation(t *testing.T) {
	eachTransport(t, func(t *testing.T, d transport) {
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
		sealedBy1 := mint(t, s, d, call{body: user("")})
		sealedBy2 := mint(t, s, d, call{body: with(user(""), sealedBy1) + `,"secretVersion":2`})
		third := mint(t, s, d, call{body: with(user(""), sealedBy2)}) // read under the staged version
		if !slices.IsSortedFunc([]string{sealedBy1, sealedBy2, third},
			func(a, b string) int { return len(a) - len(b) }) {
			t.Error("the staged version's attempt wasn't counted")
		}
		activate(2)
		left := time.Minute - time.Duration(now.Nanosecond())
		looped(t, s, d, call{body: with(user(""), third)}, left) // read under the previous one
		s.Store.Put(ref.Path, ref.Field, []byte(nextSecret+"-3"))
		activate(3)
		fresh := mint(t, s, d, call{body: with(user(""), third)}) // version 1 is history
		if len(fresh) != len(sealedBy1) {
			t.Error("an attempt sealed under a version that isn't held was counted")
		}
	})
}

// An attempt is sealed with the key that signs tokens. It must not be one, nor be made into one.
func TestAttemptIsNoToken(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	eachTransport(t, func(t *testing.T, d transport) {
		attempt := mint(t, s, d, call{body: user("")})
		if strings.Contains(attempt, ".") {
			t.Errorf("attempt %q has parts", attempt)
		}
		raw, err := base64.RawURLEncoding.DecodeString(attempt)
		if err != nil {
			t.Fatal(err)
		}
		mac, body := base64.RawURLEncoding.EncodeToString(raw[:32]), base64.RawURLEncoding.EncodeToString(raw[32:])
		key := func(*jwt.Token) (any, error) { return []byte(customersSecret), nil }
		for _, token := range []string{
			attempt, attempt + "." + attempt + "." + attempt, tokenHeader + "." + body + "." + mac, body + "." + body + "." + mac, tokenHeader + ".." + mac, ".." + mac,
		} {
			if _, err := jwt.Parse(token, key, jwt.WithValidMethods([]string{"HS256"})); err == nil {
				t.Errorf("%q is taken for a token", token)
			}
			m := get[*pb.InspectTokenResponse](t,
				d.send(t.Context(), t, s, call{method: "InspectToken", body: `"token":` + quote(token)}))
			if m.GetAcceptable() || m.GetSecretVersion() != 0 {
				t.Errorf("%q: acceptable %v, signed with version %d", token, m.GetAcceptable(), m.GetSecretVersion())
			}
		}
		// And no token is an attempt.
		r := d.send(t.Context(), t, s, call{method: "RenderPage", body: user("")})
		token := string(aToken.Find(get[*httpbody.HttpBody](t, r).GetData()))
		if got := mint(t, s, d, call{body: with(user(""), token)}); len(got) != len(attempt) {
			t.Error("a token was counted as an attempt")
		}
	})
}
