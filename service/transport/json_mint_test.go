package transport

import (
	"bytes"
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// TestMintJSON shows that Marshal writes what protojson writes, but for spaces: for the whole
// answer, for each field alone, for the answer without that field, and for an empty answer.
func TestMintJSON(t *testing.T) {
	text := "a \"<é>\u2028\n\\"
	whole := &pb.MintTokenResponse{
		Token: text, Jti: text, SecretVersion: 1<<32 - 1, Attempt: text,
		IssueTime: &timestamppb.Timestamp{Seconds: 1767323045}, ExpireTime: &timestamppb.Timestamp{Seconds: 1},
		Form: &pb.SignInForm{
			Action: text, Fields: map[string]string{"jwt": text, "return_to": ""},
			FormActionSources: []string{"https://a", text},
		},
		Warnings: []*pb.Warning{{Field: "user.phone", Description: text}, {}},
	}
	answers := []*pb.MintTokenResponse{
		{}, whole, {Form: &pb.SignInForm{}}, {Form: &pb.SignInForm{Fields: map[string]string{"jwt": "x"}}},
	}
	whole.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		one, without := &pb.MintTokenResponse{}, proto.CloneOf(whole)
		one.ProtoReflect().Set(f, v)
		without.ProtoReflect().Clear(f)
		answers = append(answers, one, without)
		return true
	})
	if want := whole.ProtoReflect().Descriptor().Fields().Len(); len(answers) != 4+2*want {
		t.Fatalf("%d answers to try: a field of the contract is missing here", len(answers))
	}
	j := newStrictJSON()
	for _, m := range answers {
		got, err := j.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		want, err := j.JSONPb.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if compact(t, got) != compact(t, want) {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
		back := &pb.MintTokenResponse{}
		if err := protojson.Unmarshal(got, back); err != nil || !proto.Equal(back, m) {
			t.Errorf("%v: %s read back is %v", err, got, back)
		}
	}
}

// compact returns the JSON without the spaces that protojson adds at random, and with each string
// written in the same way.
func compact(t *testing.T, text []byte) string {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
