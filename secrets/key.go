package secrets

import (
	"bytes"
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

// MinKeyBytes is the least length of a secret. HS256 needs a key at least as
// long as its hash (RFC 7518, section 3.2); golang-jwt and crypto/hmac would
// sign with an empty one without complaint.
const MinKeyBytes = 32

var (
	// ErrSignature: the signature isn't one of this key.
	ErrSignature = errors.New("signature does not match")

	errZeroKey = errors.New("secrets: the zero Key neither signs nor verifies")
)

// A Key signs and verifies with one version of a secret. It is immutable, may
// be used from several goroutines, and can't give up its bytes: they live in
// the closures only. Methods such as String or MarshalJSON would not be enough, since
// printers don't call them on an unexported field of somebody else's struct;
// through a func value they see an address at most.
//
// The zero Key is none; its Sign and Verify fail.
type Key struct {
	version Version
	mark    Mark
	sign    func(signingInput string) ([]byte, error)
	verify  func(signingInput string, signature []byte) error
}

// NewKey makes a key of a copy of secret, taken as it stands, never decoded.
// It returns ErrUnusable for a secret under MinKeyBytes, and for one with
// white space at either end, which comes from pasting and piping and which
// the other side doesn't have. The error names the rule, and how long the
// secret is only roughly.
func NewKey(v Version, secret []byte) (Key, error) {
	switch trimmed := bytes.TrimFunc(secret, isOuterSpace); {
	case v == 0:
		return Key{}, fmt.Errorf("%w: versions are numbered from 1", ErrUnusable)
	case len(trimmed) == 0:
		return Key{}, fmt.Errorf("%w: version %d is empty or only white space", ErrUnusable, v)
	case len(trimmed) != len(secret):
		return Key{}, fmt.Errorf("%w: version %d begins or ends with white space (a newline from pasting or piping?): store it again without", ErrUnusable, v)
	case len(secret) < MinKeyBytes/2:
		return Key{}, fmt.Errorf("%w: version %d is far too short (under %d bytes; at least %d are needed)", ErrUnusable, v, MinKeyBytes/2, MinKeyBytes)
	case len(secret) < MinKeyBytes:
		return Key{}, fmt.Errorf("%w: version %d is too short (%d to %d bytes; at least %d are needed)", ErrUnusable, v, MinKeyBytes/2, MinKeyBytes-1, MinKeyBytes)
	}
	key := bytes.Clone(secret)
	// golang-jwt's Sign prepares the key anew each time, which is half of its cost; its
	// Verify, which isn't on the way of every request, holds this to the standard.
	states := sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}
	return Key{
		version: v,
		sign: func(signingInput string) ([]byte, error) {
			state, _ := states.Get().(hash.Hash)
			defer states.Put(state)
			state.Reset()
			_, err := io.WriteString(state, signingInput)
			return state.Sum(nil), err
		},
		verify: func(signingInput string, signature []byte) error {
			return jwt.SigningMethodHS256.Verify(signingInput, signature, key)
		},
	}, nil
}

// isOuterSpace adds to white space the byte order mark, which some editors
// put before what they save.
func isOuterSpace(r rune) bool { return unicode.IsSpace(r) || r == '\uFEFF' }

// Version is the secret version that the key was made of; zero for the zero Key.
func (k Key) Version() Version { return k.version }

// Mark returns what Deskmint's commands noted beside the value. The zero Mark: nothing.
func (k Key) Mark() Mark { return k.mark }

// WithMark returns the key with the mark that stands beside its value.
func (k Key) WithMark(m Mark) Key {
	k.mark = m
	return k
}

// IsZero reports whether k is the zero Key.
func (k Key) IsZero() bool { return k.sign == nil }

// Sign returns the HS256 signature of signingInput, which is the encoded
// header, a dot and the encoded claims (RFC 7515, section 5.1).
func (k Key) Sign(signingInput string) ([]byte, error) {
	if k.IsZero() {
		return nil, errZeroKey
	}
	return k.sign(signingInput)
}

// Verify returns ErrSignature unless signature is the HS256 signature of
// signingInput under this key. It compares in constant time.
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

// String names the version and nothing else.
func (k Key) String() string { return fmt.Sprintf("secret version %d", k.version) }
