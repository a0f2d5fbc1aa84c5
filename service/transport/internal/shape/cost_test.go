package shape_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

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
		n := allocated(func() {
			shape.Explain([]byte(body), (&pb.MintTokenRequest{}).ProtoReflect().Descriptor())
		})
		if n /= uint64(len(body)); n > 1000 {
			t.Errorf("%s: %d bytes are allocated for each byte of the body", name, n)
		}
	}
}

// TestBadTextCost checks that a message whose values are nested deeply is no more expensive than
// another one.
func TestBadTextCost(t *testing.T) {
	d := (&pb.MintTokenRequest{}).ProtoReflect().Descriptor()
	user := d.Fields().ByName("user")
	value := field(3, []byte("\xff")) // of google.protobuf.Value: string_value
	for range 4000 {
		value = field(6, field(1, value)) // list_value, values
	}
	entry := append(field(1, []byte("a")), field(2, value)...)
	message := field(user.Number(), field(user.Message().Fields().ByName("user_fields").Number(), entry))

	var paths []string
	n := allocated(func() { paths = shape.BadText(message, d) }) / uint64(len(message))
	if n > 10 || !slices.Equal(paths, []string{"user.user_fields"}) {
		t.Errorf("%q, and %d bytes are allocated for each byte of the message", paths, n)
	}
}

// field encodes a field with a length.
func field(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
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
