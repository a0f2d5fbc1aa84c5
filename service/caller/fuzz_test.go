package caller_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json"
	josejwt "github.com/go-jose/go-jose/v4/jwt"

	"github.com/deskmint/deskmint/service/caller"
)

// fixed returns a key that is the same in every run, so that the corpus stays valid. Signatures
// with EdDSA are deterministic too.
func fixed() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

const (
	fuzzIssuer = "https://issuer.example"
	fuzzKey    = "dmk_fuzz"
)

// fuzzCallers returns the caller shop, which is identified by the API key fuzzKey and by tokens
// signed with the fixed key.
func fuzzCallers(f *testing.F) *caller.Callers {
	f.Helper()
	path := filepath.Join(f.TempDir(), "keys")
	write(f, path, setOf(published("d1", fixed())))
	sets := caller.NewKeySets(caller.KeySetOptions{Now: func() time.Time { return begin }})
	issuer := caller.Issuer{Name: "cluster", Issuer: fuzzIssuer, Audience: "deskmint", JWKS: path}
	sets.Warm(f.Context(), issuer)
	return newCallers(f, map[string][]caller.Identity{
		"shop": {{JWT: &caller.JWT{Issuer: "cluster", Subject: "shop"}}, {APIKeySHA256: caller.HashKey(fuzzKey)}},
	}, sets, issuer)
}

// FuzzBearer checks that only the one API key and the one token identify a caller. Each has exactly
// one spelling, except for the case of the scheme.
func FuzzBearer(f *testing.F) {
	c := fuzzCallers(f)
	good := signed("EdDSA", header("EdDSA", "d1"), claims(fuzzIssuer, begin), fixed())
	for _, seed := range []string{
		"", "Bearer", "Bearer ", "Bearer " + fuzzKey, "bearer " + fuzzKey, "Bearer " + good, "BEARER " + good,
		"Bearer " + good + "=",
		"Bearer " + good + "," + good, "Bearer  " + good, "Basic " + good, "Bearer a.b.c", "Bearer ..", "Bearer \n",
		"Bearer \xff.\xfe.\xfd",
		"Bearer " + strings.Replace(good, ".", "\n.", 1), "Bearer " + strings.Repeat("a.", 5000),
		"Bearer " + unsigned("none", claims(fuzzIssuer, begin)) + ".",
		"Bearer eyc0..", "Bearer eyJ0X000IiJ0A00..", "Bearer eyJ0IjoiIn0.NzA.",
		// A token of a known issuer whose header names no key.
		"Bearer eyJhbGciOiJFZERTQSIsImA2YH11IjoiS0d7In0." +
			"eyJ7ayF0IjozNTAxOTY2LCJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwicyB7Ijoia2A2aCJ9." +
			"bA21210x9708X08t0011A91c1010A8000T0C18889B000000000A00000000000000020000A00000000077AA",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		found, err := c.Authenticate(context.Background(), caller.Credentials{Authorization: []string{value}})
		scheme, rest, _ := strings.Cut(value, " ")
		mine := strings.EqualFold(scheme, "bearer") && (rest == fuzzKey || rest == good)
		if (found.Name == "shop") != mine || (err == nil) != mine {
			t.Errorf("%q is %+v, %v", value, found, err)
		}
		two, err := c.Authenticate(context.Background(),
			caller.Credentials{Authorization: []string{value, "Bearer " + good}})
		if err == nil {
			t.Errorf("%q together with a good token is accepted as %+v", value, two)
		}
	})
}

// FuzzJWT signs any header and payload with the issuer's key. If the token is accepted, the JSON
// parser and the validation of another library must accept it too.
func FuzzJWT(f *testing.F) {
	c := fuzzCallers(f)
	for _, change := range [][]string{
		nil, {"aud", `["deskmint"]`}, {"aud", `"x"`}, {"exp", "0"}, {"exp", "1e400"}, {"exp", `"1"`}, {"exp", ""},
		{"nbf", "9e9"}, {"iat", "-1"},
		{"sub", `["shop"]`}, {"iss", "null"}, {"x", `{"a":1,"a":2}`}, {"x", `"\ud800"`}, {"Sub", `"x"`},
	} {
		f.Add([]byte(header("EdDSA", "d1")), []byte(claims(fuzzIssuer, begin, change...)))
	}
	for _, change := range [][]string{
		{"alg", `"none"`}, {"alg", `"HS256"`}, {"kid", ""}, {"kid", `"x"`}, {"kid", "1"}, {"typ", `"at+jwt"`},
		{"typ", "1"}, {"crit", "[]"},
		{"jwk", "{}"}, {"b64", "false"}, {"zip", `"DEF"`}, {"enc", `"A128GCM"`},
	} {
		f.Add([]byte(header("EdDSA", "d1", change...)), []byte(claims(fuzzIssuer, begin)))
	}
	f.Add([]byte(`{"alg":"EdDSA","alg":"none"}`), []byte(`{"sub":"shop","sub":"cron"}`))
	f.Add([]byte(`[]`), []byte(`null`))
	f.Add([]byte(":"), []byte("0"))
	f.Add([]byte("{{"), []byte("0"))
	f.Add([]byte("\xf3"), []byte("0"))
	f.Fuzz(func(t *testing.T, header, payload []byte) {
		raw := signed("EdDSA", string(header), string(payload), fixed())
		found, err := c.Authenticate(context.Background(), bearer(raw))
		if err != nil {
			if found != (caller.Caller{}) {
				t.Errorf("an error and the caller %+v", found)
			}
			return
		}
		if found != (caller.Caller{Name: "shop", Method: "jwt", Identity: "jwt:cluster/shop"}) {
			t.Errorf("the caller is %+v", found)
		}
		var head map[string]any
		if err := josejson.Unmarshal(header, &head); err != nil || head["alg"] != "EdDSA" || head["crit"] != nil ||
			head["b64"] != nil {
			t.Errorf("the header %s is accepted: %v", header, err)
		}
		var claims josejwt.Claims
		if err := josejson.Unmarshal(payload, &claims); err != nil { // Unmarshal refuses duplicate keys
			t.Fatalf("%s.%s is accepted, but go-jose reports: %v", header, payload, err)
		}
		expected := josejwt.Expected{
			Issuer:      fuzzIssuer,
			Subject:     "shop",
			AnyAudience: josejwt.Audience{"deskmint"},
			Time:        begin,
		}
		if err := claims.ValidateWithLeeway(expected, 30*time.Second); err != nil || claims.Expiry == nil {
			t.Errorf("%s.%s is accepted, but go-jose reports: %v", header, payload, err)
		}
	})
}

// FuzzKeySet parses responses of an issuer, which come from the network.
func FuzzKeySet(f *testing.F) {
	f.Add(setOf(published("d1", fixed()), published("", fixed())))
	f.Add(setOf(published("e1", ecKey())))
	f.Add(setOf(published("r1", rsaKey())))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"RSA","n":"","e":""},` +
		`{"kty":"OKP","crv":"Ed25519","x":""},{"kty":"oct","k":"AA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","x5c":["AA"]},null,[],` +
		`{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}]}`))
	f.Add([]byte(`{"keys":{}}`))
	f.Add([]byte(`{"keys":[]}`))
	f.Add([]byte(`{"keys":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		err := caller.CheckKeySet(text)
		if err != nil && !errors.Is(err, caller.ErrEmptyKeySet) &&
			err.Error() != "is no JWK set with a key that tokens can be signed with" {
			t.Errorf("the error %q may contain a part of the response", err)
		}
		if err == nil && !strings.Contains(string(text), "k") {
			t.Errorf("%q is accepted", text)
		}
	})
}
