package secrets

import (
	"fmt"
	"time"
)

// A Plan is what an act comes to for a secret as it was observed.
type Plan struct {
	// Version is the one that the act is about; zero for switching off and on.
	Version Version
	// Steps are in order; Done of them were taken (none in a dry run).
	Steps []Step
	Done  int
	// Notes are what the operator should know, each a sentence.
	Notes []string
}

// StepKind is what a Step does.
type StepKind int

// The kinds of steps.
const (
	StepWrite   StepKind = iota + 1 // store the value as Version
	StepPin                         // make the pointer name Version, which is active without one
	StepPoint                       // move the pointer to Version
	StepDisable                     // switch the secret off
	StepEnable                      // and on again
)

// A Step is one write to the store.
type Step struct {
	Kind     StepKind
	Version  Version // of StepWrite, StepPin and StepPoint
	Previous Version // of StepPin and StepPoint; zero: none
	Serial   uint64  // likewise; zero: the store has none
}

// String is an order: "make version 2 active (previous 1, serial 3)".
func (s Step) String() string {
	beside := ""
	if s.Previous != 0 {
		beside += fmt.Sprintf(", previous %d", s.Previous)
	}
	if s.Serial != 0 {
		beside += fmt.Sprintf(", serial %d", s.Serial)
	}
	if beside != "" {
		beside = " (" + beside[2:] + ")"
	}
	switch s.Kind {
	case StepWrite:
		return fmt.Sprintf("write version %d", s.Version)
	case StepPin:
		return fmt.Sprintf("pin version %d as the active one%s", s.Version, beside)
	case StepPoint:
		return fmt.Sprintf("make version %d active%s", s.Version, beside)
	case StepDisable:
		return "switch the secret off"
	case StepEnable:
		return "switch the secret on"
	}
	return "do nothing"
}

// shows reports whether o is how the step leaves a secret.
func (s Step) shows(o Observed) bool {
	switch s.Kind {
	case StepWrite:
		vs, listed := o.Version(s.Version)
		return listed && !vs.Gone
	case StepPin, StepPoint:
		return o.Pinned && o.Active == s.Version && o.Serial == s.Serial && (s.Previous == 0 || o.Previous == s.Previous)
	default:
		return o.Disabled == (s.Kind == StepDisable)
	}
}

// fits reports whether o is still what the step was decided on.
func (s Step) fits(o Observed) bool {
	switch s.Kind {
	case StepWrite:
		return o.Latest+1 == s.Version
	case StepPoint:
		return s.Previous == 0 || o.Active == s.Previous
	default:
		return true
	}
}

// undone reports whether o may be an answer from before the step: a standby
// that lags gives such. For a move there is the serial to tell.
func (s Step) undone(o Observed) bool {
	switch s.Kind {
	case StepWrite:
		return o.Latest < s.Version
	case StepPin, StepPoint:
		return o.Serial < s.Serial
	default:
		return true
	}
}

func refuse(o Observed, format string, args ...any) (Plan, error) {
	return Plan{}, fmt.Errorf("%s: %w: %s", o.Place, ErrRefused, fmt.Sprintf(format, args...))
}

// planStage decides how the next version is staged; equal is a version that has
// the same value already, or zero.
func planStage(o Observed, equal Version) (Plan, error) {
	next := o.Latest + 1
	plan := Plan{Version: next}
	switch {
	case o.Barred != nil:
		return refuse(o, "%v", o.Barred)
	case equal != 0:
		return refuse(o, "the value is that of version %d, which %s", equal, standing(o, equal))
	case o.Latest == 0:
		plan.Steps = []Step{{Kind: StepWrite, Version: next}, {Kind: StepPoint, Version: next, Serial: nextSerial(o)}}
		plan.note("this is the first version ever: it becomes active at once, there is none to stay so")
		return plan, nil
	case o.Unclear() != "":
		return refuse(o, "%s. The replicas' /readyz names the version that signs: activate it by its number, then stage", o.Unclear())
	}
	if err := keepsRoom(o, next); err != nil {
		return Plan{}, err
	}
	if !o.Pinned {
		plan.Steps = append(plan.Steps, Step{Kind: StepPin, Version: o.Active, Previous: before(o), Serial: nextSerial(o)})
		plan.note("version %d is the latest, and so far active for that reason alone: it is pinned, so that it stays active", o.Active)
	}
	plan.Steps = append(plan.Steps, Step{Kind: StepWrite, Version: next})
	if vs, _ := o.Version(o.Active); vs.Gone || vs.Version == 0 {
		plan.note("version %d is active but has no value any more: nothing signs until another one is activated", o.Active)
	}
	if staged := o.Staged(); staged != 0 {
		plan.note("version %d is no longer the staged one: it can be activated by its number", staged)
	}
	return plan, nil
}

// planReplace is planStage, and the pointer's move after it.
func planReplace(o Observed, equal Version) (Plan, error) {
	plan, err := planStage(o, equal)
	if err != nil || o.Latest == 0 {
		return plan, err
	}
	serial := nextSerial(o)
	if plan.Steps[0].Kind == StepPin {
		serial = serialOf(o, serial+1)
	}
	plan.Steps = append(plan.Steps, Step{Kind: StepPoint, Version: plan.Version, Previous: o.Active, Serial: serial})
	plan.noteDisabled(o)
	return plan, nil
}

// Unclear is why it can't be known which version signs; empty: it can.
func (o Observed) Unclear() string {
	switch {
	case o.PointerFault != nil:
		return fmt.Sprintf("its pointer can't be read: %v", o.PointerFault)
	case !o.Pinned && o.Wiped && o.Latest > 1:
		return fmt.Sprintf("it has other metadata but no active_version: if they were written as a whole (`vault kv metadata put`), version %d is the latest but maybe not the one that signs", o.Latest)
	}
	return ""
}

// before is the version to record beside a pin.
func before(o Observed) Version {
	if o.Previous == o.Active {
		return 0
	}
	return o.Previous
}

// standing is what an equal version is, and what to do about it.
func standing(o Observed, v Version) string {
	switch {
	case v == o.Active:
		return "is active: there is nothing to do"
	case v > o.Active:
		return "is staged: activate it"
	default:
		return "has been active: activate it by its number, if Zendesk has that secret again"
	}
}

// keepsRoom refuses a write that would make the store drop a version that is
// still needed.
func keepsRoom(o Observed, next Version) error {
	if o.KeepsFault != nil {
		return fmt.Errorf("%s: %w: how many versions it keeps isn't known, and writing one may drop the active one: %w", o.Place, ErrRefused, o.KeepsFault)
	}
	for _, needed := range []struct {
		v    Version
		what string
	}{{o.Active, "active"}, {o.Previous, "previous"}} {
		vs, listed := o.Version(needed.v)
		if o.Keeps == 0 || !listed || vs.Gone || int(next-needed.v) < o.Keeps {
			continue
		}
		return fmt.Errorf("%s: %w: it keeps %d versions (max_versions), so that writing version %d would drop version %d, the %s one, for good: raise max_versions to %d or more (`vault kv metadata patch -max-versions=…`), then stage",
			o.Place, ErrRefused, o.Keeps, next, needed.v, needed.what, next-needed.v+1)
	}
	return nil
}

func planActivate(o Observed, v Version, now time.Time) (Plan, error) {
	switch {
	case o.Barred != nil:
		return refuse(o, "%v", o.Barred)
	case o.Latest == 0:
		return refuse(o, "it has no version yet: stage one")
	case v == 0 && o.Unclear() != "":
		return refuse(o, "%s. Name the version that shall sign; the replicas' /readyz names the one that does", o.Unclear())
	case v == 0 && o.Staged() == 0:
		return refuse(o, "nothing is staged: version %d is active and there is none newer. Stage the next one first, or name an older one", o.Active)
	case v == 0:
		v = o.Staged()
	case o.Pinned && v == o.Active:
		return refuse(o, "version %d is active already", v)
	}
	if err := present(o, v); err != nil {
		return Plan{}, err
	}
	step := Step{Kind: StepPoint, Version: v, Previous: o.Active, Serial: nextSerial(o)}
	if v == o.Active {
		step.Kind, step.Previous = StepPin, before(o)
	}
	plan := Plan{Version: v}
	if !o.Pinned && o.Serial == 0 && (o.Latest > 1 || o.PointerFault != nil) && o.Revision == 0 {
		// The pointer may have been wiped, its serial with it. Replicas ignore whatever
		// has a lower serial than they have seen, and no pointer moves once a second.
		step.Serial = uint64(max(now.Unix(), 1))
		plan.note("no pointer stands: should one have been wiped, then a switch-off was too (disable it again where that was meant), and so was its serial: this one is the time, to be above it")
	}
	plan.Steps = []Step{step}
	plan.noteDisabled(o)
	return plan, nil
}

func planRollback(o Observed) (Plan, error) {
	v := o.Previous
	switch {
	case o.Barred != nil:
		return refuse(o, "%v", o.Barred)
	case !o.Pinned:
		return refuse(o, "no pointer stands, so nothing was activated that could be rolled back: activate a version by its number")
	case v == 0 || v == o.Active:
		return refuse(o, "there is no previous version: activate one by its number")
	}
	if err := present(o, v); err != nil {
		return Plan{}, err
	}
	plan := Plan{Version: v, Steps: []Step{{Kind: StepPoint, Version: v, Previous: o.Active, Serial: nextSerial(o)}}}
	plan.note("WARNING: Zendesk takes only a configuration's newest secret. Sign-ins with version %d succeed only while a configuration with that secret still stands there; "+
		"once it was reset or removed, they all fail until version %d is active again", v, o.Active)
	plan.noteDisabled(o)
	return plan, nil
}

func planSwitch(o Observed, off bool) (Plan, error) {
	step, already := Step{Kind: StepEnable}, "it isn't switched off"
	if off {
		step, already = Step{Kind: StepDisable}, "it is switched off already"
	}
	switch {
	case o.Barred != nil:
		return refuse(o, "%v", o.Barred)
	case o.Latest == 0:
		return refuse(o, "it has no version: check the configuration's secret.path")
	case o.Disabled == off:
		return refuse(o, "%s", already)
	}
	plan := Plan{Steps: []Step{step}}
	if off {
		plan.note("every sign-in with this secret is refused until it is enabled. It doesn't stop somebody else who holds the secret: only a reset at Zendesk does")
	}
	return plan, nil
}

// present refuses a version that has no value.
func present(o Observed, v Version) error {
	vs, listed := o.Version(v)
	var err error
	switch fate := o.Fates[v]; {
	case !listed && v > o.Latest:
		_, err = refuse(o, "there is no version %d: the latest is %d", v, o.Latest)
	case !listed:
		_, err = refuse(o, "version %d is gone: the store keeps only the newest ones. Stage its value again, if Zendesk still has it", v)
	case vs.Gone && fate == "destroyed":
		_, err = refuse(o, "version %d was destroyed, for good: name another, or stage the value again", v)
	case vs.Gone:
		_, err = refuse(o, "version %d was deleted: undelete it (`vault kv undelete -versions=%d …`), or name another", v, v)
	}
	return err
}

// nextSerial is what the next move of the pointer carries. A store that can't
// lag has none.
func nextSerial(o Observed) uint64 { return serialOf(o, o.Serial+1) }

func serialOf(o Observed, serial uint64) uint64 {
	if o.Revision != 0 {
		return 0
	}
	return serial
}

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

func (p *Plan) noteDisabled(o Observed) {
	if o.Disabled {
		p.note("the secret is switched off: nothing signs with it until it is enabled")
	}
}
