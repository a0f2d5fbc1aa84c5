// Package rotate changes secrets on behalf of an operator. It stages, activates and rolls back
// versions, and it operates the kill switch.
//
// Only commands import it. The service must not be able to write a secret. So no package of the
// service depends on this package, and the service's own credential for the store is read-only. The
// stores (packages vault and file) implement [Writer] without importing this package. The types
// that both need are in package secrets.
package rotate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// ErrRefused says that the act is not possible in the secret's present state, and that nothing was
// changed. The text says what to do instead.
var ErrRefused = errors.New("refused")

// A Writer is a store that an operator reads and writes with the operator's credential. It never
// uses the service's credential.
//
// The parameter o of a method is the observation on which the change is based. A store that can
// compare returns [secrets.ErrConflict] if the secret has changed since. If a store can't compare,
// the Rotator does so afterwards. As with a [secrets.Source], no error contains a value or an
// answer of the store.
type Writer interface {
	secrets.Source
	// Observe returns the state on which a change is based. For a path that the store doesn't have
	// yet it returns an observation without versions, not an error.
	Observe(ctx context.Context, path string) (secrets.Observed, error)
	// Write adds version o.Latest + 1. It sets the field of ref to value. It copies every other
	// field from the newest version that still has a value. A store that keeps marks also writes
	// the mark of a staged version.
	Write(ctx context.Context, ref secrets.Ref, o secrets.Observed, value []byte) error
	// Change changes the pointer of path and the other metadata.
	Change(ctx context.Context, path string, o secrets.Observed, to secrets.Change) error
	// WriteMark adds version o.Latest + 1 with the mark m. It copies every other field from the
	// newest version that still has a value.
	WriteMark(ctx context.Context, path string, o secrets.Observed, m secrets.Mark) error
	// DeleteMark deletes a version that was written only for its mark.
	DeleteMark(ctx context.Context, path string, v secrets.Version) error
	// Mark returns the mark of a version. The zero Mark means that it has none.
	Mark(ctx context.Context, path string, v secrets.Version) (secrets.Mark, error)
	// Begins reports whether the value of a version begins with prefix. It compares in constant
	// time.
	Begins(ctx context.Context, ref secrets.Ref, v secrets.Version, prefix string) (bool, error)
}

// A Rotator changes one secret. Each act reads the store, plans the steps, and only then writes. It
// returns ErrRefused, with a text that says what to do, if the act is not possible in the present
// state. It reads every write back and compares.
//
// Vault has no check-and-set for custom metadata. If two operators move the pointer at the same
// moment, one of them detects it by reading back. That fails only if the moves don't overlap at
// all. Call Holds once the replicas have followed, to detect that case as well.
type Rotator struct {
	Store Writer
	Ref   secrets.Ref
	// Siblings are other references to the same path. The pointer belongs to the path. A version
	// must be usable for all of them before it is activated.
	Siblings []secrets.Ref
	// DryRun makes every act stop before its first write.
	DryRun bool
	// Now is the clock. If it is nil, time.Now is used.
	Now func() time.Time
}

// Stage stores value as the next version. The present version stays active. If there is no
// pointer, Stage first pins the present version. The very first version becomes active at once.
//
// Stage returns ErrUnusable for a value that NewKey refuses or that isn't one line of text. It
// returns ErrRefused for a value that another version already has, and for a write that would make
// the store drop the active or the previous version. It stores a value that seems to be pasted
// wrongly, and adds a note to the plan.
func (r *Rotator) Stage(ctx context.Context, value []byte) (Plan, error) {
	return r.store(ctx, value, planStage)
}

// Replace stages value and activates it. It returns the errors of Stage.
func (r *Rotator) Replace(ctx context.Context, value []byte) (Plan, error) {
	return r.store(ctx, value, planReplace)
}

// Activate moves the pointer to version v, or to the staged version if v is zero. It refuses a
// version that is gone, that is already active, or that can't be used to sign.
func (r *Rotator) Activate(ctx context.Context, v secrets.Version) (Plan, error) {
	return r.move(ctx, func(o Observation) (Plan, error) { return planActivate(o, v, r.now()) })
}

// Rollback moves the pointer back to the previous version.
func (r *Rotator) Rollback(ctx context.Context) (Plan, error) {
	return r.move(ctx, planRollback)
}

// Disable switches the secret off. Every replica then refuses to sign with it, regardless of its
// other metadata. In a store that keeps marks, Disable also writes a version with the mark of the
// switch-off. The switch-off then survives a tool that wipes the metadata.
func (r *Rotator) Disable(ctx context.Context) (Plan, error) {
	return r.act(ctx, func(o Observation) (Plan, error) { return planDisable(o, r.now()) }, nil)
}

// Enable undoes Disable. It also deletes the versions that mark a switch-off.
func (r *Rotator) Enable(ctx context.Context) (Plan, error) {
	return r.act(ctx, planEnable, nil)
}

// Adopt raises the serial above every serial that replicas can have read, so that they accept the
// present state of the store. Use it after the store was restored from a backup.
func (r *Rotator) Adopt(ctx context.Context) (Plan, error) {
	return r.act(ctx, func(o Observation) (Plan, error) { return planAdopt(o, r.now()) }, nil)
}

// Holds returns ErrConflict unless the secret is still in the state after the last step of p.
func (r *Rotator) Holds(ctx context.Context, p Plan) error {
	o, err := r.observe(ctx)
	if err != nil || len(p.Steps) == 0 {
		return err
	}
	if last := p.Last(); !last.isDone(o) {
		return fmt.Errorf("%s: %w: the step to %s was undone since; version %d is active now (serial %d): "+
			"check the status",
			o.Place, secrets.ErrConflict, last, o.Active, o.Serial)
	}
	return nil
}

// Writable returns the reason why no value can be stored, if it is known before the value is.
func (r *Rotator) Writable(ctx context.Context) error {
	o, err := r.observe(ctx)
	if err != nil {
		return err
	}
	return writable(o)
}

// store performs an act that writes value.
func (r *Rotator) store(
	ctx context.Context, value []byte, decide func(o Observation, equal secrets.Version) (Plan, error),
) (Plan, error) {
	if err := checkValue(value); err != nil {
		return Plan{}, err
	}
	return r.act(ctx, func(o Observation) (Plan, error) {
		key, err := secrets.NewKey(o.Latest+1, value)
		if err != nil {
			return Plan{}, err
		}
		equal, err := r.findValue(ctx, o, key)
		if err != nil {
			return Plan{}, err
		}
		plan, err := decide(o, equal)
		if err == nil {
			plan.notePasteFault(key)
		}
		return plan, err
	}, value)
}

// move performs an act that moves the pointer. It refuses a version that can't be used to sign.
func (r *Rotator) move(ctx context.Context, decide func(Observation) (Plan, error)) (Plan, error) {
	return r.act(ctx, func(o Observation) (Plan, error) {
		plan, err := decide(o)
		if err == nil {
			err = r.usable(ctx, o, plan.Version)
		}
		if err != nil {
			return Plan{}, err
		}
		return plan, nil
	}, nil)
}

// act reads the store, makes a plan, checks the operator's permissions, and performs the plan.
func (r *Rotator) act(ctx context.Context, decide func(Observation) (Plan, error), value []byte) (Plan, error) {
	o, err := r.observe(ctx)
	if err != nil {
		return Plan{}, err
	}
	plan, err := decide(o)
	if err != nil {
		return Plan{}, err
	}
	for _, s := range plan.Steps {
		if err := s.denied(o.Denied); err != nil {
			return Plan{}, fmt.Errorf("%s: %w: you may not %s: %w", o.Place, ErrRefused, s, err)
		}
	}
	return r.perform(ctx, o, plan, value)
}

func (r *Rotator) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// usable refuses a version that can't be used to sign. It checks a sibling reference only if the
// active version of the sibling can sign now, because the sibling may have no secret yet.
func (r *Rotator) usable(ctx context.Context, o Observation, v secrets.Version) error {
	key, err := r.Store.Key(ctx, r.Ref, v)
	if err != nil {
		return fmt.Errorf("%s: %w: version %d can't be used to sign, so it isn't activated: %w",
			o.Place, ErrRefused, v, err)
	}
	if key.Mark().SwitchOnly(v) {
		return fmt.Errorf("%s: %w: version %d only marks that the secret was switched off: name another",
			o.Place, ErrRefused, v)
	}
	for _, ref := range r.Siblings {
		if _, err := r.Store.Key(ctx, ref, o.Active); err != nil {
			continue
		}
		if _, err := r.Store.Key(ctx, ref, v); err != nil {
			return fmt.Errorf("%s: %w: other configurations sign with field %s of the same path, but it is not usable "+
				"in version %d: %w", o.Place, ErrRefused, ref.Field, v, err)
		}
	}
	return nil
}
