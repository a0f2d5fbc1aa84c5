package zendesk

import (
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/deskmint/deskmint/service/text"
)

const (
	maxText     = 255       // characters of a name, an id, a tag, a key
	maxItems    = 100       // organisations, ids, tags, user fields, options of one field
	maxField    = 4096      // bytes of one user field's value
	maxURL      = 2048      // bytes
	maxClaims   = 16384     // bytes of all claims together, so that a token stays below 22 KiB
	maxExactInt = 1<<53 - 1 // larger numbers lose digits in most JSON parsers (RFC 8259 section 6)
)

var phone = regexp.MustCompile(`^\+[1-9][0-9]{7,14}$`)

// IsPhone reports whether s is a phone number in E.164.
func IsPhone(s string) bool { return phone.MatchString(s) }

func wholeNumberFault(n int64) string {
	if n < 0 || n > maxExactInt {
		return "must be between 1 and 2^53 - 1"
	}
	return ""
}

// IsExternalID reports whether s can be a person's external id.
func IsExternalID(s string) bool { return s != "" && externalIDFault(s) == "" }

func externalIDFault(s string) string {
	why := shortTextFault(s, text.RefuseJoiners)
	switch {
	case s == "" || why != "":
		return why
	case text.IsBlank(s):
		return "is blank"
	case strings.TrimSpace(s) != s:
		// Zendesk may remove outer white space. The id would then differ from the one that policy
		// has compared.
		return "has white space at its start or end: send the id without it"
	}
	return ""
}

func shortTextFault(s string, joiners text.Joiners) string {
	if why := text.Fault(s, joiners); why != "" {
		return why
	}
	if n := utf8.RuneCountInString(s); n > maxText {
		return fmt.Sprintf("has %d characters, more than %d", n, maxText)
	}
	return ""
}

// organizationFault is stricter than the rule for the names of people. It removes nothing, because
// a grant may limit the names of organisations.
func organizationFault(s string) string {
	if strings.Contains(s, ",") {
		return "contains a comma, at which Zendesk would split it in two: " +
			"send the organisation's external id in organization_ids"
	}
	return entryFault(s, text.AllowJoiners)
}

func organizationIDFault(s string) string {
	if strings.Contains(s, ",") {
		return "contains a comma, at which Zendesk would split it in two: send each id as an entry of the list"
	}
	return entryFault(s, text.RefuseJoiners)
}

// entryFault checks a name or id in a list.
func entryFault(s string, joiners text.Joiners) string {
	why := shortTextFault(s, joiners)
	if why == "" && text.IsBlank(s) {
		why = "is empty"
	}
	return why
}

func phoneFault(s string) string {
	if s != "" && !phone.MatchString(s) {
		return "is not in E.164: write + and 8 to 15 digits, country code first"
	}
	return ""
}

func tagFault(tag string) string {
	if tag == "" || strings.ContainsFunc(tag, func(r rune) bool { return r == ',' || unicode.Is(unicode.Zs, r) }) {
		return "is empty, or contains a space or comma, at which Zendesk would split it"
	}
	return entryFault(tag, text.RefuseJoiners)
}

func photoFault(s string) string {
	if s == "" {
		return ""
	}
	if why := text.Fault(s, text.RefuseJoiners); why != "" {
		return why
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || len(s) > maxURL ||
		strings.ContainsAny(s, ` \`) {
		return fmt.Sprintf("must be an https URL without user name, of %d bytes at most", maxURL)
	}
	return ""
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// keyFault checks the key of a user field. Zendesk ignores a key that it documents as invalid.
func keyFault(key string) string {
	isKey := func(r rune) bool { return r == '_' || unicode.In(r, unicode.L, unicode.M, unicode.Nd) }
	why := shortTextFault(key, text.RefuseJoiners)
	switch {
	case why != "":
		return why
	case key == "":
		return "has an empty key"
	case strings.TrimFunc(key, isKey) != "" || text.IsBlank(key):
		return "has a key that no field has: Zendesk's keys have only letters, digits and underscores"
	case strings.TrimFunc(key, unicode.IsDigit) == "":
		return "has a key of only digits, which no field has: send the field's key, not its id"
	}
	return ""
}

// withLineFeeds replaces each carriage return that no line feed follows by a line feed. Old systems
// end lines with a carriage return alone.
func withLineFeeds(s string) string {
	if !strings.Contains(s, "\r") {
		return s
	}
	return strings.NewReplacer("\r\n", "\r\n", "\r", "\n").Replace(s)
}

// fieldTextFault checks the text of a user field, which may have several lines.
func fieldTextFault(s string) string {
	if len(s) > maxField {
		return fmt.Sprintf("has %d bytes, more than %d", len(s), maxField)
	}
	if strings.Contains(s, "\n") {
		// Spaces keep the places of the other characters.
		s = strings.NewReplacer("\r\n", "  ", "\n", " ").Replace(s)
	}
	return text.Fault(s, text.AllowJoiners)
}

// fieldNumber converts the numbers of JSON to those of Zendesk's fields. It returns whole numbers as
// integers.
func fieldNumber(v float64) (value any, fault string) {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return nil, "is not a number that JSON can hold"
	case math.Abs(v) > maxExactInt:
		return nil, "is beyond 2^53 - 1, where whole numbers lose digits: send it as a string"
	case v == math.Trunc(v):
		return int64(v), ""
	}
	return v, ""
}

// listFault checks the size of a list.
func listFault(list []any) string {
	if len(list) > maxItems {
		return tooMany(len(list))
	}
	size := 0
	for _, item := range list {
		s, _ := item.(string)
		size += len(s)
	}
	if size > maxField {
		return fmt.Sprintf("has %d bytes in all its entries, more than %d", size, maxField)
	}
	return ""
}

// fieldOption checks one option of a multi-select field.
func fieldOption(item any) (option, fault string) {
	option, ok := item.(string)
	if !ok {
		return "", "must be a string: a list holds the tags of the field's options"
	}
	return option, entryFault(option, text.AllowJoiners)
}
