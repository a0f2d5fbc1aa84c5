// Package audit writes one JSON record for each decision. It writes the record before the service
// returns the token. If the record can't be written, the service returns no token, because a
// sign-in without a record is worse than one that the user has to repeat.
//
// schema.json defines the form of a record, and docs/audit.md explains it.
package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Settings is the audit block of the configuration file.
type Settings struct {
	// Output is stdout (the default), stderr, or a file's path.
	Output string `yaml:"output"`
	// PlainEmail records the person's email address and external id in the clear.
	PlainEmail bool `yaml:"plain_email"`
	// EmailKeyFile is the path of a file with a key of at least 32 bytes. The email address and the
	// external ID are recorded as hashes under this key. Without it they aren't hashed, because
	// anyone could guess an address from a hash without a key.
	EmailKeyFile string `yaml:"email_key_file"`
}

// NamesPeople reports whether sign-in records identify the users.
func (s Settings) NamesPeople() bool { return s.PlainEmail || s.EmailKeyFile != "" }

// Schema is the version of the records' form. A version may get new fields. The version changes if
// a field is removed or changes its meaning.
const Schema = 1

// The decisions.
const (
	Allow = "allow"
	Deny  = "deny"
)

// Record is one decision, or a count of unauthenticated denials of one kind. It never contains a
// token or a secret.
type Record struct {
	Schema        int        `json:"schema"`              // set by Write
	RecordID      string     `json:"record_id,omitempty"` // set by Write
	Time          time.Time  `json:"time"`                // with Count, the time of the last denial
	RequestID     string     `json:"request_id,omitempty"`
	TraceID       string     `json:"trace_id,omitempty"` // W3C Trace Context, section 3.2.2.3
	Transport     string     `json:"transport"`          // grpc or http
	Method        string     `json:"method,omitempty"`
	Action        string     `json:"action,omitempty"` // action that a grant for the method must allow
	Caller        string     `json:"caller,omitempty"`
	Authenticated string     `json:"authenticated,omitempty"` // kind of authentication
	Identity      string     `json:"identity,omitempty"`      // identity that the caller authenticated as
	Configuration string     `json:"configuration,omitempty"`
	Brand         string     `json:"brand,omitempty"`
	Decision      string     `json:"decision"`
	Reason        string     `json:"reason,omitempty"`
	Credential    string     `json:"credential,omitempty"` // defect of the credential
	Rule          string     `json:"rule,omitempty"`       // the grant that allowed, or the rule that refused
	SecretVersion uint32     `json:"secret_version,omitempty"`
	ID            string     `json:"jti,omitempty"`
	TokenHash     string     `json:"token_sha256,omitempty"`
	Email         string     `json:"email,omitempty"`
	EmailHash     string     `json:"email_hmac_sha256,omitempty"`
	ExternalID    string     `json:"external_id,omitempty"`
	ExternalHash  string     `json:"external_id_hmac_sha256,omitempty"`
	Role          string     `json:"role,omitempty"`
	Claims        []string   `json:"claims,omitempty"`   // names only
	Warnings      []string   `json:"warnings,omitempty"` // fields only
	ValidateOnly  bool       `json:"validate_only,omitempty"`
	Digest        string     `json:"configuration_digest,omitempty"`
	FirstTime     *time.Time `json:"first_time,omitempty"` // only with Count
	Count         int        `json:"count,omitempty"`      // number of denials; 0 for a single decision
}

// unauthenticated reports whether the record is a denial of a request that wasn't authenticated.
// Anyone can cause any number of these. A denial of an expired credential is one of them, although
// its record names the caller.
func (r *Record) unauthenticated() bool {
	return r.Decision == Deny && (r.Caller == "" || r.Credential != "")
}

// Log writes records. It is safe for concurrent use. Close it to write the denials that are still
// counted.
type Log struct {
	out        *writer
	denials    denialAggregator
	path       string // path of the output file; empty for a stream
	plainEmail bool
	key        Key
	lines      sync.Pool // of buffers for lines
}

// ErrUnavailable matches every error of writing a record, except that of a caller's deadline.
var ErrUnavailable = errors.New("the audit record can't be written")

// New returns a log that writes to w. Close doesn't close w. emailKey may be nil.
func New(w io.Writer, s Settings, emailKey []byte) *Log {
	return newLog(newWriter(w, false), s, emailKey)
}

func newLog(out *writer, s Settings, emailKey []byte) *Log {
	l := &Log{out: out, plainEmail: s.PlainEmail, key: Key(bytes.Clone(emailKey))}
	l.denials.limit = rate.NewLimiter(denialsPerSecond, denialsBurst)
	l.denials.write = func(r Record) error { return l.write(context.Background(), r) }
	return l
}

// Open returns a log that writes to the output in the settings.
func Open(s Settings, stdout, stderr io.Writer) (*Log, error) {
	var key Key
	if s.EmailKeyFile != "" {
		var err error
		if key, err = ReadKey(s.EmailKeyFile); err != nil {
			return nil, fmt.Errorf("audit.email_key_file: %w", err)
		}
	}
	switch s.Output {
	case "", "stdout":
		return New(stdout, s, key), nil
	case "stderr":
		return New(stderr, s, key), nil
	}
	f, torn, err := openFile(s.Output)
	if err != nil {
		return nil, fmt.Errorf("audit.output: %w", err)
	}
	l := newLog(newWriter(f, torn), s, key)
	l.path = s.Output
	return l, nil
}

// Reopen opens the file again by its path and writes to it from then on. Call it after you have
// moved the old file away. Each record is complete in one of the two files. If Reopen returns an
// error, the log still writes to the old file. For stdout and stderr it does nothing.
func (l *Log) Reopen() error {
	if l.path == "" {
		return nil
	}
	f, torn, err := openFile(l.path)
	if err != nil {
		return fmt.Errorf("audit.output: %w", err)
	}
	l.out.replace(f, torn)
	return nil
}

// Close writes the denials that are still counted. If the output is a file, Close closes it, and
// later calls of Write fail. If it is a stream, Write still works.
func (l *Log) Close() error {
	err := l.denials.close()
	if l.path != "" {
		err = errors.Join(err, l.out.close())
	}
	return err
}

// Write records a decision about a person. The settings determine how the record identifies the
// person. When Write returns nil, the operating system has the record. Unauthenticated denials
// beyond a rate are an exception: Write counts them, and their count is written within 10 s.
//
// Write waits no longer than 5 s and ctx's deadline. It also waits if ctx is already done, because
// a token may have been signed. If the wait ends while the record is in the queue, the record is
// never written. If it ends during the write, the record may appear in the output although no
// caller received its token. The error is ErrUnavailable, or context.DeadlineExceeded if ctx's
// deadline ended the wait. An output that has accepted no data for 5 s fails every Write at once,
// so that short deadlines don't hide it.
func (l *Log) Write(ctx context.Context, r Record, person Person) error {
	r.Email, r.ExternalID = "", ""
	if l.plainEmail {
		r.Email, r.ExternalID = person.Email, person.ExternalID
	}
	r.EmailHash, r.ExternalHash = l.key.HashEmail(person.Email), l.key.HashExternalID(person.ExternalID)
	if r.unauthenticated() && !l.denials.pass(r) {
		return nil
	}
	return l.write(ctx, r)
}

func (l *Log) write(ctx context.Context, r Record) error {
	r.Schema = Schema
	if r.RecordID == "" {
		r.RecordID = rand.Text()
	}
	line, ok := l.lines.Get().(*bytes.Buffer)
	if !ok {
		line = bytes.NewBuffer(make([]byte, 0, 1024))
	}
	err := r.encode(line)
	if err == nil {
		err = l.out.write(ctx, line.Bytes())
	}
	if !errors.Is(err, errTimeout) && !errors.Is(err, errDeadline) { // after these, the writer may still read the line
		line.Reset()
		l.lines.Put(line)
	}
	if err == nil || errors.Is(err, errDeadline) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// encode writes the record as one line of JSON. It doesn't escape HTML, so that the line is
// readable.
func (r *Record) encode(line *bytes.Buffer) error {
	e := json.NewEncoder(line)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// Hash returns the SHA-256 of a token. Use it to find the token's record.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
