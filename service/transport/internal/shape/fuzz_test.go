package shape_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/transport/internal/shape"
)

// FuzzExplain checks that Explain finds what is wrong with every body that protojson refuses, that
// it finds nothing wrong with the others, and that it repeats no value.
func FuzzExplain(f *testing.F) {
	for _, seed := range []string{
		`{"user":{"email":"a@b.example","emailVerified":true,"name":"A"},"brandId":"1"}`,
		`{"user":{"tags":["vip"],"organizations":"Acme","localeId":"en-US","role":"agent"}}`,
		`{"user":{"userFields":{"a.b":[1,{"x":null,"x":1e999}],"":"\ud83d\ude00"}}}`,
		`{"secretVersion":"1e2","user":{"customRoleId":1.0,"role":2,"locale_id":-0.0}}`,
		`{"secretVersion":4294967295.0,"user":{"localeId":"9223372036854775807"}}`,
		`{"secretVersion":" 1","validateOnly":null,"user":{"organizations":[null],"tags":null}}`,
		`{"User":{},"e-mail":1,"[a.b]":2,"@type":"","dmk_x":1,"user":1,"user":2}`,
		`{"user":{"name":"\ud800\u0041","phone":"\\ud800","email":"\udc00"}}`,
		"{\"user\":{\"name\":\"\xe9\",\"phone\":\"a\nb\",\"\xff\":1}}",
		"{'a':1}", "{a:1}", "{\"a\":1,}", "[1,]", "{\"a\" 1}", "{}{}", "//", "nul", "-", "01", "\"\\x\"",
		" ", "", "\ufeff{}",
		"{\x00}\x00", "a=b", strings.Repeat("[", 10_001), `{"user":` + strings.Repeat("[", 50),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, m := range []proto.Message{
			&pb.MintTokenRequest{}, &pb.RenderFormRequest{}, &pb.ReportSignInFailureRequest{},
		} {
			d := m.ProtoReflect().Descriptor()
			err := protojson.Unmarshal(body, m)
			message, faults := shape.Explain(body, d)
			if (err != nil) != (message != "") {
				t.Fatalf("%s: protojson says %v, and Explain %q %v", d.Name(), err, message, faults)
			}
			if err != nil {
				continue
			}
			spelling := shape.SpellingOf(body, d)
			for _, path := range []string{
				"user.user_fields[\"a.b\"]", "user.organizations[0]", "x[", "user[\"", "..", "user..x",
			} {
				if got := spelling.Path(path); len(got) > len(path) || len(got) < len(path)-2 {
					t.Errorf("%q is spelt %q", path, got)
				}
			}
		}
	})
}
