// Package caller identifies the internal service that sends a request.
//
// Exactly one credential identifies a caller: an API key, a bearer JWT of a configured issuer, or a
// client certificate. A request without a credential, with an unknown one, or with more than one is
// refused. If a request could belong to two callers, whichever grants suit it would apply.
// Credentials are Go values that the transport reads from the connection itself. They are never
// metadata that a client could set under another name.
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
	// Method is how the caller was authenticated: one of the constants below.
	Method string
	// Identity is the [Identity.Label] of the identity that was presented.
	Identity string
}

// The authentication methods, as records name them.
const (
	MethodAPIKey  = "api_key"
	MethodMTLSURI = "mtls_uri"
	MethodMTLSDNS = "mtls_dns"
	MethodJWT     = "jwt"
)

// Credentials are all credentials of a request.
type Credentials struct {
	// Authorization holds every value of the authorization header or metadata.
	Authorization []string
	// Certificate is the client certificate. The TLS stack has verified it against the client CAs
	// of the listener. nil: no certificate. It counts as a credential only if it names a caller.
	Certificate *x509.Certificate
}

// Authenticator identifies callers. It is safe for concurrent use. Its errors are those of this
// package, so that a client can learn which one it was, or the error of ctx.
type Authenticator interface {
	Authenticate(context.Context, Credentials) (Caller, error)
}

// The reasons for which authentication fails. A wrong audience or wrong times are reported only for
// a token with a valid signature, because nothing else in a token can be trusted.
var (
	ErrMissing     = errors.New("no credential")
	ErrMalformed   = errors.New("the authorization isn't `Bearer` and one credential, or its JWT isn't well-formed")
	ErrSeveral     = errors.New("more than one credential")
	ErrUnknown     = errors.New("the credential belongs to no caller")
	ErrAmbiguous   = errors.New("the credential belongs to several callers")
	ErrUnverified  = errors.New("the token is not signed by a key of its issuer")
	ErrAudience    = errors.New("the token is for another audience")
	ErrExpired     = errors.New("the token has expired")
	ErrNotYetValid = errors.New("the token is not valid yet")
	ErrWeakKey     = errors.New("the RSA key of the client certificate is weak")
	// ErrIssuerUnavailable reports that an issuer has been unavailable for so long that its keys
	// have expired, or that its keys were never fetched.
	ErrIssuerUnavailable = errors.New("the issuer's keys are not available")
)

// KeyPrefix begins every API key, so that secret scanners can find leaked keys.
const KeyPrefix = "dmk_"

// LooksLikeCredential reports whether text has the form of an API key or of a whole JWT. Clients
// sometimes send credentials in the wrong field.
func LooksLikeCredential(text string) bool {
	return strings.HasPrefix(text, KeyPrefix) || strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2
}

// NewKey returns a new API key of 256 random bits, and its hash for the configuration file.
func NewKey() (key, sha256hex string) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails, as crypto/rand documents
	key = KeyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return key, HashKey(key)
}

// HashKey returns the hash of a key for the configuration file. A plain SHA-256 is enough for a
// long random value, because it can't be guessed.
func HashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// ParseHash parses an api_key_sha256.
func ParseHash(s string) (sum [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != sha256.Size {
		return sum, errors.New("is no SHA-256: write 64 hexadecimal digits, as `deskmint key new` prints them")
	}
	return [sha256.Size]byte(b), nil
}

// Bearer returns the one credential in the authorization values (RFC 6750 section 2.1). The
// scheme's case doesn't matter (RFC 9110 section 11.1).
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
		return "", ErrSeveral // two header lines that a proxy has joined
	case strings.ContainsAny(credential, " \t"):
		return "", ErrMalformed
	}
	return credential, nil
}
