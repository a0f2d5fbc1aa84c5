package secrets

import "time"

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
