package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// noon is when all these tests happen.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const (
	customersSecret = "customers-customers-customers-customers-customers"
	staffSecret     = "staff-staff-staff-staff-staff-staff-staff-staff"
)

// zendesk is a sandbox on a listener, with a clock that tests may move.
type zendesk struct {
	*Sandbox
	port  string
	clock atomic.Int64 // nanoseconds after noon
	// client keeps cookies and, like a browser, finds every host under .localhost on this machine.
	client *http.Client
}

func (z *zendesk) now() time.Time { return noon.Add(time.Duration(z.clock.Load())) }

func start(t testing.TB) *zendesk {
	t.Helper()
	return startWith(t, func(*Options) {})
}

// startWith lets a test change the account before it opens.
func startWith(t testing.TB, change func(*Options)) *zendesk {
	t.Helper()
	z := &zendesk{}
	var err error
	options := Options{
		Brands: []Brand{{ID: "360001", Name: "Acme", Subdomain: "acme", Hosts: []string{"help.acme.com"}}, {ID: "360002", Name: "Acme Labs", Subdomain: "acme-labs"}},
		Configurations: []Configuration{
			{Name: "acme-customers", Audiences: []string{"end_user"}, Brands: []string{"360001", "360002"}, Secret: func() []byte { return []byte(customersSecret) }},
			{Name: "acme-staff", Audiences: []string{"team_member"}, Brands: []string{"360001"}, Secret: func() []byte { return []byte(staffSecret) }},
			{Name: "acme-unset", Audiences: []string{"end_user"}, Brands: []string{"360001"}, Secret: func() []byte { return nil }},
		},
		Now: z.now,
	}
	change(&options)
	z.Sandbox, err = New(options)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(z)
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	_, z.port, _ = net.SplitHostPort(address)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	z.client = &http.Client{Jar: jar, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	return z
}

func (z *zendesk) url(host, path string) string { return "http://" + host + ":" + z.port + path }

// answer is what came back, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func (z *zendesk) send(t testing.TB, method, address, contentType, body string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := z.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

const formType = "application/x-www-form-urlencoded"

func (z *zendesk) post(t testing.TB, host string, fields url.Values) answer {
	t.Helper()
	return z.send(t, "POST", z.url(host, "/access/jwt"), formType, fields.Encode())
}

func (z *zendesk) last(t testing.TB) SignIn {
	t.Helper()
	all := z.SignIns()
	if len(all) == 0 {
		t.Fatal("nothing was recorded")
	}
	return all[len(all)-1]
}

// sign makes a token of any header and claims.
func sign(header, claims, secret string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(header)) + "." + b64([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

const goodHeader = `{"typ":"JWT","alg":"HS256"}`

var unique atomic.Int64

// claimsWith are those of a good token, with changes; a nil value leaves a claim out.
func claimsWith(changes map[string]any) string {
	c := map[string]any{
		"iat":   noon.Unix(),
		"jti":   fmt.Sprintf("jti-%d", unique.Add(1)),
		"email": "ada@example.com",
		"name":  "Ada Lovelace",
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func tokenWith(changes map[string]any) string {
	return sign(goodHeader, claimsWith(changes), customersSecret)
}

const redirectedTo = `<html><body>You are being <a href="%s">redirected</a>.</body></html>`

func TestNewRefuses(t *testing.T) {
	secret := func() []byte { return []byte(customersSecret) }
	brand := Brand{ID: "1", Name: "One", Subdomain: "one"}
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"brand without id":    {Options{Brands: []Brand{{ID: "", Name: "One", Subdomain: "one"}}}, "brand id"},
		"same brand twice":    {Options{Brands: []Brand{brand, {ID: "1", Name: "Two", Subdomain: "two"}}}, "brand id"},
		"same subdomain":      {Options{Brands: []Brand{brand, {ID: "2", Name: "Two", Subdomain: "one"}}}, "subdomain"},
		"dot in a subdomain":  {Options{Brands: []Brand{{ID: "1", Name: "One", Subdomain: "one.two"}}}, "subdomain"},
		"capital letters":     {Options{Brands: []Brand{{ID: "1", Name: "One", Subdomain: "One"}}}, "subdomain"},
		"no subdomain":        {Options{Brands: []Brand{{ID: "1", Name: "One", Subdomain: ""}}}, "subdomain"},
		"nameless":            {Options{Configurations: []Configuration{{Secret: secret}}}, "configuration name"},
		"same name":           {Options{Configurations: []Configuration{{Name: "c", Secret: secret}, {Name: "c", Secret: secret}}}, "configuration name"},
		"no secret":           {Options{Configurations: []Configuration{{Name: "c"}}}, "no secret"},
		"unknown audience":    {Options{Configurations: []Configuration{{Name: "c", Audiences: []string{"agents"}, Secret: secret}}}, "audience"},
		"brand isn't there":   {Options{Brands: []Brand{brand}, Configurations: []Configuration{{Name: "c", Brands: []string{"2"}, Secret: secret}}}, "unknown brand"},
		"two faults together": {Options{Brands: []Brand{{ID: "", Name: "One", Subdomain: "one"}}, Configurations: []Configuration{{Name: "c"}}}, "no secret"},
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
		"localhost":           404,
		"x.acme.localhost":    404,
		"acme.localhost.test": 404,
		"acmeXlocalhost":      404,
		"acme":                404,
		"127.0.0.1":           404,
		"notacme.localhost":   404,
		"acme.localhost.":     404,
	} {
		if got := z.send(t, "GET", z.url(host, "/"), "", ""); got.status != want {
			t.Errorf("%s: status %d, want %d", host, got.status, want)
		}
	}
	// Without a port, as on port 80.
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest("GET", "http://acme-labs.localhost/", nil)
	z.ServeHTTP(recorder, request)
	if !strings.Contains(recorder.Body.String(), "Acme Labs") {
		t.Errorf("without a port: %s", recorder.Body)
	}
}

// TestSignedIn follows one user through.
func TestSignedIn(t *testing.T) {
	z := start(t)
	if page := z.send(t, "GET", z.url("acme.localhost", "/hc/en-us"), "", ""); !strings.Contains(page.body, `id="signed-out"`) {
		t.Fatalf("somebody is signed in from the start: %s", page.body)
	}
	changes := map[string]any{
		"name": `Ada <b>&</b>`, "tags": []string{"vip"}, "user_fields": map[string]any{"age": 36, "old": nil},
		"shoe_size": 38, "exp": noon.Unix() + 180,
	}
	got := z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(changes)}, "return_to": {"/hc/en-us?a=1&b='2'"}})
	if want := fmt.Sprintf(redirectedTo, "/hc/en-us?a=1&amp;b=&#39;2&#39;"); got.status != 200 || got.body != want {
		t.Errorf("got %d %s\nwant 200 %s", got.status, got.body, want)
	}
	if got := got.header.Get("Refresh"); got != "0; url=/hc/en-us?a=1&b='2'" {
		t.Errorf("Refresh: %s", got)
	}
	cookie, err := http.ParseSetCookie(got.header.Get("Set-Cookie"))
	if err != nil || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" || len(cookie.Value) < 22 {
		t.Errorf("cookie %v, %v", cookie, err)
	}
	signIn := z.last(t)
	if signIn.ID != 1 || signIn.Outcome != OutcomeSignedIn || signIn.Reason != "" || signIn.Configuration != "acme-customers" ||
		signIn.Brand != "360001" || !signIn.Time.Equal(noon) || signIn.ReturnTo != "/hc/en-us?a=1&b='2'" {
		t.Errorf("recorded %+v", signIn)
	}
	if signIn.Claims["email"] != "ada@example.com" || signIn.Claims["shoe_size"] != json.Number("38") {
		t.Errorf("claims %v", signIn.Claims)
	}
	if got := fmt.Sprint(signIn.Undocumented); got != "[exp shoe_size]" {
		t.Errorf("undocumented claims %s", got)
	}
	page := z.send(t, "GET", z.url("acme.localhost", "/hc/en-us"), "", "").body
	for _, want := range []string{
		"Signed in as Ada &lt;b&gt;&amp;&lt;/b&gt;", "ada@example.com", "<code>/hc/en-us</code>",
		"<code>[&#34;vip&#34;]</code>", "<code>{&#34;age&#34;:36,&#34;old&#34;:null}</code>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q isn't on the page\n%s", want, page)
		}
	}
	// Another brand is another host, and doesn't know the cookie even when it is forced on it.
	if page := z.send(t, "GET", z.url("acme-labs.localhost", "/"), "", ""); !strings.Contains(page.body, `id="signed-out"`) {
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
		if got := z.last(t); got.Reason != ReasonReplay || !strings.Contains(got.Message, "unique user identifier has been reused") {
			t.Errorf("second POST at %s: %+v", host, got)
		}
	}
	// At the last moment that the token is still good.
	z.clock.Store(int64(3 * time.Minute))
	if z.post(t, "acme.localhost", fields); z.last(t).Reason != ReasonReplay {
		t.Errorf("after 3 minutes: %+v", z.last(t))
	}
	// A refused token hasn't been used.
	z.clock.Store(0)
	refused := tokenWith(map[string]any{"jti": "once", "name": nil})
	if z.post(t, "acme.localhost", url.Values{"jwt": {refused}}); z.last(t).Reason != ReasonClaims {
		t.Errorf("without a name: %+v", z.last(t))
	}
	if z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(map[string]any{"jti": "once"})}}); z.last(t).Outcome != OutcomeSignedIn {
		t.Errorf("with a jti that was only refused: %+v", z.last(t))
	}
}

// TestReplaysForget holds that memory is bounded by time, and that nothing is forgotten too early.
func TestReplaysForget(t *testing.T) {
	var r replays
	for i := range 1000 {
		at := noon.Add(time.Duration(i) * time.Second)
		if !r.claim(fmt.Sprint(i), at) {
			t.Fatalf("jti %d is new", i)
		}
		// A token from 3 minutes ahead was claimed 6 minutes before the last moment that it is
		// good.
		if i >= 360 && r.claim(fmt.Sprint(i-360), at) {
			t.Fatalf("jti %d was forgotten while its token is good", i-360)
		}
	}
	if len(r.until) > 362 || len(r.until) != len(r.inOrder) {
		t.Errorf("%d remembered, %d in order", len(r.until), len(r.inOrder))
	}
}

// TestOneOfManyWins posts one token from many browsers at once.
func TestOneOfManyWins(t *testing.T) {
	z := start(t)
	fields := url.Values{"jwt": {tokenWith(nil)}}
	var wait sync.WaitGroup
	for range 32 {
		wait.Go(func() { z.post(t, "acme.localhost", fields) })
	}
	wait.Wait()
	won := 0
	for i, signIn := range z.SignIns() {
		if signIn.ID != i+1 {
			t.Errorf("sign-in %d has the id %d", i+1, signIn.ID)
		}
		if signIn.Outcome == OutcomeSignedIn {
			won++
		} else if signIn.Reason != ReasonReplay {
			t.Errorf("refused for %s", signIn.Reason)
		}
	}
	if won != 1 {
		t.Errorf("%d signed in, want 1", won)
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
	for id, want := range map[int]bool{-1: false, 0: false, 10: false, 11: true, maxRecord + 10: true, maxRecord + 11: false} {
		if got, ok := r.find(id); ok != want || ok && got.ID != id {
			t.Errorf("find(%d): %v, %v", id, got.ID, ok)
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	var s sessions
	first := s.open(SignIn{Brand: "1"}, false)
	for range maxSessions {
		s.open(SignIn{Brand: "1"}, false)
	}
	request := httptest.NewRequest("GET", "/", nil)
	request.AddCookie(first)
	if _, ok := s.of(request, Brand{ID: "1"}); ok || len(s.byID) != maxSessions {
		t.Errorf("%d sessions, the oldest still open: %v", len(s.byID), ok)
	}
	if cookie := s.open(SignIn{}, true); !cookie.Secure {
		t.Error("over TLS the cookie isn't secure")
	}
}
