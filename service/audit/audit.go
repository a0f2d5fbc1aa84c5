// Package audit keeps one JSON record of each decision. A record is written before
// the token leaves, and where it can't be written nothing is minted: a sign-in that
// nobody can trace is worse than one that has to be tried again.
package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// Settings is the audit block of the configuration file.
type Settings struct {
	// Output is stdout (the default), stderr, or a file's path.
	Output string `yaml:"output"`
	// PlainEmail records the person's address as it is.
	PlainEmail bool `yaml:"plain_email"`
	// EmailKeyFile holds the key, of 32 bytes or more, under which addresses are
	// hashed. Absent: addresses are not recorded at all, since a hash without a key
	// is as good as the address.
	EmailKeyFile string `yaml:"email_key_file"`
}

// Record is one decision. It never holds a token or a secret.
type Record struct {
	Time          time.Time `json:"time"`
	Door          string    `json:"door"` // grpc or http
	Method        string    `json:"method"`
	Caller        string    `json:"caller,omitempty"`
	Authenticated string    `json:"authenticated,omitempty"` // how: api_key
	Configuration string    `json:"configuration,omitempty"`
	Brand         string    `json:"brand,omitempty"`
	Decision      string    `json:"decision"` // allow or deny
	Reason        string    `json:"reason,omitempty"`
	Rule          string    `json:"rule,omitempty"` // the grant that allowed, or the rule that refused
	SecretVersion uint32    `json:"secret_version,omitempty"`
	ID            string    `json:"jti,omitempty"`
	TokenHash     string    `json:"token_sha256,omitempty"`
	Email         string    `json:"email,omitempty"`
	EmailHash     string    `json:"email_hmac_sha256,omitempty"`
	Role          string    `json:"role,omitempty"`
	Claims        []string  `json:"claims,omitempty"`   // names only
	Warnings      []string  `json:"warnings,omitempty"` // fields only
	ValidateOnly  bool      `json:"validate_only,omitempty"`
	Digest        string    `json:"configuration_digest,omitempty"`
}

// Log writes records. It is safe for concurrent use.
type Log struct {
	mu         sync.Mutex
	w          io.Writer
	torn       bool // a failed write has left half a line behind
	plainEmail bool
	emailKey   []byte
}

// ErrUnavailable is matched by every failure to write a record.
var ErrUnavailable = errors.New("the audit record can't be written")

// New makes a log on w. emailKey may be nil.
func New(w io.Writer, s Settings, emailKey []byte) *Log {
	return &Log{w: w, plainEmail: s.PlainEmail, emailKey: bytes.Clone(emailKey)}
}

// Open makes a log of what the settings name. Close releases a file.
func Open(s Settings, stdout, stderr io.Writer) (log *Log, closer io.Closer, err error) {
	var key []byte
	if s.EmailKeyFile != "" {
		if key, err = os.ReadFile(s.EmailKeyFile); err != nil {
			return nil, nil, fmt.Errorf("audit.email_key_file: %w", err)
		}
		if key = bytes.TrimSpace(key); len(key) < 32 {
			return nil, nil, fmt.Errorf("audit.email_key_file %s holds %d bytes: 32 at least", s.EmailKeyFile, len(key))
		}
	}
	switch s.Output {
	case "", "stdout":
		return New(stdout, s, key), io.NopCloser(nil), nil
	case "stderr":
		return New(stderr, s, key), io.NopCloser(nil), nil
	}
	f, err := os.OpenFile(s.Output, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("audit.output: %w", err)
	}
	return New(f, s, key), f, nil
}

// Write records a decision; email is the person's address, kept only as the
// settings say. The record is with the operating system when it returns.
func (l *Log) Write(r Record, email string) error {
	r.Email, r.EmailHash = "", ""
	if l.plainEmail {
		r.Email = email
	}
	if email != "" && len(l.emailKey) > 0 {
		mac := hmac.New(sha256.New, l.emailKey)
		mac.Write([]byte(strings.ToLower(email)))
		r.EmailHash = hex.EncodeToString(mac.Sum(nil))
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	line = append(line, '\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := l.w.Write(line)
	if n > 0 {
		l.torn = line[n-1] != '\n'
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Hash is the SHA-256 of a token, for finding its record later.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
