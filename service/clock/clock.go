// Package clock compares this machine's clock with the clocks of other machines, by the header Date
// of their HTTP answers.
//
// The error is at most a second, which is the precision of an HTTP date (RFC 9110, section 5.6.7),
// and half a round trip, which may include the time to connect.
package clock

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// warnFrom is the difference from which a warning is logged. Zendesk accepts a few minutes, so
	// an operator has time to act.
	warnFrom = 30 * time.Second
	// warnEnd is the difference below which the warning ends. It is lower than warnFrom, so that a
	// difference near one of the limits doesn't cause repeated warnings.
	warnEnd = 25 * time.Second
	// maxAge is how long a difference counts without an answer that confirms it.
	maxAge = 30 * time.Minute
)

// Offset is the difference between the clock of a host and this machine's.
type Offset struct {
	// Host is the host and the port of the URL. Two offsets of one host come from one clock.
	Host string
	// Ahead is positive if this machine's clock is behind.
	Ahead time.Duration
}

// Transport compares the date of every answer with the local clock.
type Transport struct {
	Next   http.RoundTripper
	Now    func() time.Time
	Record func(Offset)
}

// RoundTrip implements [http.RoundTripper].
func (t Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := t.Now()
	resp, err := t.Next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	// A proxy that can't reach the server answers 5xx with the date of the proxy's clock.
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || resp.StatusCode >= http.StatusInternalServerError {
		return resp, nil //nolint:nilerr // an answer needs no date
	}
	trip := t.Now().Sub(sent)
	// The date is truncated to seconds, so on average the true time is half a second later.
	t.Record(Offset{Host: req.URL.Host, Ahead: date.Add(time.Second / 2).Sub(sent.Add(trip / 2))})
	return resp, nil
}

// Offsets holds the last offset of each host. It is safe for concurrent use.
type Offsets struct {
	now func() time.Time
	log *slog.Logger

	mu  sync.Mutex
	all map[string]recorded
}

type recorded struct {
	ahead  time.Duration
	at     time.Time
	warned bool
}

// NewOffsets returns empty offsets. now is the local clock.
func NewOffsets(now func() time.Time, log *slog.Logger) *Offsets {
	return &Offsets{now: now, log: log, all: make(map[string]recorded)}
}

// Record stores an offset. It logs if the offset has become large, or small again.
func (o *Offsets) Record(offset Offset) {
	o.mu.Lock()
	before := o.all[offset.Host]
	after := recorded{ahead: offset.Ahead, at: o.now(), warned: before.warned}
	switch {
	case offset.Ahead.Abs() > warnFrom:
		after.warned = true
	case offset.Ahead.Abs() < warnEnd:
		after.warned = false
	}
	o.all[offset.Host] = after
	o.mu.Unlock()
	attrs := []any{slog.String("host", offset.Host), slog.Duration("host_minus_ours", offset.Ahead.Round(time.Second))}
	switch {
	case after.warned && !before.warned:
		o.log.Warn("our clock and another host's differ: set the wrong one, or tokens will be refused", attrs...)
	case before.warned && !after.warned:
		o.log.Info("our clock and another host's agree again", attrs...)
	}
}

// All returns the offsets of the last half hour, sorted by host.
func (o *Offsets) All() []Offset {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []Offset
	for host, r := range o.all {
		if o.now().Sub(r.at).Abs() <= maxAge {
			all = append(all, Offset{Host: host, Ahead: r.ahead})
		}
	}
	slices.SortFunc(all, func(a, b Offset) int { return cmp.Compare(a.Host, b.Host) })
	return all
}

// retain forgets the hosts that keep doesn't have.
func (o *Offsets) retain(keep map[string]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for host := range o.all {
		if !keep[host] {
			delete(o.all, host)
		}
	}
}
