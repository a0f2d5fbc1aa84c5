package secrets

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"unicode"

	"github.com/golang-jwt/jwt/v5"
)

// MinKeyBytes is the minimum length of a secret. HS256 needs a key that is at least as long as its
// hash (RFC 7518, section 3.2). golang-jwt and crypto/hmac accept shorter keys, even an empty one.
const MinKeyBytes = 32

var (
	// ErrSignature says that the key did not make the signature.
	ErrSignature = errors.New("signature does not match")

	errZeroKey = errors.New("secrets: the zero Key neither signs nor verifies")
)

// A Key signs and verifies with one version of a secret. It is immutable and safe for concurrent
// use. The zero Key holds no secret, and its Sign and Verify fail.
//
// A Key never reveals the secret's bytes. Only its closures hold them, and package fmt prints at
// most the address of a func value. Methods such as String or MarshalJSON would not be enough,
// because fmt doesn't call them on an unexported field of another struct.
type Key struct {
	version Version
	id      string
	mark    Mark
	sign    func(ctx context.Context, signingInput string) ([]byte, error)
	verify  func(signingInput string, signature []byte) error

	variant    func(signingInput string, signature []byte) (Variant, bool)
	pasteFault func() string
}

// NewKey makes a key of a copy of secret. It uses the bytes as they are and decodes nothing.
//
// It returns ErrUnusable if the secret is shorter than MinKeyBytes, or if it has white space at
// either end. Such white space comes from pasting or piping, and Zendesk's copy doesn't have it.
// The error names the rule, and gives the length of the secret only roughly.
func NewKey(v Version, secret []byte) (Key, error) {
	switch trimmed := bytes.TrimFunc(secret, isOuterSpace); {
	case v == 0:
		return Key{}, fmt.Errorf("%w: versions are numbered from 1", ErrUnusable)
	case len(trimmed) == 0:
		return Key{}, fmt.Errorf("%w: version %d is empty or only white space", ErrUnusable, v)
	case len(trimmed) != len(secret):
		return Key{}, fmt.Errorf("%w: version %d begins or ends with white space (a newline from pasting or piping?): "+
			"store it again without", ErrUnusable, v)
	case len(secret) < MinKeyBytes/2:
		return Key{}, fmt.Errorf("%w: version %d is far too short (under %d bytes; at least %d are needed)",
			ErrUnusable, v, MinKeyBytes/2, MinKeyBytes)
	case len(secret) < MinKeyBytes:
		return Key{}, fmt.Errorf("%w: version %d is too short (%d to %d bytes; at least %d are needed)", ErrUnusable, v,
			MinKeyBytes/2, MinKeyBytes-1, MinKeyBytes)
	}
	key := bytes.Clone(secret)
	// golang-jwt's Sign prepares the key for each signature, which is half of the cost. Verify is
	// called less often. It uses golang-jwt, so that a test can compare Sign with it.
	states := sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}
	return Key{
		version: v,
		sign: func(_ context.Context, signingInput string) ([]byte, error) {
			state, _ := states.Get().(hash.Hash)
			defer states.Put(state)
			state.Reset()
			_, err := io.WriteString(state, signingInput)
			return state.Sum(nil), err
		},
		verify: func(signingInput string, signature []byte) error {
			return jwt.SigningMethodHS256.Verify(signingInput, signature, key)
		},
		variant: func(signingInput string, signature []byte) (Variant, bool) {
			return variantOf(string(key), signingInput, signature)
		},
		pasteFault: func() string { return pasteFaultOf(string(key)) },
	}, nil
}

// isOuterSpace reports whether r is white space or the byte order mark. Some editors write that
// mark at the start of a file.
func isOuterSpace(r rune) bool { return unicode.IsSpace(r) || r == '\uFEFF' }

// Version returns the number of the secret version that the key was made of. It is zero for the
// zero Key.
func (k Key) Version() Version { return k.version }

// ID returns the key's identifier. The verifier finds the key by it, as by the header parameter
// "kid" of a JWT (RFC 7515, section 4.1.4). It is empty if the key has none. It is not secret.
func (k Key) ID() string { return k.id }

// WithID returns a copy of the key with the given identifier.
func (k Key) WithID(id string) Key {
	k.id = id
	return k
}

// Mark returns the mark that Deskmint's commands wrote in the version's data. It is the zero Mark
// if there is none.
func (k Key) Mark() Mark { return k.mark }

// WithMark returns a copy of the key with the given mark.
func (k Key) WithMark(m Mark) Key {
	k.mark = m
	return k
}

// IsZero reports whether k is the zero Key.
func (k Key) IsZero() bool { return k.sign == nil }

// Sign returns the HS256 signature of signingInput, which is the encoded header, a dot and the
// encoded claims (RFC 7515, section 5.1).
//
// The context applies to a key that is kept elsewhere and signs over the network. A key that was
// made by NewKey signs in memory and ignores the context.
func (k Key) Sign(ctx context.Context, signingInput string) ([]byte, error) {
	if k.IsZero() {
		return nil, errZeroKey
	}
	return k.sign(ctx, signingInput)
}

// Verify returns ErrSignature unless signature is the HS256 signature of signingInput under this
// key. It compares in constant time.
func (k Key) Verify(signingInput string, signature []byte) error {
	if k.IsZero() {
		return errZeroKey
	}
	err := k.verify(signingInput, signature)
	if errors.Is(err, jwt.ErrSignatureInvalid) {
		return ErrSignature
	}
	return err
}

// String returns the version's number and nothing else.
func (k Key) String() string { return fmt.Sprintf("secret version %d", k.version) }
