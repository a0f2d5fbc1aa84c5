package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"
)

// scales measures how the number of configurations and callers affects the start, the idle memory
// and each request.
func (b *bench) scales(ctx context.Context) error {
	type size struct {
		configurations, callers int
		idle                    int64
		row
	}
	sizes := []*size{
		{configurations: 1, callers: 1},
		{configurations: 100, callers: 100},
		{configurations: 1, callers: 1000},
		{configurations: 10000, callers: 1},
		{configurations: 10000, callers: 1000},
	}
	var rows []*row
	for _, s := range sizes {
		s.name = fmt.Sprintf("%d configurations, %d callers", s.configurations, s.callers)
		p, err := b.serve(ctx, fmt.Sprintf("scale-%d-%d", s.configurations, s.callers), s.configurations, s.callers,
			false)
		if err != nil {
			return err
		}
		s.server = p
		c := caller{
			server:        p,
			configuration: fmt.Sprintf("configurations/acme-%d", s.configurations/2),
			authorization: "Bearer " + b.keys.apiKey,
		}
		if s.kind, err = c.mintGRPC(); err != nil {
			return err
		}
		rows = append(rows, &s.row)
	}
	// The service returns the memory of its start within a few seconds.
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Second):
	}
	for _, s := range sizes {
		var err error
		if s.idle, err = s.server.memory(); err != nil {
			return err
		}
	}
	if err := b.measure(ctx, rows); err != nil {
		return err
	}
	w := tabwriter.NewWriter(b.out, 0, 0, 1, ' ', 0)
	fmt.Fprintf(w,
		"\n| configurations | callers | ready after | idle memory | CPU a request | × the smallest | spread |\n| --- "+
			"| --- | --- | --- | --- | --- | --- |\n")
	for _, s := range sizes {
		ratio, spread := s.ratio(rows[0])
		fmt.Fprintf(w, "| %d | %d | %d ms | %d MB | %s | %.2f | %.0f %% |\n", s.configurations, s.callers,
			s.server.ready.Milliseconds(), s.idle/1e6,
			micro(s.median()), ratio, 100*spread)
	}
	return w.Flush()
}
