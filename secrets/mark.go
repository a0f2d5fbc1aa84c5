package secrets

import (
	"slices"
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
	// Disabled is the switch-off that was in force when the version was written: its time.
	// It is empty if the secret was on.
	Disabled string
}

const (
	markStaged   = "staged"
	markDisabled = "disabled"
)

// ParseMark reads the text of [MarkField]. A text that no command writes counts as staged:
// it is a mark of ours, and the secret must not be taken for one without.
func ParseMark(text string) Mark {
	words := strings.Fields(text)
	m := Mark{Staged: slices.Contains(words, markStaged)}
	if i := slices.Index(words, markDisabled); i >= 0 {
		m.Disabled = byHand
		if i+1 < len(words) && isTime(words[i+1]) {
			m.Disabled = words[i+1]
		}
	}
	if m.Disabled == "" {
		m.Staged = true
	}
	return m
}

// String is the text that [ParseMark] reads.
func (m Mark) String() string {
	var words []string
	if m.Staged {
		words = append(words, markStaged)
	}
	if m.Disabled != "" {
		words = append(words, markDisabled, m.Disabled)
	}
	return strings.Join(words, " ")
}

// SwitchOnly reports whether the version was written for the mark alone. Such a version
// repeats the value of the one before. It is never staged and never signs.
func (m Mark) SwitchOnly() bool { return m.Disabled != "" && !m.Staged }

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
