package caller_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/deskmint/deskmint/service/caller"
)

// RSA keys take long to generate, so each key is generated once.
var (
	rsaKey    = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	rsaKey2   = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey     = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	ecKey384  = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	edKey     = sync.OnceValue(func() crypto.Signer { return must(edOf(ed25519.GenerateKey(rand.Reader))) })
	foreign   = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	foreign2  = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	unrelated = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func edOf(_ ed25519.PublicKey, k ed25519.PrivateKey, err error) (crypto.Signer, error) { return k, err }

func must[K crypto.Signer](k K, err error) crypto.Signer {
	if err != nil {
		panic(err)
	}
	return k
}

// clock is a clock that the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

// begin is the time at which every test begins.
var begin = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

func newClock() *clock { return &clock{at: begin} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// published returns a public key in the form in which an issuer publishes it.
func published(kid string, key crypto.Signer, change ...func(*jose.JSONWebKey)) jose.JSONWebKey {
	k := jose.JSONWebKey{Key: key.Public(), KeyID: kid}
	for _, c := range change {
		c(&k)
	}
	return k
}

func setOf(keys ...jose.JSONWebKey) []byte {
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		panic(err)
	}
	return b
}

// site is the web server of an issuer.
type site struct {
	*httptest.Server

	ca string // PEM file with its authority

	mu       sync.Mutex
	answers  map[string][]byte // by path
	handle   http.HandlerFunc  // replaces answers if it is set
	requests map[string]int    // by path
	header   http.Header       // of the last request
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{answers: make(map[string][]byte), requests: make(map[string]int)}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	s.ca = filepath.Join(t.TempDir(), "ca.pem")
	write(t, s.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return s
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests[r.URL.Path]++
	s.header = r.Header.Clone()
	answer, ok := s.answers[r.URL.Path]
	handle := s.handle
	s.mu.Unlock()
	switch {
	case handle != nil:
		handle(w, r)
	case ok:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	default:
		http.Error(w, "no", http.StatusServiceUnavailable)
	}
}

func (s *site) put(path string, answer []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = answer
}

func (s *site) handler(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = h
}

// shutDown makes the site answer every request with 503.
func (s *site) shutDown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = make(map[string][]byte)
}

func (s *site) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, requests := range s.requests {
		n += requests
	}
	return n
}

func (s *site) seen(header string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.header.Get(header)
}

// issuer returns the settings of an issuer with this site and with keys at /keys.
func (s *site) issuer(name string, keys ...jose.JSONWebKey) caller.Issuer {
	s.put("/keys", setOf(keys...))
	return caller.Issuer{Name: name, Issuer: s.URL, Audience: "deskmint", JWKS: s.URL + "/keys", CA: s.ca}
}

// claims returns the claims of a good token after changes. A change is a name and a value in JSON.
// An empty value removes the claim.
func claims(iss string, now time.Time, change ...string) string {
	all := map[string]json.RawMessage{
		"iss": quoted(iss), "sub": quoted("shop"), "aud": quoted("deskmint"),
		"iat": number(now), "exp": number(now.Add(time.Hour)),
	}
	return changed(all, change)
}

func quoted(s string) json.RawMessage {
	b, _ := json.Marshal(s) // can't fail for a string
	return b
}

func number(t time.Time) json.RawMessage { return json.RawMessage(fmt.Sprint(t.Unix())) }

func changed(all map[string]json.RawMessage, change []string) string {
	for i := 0; i < len(change); i += 2 {
		all[change[i]] = json.RawMessage(change[i+1])
		if change[i+1] == "" {
			delete(all, change[i])
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// header returns the header of a good token after changes, which work as in claims.
func header(alg, kid string, change ...string) string {
	all := map[string]json.RawMessage{"typ": quoted("JWT"), "alg": quoted(alg)}
	if kid != "" {
		all["kid"] = quoted(kid)
	}
	return changed(all, change)
}

// signed returns a token with this header and payload. It is signed with alg, even if the header
// names another algorithm.
func signed(alg, header, payload string, key any) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(payload))
	signature, err := jwt.GetSigningMethod(alg).Sign(text, key)
	if err != nil {
		panic(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// es256 returns a token signed with ES256 and an ordinary header.
func es256(kid string, key crypto.Signer, payload string) string {
	return signed("ES256", header("ES256", kid), payload, key)
}

func bearer(token string) caller.Credentials {
	return caller.Credentials{Authorization: []string{"Bearer " + token}}
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// tokenCallers returns the callers shop and cron, which tokens identify by their subject.
func tokenCallers(issuer string) map[string][]caller.Identity {
	return map[string][]caller.Identity{
		"shop": {{JWT: &caller.JWT{Issuer: issuer, Subject: "shop"}}},
		"cron": {{JWT: &caller.JWT{Issuer: issuer, Subject: "cron", Claims: map[string]any{"env": "prod"}}}},
	}
}

func newCallers(
	t testing.TB, callers map[string][]caller.Identity, sets *caller.KeySets, issuers ...caller.Issuer,
) *caller.Callers {
	t.Helper()
	c, err := caller.New(callers, issuers, sets)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantCaller authenticates and compares the result with "name/method" or the error.
func wantCaller(t testing.TB, c caller.Authenticator, presented caller.Credentials, want string, wantErr error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	found, err := c.Authenticate(ctx, presented)
	got := ""
	if found != (caller.Caller{}) {
		got = found.Name + "/" + found.Method
	}
	if got != want || err != wantErr { //nolint:errorlint // Authenticate returns these errors unwrapped
		t.Errorf("Authenticate returned %q, %v; want %q, %v", got, err, want, wantErr)
	}
}

// logBuffer is a log that a test can search.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(io.Writer(l), nil)) }
