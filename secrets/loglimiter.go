package secrets

import (
	"context"
	"log/slog"
)

// A logLimiter stores the last logged fault of a secret. A fault that persists is logged once, and
// once more when its level changes.
type logLimiter struct {
	fault string
	level slog.Level
}

// changed reports whether the fault or its level differs from the last call. An empty text means
// that there is no fault.
func (l *logLimiter) changed(fault string, level slog.Level) bool {
	next := logLimiter{fault, level}
	if next == *l {
		return false
	}
	*l = next
	return true
}

// logChanges logs what differs between two states of a secret.
func (k *Keyring) logChanges(ctx context.Context, e *entry, last, next *State) {
	log := k.log.With("path", e.ref.Path, "field", e.ref.Field)
	logVersions(log, last, next)
	switch {
	case next.Status.Disabled && !last.Status.Disabled:
		log.Warn("the secret was switched off by an operator: nothing is signed with it", "since",
			next.Status.DisabledBy)
	case last.Status.Disabled && !next.Status.Disabled:
		log.Warn("the secret was switched on again by an operator")
	}
	if last.behindSince.IsZero() && !next.behindSince.IsZero() {
		log.Info("the store's answer is older than the held status: a standby may lag", "serial", next.Status.Serial,
			"latest", next.Status.Latest)
	}
	if next.Unpinned() && !last.Unpinned() {
		log.Warn("unpinned: the secret has no active_version, so its newest version signs; `deskmint secret activate` "+
			"pins it", "active", next.Status.Active)
	}
	var fault string
	var level slog.Level
	if next.Fault != nil {
		fault, level = next.Fault.Error(), k.severity(next)
	}
	switch {
	case !e.logged.changed(fault, level):
	case fault == "":
		log.Info("the secret fault has ended")
	case next.Held == nil:
		log.Log(ctx, level, "secret fault: there is no key to sign with", "error", fault)
	default:
		log.Log(ctx, level, "secret fault: the held key is still used", "error", fault,
			"confirmed", next.Held.Refreshed)
	}
}

// logVersions logs a change of the active or the staged version.
func logVersions(log *slog.Logger, last, next *State) {
	h := next.Held
	switch {
	case h == nil:
	case last.Held == nil || last.Held.Status.Active != h.Status.Active:
		attrs := []any{"active", h.Status.Active, "staged", h.Status.Staged(), "previous", h.Status.Previous, "serial",
			h.Status.Serial}
		if last.Held == nil {
			log.Info("secret loaded", attrs...)
		} else {
			log.Info("the active secret version has changed", append(attrs, "before", last.Held.Status.Active)...)
		}
	case last.Held.Status.Staged() != h.Status.Staged():
		log.Info("the staged secret version has changed", "active", h.Status.Active, "staged", h.Status.Staged())
	}
}

// severity returns the level at which the fault of s is logged. An unavailable store is a warning
// until the held keys reach AlarmAfter. A fault that needs an operator is an error at once.
func (k *Keyring) severity(s *State) slog.Level {
	if s.behindSince.IsZero() && isUnavailable(s.Fault) && s.Succeeded != s.Attempted && s.Held != nil &&
		k.now().Sub(s.Held.Refreshed) < AlarmAfter {
		return slog.LevelWarn
	}
	return slog.LevelError
}
