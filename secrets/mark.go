package secrets

import (
	"fmt"
	"strconv"
	"strings"
)

// MarkField is the field of a version's data that holds its [Mark]. No [Ref] may name it.
const MarkField = "deskmint"

// A Mark is what the commands of `deskmint secret` note in the data of a version that they
// write. A provisioning tool that replaces the metadata of a secret leaves its data alone. So
// the mark tells a replica that starts later that metadata of ours existed, and that the
// secret was switched off.
type Mark struct {
	// Staged says that `secret stage` or `secret replace` wrote the version.
	Staged bool
	// Disabled is a switch-off: its time. Such a version repeats the value of another one.
	Disabled string
	// Serial is that of the switch-off. Metadata with a lower serial are older than the
	// switch-off, or were put back: they don't switch on.
	Serial uint64
	// Version is the one that was written for the switch-off. Another version that has the mark
	// was written by hand, with all fields of the one before: it is a value like others.
	Version Version
}

const (
	markStaged   = "staged"
	markDisabled = "disabled"
)

// ParseMark reads the text of [MarkField]. A text that no command writes counts as staged:
// it is a mark of ours, and the secret must not be taken for one without.
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

// String is the text that [ParseMark] reads.
func (m Mark) String() string {
	if m.Disabled == "" {
		return markStaged
	}
	return fmt.Sprintf("%s %s %d %d", markDisabled, m.Disabled, m.Serial, m.Version)
}

// switchOnly reports whether version v was written for the mark alone. Such a version is never
// staged and never signs.
func (m Mark) switchOnly(v Version) bool { return m.Disabled != "" && m.Version == v }

// off reports whether the mark tells of a switch-off that the metadata of status don't know.
// Without a pointer every switch-off counts: nobody can tell what else the metadata had.
func (m Mark) off(status Status) bool {
	return m.Disabled != "" && (!status.Pinned || status.Serial < m.Serial)
}

// ReadSwitch reads a store's text for `disabled`. A switch must work for whoever writes it in a
// hurry, so only an empty value and a plain no mean on. What it returns is empty for on. It is the
// time of the switch-off if `secret disable` wrote one, and otherwise a fixed word: the text may be
// anything that somebody pasted.
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

// byHand stands for a switch-off that isn't a time.
const byHand = "by-hand"
