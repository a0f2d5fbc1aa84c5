package secrets

import (
	"fmt"
	"slices"
	"time"
)

// A verdict is the result of judging an answer of the store against what was known before.
type evaluation struct {
	status  Status // the status from now on
	lagging error  // the answer is older than what is held, so only its kill switch counts
	alarm   error  // an operator should know, although signing goes on
	fault   error  // the answer gives no key: ErrDeleted drops the one held, ErrUnusable leaves it
}

// judge decides what a newly seen status means after the last one that was accepted. The last one
// is zero if there is none yet. judge asks no store.
//
// A store can give an old answer for two reasons: a standby lags, or the store was restored from a
// backup. Old pointers and versions are ignored, because a standby that lags must not undo a move.
// Three other answers seem old and must take effect: a roll-back, which has a higher serial; a
// deletion; and a secret that was removed and created again, which has later created times.
//
// The kill switch follows other rules; see offBy, stillOff and [Mark].
func evaluate(last State, seen Status) evaluation {
	held := last.Status
	// A store that is one file or one map doesn't lag.
	if seen.Revision != 0 || len(held.Versions) == 0 {
		return usable(evaluation{status: seen})
	}
	if recreated(held, seen) {
		return usable(keepDisabled(seen, last))
	}
	moved := seen.Pinned && seen.Serial > held.Serial // no older answer has such a serial
	if seen.Latest < held.Latest && !moved {
		return evaluation{
			status:  mergeSwitch(held, seen, last.cleared),
			lagging: fmt.Errorf("latest version %d, held %d", seen.Latest, held.Latest),
		}
	}
	if held.Pinned && !seen.Pinned {
		// The other metadata are gone as well: `vault kv metadata put` replaces the whole map.
		off := mergeSwitch(held, seen, last.cleared)
		seen.Active, seen.Previous, seen.Serial, seen.Pinned = held.Active, held.Previous, held.Serial, true
		seen.Disabled, seen.DisabledBy = off.Disabled, off.DisabledBy
		return usable(evaluation{status: seen, alarm: fmt.Errorf(
			"active_version has vanished from the store: version %d stays active; pin it again with `deskmint secret "+
				"activate NAME --version %[1]d`, which raises the serial above %d", held.Active, held.Serial)})
	}
	if seen.Serial < held.Serial {
		return evaluation{
			status:  mergeSwitch(held, seen, last.cleared),
			lagging: fmt.Errorf("serial %d, held %d", seen.Serial, held.Serial),
		}
	}
	return usable(keepDisabled(seen, last))
}

// offBy returns status with the kill switch that follows from an answer of which nothing else is
// accepted. It is off if either says so. A switch-off that was seen cleared at a higher serial
// doesn't count, because a standby that lags may still report it.
func mergeSwitch(status, answer Status, cleared []clearedSwitch) Status {
	old := func(c clearedSwitch) bool { return c.by == answer.DisabledBy && answer.Serial < c.serial }
	if answer.Disabled && !slices.ContainsFunc(cleared, old) {
		status.Disabled, status.DisabledBy = true, answer.DisabledBy
	}
	return status
}

// stillOff returns the verdict on an answer that is accepted as a whole. Such an answer switches on
// only with a serial that is no lower than the one at which the secret was switched off.
func keepDisabled(seen Status, last State) evaluation {
	if !last.Status.Disabled || seen.Disabled || seen.Serial >= last.offSerial {
		return evaluation{status: seen}
	}
	seen.Disabled, seen.DisabledBy = true, last.Status.DisabledBy
	return evaluation{status: seen, alarm: fmt.Errorf(
		"the store no longer says that it is switched off, but its serial is %d, and it was switched off at %d: it "+
			"stays off until `deskmint secret adopt NAME` makes every replica take the store as it is",
		seen.Serial, last.offSerial)}
}

// A clearing is a switch-off that was seen cleared.
type clearedSwitch struct {
	by     string // Status.DisabledBy
	serial uint64 // the serial of the answer that no longer had it
}

// maxClearings is the number of clearings that are kept. A standby doesn't lag by so many
// switch-offs.
const maxClearedSwitches = 8

// remember returns the state s, which follows last, with what later answers are judged by: the
// serial of a switch-off, and the switch-offs that were cleared. The answer that led to s had the
// given serial.
func recordSwitches(s, last State, serial uint64) State {
	switch {
	case !s.Status.Disabled:
		s.offSerial = 0
		if last.Status.Disabled {
			s.cleared = addClearedSwitch(s.cleared, last.Status.DisabledBy, s.Status.Serial)
		}
	case !last.Status.Disabled:
		s.offSerial = max(last.Status.Serial, serial)
	}
	return s
}

// addClearing adds a switch-off to those that were seen cleared. Only a time identifies a
// switch-off. An operator who wrote "true" by hand may write it again, and it must work again.
func addClearedSwitch(cleared []clearedSwitch, by string, serial uint64) []clearedSwitch {
	c := clearedSwitch{by, serial}
	if !isTime(by) || slices.ContainsFunc(cleared, func(c clearedSwitch) bool { return c.by == by }) {
		return cleared
	}
	cleared = append(slices.Clone(cleared), c)
	return cleared[max(0, len(cleared)-maxClearedSwitches):]
}

// isTime reports whether text is the time of a switch-off.
func isTime(text string) bool {
	_, err := time.Parse(time.RFC3339Nano, text)
	return err == nil
}

// usable adds the fault of a status that names no version to sign with. A missing active version is
// never replaced by the version before it.
func usable(v evaluation) evaluation {
	s := v.status
	if !s.Pinned && (s.Serial > 0 || s.Managed) {
		v.fault = fmt.Errorf("%w: it has metadata of ours (serial %d), but no active_version: %s", ErrUnusable,
			s.Serial, pinAdvice)
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

// pinAdvice says what to do if it can't be known which version signs.
const pinAdvice = "`deskmint secret activate NAME --version N` pins the version that shall sign; the /readyz of a " +
	"replica that still signs names it, and so does secret_version in the audit log"

// unpinned returns the reason why a secret without a pointer can't be signed with. The marks of its
// versions give the reason. Without marks the newest version signs.
func unpinned(s Status, marks []Mark) error {
	if !isUnpinned(s) {
		return nil
	}
	for _, m := range marks {
		switch {
		case m.Disabled != "":
			return fmt.Errorf("%w: it was switched off, and its metadata were wiped since: %s; it stays off until "+
				"`deskmint secret enable NAME`", ErrUnusable, pinAdvice)
		case m.Staged:
			return fmt.Errorf("%w: it has no active_version, though `deskmint secret` wrote it: its metadata were "+
				"wiped: %s", ErrUnusable, pinAdvice)
		}
	}
	return nil
}

// recreated reports whether the secret was removed as a whole and created again. Otherwise numbers
// only grow. So a version that was created later than all known ones, but whose number isn't higher
// than the latest known number, belongs to a new secret.
func recreated(last, seen Status) bool {
	newest := last.NewestCreated()
	for _, vs := range seen.Versions {
		if vs.Version <= last.Latest && vs.Created.After(newest) {
			return true
		}
	}
	return false
}
