package ops

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/clock"
	"github.com/deskmint/deskmint/service/config"
)

// fixedClocks are clocks with fixed offsets, by host.
type fixedClocks map[string]time.Duration

func (f fixedClocks) ClockOffsets() (all []clock.Offset) {
	for host, ahead := range f {
		all = append(all, clock.Offset{Host: host, Ahead: ahead})
	}
	return all
}

func (fixedClocks) MeasureClocks(context.Context) {}

// fixedStore is a store with a fixed offset.
type fixedStore time.Duration

func (s fixedStore) ClockOffset() (time.Duration, bool)  { return time.Duration(s), true }
func (fixedStore) Logins() (succeeded, failed uint64)    { return 0, 0 }
func (fixedStore) TokenExpiry() (at time.Time, end bool) { return time.Time{}, false }

// TestCheckClock checks that only two clocks together can say that this machine's is wrong.
func TestCheckClock(t *testing.T) {
	const off = 3 * time.Minute
	snapshot := &config.Snapshot{}
	snapshot.Secrets.Source = "vault"
	snapshot.Secrets.Vault.Addresses = []string{"https://vault.example:8200"}
	for name, test := range map[string]struct {
		store  time.Duration
		clocks []Clock
		fault  string
	}{
		"all agree with ours":       {0, []Clock{fixedClocks{"a": time.Second}}, ""},
		"the store alone":           {off, []Clock{fixedClocks{"a": 0}}, ""},
		"another alone":             {0, []Clock{fixedClocks{"a": off}}, ""},
		"the store and another":     {off, []Clock{fixedClocks{"a": off}}, "behind by 3m0s, as store says, and"},
		"two others":                {0, []Clock{fixedClocks{"a": -off}, fixedClocks{"b": -off}}, "is ahead by 3m0s"},
		"they contradict":           {off, []Clock{fixedClocks{"a": -off}}, ""},
		"less than two minutes":     {119 * time.Second, []Clock{fixedClocks{"a": off}}, ""},
		"one host in two parts":     {0, []Clock{fixedClocks{"a": off}, fixedClocks{"a": off}}, ""},
		"the store is an issuer":    {off, []Clock{fixedClocks{"vault.example:8200": off}}, ""},
		"two agree, a third is off": {off, []Clock{fixedClocks{"a": off, "b": -off}}, "is behind by 3m0s"},
	} {
		m := &Monitor{options: Options{Store: fixedStore(test.store), Clocks: test.clocks}}
		err := m.checkClock(snapshot)
		if (err == nil) != (test.fault == "") || err != nil && !strings.Contains(err.Error(), test.fault) {
			t.Errorf("%s: %v, want %q", name, err, test.fault)
		}
	}
}
