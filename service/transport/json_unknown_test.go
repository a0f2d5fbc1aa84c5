package transport

import (
	"testing"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// TestBlankUnknown checks that unknown fields become spaces, each in its place, and that everything
// else stays.
func TestBlankUnknown(t *testing.T) {
	for body, want := range map[string]string{
		`{}`:                         `{}`,
		`{"kind":"a","brandId":"1"}`: `{"kind":"a","brandId":"1"}`,
		`{"x":1}`:                    `{     }`,
		`{"x":1,"kind":"a"}`:         `{      "kind":"a"}`,
		`{"kind":"a","x":1}`:         `{"kind":"a"      }`,
		`{"x":1 , "y":2, "brand_id":"1","z":{"kind":[","]}, "kind":"a"}`: "" +
			`{               "brand_id":"1"                   , "kind":"a"}`,
		"{\"x\":\"é\"\n,\n\"kind\":\"a\"}":    "{        \n \n\"kind\":\"a\"}",
		`{"k\u0069nd":"a","Kind":"b"}`:        `{"k\u0069nd":"a"           }`,
		`{"kind":"a","kind":"b","x":1,"x":2}`: `{"kind":"a","kind":"b"            }`,
		// syntax errors stay
		`{"x":1,}`: `{     ,}`, `{"x":1`: `{     `, `{"x":{`: `{"x":{`, `{,"x":1}`: `{,"x":1}`, `["x"]`: `["x"]`,
		``:                ``,
		`{"x":1} {"x":1}`: `{     } {"x":1}`,
	} {
		b := []byte(body)
		blankUnknown(b, new(pb.ReportSignInFailureRequest))
		if string(b) != want || len(body) != len(want) {
			t.Errorf("%s becomes\n%s, want\n%s", body, b, want)
		}
	}
}
