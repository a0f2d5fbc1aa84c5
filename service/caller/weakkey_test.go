package caller_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/caller"
)

// privateOf returns the RSA key of two primes.
func privateOf(t *testing.T, p, q *big.Int) *rsa.PrivateKey {
	t.Helper()
	one := big.NewInt(1)
	totient := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(big.NewInt(65537), totient)
	if d == nil {
		t.Fatal("65537 divides p-1 or q-1")
	}
	return &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, D: d, Primes: []*big.Int{p, q},
	}
}

// isPrime reports whether p is a prime that a key with the exponent 65537 can have.
func isPrime(p *big.Int) bool {
	fits := new(big.Int).Mod(new(big.Int).Sub(p, big.NewInt(1)), big.NewInt(65537)).Sign() != 0
	return fits && p.ProbablyPrime(10)
}

// rocaPrime returns a prime of 1,024 bits of the form that Infineon's RSALib generated for keys of
// 2,048 bits: k*M + 65537^a mod M, where M is the product of the first 126 primes.
func rocaPrime(t *testing.T) *big.Int {
	t.Helper()
	m := big.NewInt(1)
	for p, found := int64(2), 0; found < 126; p++ {
		if big.NewInt(p).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(p))
			found++
		}
	}
	low := new(big.Int).Lsh(big.NewInt(3), 1022) // so that the product of two has 2,048 bits
	low.Div(low, m)
	for {
		a, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 62))
		if err != nil {
			t.Fatal(err)
		}
		k, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 40))
		if err != nil {
			t.Fatal(err)
		}
		p := new(big.Int).Exp(big.NewInt(65537), a, m)
		p.Add(p, k.Mul(k.Add(k, low), m))
		if isPrime(p) {
			return p
		}
	}
}

// nextPrime returns the first prime above n.
func nextPrime(n *big.Int) *big.Int {
	p := new(big.Int).Add(n, big.NewInt(1))
	for !isPrime(p) {
		p.Add(p, big.NewInt(1))
	}
	return p
}

// rs256 returns a token signed with RS256 (RFC 8017 section 8.2.1). crypto/rsa signs with no key
// that it finds to be weak.
func rs256(kid string, key *rsa.PrivateKey, payload string) string {
	text := enc(header("RS256", kid)) + "." + enc(payload)
	sum := sha256.Sum256([]byte(text))
	prefix := "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
	tail := "\x00" + prefix + string(sum[:])
	message := "\x00\x01" + strings.Repeat("\xff", key.Size()-2-len(tail)) + tail
	signature := new(big.Int).Exp(new(big.Int).SetBytes([]byte(message)), key.D, key.N)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature.FillBytes(make([]byte, key.Size())))
}

// TestWeakKeys checks that RSA keys whose private part anyone can compute are refused, in key sets
// and in client certificates.
func TestWeakKeys(t *testing.T) {
	start := new(big.Int).Lsh(big.NewInt(3), 1022)
	random, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 1020))
	if err != nil {
		t.Fatal(err)
	}
	p := nextPrime(start.Add(start, random))
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name          string
		key           *rsa.PrivateKey
		says          string
		certificateOK bool // the check takes too long for each request
	}{
		{"good", rsaKey().(*rsa.PrivateKey), "", true},
		{"another good one", rsaKey2().(*rsa.PrivateKey), "", true},
		{"ROCA", privateOf(t, rocaPrime(t), rocaPrime(t)), "CVE-2017-15361", false},
		{"close factors", privateOf(t, p, nextPrime(p)), "CVE-2022-26320", true},
		{"short", short, "has 1024 bits, but RSA keys need 2048", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, func(f *fixture) {
				f.put("/keys", setOf(published("e1", ecKey()), published("r1", test.key)))
			})
			f.warm(t)
			token := bearer(rs256("r1", test.key, claims(f.issuer.Issuer, f.Now())))
			if test.says == "" {
				wantCaller(t, f, token, "shop/jwt", nil)
			} else {
				wantCaller(t, f, token, "", caller.ErrUnverified)
				wantCaller(t, f, f.shop(), "shop/jwt", nil) // the other key stays in use
			}
			if log := f.log.String(); (log == "") != (test.says == "") || !strings.Contains(log, test.says) {
				t.Errorf("the log is %q, want %q in it", log, test.says)
			}
			if weak := caller.WeakKeys(setOf(published("r1", test.key))); (weak == nil) != (test.says == "") {
				t.Errorf("WeakKeys returned %q", weak)
			}
			c := newCallers(t, map[string][]caller.Identity{"shop": {{MTLSDNS: "shop.acme.internal"}}}, nil)
			leaf := &x509.Certificate{DNSNames: []string{"shop.acme.internal"}, PublicKey: test.key.Public()}
			if test.certificateOK {
				wantCaller(t, c, caller.Credentials{Certificate: leaf}, "shop/mtls_dns", nil)
			} else {
				wantCaller(t, c, caller.Credentials{Certificate: leaf}, "", caller.ErrWeakKey)
			}
			leaf.DNSNames = []string{"another.acme.internal"} // names no caller, so it is no credential
			wantCaller(t, c, caller.Credentials{Certificate: leaf}, "", caller.ErrMissing)
		})
	}
}
