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
	"sync/atomic"
	"testing"
	"time"
)

// testTime is the time in all these tests.
var testTime = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const (
	customersSecret = "customers-customers-customers-customers-customers"
	staffSecret     = "staff-staff-staff-staff-staff-staff-staff-staff"
)

// zendesk is a sandbox on a listener, with a clock that tests can move.
type zendesk struct {
	*Sandbox
	port  string
	clock atomic.Int64 // nanoseconds after testTime
	// client stores cookies. Like a browser, it connects to this machine for every host under
	// .localhost.
	client *http.Client
}

func (z *zendesk) now() time.Time { return testTime.Add(time.Duration(z.clock.Load())) }

func start(t testing.TB) *zendesk {
	t.Helper()
	return startWith(t, func(*Options) {})
}

// startWith starts a sandbox with options that the test has changed.
func startWith(t testing.TB, change func(*Options)) *zendesk {
	t.Helper()
	z := &zendesk{}
	var err error
	options := Options{
		Brands: []Brand{
			{ID: "360001", Name: "Acme", Subdomain: "acme", Hosts: []string{"help.acme.com"}},
			{ID: "360002", Name: "Acme Labs", Subdomain: "acme-labs"},
		},
		Configurations: []Configuration{
			{
				Name:      "acme-customers",
				Audiences: []string{"end_user"},
				Brands:    []string{"360001", "360002"},
				Secret:    func() []byte { return []byte(customersSecret) },
			},
			{
				Name:      "acme-staff",
				Audiences: []string{"team_member"},
				Brands:    []string{"360001"},
				Secret:    func() []byte { return []byte(staffSecret) },
			},
			{
				Name:      "acme-unset",
				Audiences: []string{"end_user"},
				Brands:    []string{"360001"},
				Secret:    func() []byte { return nil },
			},
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

// answer is an HTTP response with its complete body.
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

func (z *zendesk) get(t testing.TB, host, path string) answer {
	t.Helper()
	return z.send(t, "GET", z.url(host, path), "", "")
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

// sign returns a token with any header and claims.
func sign(header, claims, secret string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(header)) + "." + b64([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

const goodHeader = `{"typ":"JWT","alg":"HS256"}`

var unique atomic.Int64

// claimsWith returns the claims of a valid token with changes. A nil value removes a claim.
func claimsWith(changes map[string]any) string {
	c := map[string]any{
		"iat":   testTime.Unix(),
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

const redirectBody = `<html><body>You are being <a href="%s">redirected</a>.</body></html>`
