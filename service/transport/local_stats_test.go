package transport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// statsKinds is a stats handler that records the types of the events.
type statsKinds []string

func (o *statsKinds) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (o *statsKinds) HandleRPC(_ context.Context, s stats.RPCStats) {
	*o = append(*o, fmt.Sprintf("%T", s))
}

func (o *statsKinds) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (o *statsKinds) HandleConn(context.Context, stats.ConnStats)                       {}

// TestLocalStats checks that a stats handler receives the events of the parts that a gRPC server
// would send. A header that is sent early causes one event, immediately. No part is reported after
// the client has gone away.
func TestLocalStats(t *testing.T) {
	before := "*stats.InHeader *stats.Begin *stats.InPayload "
	for name, c := range map[string]struct {
		do   func(context.Context) error
		want string
	}{
		"success": {func(context.Context) error { return nil },
			before + "*stats.OutHeader *stats.OutPayload *stats.OutTrailer *stats.End"},
		"a header sent early": {
			func(ctx context.Context) error { return grpc.SendHeader(ctx, metadata.Pairs("a", "1")) },
			before + "*stats.OutHeader *stats.OutPayload *stats.OutTrailer *stats.End"},
		"an error": {func(context.Context) error { return errors.New("no") },
			before + "*stats.OutTrailer *stats.End"},
		"an error with a header": {func(ctx context.Context) error {
			return errors.Join(errors.New("no"), grpc.SetHeader(ctx, metadata.Pairs("a", "1")))
		}, before + "*stats.OutHeader *stats.OutTrailer *stats.End"},
		"a client that has gone away": {func(ctx context.Context) error {
			ctx.Value(contextKey{}).(context.CancelFunc)()
			return nil
		}, before + "*stats.End"},
	} {
		var kinds statsKinds
		conn := newLocalConn(&kinds)
		conn.RegisterService(
			serviceDesc("test.A"),
			handlerFunc(func(ctx context.Context, _ *wrapperspb.StringValue) (any, error) {
				return wrapperspb.String("x"), c.do(ctx)
			}),
		)
		ctx, cancel := context.WithCancel(t.Context())
		_ = conn.Invoke(context.WithValue(ctx, contextKey{}, cancel), doMethod, wrapperspb.String("x"),
			&wrapperspb.StringValue{})
		cancel()
		if got := strings.Join(kinds, " "); got != c.want {
			t.Errorf("%s: the events are %s, want %s", name, got, c.want)
		}
	}
}
