package shape_test

import (
	"runtime"
	"strings"
	"testing"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/transport/internal/shape"
)

// TestExplainCost checks that no body makes its explanation expensive. It measures the memory that
// the explanation allocates for each byte of the body.
func TestExplainCost(t *testing.T) {
	const size = 60 << 10
	fill := func(start, unit, end string) string { return start + strings.Repeat(unit, size/len(unit)) + end }
	for name, body := range map[string]string{
		"unknown names":           fill(`{`, `"a":0,`, `"z":0}`),
		"names that are no words": fill(`{`, `"@":0,`, `"z":0}`),
		"unknown names in user":   fill(`{"user":{`, `"organisationids":0,`, `"z":0}}`),
		"wrong items":             fill(`{"user":{"tags":{"values":[`, `1,`, `1]}}}`),
		"wrong numbers":           fill(`{"user":{"userFields":{"a":[`, `1e999,`, `1]}}}`),
		"nested lists": `{"z":1,"user":{"userFields":{"a":` + strings.Repeat("[", 9000) +
			strings.Repeat("]", 9000) + `}}}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, faults := shape.Explain([]byte(body), (&pb.MintTokenRequest{}).ProtoReflect().Descriptor())
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / uint64(len(body)); n > 1000 {
			t.Errorf("%s: %d bytes are allocated for each byte of the body, with %d faults", name, n, len(faults))
		}
	}
}

// TestExplainRepeatsWords checks that a fault repeats a name only if it has the characters of names.
func TestExplainRepeatsWords(t *testing.T) {
	d := (&pb.MintTokenRequest{}).ProtoReflect().Descriptor()
	for body, want := range map[string]string{
		`{"user":{"e-mail":""}}`:            "user.e-mail",
		`{"user":{"E Mail":""}}`:            "user.E Mail",
		`{"user":{"ema\nil":""}}`:           "user",
		"{\"user\":{\"\u202eemail\":\"\"}}": "user",
		`{"user":{"email@":""}}`:            "user",
	} {
		if _, faults := shape.Explain([]byte(body), d); len(faults) != 1 || faults[0].Field != want {
			t.Errorf("%s: %+v; want the field %q", body, faults, want)
		}
	}
}
