// Package caller finds out which internal service is calling.
//
// A caller is known by exactly one credential: an API key, a bearer JWT of an issuer
// that the configuration names, or a client certificate. No credential, an unknown
// one and more than one are all refused, because a request that could be two callers'
// would be judged by whichever grants suit it. Credentials arrive as Go values that
// the transport took from the connection itself, never as metadata that a client could
// set under another name.
package caller

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

// Caller is an authenticated internal service.
type Caller struct {
	// Name is its name in the configuration file.
	Name string
	// Method is how it was authenticated: one of the constants below.
	Method string
	// Identity is the [Identity.Label] of the identity that was shown.
	Identity string
}

// The ways in which a caller is authenticated, as records name them.
const (
	MethodAPIKey  = "api_key"
	MethodMTLSURI = "mtls_uri"
	MethodMTLSDNS = "mtls_dns"
	MethodJWT     = "jwt"
)

// Credentials are all that a request brought along to say who sends it.
type Credentials struct {
	// Authorization holds every value of the authorization header or metadata.
	Authorization []string
	// Certificate is the client's own, which the TLS stack has verified against the
	// client CAs of its listener; nil: none. It is a credential only where it names a caller.
	Certificate *x509.Certificate
}

// Authenticator tells who calls. It is safe for concurrent use. The error is one
// of this package's, so that the caller of a service can be told which, or ctx's.
type Authenticator interface {
	Authenticate(context.Context, Credentials) (Caller, error)
}

// The ways in which a request fails to say who sends it. Whether a token's audience
// and times are right is told only of tokens whose signature is: of others there is
// nothing that could be believed.
var (
	ErrMissing     = errors.New("no credential")
	ErrMalformed   = errors.New("the authorization is not `Bearer` and one credential, or its token is not a well-formed JWT")
	ErrSeveral     = errors.New("more than one credential")
	ErrUnknown     = errors.New("the credential is nobody's")
	ErrAmbiguous   = errors.New("the credential is that of several callers")
	ErrUnverified  = errors.New("the token is not signed by a key of its issuer")
	ErrAudience    = errors.New("the token is for another audience")
	ErrExpired     = errors.New("the token has expired")
	ErrNotYetValid = errors.New("the token is not valid yet")
	// ErrIssuerUnavailable: the issuer has been away for so long that its keys may not
	// be relied on any more, or since before they were first known.
	ErrIssuerUnavailable = errors.New("the issuer's keys are not available")
)

// KeyPrefix begins every API key, so that scanners for leaked secrets can find them.
const KeyPrefix = "dmk_"

// LooksLikeCredential reports whether text has the form of an API key or of a whole JWT. People
// send them where they don't belong.
func LooksLikeCredential(text string) bool {
	return strings.HasPrefix(text, KeyPrefix) || strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2
}

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

// ParseHash reads an api_key_sha256.
func ParseHash(s string) (sum [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != sha256.Size {
		return sum, errors.New("is no SHA-256: give 64 hexadecimal digits, as `deskmint key new` prints them")
	}
	return [sha256.Size]byte(b), nil
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
