package secrets

import (
	"fmt"
	"strconv"
	"strings"
)

// MarkField is the field of a version's data that holds its [Mark]. No [Ref] may name it.
const MarkField = "deskmint"

// A Mark is a note that the commands of `deskmint secret` write into the data of a version. A
// provisioning tool that replaces the metadata of a secret doesn't change its data. A replica that
// starts later can therefore read in the mark that Deskmint's metadata existed, and whether the
// secret was switched off.
type Mark struct {
	// Staged says that `secret stage` or `secret replace` wrote the version.
	Staged bool
	// Disabled is the time of a switch-off. The version repeats the value of another one.
	Disabled string
	// Serial is the serial of the switch-off. Metadata with a lower serial are older than the
	// switch-off, or were reset to an older state. They don't switch the secret on.
	Serial uint64
	// Version is the version that was written for the switch-off. Another version with the same
	// mark was written by hand as a copy of all fields. Its value is used like any other.
	Version Version
}

const (
	markStaged   = "staged"
	markDisabled = "disabled"
)

// ParseMark parses the text of [MarkField]. It returns a staged mark for a text that no command
// writes, because the field is evidence that Deskmint's commands wrote the secret.
func ParseMark(text string) Mark {
	words := strings.Fields(text)
	if len(words) == 0 || words[0] != markDisabled {
		return Mark{Staged: true}
	}
	m := Mark{Disabled: byHand}
	if len(words) == 4 && isTime(words[1]) {
		serial, err := strconv.ParseUint(words[2], 10, 64)
		version, err2 := strconv.ParseUint(words[3], 10, 32)
		if err == nil && err2 == nil {
			m.Disabled, m.Serial, m.Version = words[1], serial, Version(version)
		}
	}
	return m
}

// String returns the text that [ParseMark] parses.
func (m Mark) String() string {
	if m.Disabled == "" {
		return markStaged
	}
	return fmt.Sprintf("%s %s %d %d", markDisabled, m.Disabled, m.Serial, m.Version)
}

// SwitchOnly reports whether version v, which has the mark m, was written only for the mark. Such a
// version is never staged and never signs.
func (m Mark) SwitchOnly(v Version) bool { return m.Disabled != "" && m.Version == v }

// SwitchesOff reports whether the mark records a switch-off that is missing in the metadata of
// status. Without a pointer it returns true for every switch-off, because the metadata that are
// lost can't be known.
func (m Mark) SwitchesOff(status Status) bool {
	return m.Disabled != "" && (!status.Pinned || status.Serial < m.Serial)
}

// ReadSwitch parses the value of a store's `disabled`. The switch must work for an operator who
// writes it by hand in an emergency. So only an empty value, "false", "no" and "0" mean on.
//
// It returns an empty string for on. For off it returns the time of the switch-off if `secret
// disable` wrote one, and otherwise a fixed word. It never returns other text, because an operator
// may have pasted a secret there by mistake.
func ReadSwitch(text string) (disabledBy string) {
	switch strings.ToLower(text) {
	case "", "false", "no", "0":
		return ""
	}
	if isTime(text) {
		return text
	}
	return byHand
}

// byHand represents a switch-off that isn't a time.
const byHand = "by-hand"
