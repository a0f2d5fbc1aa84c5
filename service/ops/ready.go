package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/clock"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/panics"
)

const (
	// readyInterval is the time between two checks of a replica that isn't ready.
	readyInterval = time.Second
	// clockInterval is the time between two measurements of the clock of such a replica.
	clockInterval = 10 * time.Second
	// maxClockOffset is the difference from which tokens are likely to be refused. Zendesk accepts
	// 3 minutes.
	maxClockOffset = 2 * time.Minute
	// storeClock is the name of the secret store among the clocks.
	storeClock = "store"
)

var errClock = errors.New("this machine's clock is wrong")

// Clock reports how far other hosts' clocks are ahead of this machine's.
type Clock interface {
	ClockOffsets() []clock.Offset
	// MeasureClocks asks the hosts again. It takes a few seconds at most.
	MeasureClocks(ctx context.Context)
}

// AwaitReady waits until this replica may receive requests. It returns false if ctx ends first.
//
// Something must be signable: at least one configuration can sign, or was switched off on purpose.
// A replica that can sign nothing must stop a rollout, whatever the cause, because it would replace
// replicas that can. Its clock must also be right, as far as other clocks can tell.
//
// A replica that is ready stays ready, so nothing calls AwaitReady again.
func (m *Monitor) AwaitReady(ctx context.Context) bool {
	m.measureClocks(ctx)
	measured := time.Now()
	for {
		err := m.checkReady(ctx)
		if err == nil {
			m.selfTests.fault.Store(nil)
			return ctx.Err() == nil
		}
		text := err.Error()
		if last := m.selfTests.fault.Swap(&text); last == nil || *last != text {
			message := "not ready: nothing can be signed here"
			if errors.Is(err, errClock) {
				message = "not ready: the clock is wrong"
			}
			m.options.Log.Error(message, slog.String("cause", text))
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(readyInterval):
		}
		if time.Since(measured) >= clockInterval { // the clock may have been corrected
			m.measureClocks(ctx)
			measured = time.Now()
		}
	}
}

// checkReady turns a panic into an error, so that a faulty check doesn't end the process.
func (m *Monitor) checkReady(ctx context.Context) (err error) {
	defer panics.Catch(&err)
	snapshot := m.options.Snapshot()
	return cmp.Or(m.CanSign(ctx, snapshot), m.nothingUsable(snapshot), m.checkClock(snapshot))
}

// nothingUsable returns an error if no configuration can sign and none was switched off on purpose.
func (m *Monitor) nothingUsable(snapshot *config.Snapshot) error {
	var fault error
	for _, name := range snapshot.Names() {
		conf, _ := snapshot.Configuration(name)
		_, err := m.options.Secrets.Get(conf.Secret, conf.MaxStale)
		switch {
		case errors.Is(err, secrets.ErrDisabled):
			return nil
		case err == nil:
			err = m.selfTest(conf)
		}
		switch {
		case err == nil:
			return nil
		case fault == nil, errors.Is(err, secrets.ErrUnavailable) && !errors.Is(fault, secrets.ErrUnavailable):
			fault = err // an unavailable store is the likelier cause of everything
		}
	}
	what := "no secret can be used"
	if errors.Is(fault, secrets.ErrUnavailable) {
		what = "no secret has been loaded"
	}
	return fmt.Errorf("%s: %w", what, fault)
}

// checkClock returns an error if two clocks agree that this machine's is wrong. One clock alone may
// itself be wrong. An alert rule on the metric tells of it.
func (m *Monitor) checkClock(snapshot *config.Snapshot) error {
	var behind, ahead []clock.Offset
	for _, o := range m.clockOffsets(snapshot) {
		switch {
		case o.Ahead > maxClockOffset:
			behind = append(behind, o)
		case o.Ahead < -maxClockOffset:
			ahead = append(ahead, o)
		}
	}
	for what, agree := range map[string][]clock.Offset{"behind": behind, "ahead": ahead} {
		if len(agree) >= 2 {
			return fmt.Errorf("%w: it is %s by %v, as %s says, and by %v, as %s says: set it, because Zendesk "+
				"refuses tokens from 3 minutes on", errClock, what,
				agree[0].Ahead.Abs().Round(time.Second), agree[0].Host,
				agree[1].Ahead.Abs().Round(time.Second), agree[1].Host)
		}
	}
	return nil
}

// clockOffsets returns one offset for each clock. A host that has several parts, such as a Vault
// that is also an issuer, has one clock.
func (m *Monitor) clockOffsets(snapshot *config.Snapshot) (all []clock.Offset) {
	seen := make(map[string]bool)
	if store := m.options.Store; store != nil {
		if ahead, known := store.ClockOffset(); known {
			all = append(all, clock.Offset{Host: storeClock, Ahead: ahead})
			for _, host := range snapshot.StoreHosts() {
				seen[host] = true
			}
		}
	}
	for _, c := range m.options.Clocks {
		for _, o := range c.ClockOffsets() {
			if !seen[o.Host] {
				seen[o.Host] = true
				all = append(all, o)
			}
		}
	}
	return all
}

func (m *Monitor) measureClocks(ctx context.Context) {
	defer panics.Log(m.options.Log, "measuring clocks")
	for _, c := range m.options.Clocks {
		c.MeasureClocks(ctx)
	}
}
