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
)

// refreshResult is the result of one refresh.
type refreshResult struct {
	began time.Time
	fault error // why it failed; nil after a mere alarm
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

// refresh joins the refresh of e that is in progress, or starts one. The only error is the end of
// ctx.
func (k *Keyring) refresh(ctx context.Context, e *entry) (refreshResult, error) {
	select {
	case r := <-k.start(e):
		return r.Val.(refreshResult), nil
	case <-ctx.Done():
		return refreshResult{}, ctx.Err()
	}
}

// start starts a refresh of e unless one is in progress. The refresh has the keyring's context, so
// that it goes on for the other callers when the first one leaves.
func (k *Keyring) start(e *entry) <-chan singleflight.Result {
	return e.flight.DoChan("", func() (any, error) { return k.refreshOnce(k.running, e), nil })
}

// refreshOnce asks the store about e and replaces its state. Only one runs for an entry at a time.
func (k *Keyring) refreshOnce(ctx context.Context, e *entry) refreshResult {
	result := refreshResult{began: time.Now()}
	last := e.state.Load()
	if last == nil {
		last = &State{}
	}
	next, alarm := k.observe(ctx, e, *last)
	result.fault = next.Fault
	if ctx.Err() != nil {
		return result // a refresh that was cancelled changes no state
	}
	k.counts.add(&next)
	if next.Fault == nil {
		next.Fault = alarm
	}
	if next.Held == nil {
		e.values = nil // don't keep a value that was dropped
	}
	e.state.Store(&next)
	k.logChanges(ctx, e, last, &next)
	k.reschedule(e, &next)
	return result
}

// observe asks the store and returns the state that follows last. Fault is set if that failed. The
// alarm is something that an operator should know although it succeeded.
func (k *Keyring) observe(ctx context.Context, e *entry, last State) (next State, alarm error) {
	began := k.now()
	next = last
	next.Attempted, next.Fault = began, nil

	var seen Status
	err := k.ask(ctx, func(ctx context.Context) (err error) {
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
			alarm = cmp.Or(alarm, fmt.Errorf("secret %s: it was switched off (%s), and its metadata were put back to "+
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

// behindAlarm is how long the store's answers may be older than what is held before an alarm is
// raised. A standby that lags for so long is a fault as well.
const laggingAlarm = 5 * time.Minute

// behind returns the state after an answer that is older than what is held. What is held serves up
// to max_stale, as if the store were away.
func lagging(next State, v evaluation, ref Ref) (State, error) {
	next.Status = v.status
	if next.behindSince.IsZero() {
		next.behindSince = next.Attempted
	}
	if next.Attempted.Sub(next.behindSince) < laggingAlarm {
		return next, nil
	}
	// The text has no duration, because it must stay the same to be logged once.
	return next, fmt.Errorf("secret %s: the store's answers have been older than what is held since %s (%w): "+
		"only its kill switch counts. Either a standby lags, or the store was restored from a backup. "+
		"After a restore, `deskmint secret adopt NAME` makes every replica take the store as it is",
		ref, next.behindSince.UTC().Format(time.RFC3339), v.lagging)
}

// failed returns the state after a fault. A lost permission and a deletion are kill switches and
// drop what is held. Every other fault leaves the last good key.
func withFault(s State, fault error) State {
	s.Fault = fault
	if isAny(fault, ErrDenied, ErrNotFound, ErrDeleted) {
		s.Held = nil
	}
	return s
}

// away reports whether a fault says nothing about the secret, because the store could not be asked
// or its answer didn't count.
func isUnavailable(fault error) bool {
	return fault != nil && !isAny(fault, ErrDenied, ErrNotFound, ErrDeleted, ErrUnusable)
}

// isAny reports whether err is any of the sentinels.
func isAny(err error, sentinels ...error) bool {
	return slices.ContainsFunc(sentinels, func(s error) bool { return errors.Is(err, s) })
}

// assembled holds the values that a status asks for.
type assembled struct {
	held  *Held
	doubt error  // why the staged or the previous version is left out
	marks []Mark // of all versions that were read
}

// assemble reads the values that status asks for and that aren't known yet. It fails if the active
// version can't be read. The staged and the previous version are left out if they can't be read.
//
// It also reads every version whose mark can record a switch-off or show that metadata were lost:
// those newer than the active one, and all versions of a secret without a pointer. In a first
// answer each of them must be readable.
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

// markedOff switches status off if a version of an otherwise ignored answer has the mark of a later
// switch-off. The metadata of that answer may have been put back to an older state. Marks that
// can't be read are read again with the next answer.
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
	values  map[identity]value // those that were asked for
	marks   []Mark
}

// read returns the key of version v, and notes its mark. It returns the zero Key if the answer
// lists no such version or says that it is gone.
func (r *reader) read(ctx context.Context, v Version) (Key, error) {
	vs, ok := r.status.Version(v)
	if !ok || vs.Gone {
		return Key{}, nil
	}
	id := identity{v, vs.Created.UnixNano(), r.status.Revision}
	known, ok := r.values[id]
	if !ok {
		if known, ok = r.entry.values[id]; !ok {
			known.key, known.err = r.keyring.key(ctx, r.entry.ref, v)
		}
		// A version that is unusable stays so. A version that couldn't be read is read again.
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

// key reads version v from the store.
func (k *Keyring) key(ctx context.Context, ref Ref, v Version) (key Key, err error) {
	err = k.ask(ctx, func(ctx context.Context) (err error) {
		key, err = k.source.Key(ctx, ref, v)
		return err
	})
	if err == nil && key.Version() != v {
		return Key{}, fmt.Errorf("the store answered with version %d when asked for %d", key.Version(), v)
	}
	return key, err
}

// ask does one read when max_rate allows it. The deadline begins with the read, because time spent
// waiting for a turn doesn't show that the store is away.
func (k *Keyring) ask(ctx context.Context, read func(context.Context) error) error {
	if err := k.limiter.wait(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	return read(ctx)
}
