package zendesk_test

import (
	"math"
	"net/mail"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/idna"

	"github.com/deskmint/deskmint/service/zendesk"
)

// plainEmail implements the rule for addresses a second time, except for lengths and dots.
var plainEmail = regexp.MustCompile("^[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@" +
	`([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func FuzzParseEmail(f *testing.F) {
	for _, s := range []string{
		"jo@example.com", "Jo.Doe+x@EXAMPLE.co.uk", "\u212A@corp.com", `"admin@corp.com"@evil.example`,
		"Jo <jo@example.com>", "jo(c)@example.com",
		"jo@192.0.2.1", "jo@[192.0.2.1]", "jo@example.com.", "a..b@c.de", "ａ@b.cd", "a@b.c\x00", "", "@",
		"a@b.c, d@e.f",
	} {
		f.Add(s)
	}
	for _, s := range []string{
		"a..b@docomo.ne.jp", ".a.@ezweb.ne.jp", "jo@my_store.typepad.com", "Jo@BÜCHER.example",
		"jo@bu\u0308cher.example",
		"ceo@ａcme.com", "admin@\u212Aorp.com", "jo@acme\u3002com", "jo@مثال.example", "jo@xn--bcher-kva.example",
		"jo@İstanbul.example", "jo@bü\u200bcher.example", "jo@ß.example", "jo@ς.example", "jo@a\u200dü.example",
		"jo@\u2132orp.example",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fuzzEmailForms(t, s)
		got, err := zendesk.ParseEmail(s)
		if err != nil {
			if got != "" || err.Error() == "" {
				t.Fatalf("ParseEmail(%q) = %q, %v", s, got, err)
			}
			return
		}
		if !plainEmail.MatchString(got) || len(got) > 254 || strings.Contains(got, "..") || !asciiFold(got, s) {
			t.Fatalf("ParseEmail(%q) = %q", s, got)
		}
		if again, err := zendesk.ParseEmail(got); err != nil || again != got {
			t.Fatalf("ParseEmail(%q) = %q, %v, want the same address", got, again, err)
		}
		// A lenient parser must understand the address in the same way.
		if a, err := mail.ParseAddress(got); err != nil || a.Address != got || a.Name != "" {
			t.Fatalf("net/mail reads %q as %v, %v", got, a, err)
		}
	})
}

// anyEmail implements the rule for addresses of all forms a second time, except for lengths.
var anyEmail = regexp.MustCompile("^[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@" +
	`([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// fuzzEmailForms checks an address with all forms. A domain in Unicode must be the one that another
// profile of IDNA understands, and must not have become a domain in ASCII.
func fuzzEmailForms(t *testing.T, s string) {
	got, err := zendesk.ParseEmail(s, zendesk.EmailForms()...)
	if err != nil {
		if got != "" || err.Error() == "" {
			t.Fatalf("ParseEmail(%q) = %q, %v", s, got, err)
		}
		return
	}
	local, domain, _ := strings.Cut(s, "@")
	gotLocal, gotDomain, _ := strings.Cut(got, "@")
	if !anyEmail.MatchString(got) || len(got) > 254 || !asciiFold(gotLocal, local) {
		t.Fatalf("ParseEmail(%q) = %q", s, got)
	}
	if again, err := zendesk.ParseEmail(got, zendesk.EmailForms()...); err != nil || again != got {
		t.Fatalf("ParseEmail(%q) = %q, %v, want the same address", got, again, err)
	}
	if asciiFold(gotDomain, domain) {
		return
	}
	if other, err := idna.Lookup.ToASCII(domain); err != nil || other != gotDomain {
		t.Fatalf("ParseEmail(%q) = %q, but idna reads the domain as %q, %v", s, got, other, err)
	}
	labels := strings.Split(gotDomain, ".")
	for i, label := range strings.Split(domain, ".") {
		if !asciiFold(labels[i], label) && !strings.HasPrefix(labels[i], "xn--") {
			t.Fatalf("ParseEmail(%q) = %q has another label in ASCII", s, got)
		}
	}
}

// asciiFold reports whether the two differ at most in the case of ASCII letters.
func asciiFold(lower, s string) bool {
	if len(lower) != len(s) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != lower[i] && (c < 'A' || c > 'Z' || c+'a'-'A' != lower[i]) {
			return false
		}
	}
	return true
}

func FuzzReturnTo(f *testing.F) {
	for _, group := range returnToBypasses {
		for _, s := range group.shapes {
			f.Add(s)
		}
	}
	for _, s := range []string{
		"/hc/en-us?a=b#c", "https://acme.zendesk.com/agent", "https://help.acme.com/hc/é",
		"/%2f%2fevil.example", "/hc/%25zz", "/hc?q=100% off", "/access/return_to?return_to=%2Fhc%3Freturn_to%3D/x",
		"/auth/v2/login/signed_in?auth_origin=1,true,true&theme=hc", "/hc?a=b%26return%255Fto%253D/hc;return_to[]=/",
		"/#return_to;=00", "/#return_to%253D#000000",
	} {
		f.Add(s)
	}
	for _, form := range returnToForms {
		f.Add(form.in)
	}
	f.Add(`/"/..//%2e`) // was once accepted; a server that resolves dot segments first reads it as //%2e
	b := testProfile(f).Brand("")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := b.ReturnTo(s)
		if err != nil {
			if d.URL != "" || d.Hosts != nil {
				t.Fatalf("ReturnTo(%q) = %+v together with the error %v", s, d, err)
			}
			return
		}
		wantAtBrand(t, s, d)
		if again, err := b.ReturnTo(d.URL); err != nil || !reflect.DeepEqual(again, d) {
			t.Fatalf("ReturnTo(%q) = %+v, %v, want the same destination", d.URL, again, err)
		}
	})
}

// FuzzClaims calls checkClaims for any user.
func FuzzClaims(f *testing.F) {
	f.Add("jo@example.com", "Jo", "e1", "agent", int64(5), int64(8), "Acme",
		"Initech", "42", "+15551234567", "vip", "plan", "pro", 1.5, uint16(0xFFFF))
	f.Add("jo@example.com", "Jo", "", "", int64(0), int64(1), "", "", "007",
		"", "", "email", "admin@acme.com", 9007199254740991.0, uint16(0x0F0))
	f.Add("Jo@Example.com", "علی\u200cرضا", " ", "end_user", int64(-1), int64(1)<<53,
		"A,B", "\u202e", "9007199254740993", "+1", "a b", "iat", "\x00", 0.0, uint16(0x3A5))
	f.Add("jo@example.com", "Jo", "", "", int64(0), int64(0), "", "",
		"", "", "", "plan", "", math.Copysign(0, -1), uint16(0x0800))
	f.Add("0", "0", "0", "0", int64(5), int64(8), "0", "0", "0", "0", "0", "\n", "0", 1.5, uint16(65521))
	f.Add("0", "0", "0", "0", int64(5), int64(8), "0", "0", "0", "0", "0", "\"", "0", 1.5, uint16(65437))
	f.Add("0@0.A", "0", "0", "agent", int64(0), int64(39), "0", "0", "0", "", "0", "0", "0", 6.0, uint16(65294))
	f.Add("0", "0", "0", "0", int64(5), int64(12), "0", "0", "0", "0", "0", "0", "?", 3.0, uint16(65493))
	f.Add("0", "0", "0", "0", int64(5), int64(8), "0", "0", "0", "0", "0", "0", "\xff", 1.5, uint16(65535))
	f.Add("0", "0", "0", "0", int64(5), int64(8), "\u061c", "0", "0", "0", "0", "0", "0", 1.5, uint16(65393))
	f.Add("0", "0", "0", "0", int64(5), int64(5), "0", "0", "0", "0", "0", "0", "#%", 14.5, uint16(65535))
	f.Add(" @", "0", "0", "0", int64(-38), int64(8), "0", "0", "0", "0", "0", "0", "0", 1.5, uint16(65535))
	f.Fuzz(func(
		t *testing.T, email, name, externalID, role string, customRole, locale int64,
		org1, org2, orgID, phone, tag, field, value string, number float64, flags uint16,
	) {
		on := func(bit int) bool { return flags&(1<<bit) != 0 }
		s := zendesk.Settings{Audiences: []zendesk.Audience{zendesk.EndUser}, EmitExp: on(0), OmitRole: on(1)}
		if on(2) {
			s.Audiences = append(s.Audiences, zendesk.TeamMember)
		}
		if on(3) {
			s.Audiences = s.Audiences[len(s.Audiences)-1:]
		}
		if on(4) {
			s.OrganizationIDType = "integer"
		}
		if on(14) {
			s.OnInvalidOptional = "omit"
		}
		if on(15) {
			s.EmailForms = zendesk.EmailForms()
		}
		u := zendesk.User{
			Email:         email,
			EmailVerified: true,
			Name:          name,
			ExternalID:    externalID,
			Role:          zendesk.Role(role),
			CustomRoleID:  customRole,
			LocaleID:      locale,
			Phone:         phone,
		}
		if on(5) {
			u.Organizations = append(u.Organizations, org1)
		}
		if on(6) {
			u.Organizations = append(u.Organizations, org2)
		}
		if on(7) {
			u.OrganizationIDs = append(u.OrganizationIDs, orgID)
		}
		if on(8) {
			u.OrganizationIDs = append(u.OrganizationIDs, org2)
		}
		if on(9) {
			u.Tags = []string{}
		}
		if on(10) {
			u.Tags = append(u.Tags, tag)
		}
		if on(11) {
			u.UserFields = map[string]any{field: value, "n": number, "x" + field: nil, "b": on(12)}
			u.UserFields["list"] = []any{value, tag, number}
			if on(12) {
				u.UserFields["list"] = []any{value}
			}
		}
		if on(13) {
			u.RemotePhotoURL = "https://img.example.com/" + value
		}
		checkClaims(t, s, u)
	})
}
