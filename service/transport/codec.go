package transport

import (
	"context"
	"fmt"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/deskmint/deskmint/service/transport/internal/shape"
)

// decodeGRPC reads the message of a gRPC call. The function receive is the decoder of the stream.
func decodeGRPC(ctx context.Context, receive func(any) error, m proto.Message) error {
	if compressed(ctx) {
		return InvalidRequest(codes.Unimplemented, http.StatusUnsupportedMediaType,
			"Compressed messages are not accepted. Send them uncompressed.")
	}
	in := incoming{Message: m}
	if err := receive(&in); err != nil {
		return receiveError(err)
	}
	switch {
	case in.bytes > maxBody:
		return tooLarge(maxBody)
	case len(in.badText) > 0:
		return badRequest("The message has text that is not valid UTF-8.", badText(in.badText)...)
	case in.err != nil:
		return badRequest("The message can't be decoded: it is not one of this request.")
	}
	return nil
}

func badText(paths []string) []Violation {
	violations := make([]Violation, len(paths))
	for i, path := range paths {
		violations[i] = Violation{path, "is not valid UTF-8, but perhaps in ISO-8859-1 or Windows-1252"}
	}
	return violations
}

// receiveError returns the refusal of a request whose message the library can't receive. The
// library has already sent its own answer, so only the record and the metrics have this refusal. A
// request that has ended keeps the library's error.
func receiveError(err error) error {
	switch status.Code(err) {
	case codes.ResourceExhausted: // longer than grpc.MaxRecvMsgSize
		return tooLarge(maxBody)
	case codes.Internal:
		return badRequest("The request must have one complete message.")
	}
	return err
}

// compressed reports whether the message of a gRPC call is compressed. Such messages are refused
// because a short one can expand to a very long one. The library could decode them, because the
// OTLP exporter registers the gzip codec for the whole process.
func compressed(ctx context.Context) bool {
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ RecvCompress() string })
	return ok && stream.RecvCompress() != "" && stream.RecvCompress() != encoding.Identity
}

func tooLarge(limit int64) *Refusal {
	return InvalidRequest(codes.ResourceExhausted, http.StatusRequestEntityTooLarge,
		fmt.Sprintf("The request is larger than %d bytes.", limit))
}

// incoming is a message together with the outcome of its decoding.
type incoming struct {
	proto.Message
	bytes   int
	err     error
	badText []string // the fields that the error is about, if it is about their text
}

// deferringCodec is the protobuf codec, except that it stores a decoding error in the message. The
// library would turn the error into an answer with its text.
type deferringCodec struct{ encoding.CodecV2 }

func newDeferringCodec() deferringCodec { return deferringCodec{encoding.GetCodecV2(protocodec.Name)} }

// Unmarshal implements [encoding.CodecV2].
func (c deferringCodec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*incoming)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if in.bytes = data.Len(); in.bytes <= maxBody {
		in.err = c.CodecV2.Unmarshal(data, in.Message)
	}
	if in.err != nil {
		in.badText = shape.BadText(data.Materialize(), in.ProtoReflect().Descriptor())
	}
	return nil
}

// messageStats passes the events of a call on to a stats handler, with each message in place of the
// incoming value that holds it.
type messageStats struct{ stats.Handler }

// HandleRPC implements [stats.Handler].
func (h messageStats) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if payload, ok := s.(*stats.InPayload); ok {
		if in, ok := payload.Payload.(*incoming); ok {
			changed := *payload
			changed.Payload = in.Message
			s = &changed
		}
	}
	h.Handler.HandleRPC(ctx, s)
}
