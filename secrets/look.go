package secrets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"
)

// look is what one look at the store came to.
type look struct {
	began time.Time
	fault error // why it failed; what is merely alarming isn't told here
}

// identity is what makes a version's value worth reading again: nothing else
// can change it.
type identity struct {
	version  Version
	created  int64
	revision uint64
}

// value is what reading a version gave: a key, or that it is unusable.
type value struct {
	key Key
	err error
}

// lookAt joins the look in flight at e, or starts one. The error is ctx's end
// alone.
func (k *Keyring) lookAt(ctx context.Context, e *entry) (look, error) {
	select {
	case r := <-k.flight(e):
		return r.Val.(look), nil
	case <-ctx.Done():
		return look{}, ctx.Err()
	}
}

// flight's look has the keyring's context: whoever came first and goes away
// must not take the look from the others.
func (k *Keyring) flight(e *entry) <-chan singleflight.Result {
	return e.flight.DoChan("", func() (any, error) { return k.look(k.running, e), nil })
}

// look asks the store about e and swaps its state. Only one runs for an entry
// at a time.
func (k *Keyring) look(ctx context.Context, e *entry) look {
	result := look{began: time.Now()}
	last := e.state.Load()
	if last == nil {
		last = &State{}
	}
	next, alarm := k.observe(ctx, e, *last)
	result.fault = next.Fault
	if ctx.Err() != nil {
		return result // a look that was called off teaches nothing
	}
	k.looks.add(&next)
	if next.Fault == nil {
		next.Fault = alarm
	}
	if next.Held == nil {
		e.values = nil // a value that was dropped is not kept elsewhere
	}
	e.state.Store(&next)
	k.report(ctx, e, last, &next)
	k.reschedule(e, &next)
	return result
}

// observe returns the state that follows last, with Fault set if the look
// failed; alarm is something that an operator should know although it didn't.
func (k *Keyring) observe(ctx context.Context, e *entry, last State) (next State, alarm error) {
	began := k.now()
	next = last
	next.Looked, next.Fault = began, nil

	var seen Status
	err := k.ask(ctx, func(ctx context.Context) (err error) {
		seen, err = k.source.Status(ctx, e.ref.Path)
		return err
	})
	if err != nil {
		next.Status = offBy(next.Status, seen, nil)
		return remember(failed(next, fmt.Errorf("secret %s: %w", e.ref, err)), last, seen.Serial), nil
	}
	v := judge(last, seen)
	if v.behind != nil {
		k.markedOff(ctx, e, &v.status, seen)
		next, alarm = behind(next, v, e.ref)
		return remember(next, last, seen.Serial), alarm
	}
	next.behindSince, next.Status = time.Time{}, v.status
	if v.alarm != nil {
		alarm = fmt.Errorf("secret %s: %w", e.ref, v.alarm)
	}
	if k.rules.Load().requirePointer && v.fault == nil && isUnpinned(v.status) {
		v.fault = fmt.Errorf("%w: it has no active_version, and secrets.require_pointer is set: %s", ErrUnusable, pinAdvice)
	}
	var found assembled
	if v.fault == nil {
		found, v.fault = k.assemble(ctx, e, v.status, last.Held == nil)
	}
	next.activeUnknown = isUnpinned(v.status) && (v.status.Managed || v.status.Serial > 0 || len(found.marks) > 0)
	for _, m := range found.marks {
		if m.SwitchesOff(v.status) {
			next.Status.Disabled, next.Status.DisabledBy = true, m.Disabled
			alarm = cmp.Or(alarm, fmt.Errorf("secret %s: it was switched off (%s), and its metadata were put back to an older state since: "+
				"it stays off until `deskmint secret enable NAME`", e.ref, m.Disabled))
		}
	}
	if v.fault != nil {
		return remember(failed(next, fmt.Errorf("secret %s: %w", e.ref, v.fault)), last, seen.Serial), nil
	}
	off, by := next.Status.Disabled, next.Status.DisabledBy
	next.Status = found.held.Status
	next.Status.Disabled, next.Status.DisabledBy = off, by
	found.held.Refreshed, next.Succeeded, next.Held = began, began, found.held
	if alarm == nil && found.doubt != nil {
		alarm = fmt.Errorf("secret %s: %w", e.ref, found.doubt)
	}
	return remember(next, last, seen.Serial), alarm
}

// behindAlarm is how long the store's answers may be older than what is held before an
// operator is told. A standby that lags for so long is a fault as well.
const behindAlarm = 5 * time.Minute

// behind returns the state after an answer that is older than what is held. What is held goes
// on up to max_stale, as if the store were away.
func behind(next State, v verdict, ref Ref) (State, error) {
	next.Status = v.status
	if next.behindSince.IsZero() {
		next.behindSince = next.Looked
	}
	if next.Looked.Sub(next.behindSince) < behindAlarm {
		return next, nil
	}
	// Without a duration: the text must stay the same, so that it is logged once.
	return next, fmt.Errorf("secret %s: the store's answers have been older than what is held since %s (%w): "+
		"only its kill switch counts. Either a standby lags, or the store was restored from a backup. "+
		"After a restore, `deskmint secret adopt NAME` makes every replica take the store as it is", ref, next.behindSince.UTC().Format(time.RFC3339), v.behind)
}

// failed keeps or drops what is held, by the kind of fault: losing permission
// and deletion are kill switches, everything else leaves the last good key.
func failed(s State, fault error) State {
	s.Fault = fault
	if isAny(fault, ErrDenied, ErrNotFound, ErrDeleted) {
		s.Held = nil
	}
	return s
}

// away reports whether a fault says nothing about the secret: the store could
// not be asked, or its answer didn't count.
func away(fault error) bool {
	return fault != nil && !isAny(fault, ErrDenied, ErrNotFound, ErrDeleted, ErrUnusable)
}

func isAny(err error, sentinels ...error) bool {
	return slices.ContainsFunc(sentinels, func(s error) bool { return errors.Is(err, s) })
}

// assembled is what the values that a status asks for come to.
type assembled struct {
	held  *Held
	doubt error  // why the staged or the previous version is left out
	marks []Mark // of all versions that were read
}

// assemble reads the values that status asks for and that aren't known yet. Without the active
// one there is nothing to hold. The staged and the previous one are left out if they can't be
// read.
//
// It also reads every version whose mark can tell of a switch-off or of lost metadata: those
// newer than the active one, and all of a secret without a pointer. In a first answer each of
// them must be readable.
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
		return found, fmt.Errorf("%w: version %d only marks that the secret was switched off: activate another", ErrUnusable, status.Active)
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

// markedOff switches status off if a version of an answer that is otherwise ignored has the mark of
// a later switch-off: its metadata may have been put back to an older state. Marks that can't be
// read are looked at again with the next answer.
func (k *Keyring) markedOff(ctx context.Context, e *entry, status *Status, answer Status) {
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

func (r *reader) read(ctx context.Context, v Version) (Key, error) {
	vs, ok := r.status.Version(v)
	if !ok || vs.Gone {
		return Key{}, nil // no such version to hold
	}
	id := identity{v, vs.Created.UnixNano(), r.status.Revision}
	known, ok := r.values[id]
	if !ok {
		if known, ok = r.entry.values[id]; !ok {
			known.key, known.err = r.keyring.key(ctx, r.entry.ref, v)
		}
		// What is unusable stays so; what couldn't be read is asked for again.
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

// ask does one read when max_rate allows it. The deadline begins with the
// read: time spent in the queue is no sign that the store is away.
func (k *Keyring) ask(ctx context.Context, read func(context.Context) error) error {
	if err := k.pace.wait(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	return read(ctx)
}

// report is what was last logged of an entry, so that a fault that stays is
// said once, and once more when it becomes an alarm.
type report struct {
	fault string
	level slog.Level
}

// report logs what has changed between two states.
func (k *Keyring) report(ctx context.Context, e *entry, last, next *State) {
	log := k.log.With("path", e.ref.Path, "field", e.ref.Field)
	if h := next.Held; h != nil && (last.Held == nil || last.Held.Status.Active != h.Status.Active) {
		attrs := []any{"active", h.Status.Active, "staged", h.Status.Staged(), "previous", h.Status.Previous, "serial", h.Status.Serial}
		if last.Held == nil {
			log.Info("secret loaded", attrs...)
		} else {
			log.Info("another secret version signs from now on", append(attrs, "before", last.Held.Status.Active)...)
		}
	} else if h != nil && last.Held.Status.Staged() != h.Status.Staged() {
		log.Info("the staged secret version has changed", "active", h.Status.Active, "staged", h.Status.Staged())
	}
	switch {
	case next.Status.Disabled && !last.Status.Disabled:
		log.Warn("the secret was switched off by an operator: nothing is signed with it", "since", next.Status.DisabledBy)
	case last.Status.Disabled && !next.Status.Disabled:
		log.Warn("the secret was switched on again by an operator")
	}
	if last.behindSince.IsZero() && !next.behindSince.IsZero() {
		log.Info("the store's answer is older than what is held: a standby may lag", "serial", next.Status.Serial, "latest", next.Status.Latest)
	}
	if next.Unpinned() && !last.Unpinned() {
		log.Warn("unpinned: the secret has no active_version, so its newest version signs; `deskmint secret activate` pins it", "active", next.Status.Active)
	}
	r := report{}
	if next.Fault != nil {
		r = report{fault: next.Fault.Error(), level: k.severity(next)}
	}
	switch {
	case r == e.logged:
		return
	case r.fault == "":
		log.Info("the secret is in order again")
	case next.Held == nil:
		log.Log(ctx, r.level, "secret fault: there is nothing to sign with", "error", r.fault)
	default:
		log.Log(ctx, r.level, "secret fault: what is held goes on", "error", r.fault, "confirmed", next.Held.Refreshed)
	}
	e.logged = r
}

// severity: a store that is away is a warning until what is held gets old;
// what needs an operator is an error at once.
func (k *Keyring) severity(s *State) slog.Level {
	if s.behindSince.IsZero() && away(s.Fault) && s.Succeeded != s.Looked && s.Held != nil && k.now().Sub(s.Held.Refreshed) < AlarmAfter {
		return slog.LevelWarn
	}
	return slog.LevelError
}
