package transport

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// TestErrorsAreSmall checks that an error stays under 8 KiB over both transports, whatever the
// names and descriptions are made of, and that it says how many fields it leaves out.
func TestErrorsAreSmall(t *testing.T) {
	const limit = 8 << 10
	for name, text := range map[string]string{
		"letters": "a", "quotes": `"`, "control characters": "\x01", "two bytes": "é", "four bytes": "😀",
		"invalid": "\xff",
	} {
		for _, n := range []int{1, 2, 25, 26, 27, 400} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				long := strings.Repeat(text, 2000)
				r := &Refusal{
					Reason: ReasonInvalidField, Code: codes.InvalidArgument, HTTP: 400,
					Message:  "The request has invalid fields.",
					Metadata: map[string]string{"field": long},
				}
				for i := range n {
					r.Violations = append(r.Violations, Violation{fmt.Sprint(i, long), long})
				}
				body, err := r.MarshalJSON()
				if err != nil || len(body) > limit {
					t.Errorf("%d bytes of JSON, %v", len(body), err)
				}
				wire, err := proto.Marshal(r.GRPCStatus().Proto())
				if name != "invalid" && (err != nil || base64.StdEncoding.EncodedLen(len(wire)) > limit) {
					t.Errorf("%d bytes of protobuf, %v", len(wire), err)
				}
				for _, d := range r.GRPCStatus().Details() {
					if bad, ok := d.(*errdetails.BadRequest); ok {
						checkLeftOut(t, bad, n)
					}
				}
			})
		}
	}
}

// checkLeftOut checks that the violations and the number that the last one names add up to n.
func checkLeftOut(t *testing.T, bad *errdetails.BadRequest, n int) {
	t.Helper()
	all := bad.GetFieldViolations()
	more := 0
	_, _ = fmt.Sscanf(all[len(all)-1].GetDescription(), "is at fault, as well as %d other field", &more)
	if len(all)+more != n {
		t.Errorf("%d violations and %d more, want %d: %s", len(all), more, n, all[len(all)-1])
	}
}
