package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/deskmint/deskmint/service/readfile"
)

// Person identifies the person that a decision is about. A field is empty if it isn't known.
type Person struct {
	Email      string
	ExternalID string
}

// Key is the key of the hashes of people's identifiers. An empty key makes no hashes.
type Key []byte

// minKey is the minimum length of a key in bytes.
const minKey = 32

// ParseKey returns the key in the text of a key file, without the white space around it.
func ParseKey(text []byte) (Key, error) {
	key := bytes.TrimSpace(text)
	if len(key) < minKey {
		return nil, fmt.Errorf("is too short: %d of at least %d bytes", len(key), minKey)
	}
	return key, nil
}

// ReadKey reads a key file.
func ReadKey(path string) (Key, error) {
	text, err := readfile.Small(path)
	if err != nil {
		return nil, err
	}
	key, err := ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return key, nil
}

// HashEmail returns the value of email_hmac_sha256 for an address. Without a key or an address it
// returns "". The case of the address doesn't matter.
func (k Key) HashEmail(email string) string { return k.hash("", email) }

// HashExternalID returns the value of external_id_hmac_sha256 for an external ID. Without a key or
// an ID it returns "". The case of the ID doesn't matter, because Deskmint compares IDs without
// case. The prefix makes the hash differ from that of an equal address.
func (k Key) HashExternalID(id string) string { return k.hash("external_id:", id) }

func (k Key) hash(prefix, value string) string {
	if value == "" || len(k) == 0 {
		return ""
	}
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte(prefix + strings.ToLower(value)))
	return hex.EncodeToString(mac.Sum(nil))
}
