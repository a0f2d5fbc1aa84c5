// Package inspect judges sign-in tokens, from Deskmint or from other programs, as Zendesk would.
//
// What Zendesk accepts is known from its article "Enabling JWT single sign-on" and from reports of
// its users. The package tells apart what Zendesk refuses, what it ignores or doesn't document, and
// what a configuration of Deskmint would send in another way.
package inspect

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/text"
	"github.com/deskmint/deskmint/service/zendesk"
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

// Problem is a finding about a part of a token.
type Problem struct {
	Part        Part
	Name        string // the claim or header parameter; "": the problem concerns neither
	Description string
}

const (
	// maxListed limits how many problems of one kind a result lists. A token may have thousands of
	// claims.
	maxListed = 50
	// maxExactInt is the largest integer that every JSON parser reads exactly (RFC 8259 section 6).
	maxExactInt = 1<<53 - 1
)

// Result is the result of inspecting a token.
type Result struct {
	// Problems are the reasons for which Zendesk would refuse the token. A value of another type
	// than Zendesk documents is one, although it is unknown what Zendesk does with it.
	Problems []Problem
	// Warnings are about parts of the token that Zendesk ignores, or that are not documented. Zendesk
	// would accept the token all the same, as far as that is known.
	Warnings []Problem
	// Differences are about parts of the token that Deskmint would refuse, leave out or send in
	// another way, if it made a token for the same person under the same profile. There are none if
	// the token was inspected without a profile.
	Differences []Problem
	// Version is the version of the secret that verifies the signature. 0: none does.
	Version secrets.Version
	// Claims are the members of the payload if it is a JSON object, and otherwise nil. Don't trust
	// them before the token is verified.
	Claims map[string]json.RawMessage
	// IssueTime is the token's iat. It is zero if the token has none.
	IssueTime time.Time
}

func (r *Result) problem(part Part, name, format string, args ...any) {
	r.Problems = append(r.Problems, Problem{part, name, fmt.Sprintf(format, args...)})
}

func (r *Result) warn(part Part, name, format string, args ...any) {
	r.Warnings = append(r.Warnings, Problem{part, name, fmt.Sprintf(format, args...)})
}

// Token checks a token as Zendesk would, as far as that is known. It uses the given versions of the
// secret, with the active one first, and now as Zendesk's clock. It continues after a problem, so
// that it finds all of them. It can't detect a jti that Zendesk has already received.
//
// If p isn't nil, Token also uses what the profile says of the configuration at Zendesk, and compares
// the token with one that Deskmint would make.
func Token(p *zendesk.Profile, token string, held []secrets.Key, now time.Time) Result {
	var r Result
	r.inspect(p, token, held, now)
	if p != nil && r.Claims != nil {
		r.compare(p)
	}
	for _, list := range []*[]Problem{&r.Problems, &r.Warnings, &r.Differences} {
		if more := len(*list) - maxListed; more > 0 {
			last := Problem{(*list)[maxListed].Part, "", "has " + text.Count(more, "further problem") + " of this kind"}
			*list = append((*list)[:maxListed:maxListed], last)
		}
	}
	return r
}

// inspect finds everything but the differences of the claims.
func (r *Result) inspect(p *zendesk.Profile, token string, held []secrets.Key, now time.Time) {
	parts := strings.Split(token, ".")
	switch {
	case strings.Contains(token, "jwt="):
		r.problem(PartForm, "", "is a form or a URL: the token is only the value of its parameter jwt")
		return
	case len(parts) != 3:
		r.problem(PartForm, "", "has %s; a signed token has 3, with dots between them", text.Count(len(parts), "part"))
		return
	}
	var decoded [3][]byte // nil: can't be decoded
	for n, name := range []string{"header", "payload", "signature"} {
		b, err := base64.RawURLEncoding.Strict().DecodeString(parts[n])
		if err != nil || strings.ContainsAny(parts[n], "\r\n") { // even a strict decoder ignores these
			r.problem(PartForm, "", "the %s is not base64url without padding (RFC 7515 section 2)", name)
			continue
		}
		decoded[n] = b
	}
	if decoded[0] != nil {
		r.header(p, decoded[0])
	}
	if decoded[2] != nil {
		r.signature(parts[0]+"."+parts[1], decoded[2], held)
	}
	if decoded[1] == nil {
		return
	}
	claims, err := object(decoded[1])
	if err != nil {
		r.problem(PartForm, "", "the payload is not a JSON object: %v", err)
		return
	}
	r.Claims = claims
	r.issuedAt(now)
	r.checkClaims(p, now)
}

func (r *Result) header(p *zendesk.Profile, b []byte) {
	members, err := object(b)
	if err != nil {
		r.problem(PartForm, "", "the header is not a JSON object: %v", err)
		return
	}
	for _, parameter := range [][2]string{{"alg", "HS256"}, {"typ", "JWT"}} {
		name, want := parameter[0], parameter[1]
		var got string
		switch raw, ok := members[name]; {
		case !ok:
			r.problem(PartHeader, name, "is missing: Zendesk then answers as if the signature were wrong")
		case json.Unmarshal(raw, &got) != nil || got != want:
			r.problem(PartHeader, name, "must be %q", want)
		}
		delete(members, name)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name == "crit" {
			r.problem(PartHeader, name, "must not be there: a verifier that doesn't know the extensions that it names "+
				"must refuse the token (RFC 7515 section 4.1.11)")
		} else {
			r.warn(PartHeader, name, "is not part of the header that Zendesk documents, and whether Zendesk accepts "+
				"it is not known: leave it out")
		}
		if p != nil {
			r.differ(PartHeader, name, "would not be sent")
		}
	}
}

func (r *Result) signature(input string, signature []byte, held []secrets.Key) {
	for _, k := range held {
		if k.Verify(input, signature) == nil {
			r.Version = k.Version()
			break
		}
	}
	switch {
	case len(held) == 0:
		r.problem(PartSignature, "", "can't be checked: no version of the secret is held")
	case r.Version == 0:
		r.problem(PartSignature, "", "fits no version of the secret (tried: %s)", versions(held))
		r.signatureVariant(input, signature, held)
	case r.Version < held[0].Version():
		r.problem(PartSignature, "",
			"verifies under version %d, which version %d has replaced: Zendesk accepts only its newest secret",
			r.Version, held[0].Version())
	}
}

func versions(held []secrets.Key) string {
	var all []string
	for _, k := range held {
		all = append(all, strconv.FormatUint(uint64(k.Version()), 10))
	}
	return strings.Join(all, ", ")
}

// signatureVariant explains a signature that was made with a text like the secret.
func (r *Result) signatureVariant(input string, signature []byte, held []secrets.Key) {
	for _, k := range held {
		if v, ok := k.VerifyVariant(input, signature); ok {
			r.problem(PartSignature, "", "fits version %d of the secret %s. %s", k.Version(), v.Difference, v.Advice)
			return
		}
	}
}

func (r *Result) issuedAt(now time.Time) {
	raw, ok := r.Claims["iat"]
	seconds, err := strconv.ParseFloat(string(raw), 64)
	switch {
	case !ok:
		r.problem(PartIssuedAt, "iat", "is missing")
		return
	case !isNumber(raw):
		r.problem(PartIssuedAt, "iat", "must be a number of seconds since 1970, without quotes")
		return
	case err != nil || seconds > 1e11 || seconds < 0:
		r.problem(PartIssuedAt, "iat", "is no time in seconds since 1970; are these milliseconds? Zendesk answers "+
			"that it is more than 3 minutes off")
		return
	}
	r.IssueTime = time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
	if off := now.Sub(r.IssueTime); off > zendesk.Lifetime {
		r.problem(PartIssuedAt, "iat",
			"was %s ago by the local clock; Zendesk accepts a token for 3 minutes", inWords(off))
	} else if off < -zendesk.Lifetime {
		r.problem(PartIssuedAt, "iat", "is %s ahead of the local clock; Zendesk allows 3 minutes", inWords(-off))
	}
	if _, err := integer(raw); err != nil {
		r.warn(PartIssuedAt, "iat", "is written with a fraction or an exponent. Zendesk accepts that, but documents "+
			"whole seconds")
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

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// isNumber reports whether a JSON value is a number.
func isNumber(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}

// integer parses a JSON number that is written as an integer and exact in every parser.
func integer(raw json.RawMessage) (int64, error) {
	var n int64
	if !isNumber(raw) {
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
