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

// heldWriter keeps every write waiting until it is let go.
type heldWriter struct {
	bytes.Buffer
	calls int
	hold  chan struct{} // closed: nothing waits
}

func (w *heldWriter) Write(p []byte) (int, error) {
	w.calls++
	<-w.hold
	return w.Buffer.Write(p)
}

// ids reads the records that are there, by their jti.
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

// TestGroup: records that come while a write is under way share the next one, and
// none returns before its own.
func TestGroup(t *testing.T) {
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
			t.Fatalf("%d returned before their write", len(done))
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

// TestHangingOutput: nobody waits for more than 5 s, or than until their deadline; what
// was given up in the queue never appears; and when the output comes back, so does all
// else.
func TestHangingOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &heldWriter{hold: make(chan struct{})}
		log := audit.New(w, audit.Settings{}, nil)
		var all sync.WaitGroup
		ask := func(id string, ctx context.Context, want time.Duration) {
			all.Go(func() {
				began := time.Now()
				if err := log.Write(ctx, audit.Record{ID: id}, audit.Person{}); !errors.Is(err, audit.ErrUnavailable) {
					t.Errorf("%s: %v", id, err)
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
		ask("begun", t.Context(), 5*time.Second)
		ask("short", short, 300*time.Millisecond)
		ask("long", long, 5*time.Second)
		ask("gone", gone, 5*time.Second) // it may have been signed: a record is wanted
		ask("over", over, 5*time.Second)
		all.Wait()
		ask("still", t.Context(), 5*time.Second)
		all.Wait()

		var late error
		all.Go(func() { late = log.Write(t.Context(), audit.Record{ID: "late"}, audit.Person{}) })
		synctest.Wait()
		time.Sleep(time.Second)
		close(w.hold) // somebody reads again
		all.Wait()
		if err := log.Write(t.Context(), audit.Record{ID: "next"}, audit.Person{}); err != nil || late != nil {
			t.Errorf("afterwards: %v, %v", late, err)
		}
		if got, want := ids(t, w.String()), []string{"begun", "late", "next"}; !slices.Equal(got, want) {
			t.Errorf("on record are %q, want %q", got, want)
		}
	})
}

// TestQueueIsBounded: behind an output that hangs waits only so much; the rest is
// refused at once.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const queue = 16384
		w := &heldWriter{hold: make(chan struct{})}
		log := audit.New(w, audit.Settings{}, nil)
		var all sync.WaitGroup
		one := func() { all.Go(func() { _ = log.Write(t.Context(), audit.Record{}, audit.Person{}) }) }
		one() // is being written
		synctest.Wait()
		for range queue {
			one()
		}
		synctest.Wait()
		began := time.Now()
		if err := log.Write(t.Context(), audit.Record{}, audit.Person{}); !errors.Is(err, audit.ErrUnavailable) || time.Since(began) > 0 {
			t.Errorf("one more: %v after %v", err, time.Since(began))
		}
		all.Wait()
		close(w.hold)
		synctest.Wait()
		if err := log.Write(t.Context(), audit.Record{}, audit.Person{}); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if got := len(ids(t, w.String())); got != 2 {
			t.Errorf("%d records, want that whose write had begun and the last", got)
		}
	})
}

// fickleWriter fails at random, in the middle of a line too.
type fickleWriter struct {
	bytes.Buffer
	random *rand.Rand
	nearly []string // the records that lack no more than the line's end
}

func (w *fickleWriter) Write(p []byte) (int, error) {
	n := len(p)
	switch w.random.IntN(6) {
	case 0:
		n = 0
	case 1, 2:
		n = w.random.IntN(len(p) + 1)
	case 3: // just before, after, or at the end of a line
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

// TestWhatIsSaidIsTrue: whatever an output does to a batch, a record is there, once
// and on a line of its own, exactly when its writer was told so; or when no more was
// cut off than the line's end, which errs on the harmless side.
func TestWhatIsSaidIsTrue(t *testing.T) {
	for seed := range uint64(200) {
		w := &fickleWriter{random: rand.New(rand.NewPCG(seed, 1))}
		log := audit.New(w, audit.Settings{}, nil)
		var (
			mu   sync.Mutex
			told []string
			all  sync.WaitGroup
		)
		for g := range 8 {
			all.Go(func() {
				for i := range 10 {
					id := fmt.Sprintf("%d-%d", g, i)
					if log.Write(t.Context(), audit.Record{ID: id, Decision: "allow"}, audit.Person{}) == nil {
						mu.Lock()
						told = append(told, id)
						mu.Unlock()
					}
				}
			})
		}
		all.Wait()
		var there []string
		for line := range strings.Lines(w.String()) {
			var r audit.Record
			if json.Unmarshal([]byte(line), &r) == nil {
				there = append(there, r.ID)
			}
		}
		told = append(told, w.nearly...)
		slices.Sort(told)
		slices.Sort(there)
		if !slices.Equal(told, there) {
			t.Fatalf("seed %d: told %q, there are %q in\n%s", seed, told, there, w.String())
		}
	}
}
