package transport

import (
	"context"
	"net/http"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/panics"
)

// workers is the number of goroutines that each serve one request after another. A new goroutine
// has to grow its stack, which takes as long as the signature. Requests beyond this number get new
// goroutines.
const workers = 64

func (t *Servers) grpcServer(streams context.Context) *grpc.Server {
	timeouts := t.options.Timeouts
	options := []grpc.ServerOption{
		grpc.ChainStreamInterceptor(endStreamsWith(streams), limitWatches),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			_, err := t.call(t.options.Unknown, &Call{ctx: stream.Context(), refused: noSuchMethod()})
			return err
		}),
		grpc.ForceServerCodecV2(newDeferringCodec()),
		grpc.MaxRecvMsgSize(4 * maxBody), // the library answers a larger message itself
		grpc.MaxSendMsgSize(MaxAnswer),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.NumStreamWorkers(workers),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.ConnectionTimeout(timeouts.Read),
		grpc.InTapHandle(timeouts.limitRequest),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: timeouts.Idle, MaxConnectionAge: timeouts.Age, MaxConnectionAgeGrace: timeouts.Request,
			Time: timeouts.Quiet, Timeout: timeouts.Read,
		}),
		grpc.KeepaliveEnforcementPolicy(
			// Half of what clients should use, because a ping can be delayed.
			keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true},
		),
	}
	if t.options.Stats != nil {
		options = append(options, grpc.StatsHandler(messageStats{t.options.Stats}))
	}
	if t.options.TLS != nil {
		options = append(options, grpc.Creds(t.grpcCredentials()))
	}
	server := grpc.NewServer(options...)
	t.register(server)
	healthpb.RegisterHealthServer(server, &publicHealth{server: t.health})
	if t.options.Reflection {
		reflection.Register(server)
	}
	return server
}

// register registers the methods without the generated handlers, which would decode a message
// before the caller is known.
func (t *Servers) register(r grpc.ServiceRegistrar) {
	for _, desc := range []grpc.ServiceDesc{pb.TokenService_ServiceDesc, pb.ConfigurationService_ServiceDesc} {
		ours := grpc.ServiceDesc{ServiceName: desc.ServiceName, HandlerType: (*any)(nil), Metadata: desc.Metadata}
		for _, m := range t.options.Methods {
			if !strings.HasPrefix(m.Full, "/"+desc.ServiceName+"/") {
				continue
			}
			ours.Methods = append(ours.Methods, grpc.MethodDesc{
				MethodName: m.name(),
				Handler: func(
					_ any, ctx context.Context, receive func(any) error, _ grpc.UnaryServerInterceptor,
				) (any, error) {
					return t.call(m, &Call{
						ctx: ctx, http: httpCallOf(ctx), receive: receive, ignoreUnknown: m.IgnoreUnknown,
					})
				},
			})
		}
		r.RegisterService(&ours, t)
	}
}

func noSuchMethod() *Refusal {
	return InvalidRequest(codes.Unimplemented, http.StatusNotFound, "There is no such method.")
}

// call calls a method. It turns a panic into the error of one request, because grpc-go would let it
// end the process.
func (t *Servers) call(m Method, c *Call) (out any, err error) {
	defer func() {
		if p := recover(); p != nil {
			t.logPanic(c.ctx, c.RequestID(), panics.Error(p))
			_ = grpc.SetHeader(c.ctx, metadata.Pairs(HeaderRequestID, c.RequestID())) // REST has set it
			out, err = nil, Internal()
		}
	}()
	return c.reply(m.Serve(c.ctx, c))
}

// reply returns an answer in the form of a gRPC handler.
func (c *Call) reply(a Answer) (any, error) {
	err := grpc.SetHeader(c.ctx, a.Header)
	if c.http != nil {
		a = c.http.spell(a)
	}
	switch {
	case a.Message == nil && a.Refusal != nil:
		return nil, a.Refusal
	case a.Message == nil, err != nil && a.Refusal == nil:
		return nil, Internal()
	}
	// A page that is the whole answer gets the HTTP status of the refusal. A page in a field
	// doesn't.
	if _, page := a.Message.(*httpbody.HttpBody); page && c.http != nil && a.Refusal != nil {
		c.http.status = a.Refusal.HTTP
	}
	return a.Message, nil
}

// endStreamsWith ends all streams when ctx ends. Otherwise a graceful stop would wait for a health
// watch, which a client can keep open for any time.
func endStreamsWith(ctx context.Context) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		bounded, cancel := context.WithCancel(stream.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		return handle(srv, &boundedStream{stream, bounded})
	}
}

type boundedStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements [grpc.ServerStream].
func (s *boundedStream) Context() context.Context { return s.ctx }

// ours reports whether a full method name is one of the API.
func ours(full string) bool {
	return strings.HasPrefix(full, "/"+pb.TokenService_ServiceDesc.ServiceName+"/") ||
		strings.HasPrefix(full, "/"+pb.ConfigurationService_ServiceDesc.ServiceName+"/")
}
