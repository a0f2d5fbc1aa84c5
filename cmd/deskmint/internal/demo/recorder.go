package demo

import (
	"io"
	"strings"
	"sync"
)

// heldWriter holds back what is written to it until release, so that the log doesn't stand before
// the first lines in a terminal.
type heldWriter struct {
	to io.Writer

	mu       sync.Mutex
	released bool
	held     []byte
}

func (h *heldWriter) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released {
		return h.to.Write(p)
	}
	h.held = append(h.held, p...)
	return len(p), nil
}

func (h *heldWriter) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.released = true
	_, _ = h.to.Write(h.held) // the log has no other place to go to
	h.held = nil
}

// recorder passes lines on to a writer and keeps the latest ones, so that the pages can show them.
// It doesn't keep what the writer failed to take.
type recorder struct {
	to io.Writer

	mu    sync.Mutex
	count int // of all lines so far
	lines []string
}

// maxLines is how many lines a recorder keeps.
const maxLines = 200

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.to.Write(p)
	if err != nil {
		return n, err
	}
	for line := range strings.Lines(string(p)) {
		r.count++
		r.lines = append(r.lines[max(0, len(r.lines)-maxLines+1):], strings.TrimRight(line, "\n"))
	}
	return n, nil
}

// position returns the number of lines so far, for a later call of since.
func (r *recorder) position() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// since returns the lines after a position, as far as they are still kept.
func (r *recorder) since(position int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(r.count-position, len(r.lines))
	return append([]string(nil), r.lines[len(r.lines)-n:]...)
}

// latest returns the last n lines, the newest first.
func (r *recorder) latest(n int) []string {
	all := r.since(0)
	var out []string
	for i := len(all) - 1; i >= 0 && len(out) < n; i-- {
		out = append(out, all[i])
	}
	return out
}
