package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

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

// fresh is a value that no version has.
var fresh = secretOf(99)

func keeps(n int) func(*book) { return func(b *book) { b.o.Keeps = n } }
func wiped(b *book)           { b.o.Wiped = true }
func disabled(b *book)        { b.o.Disabled = true }
func barred(b *book)          { b.o.ReadOnly = errors.New("a read-only mount") }
func revision(b *book)        { b.o.Revision, b.o.Keeps = 1, 0 }
func destroyed(b *book)       { b.o.Fates[1] = "destroyed" }
func garbled(b *book)         { b.o.PointerFault = errors.New("active_version is no number") }
func noMoves(b *book)         { b.o.Denied = secrets.Denied{Change: secrets.ErrDenied} }
func noMarks(b *book)         { b.o.Denied = secrets.Denied{Write: secrets.ErrDenied} }
func noDeletes(b *book) {
	b.o.Denied = secrets.Denied{Delete: secrets.ErrDenied}
}
func unknownKeeps(b *book) { b.o.KeepsFault = fmt.Errorf("mount's config: %w", secrets.ErrDenied) }
func unusable(v secrets.Version) func(*book) {
	return func(b *book) {
		b.keyErr = map[secrets.Version]error{v: fmt.Errorf("%w: too short", secrets.ErrUnusable)}
	}
}

// unreadable makes the mark of a version unreadable for the moment.
func unreadable(v secrets.Version) func(*book) {
	return func(b *book) { b.markErr = map[secrets.Version]error{v: errAway} }
}

// offMark is the mark of a switch-off at the given serial, for which version v was written.
func offMark(v secrets.Version, serial uint64) secrets.Mark {
	return secrets.Mark{Disabled: morning, Serial: serial, Version: v}
}

func marked(v secrets.Version, m secrets.Mark) func(*book) {
	return func(b *book) { b.marks[v] = m }
}

// TestDecisions checks what each act does to a secret in a given state. Every act first runs dry,
// which must change nothing, and then for real, which must do what the dry run said.
func TestDecisions(t *testing.T) {
	const clock = 1_800_000_000
	for _, tc := range []struct {
		name    string
		secret  secrets.Status
		change  []func(*book)
		act     act
		steps   string // "": refused
		says    string // in the notes or the refusal
		silence bool   // no note at all
	}{
		{name: "the first version ever", secret: secrets.Status{}, act: stage(fresh), steps: "write version 1; make version 1 active (serial 1)", says: "first version ever"},
		{name: "the first version, in a file", secret: secrets.Status{}, change: []func(*book){revision}, act: stage(fresh), steps: "write version 1; make version 1 active", says: "first version ever"},
		{name: "no pointer", secret: unpinned(1), act: stage(fresh), steps: "pin version 1 as the active one (serial 1); write version 2", says: "it is pinned"},
		{name: "no pointer, two versions", secret: unpinned(2), act: stage(fresh), steps: "pin version 2 as the active one (previous 1, serial 1); write version 3", says: "it is pinned"},
		{name: "a pointer", secret: pointed(2, 1, 2, 4), act: stage(fresh), steps: "write version 3", silence: true},
		{name: "a pointer, in a file", secret: pointed(2, 1, 2, 0), change: []func(*book){revision}, act: stage(fresh), steps: "write version 3", silence: true},
		{name: "a second staged version", secret: pointed(1, 0, 2, 1), act: stage(fresh), steps: "write version 3", says: "version 2 is no longer the staged one"},
		{name: "staged after a roll-back", secret: pointed(1, 2, 2, 3), act: stage(fresh), steps: "write version 3", says: "version 2 is no longer the staged one"},
		{name: "the active one was deleted", secret: pointed(2, 1, 2, 4, 2), act: stage(fresh), steps: "write version 3", says: "nothing signs until another one is activated"},
		{name: "the value is active", secret: pointed(2, 1, 3, 4), act: stage(secretOf(2)), says: "that of version 2, which is active: there is nothing to do"},
		{name: "the value is staged", secret: pointed(2, 1, 3, 4), act: stage(secretOf(3)), says: "that of version 3, which is staged: activate it"},
		{name: "the value is an old one", secret: pointed(2, 1, 3, 4), act: stage(secretOf(1)), says: "that of version 1, which has been active"},
		{name: "the value was deleted", secret: pointed(2, 0, 2, 4, 1), act: stage(secretOf(1)), steps: "write version 3", silence: true},
		{name: "pruning the active one", secret: pointed(2, 0, 3, 4), change: []func(*book){keeps(2)}, act: stage(fresh), says: "keeps 2 versions (max_versions), so that writing version 4 would drop version 2, the active one, for good: raise max_versions to 3"},
		{name: "pruning the previous one", secret: pointed(3, 1, 3, 4), change: []func(*book){keeps(3)}, act: stage(fresh), says: "version 1, the previous one, for good: raise max_versions to 4"},
		{name: "just not pruning", secret: pointed(3, 2, 3, 4), change: []func(*book){keeps(3)}, act: stage(fresh), steps: "write version 4", silence: true},
		{name: "pruning what is gone anyway", secret: pointed(3, 1, 3, 4, 1), change: []func(*book){keeps(3)}, act: stage(fresh), steps: "write version 4", silence: true},
		{name: "one version is kept", secret: unpinned(1), change: []func(*book){keeps(1)}, act: stage(fresh), says: "raise max_versions to 2"},
		{name: "one version is kept, the first", secret: secrets.Status{}, change: []func(*book){keeps(1)}, act: stage(fresh), steps: "write version 1; make version 1 active (serial 1)", says: "first"},
		{name: "kept versions unknown", secret: pointed(1, 0, 1, 1), change: []func(*book){unknownKeeps}, act: stage(fresh), says: "isn't known, and writing one may drop the active one: mount's config: permission denied"},
		{name: "other metadata, no pointer", secret: unpinned(3), change: []func(*book){wiped}, act: stage(fresh), says: "version 3 is the latest but maybe not the one that signs"},
		{name: "other metadata, one version", secret: unpinned(1), change: []func(*book){wiped}, act: stage(fresh), steps: "pin version 1 as the active one (serial 1); write version 2", says: "it is pinned"},
		{name: "read-only", secret: unpinned(1), change: []func(*book){barred}, act: stage(fresh), says: "a read-only mount"},

		{name: "replace: first", secret: secrets.Status{}, act: replace(fresh), steps: "write version 1; make version 1 active (serial 1)", says: "first version ever"},
		{name: "replace: no pointer", secret: unpinned(1), act: replace(fresh), steps: "pin version 1 as the active one (serial 1); write version 2; make version 2 active (previous 1, serial 2)", says: "it is pinned"},
		{name: "replace: a pointer", secret: pointed(1, 2, 2, 5), act: replace(fresh), steps: "write version 3; make version 3 active (previous 1, serial 6)", says: "version 2 is no longer"},
		{name: "replace: in a file", secret: unpinned(1), change: []func(*book){revision}, act: replace(fresh), steps: "pin version 1 as the active one; write version 2; make version 2 active (previous 1)", says: "it is pinned"},
		{name: "replace: switched off", secret: pointed(1, 0, 1, 5), change: []func(*book){disabled}, act: replace(fresh), steps: "write version 2; make version 2 active (previous 1, serial 6)", says: "switched off"},
		{name: "replace: only half of it is allowed", secret: pointed(1, 0, 1, 5), change: []func(*book){noMoves}, act: replace(fresh), says: "you may not make version 2 active (previous 1, serial 6): permission denied"},
		{name: "stage: that half of it", secret: pointed(1, 0, 1, 5), change: []func(*book){noMoves}, act: stage(fresh), steps: "write version 2", silence: true},
		{name: "the first version: only half of it is allowed", secret: secrets.Status{}, change: []func(*book){noMoves}, act: stage(fresh), says: "you may not make version 1 active"},
		{name: "replace: it is staged", secret: pointed(1, 0, 2, 1), act: replace(secretOf(2)), says: "which is staged: activate it"},

		{name: "activate: the staged one", secret: pointed(1, 0, 2, 1), act: activate(0), steps: "make version 2 active (previous 1, serial 2)", silence: true},
		{name: "activate: the newest staged", secret: pointed(1, 0, 3, 1), act: activate(0), steps: "make version 3 active (previous 1, serial 2)", silence: true},
		{name: "activate: by number", secret: pointed(1, 0, 3, 1), act: activate(2), steps: "make version 2 active (previous 1, serial 2)", silence: true},
		{name: "activate: an old one", secret: pointed(3, 2, 3, 7), act: activate(1), steps: "make version 1 active (previous 3, serial 8)", silence: true},
		{name: "activate: in a file", secret: pointed(1, 0, 2, 0), change: []func(*book){revision}, act: activate(0), steps: "make version 2 active (previous 1)", silence: true},
		{name: "activate: again after a roll-back", secret: pointed(1, 2, 2, 3), act: activate(0), steps: "make version 2 active (previous 1, serial 4)", silence: true},
		{name: "activate: switched off", secret: pointed(1, 0, 2, 1), change: []func(*book){disabled}, act: activate(0), steps: "make version 2 active (previous 1, serial 2)", says: "switched off"},
		{name: "activate: nothing staged", secret: pointed(2, 1, 2, 2), act: activate(0), says: "nothing is staged: version 2 is active and there is none newer. Stage the next one first"},
		{name: "activate: the staged one was deleted", secret: pointed(1, 0, 2, 1, 2), act: activate(0), says: "nothing is staged"},
		{name: "activate: nothing there", secret: secrets.Status{}, act: activate(0), says: "no version yet: stage one"},
		{name: "activate: active already", secret: pointed(2, 1, 2, 2), act: activate(2), says: "version 2 is active already"},
		{name: "activate: not there", secret: pointed(1, 0, 2, 1), act: activate(3), says: "there is no version 3: the latest is 2"},
		{name: "activate: pruned", secret: secrets.Status{Active: 12, Latest: 13, Pinned: true, Versions: versions(13)[3:]}, act: activate(2), says: "version 2 is gone: the store keeps only the newest"},
		{name: "activate: deleted", secret: pointed(1, 0, 3, 1, 2), act: activate(2), says: "version 2 was deleted: undelete it"},
		{name: "activate: destroyed", secret: pointed(2, 0, 3, 1, 1), change: []func(*book){destroyed}, act: activate(1), says: "version 1 was destroyed, for good"},
		{name: "activate: unusable", secret: pointed(1, 0, 2, 1), change: []func(*book){unusable(2)}, act: activate(0), says: "version 2 can't be signed with, so it isn't activated: unusable: too short"},
		{name: "activate: no pointer, one version", secret: unpinned(1), act: activate(1), steps: "pin version 1 as the active one (serial 1)", silence: true},
		{name: "activate: no pointer, nothing named", secret: unpinned(2), act: activate(0), says: "nothing is staged"},
		{name: "activate: wiped, nothing named", secret: unpinned(2), change: []func(*book){wiped}, act: activate(0), says: "Name the version that shall sign"},
		{name: "activate: wiped, the one that signs", secret: unpinned(2), change: []func(*book){wiped}, act: activate(1), steps: "make version 1 active (serial 1800000000)", says: "disable the secret again"},
		{name: "activate: wiped, the latest", secret: unpinned(2), change: []func(*book){wiped}, act: activate(2), steps: "pin version 2 as the active one (serial 1800000000)", says: "above every serial"},
		{name: "a pointer that can't be read", secret: unpinned(1), change: []func(*book){garbled}, act: stage(fresh), says: "its pointer can't be read: active_version is no number. The replicas' /readyz names"},
		{name: "activate: a pointer that can't be read", secret: unpinned(2), change: []func(*book){garbled}, act: activate(0), says: "Name the version that shall sign"},
		{name: "activate: a pointer that can't be read, by number", secret: unpinned(1), change: []func(*book){garbled}, act: activate(1), steps: "pin version 1 as the active one (serial 1800000000)", says: "no pointer stands"},
		{name: "disable: a pointer that can't be read", secret: unpinned(1), change: []func(*book){garbled}, act: disable, steps: "switch the secret off; write version 2, which marks the switch-off", says: "only a reset"},
		{name: "activate: no pointer but a serial", secret: secrets.Status{Active: 2, Latest: 2, Serial: 4, Versions: versions(2)}, act: activate(1), steps: "make version 1 active (previous 2, serial 5)", silence: true},
		{name: "activate: no pointer, in a file", secret: unpinned(2), change: []func(*book){revision}, act: activate(1), steps: "make version 1 active (previous 2)", silence: true},
		{name: "activate: read-only", secret: pointed(1, 0, 2, 1), change: []func(*book){barred}, act: activate(0), says: "a read-only mount"},

		{name: "roll back", secret: pointed(2, 1, 2, 2), act: rollback, steps: "make version 1 active (previous 2, serial 3)", says: "WARNING: Zendesk takes only a configuration's newest secret"},
		{name: "roll back twice", secret: pointed(1, 2, 2, 3), act: rollback, steps: "make version 2 active (previous 1, serial 4)", says: "WARNING"},
		{name: "roll back past a staged one", secret: pointed(2, 1, 3, 2), act: rollback, steps: "make version 1 active (previous 2, serial 3)", says: "WARNING"},
		{name: "roll back: no pointer", secret: unpinned(2), act: rollback, says: "no pointer stands, so nothing was activated"},
		{name: "roll back: nothing before", secret: pointed(1, 0, 1, 1), act: rollback, says: "there is no previous version"},
		{name: "roll back: to itself", secret: pointed(1, 1, 1, 1), act: rollback, says: "there is no previous version"},
		{name: "roll back: deleted", secret: pointed(2, 1, 2, 2, 1), act: rollback, says: "version 1 was deleted: undelete it"},
		{name: "roll back: destroyed", secret: pointed(2, 1, 2, 2, 1), change: []func(*book){destroyed}, act: rollback, says: "version 1 was destroyed"},
		{name: "roll back: unusable", secret: pointed(2, 1, 2, 2), change: []func(*book){unusable(1)}, act: rollback, says: "can't be signed with"},
		{name: "roll back: read-only", secret: pointed(2, 1, 2, 2), change: []func(*book){barred}, act: rollback, says: "a read-only mount"},

		{name: "disable", secret: pointed(1, 0, 1, 1), act: disable, steps: "switch the secret off (serial 2); write version 2, which marks the switch-off", says: "only a reset at Zendesk does"},
		{name: "disable again", secret: pointed(1, 0, 1, 1), change: []func(*book){disabled}, act: disable, steps: "switch the secret off (serial 2); write version 2, which marks the switch-off", says: "only a reset at Zendesk does"},
		{name: "disable: marked already", secret: pointed(1, 0, 2, 1), change: []func(*book){marked(2, offMark(2, 1))}, act: disable, steps: "switch the secret off (serial 2); write version 3, which marks the switch-off; delete version 2, which marks a switch-off", says: "only a reset at Zendesk does"},
		{name: "disable: no pointer, one version", secret: unpinned(1), act: disable, steps: "switch the secret off, and pin version 1 as the active one (serial 1); write version 2, which marks the switch-off", says: "version 1 is pinned"},
		{name: "disable: no pointer", secret: unpinned(2), act: disable, steps: "switch the secret off; write version 3, which marks the switch-off", says: "only a reset"},
		{name: "disable: no pointer, marks can't be read", secret: unpinned(2), change: []func(*book){unreadable(2)}, act: disable, steps: "switch the secret off; write version 3, which marks the switch-off", says: "only a reset"},
		{name: "disable: other metadata, no pointer", secret: unpinned(2), change: []func(*book){wiped}, act: disable, steps: "switch the secret off; write version 3, which marks the switch-off", says: "only a reset"},
		{name: "disable: wiped", secret: unpinned(2), change: []func(*book){marked(2, secrets.Mark{Staged: true})}, act: disable, steps: "switch the secret off; write version 3, which marks the switch-off", says: "only a reset"},
		{name: "disable: no room for a mark", secret: pointed(1, 0, 2, 1), change: []func(*book){keeps(2)}, act: disable, steps: "switch the secret off (serial 2)", says: "is in the metadata alone"},
		{name: "disable: a mark isn't allowed", secret: pointed(1, 0, 2, 1), change: []func(*book){noMarks}, act: disable, steps: "switch the secret off (serial 2)", says: "permission denied"},
		{name: "disable: the newest was deleted", secret: pointed(1, 0, 2, 1, 2), act: disable, steps: "switch the secret off (serial 2); write version 3, which marks the switch-off", says: "only a reset"},
		{name: "disable: in a file", secret: pointed(1, 0, 1, 0), change: []func(*book){revision}, act: disable, steps: "switch the secret off", says: "only a reset"},
		{name: "disable: in a file again", secret: pointed(1, 0, 1, 0), change: []func(*book){revision, disabled}, act: disable, says: "switched off already"},
		{name: "disable nothing", secret: secrets.Status{}, act: disable, says: "check the configuration's secret.path"},
		{name: "disable: read-only", secret: pointed(1, 0, 1, 1), change: []func(*book){barred}, act: disable, says: "a read-only mount"},
		{name: "enable", secret: pointed(1, 0, 1, 1), change: []func(*book){disabled}, act: enable, steps: "switch the secret on (serial 2)", silence: true},
		{name: "enable: marked", secret: pointed(1, 0, 4, 1), change: []func(*book){disabled, marked(2, offMark(2, 1)), marked(4, offMark(4, 1))}, act: enable, steps: "switch the secret on (serial 2); delete version 4, which marks a switch-off; delete version 2, which marks a switch-off", silence: true},
		{name: "enable: marked, not allowed to delete", secret: pointed(1, 0, 2, 1), change: []func(*book){disabled, noDeletes, marked(2, offMark(2, 1))}, act: enable, steps: "switch the secret on (serial 2)", silence: true},
		{name: "stage: switched off and marked", secret: pointed(1, 0, 2, 1), change: []func(*book){disabled, marked(2, offMark(2, 1))}, act: stage(fresh), steps: "write version 3", silence: true},
		{name: "replace: switched off and marked", secret: pointed(1, 0, 2, 1), change: []func(*book){disabled, marked(2, offMark(2, 1))}, act: replace(fresh), steps: "write version 3; make version 3 active (previous 1, serial 2)", says: "switched off"},
		{name: "enable: no pointer", secret: unpinned(2), change: []func(*book){disabled}, act: enable, says: "First activate the version that shall sign"},
		{name: "enable: no pointer, one version", secret: unpinned(1), change: []func(*book){disabled}, act: enable, steps: "switch the secret on, and pin version 1 as the active one (serial 1)", silence: true},
		{name: "enable: older metadata were put back", secret: pointed(2, 1, 3, 2), change: []func(*book){marked(3, offMark(3, 5))}, act: enable, steps: "switch the secret on (serial 6); delete version 3, which marks a switch-off", silence: true},
		{name: "enable: a value written by hand on a mark", secret: pointed(1, 0, 3, 1), change: []func(*book){disabled, marked(2, offMark(2, 1)), marked(3, offMark(2, 1))}, act: enable, steps: "switch the secret on (serial 2); delete version 2, which marks a switch-off", silence: true},
		{name: "activate: a value written by hand on a mark", secret: pointed(1, 0, 3, 1), change: []func(*book){disabled, marked(2, offMark(2, 1)), marked(3, offMark(2, 1))}, act: activate(0), steps: "make version 3 active (previous 1, serial 2)", says: "switched off"},
		{name: "activate: older metadata were put back", secret: pointed(2, 1, 3, 2), change: []func(*book){marked(3, offMark(3, 5))}, act: activate(1), steps: "make version 1 active (previous 2, serial 6)", says: "stays off"},
		{name: "roll back: past a mark", secret: pointed(4, 3, 4, 6), change: []func(*book){marked(3, offMark(3, 5))}, act: rollback, steps: "make version 2 active (previous 4, serial 7)", says: "WARNING"},
		{name: "stage: interrupted before", secret: unpinned(1), change: []func(*book){marked(1, secrets.Mark{Staged: true})}, act: stage(secretOf(1)), says: "isn't pinned yet: activate it by its number"},
		{name: "stage: marks can't be read", secret: unpinned(2), change: []func(*book){unreadable(2)}, act: stage(fresh), says: "can't be read"},
		{name: "adopt: marks can't be read", secret: unpinned(2), change: []func(*book){unreadable(2)}, act: adopt, says: "can't be read"},
		{name: "enable again", secret: pointed(1, 0, 1, 1), act: enable, says: "`deskmint secret adopt` makes it take the store as it is"},
		{name: "enable again, in a file", secret: pointed(1, 0, 1, 0), change: []func(*book){revision}, act: enable, says: "isn't switched off"},
		{name: "enable: wiped", secret: unpinned(2), change: []func(*book){marked(2, offMark(2, 1))}, act: enable, says: "First activate the version that shall sign"},
		{name: "enable: a pointer that can't be read", secret: unpinned(1), change: []func(*book){garbled, disabled}, act: enable, says: "First activate the version that shall sign"},

		{name: "stage: wiped", secret: unpinned(2), change: []func(*book){marked(2, secrets.Mark{Staged: true})}, act: stage(fresh), says: "its metadata were wiped"},
		{name: "stage: wiped, one version", secret: unpinned(1), change: []func(*book){marked(1, secrets.Mark{Staged: true})}, act: stage(fresh), steps: "pin version 1 as the active one (serial 1); write version 2", says: "it is pinned"},
		{name: "activate: wiped, one version", secret: unpinned(1), change: []func(*book){marked(1, secrets.Mark{Staged: true})}, act: activate(1), steps: "pin version 1 as the active one (serial 1800000000)", says: "above every serial"},
		{name: "activate: switched off, then wiped", secret: unpinned(3), change: []func(*book){marked(3, offMark(3, 1))}, act: activate(1), steps: "make version 1 active (serial 1800000000)", says: "it stays off until it is enabled"},
		{name: "activate: a mark", secret: pointed(1, 0, 3, 1), change: []func(*book){marked(2, offMark(2, 1))}, act: activate(2), says: "only marks that the secret was switched off"},
		{name: "activate: the staged one below a mark", secret: pointed(1, 0, 3, 1), change: []func(*book){marked(3, offMark(3, 1))}, act: activate(0), steps: "make version 2 active (previous 1, serial 2)", silence: true},
		{name: "stage: the value of a mark", secret: pointed(1, 0, 2, 1, 1), change: []func(*book){marked(2, offMark(2, 1))}, act: stage(secretOf(2)), steps: "write version 3", says: "nothing signs until"},

		{name: "adopt", secret: pointed(2, 1, 2, 3), act: adopt, steps: "make every replica take the store as it is, with version 2 active (previous 1, serial 1800000000)", says: "deskmint secret status --prefix"},
		{name: "adopt again", secret: pointed(2, 1, 2, clock), act: adopt, steps: "make every replica take the store as it is, with version 2 active (previous 1, serial 1800000001)", says: "those are lost"},
		{name: "adopt: no pointer", secret: unpinned(2), act: adopt, steps: "make every replica take the store as it is, with version 2 active (previous 1, serial 1800000000)", says: "those are lost"},
		{name: "adopt: switched off", secret: pointed(2, 1, 2, 3), change: []func(*book){disabled}, act: adopt, steps: "make every replica take the store as it is, with version 2 active (previous 1, serial 1800000000)", says: "switched off"},
		{name: "adopt: wiped", secret: unpinned(2), change: []func(*book){marked(2, secrets.Mark{Staged: true})}, act: adopt, says: "Activate the version that shall sign"},
		{name: "adopt: in a file", secret: pointed(2, 1, 2, 0), change: []func(*book){revision}, act: adopt, says: "nothing to adopt"},
		{name: "adopt: nothing there", secret: secrets.Status{}, act: adopt, says: "no version"},
		{name: "adopt: the active one was deleted", secret: pointed(2, 1, 2, 3, 2), act: adopt, says: "version 2 was deleted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBook(tc.secret, tc.change...)
			r := b.rotator()
			r.Now = func() time.Time { return time.Unix(clock, 0) }
			r.DryRun = true
			dry, err := tc.act(r, t.Context())
			if len(b.writes) > 0 || dry.Done != 0 {
				t.Fatalf("a dry run has written: %v", b.writes)
			}
			if tc.steps == "" {
				if !errors.Is(err, rotate.ErrRefused) || len(dry.Steps) > 0 {
					t.Fatalf("%+v, %v, want a refusal", dry, err)
				}
				holds(t, tc.name, err.Error(), tc.says, "vault: secret/metadata/sso/acme: refused: ")
				return
			}
			notes := strings.Join(dry.Notes, "\n")
			if err != nil || steps(dry) != tc.steps || tc.silence != (notes == "") {
				t.Fatalf("%q, notes %q, %v, want %q", steps(dry), notes, err, tc.steps)
			}
			holds(t, tc.name, notes, tc.says)
			r.DryRun = false
			done, err := tc.act(r, t.Context())
			if err != nil || steps(done) != tc.steps || done.Done != len(done.Steps) ||
				len(b.writes) != len(done.Steps) {
				t.Errorf("in earnest: %q, %d done, written %q, %v", steps(done), done.Done, b.writes, err)
			}
			if err := r.Holds(t.Context(), done); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestValues checks that a faulty value is refused before the store is asked anything.
func TestValues(t *testing.T) {
	for name, tc := range map[string]struct{ value, says string }{
		"empty":         {"", "empty"},
		"a newline":     {canary + "\n", "white space (a newline from pasting or piping?)"},
		"a space first": {" " + canary, "white space"},
		"short":         {canary[:31], "it is too short (16 to 31 bytes; at least 32 are needed)"},
		"two lines":     {canary + "\n" + canary, "more than one line?"},
		"a NUL":         {canary + "\x00" + canary, "control character"},
		"not UTF-8":     {canary + "\xff" + canary, "not text in UTF-8"},
	} {
		r := &rotate.Rotator{Ref: acme} // without a store: to ask one would panic
		for _, act := range []act{stage(tc.value), replace(tc.value)} {
			_, err := act(r, t.Context())
			if !errors.Is(err, secrets.ErrUnusable) {
				t.Fatalf("%s: %v", name, err)
			}
			if holds(t, name, err.Error(), "the value is unusable: ", tc.says); leaks(err.Error(), canary) != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestOtherFieldsOfThePath checks that a version is usable for every configuration of the path
// before the pointer moves.
func TestOtherFieldsOfThePath(t *testing.T) {
	b := newBook(pointed(1, 0, 2, 1))
	r := b.rotator()
	r.Siblings = []secrets.Ref{{Path: acme.Path, Field: "staff"}}
	_, err := r.Activate(t.Context(), 0)
	if !errors.Is(err, rotate.ErrRefused) {
		t.Fatalf("%v", err)
	}
	holds(t, "refusal", err.Error(), "field staff", "version 2")

	// A field that can't be signed with now can't get worse.
	b.keyErr = nil
	b.o.Active, b.o.Previous = 3, 1
	b.add(3, fresh)
	b.o.Pinned, b.o.Active = true, 3
	if _, err := r.Activate(t.Context(), 2); err != nil {
		t.Errorf("a reference that never had a secret stands in the way: %v", err)
	}
}
