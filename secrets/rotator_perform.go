package secrets

import (
	"context"
	"fmt"
	"time"
)

// What is read back after a write may come from a standby that lags a little.
const (
	readBackTries = 10
	readBackPause = 200 * time.Millisecond
)

// perform takes the steps of p in order, each read back before the next. The
// plan that it returns says how far it came.
func (r *Rotator) perform(ctx context.Context, o Observed, p Plan, value []byte) (Plan, error) {
	if r.DryRun {
		return p, nil
	}
	for i, s := range p.Steps {
		if s.Kind == StepMark {
			s.Version = o.Latest + 1 // somebody may have written one since; a mark fits behind any
			p.Steps[i] = s
		}
		if !s.fits(o) { // what was read back after the step before has more in it than that step
			return p, fmt.Errorf("%s: %w: the secret has changed since this was decided on (now version %d is active, %d the latest): look at the status, then try again", o.Place, ErrConflict, o.Active, o.Latest)
		}
		after, err := o, r.take(ctx, o, s, value)
		if err == nil {
			after, err = r.readBack(ctx, s)
		}
		switch {
		case err != nil && s.Kind == StepMark:
			p.note("%s", unmarked(err))
			p.Steps = p.Steps[:i] // the earlier marks stay in its place
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

func (r *Rotator) take(ctx context.Context, o Observed, s Step, value []byte) error {
	switch s.Kind {
	case StepWrite:
		return r.write(ctx, o, s, value)
	case StepMark:
		return r.Store.WriteMark(ctx, r.Ref.Path, o, Mark{Disabled: s.Disabled, Serial: s.Serial, Version: s.Version})
	case StepUnmark:
		return r.Store.DeleteMark(ctx, r.Ref.Path, s.Version)
	default:
		return r.Store.Change(ctx, r.Ref.Path, o, s.change())
	}
}

// write stores value and reads it back. An answer can be lost on its way, and
// the same request at the next server then finds its own version in place: what
// counts is what stands there now.
func (r *Rotator) write(ctx context.Context, o Observed, s Step, value []byte) error {
	key, err := NewKey(s.Version, value)
	if err != nil {
		return err
	}
	failed := r.Store.Write(ctx, r.Ref, o, value)
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
		return fmt.Errorf("%s: version %d was written, but reads as another value: don't activate it", o.Place, s.Version)
	}
	if now, err := r.observe(ctx); err == nil && now.Latest >= s.Version {
		return fmt.Errorf("%s: %w: version %d was written by another, nothing of yours was: look at the status, then stage again", o.Place, ErrConflict, s.Version)
	}
	return failed
}

// readBack observes until the step shows. What doesn't show, and isn't an
// answer from before it, is somebody else's doing.
func (r *Rotator) readBack(ctx context.Context, s Step) (Observed, error) {
	for try := 1; ; try++ {
		o, err := r.observe(ctx)
		switch {
		case err != nil:
			return o, fmt.Errorf("to %s was done, but can't be read back: %w", s, err)
		case s.shows(o):
			return o, nil
		case !s.undone(o):
			return o, fmt.Errorf("%s: %w: to %s was done, but now version %d is active (previous %d, serial %d): look at the status, and agree on who rotates", o.Place, ErrConflict, s, o.Active, o.Previous, o.Serial)
		case try == readBackTries:
			return o, fmt.Errorf("%s: %w, or a standby lags: to %s was done, but doesn't show: look at the status", o.Place, ErrConflict, s)
		}
		select {
		case <-ctx.Done():
			return o, ctx.Err()
		case <-time.After(readBackPause):
		}
	}
}
