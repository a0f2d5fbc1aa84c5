package zendesk_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/zendesk"
)

const (
	goodHeader  = `{"typ":"JWT","alg":"HS256"}`
	goodPayload = `{"iat":1767323045,"jti":"j1","email":"jo@example.com","name":"Jo"}`
	otherSecret = "another-secret-of-forty-eight-bytes-in-all-000000"
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

// wantProblems checks that exactly these problems were found, in this order. Part and name must be
// equal, and the description must contain the wanted one.
func wantProblems(t testing.TB, got zendesk.Inspection, want ...zendesk.Problem) {
	t.Helper()
	same := func(g, w zendesk.Problem) bool {
		return g.Part == w.Part && g.Name == w.Name && strings.Contains(g.Description, w.Description)
	}
	if !slices.EqualFunc(got.Problems, want, same) {
		t.Errorf("problems\n got %+v\nwant %+v", got.Problems, want)
	}
}

func TestInspectSegments(t *testing.T) {
	key, p := testKey(t, 1, testSecret), testProfile(t)
	form := func(why string) zendesk.Problem { return zendesk.Problem{Part: zendesk.PartForm, Description: why} }
	header := func(name, why string) zendesk.Problem {
		return zendesk.Problem{Part: zendesk.PartHeader, Name: name, Description: why}
	}
	h, c := encode(goodHeader), encode(goodPayload)
	const notHeader, notPayload = "the header is not a JSON object", "the payload is not a JSON object"
	for _, test := range []struct {
		name            string
		header, payload string
		want            []zendesk.Problem
	}{
		{"good", h, c, nil},
		{"header spelt otherwise", encode(` {"alg" : "HS256", "typ":"\u004aWT"} `), c, nil},

		{"header with padding", encode(`{"typ":"JWT","alg":"HS256" }`) + "==",
			c, []zendesk.Problem{form("the header is not base64url")}},
		{"header with a newline", h[:8] + "\n" + h[8:], c, []zendesk.Problem{form("the header is not base64url")}},
		{"header as JSON", goodHeader, c, []zendesk.Problem{form("the header is not base64url")}},
		{"empty header", "", c, []zendesk.Problem{form(notHeader)}},
		{"header is null", encode("null"), c, []zendesk.Problem{form(notHeader)}},
		{"header is a list", encode("[]"), c, []zendesk.Problem{form(notHeader)}},
		{"header is cut", encode(goodHeader[:20]), c, []zendesk.Problem{form(notHeader)}},
		{"header is followed", encode(goodHeader + "{}"), c, []zendesk.Problem{form("it is followed by other data")}},
		{"header in bad UTF-8", encode("{\"typ\":\"JWT\xff\",\"alg\":\"HS256\"}"),
			c, []zendesk.Problem{form("not valid UTF-8")}},
		{"alg twice", encode(`{"alg":"none","typ":"JWT","alg":"HS256"}`),
			c, []zendesk.Problem{form(`it contains "alg" twice`)}},
		{"alg twice, once escaped", encode(`{"\u0061lg":"none","typ":"JWT","alg":"HS256"}`),
			c, []zendesk.Problem{form(`it contains "alg" twice`)}},

		{"no typ", encode(`{"alg":"HS256"}`), c, []zendesk.Problem{header("typ", "is missing")}},
		{"no alg", encode(`{"typ":"JWT"}`), c, []zendesk.Problem{header("alg", "is missing")}},
		{"neither", encode(`{}`), c, []zendesk.Problem{header("alg", "is missing"), header("typ", "is missing")}},
		{"typ in lower case", encode(`{"typ":"jwt","alg":"HS256"}`),
			c, []zendesk.Problem{header("typ", `must be "JWT"`)}},
		{"typ null", encode(`{"typ":null,"alg":"HS256"}`), c, []zendesk.Problem{header("typ", `must be "JWT"`)}},
		{"alg none", encode(`{"typ":"JWT","alg":"none"}`), c, []zendesk.Problem{header("alg", `must be "HS256"`)}},
		{"alg HS512", encode(`{"typ":"JWT","alg":"HS512"}`), c, []zendesk.Problem{header("alg", `must be "HS256"`)}},
		{"alg in lower case", encode(`{"typ":"JWT","alg":"hs256"}`),
			c, []zendesk.Problem{header("alg", `must be "HS256"`)}},
		{"alg a number", encode(`{"typ":"JWT","alg":256}`), c, []zendesk.Problem{header("alg", `must be "HS256"`)}},
		{"names in another case", encode(`{"TYP":"JWT","ALG":"HS256"}`), c, []zendesk.Problem{
			header("ALG", "not part"), header("TYP", "not part"), header("alg", "is missing"),
			header("typ", "is missing"),
		}},
		{"more parameters", encode(`{"typ":"JWT","kid":"1","alg":"HS256","crit":["b64"]}`),
			c, []zendesk.Problem{header("crit", "not part"), header("kid", "not part")}},

		{"payload with padding", h, encode(goodPayload) + "=", []zendesk.Problem{form("the payload is not base64url")}},
		{"payload in the standard alphabet", h, "+/" + c, []zendesk.Problem{form("the payload is not base64url")}},
		{"payload with a newline", h, c + "\r\n", []zendesk.Problem{form("the payload is not base64url")}},
		{"empty payload", h, "", []zendesk.Problem{form(notPayload)}},
		{"payload is a string", h, encode(`"x"`), []zendesk.Problem{form(notPayload)}},
		{"payload is a list", h, encode("[" + goodPayload + "]"), []zendesk.Problem{form(notPayload)}},
		{"payload is followed", h, encode(goodPayload + "x"), []zendesk.Problem{form("it is followed by other data")}},
		{"payload in bad UTF-8", h, encode(strings.Replace(goodPayload, "Jo", "J\xc3", 1)),
			[]zendesk.Problem{form("not valid UTF-8")}},
		{"email twice", h, encode(goodPayload[:len(goodPayload)-1] + `,"email":"ceo@acme.com"}`),
			[]zendesk.Problem{form(`it contains "email" twice`)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := p.Inspect(seal(t, key, test.header, test.payload), []secrets.Key{key}, inspectTime)
			wantProblems(t, got, test.want...)
			if got.Version != 1 {
				t.Errorf("Version is %d, but the signature is valid", got.Version)
			}
		})
	}
}

func TestInspectForm(t *testing.T) {
	key, p := testKey(t, 1, testSecret), testProfile(t)
	good := seal(t, key, encode(goodHeader), encode(goodPayload))
	unsigned := good[:strings.LastIndex(good, ".")]
	last := good[len(good)-1]
	for _, test := range []struct {
		name, token string
		part        zendesk.Part
		want        string
	}{
		{"nothing", "", zendesk.PartForm, "has 1 part;"},
		{"one part", "x", zendesk.PartForm, "has 1 part;"},
		{"no signature", unsigned, zendesk.PartForm, "has 2 parts"},
		{"four parts", good + ".x", zendesk.PartForm, "has 4 parts"},
		{"encrypted", "a.b.c.d.e", zendesk.PartForm, "has 5 parts"},
		{"a newline at the end", good + "\n", zendesk.PartForm, "the signature is not base64url"},
		{"a newline within", good[:len(good)-5] + "\r" + good[len(good)-5:],
			zendesk.PartForm, "the signature is not base64url"},
		{"a space at the end", good + " ", zendesk.PartForm, "the signature is not base64url"},
		{"padding", good + "=", zendesk.PartForm, "the signature is not base64url"},
		// The last of 43 characters encodes 4 bits of the signature, and 2 bits that must be 0.
		{"loose bits", good[:len(good)-1] + string(nextBase64(last)),
			zendesk.PartForm, "the signature is not base64url"},
		{"empty signature", unsigned + ".", zendesk.PartSignature, "verifies under none"},
		{"short signature", unsigned + "." + encode("x"), zendesk.PartSignature, "verifies under none"},
		{"long signature", good + "AAAA", zendesk.PartSignature, "verifies under none"},
		{"hexadecimal signature", unsigned + "." + strings.Repeat("0a", 32),
			zendesk.PartSignature, "verifies under none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := p.Inspect(test.token, []secrets.Key{key}, inspectTime)
			wantProblems(t, got, zendesk.Problem{Part: test.part, Description: test.want})
			if got.Version != 0 {
				t.Errorf("Version is %d", got.Version)
			}
		})
	}
}

// nextBase64 returns the character with the next value.
func nextBase64(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)+1]
}

func TestInspectHeldVersions(t *testing.T) {
	p := testProfile(t)
	active := testKey(t, 5, testSecret)
	staged := testKey(t, 6, otherSecret)
	previous := testKey(t, 4, strings.Repeat("previous", 6))
	gone := testKey(t, 3, strings.Repeat("longgone", 6))
	held := []secrets.Key{active, staged, previous}
	for _, test := range []struct {
		name    string
		key     secrets.Key
		held    []secrets.Key
		version secrets.Version
		want    string
	}{
		{"active", active, held, 5, ""},
		{"active alone", active, held[:1], 5, ""},
		{"staged", staged, held, 6, ""},
		{"previous", previous, held, 4, "verifies under version 4, which version 5 has replaced"},
		{"no longer held", gone, held, 0, "verifies under none of the held versions of the secret (3)"},
		{"not held", staged, held[:1], 0, "verifies under none of the held versions of the secret (1)"},
		{"none held", active, nil, 0, "no version of the secret is held"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := p.Inspect(seal(t, test.key, encode(goodHeader), encode(goodPayload)), test.held, inspectTime)
			var want []zendesk.Problem
			if test.want != "" {
				want = append(want, zendesk.Problem{Part: zendesk.PartSignature, Description: test.want})
			}
			wantProblems(t, got, want...)
			if got.Version != test.version {
				t.Errorf("Version is %d, want %d", got.Version, test.version)
			}
		})
	}
}

func TestInspectSeveralProblems(t *testing.T) {
	wrong := testKey(t, 1, otherSecret)
	token := seal(t, wrong, encode(`{"typ":"jwt","kid":"x"}`),
		encode(`{"iat":"now","jti":7,"email":"Jo <jo@example.com>","role":"owner","tags":"a,b"}`))
	got := testProfile(t).Inspect(token, []secrets.Key{testKey(t, 1, testSecret)}, inspectTime)
	wantProblems(t, got,
		zendesk.Problem{Part: zendesk.PartHeader, Name: "alg", Description: "is missing"},
		zendesk.Problem{Part: zendesk.PartHeader, Name: "kid", Description: "not part"},
		zendesk.Problem{Part: zendesk.PartHeader, Name: "typ", Description: "must be"},
		zendesk.Problem{Part: zendesk.PartSignature, Description: "under none"},
		zendesk.Problem{Part: zendesk.PartIssuedAt, Name: "iat", Description: "whole number"},
		zendesk.Problem{Part: zendesk.PartClaims, Name: "jti", Description: "must be a string"},
		zendesk.Problem{Part: zendesk.PartClaims, Name: "email", Description: "unquoted"},
		zendesk.Problem{Part: zendesk.PartClaims, Name: "name", Description: "is missing"},
		zendesk.Problem{Part: zendesk.PartClaims, Name: "role", Description: "must be one of"},
		zendesk.Problem{Part: zendesk.PartClaims, Name: "tags", Description: "array of strings"},
	)
}

// TestInspectFarTimes checks the description of an iat that is centuries away, at which a
// time.Duration overflows.
func TestInspectFarTimes(t *testing.T) {
	key := testKey(t, 1, testSecret)
	for iat, want := range map[string]string{
		"0":           "days ago",
		"99999999999": "more than 100 years ahead",
		"20000000000": "more than 100 years ahead",
		"1767409445":  "24h0m0s ahead",
		"1768323045":  "11 days ahead",
	} {
		payload := strings.Replace(goodPayload, "1767323045", iat, 1)
		token := seal(t, key, encode(goodHeader), encode(payload))
		got := testProfile(t).Inspect(token, []secrets.Key{key}, inspectTime)
		wantProblems(t, got, zendesk.Problem{Part: zendesk.PartIssuedAt, Name: "iat", Description: want})
	}
}

func TestInspectReturnsClaims(t *testing.T) {
	key := testKey(t, 1, testSecret)
	got := testProfile(t).Inspect(seal(t, key, encode(goodHeader), encode(goodPayload)),
		[]secrets.Key{key}, inspectTime)
	if !got.IssueTime.Equal(inspectTime) || got.IssueTime.Location() != time.UTC {
		t.Errorf("IssueTime is %v", got.IssueTime)
	}
	var claims []string
	for name, raw := range got.Claims {
		claims = append(claims, name+"="+string(raw))
	}
	slices.Sort(claims)
	if want := []string{
		`email="jo@example.com"`, `iat=1767323045`, `jti="j1"`, `name="Jo"`,
	}; !slices.Equal(claims, want) {
		t.Errorf("Claims are %q, want %q", claims, want)
	}
	if got := testProfile(t).Inspect("x.y.z", []secrets.Key{key}, inspectTime); got.Claims != nil ||
		!got.IssueTime.IsZero() {
		t.Errorf("got %+v for a token without claims", got)
	}
}

// TestInspectIsLinear checks that a token with very many members doesn't cost much more than
// reading it. Comparing each name with all earlier ones took half a minute for a third as many
// members.
func TestInspectIsLinear(t *testing.T) {
	var b strings.Builder
	b.WriteString(goodPayload[:len(goodPayload)-1])
	for i := range 300_000 {
		fmt.Fprintf(&b, `,"%x":0`, i)
	}
	b.WriteString("}")
	key := testKey(t, 1, testSecret)
	token := seal(t, key, encode(goodHeader), encode(b.String()))
	profile, done := testProfile(t), make(chan zendesk.Inspection, 1)
	go func() { done <- profile.Inspect(token, []secrets.Key{key}, inspectTime) }()
	select {
	case got := <-done:
		wantProblems(t, got)
	case <-time.After(2 * time.Minute):
		t.Errorf("inspecting %d bytes takes more than two minutes", len(token))
	}
}
