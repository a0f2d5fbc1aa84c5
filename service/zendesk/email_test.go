package zendesk_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/zendesk"
)

func TestParseEmail(t *testing.T) {
	label := strings.Repeat("d", 63)
	// The longest address that the rules allow: 64 bytes, the @, and a domain of 189 bytes.
	domain189 := strings.Join([]string{label[:61], label, label}, ".") // 189 bytes
	longest := strings.Repeat("l", 64) + "@" + domain189
	for _, test := range []struct{ in, want string }{
		{"jo@example.com", "jo@example.com"},
		{"Jo.Doe@Example.COM", "jo.doe@example.com"},
		{"a@b.cd", "a@b.cd"},
		{"jo+shop@example.com", "jo+shop@example.com"},
		{"o'neil@example.com", "o'neil@example.com"},
		{"!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"},
		{"0123456789@example.com", "0123456789@example.com"},
		{"-@example.com", "-@example.com"},
		{"jo@mail.shop.example.co.uk", "jo@mail.shop.example.co.uk"},
		{"jo@123.com", "jo@123.com"},
		{"jo@1.2.3.4.example", "jo@1.2.3.4.example"},
		{"jo@a-b--c.example", "jo@a-b--c.example"},
		{"jo@xn--bcher-kva.example", "jo@xn--bcher-kva.example"},
		{"jo@XN--BCHER-KVA.EXAMPLE", "jo@xn--bcher-kva.example"},
		{"jo@example.xn--p1ai", "jo@example.xn--p1ai"},
		{"jo@example.c0m", "jo@example.c0m"},
		{strings.Repeat("l", 64) + "@example.com", strings.Repeat("l", 64) + "@example.com"},
		{"jo@" + label + ".example", "jo@" + label + ".example"},
		{longest, longest},
	} {
		if got, err := zendesk.ParseEmail(test.in); err != nil || got != test.want {
			t.Errorf("ParseEmail(%q) = %q, %v; want %q", test.in, got, err, test.want)
		}
	}
	if len(longest) != 254 {
		t.Fatalf("the longest address here has %d bytes", len(longest))
	}

	const (
		ascii  = "outside ASCII"
		one    = "exactly one @"
		length = "1 to 64 bytes"
		atom   = "is not allowed unquoted"
		dots   = "dot at the start or end of the part before the @"
		host   = "a character after the @ that no domain has"
		none   = "no domain after the @"
		empty  = "dot at the start or end of its domain"
		single = "only one label"
		number = "a number or an IP address"
		hyphen = "begins or ends with a hyphen"
		idn    = "an international domain: send it in its xn-- form"
		badIDN = "isn't a valid international domain name"
	)
	for _, test := range []struct{ in, why string }{
		{"", "is required"},
		{"@", length},
		{"jo", one},
		{"jo.example.com", one},
		{"@example.com", length},
		{"jo@", none},
		{"jo@doe@example.com", one},
		{"admin@corp.com@evil.example", one},
		{"jo@@example.com", one},

		// Addresses that people or programs may confuse with another address.
		{"admin@\u212Aorp.com", badIDN}, // the Kelvin sign, which lower-cases to k
		{"\u212Ao@corp.com", ascii},
		{"mi\u017Fter@corp.com", ascii},    // long s, which upper-cases to S
		{"adm\u0131n@corp.com", ascii},     // dotless i
		{"\u0430dmin@corp.com", ascii},     // Cyrillic a
		{"ａdmin@corp.com", ascii},          // full width
		{"admin＠corp.com", one},            // full-width at
		{"admin@corp．com", badIDN},         // full-width dot
		{"admin@corp\u3002com", badIDN},    // ideographic full stop
		{"admin\u200b@corp.com", ascii},    // zero width space
		{"admin\u200d@corp.com", ascii},    // joiner
		{"admin@corp.com\ufeff", badIDN},   // byte order mark
		{"\u202Eadmin@corp.com", ascii},    // right-to-left override
		{"admin\u00ad@corp.com", ascii},    // soft hyphen
		{"admin@corp.com\u2028", badIDN},   // line separator
		{"admin@b\u00fccher.example", idn}, // an IDN that isn't in its xn-- form
		{"jos\u00e9@corp.com", ascii},
		{"jo\u00a0@corp.com", ascii},
		{"jo@corp.com\x80", "not valid UTF-8"},
		{"jo\xff@corp.com", "not valid UTF-8"},

		// Forms that net/mail accepts.
		{"Jo Doe <jo@example.com>", atom},
		{"<jo@example.com>", atom},
		{`"Jo" <jo@example.com>`, atom},
		{"jo@example.com (Jo)", host},
		{"jo(comment)@example.com", atom},
		{"(comment)jo@example.com", atom},
		{"jo@(comment)example.com", host},
		{`"jo"@example.com`, atom},
		{`"jo doe"@example.com`, atom},
		{`"admin@corp.com"@evil.example`, one},
		{`"admin\@corp.com"@evil.example`, one},
		{`jo\@example.com`, atom},
		{"jo@[192.0.2.1]", host},
		{"jo@[IPv6:2001:db8::1]", host},
		{"jo@example.com, admin@corp.com", one},
		{"jo,admin@example.com", atom},
		{"jo;admin@example.com", atom},
		{"group:jo@example.com;", atom},
		{"mailto:jo@example.com", atom},

		// White space and controls.
		{" jo@example.com", atom},
		{"jo@example.com ", host},
		{"jo @example.com", atom},
		{"jo@ example.com", host},
		{"jo doe@example.com", atom},
		{"jo@exam ple.com", host},
		{"jo\t@example.com", atom},
		{"jo@example.com\n", host},
		{"jo@example.com\r\nBcc: x", host},
		{"jo\x00@example.com", atom},
		{"jo@example.com\x00", host},
		{"jo\x7f@example.com", atom},

		// Dots.
		{".jo@example.com", dots},
		{"jo.@example.com", dots},
		{"jo..doe@example.com", dots},
		{".@example.com", "only dots"},
		{"jo@.example.com", empty},
		{"jo@example.com.", empty},
		{"jo@example..com", empty},
		{"jo@.", empty},

		// Domains.
		{"jo@localhost", single},
		{"jo@com", single},
		{"jo@192.0.2.1", number},
		{"jo@example.1", number},
		{"jo@example.123", number},
		{"jo@3221225985", number},
		{"jo@-example.com", hyphen},
		{"jo@example-.com", hyphen},
		{"jo@example.-com", hyphen},
		{"jo@example.com-", hyphen},
		{"jo@exa_mple.com", "an underscore in its domain"},
		{"jo@exa+mple.com", host},
		{"jo@exa!mple.com", host},
		{"jo@exa%6dple.com", host},
		{"jo@example.com/x", host},
		{"jo@example.com:25", host},
		{"jo@example.com?x", host},
		{"jo@example.com#x", host},
		{`jo@example.com\x`, host},
		{"jo@*.example.com", host},

		// Lengths.
		{strings.Repeat("l", 65) + "@example.com", length},
		{"jo@" + label + "d.example", hyphen},
		{"l" + longest[1:64] + "@d" + domain189, "longer than 254 bytes"},
		{strings.Repeat("x", 100_000) + "@example.com", "longer than 254 bytes"},
	} {
		got, err := zendesk.ParseEmail(test.in)
		if err == nil || got != "" || !strings.Contains(err.Error(), test.why) {
			t.Errorf("ParseEmail(%q) = %q, %v; want … %s …", test.in, got, err, test.why)
		}
	}
}

// TestParseEmailForms checks each form of address alone and with the others. Without the form, the
// error must name the setting.
func TestParseEmailForms(t *testing.T) {
	const (
		dots        = zendesk.CarrierDots
		underscores = zendesk.UnderscoredDomains
		idn         = zendesk.InternationalDomains
	)
	for _, test := range []struct {
		in, want string
		forms    []zendesk.EmailForm
	}{
		{"a..b@docomo.ne.jp", "a..b@docomo.ne.jp", []zendesk.EmailForm{dots}},
		{"A.@EZweb.ne.jp", "a.@ezweb.ne.jp", []zendesk.EmailForm{dots}},
		{".a@docomo.ne.jp", ".a@docomo.ne.jp", []zendesk.EmailForm{dots}},
		{"..a...b..@docomo.ne.jp", "..a...b..@docomo.ne.jp", []zendesk.EmailForm{dots}},
		{"jo@my_store.typepad.com", "jo@my_store.typepad.com", []zendesk.EmailForm{underscores}},
		{"jo@_X_.example.com", "jo@_x_.example.com", []zendesk.EmailForm{underscores}},
		{"jo@bücher.example", "jo@xn--bcher-kva.example", []zendesk.EmailForm{idn}},
		{"Jo@BÜCHER.Example", "jo@xn--bcher-kva.example", []zendesk.EmailForm{idn}},
		{"jo@bu\u0308cher.example", "jo@xn--bcher-kva.example", []zendesk.EmailForm{idn}},
		{"jo@straße.example", "jo@xn--strae-oqa.example", []zendesk.EmailForm{idn}},
		{"jo@пример.рф", "jo@xn--e1afmkfd.xn--p1ai", []zendesk.EmailForm{idn}},
		{"jo@☃.example", "jo@xn--n3h.example", []zendesk.EmailForm{idn}},
		{"jo@例え.jp", "jo@xn--r8jz45g.jp", []zendesk.EmailForm{idn}},
		{"jo@उदाहरण.भारत", "jo@xn--p1b6ci4b4b3a.xn--h2brj9c", []zendesk.EmailForm{idn}},
		{"jo@مثال.example", "jo@xn--mgbh0fb.example", []zendesk.EmailForm{idn}},
		{"a..b@my_store.typepad.com", "a..b@my_store.typepad.com", []zendesk.EmailForm{dots, underscores}},
		{"a.@bücher.example", "a.@xn--bcher-kva.example", []zendesk.EmailForm{dots, idn}},
		// A letter of another script makes another domain, and no policy takes it for acme.com.
		{"ceo@\u0430cme.com", "ceo@xn--cme-5cd.com", []zendesk.EmailForm{idn}},
	} {
		for _, forms := range [][]zendesk.EmailForm{test.forms, zendesk.EmailForms()} {
			if got, err := zendesk.ParseEmail(test.in, forms...); err != nil || got != test.want {
				t.Errorf("ParseEmail(%q, %s) = %q, %v; want %q", test.in, forms, got, err, test.want)
			}
		}
		if again, err := zendesk.ParseEmail(test.want, zendesk.EmailForms()...); err != nil || again != test.want {
			t.Errorf("ParseEmail(%q) = %q, %v; want no change", test.want, again, err)
		}
		for _, lacking := range test.forms {
			others := slices.DeleteFunc(zendesk.EmailForms(), func(f zendesk.EmailForm) bool { return f == lacking })
			got, err := zendesk.ParseEmail(test.in, others...)
			if got != "" || err == nil || !strings.Contains(err.Error(), "or have "+string(lacking)+" added to") {
				t.Errorf("ParseEmail(%q, %s) = %q, %v", test.in, others, got, err)
			}
		}
	}
}

// TestParseEmailWithAllForms checks that an address that could appear as another one is refused
// whatever the settings are.
func TestParseEmailWithAllForms(t *testing.T) {
	for _, in := range []string{
		// Domains that IDNA would map to acme.com.
		"ceo@ａcme.com", "ceo@acme．com", "ceo@acme\u3002com", "ceo@acme\uff61com", "ceo@ac\u00adme.com",
		"ceo@ac\u200bme.com", "ceo@acme.com\ufeff", "ceo@ⓐcme.com", "ceo@ᴬcme.com", "ceo@𝐚cme.com", "ceo@acme.ⅽom",
		"ceo@acme.co\u2060m", "ceo@ac\ufe0fme.com", "ceo@ac\u034fme.com",
		"admin@\u212Aorp.com", "admin@\u212Aorp.bücher.example", "admin@corp.com\u2028",
		// Domains that no registry has.
		"jo@bü\u200bcher.example", "jo@bü\u00adcher.example", "jo@bücher．example", "jo@büｃher.example",
		"jo@-bücher.example", "jo@bücher-.example", "jo@bü_cher.example", "jo@bü cher.example", "jo@bücher..example",
		"jo@.bücher.example", "jo@bücher.example.", "jo@bücher", "jo@\u0308a.example", "jo@bü\u202echer.example",
		"jo@a\u200db.example", "jo@\u05d0a.example", "jo@xn--a.bücher.example", "jo@xn--bücher.example",
		"jo@b❤\ufe0f.example", "jo@bü(c)cher.example", "jo@bücher.example, ceo@acme.com",
		"İ@acme.com", "jo@İstanbul.example", "jo@" + strings.Repeat("ü", 64) + ".example",
		"jo@" + strings.Repeat("ü.", 120) + "example",
		// Local parts outside ASCII have no ASCII form.
		"jos\u00e9@example.com", "ｃeo@acme.com", "ceo\u00ad@acme.com", "ceo\u200d@acme.com",
		// Dots and underscores that no setting allows.
		"...@docomo.ne.jp", ".@docomo.ne.jp", "a@docomo..jp", "a@docomo.jp.", "jo@my_store", "jo@example.my_store",
		"jo@example._", "a..b@", "a..b", "a..b c@docomo.ne.jp", "\"a..b\"@docomo.ne.jp",
		" ceo@acme.com", "ceo@acme.com ",
	} {
		if got, err := zendesk.ParseEmail(in, zendesk.EmailForms()...); err == nil || got != "" {
			t.Errorf("ParseEmail(%q) = %q, %v; want an error", in, got, err)
		}
	}
}

func TestEmailDomain(t *testing.T) {
	if got := zendesk.EmailDomain("jo@mail.example.com"); got != "mail.example.com" {
		t.Errorf("got %q", got)
	}
}
