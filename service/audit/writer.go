package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// writeTimeout limits how long writing a line may take. A write that takes longer goes to a
	// pipe without a reader, or to a file system that hangs. While it lasts, further lines are
	// refused at once.
	writeTimeout = 5 * time.Second
	// maxQueue is the maximum number of waiting lines. More than a few lines wait only if the
	// output hangs.
	maxQueue = 16384
	// maxBatch is the number of bytes from which on a batch accepts no further line.
	maxBatch = 64 << 10
)

var (
	errTimeout   = errors.New("the output accepts no data or is too slow")
	errHanging   = fmt.Errorf("the output has accepted no data for %v", writeTimeout)
	errDeadline  = fmt.Errorf("the record was not written in time: %w", context.DeadlineExceeded)
	errQueueFull = errors.New("too many records are waiting for the output")
)

// writer writes lines to an output. One goroutine does all writes, so that a hanging output blocks
// no request. It writes all waiting lines together, because for the file system a write costs more
// than its bytes. With 64 concurrent callers, a line takes half the processor time of a separate
// write.
//
// The goroutine runs only while there is work. So a writer doesn't need to be closed to be garbage
// collected.
type writer struct {
	queue   chan *line
	spare   sync.Pool // of lines that no goroutine uses
	created time.Time
	putting atomic.Int64 // when the present write began, by age; 0: there is none

	mu       sync.Mutex
	running  bool      // the goroutine was started and has not decided to end
	next     io.Writer // replaces out before the next batch; nil keeps out
	nextTorn bool      // next ends within a line
	out      io.Writer // only the goroutine changes it

	// Only the goroutine uses these fields.
	torn   bool // out ends within a line
	buffer []byte
}

func newWriter(out io.Writer, torn bool) *writer {
	return &writer{queue: make(chan *line, maxQueue), created: time.Now(), out: out, torn: torn}
}

// line is a line in the queue. Either the goroutine claims it and writes it, or its caller claims
// it and it is never written.
type line struct {
	text    []byte
	claimed atomic.Bool
	done    chan error // the result; buffered
	timer   *time.Timer
}

// claim reports whether the line wasn't claimed before. Only the first call returns true.
func (l *line) claim() bool { return l.claimed.CompareAndSwap(false, true) }

// write writes a line. It returns nil when the operating system has the line. It waits no longer
// than writeTimeout and ctx's deadline. It ignores a ctx that is already done. The error is
// errDeadline if only ctx's deadline ended the wait, because the output may then be in order.
func (w *writer) write(ctx context.Context, text []byte) error {
	if w.hanging() {
		return errHanging
	}
	timeout, late := writeTimeout, errTimeout
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil {
		if left := time.Until(deadline); left < timeout {
			timeout, late = left, errDeadline
		}
	}
	l := w.newLine(text, timeout)
	if !w.enqueue(l) {
		l.timer.Stop()
		return errQueueFull
	}
	select {
	case err := <-l.done:
		l.timer.Stop()
		l.text = nil
		w.spare.Put(l) // the goroutine doesn't touch a line after its result
		return err
	case <-l.timer.C:
	}
	if l.claim() {
		return late // the goroutine skips the line
	}
	select {
	case err := <-l.done: // the result arrived at the same time as the timer
		return err
	default:
		return late // the write is in progress
	}
}

// hanging reports whether the present write has taken longer than writeTimeout.
func (w *writer) hanging() bool {
	began := w.putting.Load()
	return began != 0 && w.age()-began >= int64(writeTimeout)
}

// age returns the time since the writer was created, in nanoseconds. It is never 0.
func (w *writer) age() int64 { return int64(time.Since(w.created)) + 1 }

func (w *writer) newLine(text []byte, timeout time.Duration) *line {
	l, ok := w.spare.Get().(*line)
	if ok {
		l.timer.Reset(timeout)
		l.claimed.Store(false)
	} else {
		l = &line{done: make(chan error, 1), timer: time.NewTimer(timeout)}
	}
	l.text = text
	return l
}

func (w *writer) enqueue(l *line) bool {
	select {
	case w.queue <- l:
		w.start()
		return true
	default:
		return false
	}
}

// start starts the goroutine unless it is running. Call it after you have added work, because the
// goroutine checks for work once more, with mu held, before it ends.
func (w *writer) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.running {
		w.running = true
		go w.run()
	}
}

// run writes until there is no work left. It yields before each batch, so that other goroutines can
// add their lines. Switching goroutines costs less than a write.
func (w *writer) run() {
	for {
		runtime.Gosched()
		batch := w.receive()
		w.swap() // after receive, because a line that was added after replace belongs in the new output
		if len(batch) == 0 {
			if w.end() {
				return
			}
			continue
		}
		w.putting.Store(w.age())
		n, err := w.put(batch)
		w.putting.Store(0)
		for _, l := range batch {
			// A complete line counts as written, even if the rest of the batch failed.
			if n -= len(l.text); n >= 0 {
				l.done <- nil
			} else {
				l.done <- err
			}
		}
	}
}

// end reports whether the goroutine may end. After it returns true, start starts another goroutine.
func (w *writer) end() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = len(w.queue) > 0 || w.next != nil
	return !w.running
}

// receive claims waiting lines, up to a batch. It doesn't wait for lines.
func (w *writer) receive() (batch []*line) {
	for size := 0; size < maxBatch; {
		select {
		case l := <-w.queue:
			if l.claim() {
				batch, size = append(batch, l), size+len(l.text)
			}
		default:
			return batch
		}
	}
	return batch
}

// put writes a batch and returns the number of its bytes that were written. If an earlier error has
// torn a line, put ends that line first.
func (w *writer) put(batch []*line) (n int, err error) {
	text := w.buffer[:0]
	if w.torn {
		text = append(text, '\n')
	}
	extra := len(text)
	for _, l := range batch {
		text = append(text, l.text...)
	}
	w.buffer = text
	if cap(text) > 2*maxBatch {
		w.buffer = nil
	}
	if n, err = writeAll(w.out, text); n > 0 {
		w.torn = text[n-1] != '\n'
	}
	return n - extra, err
}

// writeAll writes text. It converts a short write and a panic of the output into errors. Without
// recover, a panic would end the process.
func writeAll(to io.Writer, text []byte) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			n, err = 0, fmt.Errorf("the output panicked with a %T", p)
		}
	}()
	n, err = to.Write(text)
	if n < len(text) && err == nil {
		err = io.ErrShortWrite
	}
	return min(n, len(text)), err
}

// replace makes the writer use another output from the next batch on. torn reports whether that
// output ends within a line.
func (w *writer) replace(out io.Writer, torn bool) {
	w.mu.Lock()
	release(w.next)
	w.next, w.nextTorn = out, torn
	w.mu.Unlock()
	w.start() // releases the old output, even if no line follows
}

// swap replaces the output if replace was called. Only the goroutine calls it.
func (w *writer) swap() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next == nil {
		return
	}
	release(w.out)
	w.out, w.torn, w.next = w.next, w.nextTorn, nil
}

// close closes the output. It doesn't wait for a write that hangs.
func (w *writer) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	release(w.next)
	w.next = nil
	if closer, ok := w.out.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// release closes an output. It ignores an error and a panic, because each write has already
// reported its error.
func release(w io.Writer) {
	defer func() { _ = recover() }()
	if closer, ok := w.(io.Closer); ok {
		_ = closer.Close()
	}
}
