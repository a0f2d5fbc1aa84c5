package caller

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keys holds the keys of an issuer at one time. It is immutable.
type keys struct {
	all     []key
	fetched time.Time
}

// key is one key that verifies tokens.
type key struct {
	id        string
	algorithm string // "": any algorithm for its type
	public    crypto.PublicKey
}

// find returns the one key for a token. If several keys are possible, it returns none. Trying one
// after the other would let the token choose its key.
func (k *keys) find(t token) (crypto.PublicKey, bool) {
	var found crypto.PublicKey
	for _, key := range k.all {
		if t.kid != nil && key.id != *t.kid || !key.supports(t.algorithm) {
			continue
		}
		if found != nil {
			return nil, false
		}
		found = key.public
	}
	return found, found != nil
}

// needsNoFetch reports whether another fetch can't help. This is so if the key that the token names
// is present, usable or not, or if the token names none.
func (k *keys) needsNoFetch(t token) bool {
	return t.kid == nil || slices.ContainsFunc(k.all, func(key key) bool { return key.id == *t.kid })
}

// supports reports whether the key may be used with the algorithm. Its type decides, including the
// curve (RFC 7518 section 3.4), and its alg parameter if it has one.
func (k key) supports(algorithm string) bool {
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

// ErrEmptyKeySet is the error of [CheckKeySet] for a JWK set without any key.
var ErrEmptyKeySet = errors.New("is an empty JWK set, so every token of the issuer is refused")

// CheckKeySet returns nil for a JWK set (RFC 7517 section 5) with a key that verifies tokens.
func CheckKeySet(text []byte) error {
	all, _, err := parseKeys(text)
	if err == nil && len(all) == 0 {
		return ErrEmptyKeySet
	}
	return err
}

// WeakKeys returns the keys of a JWK set that are refused because they are weak, each with the
// reason.
func WeakKeys(text []byte) []string {
	_, weak, _ := parseKeys(text)
	return weak
}

// parseKeys parses a JWK set. It ignores keys that aren't for verifying signatures or have an
// unknown type, as RFC 7517 section 5 requires. It also ignores private and symmetric keys, which
// must not be published, and weak keys, which it returns with the reasons. A set of nothing but
// such keys is an error, so that a faulty set doesn't lock out all callers. A set without any key
// is no error, because an operator revokes all keys with it.
//
// go-jose parses the elements, because it implements the key types. This package stores the sets
// itself, because the libraries for that (keyfunc, go-oidc) lack two limits: how long the last good
// set may be used, and how many fetches unauthenticated clients can cause.
func parseKeys(text []byte) (all []key, weak []string, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil || set.Keys == nil {
		return nil, nil, errNoKeySet // the original error may contain a part of the response
	}
	for i, raw := range set.Keys {
		k, ok := parseKey(raw)
		if !ok {
			continue
		}
		if fault := keyFault(k.public); fault != "" {
			weak = append(weak, fmt.Sprintf("keys[%d] %s", i, fault)) // kid may be any text
			continue
		}
		all = append(all, k)
	}
	if len(all) == 0 && len(set.Keys) > 0 {
		return nil, weak, errNoKeySet
	}
	return all, weak, nil
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
	return key{id: k.KeyID, algorithm: k.Algorithm, public: k.Key}, true
}
