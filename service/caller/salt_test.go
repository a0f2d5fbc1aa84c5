package caller_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/deskmint/deskmint/service/caller"
)

// TestSaltLength checks that the salt of a PS256 signature must be as long as the hash (RFC 7518
// section 3.5).
func TestSaltLength(t *testing.T) {
	f := newFixture(t, func(f *fixture) {
		f.put("/keys", setOf(published("r1", rsaKey(), func(k *jose.JSONWebKey) { k.Algorithm = "PS256" })))
	})
	f.warm(t)
	for length, want := range map[int]error{
		rsa.PSSSaltLengthEqualsHash: nil, 32: nil,
		0: caller.ErrUnverified, // rsa.PSSSaltLengthAuto: the longest
		1: caller.ErrUnverified, 20: caller.ErrUnverified, 31: caller.ErrUnverified, 33: caller.ErrUnverified,
	} {
		text := enc(header("PS256", "r1")) + "." + enc(claims(f.issuer.Issuer, f.Now()))
		sum := sha256.Sum256([]byte(text))
		signature, err := rsaKey().Sign(rand.Reader, sum[:], &rsa.PSSOptions{SaltLength: length, Hash: crypto.SHA256})
		if err != nil {
			t.Fatal(err)
		}
		who := ""
		if want == nil {
			who = "shop/jwt"
		}
		t.Logf("a salt of length %d", length)
		wantCaller(t, f, bearer(text+"."+base64.RawURLEncoding.EncodeToString(signature)), who, want)
	}
}
