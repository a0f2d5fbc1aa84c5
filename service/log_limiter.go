package service

import (
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"
)

const (
	// logPause is how long a cause that has been logged isn't logged again.
	logPause = time.Second
	// maxCauses bounds how many causes are told apart.
	maxCauses = 1000
)

// logLimiter keeps the log readable, and the disk free, while every request fails for
// the same cause. It is safe for concurrent use.
type logLimiter struct {
	mu   sync.Mutex
	seen map[string]loggedCause
}

type loggedCause struct {
	last time.Time // when it was logged
	left int       // out since
}

// pass says whether a cause is to be logged now, and how many times it was left out
// since the last time. What is left out at the very end is told by nobody: the
// records and metrics have it.
func (r *logLimiter) pass(cause string, now time.Time) (left int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.seen[cause]; !known && len(r.seen) >= maxCauses {
		maps.DeleteFunc(r.seen, func(_ string, old loggedCause) bool { return now.Sub(old.last) >= logPause })
		if len(r.seen) >= maxCauses {
			cause = "" // so many different ones in a second are treated as one
		}
	}
	before, known := r.seen[cause]
	if known && now.Sub(before.last) < logPause {
		before.left++
		r.seen[cause] = before
		return 0, false
	}
	if r.seen == nil {
		r.seen = make(map[string]loggedCause)
	}
	r.seen[cause] = loggedCause{last: now}
	return before.left, true
}

// serverErrorLog are what net/http says by itself, such as that a handshake failed: one
// line a second of each kind, since strangers can cause as many as they like.
type serverErrorLog struct{ service *Service }

func (c serverErrorLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	kind, _, _ := strings.Cut(text, " from ") // an address differs each time
	if left, ok := c.service.logLimiter.pass(kind, time.Now()); ok {
		c.service.log.Warn(text, slog.Int("left_out", left))
	}
	return len(line), nil
}
