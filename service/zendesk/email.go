package zendesk

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// EmailForm is a form of addresses that a profile accepts only if its settings name it.
type EmailForm string

// The forms of addresses.
const (
	// CarrierDots are dots in a row, at the start or at the end of the part before the @. Japanese
	// mobile carriers have given out such addresses: a..b@docomo.ne.jp.
	CarrierDots EmailForm = "carrier_dots"
	// UnderscoredDomains have an underscore in a label of the domain, but not in the last one.
	UnderscoredDomains EmailForm = "underscored_domains"
	// InternationalDomains are domains in Unicode. They become the ASCII form of IDNA 2008, with
	// labels in xn--. A request may have that form without this setting.
	InternationalDomains EmailForm = "international_domains"
)

// EmailForms returns all forms of addresses.
func EmailForms() []EmailForm {
	return []EmailForm{CarrierDots, UnderscoredDomains, InternationalDomains}
}

const maxEmail = 254 // bytes

// ParseEmail returns the address in the only form that policy and token use: lower-cased ASCII. It
// deliberately accepts less than RFC 5322. Comments, quoted local parts, display names and
// similar characters can make one address appear as another. An address may have the given forms.
// The error names the broken rule.
func ParseEmail(s string, forms ...EmailForm) (string, error) {
	a, err := parseAddress(s)
	if err == nil {
		err = a.allowedBy(forms)
	}
	if err != nil {
		return "", err
	}
	return a.email, nil
}

// address is a parsed address with the forms that it has.
type address struct {
	email  string
	broken map[EmailForm]string // the rule that each form breaks; nil for most addresses
}

func (a *address) has(form EmailForm, rule string) {
	if a.broken == nil {
		a.broken = make(map[EmailForm]string, 1)
	}
	a.broken[form] = rule
}

// allowedBy returns an error unless the forms include all forms of the address.
func (a *address) allowedBy(forms []EmailForm) error {
	if a.broken == nil {
		return nil
	}
	for _, form := range EmailForms() {
		if rule, has := a.broken[form]; has && !slices.Contains(forms, form) {
			return errFault(rule + ", or have " + string(form) + " added to the configuration's email_forms")
		}
	}
	return nil
}

// parseAddress parses an address that may have any form.
func parseAddress(s string) (a address, err error) {
	local, domain, found := strings.Cut(s, "@")
	switch {
	case s == "":
		return a, errFault("is required")
	case len(s) > maxEmail:
		return a, errFault("is longer than 254 bytes")
	case !utf8.ValidString(s):
		return a, errFault("is not valid UTF-8")
	case !found || strings.Contains(domain, "@"):
		return a, errFault("must have exactly one @")
	case len(local) == 0 || len(local) > 64:
		return a, errFault("must have 1 to 64 bytes before the @")
	case !isASCII(local):
		return a, errFault("has a character outside ASCII before the @: send an address of the person without it")
	case strings.ContainsFunc(local, func(r rune) bool { return r != '.' && !isAtom(r) }):
		return a, errFault("has a character before the @ that is not allowed unquoted: " +
			"send the bare address, without a display name, quotes or comments")
	case strings.Trim(local, ".") == "":
		return a, errFault("has only dots before the @")
	}
	if strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		a.has(CarrierDots, "has a dot at the start or end of the part before the @, or two in a row: "+
			"send another address of the person")
	}
	if !isASCII(domain) {
		if domain, err = asciiDomain(domain); err != nil {
			return a, err
		}
		s = local + "@" + domain
		a.has(InternationalDomains, "has an international domain: send it in its xn-- form")
	}
	if strings.Contains(domain, "_") {
		a.has(UnderscoredDomains, "has an underscore in its domain: send another address of the person")
	}
	if why := emailDomainFault(domain); why != "" {
		return a, errFault(why)
	}
	if len(s) > maxEmail { // the ASCII form may be longer
		return a, errFault("is longer than 254 bytes")
	}
	a.email = strings.ToLower(s)
	return a, nil
}

// registration validates an international domain and changes nothing but its encoding. Mapping
// would turn full-width letters into ASCII, and remove invisible characters.
var registration = idna.New(idna.ValidateForRegistration(), idna.VerifyDNSLength(true))

// asciiDomain returns the ASCII form of a domain in Unicode. Of what IDNA would map, it accepts only
// capital letters and other compositions of an accented letter. No label turns into plain ASCII, so
// that nothing can appear as a domain in ASCII that it isn't.
func asciiDomain(domain string) (string, error) {
	const fault = errFault("has a domain that isn't a valid international domain name: " +
		"write it without full-width letters and invisible characters, or send its xn-- form")
	ascii, err := registration.ToASCII(norm.NFC.String(lower(domain)))
	labels, from := strings.Split(ascii, "."), strings.Split(domain, ".")
	if err != nil || len(labels) != len(from) {
		return "", fault
	}
	// A few characters have a valid letter as their lower case, but are in no domain. Browsers and
	// mail servers must find the same domain.
	if found, err := idna.Lookup.ToASCII(domain); err != nil || found != ascii {
		return "", fault
	}
	for i, label := range from {
		if !isASCII(label) && !strings.HasPrefix(labels[i], "xn--") {
			return "", fault
		}
	}
	return ascii, nil
}

// lower returns s in lower case. A letter outside ASCII never becomes one of ASCII, as the Kelvin
// sign would.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if l := unicode.ToLower(r); r <= unicode.MaxASCII || l > unicode.MaxASCII {
			return l
		}
		return r
	}, s)
}

// EmailDomain returns the part of a parsed address after the @.
func EmailDomain(email string) string {
	_, domain, _ := strings.Cut(email, "@")
	return domain
}

// errFault describes a broken rule, in words that follow a field's name.
type errFault string

func (e errFault) Error() string { return string(e) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] > unicode.MaxASCII {
			return false
		}
	}
	return true
}

// isAtom reports whether r is an atext of RFC 5322.
func isAtom(r rune) bool {
	return isAlphanumeric(r) || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// isDomain reports whether s is a host name of letters, digits and hyphens with at least two labels
// (RFC 1123 section 2.1) that can't be parsed as an IPv4 address.
func isDomain(s string) bool { return !strings.Contains(s, "_") && emailDomainFault(s) == "" }

// emailDomainFault explains why s can't be the domain of an address. It returns "" if it can. A
// label may have underscores unless it is the last one.
func emailDomainFault(s string) string {
	last := s[strings.LastIndexByte(s, '.')+1:]
	switch {
	case s == "":
		return "has no domain after the @"
	case len(s) > 253:
		return "has a domain of more than 253 bytes"
	case strings.ContainsFunc(s, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("-._", r) }):
		return "has a character after the @ that no domain has: send the bare address"
	case hasLabel(s, func(l string) bool { return l == "" }):
		return "has a dot at the start or end of its domain, or two in a row"
	case hasLabel(s, func(l string) bool { return len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' }):
		return "has a part between two dots of its domain that begins or ends with a hyphen, or is longer than 63 bytes"
	case strings.Trim(last, "0123456789") == "":
		return "has a number or an IP address in place of a domain name"
	case last == s:
		return "has a domain of only one label: a domain name has at least two, such as example.com"
	case strings.Contains(last, "_"):
		return "has an underscore in the last label of its domain"
	}
	return ""
}

// hasLabel reports whether one of the labels of a domain is like that. It allocates nothing, because
// each sign-in checks a domain.
func hasLabel(domain string, is func(label string) bool) bool {
	for label := range strings.SplitSeq(domain, ".") {
		if is(label) {
			return true
		}
	}
	return false
}
