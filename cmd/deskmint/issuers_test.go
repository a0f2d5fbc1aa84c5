package main

import (
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/deskmint/deskmint/service/caller"
)

// issuer is a server with the keys of an issuer of bearer tokens.
type issuer struct {
	*httptest.Server

	private     ed25519.PrivateKey
	requests    atomic.Int64
	unavailable atomic.Bool
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{private: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.private.Public(), KeyID: "k1"}}})
	if err != nil {
		t.Fatal(err)
	}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.requests.Add(1)
		if i.unavailable.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(set)
	}))
	t.Cleanup(i.Close)
	return i
}

// token returns a bearer token for the subject shop. name is the issuer that it names.
func (i *issuer) token(t *testing.T, name string) string {
	t.Helper()
	unsigned := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": name,
		"sub": "shop",
		"aud": "deskmint",
		"exp": time.Now().Add(time.Hour).Unix(),
	})
	unsigned.Header["kid"] = "k1"
	signed, err := unsigned.SignedString(i.private)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// testIssuers checks that the keys are there before the first request, and that a reload keeps them
// while the issuer is unavailable. An issuer that was never available doesn't prevent a start.
func testIssuers(t *testing.T, binary string) {
	_, hash := caller.NewKey()
	issuer := newIssuer(t)
	dir := folder(t, map[string]string{
		"deskmint.yaml": strings.Replace(onFile(hash), "      - api_key_sha256:",
			"      - jwt: {issuer: cluster, subject: shop}\n      - jwt: {issuer: gone, subject: shop}\n      - "+
				"api_key_sha256:", 1) +
			"issuers:\n  - {name: cluster, issuer: " + issuer.URL + ", audience: deskmint, jwks: " + issuer.URL +
			"/keys}\n" +
			"  - {name: gone, issuer: https://127.0.0.1:1, audience: deskmint}\n",
		"secrets.yaml": secretsYAML(customersSecret),
	})
	d := spawn(t, binary, serveArgs(dir+"/deskmint.yaml", "--drain", "0s")...)
	d.awaitStart(t)
	if n := issuer.requests.Load(); n != 1 {
		t.Errorf("the issuer got %d requests before the first request", n)
	}
	good := issuer.token(t, issuer.URL)
	mints := func() {
		t.Helper()
		got := d.mint(t, good, "acme-customers")
		if got.token == "" {
			t.Fatalf("%d %s", got.status, got.body)
		}
		claims(t, got.token, customersSecret)
	}
	mints()
	if got := d.mint(t, issuer.token(t, "https://127.0.0.1:1"),
		"acme-customers"); got.reason != "CALLER_UNAUTHENTICATED" ||
		!strings.Contains(got.body, "issuer_unavailable") {
		t.Errorf("%d %s", got.status, got.body)
	}
	issuer.unavailable.Store(true)
	if err := d.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if text, ok := d.err.await(`"the configuration was reloaded`, d.ended); !ok {
		t.Fatalf("standard error:\n%s", text)
	}
	mints()
	if log := d.err.String(); !strings.Contains(log, "keys are not available") ||
		!strings.Contains(log, "https://127.0.0.1:1") {
		t.Errorf("the log doesn't report the issuer that is unavailable:\n%s", log)
	}
	d.checkNoSecrets(t, good, customersSecret)
}
