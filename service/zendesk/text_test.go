package zendesk_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/deskmint/deskmint/service/zendesk"
)

// textFields contains the claims with free text, and the paths of their faults.
var textFields = []struct {
	path    string
	set     func(u user, s string)
	joiners bool
}{
	{"user.name", func(u user, s string) { u.Name = s }, true},
	{"user.organizations[0]", func(u user, s string) { u.Organizations = []string{s} }, true},
	{"user.organizations[1]", func(u user, s string) { u.Organizations = []string{"A", s} }, true},
	{`user.user_fields["k"]`, func(u user, s string) { u.UserFields = map[string]any{"k": s} }, true},
	{`user.user_fields["k"][0]`, func(u user, s string) { u.UserFields = map[string]any{"k": []any{s}} }, true},
	{"user.external_id", func(u user, s string) { u.ExternalID = s }, false},
	{"user.organization_ids[0]", func(u user, s string) { u.OrganizationIDs = []string{s} }, false},
	{"user.tags.values[0]", func(u user, s string) { u.Tags = []string{s} }, false},
	{"user.user_fields[KEY]", func(u user, s string) { u.UserFields = map[string]any{s: "v"} }, false},
	{"user.remote_photo_url", func(u user, s string) { u.RemotePhotoURL = "https://img.example.com/" + s }, false},
}

// isCleaned reports whether the check removes the character at this place of the field, or accepts it
// as a line break. TestTextIsCleaned and TestLineBreaks have these characters.
func isCleaned(path string, r rune, inside bool) bool {
	harmless := slices.Contains(harmlessRunes, r)
	switch path {
	case "user.name":
		return harmless || !inside && unicode.IsSpace(r)
	case `user.user_fields["k"]`:
		return harmless || r == '\n' || r == '\r'
	}
	return false
}

var harmlessRunes = []rune{
	0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0x2060, 0x2061, 0x2062, 0x2063, 0x2064, 0xFEFF,
}

// TestTextRefuses inserts each kind of invalid character into each text, at the start, inside and
// at the end.
func TestTextRefuses(t *testing.T) {
	const (
		control   = "a control character"
		separator = "a line or paragraph separator"
		bidi      = "a bidirectional control character"
		nonchar   = "a noncharacter"
		invisible = "an invisible character"
	)
	bad := []struct {
		kind  string
		runes []rune
	}{
		{control, []rune{
			0x00, 0x01, 0x07, 0x08, '\t', '\n', 0x0B, '\f', '\r', 0x1B, 0x1F, 0x7F, 0x80, 0x85, 0x9B, 0x9F,
		}},
		{separator, []rune{0x2028, 0x2029}},
		{bidi, []rune{
			0x061C, 0x200E, 0x200F, 0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069,
		}},
		{nonchar, []rune{
			0xFDD0, 0xFDE0, 0xFDEF, 0xFFFE, 0xFFFF, 0x1FFFE, 0x1FFFF, 0x2FFFE, 0xFFFFE, 0x10FFFE, 0x10FFFF,
		}},
		{invisible, []rune{
			// soft hyphen, zero widths, word joiner, BOM
			0x00AD, 0x200B, 0x2060, 0x2061, 0x2062, 0x2063, 0x2064, 0x2065, 0x206A, 0x206F, 0xFEFF,
			0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x3164, 0xFFA0, // grapheme joiner, fillers
			0xFFF0, 0xFFF9, 0xFFFA, 0xFFFB, 0x1D173, 0x1D17A, // annotations, musical controls
			0xE0000, 0xE0001, 0xE0020, 0xE0067, 0xE007F, // tags, which can encode hidden texts
		}},
	}
	p := testProfile(t, refuseInvalid)
	for _, field := range textFields {
		t.Run(field.path, func(t *testing.T) {
			check := func(kind string, r rune) {
				for at, s := range map[int]string{0: string(r) + "ab", 1: "a" + string(r) + "b", 2: "ab" + string(r)} {
					if isCleaned(field.path, r, at == 1) {
						continue
					}
					_, err := p.Check(p.Brand(""), testSignIn(func(in *zendesk.SignIn) { field.set(&in.User, s) }))
					path := strings.Replace(field.path, "KEY", fmt.Sprintf("%q", s), 1)
					if strings.HasSuffix(path, "url") {
						at += len("https://img.example.com/")
					}
					wantFaults(t, faultsOf(t, err), fault{path, fmt.Sprintf("%s (U+%04X) at byte %d", kind, r, at)})
				}
			}
			for _, class := range bad {
				for _, r := range class.runes {
					check(class.kind, r)
				}
			}
			if !field.joiners {
				for _, r := range []rune{0x200C, 0x200D, 0x180B, 0xFE00, 0xFE0E, 0xFE0F, 0xE0100, 0xE01EF} {
					check(invisible, r)
				}
			}
		})
	}
}

// TestExternalIDWithoutOuterSpace checks that an id with leading or trailing white space is
// refused, because Zendesk may treat it as the id without the space.
func TestExternalIDWithoutOuterSpace(t *testing.T) {
	p := testProfile(t)
	for id, taken := range map[string]bool{
		"E-1": true, "E 1": true, " E-1": false, "E-1 ": false, "\u00a0E-1": false, "E-1\u3000": false, "\u2003": false,
	} {
		_, err := p.Check(p.Brand(""), testSignIn(func(in *zendesk.SignIn) { in.User.ExternalID = id }))
		if (err == nil) != taken {
			t.Errorf("external id %q: %v", id, err)
		}
	}
}

// TestTextIsCleaned checks that harmless invisible characters don't lock a person out. The token must
// be the same as without them.
func TestTextIsCleaned(t *testing.T) {
	const invisible, space = "invisible characters", "white space"
	for _, test := range []struct {
		name, want string
		warned     []fault
	}{
		{"J\u00ado Doe", "Jo Doe", []fault{{"user.name", invisible}}},
		{"\ufeffJo Doe", "Jo Doe", []fault{{"user.name", invisible}}},
		{"\u200eJo\u200f Doe\u061c", "Jo Doe", []fault{{"user.name", invisible}}},
		{string(harmlessRunes) + "Jo", "Jo", []fault{{"user.name", invisible}}},
		{" Jo Doe", "Jo Doe", []fault{{"user.name", space}}},
		{"Jo Doe\r\n", "Jo Doe", []fault{{"user.name", space}}},
		{"\t\v\f\u0085\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000Jo\u3000", "Jo", []fault{{"user.name", space}}},
		{"\ufeff Jo\u200b \u200b", "Jo", []fault{{"user.name", invisible}, {"user.name", space}}},
		{strings.Repeat(" ", 300) + "Jo", "Jo", []fault{{"user.name", space}}},
		{"Jo  Doe", "Jo  Doe", nil}, // only white space around the name
		{"\u200cJo\u200d", "\u200cJo\u200d", nil},
	} {
		p := testProfile(t)
		r := testSignIn(func(in *zendesk.SignIn) { in.User.Name = test.name })
		checked, err := p.Check(p.Brand(""), r)
		if err != nil {
			t.Errorf("%q: %v", test.name, err)
			continue
		}
		wantFaults(t, checked.Warnings, test.warned...)
		if _, payload := mint(t, p, r); !strings.Contains(payload, `"name":"`+test.want+`"`) {
			t.Errorf("%q is sent as %s", test.name, payload)
		}
	}
}

// TestLineBreaks checks the texts of user fields, which may have several lines.
func TestLineBreaks(t *testing.T) {
	for value, want := range map[string]string{
		"one\ntwo":                 `one\ntwo`,
		"one\r\ntwo\r\n\r\n":       `one\r\ntwo\r\n\r\n`,
		"one\rtwo\r":               `one\ntwo\n`, // as old systems end lines
		"\n\r\n\r":                 `\n\r\n\n`,
		"one\r\r\ntwo":             `one\n\r\ntwo`,
		" one\n  two ":             ` one\n  two `, // white space is a part of the value
		"\ufeffone\u200b\n\u00adx": `one\nx`,
		"علی\u200cرضا":             "علی\u200cرضا",
		"👩🏽\u200d🚀 ❤\ufe0f":        "👩🏽\u200d🚀 ❤\ufe0f",
	} {
		r := testSignIn(func(in *zendesk.SignIn) { in.User.UserFields = map[string]any{"k": value} })
		if _, payload := mint(t, testProfile(t), r); !strings.Contains(payload, `"k":"`+want+`"`) {
			t.Errorf("%q is sent as %s", value, payload)
		}
	}
}

// TestOmissionNeverClears checks that a list is left out if all its items are, and a text if nothing
// of it is left. Sent empty, they would remove data at Zendesk.
func TestOmissionNeverClears(t *testing.T) {
	edit := func(tags []string, option ...any) zendesk.SignIn {
		return testSignIn(func(in *zendesk.SignIn) {
			in.User.Tags, in.User.UserFields = tags, map[string]any{"k": option}
			in.User.Organizations, in.User.OrganizationIDs = []string{"A,B"}, []string{"1,2"}
		})
	}
	p := testProfile(t, omitInvalid)
	_, payload := mint(t, p, edit([]string{"a b", ""}, "", 1.0))
	if want := `"email":"jo@example.com","name":"Jo Doe"}`; !strings.HasSuffix(payload, want) {
		t.Errorf("the claims are %s, want nothing optional", payload)
	}
	_, payload = mint(t, p, edit([]string{}, []any{}...))
	if want := `"tags":[],"user_fields":{"k":[]}}`; !strings.HasSuffix(payload, want) {
		t.Errorf("the claims are %s, want the lists that were empty in the request", payload)
	}
	invisible := testSignIn(func(in *zendesk.SignIn) { in.User.UserFields = map[string]any{"k": "\ufeff\u200b"} })
	if _, payload = mint(t, testProfile(t, refuseInvalid), invisible); strings.Contains(payload, "user_fields") {
		t.Errorf("the claims are %s, want no text that is empty without its invisible characters", payload)
	}
}

func TestTextRefusesBadUTF8(t *testing.T) {
	p := testProfile(t, refuseInvalid)
	for _, field := range textFields {
		for _, s := range []string{
			"a\xffb", "a\xc3", "\x80", "a\xc0\xafb", // a stray byte, a cut one, an overlong slash
			"a\xed\xa0\x80b",     // half a surrogate pair
			"a\xf4\x90\x80\x80b", // beyond U+10FFFF
		} {
			_, err := p.Check(p.Brand(""), testSignIn(func(in *zendesk.SignIn) { field.set(&in.User, s) }))
			wantFaults(t, faultsOf(t, err), fault{strings.Replace(field.path, "KEY", fmt.Sprintf("%q", s), 1), "UTF-8"})
		}
	}
}

// TestTextAccepts contains real names of people and organisations. The token must contain them byte
// for byte.
func TestTextAccepts(t *testing.T) {
	p := testProfile(t)
	for name, s := range map[string]string{
		"ASCII":                   `O'Neil-Smith Jr. "Bob" <b@x> & Co; 100% \ {}`,
		"composed accents":        "Zoë Müller",
		"decomposed accents":      "Zoe\u0308 Mu\u0308ller",
		"Persian":                 "علی\u200cرضا می\u200cخواهم",
		"Arabic":                  "محمد علي",
		"Arabic with a number":    "\u0601\u0661\u0662",
		"Hebrew":                  "דָּוִד בֶּן־גּוּרְיוֹן",
		"Hindi":                   "क्\u200dष राजेश",
		"Malayalam":               "അവന്\u200d",
		"Sinhala":                 "ශ්\u200dරී",
		"Thai":                    "สมชาย",
		"Chinese":                 "王小明",
		"ideograph with selector": "葛\U000E0100城",
		"rare ideograph":          "𠮷野家",
		"Japanese":                "ジョー・ドウ　様",
		"Korean":                  "김민준",
		"decomposed Korean":       "\u1100\u1161\u11a8",
		"Vietnamese":              "Nguyễn Văn Ân",
		"Mongolian":               "ᠮᠣᠩᠭᠣᠯ\u180b",
		"no-break space":          "Jo\u00a0Doe",
		"fraction and dashes":     "½ – — ‘x’ …",
		"heart":                   "Jo ❤\ufe0f",
		"text heart":              "Jo ❤\ufe0e",
		"family":                  "👨\u200d👩\u200d👧\u200d👦 GmbH",
		"astronaut":               "👩🏽\u200d🚀",
		"rainbow flag":            "🏳\ufe0f\u200d🌈",
		"flag":                    "🇩🇪",
		"keycap":                  "4\ufe0f\u20e3 You",
		"replacement character":   "Jo \ufffd",
		"private use":             "\uf8ff Inc.",
		"unassigned":              "\u0378x",
		"flag of Scotland":        "Jo 🏴\U000E0067\U000E0062\U000E0073\U000E0063\U000E0074\U000E007F",
	} {
		for _, field := range textFields {
			if !field.joiners {
				continue
			}
			_, payload := mint(t, p, testSignIn(func(in *zendesk.SignIn) { field.set(&in.User, s) }))
			want := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
			if !strings.Contains(payload, want+`"`) {
				t.Errorf("%s: %s of %q is sent as %s", name, field.path, s, payload)
			}
		}
	}
}
