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
	"strings"
	"unicode"
	"unicode/utf8"
)

// Joiners says whether a text may contain joiners. These are U+200C and U+200D, which Persian,
// Indic scripts and emoji need, and variation selectors, which choose the appearance of an emoji or
// an ideograph. The tags that make a black flag the flag of a region, such as Scotland, belong to
// them. Refuse them in ids and keys: two texts that differ only in joiners can appear identical.
type Joiners bool

// The two values of Joiners.
const (
	AllowJoiners  Joiners = true
	RefuseJoiners Joiners = false
)

// Fault describes the first character of s that isn't allowed, in words that follow a field's name.
// It returns "" if all of s is allowed.
func Fault(s string, joiners Joiners) string {
	if isPlain(s) {
		return ""
	}
	if !utf8.ValidString(s) {
		return "is not valid UTF-8"
	}
	flagEnd := 0
	for i, r := range s {
		if r == blackFlag && bool(joiners) {
			flagEnd = i + flagSize(s[i:])
		}
		if i < flagEnd {
			continue
		}
		if kind := refused(r, joiners); kind != "" {
			return fmt.Sprintf("holds %s (U+%04X) at byte %d: remove it", kind, r, i)
		}
	}
	return ""
}

// isPlain reports whether s has only the visible characters of ASCII and spaces, as most texts do.
// It is fast.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7F {
			return false
		}
	}
	return true
}

// A black flag, the tags of a region's code and the last tag are the flag of the region (Unicode
// Technical Standard 51, section 1.4.6). The tags are invisible and are refused anywhere else.
const (
	blackFlag = 0x1F3F4
	tagBase   = 0xE0000 // a tag is the ASCII character at this distance
	lastTag   = 0xE007F
)

// flagSize returns the size in bytes of the flag of a region at the start of s, or 0 if there is
// none. The code of a region has 3 to 6 letters and digits, such as gbsct.
func flagSize(s string) int {
	for i, r := range s[utf8.RuneLen(blackFlag):] {
		switch n := i / utf8.RuneLen(lastTag); {
		case r == lastTag && n >= 3:
			return utf8.RuneLen(blackFlag) + i + utf8.RuneLen(lastTag)
		case n == 6, !(r >= tagBase+'0' && r <= tagBase+'9') && !(r >= tagBase+'a' && r <= tagBase+'z'):
			return 0
		}
	}
	return 0
}

// Clean removes invisible characters that get into texts by copying and do no harm: soft hyphens,
// byte order marks, zero-width spaces, word joiners, marks of the writing direction. It reports
// whether there were any. It leaves a text that isn't valid UTF-8 as it is.
func Clean(s string) (cleaned string, changed bool) {
	if isPlain(s) || !strings.ContainsFunc(s, isHarmless) || !utf8.ValidString(s) {
		return s, false
	}
	return strings.Map(func(r rune) rune {
		if isHarmless(r) {
			return -1
		}
		return r
	}, s), true
}

// isHarmless reports whether r is an invisible character that [Clean] removes. The marks of the
// writing direction reorder nothing but their neighbours, unlike embeddings, overrides and isolates.
func isHarmless(r rune) bool {
	switch r {
	case 0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0x2060, 0x2061, 0x2062, 0x2063, 0x2064, 0xFEFF:
		return true
	}
	return false
}

// IsBlank reports whether nothing of s is visible: it has only white space, invisible characters
// and marks that need a letter before them. Controls count as visible, because [Fault] names them.
func IsBlank(s string) bool {
	return !strings.ContainsFunc(s, isVisible)
}

func isVisible(r rune) bool {
	switch {
	case r > ' ' && r < 0x7F:
		return true
	case r == 0x2800 || r == 0x1D159: // the braille pattern without dots, the note head without a form
		return false
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return true
	}
	return !unicode.IsSpace(r) && !unicode.In(r, unicode.Cf, unicode.Mn, unicode.Me,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
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
	case bool(joiners) && isJoiner(r):
		return ""
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return "" // these format characters are visible
	case unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return "an invisible character"
	}
	return ""
}

// isJoiner reports whether r is invisible by itself but changes the appearance of its neighbours.
func isJoiner(r rune) bool {
	return r == 0x200C || r == 0x200D || unicode.Is(unicode.Variation_Selector, r)
}
