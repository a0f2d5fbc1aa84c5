package rotate_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/rotate"
)

// act is one act of a Rotator.
type act func(*rotate.Rotator, context.Context) (rotate.Plan, error)

func stage(value string) act {
	return func(r *rotate.Rotator, ctx context.Context) (rotate.Plan, error) {
		return r.Stage(ctx, []byte(value))
	}
}

func replace(value string) act {
	return func(r *rotate.Rotator, ctx context.Context) (rotate.Plan, error) {
		return r.Replace(ctx, []byte(value))
	}
}

func activate(v secrets.Version) act {
	return func(r *rotate.Rotator, ctx context.Context) (rotate.Plan, error) { return r.Activate(ctx, v) }
}

var (
	rollback = act((*rotate.Rotator).Rollback)
	disable  = act((*rotate.Rotator).Disable)
	enable   = act((*rotate.Rotator).Enable)
	adopt    = act((*rotate.Rotator).Adopt)
)

// newValue is a value that no version has.
var newValue = secretOf(99)

func keepVersions(n int) func(*fakeStore) { return func(b *fakeStore) { b.o.Keeps = n } }
func wiped(b *fakeStore)                  { b.o.Wiped = true }
func disabled(b *fakeStore)               { b.o.Disabled = true }
func readOnly(b *fakeStore)               { b.o.ReadOnly = errors.New("a read-only mount") }
func revision(b *fakeStore)               { b.o.Revision, b.o.Keeps = 1, 0 }
func destroyed(b *fakeStore)              { b.o.Fates[1] = "destroyed" }
func malformedPointer(b *fakeStore)       { b.o.PointerFault = errors.New("active_version is no number") }
func denyChanges(b *fakeStore)            { b.o.Denied = secrets.Denied{Change: secrets.ErrDenied} }
func denyWrites(b *fakeStore)             { b.o.Denied = secrets.Denied{Write: secrets.ErrDenied} }
func denyDeletes(b *fakeStore)            { b.o.Denied = secrets.Denied{Delete: secrets.ErrDenied} }
func unknownKeeps(b *fakeStore)           { b.o.KeepsFault = fmt.Errorf("mount's config: %w", secrets.ErrDenied) }
func unusable(v secrets.Version) func(*fakeStore) {
	return func(b *fakeStore) {
		b.keyErr = map[secrets.Version]error{v: fmt.Errorf("%w: too short", secrets.ErrUnusable)}
	}
}

// unreadableMark makes the mark of version v temporarily unreadable.
func unreadableMark(v secrets.Version) func(*fakeStore) {
	return func(b *fakeStore) { b.markErr = map[secrets.Version]error{v: errSealed} }
}

// offMark is the mark of a switch-off at the given serial, for which version v was written.
func offMark(v secrets.Version, serial uint64) secrets.Mark {
	return secrets.Mark{Disabled: morning, Serial: serial, Version: v}
}

func marked(v secrets.Version, m secrets.Mark) func(*fakeStore) {
	return func(b *fakeStore) { b.marks[v] = m }
}
