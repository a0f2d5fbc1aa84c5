package rotate

import (
	"fmt"
	"slices"

	"github.com/deskmint/deskmint/secrets"
)

// A Plan lists the steps of an act. It is based on an observation of the secret.
type Plan struct {
	// Version is the version that the act is about. It is zero for switching off and on.
	Version secrets.Version
	// Steps are in order. The first Done of them were performed. In a dry run none are.
	Steps []Step
	Done  int
	// Notes are sentences for the operator.
	Notes []string
}

// StepKind says what a Step does.
type StepKind int

// The kinds of steps.
const (
	StepWrite   StepKind = iota + 1 // store the value as Version
	StepPin                         // set the pointer to Version, which is already active without one
	StepPoint                       // move the pointer to Version
	StepDisable                     // switch the secret off
	StepEnable                      // switch it on again
	StepMark                        // store Version with the mark of the switch-off
	StepUnmark                      // delete Version, which has the mark of a switch-off
	StepAdopt                       // raise the serial, so that replicas accept the present state
)

// A Step is one write to the store.
type Step struct {
	Kind     StepKind
	Version  secrets.Version // zero: the step leaves the pointer as it is
	Previous secrets.Version // zero: none
	Serial   uint64          // zero: it stays as it is, or the store has none
	Disabled string          // the time of the switch-off that the step writes
}

// denied returns the reason why the operator may not perform the step, or nil.
func (s Step) denied(d secrets.Denied) error {
	switch s.Kind {
	case StepWrite, StepMark:
		return d.Write
	case StepUnmark:
		return d.Delete
	default:
		return d.Change
	}
}

// change returns what the step writes to the metadata.
func (s Step) change() secrets.Change {
	return secrets.Change{Active: s.Version, Previous: s.Previous, Serial: s.Serial, Disabled: s.Disabled,
		Enabled: s.Kind == StepEnable}
}

// Last returns the last step that has an effect on running replicas. Marks affect only replicas
// that start later.
func (p Plan) Last() Step {
	for _, s := range slices.Backward(p.Steps) {
		if s.Kind != StepMark && s.Kind != StepUnmark {
			return s
		}
	}
	return Step{}
}

// String returns the step as an imperative: "make version 2 active (previous 1, serial 3)".
func (s Step) String() string {
	details := ""
	if s.Previous != 0 {
		details += fmt.Sprintf(", previous %d", s.Previous)
	}
	if s.Serial != 0 {
		details += fmt.Sprintf(", serial %d", s.Serial)
	}
	if details != "" {
		details = " (" + details[2:] + ")"
	}
	switch s.Kind {
	case StepWrite:
		return fmt.Sprintf("write version %d", s.Version)
	case StepPin:
		return fmt.Sprintf("pin version %d as the active one%s", s.Version, details)
	case StepPoint:
		return fmt.Sprintf("make version %d active%s", s.Version, details)
	case StepDisable:
		if s.Version != 0 {
			return fmt.Sprintf("switch the secret off, and pin version %d as the active one%s", s.Version, details)
		}
		return "switch the secret off" + details
	case StepEnable:
		if s.Version != 0 {
			return fmt.Sprintf("switch the secret on, and pin version %d as the active one%s", s.Version, details)
		}
		return "switch the secret on" + details
	case StepMark:
		return fmt.Sprintf("write version %d, which marks the switch-off", s.Version)
	case StepUnmark:
		return fmt.Sprintf("delete version %d, which marks a switch-off", s.Version)
	case StepAdopt:
		return fmt.Sprintf("make every replica take the store as it is, with version %d active%s", s.Version, details)
	}
	return "do nothing"
}

// isDone reports whether o is the state after the step.
func (s Step) isDone(o Observation) bool {
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
		return o.Pinned && o.Active == s.Version && o.Serial == s.Serial &&
			(s.Previous == 0 || o.Previous == s.Previous) &&
			(s.Disabled == "" || o.Disabled)
	}
}

// isApplicable reports whether o still meets the conditions of the step.
func (s Step) isApplicable(o Observation) bool {
	switch s.Kind {
	case StepWrite:
		return o.Latest+1 == s.Version
	case StepPoint:
		return s.Previous == 0 || o.Active == s.Previous
	default:
		return true
	}
}

// mayBeOutdated reports whether o may be an answer from before the step, because a standby lags.
// For a move of the pointer it compares the serials.
func (s Step) mayBeOutdated(o Observation) bool {
	switch s.Kind {
	case StepWrite, StepMark:
		return o.Latest < s.Version
	case StepPin, StepPoint, StepAdopt:
		return o.Serial < s.Serial
	default:
		return true
	}
}
