package caller

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxToken is how long a bearer credential may be, in bytes. Nothing longer is read.
	maxToken = 8 << 10
	// leeway is by how much an issuer's clock and ours may differ, for each of exp,
	// nbf and iat.
	leeway = 30 * time.Second
	// latest is the end of year 9999: a date beyond it is none, and would overflow.
	latest = 253402300799
)

// algorithms are those that a token may be signed with (RFC 7518 section 3.1,
// RFC 8037). With a symmetric one whoever can verify can sign, and a public key could
// be passed off as its secret.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// token is a JWT as it is written. Nothing in it may be believed before it is verified.
type token struct {
	raw       string
	algorithm string
	kid       *string // nil: not given
	claims    map[string]any
}

// tokened finds the caller whose JWT this is, of which sum is the hash.
func (c *Callers) tokened(ctx context.Context, raw string, sum [sha256.Size]byte) (Caller, error) {
	if who, ok := c.memo.get(sum); ok {
		return who, nil
	}
	t, err := readToken(raw)
	if err != nil {
		return Caller{}, err
	}
	// Whose key to take is all that the claim decides: the signature then proves it.
	name, _ := t.claims["iss"].(string)
	i := c.issuers[name]
	if i == nil {
		return Caller{}, ErrUnknown
	}
	v, err := i.verify(ctx, t)
	if err != nil {
		return Caller{}, err
	}
	now := c.now()
	found, err := i.match(t.claims, now)
	if err != nil {
		return Caller{}, err
	}
	if v.caller, err = found.authenticated(now); err == nil {
		// The token is matched again after the identity's end: another identity may fit it.
		v.endsWith(found.notAfter)
		c.memo.put(sum, v)
	}
	return v.caller, err
}

// readToken takes a token apart and refuses what another reader could understand
// otherwise, or what it doesn't understand itself. The header's jwk, jku, x5u and
// x5c are of no interest: a token has no say in which key verifies it (RFC 8725
// section 3.10).
func readToken(raw string) (token, error) {
	t := token{raw: raw}
	parts := strings.Split(raw, ".")
	header, err := segment(parts[0])
	if err != nil {
		return t, err
	}
	if t.claims, err = segment(parts[1]); err != nil {
		return t, err
	}
	if _, err := base64url(parts[2]); err != nil {
		return t, err
	}
	for _, name := range []string{
		"crit", "b64",
	} { // there is no extension that we know (RFC 7515 section 4.1.11, RFC 7797)
		if _, ok := header[name]; ok {
			return t, ErrMalformed
		}
	}
	if typ, ok := header["typ"]; ok && !isJWT(typ) {
		return t, ErrMalformed
	}
	if kid, ok := header["kid"]; ok {
		text, ok := kid.(string)
		if !ok {
			return t, ErrMalformed
		}
		t.kid = &text
	}
	if slices.ContainsFunc([]string{"exp", "nbf", "iat"}, func(name string) bool { return !isDate(t.claims[name]) }) {
		return t, ErrMalformed
	}
	if t.algorithm, _ = header["alg"].(string); !slices.Contains(algorithms, t.algorithm) {
		return t, ErrUnverified
	}
	return t, nil
}

// isJWT is true of the two types of tokens that say who somebody is: the general one
// and that of access tokens (RFC 9068). A token that was made for another purpose has
// another (RFC 8725 section 3.11).
func isJWT(typ any) bool {
	text, _ := typ.(string)
	text = lower(text)
	return text == "jwt" || text == "at+jwt"
}

// isDate is true of what isn't there, and of seconds since 1970 (RFC 7519 section 2).
func isDate(v any) bool {
	if v == nil {
		return true
	}
	number, ok := v.(json.Number)
	seconds, err := number.Float64()
	return ok && err == nil && seconds >= 0 && seconds <= latest
}

// segment reads one of the two JSON objects of a token.
func segment(text string) (map[string]any, error) {
	b, err := base64url(text)
	if err != nil || !utf8.Valid(b) {
		return nil, ErrMalformed
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := strictValue(d)
	if _, end := d.Token(); err != nil || !errors.Is(end, io.EOF) {
		return nil, ErrMalformed
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, ErrMalformed
	}
	return object, nil
}

// base64url decodes what has exactly one way of being written: Go's decoder passes
// over line ends, and leaves it to Strict to look at the bits that stand for nothing.
func base64url(text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, ErrMalformed
	}
	return b, nil
}

// strictValue reads a JSON value in which no object has a key twice: encoding/json
// takes the last one in silence, and another reader the first.
func strictValue(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := strictValue(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	case json.Delim('{'):
		return strictObject(d)
	}
	return t, nil
}

func strictObject(d *json.Decoder) (map[string]any, error) {
	object := make(map[string]any)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		if _, twice := object[key]; twice {
			return nil, ErrMalformed
		}
		if object[key], err = strictValue(d); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return object, err
}

// textOf is a single value as text.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}
