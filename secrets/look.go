package secrets

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
		return remember(failed(next, fmt.Errorf("secret %s: %w", e.ref, err)), last, 0, nil), nil
	}
	v := judge(last, seen)
	if v.behind != nil {
		next, alarm = behind(next, v, e.ref)
		return remember(next, last, seen.Serial, nil), alarm
	}
	next.behindSince, next.Status = time.Time{}, v.status
	if v.alarm != nil {
		alarm = fmt.Errorf("secret %s: %w", e.ref, v.alarm)
	}
	if k.rules.Load().requirePointer && v.fault == nil && isUnpinned(v.status) {
		v.fault = fmt.Errorf("%w: it has no active_version, and secrets.require_pointer is set: %s", ErrUnusable, pinAdvice)
	}
	var held *Held
	var doubt error
	if v.fault == nil {
		held, doubt, v.fault = k.assemble(ctx, e, v.status)
	}
	if v.fault != nil {
		if off := (*markedOffError)(nil); errors.As(v.fault, &off) {
			next.Status.Disabled, next.Status.DisabledBy = true, off.by
		}
		return remember(failed(next, fmt.Errorf("secret %s: %w", e.ref, v.fault)), last, seen.Serial, nil), nil
	}
	next.Status = held.Status
	if v.vanished {
		for _, m := range held.marks {
			next.Status = offBy(next.Status, Status{Disabled: m.Disabled != "", DisabledBy: m.Disabled}, next.cleared)
		}
	}
	held.Refreshed, next.Succeeded, next.Held = began, began, held
	if alarm == nil && doubt != nil {
		alarm = fmt.Errorf("secret %s: %w", e.ref, doubt)
	}
	return remember(next, last, seen.Serial, held.marks), alarm
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
	since := next.Looked.Sub(next.behindSince)
	if since < behindAlarm {
		return next, nil
	}
	return next, fmt.Errorf("secret %s: the store's answers have been older than what is held for %s (%w): "+
		"only its kill switch counts. Either a standby lags, or the store was restored from a backup. "+
		"After a restore, `deskmint secret adopt NAME` makes every replica take the store as it is", ref, since.Round(time.Second), v.behind)
}

// markedOffError says that the newest version of a secret without a pointer bears the mark of
// a switch-off.
type markedOffError struct {
	by  string
	err error
}

func (e *markedOffError) Error() string { return e.err.Error() }
func (e *markedOffError) Unwrap() error { return e.err }

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

// assemble reads the values that status asks for and that aren't known yet.
// Without the active one there is nothing to hold; the staged and the previous
// one are left out when they can't be read, and doubt says why.
func (k *Keyring) assemble(ctx context.Context, e *entry, status Status) (held *Held, doubt, err error) {
	values := make(map[identity]value, 3)
	read := func(v Version) (Key, error) {
		vs, ok := status.Version(v)
		if !ok || vs.Gone {
			return Key{}, nil // no such version to hold
		}
		id := identity{v, vs.Created.UnixNano(), status.Revision}
		known, ok := e.values[id]
		if !ok {
			known.key, known.err = k.key(ctx, e.ref, v)
		}
		// What is unusable stays so; what couldn't be read is asked for again.
		if known.err == nil || errors.Is(known.err, ErrUnusable) {
			values[id] = known
		}
		return known.key, known.err
	}

	held = &Held{}
	if held.active, err = read(status.Active); err != nil {
		return nil, nil, err
	}
	staged, stagedErr := read(status.Staged())
	for ; stagedErr == nil && staged.mark.Disabled != ""; staged, stagedErr = read(status.Staged()) {
		held.marks = append(held.marks, staged.mark)
		status = status.without(staged.version)
	}
	var previous Key
	var previousErr error
	if status.Previous != status.Active {
		previous, previousErr = read(status.Previous)
	}
	if by, err := unpinned(status, held.active.mark, previous.mark); err != nil {
		if by != "" {
			err = &markedOffError{by, err}
		}
		return nil, nil, err
	}
	if held.active.mark.Disabled != "" {
		return nil, nil, fmt.Errorf("%w: version %d only marks that the secret was switched off: activate another", ErrUnusable, status.Active)
	}
	if previous.mark.Disabled == "" {
		held.previous = previous
	}
	held.marks = append(held.marks, held.active.mark, staged.mark, previous.mark)
	held.Status, held.staged, e.values = status, staged, values
	return held, errors.Join(stagedErr, previousErr), nil
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
	if last.Status.Disabled != next.Status.Disabled {
		log.Warn("the secret was switched on or off by an operator", "disabled", next.Status.Disabled)
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
