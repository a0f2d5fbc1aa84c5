package rotate

import (
	"fmt"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// writable returns the reason why nothing but a switch-off can be written, or nil.
func writable(o Observation) error {
	switch {
	case o.ReadOnly != nil:
		return fmt.Errorf("%s: %w: %w", o.Place, ErrRefused, o.ReadOnly)
	case o.PointerFault != nil && o.Revision != 0: // a file with any fault is not accepted
		return o.PointerFault
	}
	return nil
}

// refuse returns an error that wraps ErrRefused and names the place.
func refuse(o Observation, format string, args ...any) (Plan, error) {
	return Plan{}, fmt.Errorf("%s: %w: %s", o.Place, ErrRefused, fmt.Sprintf(format, args...))
}

// planStage plans how to stage the next version. The version equal already has the same value. It
// is zero if there is no such version.
func planStage(o Observation, equal secrets.Version) (Plan, error) {
	next := o.Latest + 1
	plan := Plan{Version: next}
	switch {
	case writable(o) != nil:
		return Plan{}, writable(o)
	case equal != 0:
		return refuse(o, "the value is that of version %d, which %s", equal, adviceFor(o, equal))
	case o.Latest == 0:
		plan.Steps = []Step{{Kind: StepWrite, Version: next}, {Kind: StepPoint, Version: next, Serial: nextSerial(o)}}
		plan.note("this is the first version ever: it becomes active at once, because there is no other one")
		return plan, nil
	case o.Unclear() != "" && !o.firstUnpinned():
		return refuse(o, "%s. The replicas' /readyz names the version that signs: activate it by its number, then "+
			"stage", o.Unclear())
	}
	if err := checkRoom(o, next); err != nil {
		return Plan{}, err
	}
	if !o.Pinned {
		plan.Steps = append(plan.Steps, Step{Kind: StepPin, Version: o.Active, Previous: previousOf(o),
			Serial: nextSerial(o)})
		plan.note("version %d is active so far only because it is the latest: it is pinned, so that it stays active",
			o.Active)
	}
	plan.Steps = append(plan.Steps, Step{Kind: StepWrite, Version: next})
	if vs, _ := o.Version(o.Active); vs.Gone || vs.Version == 0 {
		plan.note("version %d is active but no longer has a value: nothing signs until another one is activated",
			o.Active)
	}
	if staged := o.Staged(); staged != 0 {
		plan.note("version %d is no longer the staged one: it can be activated by its number", staged)
	}
	return plan, nil
}

// planReplace plans the steps of planStage and the move of the pointer.
func planReplace(o Observation, equal secrets.Version) (Plan, error) {
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

// previousOf returns the version that a pin records as the previous one.
func previousOf(o Observation) secrets.Version {
	if o.Previous == o.Active {
		return 0
	}
	return o.Previous
}

// adviceFor returns the state of a version with the same value, and what to do about it.
func adviceFor(o Observation, v secrets.Version) string {
	switch {
	case v == o.Active && o.firstUnpinned():
		return "isn't pinned yet: activate it by its number"
	case v == o.Active:
		return "is active: there is nothing to do"
	case v > o.Active:
		return "is staged: activate it"
	default:
		return "has been active: activate it by its number, if Zendesk has that secret again"
	}
}

// checkRoom refuses a write that would make the store drop a version that is still needed.
func checkRoom(o Observation, next secrets.Version) error {
	if o.KeepsFault != nil {
		return fmt.Errorf("%s: %w: how many versions it keeps isn't known, and writing one may drop the active one: %w",
			o.Place, ErrRefused, o.KeepsFault)
	}
	for _, needed := range []struct {
		v    secrets.Version
		what string
	}{{o.Active, "active"}, {o.Previous, "previous"}} {
		vs, listed := o.Version(needed.v)
		if o.Keeps == 0 || !listed || vs.Gone || int(next-needed.v) < o.Keeps {
			continue
		}
		return fmt.Errorf("%s: %w: its max_versions is %d, so that writing version %d would drop version "+
			"%d, the %s one, for good: raise max_versions to %d or more "+
			"(`vault kv metadata patch -max-versions=…`), then stage",
			o.Place, ErrRefused, o.Keeps, next, needed.v, needed.what, next-needed.v+1)
	}
	return nil
}

// planActivate plans how to move the pointer to version v, or to the staged one if v is zero.
func planActivate(o Observation, v secrets.Version, now time.Time) (Plan, error) {
	switch {
	case writable(o) != nil:
		return Plan{}, writable(o)
	case o.Latest == 0:
		return refuse(o, "it has no version yet: stage one")
	case v == 0 && o.Unclear() != "":
		return refuse(o, "%s. Name the version that shall sign; the replicas' /readyz names the one that does",
			o.Unclear())
	case v == 0 && o.Staged() == 0:
		return refuse(o, "nothing is staged: version %d is active and there is no newer one. Stage the next one "+
			"first, or name an older one", o.Active)
	case v == 0:
		v = o.Staged()
	case o.Pinned && v == o.Active:
		return refuse(o, "version %d is active already", v)
	}
	if err := checkPresent(o, v); err != nil {
		return Plan{}, err
	}
	step := Step{Kind: StepPoint, Version: v, Previous: o.Active, Serial: nextSerial(o)}
	if v == o.Active {
		step.Kind, step.Previous = StepPin, previousOf(o)
	}
	if o.Unclear() != "" {
		step.Previous = 0 // the version that signed before isn't known
	}
	plan := Plan{Version: v}
	if !o.Pinned && o.Serial == 0 && (o.Latest > 1 || o.PointerFault != nil || o.Marked) && o.Revision == 0 {
		// The pointer and its serial may have been wiped.
		step.Serial = timeSerial(o, now)
		if o.MarkedOff == "" {
			plan.note("there is no pointer. If it was wiped, a switch-off may have been wiped with it: if the secret " +
				"was disabled, disable it again. The serial is the current time, so that it is above every serial " +
				"that replicas have read")
		}
	}
	if !o.Disabled && o.MarkedOff != "" {
		step.Disabled = o.MarkedOff
		plan.note("the secret was switched off before its metadata were wiped or reset: it stays off until it is " +
			"enabled")
	}
	plan.Steps = []Step{step}
	plan.noteDisabled(o)
	return plan, nil
}

// planRollback plans how to move the pointer back to the previous version.
func planRollback(o Observation) (Plan, error) {
	v := o.Previous
	switch {
	case writable(o) != nil:
		return Plan{}, writable(o)
	case !o.Pinned:
		return refuse(o, "there is no pointer, so no activation can be rolled back: activate a version by its number")
	case v == 0 || v == o.Active:
		return refuse(o, "there is no previous version: activate one by its number")
	}
	if err := checkPresent(o, v); err != nil {
		return Plan{}, err
	}
	plan := Plan{Version: v, Steps: []Step{{Kind: StepPoint, Version: v, Previous: o.Active, Serial: nextSerial(o)}}}
	plan.note("WARNING: Zendesk takes only a configuration's newest secret. Sign-ins with version %d succeed only "+
		"while Zendesk still has a configuration with that secret; "+
		"once it was reset or removed, they all fail until version %d is active again", v, o.Active)
	plan.noteDisabled(o)
	return plan, nil
}

// checkPresent refuses a version that has no value.
func checkPresent(o Observation, v secrets.Version) error {
	vs, listed := o.Version(v)
	var err error
	switch fate := o.Fates[v]; {
	case !listed && v > o.Latest:
		_, err = refuse(o, "there is no version %d: the latest is %d", v, o.Latest)
	case !listed:
		_, err = refuse(o, "version %d is gone: the store keeps only the newest ones. Stage its value again, if "+
			"Zendesk still has it", v)
	case fate == fateSwitch:
		_, err = refuse(o, "version %d only marks that the secret was switched off: name another", v)
	case vs.Gone && fate == "destroyed":
		_, err = refuse(o, "version %d was destroyed, for good: name another, or stage the value again", v)
	case vs.Gone:
		_, err = refuse(o, "version %d was deleted: undelete it (`vault kv undelete -versions=%d …`), or name another",
			v, v)
	}
	return err
}

// nextSerial returns the serial of the next move of the pointer.
func nextSerial(o Observation) uint64 { return serialOf(o, max(o.Serial, o.MarkSerial)+1) }

// serialOf returns serial, or zero for a store that can't lag. Such a store has no serials.
func serialOf(o Observation, serial uint64) uint64 {
	if o.Revision != 0 {
		return 0
	}
	return serial
}

// timeSerial returns a serial above every serial that replicas can have read. It is used if the
// secret's own serial was lost or reset. It is the current time in seconds, because no secret
// changes once a second for long. It is never lower than the serials and the times in the store,
// even if the clock was set back.
func timeSerial(o Observation, now time.Time) uint64 {
	latest := now.Unix()
	if created := o.NewestCreated(); !created.IsZero() {
		latest = max(latest, created.Unix()+1)
	}
	return max(nextSerial(o), uint64(max(latest, 1)))
}

// note adds a note to the plan.
func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// noteDisabled adds a note if the secret is switched off.
func (p *Plan) noteDisabled(o Observation) {
	if o.Disabled {
		p.note("the secret is switched off: nothing signs with it until it is enabled")
	}
}

// notePasteFault adds a note if the value seems to be pasted wrongly.
func (p *Plan) notePasteFault(key secrets.Key) {
	if fault := key.PasteFault(); fault != "" {
		p.note("WARNING: the value may have been pasted wrongly: it %s. If the secret that Zendesk shows differs, "+
			"every sign-in with version %d fails: stage the secret again, exactly as Zendesk shows it", fault,
			key.Version())
	}
}
