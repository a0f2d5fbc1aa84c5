package sandbox

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

// token is a JWT in its parts (RFC 7515 section 7.1). Nothing in it has been verified.
type token struct {
	header    []byte // JSON
	claims    []byte // JSON
	signed    string // what the signature is over
	signature []byte
}

// parseToken takes a token apart. The encoding is strict: base64url without padding and without
// stray bits, so that a token has one spelling.
func parseToken(compact string) (token, error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return token{}, fmt.Errorf("the token has %d parts, not three", len(parts))
	}
	decoded := make([][]byte, 3)
	for i, part := range parts {
		// The decoder skips line ends.
		if strings.ContainsAny(part, "\r\n") {
			return token{}, fmt.Errorf("part %d of the token holds a line end", i+1)
		}
		var err error
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return token{}, fmt.Errorf("part %d of the token is not base64url: %w", i+1, err)
		}
	}
	return token{
		header:    decoded[0],
		claims:    decoded[1],
		signed:    parts[0] + "." + parts[1],
		signature: decoded[2],
	}, nil
}

// checkHeader holds the header to the two members that Zendesk documents, in either order.
func (t token) checkHeader() error {
	header, err := decodeObject(t.header)
	if err != nil {
		return fmt.Errorf("the header is not a JSON object: %w", err)
	}
	if header["typ"] != "JWT" || header["alg"] != "HS256" || len(header) != 2 {
		return errors.New(`the header must be {"typ":"JWT","alg":"HS256"} and nothing more`)
	}
	return nil
}

// verify reports whether the signature was made with the secret. An absent secret verifies nothing:
// HMAC would take an empty key as readily as any other.
func (t token) verify(secret []byte) bool {
	if len(secret) == 0 {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t.signed))
	return hmac.Equal(mac.Sum(nil), t.signature)
}

// maxDepth is far beyond what a token needs: user_fields are the only objects in one.
const maxDepth = 8

// decodeObject reads exactly one JSON object. Numbers stay [json.Number], as they were written.
// encoding/json would take the last of two members with one name, and mend bad UTF-8, in silence;
// here both are errors, because two readers of one token must not see different claims.
func decodeObject(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	if !json.Valid(text) { // the decoder below would overlook what follows the object
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
		key := name.(string) // the decoder takes nothing else for a name
		if _, twice := object[key]; twice {
			return nil, fmt.Errorf("member %q is there twice", key)
		}
		if object[key], err = decodeValue(decoder, depth-1); err != nil {
			return nil, err
		}
	}
	_, err = decoder.Token()
	return object, err
}
