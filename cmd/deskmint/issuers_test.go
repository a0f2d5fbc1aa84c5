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

// testIssuers: keys are there before the first request, and a reload while the issuer
// is away loses none. One that was never reached stops no start.
func testIssuers(t *testing.T, binary string) {
	_, hash := caller.NewKey()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: private.Public(), KeyID: "k1"}}})
	if err != nil {
		t.Fatal(err)
	}
	var away atomic.Bool
	var asked atomic.Int64
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(set)
	}))
	defer issuer.Close()
	dir := folder(t, map[string]string{
		"deskmint.yaml": strings.Replace(onFile(hash), "      - api_key_sha256:", "      - jwt: {issuer: cluster, subject: shop}\n      - jwt: {issuer: gone, subject: shop}\n      - api_key_sha256:", 1) +
			"issuers:\n  - {name: cluster, issuer: " + issuer.URL + ", audience: deskmint, jwks: " + issuer.URL + "/keys}\n" +
			"  - {name: gone, issuer: https://127.0.0.1:1, audience: deskmint}\n",
		"secrets.yaml": secretsYAML(customersSecret),
	})
	token := func(iss string) string {
		unsigned := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": iss, "sub": "shop", "aud": "deskmint", "exp": time.Now().Add(time.Hour).Unix()})
		unsigned.Header["kid"] = "k1"
		signed, err := unsigned.SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	d := spawn(t, binary, serveArgs(dir+"/deskmint.yaml", "--drain", "0s")...)
	d.begin(t)
	if n := asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times before the first request", n)
	}
	good := token(issuer.URL)
	mints := func() {
		t.Helper()
		got := d.mint(t, good, "acme-customers")
		if got.token == "" {
			t.Fatalf("%d %s", got.status, got.body)
		}
		claims(t, got.token, customersSecret)
	}
	mints()
	if got := d.mint(t, token("https://127.0.0.1:1"), "acme-customers"); got.reason != "CALLER_UNAUTHENTICATED" || !strings.Contains(got.body, "issuer_unavailable") {
		t.Errorf("%d %s", got.status, got.body)
	}
	away.Store(true)
	if err := d.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if text, ok := d.err.await(`"the configuration was reloaded"`, d.ended); !ok {
		t.Fatalf("standard error:\n%s", text)
	}
	mints()
	if log := d.err.String(); !strings.Contains(log, "keys are not available") || !strings.Contains(log, "https://127.0.0.1:1") {
		t.Errorf("the log says nothing of the issuer that is gone:\n%s", log)
	}
	d.silent(t, good, customersSecret)
}
