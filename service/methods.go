package service

import (
	"context"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/transport"
)

// method describes one RPC. The contract has its HTTP route, and grpc-gateway generates the code
// for it.
type method struct {
	full    string // such as /deskmint.v1.TokenService/MintToken
	name    string // such as MintToken
	action  policy.Action
	request func() proto.Message
	handle  func(s *Service, ctx context.Context, x *exchange) (answer, error)

	ignoreUnknown bool // see transport.Method
}

// message constrains R to a pointer to a generated message M.
type message[M any] interface {
	*M
	proto.Message
}

func newMethod[M any, R message[M]](
	full string,
	action policy.Action,
	handle func(*Service, context.Context, *exchange, R) (answer, error),
) *method {
	return &method{
		full:    full,
		name:    full[strings.LastIndex(full, "/")+1:],
		action:  action,
		request: func() proto.Message { return R(new(M)) },
		handle: func(s *Service, ctx context.Context, x *exchange) (answer, error) {
			return handle(s, ctx, x, x.message.(R))
		},
	}
}

// ignoringUnknown makes the method ignore JSON fields that its message doesn't have.
func (m *method) ignoringUnknown() *method {
	m.ignoreUnknown = true
	return m
}

// methods returns all RPCs of the API. A test compares the table with the contract.
func methods() []*method {
	return []*method{
		newMethod(pb.TokenService_MintToken_FullMethodName,
			policy.SignIn, (*Service).mintToken),
		newMethod(pb.TokenService_RenderForm_FullMethodName,
			policy.SignIn, (*Service).renderForm),
		newMethod(pb.TokenService_RenderPage_FullMethodName,
			policy.SignIn, (*Service).renderPage),
		newMethod(pb.TokenService_InspectToken_FullMethodName,
			policy.Inspect, (*Service).inspectToken),
		newMethod(pb.ConfigurationService_ListConfigurations_FullMethodName,
			policy.Read, (*Service).listConfigurations),
		newMethod(pb.ConfigurationService_GetConfiguration_FullMethodName,
			policy.Read, (*Service).getConfiguration),
		newMethod(pb.ConfigurationService_ResolveConfiguration_FullMethodName,
			policy.Read, (*Service).resolveConfiguration),
		newMethod(pb.ConfigurationService_RefreshSecret_FullMethodName,
			policy.Refresh, (*Service).refreshSecret),
		newMethod(pb.ConfigurationService_ReportSignInFailure_FullMethodName,
			policy.Report, (*Service).reportSignInFailure).ignoringUnknown(),
	}
}

// unknownMethod takes the requests that name no method. Metrics and records name it "unknown".
func unknownMethod() *method {
	return newMethod("/"+methodUnknown, "",
		func(*Service, context.Context, *exchange, *emptypb.Empty) (answer, error) {
			return answer{}, transport.Internal() // the step decode has refused the request
		})
}

const methodUnknown = "unknown"

// Methods returns the full names of all RPCs of the API, such as
// /deskmint.v1.TokenService/MintToken. Health checks and reflection aren't among them.
func Methods() (all []string) {
	for _, m := range methods() {
		all = append(all, m.full)
	}
	return all
}

// requests returns an empty request message of each method.
func requests() (all []proto.Message) {
	for _, m := range methods() {
		all = append(all, m.request())
	}
	return all
}

// transportMethods returns the methods as the transports call them.
func (s *Service) transportMethods() (all []transport.Method) {
	for _, m := range methods() {
		all = append(all, s.transportMethod(m))
	}
	return all
}

func (s *Service) transportMethod(m *method) transport.Method {
	return transport.Method{
		Full:          m.full,
		IgnoreUnknown: m.ignoreUnknown,
		Serve: func(ctx context.Context, call *transport.Call) transport.Answer {
			return s.serve(ctx, m, call).wire()
		},
	}
}
