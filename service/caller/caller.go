// Package caller finds out which internal service is calling.
//
// A caller is known by exactly one credential. No credential, an unknown one and
// more than one are all refused, because a request that could be two callers'
// would be judged by whichever grants suit it. Credentials arrive as Go values
// that the door took from the connection itself, never as metadata that a client
// could set under another name.
package caller

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Caller is an authenticated internal service.
type Caller struct {
	// Name is its name in the configuration file.
	Name string
	// Method is how it was authenticated: "api_key".
	Method string
}

// Credentials are all that a request brought along to say who sends it.
type Credentials struct {
	// Authorization holds every value of the authorization header or metadata.
	Authorization []string
}

// Authenticator tells who calls. It is safe for concurrent use. The error is one
// of this package's, so that the caller of a service can be told which.
type Authenticator interface {
	Authenticate(context.Context, Credentials) (Caller, error)
}

// The ways in which a request fails to say who sends it.
var (
	ErrMissing   = errors.New("no credential")
	ErrMalformed = errors.New("the authorization is not `Bearer` and one credential")
	ErrSeveral   = errors.New("more than one credential")
	ErrUnknown   = errors.New("the credential is nobody's")
)

// KeyPrefix begins every API key, so that scanners for leaked secrets can find them.
const KeyPrefix = "dmk_"

// NewKey makes an API key of 256 random bits, and the hash that stands for it in
// the configuration file.
func NewKey() (key, sha256hex string) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails, as crypto/rand documents
	key = KeyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return key, HashKey(key)
}

// HashKey is what the configuration file holds of a key. A plain SHA-256 is enough
// for a long random value: there is nothing to guess.
func HashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// APIKeys authenticates by API key. Looking up the hash of what was sent takes the
// same time whichever key it resembles.
type APIKeys struct {
	names map[[sha256.Size]byte]string
}

// NewAPIKeys takes each key's SHA-256 in hexadecimal with its caller's name.
func NewAPIKeys(names map[string]string) (*APIKeys, error) {
	k := &APIKeys{names: make(map[[sha256.Size]byte]string, len(names))}
	for hash, name := range names {
		sum, err := ParseHash(hash)
		if err != nil {
			return nil, fmt.Errorf("caller %s: %w", name, err)
		}
		// The same digits in another case are another key of the map, but no other credential.
		if before, ok := k.names[sum]; ok && before != name {
			return nil, fmt.Errorf("callers %s and %s have the same API key", min(before, name), max(before, name))
		}
		k.names[sum] = name
	}
	return k, nil
}

// ParseHash reads an api_key_sha256.
func ParseHash(s string) (sum [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != sha256.Size {
		return sum, errors.New("is no SHA-256: give 64 hexadecimal digits, as `deskmint key new` prints them")
	}
	return [sha256.Size]byte(b), nil
}

// Authenticate implements [Authenticator].
func (k *APIKeys) Authenticate(_ context.Context, c Credentials) (Caller, error) {
	key, err := Bearer(c.Authorization)
	if err != nil {
		return Caller{}, err
	}
	name, ok := k.names[sha256.Sum256([]byte(key))]
	if !ok {
		return Caller{}, ErrUnknown
	}
	return Caller{Name: name, Method: "api_key"}, nil
}

// Bearer takes the one credential out of the authorization values (RFC 6750
// section 2.1; the scheme's case doesn't matter, RFC 9110 section 11.1).
func Bearer(authorization []string) (string, error) {
	switch {
	case len(authorization) == 0:
		return "", ErrMissing
	case len(authorization) > 1:
		return "", ErrSeveral
	}
	scheme, credential, ok := strings.Cut(authorization[0], " ")
	switch {
	case authorization[0] == "":
		return "", ErrMissing
	case !ok || !strings.EqualFold(scheme, "bearer") || credential == "":
		return "", ErrMalformed
	case strings.Contains(credential, ","):
		return "", ErrSeveral // two header lines, joined by a proxy on the way
	case strings.ContainsAny(credential, " \t"):
		return "", ErrMalformed
	}
	return credential, nil
}
