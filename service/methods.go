package service

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/policy"
)

// method is one RPC: the one place that says what it needs and what answers it. Its route over HTTP
// is in the contract, and package runtime of grpc-gateway knows it from there.
type method struct {
	full    string // as in /deskmint.v1.TokenService/MintToken
	name    string // MintToken
	action  policy.Action
	request func() proto.Message
	handle  func(s *Service, ctx context.Context, x *exchange) (answer, error)
}

// message is a pointer to a generated message.
type message[M any] interface {
	*M
	proto.Message
}

func newMethod[M any, R message[M]](full string, action policy.Action, handle func(*Service, context.Context, *exchange, R) (answer, error)) *method {
	return &method{
		full: full, name: full[strings.LastIndex(full, "/")+1:], action: action,
		request: func() proto.Message { return R(new(M)) },
		handle: func(s *Service, ctx context.Context, x *exchange) (answer, error) {
			return handle(s, ctx, x, x.message.(R))
		},
	}
}

// methods are all RPCs of the API. A test holds the table to the contract.
func methods() []*method {
	return []*method{
		newMethod(pb.TokenService_MintToken_FullMethodName, policy.SignIn, (*Service).mintToken),
		newMethod(pb.TokenService_RenderForm_FullMethodName, policy.SignIn, (*Service).renderForm),
		newMethod(pb.TokenService_RenderPage_FullMethodName, policy.SignIn, (*Service).renderPage),
		newMethod(pb.TokenService_InspectToken_FullMethodName, policy.Inspect, (*Service).inspectToken),
		newMethod(pb.ConfigurationService_ListConfigurations_FullMethodName, policy.Read, (*Service).listConfigurations),
		newMethod(pb.ConfigurationService_GetConfiguration_FullMethodName, policy.Read, (*Service).getConfiguration),
		newMethod(pb.ConfigurationService_ResolveConfiguration_FullMethodName, policy.Read, (*Service).resolveConfiguration),
		newMethod(pb.ConfigurationService_RefreshSecret_FullMethodName, policy.Refresh, (*Service).refreshSecret),
		newMethod(pb.ConfigurationService_ReportSignInFailure_FullMethodName, policy.Report, (*Service).reportSignInFailure),
	}
}

// Methods returns the full names of all RPCs of the API, as in /deskmint.v1.TokenService/MintToken.
// Health checks and reflection aren't among them.
func Methods() (all []string) {
	for _, m := range methods() {
		all = append(all, m.full)
	}
	return all
}

// ours reports whether a full method name is one of the API.
func ours(full string) bool {
	return strings.HasPrefix(full, "/"+pb.TokenService_ServiceDesc.ServiceName+"/") ||
		strings.HasPrefix(full, "/"+pb.ConfigurationService_ServiceDesc.ServiceName+"/")
}

// requests are all messages that have rules of their own.
func requests() (all []proto.Message) {
	for _, m := range methods() {
		all = append(all, m.request())
	}
	return all
}

// register puts the methods behind the pipeline wherever calls come from. The generated code would
// decode a message before anybody is asked who sends it.
func (s *Service) register(r grpc.ServiceRegistrar) {
	for _, desc := range []grpc.ServiceDesc{pb.TokenService_ServiceDesc, pb.ConfigurationService_ServiceDesc} {
		own := grpc.ServiceDesc{ServiceName: desc.ServiceName, HandlerType: (*any)(nil), Metadata: desc.Metadata}
		for _, m := range methods() {
			if !strings.HasPrefix(m.full, "/"+desc.ServiceName+"/") {
				continue
			}
			own.Methods = append(own.Methods, grpc.MethodDesc{
				MethodName: m.name,
				Handler: func(_ any, ctx context.Context, receive func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
					return s.reply(ctx, s.serve(ctx, m, receive))
				},
			})
		}
		r.RegisterService(&own, s)
	}
}

// reply is an answer as gRPC's handlers give it.
func (s *Service) reply(ctx context.Context, a answer) (any, error) {
	if err := grpc.SetHeader(ctx, a.header); err != nil && a.refusal == nil {
		a = answer{refusal: classify(err)}
	}
	if a.message == nil {
		return nil, a.refusal
	}
	return a.message, nil
}
