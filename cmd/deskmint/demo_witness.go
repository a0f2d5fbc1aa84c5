package main

import (
	"io"
	"strings"
	"sync"
)

// witness passes lines on to a stream and remembers the latest, so that the demo can
// show them: a bounded tee. What the stream fails to take is not remembered.
type witness struct {
	to io.Writer

	mu    sync.Mutex
	seen  int // lines ever
	lines []string
}

// remembered is how many lines a witness keeps.
const remembered = 200

func (w *witness) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.to.Write(p)
	if err != nil {
		return n, err
	}
	for line := range strings.Lines(string(p)) {
		w.seen++
		w.lines = append(w.lines[max(0, len(w.lines)-remembered+1):], strings.TrimRight(line, "\n"))
	}
	return n, nil
}

// mark is a moment in the stream; since returns the lines after it that are still
// remembered.
func (w *witness) mark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

func (w *witness) since(mark int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(w.seen-mark, len(w.lines))
	return append([]string(nil), w.lines[len(w.lines)-n:]...)
}

// latest returns the last n lines, the newest first.
func (w *witness) latest(n int) []string {
	all := w.since(0)
	var out []string
	for i := len(all) - 1; i >= 0 && len(out) < n; i-- {
		out = append(out, all[i])
	}
	return out
}
