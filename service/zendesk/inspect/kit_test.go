package inspect_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/zendesk"
	"github.com/deskmint/deskmint/service/zendesk/inspect"
)

// The secrets have the form of Zendesk's: 48 alphanumeric characters.
const (
	testSecret  = "uR3mN8vQ1xZ6kT0pYcW5sB9dHfJ2gL7aEoXiVqMnCbKrDtSy"
	otherSecret = "pL0oK9iJ8uH7yG6tF5rD4eS3wA2qZ1xSw2dE3fR4gT5hY6jU"
)

func testKey(t testing.TB, v secrets.Version, secret string) secrets.Key {
	t.Helper()
	k, err := secrets.NewKey(v, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// testProfile returns a profile for end users, after changes to its settings.
func testProfile(t testing.TB, change ...func(*zendesk.Settings)) *zendesk.Profile {
	t.Helper()
	s := zendesk.Settings{Audiences: []zendesk.Audience{zendesk.EndUser}}
	for _, c := range change {
		c(&s)
	}
	p, err := zendesk.New(s, []zendesk.BrandSettings{{ID: "360001", Name: "Acme", Subdomain: "acme"}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func forStaff(s *zendesk.Settings) { s.Audiences = []zendesk.Audience{zendesk.TeamMember} }
func forBoth(s *zendesk.Settings) {
	s.Audiences = []zendesk.Audience{zendesk.EndUser, zendesk.TeamMember}
}

const (
	goodHeader  = `{"typ":"JWT","alg":"HS256"}`
	goodPayload = `{"iat":1767323045,"jti":"j1","email":"jo@example.com","name":"Jo"}`
)

var inspectTime = time.Unix(1767323045, 0)

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// seal signs two segments without checking them.
func seal(t testing.TB, key secrets.Key, header, payload string) string {
	t.Helper()
	signature, err := key.Sign(t.Context(), header+"."+payload)
	if err != nil {
		t.Fatal(err)
	}
	return header + "." + payload + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// wantWarnings checks the warnings as wantProblems checks the problems.
func wantWarnings(t testing.TB, got inspect.Result, want ...inspect.Problem) {
	t.Helper()
	wantProblems(t, inspect.Result{Problems: got.Warnings}, want...)
}

// wantProblems checks that exactly these problems were found, in this order. Part and name must be
// equal, and the description must contain the wanted one.
func wantProblems(t testing.TB, got inspect.Result, want ...inspect.Problem) {
	t.Helper()
	same := func(g, w inspect.Problem) bool {
		return g.Part == w.Part && g.Name == w.Name && strings.Contains(g.Description, w.Description)
	}
	if !slices.EqualFunc(got.Problems, want, same) {
		t.Errorf("problems\n got %+v\nwant %+v", got.Problems, want)
	}
}

func inspectPayload(t testing.TB, p *zendesk.Profile, payload string, now time.Time) inspect.Result {
	t.Helper()
	key := testKey(t, 1, testSecret)
	return inspect.Token(p, seal(t, key, encode(goodHeader), encode(payload)), []secrets.Key{key}, now)
}
