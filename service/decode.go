package service

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"
)

// decodable registers services whose messages come over a wire, so that bytes which
// are no message, or too many, are the caller's fault as they are at the REST gateway.
// The library would call them its own fault, in its own words, and has answered
// before a handler or an interceptor is asked.
type decodable struct{ grpc.ServiceRegistrar }

// RegisterService implements [grpc.ServiceRegistrar].
func (d decodable) RegisterService(desc *grpc.ServiceDesc, impl any) {
	own := *desc
	own.Methods = slices.Clone(desc.Methods)
	for i, m := range own.Methods {
		own.Methods[i].Handler = func(impl any, ctx context.Context, receive func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			return m.Handler(impl, ctx, func(v any) error { return decode(receive, v) }, intercept)
		}
	}
	d.ServiceRegistrar.RegisterService(&own, impl)
}

func decode(receive func(any) error, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("can't decode into a %T", v)
	}
	in := incoming{Message: m}
	if err := receive(&in); err != nil {
		return err
	}
	switch {
	case in.bytes > maxBody:
		return statusOf(tooLarge(maxBody)).Err()
	case in.fault != nil:
		return statusOf(badRequest("The message can't be decoded: it is not one of this request, or has text that is not valid UTF-8.")).Err()
	}
	return nil
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

// patientCodec is the protobuf codec, but leaves it to who receives a message to
// say what is wrong with it.
type patientCodec struct{ encoding.CodecV2 }

func newPatientCodec() patientCodec { return patientCodec{encoding.GetCodecV2(protocodec.Name)} }

// Unmarshal implements [encoding.CodecV2].
func (c patientCodec) Unmarshal(data mem.BufferSlice, v any) error {
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
