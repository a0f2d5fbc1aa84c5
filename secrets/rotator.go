package secrets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What only a Rotator says.
var (
	// ErrRefused: the act doesn't fit the secret as it stands, and nothing was
	// changed. The text says what to do instead.
	ErrRefused = errors.New("refused")
	// ErrConflict: somebody else has changed the secret at the same time.
	ErrConflict = errors.New("somebody else was at work")
)

// A Writer is a store as its operator has it: read and written to with a
// credential of theirs, which is never the service's.
//
// What changes something is given the observation that the change was decided
// on. A store that can compare refuses with ErrConflict where the secret isn't
// as observed any more; a store that can't says so, and the Rotator compares
// afterwards. As for a Source, no error contains a value or a store's answer.
type Writer interface {
	Source
	// Observe says all that a change is decided on. A path that the store doesn't have
	// yet is an observation without versions, not an error.
	Observe(ctx context.Context, path string) (Observed, error)
	// Write adds version o.Latest + 1: ref's field with value, and every other field as the
	// newest version that still has a value has it. A store that keeps marks notes that the
	// version was staged.
	Write(ctx context.Context, ref Ref, o Observed, value []byte) error
	// Change changes the pointer of path, and what stands beside it.
	Change(ctx context.Context, path string, o Observed, to Change) error
	// WriteMark adds version o.Latest + 1: every field as the newest version that still has a
	// value has it, with the mark m.
	WriteMark(ctx context.Context, path string, o Observed, m Mark) error
	// DeleteMark deletes a version that was written for its mark alone.
	DeleteMark(ctx context.Context, path string, v Version) error
	// Mark returns the mark of a version; the zero Mark: it has none.
	Mark(ctx context.Context, path string, v Version) (Mark, error)
	// Begins tells whether the value of a version begins with prefix, which is
	// compared in constant time.
	Begins(ctx context.Context, ref Ref, v Version, prefix string) (bool, error)
}

// Observed is what an operator should know of a secret before they change it.
type Observed struct {
	Status
	// Place names the secret in errors: the file and line, or the Vault path.
	Place string
	// Keeps is how many versions the store keeps before it drops the oldest for good
	// (Vault's max_versions); zero: all of them.
	Keeps int
	// KeepsFault is why Keeps isn't known; nil: it is.
	KeepsFault error
	// Barred is why nothing can be written here, whoever asks; nil: it can.
	Barred error
	// Wiped says that metadata stand beside the versions, but no pointer among them:
	// a write of the whole map may have taken it, and then the latest version
	// isn't the one that signs.
	Wiped bool
	// Marked says that there is no pointer, though versions bear a [Mark]: the metadata were
	// wiped. Replicas that start now refuse to sign.
	Marked bool
	// MarksFault is why not every mark could be read; nil: each could.
	MarksFault error
	// MarkedOff is a switch-off that a mark tells and that the metadata don't know. Replicas that
	// start now don't sign. Empty: there is none.
	MarkedOff string
	// MarkSerial is the highest serial of a mark.
	MarkSerial uint64
	// Switches are the versions that were written for the mark of a switch-off alone, the newest
	// first. They count as gone.
	Switches []Version
	// PointerFault is why the pointer that stands there can't be read; the status is
	// then that of a secret without one. nil: it can, or there is none.
	PointerFault error
	// SwitchKeys are further keys of the metadata that replicas take for the kill switch, such as
	// Disabled in another case. Switching on removes them.
	SwitchKeys []string
	// Fates are remarks on versions: deleted, destroyed, to be deleted at some time.
	Fates map[Version]string
	// Denied is why the operator may not take a step of a kind, as far as the store says
	// beforehand: half an act is worse than none.
	Denied map[StepKind]error
}

// Change is what one write to a secret's metadata sets, all at once.
type Change struct {
	Active   Version // zero: the pointer stays as it is
	Previous Version // written with Active; zero: none
	Serial   uint64  // zero: it stays as it is, or the store has none
	// Disabled is the switch-off to write: its time. Empty: the switch stays as it is.
	Disabled string
	// Enabled switches on.
	Enabled bool
}

// A Rotator does to one secret what an operator decides: each act looks at the
// store, decides, and only then writes; a wrong order is refused with ErrRefused and words
// that say what to do. What was written is read back and compared.
//
// Vault's custom metadata can't be written by check-and-set. Of two operators
// who move the pointer in the same moment, one learns of the other from what is
// read back, unless the moves don't overlap at all; that is why Holds is worth
// asking once the replicas have followed.
type Rotator struct {
	Store Writer
	Ref   Ref
	// Beside are further references to the same path. A pointer is the path's, so what
	// is activated must be usable for them too.
	Beside []Ref
	// DryRun makes every act stop before its first write.
	DryRun bool
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Stage stores value as the next version. The present one stays active, and is
// pinned first if no pointer stands; the first version ever becomes active at
// once. ErrUnusable are values that NewKey refuses, or that aren't one line of text.
// Refused are one that is a version already, and a write that would make the store drop
// the active or the previous version.
func (r *Rotator) Stage(ctx context.Context, value []byte) (Plan, error) {
	return r.store(ctx, value, planStage)
}

// Replace stages value and activates it, in one. It is refused where Stage is.
func (r *Rotator) Replace(ctx context.Context, value []byte) (Plan, error) {
	return r.store(ctx, value, planReplace)
}

// Activate moves the pointer to version v, or if v is zero to the staged one.
// Refused are versions that are gone, active already, or can't be signed with.
func (r *Rotator) Activate(ctx context.Context, v Version) (Plan, error) {
	return r.move(ctx, func(o Observed) (Plan, error) { return planActivate(o, v, r.now()) })
}

// Rollback moves the pointer back to the previous version.
func (r *Rotator) Rollback(ctx context.Context) (Plan, error) {
	return r.move(ctx, planRollback)
}

// Disable switches the secret off: every replica refuses to sign with it, whatever else its
// metadata say. In a store that keeps marks it also writes a version with the mark of the
// switch-off, so that it outlasts a tool that wipes the metadata.
func (r *Rotator) Disable(ctx context.Context) (Plan, error) {
	return r.act(ctx, func(o Observed) (Plan, error) { return planDisable(o, r.now()) }, nil)
}

// Enable undoes Disable. It deletes the versions that mark a switch-off, too.
func (r *Rotator) Enable(ctx context.Context) (Plan, error) {
	return r.act(ctx, planEnable, nil)
}

// Adopt raises the serial above all that replicas can have seen, so that they take the store
// as it is. It is the way out after the store was restored from a backup.
func (r *Rotator) Adopt(ctx context.Context) (Plan, error) {
	return r.act(ctx, func(o Observed) (Plan, error) { return planAdopt(o, r.now()) }, nil)
}

// Holds returns ErrConflict unless the secret stands as the last step of p has left it.
func (r *Rotator) Holds(ctx context.Context, p Plan) error {
	o, err := r.observe(ctx)
	if err != nil || len(p.Steps) == 0 {
		return err
	}
	if last := p.Last(); !last.shows(o) {
		return fmt.Errorf("%s: %w: to %s was undone since; version %d is active now (serial %d): look at the status", o.Place, ErrConflict, last, o.Active, o.Serial)
	}
	return nil
}

// Writable returns why no value can be stored, as far as that is known before there is one.
func (r *Rotator) Writable(ctx context.Context) error {
	o, err := r.observe(ctx)
	if err != nil {
		return err
	}
	return writable(o)
}

// checkValue says what is wrong with a value that was typed or piped in, beside
// what NewKey says: whether a store could give it back as it stands.
func checkValue(value []byte) error {
	if _, err := NewKey(1, value); err != nil {
		what := strings.TrimPrefix(err.Error(), ErrUnusable.Error()+": version 1 ") // it has no number yet
		return fmt.Errorf("the value is %w: it %s", ErrUnusable, what)
	}
	switch {
	case !utf8.Valid(value):
		return fmt.Errorf("the value is %w: it is not text in UTF-8, and no store would give it back as it is", ErrUnusable)
	case strings.ContainsFunc(string(value), unicode.IsControl):
		return fmt.Errorf("the value is %w: it has a control character in it (more than one line?)", ErrUnusable)
	}
	return nil
}

// store is act for what writes value.
func (r *Rotator) store(ctx context.Context, value []byte, decide func(o Observed, equal Version) (Plan, error)) (Plan, error) {
	if err := checkValue(value); err != nil {
		return Plan{}, err
	}
	return r.act(ctx, func(o Observed) (Plan, error) {
		key, err := NewKey(o.Latest+1, value)
		if err != nil {
			return Plan{}, err
		}
		equal, err := r.find(ctx, o, key)
		if err != nil {
			return Plan{}, err
		}
		return decide(o, equal)
	}, value)
}

// move is act for what moves the pointer: the version must be one to sign with.
func (r *Rotator) move(ctx context.Context, decide func(Observed) (Plan, error)) (Plan, error) {
	return r.act(ctx, func(o Observed) (Plan, error) {
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

func (r *Rotator) act(ctx context.Context, decide func(Observed) (Plan, error), value []byte) (Plan, error) {
	o, err := r.observe(ctx)
	if err != nil {
		return Plan{}, err
	}
	plan, err := decide(o)
	if err != nil {
		return Plan{}, err
	}
	for _, s := range plan.Steps {
		if err := o.Denied[s.Kind]; err != nil {
			return Plan{}, fmt.Errorf("%s: %w: you may not %s: %w", o.Place, ErrRefused, s, err)
		}
	}
	return r.perform(ctx, o, plan, value)
}

// observe looks at the store, and at the marks of all versions that have a value.
func (r *Rotator) observe(ctx context.Context) (Observed, error) {
	o, err := r.Store.Observe(ctx, r.Ref.Path)
	if err != nil || o.Revision != 0 { // a store that can't be wiped apart from its values
		return o, err
	}
	o.Fates = maps.Clone(o.Fates)
	metadata := o.Status
	for _, vs := range slices.Backward(metadata.Versions) {
		if vs.Gone {
			continue
		}
		m, err := r.Store.Mark(ctx, r.Ref.Path, vs.Version)
		if err != nil && !isAny(err, ErrDeleted, ErrNotFound) {
			o.MarksFault = err // which must not keep anybody from switching the secret off
		}
		if err != nil || m == (Mark{}) {
			continue
		}
		o.Marked = o.Marked || !o.Pinned
		o.MarkSerial = max(o.MarkSerial, m.Serial)
		if m.off(metadata) {
			o.MarkedOff = cmp.Or(o.MarkedOff, m.Disabled)
		}
		if m.switchOnly(vs.Version) {
			o.Switches = append(o.Switches, vs.Version)
			o.Status = o.without(vs.Version)
			o.Fates[vs.Version] = fateSwitch
		}
	}
	if slices.Contains(o.Switches, o.Previous) {
		o.Previous = o.Before(o.Active)
	}
	return o, nil
}

// fateSwitch is the fate of a version that was written for the mark of a switch-off alone.
const fateSwitch = "marks a switch-off"

func (r *Rotator) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// usable refuses a version that can't be signed with. A reference beside ours only
// counts if it can be signed with now: it may have no secret yet.
func (r *Rotator) usable(ctx context.Context, o Observed, v Version) error {
	key, err := r.Store.Key(ctx, r.Ref, v)
	if err != nil {
		return fmt.Errorf("%s: %w: version %d can't be signed with, so it isn't activated: %w", o.Place, ErrRefused, v, err)
	}
	if key.mark.switchOnly(v) {
		return fmt.Errorf("%s: %w: version %d only marks that the secret was switched off: name another", o.Place, ErrRefused, v)
	}
	for _, ref := range r.Beside {
		if _, err := r.Store.Key(ctx, ref, o.Active); err != nil {
			continue
		}
		if _, err := r.Store.Key(ctx, ref, v); err != nil {
			return fmt.Errorf("%s: %w: other configurations sign with field %s of the same path, which version %d can't give them: %w", o.Place, ErrRefused, ref.Field, v, err)
		}
	}
	return nil
}

// find returns the version that has key's value; zero: none that can be read.
func (r *Rotator) find(ctx context.Context, o Observed, key Key) (Version, error) {
	for _, vs := range o.Versions {
		if vs.Gone {
			continue
		}
		other, err := r.Store.Key(ctx, r.Ref, vs.Version)
		switch {
		case err == nil && other.mark.switchOnly(vs.Version):
		case err == nil && same(ctx, key, other):
			return vs.Version, nil
		case err != nil && !isAny(err, ErrUnusable, ErrDeleted, ErrNotFound):
			return 0, err
		}
	}
	return 0, nil
}

// same compares two keys by what they sign, in constant time.
func same(ctx context.Context, a, b Key) bool {
	signature, err := a.Sign(ctx, fingerprinted)
	return err == nil && b.Verify(fingerprinted, signature) == nil
}
