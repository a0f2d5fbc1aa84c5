package rotate

import (
	"cmp"
	"fmt"
	"time"
)

// planDisable plans how to switch the secret off. In a store that can lag, a secret that is already
// off can be switched off again. A replica may have read an answer that cleared the earlier
// switch-off. It ignores that switch-off after the store was restored from a backup.
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
	case o.firstUnpinned(): // otherwise the operator must name the version that signs with `activate`
		step.Serial, step.Version = nextSerial(o), o.Active
		plan.note("version %d is pinned as the active one", o.Active)
	}
	plan.Steps = []Step{step}
	plan.note("every sign-in with this secret is refused until it is enabled. That doesn't stop an attacker who has " +
		"the secret: only a reset at Zendesk does")
	plan.addMark(o, step, now)
	return plan, nil
}

// addMark adds the steps that preserve a switch-off if the metadata are wiped or reset. The
// switch-off itself must not fail if no mark can be written.
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

// noMarkNote returns the note for a switch-off without a mark.
func noMarkNote(why error) string {
	return fmt.Sprintf("the switch-off is only in the metadata: if a tool wipes them or restores older ones, and a "+
		"replica starts after that, it signs again. No version could be written that marks it: %v", why)
}

// unmark adds the steps that delete the marks of earlier switch-offs.
func (p *Plan) unmark(o Observation) {
	if o.Denied.Delete != nil {
		return // the marks no longer have an effect, because the serial is higher than theirs
	}
	for _, v := range o.Switches {
		p.Steps = append(p.Steps, Step{Kind: StepUnmark, Version: v})
	}
}

// planEnable plans how to switch the secret on.
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
		return refuse(o, "it isn't switched off. A replica that reports otherwise has read a higher serial than %d, "+
			"for example before the store was restored from a backup: `deskmint secret adopt` makes it take the store "+
			"as it is", o.Serial)
	case o.Revision == 0 && !o.Pinned && o.Latest > 1:
		return refuse(o, "it has no active_version, so the version that signed before isn't known. First activate "+
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

// planAdopt plans how to make replicas accept the present state of the store.
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
	plan.note("if replicas had read versions above %d, those are lost, and their numbers will be used again. Check "+
		"that Zendesk has the secret of version %d: `deskmint secret status --prefix` compares its first characters",
		o.Latest, o.Active)
	plan.noteDisabled(o)
	return plan, nil
}
