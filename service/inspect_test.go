package service_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
)

// TestDeepClaims checks that every client can read the answer to InspectToken, whatever the token
// has in it. Many clients refuse a message that is nested more than 100 levels deep. A claim that
// is nested too deeply is returned as text.
func TestDeepClaims(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for _, nested := range []struct{ open, end string }{{"[", "]"}, {`{"a":`, "}"}} {
		for depth, structured := range map[int]bool{1: true, 31: true, 32: false, 100: false, 2000: false} {
			value := strings.Repeat(nested.open, depth) + "1" + strings.Repeat(nested.end, depth)
			payload := base64.RawURLEncoding.EncodeToString([]byte(`{"deep":` + value + `}`))
			body := fmt.Sprintf(`"token":"e30.%s.e30"`, payload)
			eachTransport(t, func(t *testing.T, tr transport) {
				r := tr.send(t.Context(), t, s, call{method: "InspectToken", body: body})
				m := get[*pb.InspectTokenResponse](t, r)
				claim := m.GetClaims().GetFields()["deep"]
				if _, text := claim.GetKind().(*structpb.Value_StringValue); text == structured {
					t.Errorf("depth %d: the claim is %v", depth, claim)
				}
				if text := claim.GetStringValue(); !structured && text != value {
					t.Errorf("depth %d: the claim is %q", depth, text)
				}
				wire, err := proto.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				client := proto.UnmarshalOptions{RecursionLimit: 100}
				if err := client.Unmarshal(wire, &pb.InspectTokenResponse{}); err != nil {
					t.Errorf("depth %d: %v", depth, err)
				}
			})
		}
	}
}

// TestLongLanguage checks that only the beginning of a language is parsed. A request whose language
// is too long still gets a page, the one that refuses it.
func TestLongLanguage(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	eachTransport(t, func(t *testing.T, tr transport) {
		// The part behind the first 64 bytes would make the tag invalid, and the page English.
		tag := "de-x" + strings.Repeat("-aaaaaaa", 8)[:60] + strings.Repeat("\x00", 4000)
		body := user("") + `,"onError":"ON_ERROR_PAGE","language":` + quote(tag)
		r := tr.send(t.Context(), t, s, call{method: "RenderForm", body: body, name: "acme-gone"})
		if m := get[*pb.RenderFormResponse](t, r); !strings.Contains(m.GetHtml(), `<html lang="de"`) {
			t.Errorf("the page isn't German: %.200s", m.GetHtml())
		}
	})
}

// signed returns a token that is signed with the given text.
func signed(t *testing.T, secret, header, claims string) string {
	t.Helper()
	key, err := secrets.NewKey(1, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := key.Sign(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// TestInspectToken checks the three lists of the answer through both transports: what Zendesk would
// refuse, what it ignores or doesn't document, and what Deskmint would send in another way.
func TestInspectToken(t *testing.T) {
	const header = `{"typ":"JWT","alg":"HS256"}`
	s := start(t, settings{configuration: configuration})
	claims := fmt.Sprintf(`{"iat":%d,"jti":"j","email":"jo@customer.example","name":"Jo"}`, now.Unix())
	token := func(more string) string { return signed(t, customersSecret, header, claims[:len(claims)-1]+more+"}") }
	by := func(secret string) string { return signed(t, secret, header, claims) }
	under := func(header string) string { return signed(t, customersSecret, header, claims) }
	for name, test := range map[string]struct {
		token                           string
		problems, warnings, differences string // NAME DESCRIPTION; …
	}{
		"good": {token(""), "", "", ""},
		"a fractional iat": {
			signed(t, customersSecret, header, strings.Replace(claims, `,"jti"`, `.25,"jti"`, 1)),
			"", "iat is written with a fraction", "",
		},
		"unknown":  {token(`,"x":1`), "", "x is not documented", "x would not be sent"},
		"null":     {token(`,"phone":null`), "", "phone is null", "phone is null"},
		"a number": {token(`,"external_id":7`), "external_id must be", "", "external_id has"},
		"exp":      {token(`,"exp":1`), "", "exp has passed", "exp would not be sent"},
		"a nested field": {
			token(`,"user_fields":{"a":{}}`), "", `user_fields ["a"] is nested`, `user_fields ["a"]`,
		},
		"locale_id": {
			token(`,"locale_id":8`), "", "locale_id has no effect", "locale_id would be sent as locale",
		},
		"kid": {
			under(`{"typ":"JWT","alg":"HS256","kid":"1"}`), "", "kid is not part", "kid would not be sent",
		},
		"no typ": {
			under(`{"alg":"HS256"}`), "typ is missing: Zendesk then answers as if the signature", "", "",
		},
		"a quoted secret": {
			by(`"` + customersSecret + `"`), "fits no version; fits version 1 of the secret in quotes", "", "",
		},
		"an encoded secret": {
			by(base64.StdEncoding.EncodeToString([]byte(customersSecret))),
			"fits no version; fits version 1 of the secret base64-encoded", "", "",
		},
		"another secret": {by(staffSecret), "fits no version", "", ""},
		"a form":         {"jwt=" + token("") + "&return_to=%2Fhc", "is a form or a URL", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, tr transport) {
				m := get[*pb.InspectTokenResponse](t,
					tr.send(t.Context(), t, s, call{method: "InspectToken", body: `"token":` + quote(test.token)}))
				if m.GetAcceptable() != (test.problems == "") {
					t.Errorf("acceptable: %v", m.GetAcceptable())
				}
				checkProblems(t, "problems", m.GetProblems(), test.problems)
				checkProblems(t, "warnings", m.GetWarnings(), test.warnings)
				checkProblems(t, "differences", m.GetConfigurationDifferences(), test.differences)
			})
		})
	}
}

// checkProblems checks the beginning of each problem in a list. The wanted ones are joined by "; ".
func checkProblems(t *testing.T, list string, got []*pb.TokenProblem, want string) {
	t.Helper()
	wants := strings.Split(want, "; ")
	if want == "" {
		wants = nil
	}
	ok := len(got) == len(wants)
	for i, p := range got {
		text := strings.TrimSpace(p.GetName() + " " + p.GetDescription())
		ok = ok && p.GetPart() != pb.TokenPart_TOKEN_PART_UNSPECIFIED && strings.HasPrefix(text, wants[i])
	}
	if !ok {
		t.Errorf("%s: got %v, want %q", list, got, want)
	}
}
