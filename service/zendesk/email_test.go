package zendesk_test

import (
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
		dots   = "dot at the start or end"
		host   = "no domain name of two labels"
	)
	for _, test := range []struct{ in, why string }{
		{"", "is required"},
		{"@", length},
		{"jo", one},
		{"jo.example.com", one},
		{"@example.com", length},
		{"jo@", host},
		{"jo@doe@example.com", one},
		{"admin@corp.com@evil.example", one},
		{"jo@@example.com", one},

		// Addresses that people or programs may confuse with another address.
		{"admin@\u212Aorp.com", ascii}, // the Kelvin sign, which lower-cases to k
		{"\u212Ao@corp.com", ascii},
		{"mi\u017Fter@corp.com", ascii},      // long s, which upper-cases to S
		{"adm\u0131n@corp.com", ascii},       // dotless i
		{"\u0430dmin@corp.com", ascii},       // Cyrillic a
		{"ａdmin@corp.com", ascii},            // full width
		{"admin＠corp.com", ascii},            // full-width at
		{"admin@corp．com", ascii},            // full-width dot
		{"admin@corp\u3002com", ascii},       // ideographic full stop
		{"admin\u200b@corp.com", ascii},      // zero width space
		{"admin\u200d@corp.com", ascii},      // joiner
		{"admin@corp.com\ufeff", ascii},      // byte order mark
		{"\u202Eadmin@corp.com", ascii},      // right-to-left override
		{"admin\u00ad@corp.com", ascii},      // soft hyphen
		{"admin@corp.com\u2028", ascii},      // line separator
		{"admin@b\u00fccher.example", ascii}, // an IDN that isn't in its xn-- form
		{"jos\u00e9@corp.com", ascii},
		{"jo\u00a0@corp.com", ascii},
		{"jo@corp.com\x80", ascii},
		{"jo\xff@corp.com", ascii},

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
		{".@example.com", dots},
		{"jo@.example.com", host},
		{"jo@example.com.", host},
		{"jo@example..com", host},
		{"jo@.", host},

		// Domains.
		{"jo@localhost", host},
		{"jo@com", host},
		{"jo@192.0.2.1", host},
		{"jo@example.1", host},
		{"jo@example.123", host},
		{"jo@3221225985", host},
		{"jo@-example.com", host},
		{"jo@example-.com", host},
		{"jo@example.-com", host},
		{"jo@example.com-", host},
		{"jo@exa_mple.com", host},
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
		{"jo@" + label + "d.example", host},
		{"l" + longest[1:64] + "@d" + domain189, "longer than 254 bytes"},
		{strings.Repeat("x", 100_000) + "@example.com", "longer than 254 bytes"},
	} {
		got, err := zendesk.ParseEmail(test.in)
		if err == nil || got != "" || !strings.Contains(err.Error(), test.why) {
			t.Errorf("ParseEmail(%q) = %q, %v; want … %s …", test.in, got, err, test.why)
		}
	}
}

func TestEmailDomain(t *testing.T) {
	if got := zendesk.EmailDomain("jo@mail.example.com"); got != "mail.example.com" {
		t.Errorf("got %q", got)
	}
}
