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
	// writeTimeout is how long a line may take. A write that takes longer goes to a pipe without
	// a reader, or to a file system that hangs.
	writeTimeout = 5 * time.Second
	// maxQueue is how many lines may wait. More than a few wait only when the output hangs.
	maxQueue = 16384
	// maxBatch is the number of bytes at which a batch takes no further line.
	maxBatch = 64 << 10
)

var (
	errTimeout   = errors.New("the output takes nothing, or too slowly")
	errQueueFull = errors.New("too many records wait for the output")
)

// writer writes lines to an output. One goroutine does all writes, so that a hanging output blocks
// no request. Lines that wait for it are written together, because a write costs the file system
// more than the bytes in it: with 64 concurrent writers a line takes half the processor time of a
// write by itself.
//
// The goroutine runs only while there is something to do. A writer therefore needs no close to
// be garbage collected.
type writer struct {
	queue chan *line
	spare sync.Pool // of lines that no goroutine uses

	mu      sync.Mutex
	running bool      // the goroutine has been started, and has not decided to end
	next    io.Writer // replaces out before the next batch; nil: keep out
	nextCut bool      // next ends within a line
	out     io.Writer // only the goroutine changes it

	// Only the goroutine uses these fields.
	torn   bool // out ends within a line
	buffer []byte
}

func newWriter(out io.Writer, torn bool) *writer {
	return &writer{queue: make(chan *line, maxQueue), out: out, torn: torn}
}

// line is a line in the queue. Either the goroutine claims it, and then writes it, or its caller
// does, and then nobody writes it.
type line struct {
	text    []byte
	claimed atomic.Bool
	done    chan error // the result; it has room for it
	timer   *time.Timer
}

// claim reports whether the line is the caller's. Only the first call returns true.
func (l *line) claim() bool { return l.claimed.CompareAndSwap(false, true) }

// write returns nil when the operating system has the line. It waits no longer than writeTimeout
// and ctx's deadline. It ignores a ctx that is done already.
func (w *writer) write(ctx context.Context, text []byte) error {
	timeout := writeTimeout
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil {
		timeout = min(timeout, time.Until(deadline))
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
		return errTimeout // the goroutine passes over the line
	}
	select {
	case err := <-l.done: // the result came together with the timer
		return err
	default:
		return errTimeout // the write is under way
	}
}

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

// start starts the goroutine unless it is running. Call it after there is something to do:
// the goroutine checks once more, with mu held, before it ends.
func (w *writer) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.running {
		w.running = true
		go w.run()
	}
}

// run writes until there is nothing to do. It yields before each batch, so that other goroutines
// can add their lines: a change of goroutines costs less than a write.
func (w *writer) run() {
	for {
		runtime.Gosched()
		batch := w.receive()
		w.swap() // after receive: a line that came after replace belongs in the new output
		if len(batch) == 0 {
			if w.end() {
				return
			}
			continue
		}
		n, err := w.put(batch)
		for _, l := range batch {
			// A line that is there whole was written, even when the rest of the batch wasn't.
			if n -= len(l.text); n >= 0 {
				l.done <- nil
			} else {
				l.done <- err
			}
		}
	}
}

// end reports whether the goroutine may end. From then on start starts another one.
func (w *writer) end() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = len(w.queue) > 0 || w.next != nil
	return !w.running
}

// receive claims lines that wait, up to a batch. It doesn't wait for lines.
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

// put writes a batch, and returns how many of its bytes were written. If an error has cut a line,
// put ends that line first.
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

// writeAll turns a short write and a panic of the output into errors. A panic that isn't recovered
// would end the process.
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

// replace sends the lines to another output, from the next batch on. torn says that it ends within
// a line.
func (w *writer) replace(out io.Writer, torn bool) {
	w.mu.Lock()
	release(w.next)
	w.next, w.nextCut = out, torn
	w.mu.Unlock()
	w.start() // releases the output before, even if no line follows
}

func (w *writer) swap() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next == nil {
		return
	}
	release(w.out)
	w.out, w.torn, w.next = w.next, w.nextCut, nil
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

// release closes an output. It ignores the error: each write has reported its own.
func release(w io.Writer) {
	if closer, ok := w.(io.Closer); ok {
		_ = closer.Close()
	}
}
