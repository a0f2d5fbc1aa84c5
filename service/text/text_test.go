package text_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/text"
)

// TestFault lists characters of each kind. The tests of zendesk, page and config check that each of
// their fields follows this rule.
func TestFault(t *testing.T) {
	const (
		control   = "a control character"
		separator = "a line or paragraph separator"
		bidi      = "a bidirectional control character"
		nonchar   = "a noncharacter"
		invisible = "an invisible character"
	)
	for _, test := range []struct {
		r    rune
		name string
		want string // "": allowed
	}{
		{'\t', "tab", control},
		{'\n', "line feed", control},
		{0x7F, "delete", control},
		{0x85, "next line", control},
		{0x2028, "line separator", separator},
		{0x2029, "paragraph separator", separator},
		{0x061C, "Arabic letter mark", bidi},
		{0x200E, "left-to-right mark", bidi},
		{0x202E, "right-to-left override", bidi},
		{0x2066, "left-to-right isolate", bidi},
		{0xFDD0, "noncharacter", nonchar},
		{0xFFFF, "noncharacter", nonchar},
		{0x10FFFE, "noncharacter", nonchar},

		// The rules of zendesk, page and config once disagreed on these.
		{0x00AD, "soft hyphen", invisible},
		{0x180E, "Mongolian vowel separator", invisible},
		{0x2061, "function application", invisible},
		{0x3164, "Hangul filler", invisible},
		{0xFFF9, "interlinear annotation anchor", invisible},
		{0xE0001, "language tag", invisible},
		{0x00A0, "no-break space", ""},
		{0x3000, "ideographic space", ""},
		{0x0601, "Arabic sign sanah", ""},
		{0xF8FF, "private use", ""},
		{0x0378, "unassigned", ""},

		{0x034F, "combining grapheme joiner", invisible},
		{0x115F, "Hangul choseong filler", invisible},
		{0x17B4, "Khmer vowel inherent aq", invisible},
		{0x200B, "zero width space", invisible},
		{0x2060, "word joiner", invisible},
		{0x206F, "nominal digit shapes", invisible},
		{0xFEFF, "byte order mark", invisible},
		{0xFFA0, "halfwidth Hangul filler", invisible},
		{0x1D173, "musical symbol begin beam", invisible},
		{0xE0067, "tag letter g", invisible},

		{'a', "ASCII", ""},
		{'é', "accent", ""},
		{0x0308, "combining diaeresis", ""},
		{0x05B8, "Hebrew point", ""},
		{0x0E33, "Thai vowel", ""},
		{0x1820, "Mongolian letter", ""},
		{0x1161, "Hangul vowel", ""},
		{0x20BB7, "rare ideograph", ""},
		{0x1F680, "emoji", ""},
		{0x1F1E9, "regional indicator", ""},
		{0xFFFD, "replacement character", ""},
	} {
		for _, joiners := range []text.Joiners{text.AllowJoiners, text.RefuseJoiners} {
			want := ""
			if test.want != "" {
				want = fmt.Sprintf("holds %s (U+%04X) at byte 1: remove it", test.want, test.r)
			}
			if got := text.Fault("a"+string(test.r)+"b", joiners); got != want {
				t.Errorf("%s, joiners %t: got %q, want %q", test.name, joiners, got, want)
			}
		}
	}
}

func TestJoiners(t *testing.T) {
	for _, r := range []rune{0x200C, 0x200D, 0x180B, 0xFE00, 0xFE0E, 0xFE0F, 0xE0100, 0xE01EF} {
		s := "a" + string(r) + "b"
		if got := text.Fault(s, text.AllowJoiners); got != "" {
			t.Errorf("U+%04X is refused: %s", r, got)
		}
		if got := text.Fault(s, text.RefuseJoiners); !strings.Contains(got, "an invisible character") {
			t.Errorf("U+%04X with joiners refused: got %q", r, got)
		}
	}
}

// tags returns the invisible tags of an ASCII text.
func tags(s string) string {
	return strings.Map(func(r rune) rune { return 0xE0000 + r }, s)
}

// TestFlags checks that tags are accepted only in the flag of a region. Anywhere else they could hide
// a text.
func TestFlags(t *testing.T) {
	const flag, end = "\U0001F3F4", "\U000E007F"
	for _, s := range []string{
		flag + tags("gbsct") + end, "Jo " + flag + tags("usca") + end + " Doe", flag, "a" + flag + "b" + flag,
		flag + tags("gb1") + end, strings.Repeat(flag+tags("gbeng2")+end, 3), flag + "\u200d\u2620\ufe0f",
	} {
		if got := text.Fault(s, text.AllowJoiners); got != "" {
			t.Errorf("%+q is refused: %s", s, got)
		}
		hasTags := strings.Contains(s, end)
		if got := text.Fault(s, text.RefuseJoiners); hasTags && !strings.Contains(got, "an invisible character") {
			t.Errorf("%+q with joiners refused: got %q", s, got)
		}
	}
	for _, s := range []string{
		tags("gbsct") + end, flag + tags("gbsct"), flag + end, flag + tags("gb") + end, flag + tags("gbengli") + end,
		flag + tags("GBSCT") + end, flag + tags("gb sct") + end, flag + "x" + tags("gbsct") + end,
		flag + tags("gbsct") + end + tags("x"), flag + tags("gbsct") + end + end, "\U0001F3F3" + tags("gbsct") + end,
		flag + tags("gbs") + "x" + tags("ct") + end, flag + "\ufe0f" + tags("gbsct") + end,
	} {
		if got := text.Fault(s, text.AllowJoiners); !strings.Contains(got, "an invisible character") {
			t.Errorf("%+q: got %q", s, got)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "Jo Doe": "Jo Doe", "Zoë\u0308": "Zoë\u0308", "\u202eJo": "\u202eJo", "J\u200do": "J\u200do",
		"\ufeffJ\u00ado\u200b\u200e\u200f\u2060\u2064\u061c\u180e": "Jo", "\u00ad": "", "\ufeffJo\xff": "\ufeffJo\xff",
	} {
		got, changed := text.Clean(in)
		if got != want || changed != (got != in) {
			t.Errorf("Clean(%+q) = %+q, %t; want %+q", in, got, changed, want)
		}
	}
}

func TestIsBlank(t *testing.T) {
	for _, blank := range []string{
		"", " \t\n\u00a0\u3000\u2028", "\u200c\u200d", "\ufe0f", "\u00ad\u200b\u2060\ufeff", "\u3164", "\u115f\u1160",
		"\uffa0", "\u2800", "\u17b4", "\u0301\u20dd", tags("gbsct"), "\u202e\u2069", "\U0001D159\U0001D173",
	} {
		if !text.IsBlank(blank) {
			t.Errorf("IsBlank(%+q) is false", blank)
		}
	}
	for _, visible := range []string{
		"a", "\u200da", "é", "e\u0301", "王", "❤\ufe0f", ".", "\u0601", "\uf8ff", "\u0378", "ा", "\u0e33", "\xff",
		"\x00",
	} {
		if text.IsBlank(visible) {
			t.Errorf("IsBlank(%+q) is true", visible)
		}
	}
}

func TestBadUTF8(t *testing.T) {
	for _, s := range []string{"a\xffb", "a\xc3", "a\xed\xa0\x80b"} {
		if got := text.Fault(s, text.AllowJoiners); got != "is not valid UTF-8" {
			t.Errorf("%q: %q", s, got)
		}
	}
}
