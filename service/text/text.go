// Package text defines which characters a text for people may contain. Such texts are names of
// people and organizations, and page titles. Users, brands and pages follow the same rule, so a
// page accepts every brand name that the configuration accepts.
//
// The rule refuses characters that display as something else (bidirectional controls) or as nothing
// (invisible characters), and those that break a line (controls and separators). It accepts all
// characters of ordinary writing in any script, characters for private use, and code points that
// Unicode hasn't assigned yet.
package text

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Joiners says whether a text may contain joiners. These are U+200C and U+200D, which Persian,
// Indic scripts and emoji need, and variation selectors, which choose the appearance of an emoji or
// an ideograph. Refuse them in ids and keys: two texts that differ only in joiners can appear
// identical.
type Joiners bool

// The two values of Joiners.
const (
	AllowJoiners  Joiners = true
	RefuseJoiners Joiners = false
)

// Fault describes the first character of s that isn't allowed, in words that follow a field's name.
// It returns "" if all of s is allowed.
func Fault(s string, joiners Joiners) string {
	if !utf8.ValidString(s) {
		return "is not valid UTF-8"
	}
	for i, r := range s {
		if kind := refused(r, joiners); kind != "" {
			return fmt.Sprintf("holds %s (U+%04X) at byte %d: remove it", kind, r, i)
		}
	}
	return ""
}

// refused returns the kind of a refused character. It returns "" if r is allowed.
func refused(r rune, joiners Joiners) string {
	switch {
	case r < 0x7F && r >= 0x20:
		return ""
	case unicode.Is(unicode.Cc, r):
		return "a control character"
	case r == 0x2028 || r == 0x2029:
		return "a line or paragraph separator"
	case unicode.Is(unicode.Bidi_Control, r):
		return "a bidirectional control character"
	case r&0xFFFE == 0xFFFE || (r >= 0xFDD0 && r <= 0xFDEF):
		return "a noncharacter"
	case bool(joiners) && IsJoiner(r):
		return ""
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return "" // these format characters are visible
	case unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return "an invisible character"
	}
	return ""
}

// IsJoiner reports whether r is invisible by itself but changes the appearance of its neighbours.
func IsJoiner(r rune) bool {
	return r == 0x200C || r == 0x200D || unicode.Is(unicode.Variation_Selector, r)
}
