package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/audit"
)

var emailKey = []byte("an-email-key-of-32-bytes-at-least")

// jo is a person in the tests. Their directory has ids that are not in lower case.
var jo = audit.Person{Email: "jo@example.com", ExternalID: "Shop-Jo"}

func fullRecord() audit.Record {
	first := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	return audit.Record{
		Time:          time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC),
		RequestID:     "r1",
		Transport:     "http",
		Method:        "MintToken",
		Action:        "sign_in",
		Caller:        "shop",
		Authenticated: "api_key",
		Identity:      "checkout",
		Configuration: "acme-customers",
		Brand:         "360001",
		Decision:      "allow",
		Reason:        "NONE",
		Credential:    "unknown",
		Rule:          "callers[0].grants[1]",
		SecretVersion: 7,
		ID:            "j1",
		TokenHash:     "aa",
		Role:          "end_user",
		Claims:        []string{"iat", "jti"},
		Warnings:      []string{"user.phone"},
		ValidateOnly:  true,
		Digest:        "bb",
		FirstTime:     &first,
		Count:         9,
	}
}

// write returns the line of a record. The record's id is always the same.
func write(t *testing.T, s audit.Settings, key []byte, r audit.Record, person audit.Person) string {
	t.Helper()
	var b bytes.Buffer
	r.RecordID = "R1"
	if err := audit.New(&b, s, key).Write(context.Background(), r, person); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// limitedWriter accepts a limited number of bytes.
type limitedWriter struct {
	bytes.Buffer
	mu   sync.Mutex
	room int
	err  error
}

// setRoom sets the number of bytes that the writer accepts, and returns what was written since the
// last call.
func (w *limitedWriter) setRoom(room int) *bytes.Buffer {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.room = room
	written := bytes.NewBuffer(bytes.Clone(w.Buffer.Bytes()))
	w.Buffer.Reset()
	return written
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(p), w.room)
	w.room -= n
	w.Buffer.Write(p[:n])
	if n < len(p) {
		return n, w.err
	}
	return n, nil
}

// writeFile creates a file with this content and returns its path.
func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func openLog(t *testing.T, path string) *audit.Log {
	t.Helper()
	log, err := audit.Open(audit.Settings{Output: path}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func put(t *testing.T, log *audit.Log, id string) {
	t.Helper()
	if err := log.Write(t.Context(), audit.Record{ID: id}, audit.Person{}); err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ids returns the sorted jti of each record in text.
func ids(t *testing.T, text string) (all []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var r audit.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, r.ID)
	}
	slices.Sort(all)
	return all
}
