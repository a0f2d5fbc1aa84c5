// Package text decides which characters a text may hold that people read: a name, an organization,
// a page's title. It is one rule for users, brands and pages, so that a brand name that the
// configuration takes is one that the page takes too.
//
// The rule refuses characters that would be shown as something else (bidirectional controls), as
// nothing (invisible characters), or that would break a line (controls and separators). It takes
// all that a script is ordinarily written with, characters for private use, and those that Unicode
// hasn't assigned yet.
package text

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Joiners says whether a text may hold U+200C and U+200D, which Persian, Indic scripts and emoji
// are written with, and variation selectors, which choose how an emoji or an ideograph looks. Don't
// allow them in ids and keys, where they would only make two texts differ that look the same.
type Joiners bool

// The two values of Joiners.
const (
	AllowJoiners  Joiners = true
	RefuseJoiners Joiners = false
)

// Fault returns what is wrong with s, in words that follow a field's name. It returns "" if nothing
// is.
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

// refused returns what kind of refused character r is, or "" if it is none.
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
		return "" // format characters that are visible
	case unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return "an invisible character"
	}
	return ""
}

// IsJoiner reports whether r is invisible by itself, and changes how its neighbours look.
func IsJoiner(r rune) bool {
	return r == 0x200C || r == 0x200D || unicode.Is(unicode.Variation_Selector, r)
}
