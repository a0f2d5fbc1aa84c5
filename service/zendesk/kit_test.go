package zendesk_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/zendesk"
)

// testSecret has the form of Zendesk's secrets: 48 alphanumeric characters.
const testSecret = "uR3mN8vQ1xZ6kT0pYcW5sB9dHfJ2gL7aEoXiVqMnCbKrDtSy"

// testTime is 2026-01-02 03:04:05.678 UTC. A token contains only its whole seconds.
var testTime = time.Unix(1767323045, 678_000_000)

func testKey(t testing.TB, v secrets.Version, secret string) secrets.Key {
	t.Helper()
	k, err := secrets.NewKey(v, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// testProfile returns a profile for end users with two brands, after changes to its settings.
func testProfile(t testing.TB, change ...func(*zendesk.Settings)) *zendesk.Profile {
	t.Helper()
	s := zendesk.Settings{Audiences: []zendesk.Audience{zendesk.EndUser}}
	for _, c := range change {
		c(&s)
	}
	p, err := zendesk.New(s, testBrands())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func testBrands() []zendesk.BrandSettings {
	return []zendesk.BrandSettings{
		{
			ID:        "360001",
			Name:      "Acme",
			Subdomain: "acme",
			Hosts:     []string{"help.acme.com", "hilfe.acme.de"},
			Default:   true,
		},
		{ID: "360002", Subdomain: "acme-labs"},
	}
}

func forStaff(s *zendesk.Settings) { s.Audiences = []zendesk.Audience{zendesk.TeamMember} }
func forBoth(s *zendesk.Settings) {
	s.Audiences = []zendesk.Audience{zendesk.EndUser, zendesk.TeamMember}
}
func omitRole(s *zendesk.Settings)        { s.OmitRole = true }
func omitInvalid(s *zendesk.Settings)     { s.OnInvalidOptional = "omit" }
func refuseInvalid(s *zendesk.Settings)   { s.OnInvalidOptional = "refuse" }
func integerOrgIDs(s *zendesk.Settings)   { s.OrganizationIDType = "integer" }
func homeOnBadReturn(s *zendesk.Settings) { s.OnBadReturnTo = "home" }

// testSignIn returns a sign-in with only the required fields, after changes.
func testSignIn(change ...func(*zendesk.SignIn)) zendesk.SignIn {
	r := zendesk.SignIn{User: zendesk.User{Email: "jo@example.com", EmailVerified: true, Name: "Jo Doe"}}
	for _, c := range change {
		c(&r)
	}
	return r
}

// mint checks and signs a sign-in. It returns the token and its payload.
func mint(t testing.TB, p *zendesk.Profile, r zendesk.SignIn) (zendesk.Token, string) {
	t.Helper()
	checked, err := p.Check(p.Brand(""), r)
	if err != nil {
		t.Fatalf("Check: %v", err)
	}
	token, err := checked.Sign(t.Context(), testKey(t, 7, testSecret), testTime)
	if err != nil {
		t.Fatalf("Sign: %v", err)
	}
	return token, segment(t, token.Value, 1)
}

// segment decodes the n-th part of a token: header, payload, signature.
func segment(t testing.TB, token string, n int) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[n])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantFaults checks that exactly these faults were found, in any order. The field must be equal,
// and the description must contain the wanted one.
func wantFaults(t testing.TB, got []zendesk.Violation, want ...zendesk.Violation) {
	t.Helper()
	rest := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(rest, func(g zendesk.Violation) bool {
			return g.Field == w.Field && strings.Contains(g.Description, w.Description)
		})
		if i < 0 {
			t.Errorf("no fault %q … %q among %q", w.Field, w.Description, got)
			continue
		}
		rest = slices.Delete(rest, i, i+1)
	}
	for _, g := range rest {
		t.Errorf("unexpected fault %q: %s", g.Field, g.Description)
	}
}

func faultsOf(t testing.TB, err error) []zendesk.Violation {
	t.Helper()
	var invalid *zendesk.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, not an InvalidError", err)
	}
	return invalid.Violations
}
