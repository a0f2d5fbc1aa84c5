package audit

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// output records whether it is closed, and whether it was written to afterwards.
type output struct {
	mu                   sync.Mutex
	lines                int
	closed, usedAfterEnd bool
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines++
	o.usedAfterEnd = o.usedAfterEnd || o.closed
	return len(p), nil
}

func (o *output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	return nil
}

// TestReplaceClosesTheOldOutput checks that replace closes the old output even if no line follows.
func TestReplaceClosesTheOldOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, after := &output{}, &output{}
		w := newWriter(before, false)
		w.replace(after, false)
		synctest.Wait()
		if !before.closed || after.closed {
			t.Errorf("closed: the old output %t, the new one %t", before.closed, after.closed)
		}
	})
}

// TestNoLostWakeUp checks that each line is written although the goroutine ends and starts all the
// time. A line that is added after replace must be in the new output. A line whose wake-up is lost
// would time out.
func TestNoLostWakeUp(t *testing.T) {
	const callers, each = 4, 5000
	current := &output{}
	w := newWriter(current, false)
	var (
		all     sync.WaitGroup
		written atomic.Int64
	)
	for range callers {
		all.Go(func() {
			for i := range each {
				if err := w.write(t.Context(), []byte(strconv.Itoa(i)+"\n")); err != nil {
					t.Error(err)
					return
				}
				written.Add(1)
			}
		})
	}
	outputs := []*output{current}
	for written.Load() < callers*each && !t.Failed() {
		next := &output{}
		w.replace(next, false)
		outputs = append(outputs, next)
		if err := w.write(t.Context(), []byte("after\n")); err != nil {
			t.Fatal(err)
		}
		next.mu.Lock()
		if next.lines == 0 {
			t.Error("a line that came after replace is in an old output")
		}
		next.mu.Unlock()
	}
	all.Wait()
	for i, o := range outputs {
		o.mu.Lock()
		if o.usedAfterEnd || o.closed != (i < len(outputs)-1) {
			t.Errorf("output %d of %d: closed %t, used afterwards %t", i, len(outputs), o.closed, o.usedAfterEnd)
		}
		o.mu.Unlock()
	}
}
