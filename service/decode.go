package service

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
	"google.golang.org/protobuf/proto"
)

// decodeMessage reads a request's message from where its transport has it. receive is gRPC's own
// decoder or, for a call of the REST gateway, gives what the path says.
func decodeMessage(ctx context.Context, receive func(any) error, m proto.Message) error {
	if call := httpCallOf(ctx); call != nil {
		err := call.decode(receive, m)
		if stream, ok := grpc.ServerTransportStreamFromContext(ctx).(*localStream); ok && err == nil {
			stream.call.receivedPayload(m)
		}
		return err
	}
	if compressed(ctx) {
		return &requestError{code: codes.Unimplemented, http: http.StatusUnsupportedMediaType, message: "Compressed messages are not taken: send them as they are."}
	}
	in := incoming{Message: m}
	if err := receive(&in); err != nil {
		return err
	}
	switch {
	case in.bytes > maxBody:
		return tooLarge(maxBody)
	case in.fault != nil:
		return badRequest("The message can't be decoded: it is not one of this request, or has text that is not valid UTF-8.")
	}
	return nil
}

// compressed reports whether the message of a gRPC call is compressed. A library beneath us brings
// the codec along, and a short message could stand for a very long one.
func compressed(ctx context.Context) bool {
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ RecvCompress() string })
	return ok && stream.RecvCompress() != "" && stream.RecvCompress() != encoding.Identity
}

func tooLarge(limit int64) *requestError {
	return &requestError{
		code: codes.ResourceExhausted, http: http.StatusRequestEntityTooLarge,
		message: fmt.Sprintf("The request is larger than %d bytes.", limit),
	}
}

// incoming is a message with what its decoding came to.
type incoming struct {
	proto.Message
	bytes int
	fault error
}

// deferringCodec is the protobuf codec, but leaves it to who receives a message to
// say what is wrong with it.
type deferringCodec struct{ encoding.CodecV2 }

func newDeferringCodec() deferringCodec { return deferringCodec{encoding.GetCodecV2(protocodec.Name)} }

// Unmarshal implements [encoding.CodecV2].
func (c deferringCodec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*incoming)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if in.bytes = data.Len(); in.bytes <= maxBody {
		in.fault = c.CodecV2.Unmarshal(data, in.Message)
	}
	return nil
}

// whole tells a stats handler of the messages themselves.
type whole struct{ stats.Handler }

// HandleRPC implements [stats.Handler].
func (w whole) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if payload, ok := s.(*stats.InPayload); ok {
		if in, ok := payload.Payload.(*incoming); ok {
			told := *payload
			told.Payload = in.Message
			s = &told
		}
	}
	w.Handler.HandleRPC(ctx, s)
}
