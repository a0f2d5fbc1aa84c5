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

func TestWriteGolden(t *testing.T) {
	hash := func(text string) string {
		mac := hmac.New(sha256.New, emailKey)
		mac.Write([]byte(text))
		return hex.EncodeToString(mac.Sum(nil))
	}
	person := `"email":"jo@example.com","email_hmac_sha256":"` + hash("jo@example.com") + `",` +
		`"external_id":"Shop-Jo","external_id_hmac_sha256":"` + hash("external_id:shop-jo") + `"`
	for _, test := range []struct {
		name   string
		record audit.Record
		want   string
	}{
		{"all", fullRecord(), `{"schema":1,"record_id":"R1","time":"2026-01-02T03:04:05.678Z","request_id":"r1",` +
			`"transport":"http","method":"MintToken","action":"sign_in","caller":"shop","authenticated":"api_key",` +
			`"identity":"checkout","configuration":"acme-customers","brand":"360001","decision":"allow",` +
			`"reason":"NONE","credential":"unknown","rule":"callers[0].grants[1]","secret_version":7,"jti":"j1",` +
			`"token_sha256":"aa",` +
			person + `,"role":"end_user","claims":["iat","jti"],"warnings":["user.phone"],` +
			`"validate_only":true,"configuration_digest":"bb","first_time":"2026-01-02T03:04:00Z","count":9}` + "\n"},
		{"minimum", audit.Record{Decision: "deny", Reason: "CALLER_UNAUTHENTICATED", Transport: "grpc"},
			`{"schema":1,"record_id":"R1","time":"0001-01-01T00:00:00Z","transport":"grpc","decision":"deny",` +
				`"reason":"CALLER_UNAUTHENTICATED",` +
				person + "}\n"},
	} {
		if got := write(t, audit.Settings{PlainEmail: true}, emailKey, test.record, jo); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

// TestPerson checks that a record identifies a person only as the settings allow, whatever fields
// the record had before.
func TestPerson(t *testing.T) {
	for _, test := range []struct {
		name         string
		plain        bool
		key          []byte
		person       audit.Person
		want, hashed bool
	}{
		{"not at all", false, nil, jo, false, false},
		{"an empty key is none", false, []byte{}, jo, false, false},
		{"plain", true, nil, jo, true, false},
		{"hashed", false, emailKey, jo, false, true},
		{"both", true, emailKey, jo, true, true},
		{"no person", true, emailKey, audit.Person{}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, brought := range []audit.Record{
				{},
				{Email: "brought@example.com", EmailHash: "brought", ExternalID: "brought", ExternalHash: "brought"},
			} {
				var got map[string]any
				line := write(t, audit.Settings{PlainEmail: test.plain}, test.key, brought, test.person)
				if err := json.Unmarshal([]byte(line), &got); err != nil {
					t.Fatal(err)
				}
				for field, value := range map[string]string{
					"email":       test.person.Email,
					"external_id": test.person.ExternalID,
				} {
					if plain, there := got[field]; there != test.want || there && plain != value {
						t.Errorf("%s is %v in %s", field, plain, line)
					}
					if _, there := got[field+"_hmac_sha256"]; there != test.hashed {
						t.Errorf("the record is %s", line)
					}
				}
				if strings.Contains(line, "brought") {
					t.Errorf("the record is %s", line)
				}
			}
		})
	}
}

// TestPersonHash checks the hashes. They don't depend on the case. They depend on the key and can't
// be computed without it. An ID that equals an address has a different hash.
func TestPersonHash(t *testing.T) {
	hash := func(key []byte, person audit.Person) (email, id string) {
		var r audit.Record
		if err := json.Unmarshal([]byte(write(t, audit.Settings{}, key, audit.Record{}, person)), &r); err != nil {
			t.Fatal(err)
		}
		return r.EmailHash, r.ExternalHash
	}
	same := audit.Person{Email: "jo@example.com", ExternalID: "jo@example.com"}
	email, id := hash(emailKey, same)
	if email == id || len(email) != 64 || len(id) != 64 {
		t.Errorf("the hashes are %q and %q", email, id)
	}
	if e, i := hash(emailKey, audit.Person{
		Email:      "Jo@Example.COM",
		ExternalID: "JO@example.com",
	}); e != email || i != id {
		t.Error("the hashes depend on the case")
	}
	for _, other := range []struct {
		key    []byte
		person audit.Person
	}{
		{emailKey, audit.Person{Email: "joe@example.com", ExternalID: "joe@example.com"}},
		{[]byte(strings.Repeat("k", 32)), same},
	} {
		if e, i := hash(other.key, other.person); e == email || i == id {
			t.Error("the hash doesn't depend on the value or the key")
		}
	}
	for _, text := range []string{"jo@example.com", "external_id:jo@example.com"} {
		if plain := audit.Hash(text); plain == email || plain == id {
			t.Error("the hash has no key")
		}
	}
}

// TestRecordID checks that each record has a unique ID.
func TestRecordID(t *testing.T) {
	var b bytes.Buffer
	log := audit.New(&b, audit.Settings{}, nil)
	const many = 300
	for range many {
		// These are more unauthenticated denials than get separate records.
		if err := log.Write(t.Context(), audit.Record{Decision: audit.Deny}, jo); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	seen, counted := map[string]bool{}, 0
	for line := range strings.Lines(b.String()) {
		var r audit.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.RecordID) < 22 || seen[r.RecordID] {
			t.Errorf("the id is %q", r.RecordID)
		}
		seen[r.RecordID] = true
		counted += r.Count
	}
	if counted == 0 || counted+len(seen)-1 != many {
		t.Errorf("%d records, one with the count %d", len(seen), counted)
	}
}

// TestNewCopiesTheKey checks that a caller can clear the key after New without changing the hashes.
func TestNewCopiesTheKey(t *testing.T) {
	key := bytes.Clone(emailKey)
	var b bytes.Buffer
	log := audit.New(&b, audit.Settings{}, key)
	clear(key)
	person := audit.Person{Email: "jo@example.com"}
	if err := log.Write(context.Background(), audit.Record{RecordID: "R1"}, person); err != nil {
		t.Fatal(err)
	}
	if want := write(t, audit.Settings{}, emailKey, audit.Record{}, person); b.String() != want {
		t.Errorf("got %s, want %s", b.String(), want)
	}
}

// TestOneLineEach checks that no value of a record can end its line or start another line.
func TestOneLineEach(t *testing.T) {
	for _, s := range []string{
		"a\nb", "a\r\nb", "a\u2028b", "a\u2029b", "a\u0085b", "a\x00b", "a\x1b[2Jb", `"},{"decision":"allow`,
		"a\\nb", "\xff\xfe", "</script>", "\ufeff", strings.Repeat("x", 1<<20),
	} {
		r := audit.Record{
			Caller:        s,
			Method:        s,
			Reason:        s,
			Rule:          s,
			Configuration: s,
			Brand:         s,
			Claims:        []string{s},
			Warnings:      []string{s},
			Decision:      "deny",
		}
		line := write(t, audit.Settings{PlainEmail: true}, nil, r, audit.Person{Email: s, ExternalID: s})
		if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "}\n") ||
			strings.ContainsAny(line[:len(line)-1], "\r\x00\x1b\u2028\u2029") {
			t.Errorf("the record of %.20q is %.200q", s, line)
		}
		var got audit.Record
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Decision != "deny" ||
			got.Caller != strings.ToValidUTF8(s, "\ufffd\ufffd") && got.Caller != s {
			t.Errorf("%.20q was decoded as %.20q, %v", s, got.Caller, err)
		}
	}
}

// countingWriter counts calls and detects concurrent ones.
type countingWriter struct {
	bytes.Buffer
	mu         sync.Mutex
	calls      int
	overlapped bool
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if !w.mu.TryLock() {
		w.overlapped = true
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
				r := audit.Record{ID: fmt.Sprintf("%d-%d", g, i), Caller: strings.Repeat("x", 100*g)}
				if err := log.Write(context.Background(), r, audit.Person{Email: "jo@example.com"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if w.calls > goroutines*each || w.overlapped {
		t.Errorf("%d calls for %d records, concurrent: %t", w.calls, goroutines*each, w.overlapped)
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
		t.Errorf("%d records of %d were written", len(seen), goroutines*each)
	}
}

func TestWriteFails(t *testing.T) {
	full := errors.New("no space left on device")
	for _, room := range []int{0, 1, 40} {
		w := &limitedWriter{room: room, err: full}
		log := audit.New(w, audit.Settings{}, nil)
		err := log.Write(context.Background(), fullRecord(), audit.Person{Email: "jo@example.com"})
		if !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, full) {
			t.Errorf("with room for %d bytes: %v", room, err)
		}
	}
	r, w := io.Pipe()
	_ = r.Close()
	log := audit.New(w, audit.Settings{}, nil)
	err := log.Write(context.Background(), audit.Record{}, audit.Person{})
	if !errors.Is(err, audit.ErrUnavailable) {
		t.Errorf("into a closed pipe: %v", err)
	}
	// JSON can't represent a year beyond 9999.
	log = audit.New(io.Discard, audit.Settings{}, nil)
	tooLate := audit.Record{Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}
	err = log.Write(context.Background(), tooLate, audit.Person{})
	if !errors.Is(err, audit.ErrUnavailable) {
		t.Errorf("a record that JSON can't represent: %v", err)
	}
}

// TestWriteAfterAFailure checks that the next record starts on a new line after a full disk has
// left half a line in the file.
func TestWriteAfterAFailure(t *testing.T) {
	w := &limitedWriter{room: 40, err: errors.New("no space left on device")}
	log := audit.New(w, audit.Settings{}, nil)
	for range 3 {
		if err := log.Write(context.Background(), fullRecord(), audit.Person{}); err == nil {
			t.Fatal("Write returned no error")
		}
	}
	w.room = 1 << 20
	for range 2 {
		if err := log.Write(context.Background(), fullRecord(), audit.Person{}); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSuffix(w.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want half a line and two records: %q", len(lines), lines)
	}
	for _, line := range lines[1:] {
		if err := json.Unmarshal([]byte(line), new(audit.Record)); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// TestWriteSurvivesAPanic checks that a panic of the output is an error without the panic's value,
// and that the next record can be written.
func TestWriteSurvivesAPanic(t *testing.T) {
	log := audit.New(panicWriter{}, audit.Settings{}, nil)
	for range 2 {
		err := log.Write(context.Background(), audit.Record{}, audit.Person{})
		if !errors.Is(err, audit.ErrUnavailable) || !strings.Contains(err.Error(), "panicked with a string") ||
			strings.Contains(err.Error(), "panic value") {
			t.Errorf("got %v", err)
		}
	}
}

type panicWriter struct{}

func (panicWriter) Write([]byte) (int, error) { panic("panic value") }

func TestHash(t *testing.T) {
	// printf %s token | sha256sum
	const want = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0"
	if got := audit.Hash("token"); got != want {
		t.Errorf("Hash is %s, want %s", got, want)
	}
}
