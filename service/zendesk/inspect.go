package zendesk

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/text"
)

// Part is the part of a token that a [Problem] is about.
type Part int

// The parts, in the order in which they are checked.
const (
	PartForm Part = iota + 1
	PartHeader
	PartSignature
	PartIssuedAt
	PartClaims
)

// Problem is a reason for Zendesk to refuse a token.
type Problem struct {
	Part        Part
	Name        string // the claim or header parameter; "": the problem concerns neither
	Description string
}

// Inspection is the result of inspecting a token.
type Inspection struct {
	Problems []Problem
	// Version is the version of the secret that verifies the signature. 0: none does.
	Version secrets.Version
	// Claims are the members of the payload if it is a JSON object, and otherwise nil. Don't trust
	// them before the token is verified.
	Claims map[string]json.RawMessage
	// IssueTime is the token's iat. It is zero if the token has none.
	IssueTime time.Time
}

func (i *Inspection) problem(part Part, name, format string, args ...any) {
	i.Problems = append(i.Problems, Problem{part, name, fmt.Sprintf(format, args...)})
}

// Inspect checks a token as Zendesk would, as far as that is known. It uses the held versions of
// the secret, with the active one first, and the local clock. It continues after a problem, so that
// it finds all of them. It can't detect a jti that Zendesk has already received.
func (p *Profile) Inspect(token string, held []secrets.Key, now time.Time) Inspection {
	var i Inspection
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		i.problem(PartForm, "", "has %s; a signed token has 3, with dots between them", text.Count(len(parts), "part"))
		return i
	}
	var decoded [3][]byte // nil: can't be decoded
	for n, name := range []string{"header", "payload", "signature"} {
		b, err := base64.RawURLEncoding.Strict().DecodeString(parts[n])
		if err != nil || strings.ContainsAny(parts[n], "\r\n") { // even a strict decoder ignores these
			i.problem(PartForm, "", "the %s is not base64url without padding (RFC 7515 section 2)", name)
			continue
		}
		decoded[n] = b
	}
	if decoded[0] != nil {
		i.header(decoded[0])
	}
	if decoded[2] != nil {
		i.signature(parts[0]+"."+parts[1], decoded[2], held)
	}
	if decoded[1] == nil {
		return i
	}
	claims, err := object(decoded[1])
	if err != nil {
		i.problem(PartForm, "", "the payload is not a JSON object: %v", err)
		return i
	}
	i.Claims = claims
	i.issuedAt(now)
	i.checkClaims(p)
	return i
}

func (i *Inspection) header(b []byte) {
	members, err := object(b)
	if err != nil {
		i.problem(PartForm, "", "the header is not a JSON object: %v", err)
		return
	}
	start := len(i.Problems)
	for name, want := range map[string]string{"typ": "JWT", "alg": "HS256"} {
		var got string
		switch raw, ok := members[name]; {
		case !ok:
			i.problem(PartHeader, name, "is missing: Zendesk then answers as if the signature were wrong")
		case json.Unmarshal(raw, &got) != nil || got != want:
			i.problem(PartHeader, name, "must be %q", want)
		}
		delete(members, name)
	}
	for name := range members {
		i.problem(PartHeader, name, "is not part of the header that Zendesk documents")
	}
	slices.SortFunc(i.Problems[start:], func(a, b Problem) int { return strings.Compare(a.Name, b.Name) })
}

func (i *Inspection) signature(input string, signature []byte, held []secrets.Key) {
	for _, k := range held {
		if k.Verify(input, signature) == nil {
			i.Version = k.Version()
			break
		}
	}
	switch {
	case len(held) == 0:
		i.problem(PartSignature, "", "can't be checked: no version of the secret is held")
	case i.Version == 0:
		i.problem(PartSignature, "", "verifies under none of the held versions of the secret (%d)", len(held))
	case i.Version < held[0].Version():
		i.problem(PartSignature, "",
			"verifies under version %d, which version %d has replaced: Zendesk accepts only its newest secret",
			i.Version, held[0].Version())
	}
}

func (i *Inspection) issuedAt(now time.Time) {
	raw, ok := i.Claims["iat"]
	if !ok {
		i.problem(PartIssuedAt, "iat", "is missing")
		return
	}
	seconds, err := integer(raw)
	if err != nil {
		i.problem(PartIssuedAt, "iat", "must be a whole number of seconds, without quotes, fraction or exponent")
		return
	}
	if seconds > 1e11 || seconds < 0 {
		i.problem(PartIssuedAt, "iat", "is no time in seconds since 1970; are these milliseconds?")
		return
	}
	i.IssueTime = time.Unix(seconds, 0).UTC()
	if off := now.Sub(i.IssueTime); off > Lifetime {
		i.problem(PartIssuedAt, "iat",
			"was %s ago by the local clock; Zendesk accepts a token for 3 minutes", inWords(off))
	} else if off < -Lifetime {
		i.problem(PartIssuedAt, "iat", "is %s ahead of the local clock; Zendesk allows 3 minutes", inWords(-off))
	}
}

// inWords returns a positive duration. A time.Duration ends at 292 years, so a longer one is not a
// number.
func inWords(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d > 100*365*day || d < 0: // the negative of the smallest duration is negative
		return "more than 100 years"
	case d > 2*day:
		return fmt.Sprintf("%d days", d/day)
	}
	return d.Truncate(time.Second).String()
}

// claimRules contains the claims with the rules for their values. Something that Zendesk ignores
// silently is not a problem here.
var claimRules = []struct {
	name     string
	required bool
	rule     func(json.RawMessage) string
}{
	{"jti", true, textRule},
	{"email", true, emailRule},
	{"name", true, textRule},
	{"external_id", false, textRule},
	{"role", false, oneOf("end_user", "agent", "admin")},
	{"custom_role_id", false, wholeRule},
	{"locale", false, wholeRule},
	{"locale_id", false, wholeRule},
	{"organization", false, textRule},
	{"organizations", false, textRule},
	{"organization_id", false, textOrWhole},
	{"organization_ids", false, textRule},
	{"phone", false, textRule},
	{"tags", false, textsRule},
	{"remote_photo_url", false, textRule},
	{"user_fields", false, objectRule},
	{"exp", false, wholeRule},
}

func (i *Inspection) checkClaims(p *Profile) {
	for _, c := range claimRules {
		raw, ok := i.Claims[c.name]
		if !ok {
			if c.required {
				i.problem(PartClaims, c.name, "is missing")
			}
			continue
		}
		if why := c.rule(raw); why != "" {
			i.problem(PartClaims, c.name, "%s", why)
		}
	}
	var role Role
	if json.Unmarshal(i.Claims["role"], &role) == nil && role.audience() != "" && !p.Serves(role.audience()) {
		i.problem(PartClaims, "role", "is %s, which this configuration isn't assigned to", role)
	}
	if _, ok := i.Claims["custom_role_id"]; ok && role != RoleAgent {
		i.problem(PartClaims, "custom_role_id", "goes only with the role agent")
	}
}

func textRule(raw json.RawMessage) string {
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "must be a string"
	}
	if strings.TrimSpace(s) == "" {
		return "is empty"
	}
	return ""
}

func emailRule(raw json.RawMessage) string {
	if why := textRule(raw); why != "" {
		return why
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "must be a string"
	}
	if _, err := ParseEmail(s, CarrierDots, UnderscoredDomains); err != nil {
		return err.Error()
	}
	return ""
}

func oneOf(values ...string) func(json.RawMessage) string {
	return func(raw json.RawMessage) string {
		var s string
		if json.Unmarshal(raw, &s) != nil || !slices.Contains(values, s) {
			return "must be one of " + strings.Join(values, ", ")
		}
		return ""
	}
}

func wholeRule(raw json.RawMessage) string {
	if _, err := integer(raw); err != nil {
		return "must be a whole number, without quotes"
	}
	return ""
}

func textOrWhole(raw json.RawMessage) string {
	if _, err := integer(raw); err == nil || textRule(raw) == "" {
		return ""
	}
	return "must be a string or a whole number"
}

func textsRule(raw json.RawMessage) string {
	var s []*string // pointers, because null would otherwise become an empty string
	if raw[0] != '[' || json.Unmarshal(raw, &s) != nil || slices.Contains(s, nil) {
		return "must be an array of strings, not one string"
	}
	return ""
}

func objectRule(raw json.RawMessage) string {
	if _, err := object(raw); err != nil {
		return "must be a JSON object: " + err.Error()
	}
	return ""
}

// integer parses a JSON number that is written as an integer and exact in every parser.
func integer(raw json.RawMessage) (int64, error) {
	var n int64
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, errors.New("not a number")
	}
	if err := json.Unmarshal(raw, &n); err != nil {
		return 0, err
	}
	if n > maxExactInt || n < -maxExactInt || n == math.MinInt64 {
		return 0, errors.New("beyond 2^53 - 1")
	}
	return n, nil
}

// object parses the members of one JSON object. A duplicate name is an error, because parsers
// differ in the value that they use.
func object(b []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it is not valid UTF-8")
	}
	names, err := memberNames(b)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if seen[name] {
			return nil, fmt.Errorf("it contains %q twice", name)
		}
		seen[name] = true
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return nil, errors.New("it can't be parsed")
	}
	return members, nil
}

// memberNames returns an object's names in their order, including duplicates.
func memberNames(b []byte) ([]string, error) {
	notObject := errors.New("it is no JSON object")
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, notObject
	}
	var names []string
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			return nil, notObject
		}
		names = append(names, name)
	}
	if _, err := d.Token(); err != nil {
		return nil, notObject
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it is followed by other data")
	}
	return names, nil
}
