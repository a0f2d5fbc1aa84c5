package caller

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// minRSA is the shortest RSA key, in bits (RFC 7518 section 3.3). The longest has 4096:
// go-jose reads no longer one, which would make each token a burden.
const minRSA = 2048

// keys are an issuer's, as they were at one moment. They are immutable.
type keys struct {
	all     []key
	fetched time.Time
}

// key is one that tokens may be signed with.
type key struct {
	id        string
	algorithm string // empty: any that fits its type
	public    crypto.PublicKey
}

// find returns the one key that fits a token. Where several do, none is it: trying
// one after the other would let a token choose.
func (k *keys) find(t token) (crypto.PublicKey, bool) {
	var found crypto.PublicKey
	for _, key := range k.all {
		if t.kid != nil && key.id != *t.kid || !key.fits(t.algorithm) {
			continue
		}
		if found != nil {
			return nil, false
		}
		found = key.public
	}
	return found, found != nil
}

// knows is true where nothing new is to be expected of the issuer: the key that the
// token names is there, whether it fits or not, or the token names none.
func (k *keys) knows(t token) bool {
	return t.kid == nil || slices.ContainsFunc(k.all, func(key key) bool { return key.id == *t.kid })
}

// fits is true where the key may be used with the algorithm: its type decides, the
// curve included (RFC 7518 section 3.4), and its own alg where it has one.
func (k key) fits(algorithm string) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return algorithm[:2] == "RS" || algorithm[:2] == "PS"
	case *ecdsa.PublicKey:
		return algorithm == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[public.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}

var errNoKeySet = errors.New("is no JWK set with a key that tokens can be signed with")

// CheckKeySet is nil for a JWK set (RFC 7517 section 5) that has a key to verify
// tokens with.
func CheckKeySet(text []byte) error {
	_, err := parseKeys(text)
	return err
}

// parseKeys reads a JWK set. Keys that aren't for verifying signatures, or that we
// can't use, are passed over, as RFC 7517 section 5 wants it; so are private and
// symmetric ones, which have no place in what is published. A set without any other
// is a fault, so that an issuer's mishap doesn't lock everybody out.
//
// The elements are read by go-jose, which knows the types of keys. The sets are kept
// by ourselves: what the libraries for that (keyfunc, go-oidc) lack is an end to how
// long the last good set may serve, and a bound to what strangers can make them fetch.
func parseKeys(text []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errNoKeySet // the error's text may hold a piece of the answer
	}
	var all []key
	for _, raw := range set.Keys {
		if k, ok := parseKey(raw); ok {
			all = append(all, k)
		}
	}
	if len(all) == 0 {
		return nil, errNoKeySet
	}
	return all, nil
}

func parseKey(raw json.RawMessage) (key, bool) {
	var k jose.JSONWebKey
	var more struct {
		Operations []string `json:"key_ops"`
	}
	if json.Unmarshal(raw, &k) != nil || json.Unmarshal(raw, &more) != nil {
		return key{}, false
	}
	signs := k.Use == "" || k.Use == "sig"
	operation := more.Operations == nil || slices.Contains(more.Operations, "verify")
	if !k.Valid() || !k.IsPublic() || !signs || !operation {
		return key{}, false
	}
	if public, ok := k.Key.(*rsa.PublicKey); ok && public.N.BitLen() < minRSA {
		return key{}, false
	}
	return key{id: k.KeyID, algorithm: k.Algorithm, public: k.Key}, true
}
