package audit_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/audit"
)

var emailKey = []byte("an-email-key-of-32-bytes-at-least")

func fullRecord() audit.Record {
	first := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	return audit.Record{
		Time:          time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC),
		RequestID:     "r1",
		Door:          "http",
		Method:        "MintToken",
		Action:        "sign_in",
		Caller:        "shop",
		Authenticated: "api_key",
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

func write(t *testing.T, s audit.Settings, key []byte, r audit.Record, email string) string {
	t.Helper()
	var b bytes.Buffer
	if err := audit.New(&b, s, key).Write(context.Background(), r, email); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteGolden(t *testing.T) {
	mac := hmac.New(sha256.New, emailKey)
	mac.Write([]byte("jo@example.com"))
	for _, test := range []struct {
		name   string
		record audit.Record
		want   string
	}{
		{"all", fullRecord(), `{"schema":1,"time":"2026-01-02T03:04:05.678Z","request_id":"r1","door":"http","method":"MintToken","action":"sign_in","caller":"shop","authenticated":"api_key",` +
			`"configuration":"acme-customers","brand":"360001","decision":"allow","reason":"NONE","credential":"unknown","rule":"callers[0].grants[1]","secret_version":7,"jti":"j1","token_sha256":"aa",` +
			`"email":"jo@example.com","email_hmac_sha256":"` + hex.EncodeToString(mac.Sum(nil)) + `","role":"end_user","claims":["iat","jti"],"warnings":["user.phone"],` +
			`"validate_only":true,"configuration_digest":"bb","first_time":"2026-01-02T03:04:00Z","count":9}` + "\n"},
		{"as little as there is", audit.Record{Decision: "deny", Reason: "CALLER_UNAUTHENTICATED", Door: "grpc"},
			`{"schema":1,"time":"0001-01-01T00:00:00Z","door":"grpc","decision":"deny","reason":"CALLER_UNAUTHENTICATED",` +
				`"email":"jo@example.com","email_hmac_sha256":"` + hex.EncodeToString(mac.Sum(nil)) + `"}` + "\n"},
	} {
		if got := write(t, audit.Settings{PlainEmail: true}, emailKey, test.record, "jo@example.com"); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

// TestEmail: an address is on record only as the settings say, whatever the record
// brought along.
func TestEmail(t *testing.T) {
	for _, test := range []struct {
		name         string
		plain        bool
		key          []byte
		email        string
		want, hashed bool
	}{
		{"not at all", false, nil, "jo@example.com", false, false},
		{"an empty key is none", false, []byte{}, "jo@example.com", false, false},
		{"plain", true, nil, "jo@example.com", true, false},
		{"hashed", false, emailKey, "jo@example.com", false, true},
		{"both", true, emailKey, "jo@example.com", true, true},
		{"nobody", true, emailKey, "", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, brought := range []audit.Record{{}, {Email: "brought@example.com", EmailHash: "brought"}} {
				var got map[string]any
				line := write(t, audit.Settings{PlainEmail: test.plain}, test.key, brought, test.email)
				if err := json.Unmarshal([]byte(line), &got); err != nil {
					t.Fatal(err)
				}
				if email, there := got["email"]; there != test.want || there && email != test.email {
					t.Errorf("email is %v in %s", email, line)
				}
				if _, there := got["email_hmac_sha256"]; there != test.hashed || strings.Contains(line, "brought") {
					t.Errorf("the record is %s", line)
				}
			}
		})
	}
}

// TestEmailHash: the same person is found again, whatever the case; another key makes
// another hash; and without the key the hash can't be had.
func TestEmailHash(t *testing.T) {
	hash := func(key []byte, email string) string {
		var r audit.Record
		if err := json.Unmarshal([]byte(write(t, audit.Settings{}, key, audit.Record{}, email)), &r); err != nil {
			t.Fatal(err)
		}
		return r.EmailHash
	}
	jo := hash(emailKey, "jo@example.com")
	if hash(emailKey, "Jo@Example.COM") != jo {
		t.Error("the hash depends on the case")
	}
	if hash(emailKey, "joe@example.com") == jo || hash([]byte(strings.Repeat("k", 32)), "jo@example.com") == jo {
		t.Error("the hash depends on too little")
	}
	if sum := sha256.Sum256([]byte("jo@example.com")); hex.EncodeToString(sum[:]) == jo || len(jo) != 64 {
		t.Error("the hash is a plain one")
	}
}

// TestNewCopiesTheKey: whoever clears it afterwards doesn't change the hashes.
func TestNewCopiesTheKey(t *testing.T) {
	key := bytes.Clone(emailKey)
	var b bytes.Buffer
	log := audit.New(&b, audit.Settings{}, key)
	clear(key)
	if err := log.Write(context.Background(), audit.Record{}, "jo@example.com"); err != nil {
		t.Fatal(err)
	}
	if want := write(t, audit.Settings{}, emailKey, audit.Record{}, "jo@example.com"); b.String() != want {
		t.Errorf("got %s, want %s", b.String(), want)
	}
}

// TestOneLineEach: no value of a record can end its line or begin another.
func TestOneLineEach(t *testing.T) {
	for _, s := range []string{
		"a\nb", "a\r\nb", "a\u2028b", "a\u2029b", "a\u0085b", "a\x00b", "a\x1b[2Jb", `"},{"decision":"allow`, "a\\nb", "\xff\xfe", "</script>", "\ufeff", strings.Repeat("x", 1<<20),
	} {
		r := audit.Record{Caller: s, Method: s, Reason: s, Rule: s, Configuration: s, Brand: s, Claims: []string{s}, Warnings: []string{s}, Decision: "deny"}
		line := write(t, audit.Settings{PlainEmail: true}, nil, r, s)
		if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "}\n") || strings.ContainsAny(line[:len(line)-1], "\r\x00\x1b\u2028\u2029") {
			t.Errorf("%.20q makes %.200q", s, line)
		}
		var got audit.Record
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Decision != "deny" || got.Caller != strings.ToValidUTF8(s, "\ufffd\ufffd") && got.Caller != s {
			t.Errorf("%.20q came back as %.20q, %v", s, got.Caller, err)
		}
	}
}

// countingWriter counts calls, and notices two at once.
type countingWriter struct {
	bytes.Buffer
	mu    sync.Mutex
	calls int
	torn  bool
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if !w.mu.TryLock() {
		w.torn = true
	} else {
		defer w.mu.Unlock()
	}
	w.calls++
	return w.Buffer.Write(p)
}

func TestWriteConcurrently(t *testing.T) {
	w := &countingWriter{}
	log := audit.New(w, audit.Settings{PlainEmail: true}, emailKey)
	const goroutines, each = 16, 100
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				if err := log.Write(context.Background(), audit.Record{ID: fmt.Sprintf("%d-%d", g, i), Caller: strings.Repeat("x", 100*g)}, "jo@example.com"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if w.calls > goroutines*each || w.torn {
		t.Errorf("%d calls for %d records, two at once: %t", w.calls, goroutines*each, w.torn)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(w.String()) {
		var r audit.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		seen[r.ID] = true
	}
	if len(seen) != goroutines*each {
		t.Errorf("%d records of %d are there", len(seen), goroutines*each)
	}
}

// brokenWriter takes as many bytes as there is room for.
type brokenWriter struct {
	bytes.Buffer
	mu   sync.Mutex
	room int
	err  error
}

// has makes room, or takes it, and returns what has been written since the last time.
func (w *brokenWriter) has(room int) *bytes.Buffer {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.room = room
	written := bytes.NewBuffer(bytes.Clone(w.Buffer.Bytes()))
	w.Buffer.Reset()
	return written
}

func (w *brokenWriter) Write(p []byte) (int, error) {
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

func TestWriteFails(t *testing.T) {
	full := errors.New("no space left on device")
	for _, room := range []int{0, 1, 40} {
		w := &brokenWriter{room: room, err: full}
		log := audit.New(w, audit.Settings{}, nil)
		err := log.Write(context.Background(), fullRecord(), "jo@example.com")
		if !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, full) {
			t.Errorf("with room for %d bytes: %v", room, err)
		}
	}
	r, w := io.Pipe()
	_ = r.Close()
	if err := audit.New(w, audit.Settings{}, nil).Write(context.Background(), audit.Record{}, ""); !errors.Is(err, audit.ErrUnavailable) {
		t.Errorf("into a closed pipe: %v", err)
	}
	// JSON has no year beyond 9999.
	if err := audit.New(io.Discard, audit.Settings{}, nil).Write(context.Background(), audit.Record{Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, ""); !errors.Is(err, audit.ErrUnavailable) {
		t.Errorf("what can't be written as JSON: %v", err)
	}
}

// TestWriteAfterAFailure: a disk that was full leaves half a line behind. The next
// record, of a token that does leave, must not be glued to it.
func TestWriteAfterAFailure(t *testing.T) {
	w := &brokenWriter{room: 40, err: errors.New("no space left on device")}
	log := audit.New(w, audit.Settings{}, nil)
	for range 3 {
		if err := log.Write(context.Background(), fullRecord(), ""); err == nil {
			t.Fatal("nothing failed")
		}
	}
	w.room = 1 << 20
	for range 2 {
		if err := log.Write(context.Background(), fullRecord(), ""); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSuffix(w.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want half a one and two: %q", len(lines), lines)
	}
	for _, line := range lines[1:] {
		if err := json.Unmarshal([]byte(line), new(audit.Record)); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// TestWriteSurvivesAPanic of its writer: it is a failure like any other, without the
// value, and the next record isn't locked out.
func TestWriteSurvivesAPanic(t *testing.T) {
	log := audit.New(panicWriter{}, audit.Settings{}, nil)
	for range 2 {
		err := log.Write(context.Background(), audit.Record{}, "")
		if !errors.Is(err, audit.ErrUnavailable) || !strings.Contains(err.Error(), "panicked with a string") || strings.Contains(err.Error(), "what it held") {
			t.Errorf("got %v", err)
		}
	}
}

type panicWriter struct{}

func (panicWriter) Write([]byte) (int, error) { panic("what it held") }

func TestHash(t *testing.T) {
	// printf %s token | sha256sum
	if got, want := audit.Hash("token"), "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0"; got != want {
		t.Errorf("Hash is %s, want %s", got, want)
	}
}
