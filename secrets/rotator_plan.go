package secrets

import (
	"fmt"
	"slices"
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
	StepMark                        // store Version with the mark of the switch-off
	StepUnmark                      // delete Version, which has the mark of a switch-off
	StepAdopt                       // raise the serial, so that replicas take the store as it is
)

// A Step is one write to the store.
type Step struct {
	Kind     StepKind
	Version  Version // zero: the step leaves the pointer as it is
	Previous Version // zero: none
	Serial   uint64  // zero: it stays as it is, or the store has none
	Disabled string  // the switch-off that the step writes: its time
}

// change is what the step writes to the metadata.
func (s Step) change() Change {
	return Change{Active: s.Version, Previous: s.Previous, Serial: s.Serial, Disabled: s.Disabled, Enabled: s.Kind == StepEnable}
}

// Last is the last step that replicas show. Marks are for those that start later.
func (p Plan) Last() Step {
	for _, s := range slices.Backward(p.Steps) {
		if s.Kind != StepMark && s.Kind != StepUnmark {
			return s
		}
	}
	return Step{}
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
		if s.Version != 0 {
			return fmt.Sprintf("switch the secret off, and pin version %d as the active one%s", s.Version, beside)
		}
		return "switch the secret off" + beside
	case StepEnable:
		return "switch the secret on" + beside
	case StepMark:
		return fmt.Sprintf("write version %d, which marks the switch-off", s.Version)
	case StepUnmark:
		return fmt.Sprintf("delete version %d, which marks a switch-off", s.Version)
	case StepAdopt:
		return fmt.Sprintf("make every replica take the store as it is, with version %d active%s", s.Version, beside)
	}
	return "do nothing"
}

// shows reports whether o is how the step leaves a secret.
func (s Step) shows(o Observed) bool {
	switch s.Kind {
	case StepWrite:
		vs, listed := o.Version(s.Version)
		return listed && !vs.Gone
	case StepMark:
		return o.Fates[s.Version] == fateSwitch
	case StepUnmark:
		return !slices.Contains(o.Switches, s.Version)
	case StepDisable, StepEnable:
		return o.Disabled == (s.Kind == StepDisable) && o.Serial >= s.Serial && (s.Version == 0 || o.Pinned)
	default:
		return o.Pinned && o.Active == s.Version && o.Serial == s.Serial && (s.Previous == 0 || o.Previous == s.Previous) &&
			(s.Disabled == "" || o.Disabled)
	}
}

// fits reports whether o is still what the step was decided on.
func (s Step) fits(o Observed) bool {
	switch s.Kind {
	case StepWrite, StepMark:
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
	case StepWrite, StepMark:
		return o.Latest < s.Version
	case StepPin, StepPoint, StepAdopt:
		return o.Serial < s.Serial
	default:
		return true
	}
}

// writable returns why nothing but a switch-off can be written; nil: something can.
func writable(o Observed) error {
	switch {
	case o.Barred != nil:
		return fmt.Errorf("%s: %w: %w", o.Place, ErrRefused, o.Barred)
	case o.PointerFault != nil && o.Revision != 0: // the file has a fault, and is taken as a whole
		return o.PointerFault
	}
	return nil
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
	case writable(o) != nil:
		return Plan{}, writable(o)
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
	if len(o.Switches) > 0 && o.Disabled && keepsRoom(o, next+1) == nil {
		plan.Steps = append(plan.Steps, Step{Kind: StepMark, Version: next + 1}) // it has to be the newest
	}
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
	case !o.Pinned && (o.Managed || o.Marked && o.Latest > 1): // the first version has no pointer for a moment
		return "it has no active_version, though `deskmint secret` has worked on it: its metadata were wiped (`vault kv metadata put` and some provisioning tools replace all of them)"
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
	case writable(o) != nil:
		return Plan{}, writable(o)
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
	if !o.Pinned && o.Serial == 0 && (o.Latest > 1 || o.PointerFault != nil || o.Marked) && o.Revision == 0 {
		// The pointer may have been wiped, and its serial with it.
		step.Serial = timeSerial(o, now)
		if o.MarkedOff == "" {
			plan.note("no pointer stands: if one was wiped, then a switch-off may have been wiped, too (disable the secret again where that was meant), and so was its serial: this one is the time, to be above it")
		}
	}
	if !o.Disabled && o.MarkedOff != "" {
		step.Disabled = o.MarkedOff
		plan.note("the secret was switched off before its metadata were wiped: it stays off until it is enabled")
	}
	plan.Steps = []Step{step}
	plan.noteDisabled(o)
	return plan, nil
}

func planRollback(o Observed) (Plan, error) {
	v := o.Previous
	switch {
	case writable(o) != nil:
		return Plan{}, writable(o)
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

// planDisable is never refused because the secret is off already: a replica may have seen that
// switch-off cleared, and ignores it after the store was restored from a backup.
func planDisable(o Observed, now time.Time) (Plan, error) {
	switch {
	case o.Barred != nil:
		return refuse(o, "%v", o.Barred)
	case o.Latest == 0:
		return refuse(o, "it has no version: check the configuration's secret.path")
	case o.Disabled && o.Revision != 0:
		return refuse(o, "it is switched off already")
	}
	step := Step{Kind: StepDisable, Disabled: now.UTC().Format(time.RFC3339)}
	var plan Plan
	if o.Revision == 0 && o.Unclear() == "" {
		step.Serial = nextSerial(o)
		if !o.Pinned { // else nobody could tell later which version signed
			step.Version, step.Previous = o.Active, before(o)
		}
	}
	plan.Steps = []Step{step}
	plan.note("every sign-in with this secret is refused until it is enabled. It doesn't stop somebody else who holds the secret: only a reset at Zendesk does")
	plan.addMark(o)
	return plan, nil
}

// addMark adds the step that makes a switch-off outlast wiped metadata, where one is needed and
// possible. The switch-off itself must not fail because the mark can't be written.
func (p *Plan) addMark(o Observed) {
	next := o.Latest + 1
	newest, listed := o.Version(o.Latest)
	why := error(nil)
	switch {
	case o.Revision != 0:
		return
	case !listed, newest.Gone:
		return // it is marked already, or it was deleted: without a pointer nothing would sign
	case o.Denied[StepMark] != nil:
		why = o.Denied[StepMark]
	default:
		why = keepsRoom(o, next)
	}
	if why != nil {
		p.note("the switch-off is in the metadata alone: if a tool wipes them and a replica starts after that, it signs again. No version could be written that marks it: %v", why)
		return
	}
	p.Steps = append(p.Steps, Step{Kind: StepMark, Version: next})
}

func planEnable(o Observed) (Plan, error) {
	switch unclear := o.Unclear(); {
	case writable(o) != nil:
		return Plan{}, writable(o)
	case o.Latest == 0:
		return refuse(o, "it has no version: check the configuration's secret.path")
	case unclear != "":
		return refuse(o, "%s. First activate the version that shall sign, by its number: the secret stays switched off meanwhile. Then enable it", unclear)
	case !o.Disabled && o.Revision != 0:
		return refuse(o, "it isn't switched off")
	case !o.Disabled:
		return refuse(o, "it isn't switched off. A replica that says so has seen a higher serial than %d, as after the store was restored from a backup: `deskmint secret adopt` makes it take the store as it is", o.Serial)
	}
	var plan Plan
	for _, v := range o.Switches {
		if denied := o.Denied[StepUnmark]; denied != nil {
			plan.note("version %d goes on marking that the secret was switched off: if a tool wipes the metadata, the secret is off again. It can't be deleted: %v", v, denied)
			continue
		}
		plan.Steps = append(plan.Steps, Step{Kind: StepUnmark, Version: v})
	}
	plan.Steps = append(plan.Steps, Step{Kind: StepEnable, Serial: nextSerial(o)})
	return plan, nil
}

func planAdopt(o Observed, now time.Time) (Plan, error) {
	switch unclear := o.Unclear(); {
	case writable(o) != nil:
		return Plan{}, writable(o)
	case o.Revision != 0:
		return refuse(o, "replicas always take this store as it is: there is nothing to adopt")
	case o.Latest == 0:
		return refuse(o, "it has no version: check the configuration's secret.path")
	case unclear != "":
		return refuse(o, "%s. Activate the version that shall sign, by its number: every replica takes that", unclear)
	}
	if err := present(o, o.Active); err != nil {
		return Plan{}, err
	}
	plan := Plan{Version: o.Active, Steps: []Step{{Kind: StepAdopt, Version: o.Active, Previous: before(o), Serial: timeSerial(o, now)}}}
	plan.note("versions above %d that replicas had seen are lost, and their numbers will be given again. Check that Zendesk has the secret of version %d: `deskmint secret status --prefix` compares its first characters", o.Latest, o.Active)
	plan.noteDisabled(o)
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
	case fate == fateSwitch:
		_, err = refuse(o, "version %d only marks that the secret was switched off: name another", v)
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

// timeSerial is a serial above all that replicas can have seen of a secret whose own serial was
// lost or set back: the time, since no secret is changed once a second for long.
func timeSerial(o Observed, now time.Time) uint64 {
	return max(o.Serial+1, uint64(max(now.Unix(), 1)))
}

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

func (p *Plan) noteDisabled(o Observed) {
	if o.Disabled {
		p.note("the secret is switched off: nothing signs with it until it is enabled")
	}
}
