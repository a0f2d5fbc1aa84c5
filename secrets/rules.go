package secrets

import (
	"fmt"
	"time"
)

// A verdict is what an answer of the store comes to, given what was known.
type verdict struct {
	status Status // what holds from now on
	ignore bool   // the answer counts for nothing, as if nobody had asked
	alarm  error  // an operator should know; signing goes on
	fault  error  // no key by this answer: ErrDeleted drops the one held, ErrUnusable leaves it
}

// judge decides, without asking anybody, what a newly seen status means after
// the last one that was accepted (zero: none yet).
//
// Two dangers pull in opposite directions. A replica that lags must not undo a
// move of the pointer, so what looks older is ignored. But a roll-back, a
// deletion and a secret that was made anew also look older, and must take effect: a
// roll-back shows by its higher serial, a new life by its later created times.
func judge(last, seen Status) verdict {
	// A store that is one file or one map doesn't lag: what it says now, holds.
	if seen.Revision != 0 || len(last.Versions) == 0 || recreated(last, seen) {
		return usable(verdict{status: seen})
	}
	if seen.Latest < last.Latest {
		return verdict{status: last, ignore: true, alarm: fmt.Errorf(
			"the store's answer is older than what is held (latest version %d, held %d): ignored, as from a lagging replica", seen.Latest, last.Latest)}
	}
	if last.Pinned && !seen.Pinned {
		// Whatever wiped the pointer (kv metadata put replaces the whole map) also wiped what
		// stood beside it, and that includes the kill switch.
		seen.Active, seen.Previous, seen.Serial, seen.Pinned = last.Active, last.Previous, last.Serial, true
		seen.Disabled = seen.Disabled || last.Disabled
		return usable(verdict{status: seen, alarm: fmt.Errorf(
			"active_version has vanished from the store: version %d stays active; activate it again, with a serial above %d", last.Active, last.Serial)})
	}
	if seen.Serial < last.Serial {
		return verdict{status: last, ignore: true, alarm: fmt.Errorf(
			"the store's answer is older than what is held (serial %d, held %d): ignored, as from a lagging replica; if it stays so, the pointer was moved without raising the serial", seen.Serial, last.Serial)}
	}
	return usable(verdict{status: seen})
}

// usable adds the fault of a status that names no version to sign with. A
// missing active version is never replaced by the one before it.
func usable(v verdict) verdict {
	s := v.status
	if !s.Pinned && s.Serial > 0 {
		v.fault = fmt.Errorf("%w: it was staged before (serial %d), but has no active_version: activate one", ErrUnusable, s.Serial)
		return v
	}
	active, listed := s.Version(s.Active)
	switch {
	case s.Active == 0:
		v.fault = fmt.Errorf("%w: it has no version", ErrUnusable)
	case !listed && s.Active > s.Latest:
		v.fault = fmt.Errorf("%w: version %d is active, but the latest is %d", ErrUnusable, s.Active, s.Latest)
	case !listed, active.Gone:
		v.fault = fmt.Errorf("active version %d was %w or destroyed: activate another", s.Active, ErrDeleted)
	}
	return v
}

// recreated reports whether the secret was removed as a whole and made anew:
// numbers only grow within one life, so a number that isn't beyond the latest
// and yet was created later than everything known starts another.
func recreated(last, seen Status) bool {
	newest := newestCreated(last)
	for _, vs := range seen.Versions {
		if vs.Version <= last.Latest && vs.Created.After(newest) {
			return true
		}
	}
	return false
}

func newestCreated(s Status) time.Time {
	var newest time.Time
	for _, vs := range s.Versions {
		if vs.Created.After(newest) {
			newest = vs.Created
		}
	}
	return newest
}
