package vault

import (
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	// clockWarn is the offset from which a warning is logged. The verifiers of the tokens allow for
	// a few minutes, so this leaves time to act.
	clockWarn = 30 * time.Second
	// clockCalm is the offset below which the warning ends. It is lower than clockWarn, so that an
	// offset near one of them is not logged again and again.
	clockWarnEnd = 25 * time.Second
)

// ClockOffset returns Vault's clock minus the local one (Options.Now), by the Date header of its
// last answer below 500. It is positive if the local clock is behind. While Vault is away, it
// returns the last offset. It returns false before the first answer. It may be called concurrently.
//
// Its precision is a second, as that of dates on the wire (RFC 9110, section 5.6.7), and half a
// round trip, which may include the time to connect.
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

// learn records an offset. It logs when the offset has become large, or small again.
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
		c.log.Warn("our clock and Vault's differ: set whichever is wrong, or tokens will be refused",
			"vault_minus_ours", shown, "limit", clockWarn)
	case before && !after:
		c.log.Info("our clock and Vault's agree again", "vault_minus_ours", shown)
	}
}

// dated is a transport that takes the date from every answer.
type dateTransport struct {
	next  http.RoundTripper
	clock *clock
}

func (d dateTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := d.clock.now()
	resp, err := d.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	// A proxy that reaches no Vault answers 5xx with its own clock.
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || resp.StatusCode >= http.StatusInternalServerError {
		return resp, nil //nolint:nilerr // an answer needs no date
	}
	trip := d.clock.now().Sub(sent)
	// The date is cut to seconds, so on average the true time is half a second later.
	d.clock.record(date.Add(time.Second / 2).Sub(sent.Add(trip / 2)))
	return resp, nil
}
