package transport

import (
	"context"
	"errors"
	"maps"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// localConn is a grpc.ClientConnInterface whose server is in the same process. A call runs the
// registered handler on the goroutine of the caller and with its context. A call needs no socket
// and no serialization. It has no second identity either: the handler authenticates the client of
// the REST gateway.
//
// All services must be registered before the first call. After that it is safe for concurrent use.
type localConn struct {
	methods map[string]localMethod
	stats   stats.Handler // nil: none
}

type localMethod struct {
	desc grpc.MethodDesc
	impl any
}

func newLocalConn(handler stats.Handler) *localConn {
	return &localConn{methods: make(map[string]localMethod), stats: handler}
}

// RegisterService implements [grpc.ServiceRegistrar].
func (c *localConn) RegisterService(desc *grpc.ServiceDesc, impl any) {
	for _, m := range desc.Methods {
		c.methods["/"+desc.ServiceName+"/"+m.MethodName] = localMethod{m, impl}
	}
}

// Invoke implements [grpc.ClientConnInterface]. It copies the messages, so that later changes on
// one side don't affect the other.
func (c *localConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	m, ok := c.methods[method]
	if !ok {
		return status.Error(codes.Unimplemented, "unknown method")
	}
	stream := &localStream{method: method, call: beginStats(serverContext(ctx), c.stats, method)}
	receive := copyInto(args)
	if httpCallOf(ctx) == nil { // otherwise Call.Decode reads the message and reports it
		receive = stream.call.received(receive)
	}
	handlerCtx := grpc.NewContextWithServerTransportStream(stream.call.ctx, stream)
	response, err := m.desc.Handler(m.impl, handlerCtx, receive, nil)
	if ended := Over(ctx); ended != nil && err == nil && httpCallOf(ctx) == nil {
		err = ended // a gRPC client doesn't get an answer after its deadline either
	}
	if err == nil {
		err = copyInto(response)(reply)
	}
	if err != nil && !hasStatus(err) {
		if known, ok := Known(err); ok {
			err = known
		} else {
			err = status.FromContextError(err).Err()
		}
	}
	stream.end(response, err)
	stream.setCallOptions(ctx, opts)
	return err
}

// hasStatus reports whether an error such as a [Refusal] has a gRPC status. It doesn't create the
// status, because that is slow.
func hasStatus(err error) bool {
	var known interface{ GRPCStatus() *status.Status }
	return errors.As(err, &known)
}

// NewStream implements [grpc.ClientConnInterface]. It fails because the API has no streams.
func (*localConn) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "no streams here")
}

// serverContext returns the context that a handler behind a socket would have. A copy of the
// outgoing metadata becomes the incoming metadata.
func serverContext(ctx context.Context) context.Context {
	sent, _ := metadata.FromOutgoingContext(ctx) // a copy
	ctx = metadata.NewIncomingContext(ctx, sent)
	return metadata.NewOutgoingContext(ctx, metadata.MD{})
}

// copyInto returns a decoder that copies from into a message of the same type.
func copyInto(from any) func(any) error {
	return func(to any) error {
		if in, ok := to.(*incoming); ok {
			to = in.Message // it has fast methods, which the wrapper hides
		}
		src, ok := from.(proto.Message)
		dst, ok2 := to.(proto.Message)
		if !ok || !ok2 || src.ProtoReflect().Descriptor() != dst.ProtoReflect().Descriptor() {
			return status.Errorf(codes.Internal, "can't put a %T into a %T", from, to)
		}
		proto.Reset(dst)
		proto.Merge(dst, src)
		return nil
	}
}

// localStream collects the header and the trailer that a handler sets.
type localStream struct {
	method string
	call   callStats

	mu              sync.Mutex
	header, trailer metadata.MD
	sent            bool
}

// Method implements [grpc.ServerTransportStream].
func (s *localStream) Method() string { return s.method }

// SetHeader implements [grpc.ServerTransportStream].
func (s *localStream) SetHeader(md metadata.MD) error { return s.add(&s.header, md, false) }

// SendHeader implements [grpc.ServerTransportStream].
func (s *localStream) SendHeader(md metadata.MD) error { return s.add(&s.header, md, true) }

// SetTrailer implements [grpc.ServerTransportStream].
func (s *localStream) SetTrailer(md metadata.MD) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trailer = metadata.Join(s.trailer, md)
	return nil
}

func (s *localStream) add(to *metadata.MD, md metadata.MD, send bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent {
		return status.Error(codes.Internal, "the header has been sent")
	}
	s.sent = send
	if len(*to) == 0 {
		*to = maps.Clone(md) // cheaper than Join, and the usual case
	} else {
		*to = metadata.Join(*to, md)
	}
	if send {
		s.call.sentHeader(*to)
	}
	return nil
}

// end reports the parts of the answer that a gRPC server would send. It reports none if the caller
// has gone away, and no header for an error without one.
func (s *localStream) end(response any, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.call.ctx.Err() == nil {
		if !s.sent && (err == nil || len(s.header) > 0) {
			s.call.sentHeader(s.header)
		}
		if err == nil {
			s.call.sentPayload(response)
		}
		s.call.sentTrailer(s.trailer)
	}
	s.sent = true
	s.call.ended(err)
}

// setCallOptions stores the header, the trailer and the peer in the call options of the caller. The
// header and the trailer then belong to the caller.
func (s *localStream) setCallOptions(ctx context.Context, opts []grpc.CallOption) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = s.header
		case grpc.TrailerCallOption:
			*o.TrailerAddr = s.trailer
		case grpc.PeerCallOption:
			if p, ok := peer.FromContext(ctx); ok {
				*o.PeerAddr = *p
			}
		}
	}
}
