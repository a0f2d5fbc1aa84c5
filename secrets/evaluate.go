package secrets

import (
	"fmt"
	"slices"
	"time"
)

// An evaluation is the result of comparing an answer of the store with the state before it.
type evaluation struct {
	status  Status // the status from now on
	lagging error  // the answer is older than the held status, so only its kill switch takes effect
	alarm   error  // a condition that an operator should know of, although signing continues
	fault   error  // there is no key: ErrDeleted drops the held key, ErrUnusable leaves it
}

// evaluate decides which status follows from the last accepted state and a new answer of the store.
// The last state is zero if there is none. evaluate doesn't access the store.
//
// A store can give an old answer for two reasons: a standby lags, or the store was restored from a
// backup. evaluate ignores old pointers and versions, because a standby that lags must not undo a
// move. Three other answers seem old and must take effect:
//
//   - a roll-back, which has a higher serial
//   - a deletion
//   - a secret that was removed and created again, which has later created times
//
// The kill switch follows other rules. See mergeSwitch, keepDisabled and [Mark].
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
		// The other metadata are lost as well, because `vault kv metadata put` replaces the whole
		// map.
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

// mergeSwitch returns status with the kill switch that follows from answer. Nothing else of the
// answer is accepted. The secret is off if either is off. A switch-off that an earlier answer
// cleared at a higher serial is ignored, because a standby that lags may still report it.
func mergeSwitch(status, answer Status, cleared []clearedSwitch) Status {
	old := func(c clearedSwitch) bool { return c.by == answer.DisabledBy && answer.Serial < c.serial }
	if answer.Disabled && !slices.ContainsFunc(cleared, old) {
		status.Disabled, status.DisabledBy = true, answer.DisabledBy
	}
	return status
}

// keepDisabled returns the evaluation of an answer that is accepted as a whole. Such an answer
// switches the secret on only if its serial is not lower than the serial of the switch-off.
func keepDisabled(seen Status, last State) evaluation {
	if !last.Status.Disabled || seen.Disabled || seen.Serial >= last.offSerial {
		return evaluation{status: seen}
	}
	seen.Disabled, seen.DisabledBy = true, last.Status.DisabledBy
	return evaluation{status: seen, alarm: fmt.Errorf(
		"the store no longer reports that it is switched off, but its serial is %d, and it was switched off at %d: it "+
			"stays off until `deskmint secret adopt NAME` makes every replica take the store as it is",
		seen.Serial, last.offSerial)}
}

// A clearedSwitch is a switch-off that a later answer cleared.
type clearedSwitch struct {
	by     string // Status.DisabledBy
	serial uint64 // the serial of the answer that cleared it
}

// maxClearedSwitches is the maximum number of cleared switch-offs that are kept. A standby doesn't
// lag by so many switch-offs.
const maxClearedSwitches = 8

// recordSwitches returns the state s, which follows last, with the serial of a switch-off and the
// list of cleared switch-offs. The evaluation of later answers needs both. The serial is that of
// the answer that led to s.
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

// addClearedSwitch adds a switch-off to the list of cleared switch-offs. It ignores one without a
// time, because only a time identifies a switch-off. An operator who wrote "true" by hand may write
// it again, and it must work again.
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

// usable adds a fault if the status names no version to sign with. A missing active version is
// never replaced by the version before it.
func usable(v evaluation) evaluation {
	s := v.status
	if !s.Pinned && (s.Serial > 0 || s.Managed) {
		v.fault = fmt.Errorf("%w: it has Deskmint's metadata (serial %d), but no active_version: %s", ErrUnusable,
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

// pinAdvice says what to do if the version that signs can't be determined.
const pinAdvice = "`deskmint secret activate NAME --version N` pins the version that shall sign; the /readyz of a " +
	"replica that still signs names it, and so does secret_version in the audit log"

// unpinned returns the reason why a secret without a pointer can't be used to sign. The marks of
// its versions give the reason. Without marks the newest version signs.
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

// recreated reports whether the secret was removed as a whole and created again. Version numbers of
// the same secret only grow. So a version that was created later than all known versions, but has
// no higher number, belongs to a new secret.
func recreated(last, seen Status) bool {
	newest := last.NewestCreated()
	for _, vs := range seen.Versions {
		if vs.Version <= last.Latest && vs.Created.After(newest) {
			return true
		}
	}
	return false
}
