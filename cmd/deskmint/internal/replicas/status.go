package replicas

import (
	"context"
	"fmt"
	"sync"

	"github.com/deskmint/deskmint/secrets"
)

// Status is what one replica holds of a configuration's secret. Scripts read its JSON, so keys may be
// added but never changed or removed.
type Status struct {
	Address string          `json:"address"`
	State   string          `json:"state,omitempty"` // empty if it doesn't answer
	Active  secrets.Version `json:"active_version,omitempty"`
	Staged  secrets.Version `json:"staged_version,omitempty"`
	Serial  uint64          `json:"serial,omitempty"`
	Success string          `json:"last_success,omitempty"` // when it last read the store
	// Fault says why the replica doesn't hold what the store does. It is empty if it does.
	Fault string `json:"fault,omitempty"`
}

// Stored is what the store says about the secret.
type Stored struct {
	Active, Staged secrets.Version
	Serial         uint64
	Disabled       bool
	// Unclear means that the store doesn't say which version is active.
	Unclear bool
}

// Status asks every replica once what it holds of the secret of the configuration name, and compares
// it with the store. The replicas are sorted by address.
func (s *Set) Status(ctx context.Context, name string, stored Stored) []Status {
	targets, faults := s.targets(ctx)
	all := make([]Status, len(targets), len(targets)+len(faults))
	var asked sync.WaitGroup
	for i, target := range targets {
		asked.Go(func() {
			all[i] = Status{Address: target}
			got, err := s.ask(ctx, target, name)
			if err != nil {
				all[i].Fault = printable(err.Error())
				return
			}
			all[i].State, all[i].Success = printable(got.State), printable(got.Success)
			all[i].Active, all[i].Staged = got.Active, got.Staged
			if got.Serial != nil {
				all[i].Serial = *got.Serial
			}
			all[i].Fault = printable(got.differs(stored))
		})
	}
	asked.Wait()
	for _, fault := range faults {
		all = append(all, Status{Address: fault.address, Fault: fault.text})
	}
	return all
}

// differs says why a replica doesn't hold what the store does. It returns "" if it does.
func (r replica) differs(stored Stored) string {
	switch {
	case r.Fault != "":
		return r.Fault
	case !r.ready:
		return "it isn't ready"
	case stored.Disabled && r.State != "disabled":
		return "it signs, but the store says that the secret is switched off"
	case r.State == "disabled" && !stored.Disabled:
		return "it is switched off, but the store says that the secret isn't"
	case r.Serial != nil && stored.Serial != 0 && *r.Serial > stored.Serial:
		return fmt.Sprintf("it has seen serial %d, above the store's %d: the store was restored from a backup, or a "+
			"standby lags. After a restore, `deskmint secret adopt` makes it take the store as it is",
			*r.Serial, stored.Serial)
	case stored.Unclear:
	case r.Active != stored.Active:
		return fmt.Sprintf("the store has version %d active", stored.Active)
	case r.Staged != stored.Staged && stored.Staged == 0:
		return "the store has no version staged"
	case r.Staged != stored.Staged:
		return fmt.Sprintf("the store has version %d staged", stored.Staged)
	}
	if r.State != "usable" && r.State != "disabled" {
		return "it is " + r.State
	}
	return ""
}
