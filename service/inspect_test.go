package service_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
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
