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
	// maxToken is the maximal length of a bearer credential in bytes. A longer one isn't read.
	maxToken = 8 << 10
	// leeway is the allowed difference between an issuer's clock and the local one, for exp, nbf
	// and iat.
	leeway = 30 * time.Second
	// maxDate is the end of the year 9999. A later date is invalid and would overflow.
	maxDate = 253402300799
)

// algorithms are the allowed signature algorithms (RFC 7518 section 3.1, RFC 8037). Symmetric ones
// are not allowed. With them, anyone that can verify a token can also sign one, and a public key
// could be used as the secret.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// token is a parsed JWT. Don't trust its contents before it is verified.
type token struct {
	raw       string
	algorithm string
	kid       *string // nil: not given
	claims    map[string]any
}

// byToken returns the caller that a JWT identifies. sum is the hash of the JWT.
func (c *Callers) byToken(ctx context.Context, raw string, sum [sha256.Size]byte) (Caller, error) {
	if cached, ok := c.cache.get(sum); ok {
		return cached, nil
	}
	t, err := readToken(raw)
	if err != nil {
		return Caller{}, err
	}
	// The claim iss only selects the key. The signature then proves the claim.
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
	found, err := i.find(t.claims, now)
	if err != nil {
		return Caller{}, err
	}
	if v.caller, err = found.caller(now); err == nil {
		// After the identity's end the token is matched again, because another identity may match
		// it.
		v.limitTo(found.notAfter)
		c.cache.put(sum, v)
	}
	return v.caller, err
}

// readToken parses a token. It refuses a token that another parser could understand differently, or
// that has unknown parts. It ignores the header's jwk, jku, x5u and x5c, because a token must not
// choose the key that verifies it (RFC 8725 section 3.10).
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
	// No extension is supported (RFC 7515 section 4.1.11, RFC 7797).
	for _, name := range []string{"crit", "b64"} {
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

// isJWT reports whether typ is one of the two types of tokens that identify a subject: the general
// type and that of access tokens (RFC 9068). A token for another purpose has another type (RFC 8725
// section 3.11).
func isJWT(typ any) bool {
	text, _ := typ.(string)
	text = lower(text)
	return text == "jwt" || text == "at+jwt"
}

// isDate reports whether v is missing or a number of seconds since 1970 (RFC 7519 section 2).
func isDate(v any) bool {
	if v == nil {
		return true
	}
	number, ok := v.(json.Number)
	seconds, err := number.Float64()
	return ok && err == nil && seconds >= 0 && seconds <= maxDate
}

// segment parses one of the two JSON objects of a token.
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

// base64url decodes a text that has exactly one valid spelling. The decoder of Go ignores line
// breaks, and without Strict it also ignores the unused bits of the last character.
func base64url(text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, ErrMalformed
	}
	return b, nil
}

// strictValue parses a JSON value and refuses objects with duplicate keys. encoding/json silently
// uses the last value, and another parser might use the first.
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

// textOf returns a single value as text. ok is false for lists, objects and null.
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
