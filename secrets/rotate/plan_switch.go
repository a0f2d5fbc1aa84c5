package rotate

import (
	"cmp"
	"fmt"
	"time"
)

// planDisable decides how the secret is switched off. In a store that can lag it works on a secret
// that is off already: a replica may have seen that switch-off cleared, and ignores it after the
// store was restored from a backup.
func planDisable(o Observation, now time.Time) (Plan, error) {
	switch {
	case o.ReadOnly != nil:
		return refuse(o, "%v", o.ReadOnly)
	case o.Latest == 0:
		return refuse(o, "it has no version: check the configuration's secret.path")
	case o.Disabled && o.Revision != 0:
		return refuse(o, "it is switched off already")
	}
	step := Step{Kind: StepDisable, Disabled: now.UTC().Format(time.RFC3339)}
	var plan Plan
	switch {
	case o.Revision != 0:
	case o.Pinned && o.Unclear() == "":
		step.Serial = nextSerial(o)
	case o.firstUnpinned(): // otherwise `activate` has to say which version signs
		step.Serial, step.Version = nextSerial(o), o.Active
		plan.note("version %d is pinned as the active one", o.Active)
	}
	plan.Steps = []Step{step}
	plan.note(
		"every sign-in with this secret is refused until it is enabled. It doesn't stop somebody else who holds " +
			"the secret: only a reset at Zendesk does",
	)
	plan.addMark(o, step, now)
	return plan, nil
}

// addMark adds the steps that preserve a switch-off when the metadata are wiped or put back. The
// switch-off itself must not fail because no mark can be written.
func (p *Plan) addMark(o Observation, off Step, now time.Time) {
	if o.Revision != 0 || o.Before(o.Latest+1) == 0 {
		return // without a pointer nothing would sign
	}
	why := o.Denied.Write
	if why == nil {
		why = checkRoom(o, o.Latest+1)
	}
	if why != nil {
		p.note("%s", noMarkNote(why))
		return
	}
	p.Steps = append(p.Steps, Step{Kind: StepMark, Version: o.Latest + 1,
		Serial: cmp.Or(off.Serial, timeSerial(o, now)), Disabled: off.Disabled})
	p.unmark(o) // the new mark replaces the earlier ones
}

// unmarked returns the note for a switch-off without a mark.
func noMarkNote(why error) string {
	return fmt.Sprintf("the switch-off is in the metadata alone: if a tool wipes them or puts older ones back, and a "+
		"replica starts after that, it signs again. No version could be written that marks it: %v", why)
}

// unmark adds the steps that delete the marks of earlier switch-offs.
func (p *Plan) unmark(o Observation) {
	if o.Denied.Delete != nil {
		return // the marks have no effect any more, because the serial is higher than theirs
	}
	for _, v := range o.Switches {
		p.Steps = append(p.Steps, Step{Kind: StepUnmark, Version: v})
	}
}

// planEnable decides how the secret is switched on.
func planEnable(o Observation) (Plan, error) {
	switch unclear := o.Unclear(); {
	case writable(o) != nil:
		return Plan{}, writable(o)
	case o.Latest == 0:
		return refuse(o, "it has no version: check the configuration's secret.path")
	case unclear != "" && !o.firstUnpinned():
		return refuse(o, "%s. First activate the version that shall sign, by its number: the secret stays switched "+
			"off meanwhile. Then enable it", unclear)
	case !o.Disabled && o.Revision != 0:
		return refuse(o, "it isn't switched off")
	case !o.Disabled && o.MarkedOff == "":
		return refuse(o, "it isn't switched off. A replica that says so has seen a higher serial than %d, as after "+
			"the store was restored from a backup: `deskmint secret adopt` makes it take the store as it is", o.Serial)
	case o.Revision == 0 && !o.Pinned && o.Latest > 1:
		return refuse(o, "it has no active_version, so nobody can tell which version signed before. First activate "+
			"the version that shall sign, by its number: the secret stays switched off meanwhile. Then enable it")
	}
	step := Step{Kind: StepEnable, Serial: nextSerial(o)}
	if o.Revision == 0 && !o.Pinned {
		step.Version = o.Active
	}
	plan := Plan{Steps: []Step{step}}
	plan.unmark(o)
	return plan, nil
}

// planAdopt decides how replicas are made to accept the store as it is.
func planAdopt(o Observation, now time.Time) (Plan, error) {
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
	if err := checkPresent(o, o.Active); err != nil {
		return Plan{}, err
	}
	plan := Plan{Version: o.Active, Steps: []Step{{Kind: StepAdopt, Version: o.Active, Previous: previousOf(o),
		Serial: timeSerial(o, now)}}}
	plan.note("if replicas had seen versions above %d, those are lost, and their numbers will be given again. Check "+
		"that Zendesk has the secret of version %d: `deskmint secret status --prefix` compares its first characters",
		o.Latest, o.Active)
	plan.noteDisabled(o)
	return plan, nil
}
