package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskmint/deskmint/service/audit"
)

func unknown(transport, credential string) audit.Record {
	return audit.Record{
		Time:       time.Now(),
		RequestID:  "r",
		Transport:  transport,
		Method:     "MintToken",
		Action:     "sign_in",
		Decision:   "deny",
		Reason:     "CALLER_UNAUTHENTICATED",
		Credential: credential,
		Digest:     "aa",
	}
}

// takeRecords empties b. It returns the number of records of single decisions, and the records that
// count denials by transport and credential.
func takeRecords(t *testing.T, b *bytes.Buffer) (single int, counted map[string]audit.Record) {
	t.Helper()
	counted = make(map[string]audit.Record)
	for line := range strings.Lines(b.String()) {
		var r audit.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Count == 0 {
			single++
			continue
		}
		if _, exists := counted[r.Transport+" "+r.Credential]; exists {
			t.Errorf("two counts for %s %s", r.Transport, r.Credential)
		}
		counted[r.Transport+" "+r.Credential] = r
	}
	b.Reset()
	return single, counted
}

// TestDenialsAreCounted checks that unauthenticated denials beyond a rate are counted, and that
// each decision about an authenticated caller has a separate record.
func TestDenialsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &limitedWriter{room: 1 << 20}
		log := audit.New(b, audit.Settings{}, nil)
		put := func(r audit.Record) {
			t.Helper()
			if err := log.Write(t.Context(), r, audit.Person{}); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		for range 100 {
			put(unknown("grpc", "missing"))
		}
		if single, counted := takeRecords(t, b.setRoom(1<<20)); single != 100 || len(counted) > 0 {
			t.Errorf("%d records, %v", single, counted)
		}
		for i := range 1000 {
			time.Sleep(5 * time.Millisecond)
			put(unknown("grpc", "missing"))
			if i%10 == 0 {
				put(unknown("http", "unknown"))
			}
			known := unknown("http", "")
			known.Caller, known.Reason = "shop", "CALLER_NOT_ALLOWED"
			put(known)
		}
		// After 5 s, 50 more denials have separate records, and so do all of the known caller.
		single, counted := takeRecords(t, b.setRoom(1<<20))
		if single < 1000+49 || single > 1000+51 || len(counted) > 0 {
			t.Errorf("%d records, %v", single, counted)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		_, counted = takeRecords(t, b.setRoom(1<<20))
		first, second := counted["grpc missing"], counted["http unknown"]
		if sum := first.Count + second.Count + single - 1000; len(counted) != 2 || sum != 1100 {
			t.Errorf("%d denials of 1100 are accounted for: %v", sum, counted)
		}
		if !first.FirstTime.Equal(began.Add(5*time.Millisecond)) ||
			began.Add(5*time.Second).Sub(first.Time) > 200*time.Millisecond ||
			first.Reason != "CALLER_UNAUTHENTICATED" ||
			first.Decision != "deny" || first.RequestID != "" || first.Method != "" || first.Digest != "aa" {
			t.Errorf("the count is %+v", first)
		}
		// After a pause, denials have separate records again.
		put(unknown("grpc", "missing"))
		if single, counted = takeRecords(t, b.setRoom(1<<20)); single != 1 || len(counted) > 0 {
			t.Errorf("%d records, %v", single, counted)
		}
		if err := log.Close(); err != nil || b.setRoom(0).Len() > 0 {
			t.Errorf("there was nothing left to write: %v", err)
		}
	})
}

// TestCloseWritesCounts checks that Close writes the count, and that later denials have separate
// records.
func TestCloseWritesCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &limitedWriter{room: 1 << 20}
		log := audit.New(b, audit.Settings{}, nil)
		for range 150 {
			_ = log.Write(t.Context(), unknown("grpc", "missing"), audit.Person{})
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if single, counted := takeRecords(t, b.setRoom(1<<20)); single != 100 || counted["grpc missing"].Count != 50 {
			t.Errorf("%d records, %v", single, counted)
		}
		_ = log.Write(t.Context(), unknown("grpc", "missing"), audit.Person{})
		if single, counted := takeRecords(t, b.setRoom(1<<20)); single != 1 || len(counted) > 0 {
			t.Errorf("%d records, %v", single, counted)
		}
		time.Sleep(time.Minute)
		if late := b.setRoom(0); late.Len() > 0 {
			t.Errorf("written after Close: %s", late)
		}
	})
}

// TestCountsAreKeptOnError checks that a count that can't be written is kept until it can.
func TestCountsAreKeptOnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &limitedWriter{room: 1 << 20, err: errors.New("no space left on device")}
		log := audit.New(w, audit.Settings{}, nil)
		began := time.Now()
		for range 150 {
			_ = log.Write(t.Context(), unknown("grpc", "missing"), audit.Person{})
		}
		w.setRoom(0)
		time.Sleep(11 * time.Second)
		for range 130 { // 100 of these should have a record, but it can't be written
			_ = log.Write(t.Context(), unknown("grpc", "missing"), audit.Person{})
		}
		time.Sleep(30 * time.Second)
		w.setRoom(1 << 20)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if single, counted := takeRecords(t, w.setRoom(0)); single != 0 || counted["grpc missing"].Count != 80 ||
			!counted["grpc missing"].FirstTime.Equal(began) {
			t.Errorf("%d records, %v", single, counted)
		}
	})
}
