package ops

import (
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
)

// TestIdentityUseAllocations checks that recording a use allocates nothing, for an identity that is
// configured and for one that a reload has removed.
func TestIdentityUseAllocations(t *testing.T) {
	var uses identityUses
	uses.take(&config.Snapshot{
		Identities: []config.Identity{{Caller: "shop", Identity: caller.Identity{Name: "key"}}},
	})
	at := time.Unix(1_700_000_000, 0)
	for _, identity := range []string{"key", "removed"} {
		who := caller.Caller{Name: "shop", Identity: identity}
		if n := testing.AllocsPerRun(100, func() { uses.used(who, at) }); n > 0 {
			t.Errorf("%s: %v allocations, want none", identity, n)
		}
	}
	uses.each(func(key identityKey, last, _ time.Time) {
		if key != (identityKey{"shop", "key"}) || !last.Equal(at) {
			t.Errorf("%v was used at %v, want only shop's key, at %v", key, last, at)
		}
	})
}
