package vault

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	dates "github.com/deskmint/deskmint/service/clock"
)

const (
	// clockWarn is the offset from which a warning is logged. The verifiers of the tokens accept an
	// offset of a few minutes, so an operator has time to act.
	clockWarn = 30 * time.Second
	// clockWarnEnd is the offset below which the warning ends. It is lower than clockWarn, so that
	// an offset near one of the limits doesn't cause repeated warnings.
	clockWarnEnd = 25 * time.Second
)

// ClockOffset returns Vault's clock minus the local clock (Options.Now). It uses the Date header of
// Vault's last answer with a status below 500. The offset is positive if the local clock is behind.
// While Vault is unavailable, ClockOffset returns the last offset. It returns false before the
// first answer. It may be called concurrently.
//
// The error is at most a second, which is the precision of an HTTP date (RFC 9110, section 5.6.7),
// and half a round trip, which may include the time to connect.
func (s *Source) ClockOffset() (time.Duration, bool) { return s.clock.last() }

// clock compares the local clock with Vault's.
type clock struct {
	now func() time.Time
	log *slog.Logger

	mu     sync.Mutex
	offset time.Duration
	known  bool
	warned bool
}

func (c *clock) last() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset, c.known
}

// measure returns a transport that records the offset of every answer.
func (c *clock) measure(next http.RoundTripper) http.RoundTripper {
	return dates.Transport{Next: next, Now: c.now, Record: func(o dates.Offset) { c.record(o.Ahead) }}
}

// record stores an offset. It logs if the offset has become large, or small again.
func (c *clock) record(offset time.Duration) {
	c.mu.Lock()
	before := c.warned
	switch c.offset, c.known = offset, true; {
	case offset.Abs() > clockWarn:
		c.warned = true
	case offset.Abs() < clockWarnEnd:
		c.warned = false
	}
	after := c.warned
	c.mu.Unlock()
	shown := offset.Round(time.Second)
	switch {
	case after && !before:
		c.log.Warn("our clock and Vault's differ: set the wrong one, or tokens will be refused",
			"vault_minus_ours", shown, "limit", clockWarn)
	case before && !after:
		c.log.Info("our clock and Vault's agree again", "vault_minus_ours", shown)
	}
}
