package ops

import (
	"sync/atomic"
	"time"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
)

// identityUses records when each identity of the present configuration last authenticated a
// request. The times survive a reload. Two identities of a caller that have the same label count as
// one.
type identityUses struct {
	all atomic.Pointer[map[identityKey]*identityUse] // the map is never changed
}

type identityKey struct{ caller, identity string }

type identityUse struct {
	last     *atomic.Int64 // in Unix nanoseconds, or 0 if not since the process started
	notAfter time.Time     // zero if the identity does not end
}

// take replaces the identities with those of another configuration. It keeps the last use of those
// that both have.
func (u *identityUses) take(next *config.Snapshot) {
	before := u.all.Load()
	all := make(map[identityKey]*identityUse, len(next.Identities))
	for _, id := range next.Identities {
		key := identityKey{id.Caller, id.Label()}
		use := &identityUse{notAfter: id.NotAfter}
		if before != nil && (*before)[key] != nil {
			use.last = (*before)[key].last
		} else {
			use.last = new(atomic.Int64)
		}
		all[key] = use
	}
	u.all.Store(&all)
}

// used records that an identity has authenticated a request. It takes no lock and allocates
// nothing. It ignores an identity that a reload has just removed.
func (u *identityUses) used(who caller.Caller, at time.Time) {
	if use := (*u.all.Load())[identityKey{who.Name, who.Identity}]; use != nil {
		// Concurrent requests may store their times in any order. The times differ by no more than
		// the duration of a request.
		use.last.Store(at.UnixNano())
	}
}

// each calls report for every identity of the present configuration. A zero time means no use, or
// no end.
func (u *identityUses) each(report func(key identityKey, last, notAfter time.Time)) {
	for key, use := range *u.all.Load() {
		var last time.Time
		if at := use.last.Load(); at != 0 {
			last = time.Unix(0, at)
		}
		report(key, last, use.notAfter)
	}
}
