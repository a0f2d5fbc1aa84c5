package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	secret := func() []byte { return []byte(customersSecret) }
	brand := Brand{ID: "1", Name: "One", Subdomain: "one"}
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"brand without id":   {Options{Brands: []Brand{{ID: "", Name: "One", Subdomain: "one"}}}, "brand id"},
		"same brand twice":   {Options{Brands: []Brand{brand, {ID: "1", Name: "Two", Subdomain: "two"}}}, "brand id"},
		"same subdomain":     {Options{Brands: []Brand{brand, {ID: "2", Name: "Two", Subdomain: "one"}}}, "subdomain"},
		"dot in a subdomain": {Options{Brands: []Brand{{ID: "1", Name: "One", Subdomain: "one.two"}}}, "subdomain"},
		"capital letters":    {Options{Brands: []Brand{{ID: "1", Name: "One", Subdomain: "One"}}}, "subdomain"},
		"no subdomain":       {Options{Brands: []Brand{{ID: "1", Name: "One", Subdomain: ""}}}, "subdomain"},
		"nameless":           {Options{Configurations: []Configuration{{Secret: secret}}}, "configuration name"},
		"same name": {
			Options{Configurations: []Configuration{{Name: "c", Secret: secret}, {Name: "c", Secret: secret}}},
			"configuration name",
		},
		"no secret": {Options{Configurations: []Configuration{{Name: "c"}}}, "no secret"},
		"unknown audience": {
			Options{Configurations: []Configuration{{Name: "c", Audiences: []string{"agents"}, Secret: secret}}},
			"audience",
		},
		"brand isn't there": {
			Options{
				Brands:         []Brand{brand},
				Configurations: []Configuration{{Name: "c", Brands: []string{"2"}, Secret: secret}},
			},
			"unknown brand",
		},
		"two faults together": {
			Options{
				Brands:         []Brand{{ID: "", Name: "One", Subdomain: "one"}},
				Configurations: []Configuration{{Name: "c"}},
			},
			"no secret",
		},
	} {
		if s, err := New(test.options); err == nil || s != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, test.want)
		}
	}
	if _, err := New(Options{}); err != nil {
		t.Errorf("an account without brands: %v", err)
	}
}

func TestHosts(t *testing.T) {
	z := start(t)
	for host, want := range map[string]int{
		"acme.localhost":      200,
		"acme-labs.localhost": 200,
		"localhost":           200,
		"x.acme.localhost":    404,
		"acme.localhost.test": 404,
		"acmeXlocalhost":      404,
		"acme":                404,
		"127.0.0.1":           200,
		"notacme.localhost":   404,
		"acme.localhost.":     404,
	} {
		if got := z.get(t, host, "/"); got.status != want {
			t.Errorf("%s: status %d, want %d", host, got.status, want)
		}
	}
	// The host has no port, as on port 80.
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest("GET", "http://acme-labs.localhost/", nil)
	z.ServeHTTP(recorder, request)
	if !strings.Contains(recorder.Body.String(), "Acme Labs") {
		t.Errorf("without a port: %s", recorder.Body)
	}
}

// TestSignedIn follows the sign-in of one user.
func TestSignedIn(t *testing.T) {
	z := start(t)
	if page := z.get(t, "acme.localhost", "/hc/en-us"); !strings.Contains(page.body, `id="signed-out"`) {
		t.Fatalf("a user is signed in at the start: %s", page.body)
	}
	changes := map[string]any{
		"name": `Ada <b>&</b>`, "tags": []string{"vip"}, "user_fields": map[string]any{"age": 36, "old": nil},
		"shoe_size": 38, "exp": testTime.Unix() + 180,
	}
	got := z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(changes)}, "return_to": {"/hc/en-us?a=1&b='2'"}})
	if want := fmt.Sprintf(redirectBody, "/hc/en-us?a=1&amp;b=&#39;2&#39;"); got.status != 200 || got.body != want {
		t.Errorf("got %d %s\nwant 200 %s", got.status, got.body, want)
	}
	if got := got.header.Get("Refresh"); got != "0; url=/hc/en-us?a=1&b='2'" {
		t.Errorf("Refresh: %s", got)
	}
	cookie, err := http.ParseSetCookie(got.header.Get("Set-Cookie"))
	if err != nil || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" ||
		cookie.Domain != "" || len(cookie.Value) < 22 {
		t.Errorf("cookie %v, %v", cookie, err)
	}
	signIn := z.last(t)
	if signIn.ID != 1 || signIn.Outcome != OutcomeSignedIn || signIn.Reason != "" ||
		signIn.Configuration != "acme-customers" ||
		signIn.Brand != "360001" || !signIn.Time.Equal(testTime) || signIn.ReturnTo != "/hc/en-us?a=1&b='2'" {
		t.Errorf("recorded %+v", signIn)
	}
	if signIn.Claims["email"] != "ada@example.com" || signIn.Claims["shoe_size"] != json.Number("38") {
		t.Errorf("claims %v", signIn.Claims)
	}
	if got := fmt.Sprint(signIn.Undocumented); got != "[exp shoe_size]" {
		t.Errorf("undocumented claims %s", got)
	}
	page := z.get(t, "acme.localhost", "/hc/en-us").body
	for _, want := range []string{
		"Signed in as Ada &lt;b&gt;&amp;&lt;/b&gt;", "ada@example.com", "<code>/hc/en-us</code>",
		"<code>[&#34;vip&#34;]</code>", "<code>{&#34;age&#34;:36,&#34;old&#34;:null}</code>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q isn't on the page\n%s", want, page)
		}
	}
	// Another brand has another host. It doesn't accept the cookie, even if a client sends it
	// there.
	if page := z.get(t, "acme-labs.localhost", "/"); !strings.Contains(page.body, `id="signed-out"`) {
		t.Error("signed in at the other brand as well")
	}
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest("GET", "http://acme-labs.localhost/", nil)
	request.AddCookie(cookie)
	z.ServeHTTP(recorder, request)
	if strings.Contains(recorder.Body.String(), "Ada") {
		t.Error("a session of one brand counts at another")
	}
}

func TestReplay(t *testing.T) {
	z := start(t)
	fields := url.Values{"jwt": {tokenWith(nil)}}
	if z.post(t, "acme.localhost", fields); z.last(t).Outcome != OutcomeSignedIn {
		t.Fatalf("first POST: %+v", z.last(t))
	}
	for _, host := range []string{"acme.localhost", "acme-labs.localhost"} {
		z.post(t, host, fields)
		if got := z.last(t); got.Reason != ReasonReplay ||
			!strings.Contains(got.Message, "unique user identifier has been reused") {
			t.Errorf("second POST at %s: %+v", host, got)
		}
	}
	// Three minutes later the token is just still valid.
	z.clock.Store(int64(3 * time.Minute))
	if z.post(t, "acme.localhost", fields); z.last(t).Reason != ReasonReplay {
		t.Errorf("after 3 minutes: %+v", z.last(t))
	}
	// A refused token doesn't count as used.
	z.clock.Store(0)
	refused := tokenWith(map[string]any{"jti": "once", "name": nil})
	if z.post(t, "acme.localhost", url.Values{"jwt": {refused}}); z.last(t).Reason != ReasonClaims {
		t.Errorf("without a name: %+v", z.last(t))
	}
	z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(map[string]any{"jti": "once"})}})
	if z.last(t).Outcome != OutcomeSignedIn {
		t.Errorf("with a jti that was only refused: %+v", z.last(t))
	}
}

// TestReplaysExpire checks that old entries are deleted, and that none is deleted too early.
func TestReplaysExpire(t *testing.T) {
	var r replays
	for i := range 1000 {
		at := testTime.Add(time.Duration(i) * time.Second)
		if !r.claim(fmt.Sprint(i), at) {
			t.Fatalf("jti %d is new", i)
		}
		// A token from 3 minutes ahead was claimed 6 minutes before it expires.
		if i >= 360 && r.claim(fmt.Sprint(i-360), at) {
			t.Fatalf("jti %d was forgotten while its token is good", i-360)
		}
	}
	if len(r.until) > 362 || len(r.until) != len(r.inOrder) {
		t.Errorf("%d remembered, %d in order", len(r.until), len(r.inOrder))
	}
}

// TestConcurrentReplay posts one token from many browsers at the same time.
func TestConcurrentReplay(t *testing.T) {
	z := start(t)
	fields := url.Values{"jwt": {tokenWith(nil)}}
	var wait sync.WaitGroup
	for range 32 {
		wait.Go(func() { z.post(t, "acme.localhost", fields) })
	}
	wait.Wait()
	accepted := 0
	for i, signIn := range z.SignIns() {
		if signIn.ID != i+1 {
			t.Errorf("sign-in %d has the id %d", i+1, signIn.ID)
		}
		if signIn.Outcome == OutcomeSignedIn {
			accepted++
		} else if signIn.Reason != ReasonReplay {
			t.Errorf("refused for %s", signIn.Reason)
		}
	}
	if accepted != 1 {
		t.Errorf("%d signed in, want 1", accepted)
	}
}

func TestRecordIsBounded(t *testing.T) {
	var r record
	for range maxRecord + 10 {
		r.add(SignIn{})
	}
	all := r.all()
	if len(all) != maxRecord || all[0].ID != 11 || all[maxRecord-1].ID != maxRecord+10 {
		t.Errorf("%d kept, from %d", len(all), all[0].ID)
	}
	for id, want := range map[int]bool{
		-1:             false,
		0:              false,
		10:             false,
		11:             true,
		maxRecord + 10: true,
		maxRecord + 11: false,
	} {
		if got, ok := r.find(id); ok != want || ok && got.ID != id {
			t.Errorf("find(%d): %v, %v", id, got.ID, ok)
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	var s sessions
	first := s.open(SignIn{Brand: "1"}, site{}, false)
	for range maxSessions {
		s.open(SignIn{Brand: "1"}, site{}, false)
	}
	request := httptest.NewRequest("GET", "/", nil)
	request.AddCookie(first)
	if _, ok := s.of(request, site{Brand: Brand{ID: "1"}}); ok || len(s.byID) != maxSessions {
		t.Errorf("%d sessions, the oldest still open: %v", len(s.byID), ok)
	}
	if cookie := s.open(SignIn{}, site{}, true); !cookie.Secure {
		t.Error("over TLS the cookie isn't secure")
	}
}
