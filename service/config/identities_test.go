package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// identity returns minimal with further keys for its only identity.
func identity(t *testing.T, lines string) string {
	t.Helper()
	indented := strings.ReplaceAll(lines, "\n", "\n        ")
	return change(t, "      - api_key_sha256:", "      - "+indented+"\n        api_key_sha256:") + audited
}

// TestNotAfter shows the forms of a time, and the time that a date means.
func TestNotAfter(t *testing.T) {
	endOfDay := time.Date(2027, 1, 31, 23, 59, 59, 999_999_999, time.UTC)
	for written, want := range map[string]time.Time{
		"2027-01-31":                    endOfDay,
		`"2027-01-31"`:                  endOfDay,
		"2027-01-31T18:00:00Z":          time.Date(2027, 1, 31, 18, 0, 0, 0, time.UTC),
		`"2027-01-31T18:00:00+02:00"`:   time.Date(2027, 1, 31, 16, 0, 0, 0, time.UTC),
		"2027-01-31T18:00:00.5Z":        time.Date(2027, 1, 31, 18, 0, 0, 500_000_000, time.UTC),
		"tomorrow":                      {},
		`""`:                            {},
		"20270131":                      {},
		"2027-1-31":                     {},
		"2027-02-30":                    {},
		"2027-01-31T18:00:00":           {},
		"2027-01-31 18:00:00Z":          {},
		"{year: 2027}":                  {},
		"[2027-01-31]":                  {},
		"!!timestamp 2027-01-31":        {},
		"2027-01-31T18:00:00Z and more": {},
	} {
		s, err := Parse("deskmint.yaml", []byte(identity(t, "not_after: "+written)), Options{})
		if want.IsZero() {
			places, _ := problems(t, err)
			if !slices.Equal(places, []string{"deskmint.yaml:15 callers[0].identities[0].not_after"}) {
				t.Errorf("%s: the problems are %q", written, places)
			}
			continue
		}
		if err != nil || len(s.Warnings) > 0 || !s.Identities[0].NotAfter.Equal(want) {
			t.Errorf("%s: %v, %+v", written, err, s)
		}
	}
}

// TestIdentityNames shows that names must be unique within a caller, but not across callers.
func TestIdentityNames(t *testing.T) {
	const (
		second = `      - {name: NAME, mtls_dns: a.example}
`
		caller = `  - {name: other, identities: [{name: checkout, mtls_dns: b.example}]}
`
	)
	text := func(name, more string) string {
		return strings.Replace(identity(t, "name: checkout\nowner: Team Checkout"),
			"    grants:\n", strings.Replace(second, "NAME", name, 1)+"    grants:\n", 1) + "\n" + more
	}
	s := parsed(t, strings.Replace(text("kiosk", ""), "callers:\n", "callers:\n"+caller, 1), Options{})
	var got []string
	for _, id := range s.Identities {
		got = append(got, id.Caller+"/"+id.Label()+"/"+id.Owner)
	}
	want := []string{"other/checkout/", "storefront/checkout/Team Checkout", "storefront/kiosk/"}
	if !slices.Equal(got, want) {
		t.Errorf("the identities are %q, want %q", got, want)
	}
	for name, message := range map[string]string{
		"checkout": "is the same name as in line 15",
		"Kiosk":    "must be lower-case letters",
		`""`:       "is required",
		"a_b":      "must be lower-case letters",
	} {
		_, err := Parse("deskmint.yaml", []byte(text(name, "")), Options{})
		places, messages := problems(t, err)
		if !slices.Equal(places, []string{"deskmint.yaml:18 callers[0].identities[1].name"}) ||
			!strings.Contains(messages, message) {
			t.Errorf("%s: %q %s", name, places, messages)
		}
	}
	_, err := Parse("deskmint.yaml", []byte(identity(t, "owner: "+strings.Repeat("x", 101))), Options{})
	places, _ := problems(t, err)
	if !slices.Equal(places, []string{"deskmint.yaml:15 callers[0].identities[0].owner"}) {
		t.Errorf("a long owner: %q", places)
	}
}

// TestExpiredIdentityWarning shows that the clock of the options determines the warning.
func TestExpiredIdentityWarning(t *testing.T) {
	end := time.Date(2027, 1, 31, 18, 0, 0, 0, time.UTC)
	for past, want := range map[time.Duration]int{-time.Second: 0, 0: 0, time.Nanosecond: 1} {
		now := func() time.Time { return end.Add(past) }
		s := parsed(t, identity(t, "not_after: 2027-01-31T18:00:00Z"), Options{Now: now})
		if len(s.Warnings) != want {
			t.Errorf("%v after the end there are the warnings %v", past, s.Warnings)
		}
	}
}
