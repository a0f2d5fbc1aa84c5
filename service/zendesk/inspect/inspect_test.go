package inspect_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/zendesk/inspect"
)

func TestSegments(t *testing.T) {
	key, p := testKey(t, 1, testSecret), testProfile(t)
	form := func(why string) inspect.Problem { return inspect.Problem{Part: inspect.PartForm, Description: why} }
	header := func(name, why string) inspect.Problem {
		return inspect.Problem{Part: inspect.PartHeader, Name: name, Description: why}
	}
	h, c := encode(goodHeader), encode(goodPayload)
	const notHeader, notPayload = "the header is not a JSON object", "the payload is not a JSON object"
	for _, test := range []struct {
		name            string
		header, payload string
		want            []inspect.Problem
		warnings        []inspect.Problem
	}{
		{"good", h, c, nil, nil},
		{"header spelt otherwise", encode(` {"alg" : "HS256", "typ":"\u004aWT"} `), c, nil, nil},

		{"header with padding", encode(`{"typ":"JWT","alg":"HS256" }`) + "==",
			c, []inspect.Problem{form("the header is not base64url")}, nil},
		{"header with a newline", h[:8] + "\n" + h[8:], c, []inspect.Problem{form("the header is not base64url")}, nil},
		{"header as JSON", goodHeader, c, []inspect.Problem{form("the header is not base64url")}, nil},
		{"empty header", "", c, []inspect.Problem{form(notHeader)}, nil},
		{"header is null", encode("null"), c, []inspect.Problem{form(notHeader)}, nil},
		{"header is a list", encode("[]"), c, []inspect.Problem{form(notHeader)}, nil},
		{"header is cut", encode(goodHeader[:20]), c, []inspect.Problem{form(notHeader)}, nil},
		{"header is followed", encode(goodHeader + "{}"), c,
			[]inspect.Problem{form("it is followed by other data")}, nil},
		{"header in bad UTF-8", encode("{\"typ\":\"JWT\xff\",\"alg\":\"HS256\"}"),
			c, []inspect.Problem{form("not valid UTF-8")}, nil},
		{"alg twice", encode(`{"alg":"none","typ":"JWT","alg":"HS256"}`),
			c, []inspect.Problem{form(`it contains "alg" twice`)}, nil},
		{"alg twice, once escaped", encode(`{"\u0061lg":"none","typ":"JWT","alg":"HS256"}`),
			c, []inspect.Problem{form(`it contains "alg" twice`)}, nil},

		{"no typ", encode(`{"alg":"HS256"}`), c, []inspect.Problem{header("typ", "is missing")}, nil},
		{"no alg", encode(`{"typ":"JWT"}`), c, []inspect.Problem{header("alg", "is missing")}, nil},
		{"neither", encode(`{}`), c, []inspect.Problem{header("alg", "is missing"), header("typ", "is missing")}, nil},
		{"typ in lower case", encode(`{"typ":"jwt","alg":"HS256"}`),
			c, []inspect.Problem{header("typ", `must be "JWT"`)}, nil},
		{"typ null", encode(`{"typ":null,"alg":"HS256"}`), c, []inspect.Problem{header("typ", `must be "JWT"`)}, nil},
		{"alg none", encode(`{"typ":"JWT","alg":"none"}`), c, []inspect.Problem{header("alg", `must be "HS256"`)}, nil},
		{"alg HS512", encode(`{"typ":"JWT","alg":"HS512"}`), c,
			[]inspect.Problem{header("alg", `must be "HS256"`)}, nil},
		{"alg in lower case", encode(`{"typ":"JWT","alg":"hs256"}`),
			c, []inspect.Problem{header("alg", `must be "HS256"`)}, nil},
		{"alg a number", encode(`{"typ":"JWT","alg":256}`), c,
			[]inspect.Problem{header("alg", `must be "HS256"`)}, nil},
		{"names in another case", encode(`{"TYP":"JWT","ALG":"HS256"}`), c,
			[]inspect.Problem{header("alg", "is missing"), header("typ", "is missing")},
			[]inspect.Problem{header("ALG", "not part"), header("TYP", "not part")}},
		{"a key id", encode(`{"typ":"JWT","kid":"1","alg":"HS256"}`), c, nil,
			[]inspect.Problem{header("kid", "whether Zendesk accepts it is not known")}},
		{"critical parameters", encode(`{"typ":"JWT","b64":true,"alg":"HS256","crit":["b64"]}`), c,
			[]inspect.Problem{header("crit", "must not be there")}, []inspect.Problem{header("b64", "not part")}},

		{"payload with padding", h, encode(goodPayload) + "=",
			[]inspect.Problem{form("the payload is not base64url")}, nil},
		{"payload in the standard alphabet", h, "+/" + c, []inspect.Problem{form("the payload is not base64url")}, nil},
		{"payload with a newline", h, c + "\r\n", []inspect.Problem{form("the payload is not base64url")}, nil},
		{"empty payload", h, "", []inspect.Problem{form(notPayload)}, nil},
		{"payload is a string", h, encode(`"x"`), []inspect.Problem{form(notPayload)}, nil},
		{"payload is a list", h, encode("[" + goodPayload + "]"), []inspect.Problem{form(notPayload)}, nil},
		{"payload is followed", h, encode(goodPayload + "x"),
			[]inspect.Problem{form("it is followed by other data")}, nil},
		{"payload in bad UTF-8", h, encode(strings.Replace(goodPayload, "Jo", "J\xc3", 1)),
			[]inspect.Problem{form("not valid UTF-8")}, nil},
		{"email twice", h, encode(goodPayload[:len(goodPayload)-1] + `,"email":"ceo@acme.com"}`),
			[]inspect.Problem{form(`it contains "email" twice`)}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := inspect.Token(p, seal(t, key, test.header, test.payload), []secrets.Key{key}, inspectTime)
			wantProblems(t, got, test.want...)
			wantWarnings(t, got, test.warnings...)
			if got.Version != 1 {
				t.Errorf("Version is %d, but the signature is valid", got.Version)
			}
		})
	}
}

func TestForm(t *testing.T) {
	key, p := testKey(t, 1, testSecret), testProfile(t)
	good := seal(t, key, encode(goodHeader), encode(goodPayload))
	unsigned := good[:strings.LastIndex(good, ".")]
	last := good[len(good)-1]
	for _, test := range []struct {
		name, token string
		part        inspect.Part
		want        string
	}{
		{"nothing", "", inspect.PartForm, "has 1 part;"},
		{"one part", "x", inspect.PartForm, "has 1 part;"},
		{"no signature", unsigned, inspect.PartForm, "has 2 parts"},
		{"a form", "jwt=" + good + "&return_to=%2Fhc", inspect.PartForm, "is a form or a URL"},
		{"a URL", "https://acme.zendesk.com/access/jwt?jwt=" + good, inspect.PartForm, "is a form or a URL"},
		{"four parts", good + ".x", inspect.PartForm, "has 4 parts"},
		{"encrypted", "a.b.c.d.e", inspect.PartForm, "has 5 parts"},
		{"a newline at the end", good + "\n", inspect.PartForm, "the signature is not base64url"},
		{"a newline within", good[:len(good)-5] + "\r" + good[len(good)-5:],
			inspect.PartForm, "the signature is not base64url"},
		{"a space at the end", good + " ", inspect.PartForm, "the signature is not base64url"},
		{"padding", good + "=", inspect.PartForm, "the signature is not base64url"},
		// The last of 43 characters encodes 4 bits of the signature, and 2 bits that must be 0.
		{"loose bits", good[:len(good)-1] + string(nextBase64(last)),
			inspect.PartForm, "the signature is not base64url"},
		{"empty signature", unsigned + ".", inspect.PartSignature, "fits no version"},
		{"short signature", unsigned + "." + encode("x"), inspect.PartSignature, "fits no version"},
		{"long signature", good + "AAAA", inspect.PartSignature, "fits no version"},
		{"hexadecimal signature", unsigned + "." + strings.Repeat("0a", 32),
			inspect.PartSignature, "fits no version"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := inspect.Token(p, test.token, []secrets.Key{key}, inspectTime)
			wantProblems(t, got, inspect.Problem{Part: test.part, Description: test.want})
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

func TestHeldVersions(t *testing.T) {
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
		{"no longer held", gone, held, 0, "fits no version of the secret (tried: 5, 6, 4)"},
		{"not held", staged, held[:1], 0, "fits no version of the secret (tried: 5)"},
		{"none held", active, nil, 0, "no version of the secret is held"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := inspect.Token(p, seal(t, test.key, encode(goodHeader), encode(goodPayload)), test.held, inspectTime)
			var want []inspect.Problem
			if test.want != "" {
				want = append(want, inspect.Problem{Part: inspect.PartSignature, Description: test.want})
			}
			wantProblems(t, got, want...)
			if got.Version != test.version {
				t.Errorf("Version is %d, want %d", got.Version, test.version)
			}
		})
	}
}

// TestSignatureVariants checks that the result names the text that the signer used in place of the
// secret.
func TestSignatureVariants(t *testing.T) {
	decoded, err := base64.StdEncoding.DecodeString(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, stored, signer, want string }{
		{
			"the signer decodes base64", testSecret, string(decoded), "fits version 4 of the secret base64-decoded. " +
				"Zendesk's key is the bytes as they are: the signer must not decode them",
		},
		{
			"the signer has quotes", testSecret, `"` + testSecret + `"`, "fits version 4 of the secret in quotes. " +
				"Zendesk's key is the bytes as they are: the signer must remove the quotes",
		},
		{
			"the stored value has quotes", `"` + testSecret + `"`, testSecret, "fits version 4 of the secret without " +
				"its quotation marks. The stored value is in quotation marks: store it without them",
		},
		{"another secret", testSecret, strings.ToLower(testSecret), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			held := []secrets.Key{testKey(t, 5, otherSecret), testKey(t, 4, test.stored)}
			token := seal(t, testKey(t, 1, test.signer), encode(goodHeader), encode(goodPayload))
			got := inspect.Token(nil, token, held, inspectTime)
			want := []inspect.Problem{{Part: inspect.PartSignature, Description: "fits no version of the secret"}}
			if test.want != "" {
				want = append(want, inspect.Problem{Part: inspect.PartSignature, Description: test.want})
			}
			wantProblems(t, got, want...)
			if got.Version != 0 {
				t.Errorf("Version is %d", got.Version)
			}
		})
	}
}

func TestSeveralProblems(t *testing.T) {
	wrong := testKey(t, 1, otherSecret)
	token := seal(t, wrong, encode(`{"typ":"jwt","kid":"x"}`),
		encode(`{"iat":"now","jti":7,"email":"Jo <jo@example.com>","role":"owner","tags":"a,b"}`))
	got := inspect.Token(testProfile(t), token, []secrets.Key{testKey(t, 1, testSecret)}, inspectTime)
	wantProblems(t, got,
		inspect.Problem{Part: inspect.PartHeader, Name: "alg", Description: "is missing"},
		inspect.Problem{Part: inspect.PartHeader, Name: "typ", Description: "must be"},
		inspect.Problem{Part: inspect.PartSignature, Description: "fits no version"},
		inspect.Problem{Part: inspect.PartIssuedAt, Name: "iat", Description: "must be a number"},
		inspect.Problem{Part: inspect.PartClaims, Name: "jti", Description: "must be a string"},
		inspect.Problem{Part: inspect.PartClaims, Name: "email", Description: "unquoted"},
		inspect.Problem{Part: inspect.PartClaims, Name: "name", Description: "is missing"},
		inspect.Problem{Part: inspect.PartClaims, Name: "role", Description: "must be one of"},
		inspect.Problem{Part: inspect.PartClaims, Name: "tags", Description: "array of strings"},
	)
	wantWarnings(t, got, inspect.Problem{Part: inspect.PartHeader, Name: "kid", Description: "not part"})
}

// TestFarTimes checks the description of an iat that is centuries away, at which a
// time.Duration overflows.
func TestFarTimes(t *testing.T) {
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
		got := inspect.Token(testProfile(t), token, []secrets.Key{key}, inspectTime)
		wantProblems(t, got, inspect.Problem{Part: inspect.PartIssuedAt, Name: "iat", Description: want})
	}
}

func TestReturnsClaims(t *testing.T) {
	key := testKey(t, 1, testSecret)
	got := inspect.Token(testProfile(t), seal(t, key, encode(goodHeader), encode(goodPayload)),
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
	if got := inspect.Token(testProfile(t), "x.y.z", []secrets.Key{key}, inspectTime); got.Claims != nil ||
		!got.IssueTime.IsZero() {
		t.Errorf("got %+v for a token without claims", got)
	}
}
