package inspect_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/zendesk/inspect"
)

// FuzzToken checks that Token never panics, and that another library accepts each token that it
// accepts without a warning about the header.
func FuzzToken(f *testing.F) {
	key := testKey(f, 1, testSecret)
	f.Add(seal(f, key, encode(goodHeader), encode(goodPayload)), "", "", false)
	f.Add("", goodHeader, goodPayload, true)
	f.Add("", goodHeader, goodPayload+"\n", true)
	f.Add("", `{"typ":"JWT","alg":"none"}`,
		`{"iat":1767323045000,"jti":null,"tags":[null],"user_fields":{"a":{"b":[]}}}`, true)
	f.Add("", `{"alg":"HS256","alg":"none"}`, `{"iat":-1,"organization_id":1e400,"email":"\ud800"}`, true)
	f.Add("a.b.c", "null", "[]", true)
	f.Add("..", "{", "}", true)
	f.Add("..", "0", "0", false)
	f.Add(".", "0", "0", false)
	f.Add("0", "{{", "{{", true)
	p := testProfile(f, forBoth)
	f.Fuzz(func(t *testing.T, token, header, payload string, signed bool) {
		if signed {
			token = seal(t, key, encode(header), encode(payload))
		}
		got := inspect.Token(p, token, []secrets.Key{key}, inspectTime)
		for _, problem := range slices.Concat(got.Problems, got.Warnings, got.Differences) {
			if problem.Description == "" || problem.Part < inspect.PartForm || problem.Part > inspect.PartClaims {
				t.Fatalf("%q: problem %+v", token, problem)
			}
		}
		inHeader := func(p inspect.Problem) bool { return p.Part == inspect.PartHeader }
		if len(got.Problems) > 0 || slices.ContainsFunc(got.Warnings, inHeader) {
			return
		}
		other, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.HS256})
		if err != nil {
			t.Fatalf("%q is accepted, but go-jose reports: %v", token, err)
		}
		b, err := other.Verify([]byte(testSecret))
		if err != nil || !json.Valid(b) || got.Version != 1 || got.IssueTime.IsZero() {
			t.Fatalf("%q is accepted, but go-jose reports %v for %s; the result is %+v", token, err, b, got)
		}
	})
}
