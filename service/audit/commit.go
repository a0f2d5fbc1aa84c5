package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
)

const (
	// patience is how long a line may take. A write that takes longer is a pipe that
	// nobody reads, or a file system that hangs.
	patience = 5 * time.Second
	// maxQueue bounds what waits behind such a write. More than a few wait only then.
	maxQueue = 16384
	// maxBatch is about how many bytes one write may have.
	maxBatch = 64 << 10
)

var (
	errSlow = errors.New("the output takes nothing, or too slowly")
	errFull = errors.New("too many records wait for the output")
)

// committer writes lines, together where several wait: the file system's part of a
// write costs more than the bytes in it. The writing is done on a goroutine of its
// own, which ends when nothing waits, so that no request hangs where the output does.
type committer struct {
	mu      sync.Mutex
	queue   []*line
	writing bool      // a goroutine has the fields below
	next    io.Writer // takes out's place between two writes; nil: nothing does
	nextCut bool      // next ends within a line
	spare   sync.Pool // of lines that nobody has

	// Of who is writing; nobody is: under mu.
	out    io.Writer
	torn   bool // out ends within a line
	buffer []byte
}

// line waits in the queue until it is part of a batch; nobody can call it back then.
type line struct {
	text  []byte
	given bool       // up, under the committer's mu
	done  chan error // holds one
	timer *time.Timer
}

// write returns when the line is with the operating system, or won't be.
func (c *committer) write(ctx context.Context, text []byte) error {
	wait := patience
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil {
		wait = min(wait, time.Until(deadline))
	}
	l, ok := c.spare.Get().(*line)
	if ok {
		l.timer.Reset(wait)
	} else {
		l = &line{done: make(chan error, 1), timer: time.NewTimer(wait)}
	}
	l.text = text
	if !c.enqueue(l) {
		l.timer.Stop()
		return errFull
	}
	select {
	case err := <-l.done:
		l.timer.Stop()
		l.text = nil
		c.spare.Put(l) // whoever has written it has let go of it
		return err
	case <-l.timer.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case err := <-l.done:
		return err // in the last moment
	default:
	}
	l.given = true
	return errSlow
}

func (c *committer) enqueue(l *line) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) >= maxQueue {
		return false
	}
	c.queue = append(c.queue, l)
	if !c.writing {
		c.writing = true
		go c.work()
	}
	return true
}

// work writes until nothing waits. It lets others run before each batch: who has a
// line ready adds it, and a processor that changes hands costs less than a write.
func (c *committer) work() {
	for {
		runtime.Gosched()
		batch := c.take()
		if len(batch) == 0 {
			return
		}
		n, err := c.put(batch)
		for _, l := range batch {
			// What of a batch is there whole is there, whatever became of the rest.
			if n -= len(l.text); n >= 0 {
				l.done <- nil
			} else {
				l.done <- err
			}
		}
	}
}

// take is the next batch; when it is empty, the writing has ended.
func (c *committer) take() (batch []*line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.swap()
	size, taken := 0, 0
	for _, l := range c.queue {
		if size > 0 && size+len(l.text) > maxBatch {
			break
		}
		taken++
		if !l.given {
			batch, size = append(batch, l), size+len(l.text)
		}
	}
	clear(c.queue[:taken])
	if c.queue = c.queue[taken:]; len(c.queue) == 0 {
		c.queue = nil
	}
	c.writing = len(batch) > 0
	return batch
}

// put writes a batch, and returns how many bytes of it are there. A line that an
// error has cut is ended before the next.
func (c *committer) put(batch []*line) (n int, err error) {
	text := c.buffer[:0]
	if c.torn {
		text = append(text, '\n')
	}
	extra := len(text)
	for _, l := range batch {
		text = append(text, l.text...)
	}
	c.buffer = text
	if cap(text) > 2*maxBatch {
		c.buffer = nil
	}
	if n, err = write(c.out, text); n > 0 {
		c.torn = text[n-1] != '\n'
	}
	return n - extra, err
}

// write turns a short write and a panic into errors: one that nobody recovers would
// end the process.
func write(to io.Writer, text []byte) (n int, err error) {
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

// replace makes the lines go to another output, from the next batch on.
func (c *committer) replace(out io.Writer, torn bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	release(c.next)
	c.next, c.nextCut = out, torn
	if !c.writing {
		c.swap()
	}
}

// swap is for who is writing, or with nobody doing so; under mu.
func (c *committer) swap() {
	if c.next == nil {
		return
	}
	release(c.out)
	c.out, c.torn, c.next = c.next, c.nextCut, nil
}

// close releases the output; a write that hangs on it isn't waited for.
func (c *committer) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	release(c.next)
	c.next = nil
	if closer, ok := c.out.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// release closes what has been written to. What an error of that could tell, each
// write has told already.
func release(w io.Writer) {
	if closer, ok := w.(io.Closer); ok {
		_ = closer.Close()
	}
}
