// Package jwt reads the tokens that the sandbox gets (RFC 7519). It shares no code with the part of
// Deskmint that signs tokens, so that a mistake in one of them shows.
package jwt

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Token consists of the parts of a JWT (RFC 7515 section 7.1). None of them is verified.
type Token struct {
	header    []byte // JSON
	claims    []byte // JSON
	signed    string // the input of the signature
	signature []byte
}

// Parse splits a token and decodes its parts. The encoding must be base64url without padding and
// without stray bits, so that each token has only one encoding.
func Parse(compact string) (Token, error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return Token{}, fmt.Errorf("the token must have three parts, and has %d", len(parts))
	}
	decoded := make([][]byte, 3)
	for i, part := range parts {
		// The decoder ignores line ends.
		if strings.ContainsAny(part, "\r\n") {
			return Token{}, fmt.Errorf("part %d of the token holds a line end", i+1)
		}
		var err error
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return Token{}, fmt.Errorf("part %d of the token is not base64url: %w", i+1, err)
		}
	}
	return Token{
		header:    decoded[0],
		claims:    decoded[1],
		signed:    parts[0] + "." + parts[1],
		signature: decoded[2],
	}, nil
}

// CheckHeader checks that the header has exactly the two members that Zendesk documents, in any
// order.
func (t Token) CheckHeader() error {
	header, err := decodeObject(t.header)
	if err != nil {
		return fmt.Errorf("the header is not a JSON object: %w", err)
	}
	if header["typ"] != "JWT" || header["alg"] != "HS256" || len(header) != 2 {
		return errors.New(`the header must be {"typ":"JWT","alg":"HS256"} and nothing more`)
	}
	return nil
}

// Verify reports whether the signature was made with the secret. Without a secret it returns false,
// because HMAC accepts an empty key like any other.
func (t Token) Verify(secret []byte) bool {
	if len(secret) == 0 {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t.signed))
	return hmac.Equal(mac.Sum(nil), t.signature)
}

// Claims decodes the claims. They must be exactly one JSON object without ambiguities. Numbers are
// [json.Number], as written in the token.
func (t Token) Claims() (map[string]any, error) { return decodeObject(t.claims) }

// maxDepth is the maximum depth of nested JSON. Tokens need much less, because user_fields are the
// only objects in a token.
const maxDepth = 8

// decodeObject decodes exactly one JSON object. Numbers are [json.Number], as written in the token.
// encoding/json alone would use the last of two members with one name and replace invalid UTF-8
// without an error. Here both are errors, because two readers of one token must not read different
// claims.
func decodeObject(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	if !json.Valid(text) { // the decoder below would ignore data after the object
		return nil, errors.New("not JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	value, err := decodeValue(decoder, maxDepth)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("not an object")
	}
	return object, nil
}

func decodeValue(decoder *json.Decoder, depth int) (any, error) {
	next, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	opening, ok := next.(json.Delim)
	if !ok {
		return next, nil
	}
	if depth == 0 {
		return nil, errors.New("nested too deeply")
	}
	if opening == '[' {
		list := []any{}
		for decoder.More() {
			value, err := decodeValue(decoder, depth-1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err := decoder.Token()
		return list, err
	}
	object := map[string]any{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		key := name.(string) // the decoder accepts no other type as a name
		if _, twice := object[key]; twice {
			return nil, fmt.Errorf("member %q occurs twice", key)
		}
		if object[key], err = decodeValue(decoder, depth-1); err != nil {
			return nil, err
		}
	}
	_, err = decoder.Token()
	return object, err
}
