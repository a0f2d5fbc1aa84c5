package vault

import (
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	// clockWarn is the offset that is warned of. Whoever takes our tokens allows
	// for a few minutes; this leaves time to act.
	clockWarn = 30 * time.Second
	// clockCalm is the offset below which the warning is over. Between the two
	// nothing changes, so that an offset near one of them isn't told again and again.
	clockCalm = 25 * time.Second
)

// ClockOffset is Vault's clock minus ours (Options.Now), by the Date header of
// its last answer below 500: positive when ours is behind. It is true to a
// second, as dates on the wire are (RFC 9110, section 5.6.7), and half a round trip,
// which a connection's making can be part of. While Vault is away the last one
// stays. It reports false before the first. It may be called at any time, from any goroutine.
func (s *Source) ClockOffset() (time.Duration, bool) { return s.clock.last() }

// clock compares our clock with Vault's.
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

// learn takes an offset, and tells the log when it has become large, or small again.
func (c *clock) learn(offset time.Duration) {
	c.mu.Lock()
	before := c.warned
	switch c.offset, c.known = offset, true; {
	case offset.Abs() > clockWarn:
		c.warned = true
	case offset.Abs() < clockCalm:
		c.warned = false
	}
	after := c.warned
	c.mu.Unlock()
	shown := offset.Round(time.Second)
	switch {
	case after && !before:
		c.log.Warn("our clock and Vault's differ: set whichever is wrong, or tokens will be refused", "vault_minus_ours", shown, "limit", clockWarn)
	case before && !after:
		c.log.Info("our clock and Vault's agree again", "vault_minus_ours", shown)
	}
}

// dated is a transport that learns from the date of every answer.
type dated struct {
	next  http.RoundTripper
	clock *clock
}

func (d dated) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := d.clock.now()
	resp, err := d.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	// A proxy that finds no Vault answers 5xx, with a clock of its own.
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || resp.StatusCode >= http.StatusInternalServerError {
		return resp, nil //nolint:nilerr // an answer without a date is an answer
	}
	trip := d.clock.now().Sub(sent)
	// The date is cut to seconds: on average the true time is half of one later.
	d.clock.learn(date.Add(time.Second / 2).Sub(sent.Add(trip / 2)))
	return resp, nil
}
