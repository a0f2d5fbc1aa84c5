package secrets

import (
	"fmt"
	"slices"
	"time"
)

// A verdict is what an answer of the store comes to, given what was known before.
type verdict struct {
	status Status // what holds from now on
	behind error  // the answer is older than what is held: only its kill switch counts
	alarm  error  // an operator should know; signing goes on
	fault  error  // no key by this answer: ErrDeleted drops the one held, ErrUnusable leaves it
}

// judge decides what a newly seen status means after the last one that was accepted (zero:
// none yet). It asks nobody.
//
// A store can answer with something old for two reasons: a standby lags, or the store was
// restored from a backup. Old pointers and versions are ignored, because a standby that lags
// must not undo a move. A roll-back, a deletion and a secret that was made again also look
// old and must take effect. A roll-back has a higher serial. A secret that was made again
// has later created times.
//
// The kill switch has a rule of its own: see [switchOf].
func judge(last, seen Status, cleared []clearing) verdict {
	// A store that is one file or one map doesn't lag: what it says now, holds.
	if seen.Revision != 0 || len(last.Versions) == 0 {
		return usable(verdict{status: seen})
	}
	if recreated(last, seen) {
		if seen.Serial < last.Serial {
			seen = switchOf(seen, last, cleared)
		}
		return usable(verdict{status: seen})
	}
	moved := seen.Pinned && seen.Serial > last.Serial // no answer from before has such a serial
	if seen.Latest < last.Latest && !moved {
		return verdict{status: switchOf(last, seen, cleared), behind: fmt.Errorf("latest version %d, held %d", seen.Latest, last.Latest)}
	}
	if last.Pinned && !seen.Pinned {
		// Whatever wiped the pointer (`vault kv metadata put` replaces the whole map) also wiped
		// what was beside it.
		off := switchOf(last, seen, cleared)
		seen.Active, seen.Previous, seen.Serial, seen.Pinned = last.Active, last.Previous, last.Serial, true
		seen.Disabled, seen.DisabledBy = off.Disabled, off.DisabledBy
		return usable(verdict{status: seen, alarm: fmt.Errorf(
			"active_version has vanished from the store: version %d stays active; pin it again with `deskmint secret activate --version %[1]d`, which raises the serial above %d", last.Active, last.Serial)})
	}
	if seen.Serial < last.Serial {
		return verdict{status: switchOf(last, seen, cleared), behind: fmt.Errorf("serial %d, held %d", seen.Serial, last.Serial)}
	}
	return usable(verdict{status: seen})
}

// switchOf returns status with the kill switch that follows from an answer which may be old.
// It is off if either status or the answer says so: only an answer with an equal or higher
// serial switches on. A switch-off that was seen cleared at a higher serial doesn't count,
// because a standby that lags goes on telling it.
func switchOf(status, answer Status, cleared []clearing) Status {
	if answer.Disabled && !slices.ContainsFunc(cleared, func(c clearing) bool { return c.by == answer.DisabledBy && answer.Serial < c.serial }) {
		status.Disabled, status.DisabledBy = true, answer.DisabledBy
	}
	return status
}

// A clearing is a switch-off that was seen cleared.
type clearing struct {
	by     string // Status.DisabledBy
	serial uint64 // of the answer that no longer had it
}

// maxClearings bounds what is remembered. A standby doesn't lag by so many switch-offs.
const maxClearings = 8

// clearings returns what is remembered after an answer was accepted. Only a time identifies a
// switch-off: who writes "true" by hand may write it again, and it must work again.
func clearings(cleared []clearing, last, accepted Status) []clearing {
	if !last.Disabled || accepted.DisabledBy == last.DisabledBy || !isTime(last.DisabledBy) {
		return cleared
	}
	cleared = append(slices.Clone(cleared), clearing{last.DisabledBy, accepted.Serial})
	return cleared[max(0, len(cleared)-maxClearings):]
}

func isTime(text string) bool {
	_, err := time.Parse(time.RFC3339Nano, text)
	return err == nil
}

// usable adds the fault of a status that names no version to sign with. A
// missing active version is never replaced by the one before it.
func usable(v verdict) verdict {
	s := v.status
	if !s.Pinned && (s.Serial > 0 || s.Managed) {
		v.fault = fmt.Errorf("%w: it has metadata of ours (serial %d), but no active_version: %s", ErrUnusable, s.Serial, pinAdvice)
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

// pinAdvice is the way out where nobody can know which version signs.
const pinAdvice = "`deskmint secret activate NAME --version N` pins the version that shall sign; the /readyz of a replica that still signs names it"

// unpinned judges the marks of a secret without a pointer, whose newest version would sign.
// The marks are those of that version and of the one before.
func unpinned(s Status, marks ...Mark) (disabledBy string, err error) {
	if s.Pinned || s.Revision != 0 {
		return "", nil
	}
	for _, m := range marks {
		switch {
		case m.Disabled != "":
			return m.Disabled, fmt.Errorf("%w: it was switched off, and its metadata were wiped since: %s; it stays off until `deskmint secret enable NAME`", ErrUnusable, pinAdvice)
		case m.Staged:
			return "", fmt.Errorf("%w: it has no active_version, though `deskmint secret` wrote it: its metadata were wiped: %s", ErrUnusable, pinAdvice)
		}
	}
	return "", nil
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
