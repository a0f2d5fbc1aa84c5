package secrets

import "strings"

// MarkField is the field of a version's data that holds its [Mark]. No [Ref] may name it.
const MarkField = "deskmint"

// A Mark is what the commands of `deskmint secret` note in the data of a version that they
// write. A provisioning tool that replaces the metadata of a secret leaves its data alone. So
// the mark tells a replica that starts later that metadata of ours existed, and that the
// secret was switched off.
type Mark struct {
	// Staged says that `secret stage` or `secret replace` wrote the version.
	Staged bool
	// Disabled is a switch-off: its time. `secret disable` wrote the version for this mark
	// alone. Its value repeats that of another version. It is never staged and never signs.
	Disabled string
}

const (
	markStaged   = "staged"
	markDisabled = "disabled"
)

// ParseMark reads the text of [MarkField]. A text that no command writes counts as staged:
// it is a mark of ours, and the secret must not be taken for one without.
func ParseMark(text string) Mark {
	kind, by, _ := strings.Cut(text, " ")
	switch {
	case kind == markDisabled && isTime(by):
		return Mark{Disabled: by}
	case kind == markDisabled:
		return Mark{Disabled: byHand}
	}
	return Mark{Staged: true}
}

// String is the text that [ParseMark] reads.
func (m Mark) String() string {
	if m.Disabled != "" {
		return markDisabled + " " + m.Disabled
	}
	return markStaged
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
