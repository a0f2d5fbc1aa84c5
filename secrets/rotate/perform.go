package rotate

import (
	"context"
	"fmt"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// An answer that is read back after a write may come from a standby that lags a little, or the
// store may not answer while it elects another leader.
const (
	readBackTries = 10
	readBackPause = 200 * time.Millisecond
)

// perform performs the steps of p in order. It reads each step back before the next. The returned
// plan contains the number of steps that were performed.
func (r *Rotator) perform(ctx context.Context, o Observation, p Plan, value []byte) (Plan, error) {
	if r.DryRun {
		return p, nil
	}
	for i, s := range p.Steps {
		if s.Kind == StepMark {
			s.Version = o.Latest + 1 // a mark may follow any version, even one that was written since
			p.Steps[i] = s
		}
		if !s.isApplicable(o) { // another operator's change was read back with the step before
			return p, fmt.Errorf("%s: %w: the secret has changed since this was planned (now version %d is active, "+
				"%d the latest): check the status, then try again", o.Place, secrets.ErrConflict, o.Active, o.Latest)
		}
		after, err := o, r.takeStep(ctx, o, s, value)
		if err == nil {
			after, err = r.readBack(ctx, s)
		}
		switch {
		case err != nil && s.Kind == StepMark:
			p.note("%s", noMarkNote(err))
			p.Steps = p.Steps[:i] // the earlier marks remain and have the same effect
			return p, nil
		case err != nil && s.Kind == StepUnmark:
			p.note("the version that marks an earlier switch-off could not be deleted, which does no harm: %v", err)
			p.Steps = p.Steps[:i]
			return p, nil
		case err != nil:
			return p, err
		}
		o, p.Done = after, p.Done+1
	}
	if fate := o.Fates[p.Version]; fate != "" {
		p.note("version %d is %s: the store does that by itself (delete_version_after)", p.Version, fate)
	}
	return p, nil
}

// takeStep performs one step.
func (r *Rotator) takeStep(ctx context.Context, o Observation, s Step, value []byte) error {
	switch s.Kind {
	case StepWrite:
		return r.write(ctx, o, s, value)
	case StepMark:
		return r.Store.WriteMark(ctx, r.Ref.Path, o.Observed, secrets.Mark{Disabled: s.Disabled, Serial: s.Serial,
			Version: s.Version})
	case StepUnmark:
		return r.Store.DeleteMark(ctx, r.Ref.Path, s.Version)
	default:
		return r.Store.Change(ctx, r.Ref.Path, o.Observed, s.change())
	}
}

// write stores value and reads it back. The answer to a write can be lost. The same request at the
// next server then fails, because the version already exists. So write decides by the value that it
// reads back, not by the answer.
func (r *Rotator) write(ctx context.Context, o Observation, s Step, value []byte) error {
	key, err := secrets.NewKey(s.Version, value)
	if err != nil {
		return err
	}
	failed := r.Store.Write(ctx, r.Ref, o.Observed, value)
	if failed == nil {
		if _, err := r.readBack(ctx, s); err != nil {
			return err
		}
	}
	stored, err := r.Store.Key(ctx, r.Ref, s.Version)
	switch {
	case err == nil && same(ctx, key, stored):
		return nil
	case failed == nil && err != nil:
		return fmt.Errorf("%s: version %d was written, but can't be read back: %w", o.Place, s.Version, err)
	case failed == nil:
		return fmt.Errorf("%s: version %d was written, but reads as another value: don't activate it", o.Place,
			s.Version)
	}
	if now, err := r.observe(ctx); err == nil && now.Latest >= s.Version {
		return fmt.Errorf("%s: %w: another operator wrote version %d, and your value was not written: check the "+
			"status, then stage again", o.Place, secrets.ErrConflict, s.Version)
	}
	return failed
}

// readBack observes the secret until the effect of the step is visible. If the secret is neither in
// the state after the step nor in the state before it, another operator has changed it.
func (r *Rotator) readBack(ctx context.Context, s Step) (Observation, error) {
	for try := 1; ; try++ {
		o, err := r.observe(ctx)
		switch {
		case err != nil && !secrets.IsUnusable(err) && try < readBackTries:
		case err != nil:
			return o, fmt.Errorf("the step to %s was performed, but can't be read back: %w", s, err)
		case s.isDone(o):
			return o, nil
		case !s.mayBeOutdated(o):
			return o, fmt.Errorf("%s: %w: the step to %s was performed, but now version %d is active (previous %d, "+
				"serial %d): check the status, and agree on one operator who rotates",
				o.Place, secrets.ErrConflict, s, o.Active, o.Previous, o.Serial)
		case try == readBackTries:
			return o, fmt.Errorf("%s: %w, or a standby lags: the step to %s was performed, but its effect is not "+
				"visible: check the status", o.Place, secrets.ErrConflict, s)
		}
		select {
		case <-ctx.Done():
			return o, ctx.Err()
		case <-time.After(readBackPause):
		}
	}
}
