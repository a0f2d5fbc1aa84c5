package service

import (
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"
)

const (
	// logPause is the time after a cause has been logged during which it isn't logged again.
	logPause = time.Second
	// maxCauses limits how many different causes are counted separately.
	maxCauses = 1000
)

// logLimiter limits how often each cause is logged. Without it, an outage in which every request
// fails for the same cause would make the log unreadable and fill the disk. It is safe for
// concurrent use.
type logLimiter struct {
	mu   sync.Mutex
	seen map[string]loggedCause
}

type loggedCause struct {
	last    time.Time // when it was last logged
	leftOut int       // how often it was left out since then
}

// allow reports whether a cause may be logged now, and how often it was left out since it was last
// logged. If a cause doesn't occur again, the log never has the number of those that were left out
// last. The records and the metrics count them.
func (r *logLimiter) allow(cause string, now time.Time) (leftOut int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.seen[cause]; !known && len(r.seen) >= maxCauses {
		maps.DeleteFunc(r.seen, func(_ string, old loggedCause) bool { return now.Sub(old.last) >= logPause })
		if len(r.seen) >= maxCauses {
			cause = "" // with so many different causes in a second, all further ones count as one
		}
	}
	before, known := r.seen[cause]
	if known && now.Sub(before.last) < logPause {
		before.leftOut++
		r.seen[cause] = before
		return 0, false
	}
	if r.seen == nil {
		r.seen = make(map[string]loggedCause)
	}
	r.seen[cause] = loggedCause{last: now}
	return before.leftOut, true
}

// serverErrorLog logs the messages of the servers, such as a failed handshake. It logs one line a
// second of each kind, because an unauthenticated client can cause any number of them.
type serverErrorLog struct{ service *Service }

// Write implements [io.Writer].
func (l serverErrorLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	kind, _, _ := strings.Cut(text, " from ") // the address after it differs each time
	if leftOut, ok := l.service.logLimiter.allow(kind, time.Now()); ok {
		l.service.log.Warn(text, slog.Int("left_out", leftOut))
	}
	return len(line), nil
}
