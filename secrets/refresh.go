package secrets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/deskmint/deskmint/service/panics"
)

// refreshResult is the result of one refresh.
type refreshResult struct {
	began time.Time
	fault error // why it failed; nil if there was only an alarm
}

// identity identifies a version's value. A value is read again only if its identity has changed.
type identity struct {
	version  Version
	created  int64
	revision uint64
}

// value is the result of reading a version: a key, or the error that it is unusable.
type value struct {
	key Key
	err error
}

// refresh waits for the refresh of e that is in progress, or starts one. The only error is that of
// ctx.
func (k *Keyring) refresh(ctx context.Context, e *entry) (refreshResult, error) {
	select {
	case r := <-k.start(e):
		return r.Val.(refreshResult), nil
	case <-ctx.Done():
		return refreshResult{}, ctx.Err()
	}
}

// start starts a refresh of e unless one is in progress. The refresh uses the keyring's context, so
// that it continues for other callers if the first caller cancels.
func (k *Keyring) start(e *entry) <-chan singleflight.Result {
	return e.flight.DoChan("", func() (any, error) { return k.refreshSafely(k.running, e), nil })
}

// refreshSafely recovers a panic of a refresh, which would end the process. The panic counts as a
// store that is unavailable, because it says nothing about the secret.
func (k *Keyring) refreshSafely(ctx context.Context, e *entry) (result refreshResult) {
	began := time.Now()
	defer func() {
		if p := recover(); p != nil {
			result = refreshResult{began: began, fault: fmt.Errorf("secret %s: %w", e.ref, panics.Error(p))}
			k.log.Error("the refresh of a secret panicked; it is tried again", "cause", result.fault.Error())
			next := State{}
			if last := e.state.Load(); last != nil {
				next = *last
			}
			next.Attempted, next.Fault = k.now(), result.fault
			e.state.Store(&next)
			k.reschedule(e, &next)
		}
	}()
	return k.refreshOnce(ctx, e)
}

// refreshOnce reads e from the store and replaces its state. Only one runs for an entry at a time.
func (k *Keyring) refreshOnce(ctx context.Context, e *entry) refreshResult {
	result := refreshResult{began: time.Now()}
	last := e.state.Load()
	if last == nil {
		last = &State{}
	}
	next, alarm := k.observe(ctx, e, *last)
	result.fault = next.Fault
	if ctx.Err() != nil {
		return result // a cancelled refresh changes no state
	}
	k.counts.add(&next)
	next.alarm = next.Fault == nil
	if next.alarm {
		next.Fault = alarm
	}
	if next.Held == nil {
		e.values = nil // don't keep the values of dropped keys
	}
	e.state.Store(&next)
	k.logChanges(ctx, e, last, &next)
	k.reschedule(e, &next)
	return result
}

// observe reads from the store and returns the state that follows last. It sets Fault if that
// failed. The alarm is a condition that an operator should know of although the read succeeded.
func (k *Keyring) observe(ctx context.Context, e *entry, last State) (next State, alarm error) {
	began := k.now()
	next = last
	next.Attempted, next.Fault = began, nil

	var seen Status
	err := k.readStore(ctx, e, func(ctx context.Context) (err error) {
		seen, err = k.source.Status(ctx, e.ref.Path)
		return err
	})
	if err != nil {
		next.Status = mergeSwitch(next.Status, seen, nil)
		return recordSwitches(withFault(next, fmt.Errorf("secret %s: %w", e.ref, err)), last, seen.Serial), nil
	}
	v := evaluate(last, seen)
	if v.lagging != nil {
		k.applyMarks(ctx, e, &v.status, seen)
		next, alarm = lagging(next, v, e.ref)
		return recordSwitches(next, last, seen.Serial), alarm
	}
	next.behindSince, next.Status = time.Time{}, v.status
	if v.alarm != nil {
		alarm = fmt.Errorf("secret %s: %w", e.ref, v.alarm)
	}
	if k.rules.Load().requirePointer && v.fault == nil && isUnpinned(v.status) {
		v.fault = fmt.Errorf("%w: it has no active_version, and secrets.require_pointer is set: %s", ErrUnusable,
			pinAdvice)
	}
	var found assembled
	if v.fault == nil {
		found, v.fault = k.assemble(ctx, e, v.status, last.Held == nil)
	}
	next.activeUnknown = isUnpinned(v.status) && (v.status.Managed || v.status.Serial > 0 || len(found.marks) > 0)
	for _, m := range found.marks {
		if m.SwitchesOff(v.status) {
			next.Status.Disabled, next.Status.DisabledBy = true, m.Disabled
			alarm = cmp.Or(alarm, fmt.Errorf("secret %s: it was switched off (%s), and its metadata were reset to "+
				"an older state since: it stays off until `deskmint secret enable NAME`", e.ref, m.Disabled))
		}
	}
	if v.fault != nil {
		return recordSwitches(withFault(next, fmt.Errorf("secret %s: %w", e.ref, v.fault)), last, seen.Serial), nil
	}
	off, by := next.Status.Disabled, next.Status.DisabledBy
	next.Status = found.held.Status
	next.Status.Disabled, next.Status.DisabledBy = off, by
	found.held.Refreshed, next.Succeeded, next.Held = began, began, found.held
	if alarm == nil && found.doubt != nil {
		alarm = fmt.Errorf("secret %s: %w", e.ref, found.doubt)
	}
	return recordSwitches(next, last, seen.Serial), alarm
}

// laggingAlarm is how long the store's answers may be older than the held status before an alarm is
// raised. A standby that lags for so long is a fault as well.
const laggingAlarm = 5 * time.Minute

// lagging returns the state after an answer that is older than the held status. The held keys are
// used up to max_stale, as if the store were unavailable.
func lagging(next State, v evaluation, ref Ref) (State, error) {
	next.Status = v.status
	if next.behindSince.IsZero() {
		next.behindSince = next.Attempted
	}
	if next.Attempted.Sub(next.behindSince) < laggingAlarm {
		return next, nil
	}
	// The text has no duration. It must not change, so that it is logged once.
	return next, fmt.Errorf("secret %s: the store's answers have been older than the held status since %s (%w): "+
		"only its kill switch takes effect. Either a standby lags, or the store was restored from a backup. "+
		"After a restore, `deskmint secret adopt NAME` makes every replica take the store as it is",
		ref, next.behindSince.UTC().Format(time.RFC3339), v.lagging)
}

// withFault returns the state after a fault. A lost permission and a deletion act as kill switches
// and drop the held keys. Every other fault leaves the last good keys.
func withFault(s State, fault error) State {
	s.Fault = fault
	if isAny(fault, ErrDenied, ErrNotFound, ErrDeleted) {
		s.Held = nil
	}
	return s
}

// isUnavailable reports whether a fault says nothing about the secret, because the store could not
// be reached or its answer could not be used.
func isUnavailable(fault error) bool {
	return fault != nil && !isAny(fault, ErrDenied, ErrNotFound, ErrDeleted, ErrUnusable)
}

// isAny reports whether err is any of the sentinels.
func isAny(err error, sentinels ...error) bool {
	return slices.ContainsFunc(sentinels, func(s error) bool { return errors.Is(err, s) })
}

// assembled holds the values of the versions of a status.
type assembled struct {
	held  *Held
	doubt error  // why the staged or the previous version is omitted
	marks []Mark // of all versions that were read
}

// assemble reads the values of status that aren't known yet. It fails if the active version can't
// be read. It omits the staged and the previous version if they can't be read.
//
// It also reads every version whose mark can record a switch-off or can show that metadata were
// lost. These are the versions that are newer than the active one, and all versions of a secret
// without a pointer. If no keys are held yet, each of them must be readable.
func (k *Keyring) assemble(ctx context.Context, e *entry, status Status, first bool) (found assembled, err error) {
	r := reader{keyring: k, entry: e, status: status, values: make(map[identity]value, 3)}
	found.held = &Held{}
	if found.held.active, err = r.read(ctx, status.Active); err != nil {
		return found, err
	}
	for _, vs := range slices.Backward(status.Versions) {
		if vs.Version == status.Active || vs.Version < status.Active && !isUnpinned(status) {
			continue
		}
		key, err := r.read(ctx, vs.Version)
		switch {
		case err != nil && !isAny(err, ErrUnusable, ErrDeleted, ErrNotFound) && (first || isUnpinned(status)):
			return found, err
		case err == nil && key.mark.SwitchOnly(vs.Version):
			status = status.Without(vs.Version)
		}
	}
	found.marks = r.marks
	if err := unpinned(status, r.marks); err != nil {
		return found, err
	}
	if found.held.active.mark.SwitchOnly(status.Active) {
		return found, fmt.Errorf("%w: version %d only marks that the secret was switched off: activate another",
			ErrUnusable, status.Active)
	}
	var stagedErr, previousErr error
	found.held.staged, stagedErr = r.read(ctx, status.Staged())
	if status.Previous != status.Active {
		var previous Key
		if previous, previousErr = r.read(ctx, status.Previous); !previous.mark.SwitchOnly(status.Previous) {
			found.held.previous = previous
		}
	}
	found.held.Status, e.values = status, r.values
	found.doubt = errors.Join(stagedErr, previousErr)
	return found, nil
}

// applyMarks disables status if a version of answer has the mark of a later switch-off. The rest of
// the answer is ignored. Its metadata may have been reset to an older state. Marks that can't be
// read are read again with the next answer.
func (k *Keyring) applyMarks(ctx context.Context, e *entry, status *Status, answer Status) {
	r := reader{keyring: k, entry: e, status: answer, values: map[identity]value{}}
	maps.Copy(r.values, e.values)
	for _, vs := range slices.Backward(answer.Versions) {
		if vs.Version > answer.Active || isUnpinned(answer) {
			_, _ = r.read(ctx, vs.Version)
		}
	}
	for _, m := range r.marks {
		if status.Pinned && m.SwitchesOff(*status) {
			status.Disabled, status.DisabledBy = true, m.Disabled
		}
	}
	e.values = r.values
}

// reader reads the versions of one answer, each once.
type reader struct {
	keyring *Keyring
	entry   *entry
	status  Status
	values  map[identity]value // the values that were read
	marks   []Mark
}

// read returns the key of version v, and records its mark. It returns the zero Key if the answer
// doesn't list the version or reports that it is gone.
func (r *reader) read(ctx context.Context, v Version) (Key, error) {
	vs, ok := r.status.Version(v)
	if !ok || vs.Gone {
		return Key{}, nil
	}
	id := identity{v, vs.Created.UnixNano(), r.status.Revision}
	known, ok := r.values[id]
	if !ok {
		if known, ok = r.entry.values[id]; !ok {
			known.key, known.err = r.keyring.key(ctx, r.entry, v)
			r.warn(known.key)
		}
		// An unusable version stays unusable. A version that couldn't be read is read again.
		if known.err == nil || errors.Is(known.err, ErrUnusable) {
			r.values[id] = known
		}
	}
	if m := known.key.mark; m != (Mark{}) && !slices.Contains(r.marks, m) {
		r.marks = append(r.marks, m)
	}
	if known.err != nil {
		return Key{}, known.err
	}
	return known.key, nil
}

// warn logs that the value of the active version, or of a newer one, seems to be pasted wrongly. It
// is still used, because only Zendesk can tell.
func (r *reader) warn(key Key) {
	fault := key.PasteFault()
	if fault == "" || key.version < r.status.Active || key.mark.SwitchOnly(key.version) {
		return
	}
	r.keyring.log.Warn("the secret may have been pasted wrongly: the value "+fault+"; compare it with the one that "+
		"Zendesk shows", "path", r.entry.ref.Path, "field", r.entry.ref.Field, "version", key.version)
}

// key reads version v of e from the store.
func (k *Keyring) key(ctx context.Context, e *entry, v Version) (key Key, err error) {
	err = k.readStore(ctx, e, func(ctx context.Context) (err error) {
		key, err = k.source.Key(ctx, e.ref, v)
		return err
	})
	if err == nil && key.Version() != v {
		return Key{}, fmt.Errorf("the store returned version %d instead of version %d", key.Version(), v)
	}
	return key, err
}

// readStore performs one read of e when max_rate permits it. The deadline begins with the read,
// because the time spent waiting for the rate limiter doesn't mean that the store is unavailable.
func (k *Keyring) readStore(ctx context.Context, e *entry, read func(context.Context) error) error {
	if err := k.limiter.wait(ctx, &e.awaited); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	return read(ctx)
}
