package clock

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/deskmint/deskmint/service/jitter"
)

const (
	// measureInterval is the time between two measurements, ± 20 %.
	measureInterval = 5 * time.Minute
	// measureTimeout limits one measurement.
	measureTimeout = 3 * time.Second
)

// References measures the clocks of hosts that an operator names. It never runs on the path of a
// request. It is safe for concurrent use.
type References struct {
	urls    func() []string
	client  *http.Client
	log     *slog.Logger
	offsets *Offsets
}

// NewReferences returns references without any offset. urls returns the present URLs. now is the
// local clock.
func NewReferences(urls func() []string, now func() time.Time, log *slog.Logger) *References {
	r := &References{urls: urls, log: log, offsets: NewOffsets(now, log)}
	r.client = &http.Client{
		Timeout: measureTimeout,
		Transport: Transport{
			// A connection for each measurement: they are minutes apart.
			Next:   &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
			Now:    now,
			Record: r.offsets.Record,
		},
		// The first answer has a date, too.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return r
}

// Run measures at intervals until ctx ends. It doesn't measure at the start.
func (r *References) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(jitter.Vary(measureInterval)):
			r.MeasureClocks(ctx)
		}
	}
}

// MeasureClocks asks all references at the same time. It takes three seconds at most. A reference
// that doesn't answer keeps its last offset for a while.
func (r *References) MeasureClocks(ctx context.Context) {
	present := make(map[string]bool)
	var measurements sync.WaitGroup
	for _, at := range r.urls() {
		if u, err := url.Parse(at); err == nil {
			present[u.Host] = true
		}
		measurements.Go(func() {
			if err := r.measure(ctx, at); err != nil && ctx.Err() == nil {
				r.log.Warn("a clock reference doesn't answer", slog.String("cause", err.Error()))
			}
		})
	}
	measurements.Wait()
	r.offsets.retain(present)
}

func (r *References) measure(ctx context.Context, at string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, at, nil)
	if err != nil {
		return err
	}
	response, err := r.client.Do(request) // its errors name the URL
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// ClockOffsets returns the offsets of the references that have answered.
func (r *References) ClockOffsets() []Offset { return r.offsets.All() }
