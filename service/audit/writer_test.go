package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskmint/deskmint/service/audit"
)

// heldWriter blocks every write until hold is closed.
type heldWriter struct {
	bytes.Buffer
	calls int
	hold  chan struct{}
}

func (w *heldWriter) Write(p []byte) (int, error) {
	w.calls++
	<-w.hold
	return w.Buffer.Write(p)
}

// TestRecordsShareAWrite checks that records that arrive during a write share the next one, and
// that Write returns only after the write of its record.
func TestRecordsShareAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &heldWriter{hold: make(chan struct{})}
		log := audit.New(w, audit.Settings{}, nil)
		var returned sync.WaitGroup
		done := make(chan error, 50)
		for i := range 50 {
			returned.Go(func() { done <- log.Write(t.Context(), audit.Record{ID: fmt.Sprint(i)}, audit.Person{}) })
			synctest.Wait()
		}
		if len(done) > 0 {
			t.Fatalf("Write returned %d times before the write", len(done))
		}
		close(w.hold)
		returned.Wait()
		close(done)
		for err := range done {
			if err != nil {
				t.Error(err)
			}
		}
		if got := len(ids(t, w.String())); got != 50 || w.calls != 2 {
			t.Errorf("%d records in %d writes, want 50 in 2", got, w.calls)
		}
	})
}

// TestHangingOutput checks that Write waits no longer than 5 s and the caller's deadline, and that
// it distinguishes the two. Once the output has hung for 5 s, Write fails at once. A record whose
// wait ended in the queue is never written. When the output works again, later records are written.
func TestHangingOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &heldWriter{hold: make(chan struct{})}
		log := audit.New(w, audit.Settings{}, nil)
		var all sync.WaitGroup
		write := func(id string, ctx context.Context, want time.Duration, wantErr error) {
			all.Go(func() {
				began := time.Now()
				err := log.Write(ctx, audit.Record{ID: id}, audit.Person{})
				for _, e := range []error{audit.ErrUnavailable, context.DeadlineExceeded} {
					if errors.Is(err, e) != errors.Is(wantErr, e) {
						t.Errorf("%s: %v, want %v", id, err, wantErr)
					}
				}
				if took := time.Since(began); took != want {
					t.Errorf("%s waited %v, want %v", id, took, want)
				}
			})
			synctest.Wait()
		}
		short, cancelShort := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancelShort()
		long, cancelLong := context.WithTimeout(t.Context(), time.Hour)
		defer cancelLong()
		gone, cancelGone := context.WithCancel(t.Context())
		cancelGone()
		over, cancelOver := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancelOver()
		write("begun", t.Context(), 5*time.Second, audit.ErrUnavailable)
		write("short", short, 300*time.Millisecond, context.DeadlineExceeded)
		write("long", long, 5*time.Second, audit.ErrUnavailable)
		write("gone", gone, 5*time.Second, audit.ErrUnavailable) // its token may be signed, so the record is written
		write("over", over, 5*time.Second, audit.ErrUnavailable)
		all.Wait()
		again, cancelAgain := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancelAgain()
		write("still", t.Context(), 0, audit.ErrUnavailable)
		write("still short", again, 0, audit.ErrUnavailable)
		all.Wait()

		close(w.hold) // the output works again
		synctest.Wait()
		if err := log.Write(t.Context(), audit.Record{ID: "next"}, audit.Person{}); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if got, want := ids(t, w.String()), []string{"begun", "next"}; !slices.Equal(got, want) {
			t.Errorf("recorded %q, want %q", got, want)
		}
	})
}

// TestQueueIsBounded checks that the number of records that wait for a hanging output is limited.
// Write refuses further records immediately.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const queue = 16384
		w := &heldWriter{hold: make(chan struct{})}
		log := audit.New(w, audit.Settings{}, nil)
		var all sync.WaitGroup
		one := func() { all.Go(func() { _ = log.Write(t.Context(), audit.Record{}, audit.Person{}) }) }
		one() // its write has begun
		synctest.Wait()
		for range queue {
			one()
		}
		synctest.Wait()
		began := time.Now()
		err := log.Write(t.Context(), audit.Record{}, audit.Person{})
		if !errors.Is(err, audit.ErrUnavailable) || time.Since(began) > 0 {
			t.Errorf("one more: %v after %v", err, time.Since(began))
		}
		all.Wait()
		close(w.hold)
		synctest.Wait()
		if err := log.Write(t.Context(), audit.Record{}, audit.Person{}); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if got := len(ids(t, w.String())); got != 2 {
			t.Errorf("%d records, want the one whose write had begun and the last one", got)
		}
	})
}

// faultyWriter fails at random, sometimes in the middle of a line.
type faultyWriter struct {
	bytes.Buffer
	random *rand.Rand
	nearly []string // the records that lack only the line end
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	n := len(p)
	switch w.random.IntN(6) {
	case 0:
		n = 0
	case 1, 2:
		n = w.random.IntN(len(p) + 1)
	case 3: // at the end of a line, or one byte before or after it
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			n = min(len(p), max(0, i+w.random.IntN(3)))
		}
	}
	w.Buffer.Write(p[:n])
	var r audit.Record
	if last := p[bytes.LastIndexByte(p[:n], '\n')+1 : n]; json.Unmarshal(last, &r) == nil {
		w.nearly = append(w.nearly, r.ID)
	}
	if n < len(p) {
		return n, errors.New("no space left on device")
	}
	return n, nil
}

// TestWriteReportsResult checks that a record is in the output, once and on a separate line,
// exactly when Write returned nil. The exception is a record that lacks only the line end. Write
// then returns an error although the record can be read, which is harmless.
func TestWriteReportsResult(t *testing.T) {
	for seed := range uint64(200) {
		w := &faultyWriter{random: rand.New(rand.NewPCG(seed, 1))}
		log := audit.New(w, audit.Settings{}, nil)
		var (
			mu      sync.Mutex
			written []string
			all     sync.WaitGroup
		)
		for g := range 8 {
			all.Go(func() {
				for i := range 10 {
					id := fmt.Sprintf("%d-%d", g, i)
					if log.Write(t.Context(), audit.Record{ID: id, Decision: "allow"}, audit.Person{}) == nil {
						mu.Lock()
						written = append(written, id)
						mu.Unlock()
					}
				}
			})
		}
		all.Wait()
		var found []string
		for line := range strings.Lines(w.String()) {
			var r audit.Record
			if json.Unmarshal([]byte(line), &r) == nil {
				found = append(found, r.ID)
			}
		}
		written = append(written, w.nearly...)
		slices.Sort(written)
		slices.Sort(found)
		if !slices.Equal(written, found) {
			t.Fatalf("seed %d: Write reported %q, the output has %q:\n%s", seed, written, found, w.String())
		}
	}
}
