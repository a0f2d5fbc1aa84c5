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
	maxText     = 255       // characters of a name, an id, a tag
	maxItems    = 100       // organisations, ids, tags, user fields
	maxField    = 4096      // bytes of one user field's value
	maxURL      = 2048      // bytes
	maxClaims   = 16384     // bytes of all claims together, so that a token stays below 22 KiB
	maxExactInt = 1<<53 - 1 // larger numbers lose digits in most JSON parsers (RFC 8259 section 6)
)

var phone = regexp.MustCompile(`^\+[1-9][0-9]{7,14}$`)

func wholeNumber(field string, n int64) []Violation {
	if n < 0 || n > maxExactInt {
		return []Violation{{field, "must be between 1 and 2^53 - 1"}}
	}
	return nil
}

// IsExternalID reports whether s can be a person's external id.
func IsExternalID(s string) bool { return s != "" && len(externalIDFaults(s)) == 0 }

func externalIDFaults(s string) []Violation {
	const field = "user.external_id"
	if s != "" && blank(s) {
		return []Violation{{field, "is blank"}}
	}
	if faults := shortText(field, s, text.RefuseJoiners); faults != nil {
		return faults
	}
	// Zendesk may remove outer white space. The id would then differ from the one that policy has
	// compared.
	if strings.TrimSpace(s) != s {
		return []Violation{{field, "has white space at its start or end: send the id without it"}}
	}
	return nil
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

func shortText(field, s string, joiners text.Joiners) []Violation {
	if why := shortTextFault(s, joiners); why != "" {
		return []Violation{{field, why}}
	}
	return nil
}

// list checks names or ids that Zendesk parses from one comma-separated string.
func list(field string, items []string, joiners text.Joiners) (faults []Violation) {
	if len(items) > maxItems {
		return []Violation{{field, fmt.Sprintf("has %d entries, more than %d", len(items), maxItems)}}
	}
	for i, s := range items {
		why := ""
		switch {
		case blank(s):
			why = "is empty"
		case strings.Contains(s, ","):
			why = "contains a comma, at which Zendesk would split it in two"
		default:
			why = shortTextFault(s, joiners)
		}
		if why != "" {
			faults = append(faults, Violation{fmt.Sprintf("%s[%d]", field, i), why})
		}
	}
	return faults
}

func phoneFaults(s string) []Violation {
	if s != "" && !phone.MatchString(s) {
		return []Violation{{"user.phone", "is not in E.164: write + and 8 to 15 digits, country code first"}}
	}
	return nil
}

func tagFaults(tags []string) (faults []Violation) {
	if len(tags) > maxItems {
		return []Violation{{"user.tags.values", fmt.Sprintf("has %d entries, more than %d", len(tags), maxItems)}}
	}
	for i, t := range tags {
		why := shortTextFault(t, text.RefuseJoiners)
		if t == "" || strings.ContainsFunc(t, func(r rune) bool { return r == ',' || unicode.Is(unicode.Zs, r) }) {
			why = "is empty, or contains a space or comma, at which Zendesk would split it"
		}
		if why != "" {
			faults = append(faults, Violation{fmt.Sprintf("user.tags.values[%d]", i), why})
		}
	}
	return faults
}

func photoFaults(s string) []Violation {
	if s == "" {
		return nil
	}
	const field = "user.remote_photo_url"
	if why := text.Fault(s, text.RefuseJoiners); why != "" {
		return []Violation{{field, why}}
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || len(s) > maxURL ||
		strings.ContainsAny(s, ` \`) {
		return []Violation{{field, fmt.Sprintf("must be an https URL without user name, of %d bytes at most", maxURL)}}
	}
	return nil
}

// userFields converts the numbers of JSON to the types of Zendesk's fields. It sends whole numbers
// as integers.
func userFields(in map[string]any) (out map[string]any, faults []Violation) {
	if len(in) > maxItems {
		return nil, []Violation{{"user.user_fields", fmt.Sprintf("has %d entries, more than %d", len(in), maxItems)}}
	}
	if len(in) == 0 {
		return nil, nil
	}
	out = make(map[string]any, len(in))
	for _, key := range slices.Sorted(maps.Keys(in)) {
		wrong := shortTextFault(key, text.RefuseJoiners)
		if blank(key) {
			wrong = "has an empty key"
		}
		value, why := fieldValue(in[key])
		for _, why := range []string{wrong, why} {
			if why != "" {
				// Name only a part of the key. It is enough to find the key, and a client may have
				// written a value in its place.
				faults = append(faults, Violation{fmt.Sprintf("user.user_fields[%.40q]", key), why})
			}
		}
		out[key] = value
	}
	return out, faults
}

func fieldValue(v any) (value any, fault string) {
	switch v := v.(type) {
	case nil, bool:
		return v, ""
	case string:
		if len(v) > maxField {
			return nil, fmt.Sprintf("has %d bytes, more than %d", len(v), maxField)
		}
		return v, text.Fault(v, text.RefuseJoiners)
	case float64:
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
	return nil, "must be a string, a number, a bool or null"
}
