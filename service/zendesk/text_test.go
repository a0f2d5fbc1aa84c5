package zendesk_test

import (
	"fmt"
	"strings"
	"testing"

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
	{"user.external_id", func(u user, s string) { u.ExternalID = s }, false},
	{"user.organization_ids[0]", func(u user, s string) { u.OrganizationIDs = []string{s} }, false},
	{"user.tags.values[0]", func(u user, s string) { u.Tags = []string{s} }, false},
	{`user.user_fields["k"]`, func(u user, s string) { u.UserFields = map[string]any{"k": s} }, false},
	{"user.user_fields[KEY]", func(u user, s string) { u.UserFields = map[string]any{s: "v"} }, false},
	{"user.remote_photo_url", func(u user, s string) { u.RemotePhotoURL = "https://img.example.com/" + s }, false},
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
	p := testProfile(t)
	for _, field := range textFields {
		t.Run(field.path, func(t *testing.T) {
			check := func(kind string, r rune) {
				for at, s := range map[int]string{0: string(r) + "ab", 1: "a" + string(r) + "b", 2: "ab" + string(r)} {
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

func TestTextRefusesBadUTF8(t *testing.T) {
	p := testProfile(t)
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
	} {
		for _, field := range textFields[:2] {
			_, payload := mint(t, p, testSignIn(func(in *zendesk.SignIn) { field.set(&in.User, s) }))
			want := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
			if !strings.Contains(payload, `":"`+want+`"`) {
				t.Errorf("%s: %s of %q is sent as %s", name, field.path, s, payload)
			}
		}
	}
}
