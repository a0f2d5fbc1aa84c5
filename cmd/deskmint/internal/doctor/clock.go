package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/deskmint/deskmint/service/clock"
	"github.com/deskmint/deskmint/service/config"
)

// The differences of clocks from which there is a warning or a fault. Vault's clock has the same.
const (
	clockWarning = 30 * time.Second
	clockFault   = 3 * time.Minute
)

// clockReferences compares this machine's clock with the clocks of clock.references.
func (e *examination) clockReferences(ctx context.Context, s *config.Snapshot) {
	if len(s.Clock.References) == 0 {
		return
	}
	urls := func() []string { return s.Clock.References }
	references := clock.NewReferences(urls, e.now, slog.New(slog.DiscardHandler))
	references.MeasureClocks(ctx)
	ahead := make(map[string]time.Duration)
	for _, o := range references.ClockOffsets() {
		ahead[o.Host] = o.Ahead
	}
	for _, at := range s.Clock.References {
		where := "clock.references: " + at
		u, err := url.Parse(at)
		if err != nil {
			continue // which the configuration has refused
		}
		const do = "set the wrong clock (NTP): Zendesk refuses tokens that are off by 3 minutes"
		offset, known := ahead[u.Host]
		direction := "ahead of"
		if offset < 0 {
			direction = "behind"
		}
		what := fmt.Sprintf("its clock is %s %s ours", offset.Abs().Round(time.Second), direction)
		switch {
		case !known:
			e.warn(where, "it doesn't answer with a date", "name another host, or let this machine reach it")
		case offset.Abs() >= clockFault:
			e.fault(where, what, do)
		case offset.Abs() > clockWarning:
			e.warn(where, what, do)
		default:
			e.ok(where, what)
		}
	}
}
