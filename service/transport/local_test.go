package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The tests' own service, with one unary method that does what it is given to do.
type handlerFunc func(context.Context, *wrapperspb.StringValue) (any, error)

func serviceDesc(service string) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{ServiceName: service, Methods: []grpc.MethodDesc{{
		MethodName: "Do",
		Handler: func(impl any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := &wrapperspb.StringValue{}
			if err := decode(in); err != nil {
				return nil, err
			}
			return impl.(handlerFunc)(ctx, in)
		},
	}}}
}

func newTestConn(do handlerFunc) *localConn {
	c := newLocalConn(nil)
	c.RegisterService(serviceDesc("test.A"), do)
	return c
}

func answerText(text string) handlerFunc {
	return func(context.Context, *wrapperspb.StringValue) (any, error) { return wrapperspb.String(text), nil }
}

func TestLocalMethods(t *testing.T) {
	var seen string
	noting := func(text string) handlerFunc {
		return func(ctx context.Context, _ *wrapperspb.StringValue) (any, error) {
			seen, _ = grpc.Method(ctx)
			return wrapperspb.String(text), nil
		}
	}
	c := newLocalConn(nil)
	c.RegisterService(serviceDesc("test.A"), noting("a"))
	c.RegisterService(serviceDesc("test.B"), noting("b"))
	for service, want := range map[string]string{"test.A": "a", "test.B": "b"} {
		out := wrapperspb.String("left over")
		if err := c.Invoke(t.Context(), "/"+service+"/Do", wrapperspb.String("x"), out); err != nil ||
			out.GetValue() != want {
			t.Errorf("%s answers %v, %v", service, out, err)
		}
		if want := "/" + service + "/Do"; seen != want {
			t.Errorf("the handler saw %s, want %s", seen, want)
		}
	}
	for _, method := range []string{"/test.C/Do", "/test.A/Undo", "/test.A/", "test.A/Do", "/Do", ""} {
		if err := c.Invoke(t.Context(), method, wrapperspb.String("x"), &wrapperspb.StringValue{}); status.Code(
			err) != codes.Unimplemented {
			t.Errorf("%q: %v", method, err)
		}
	}
	stream, err := c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/test.A/Do")
	if stream != nil || status.Code(err) != codes.Unimplemented {
		t.Errorf("a stream: %v %v", stream, err)
	}
}

// Neither side sees what the other does to its own message afterwards.
func TestLocalMessagesAreCopies(t *testing.T) {
	var received, answered *wrapperspb.StringValue
	c := newTestConn(func(_ context.Context, in *wrapperspb.StringValue) (any, error) {
		received, answered = in, wrapperspb.String(in.GetValue()+" answered")
		return answered, nil
	})
	in, out := wrapperspb.String("asked"), &wrapperspb.StringValue{}
	if err := c.Invoke(t.Context(), "/test.A/Do", in, out); err != nil {
		t.Fatal(err)
	}
	if received == in || answered == out {
		t.Error("a message crossed the border itself")
	}
	received.Value, answered.Value = "changed", "changed"
	if in.GetValue() != "asked" || out.GetValue() != "asked answered" {
		t.Errorf("a change crossed the border: %v %v", in, out)
	}
}

func TestLocalWrongTypes(t *testing.T) {
	c := newTestConn(answerText("x"))
	for name, invoke := range map[string]func() error{
		"request":            func() error { return c.Invoke(t.Context(), "/test.A/Do", &emptypb.Empty{}, &wrapperspb.StringValue{}) },
		"response":           func() error { return c.Invoke(t.Context(), "/test.A/Do", wrapperspb.String("x"), &emptypb.Empty{}) },
		"a request of no":    func() error { return c.Invoke(t.Context(), "/test.A/Do", "x", &wrapperspb.StringValue{}) },
		"no request":         func() error { return c.Invoke(t.Context(), "/test.A/Do", nil, &wrapperspb.StringValue{}) },
		"no place to answer": func() error { return c.Invoke(t.Context(), "/test.A/Do", wrapperspb.String("x"), nil) },
		"an answer of no": func() error {
			return newAnsweringConn("x").Invoke(t.Context(), "/test.A/Do", wrapperspb.String("x"), &wrapperspb.StringValue{})
		},
		"an answer of nil": func() error {
			return newAnsweringConn(nil).Invoke(t.Context(), "/test.A/Do", wrapperspb.String("x"), &wrapperspb.StringValue{})
		},
		"an answer of others": func() error {
			return newAnsweringConn(&emptypb.Empty{}).Invoke(t.Context(), "/test.A/Do", wrapperspb.String("x"), &wrapperspb.StringValue{})
		},
	} {
		if err := invoke(); status.Code(err) != codes.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A nil of the right type is an empty message, as it is to gRPC.
	out := wrapperspb.String("left over")
	err := newAnsweringConn((*wrapperspb.StringValue)(nil)).Invoke(t.Context(), "/test.A/Do", (*wrapperspb.StringValue)(nil),
		out)
	if err != nil || out.GetValue() != "" {
		t.Errorf("%v %v", out, err)
	}
}

func newAnsweringConn(with any) *localConn {
	return newTestConn(func(context.Context, *wrapperspb.StringValue) (any, error) { return with, nil })
}

// What is sent arrives as what was received, by value, and nothing that was received is sent on by
// itself.
func TestLocalMetadata(t *testing.T) {
	sent := metadata.Pairs("k", "1", "k", "2", "Upper", "x", "bin-bin", "\x00\xff")
	var received metadata.MD
	c := newTestConn(func(ctx context.Context, _ *wrapperspb.StringValue) (any, error) {
		received, _ = metadata.FromIncomingContext(ctx)
		received.Set("k", "changed")
		received.Set("new", "value")
		if out, ok := metadata.FromOutgoingContext(ctx); ok && len(out) > 0 {
			t.Errorf("a handler would send on %v", out)
		}
		again, _ := metadata.FromIncomingContext(ctx)
		if got := again.Get("k"); len(got) != 2 || got[0] != "1" {
			t.Errorf("k is %v to the next who looks", got)
		}
		if got := again.Get("upper"); len(got) != 1 {
			t.Errorf("upper is %v", got)
		}
		return &wrapperspb.StringValue{}, nil
	})
	ctx := metadata.NewIncomingContext(metadata.NewOutgoingContext(t.Context(), sent),
		metadata.Pairs("k", "from before", "secret", "x"))
	if err := c.Invoke(ctx, "/test.A/Do", wrapperspb.String("x"), &wrapperspb.StringValue{}); err != nil {
		t.Fatal(err)
	}
	if got := sent.Get("k"); len(got) != 2 || got[0] != "1" || len(sent.Get("new")) > 0 {
		t.Errorf("the caller's metadata became %v", sent)
	}
	if len(received.Get("secret")) > 0 {
		t.Errorf("what the caller had received was sent on: %v", received)
	}
	var without metadata.MD
	c = newTestConn(func(ctx context.Context, _ *wrapperspb.StringValue) (any, error) {
		without, _ = metadata.FromIncomingContext(ctx)
		return &wrapperspb.StringValue{}, nil
	})
	if err := c.Invoke(t.Context(), "/test.A/Do", wrapperspb.String("x"), &wrapperspb.StringValue{}); err != nil ||
		len(without) > 0 {
		t.Errorf("%v %v", without, err)
	}
}

// The options that read from the answer work, on errors too.
func TestLocalHeaderTrailerAndPeer(t *testing.T) {
	failure := status.Error(codes.Aborted, "no")
	for _, want := range []error{nil, failure} {
		c := newTestConn(func(ctx context.Context, _ *wrapperspb.StringValue) (any, error) {
			for _, set := range []func() error{
				func() error { return grpc.SetHeader(ctx, metadata.Pairs("a", "1")) },
				func() error { return grpc.SetHeader(ctx, metadata.Pairs("a", "2", "b", "3")) },
				func() error { return grpc.SetTrailer(ctx, metadata.Pairs("t", "4")) },
				func() error { return grpc.SendHeader(ctx, metadata.Pairs("c", "5")) },
				func() error { return grpc.SetTrailer(ctx, metadata.Pairs("t", "6")) },
			} {
				if err := set(); err != nil {
					t.Error(err)
				}
			}
			for _, late := range []error{grpc.SetHeader(ctx, metadata.Pairs("a", "7")), grpc.SendHeader(ctx, metadata.Pairs("a", "8"))} {
				if late == nil {
					t.Error("a header was taken after it had been sent")
				}
			}
			return wrapperspb.String("x"), want
		})
		var header, trailer metadata.MD
		var from peer.Peer
		address := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 7}
		ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: address})
		err := c.Invoke(ctx, "/test.A/Do", wrapperspb.String("x"), &wrapperspb.StringValue{}, grpc.Header(&header),
			grpc.Trailer(&trailer), grpc.Peer(&from), grpc.WaitForReady(true))
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		if got := fmt.Sprint(map[string][]string(header), map[string][]string(trailer), from.Addr); got != "map[a:[1 2] b:[3] c:[5]] map[t:[4 6]] 192.0.2.7:7" {
			t.Errorf("answered with %s", got)
		}
	}
	var header, trailer metadata.MD
	var from peer.Peer
	if err := newTestConn(answerText("x")).Invoke(t.Context(), "/test.A/Do", wrapperspb.String("x"), &wrapperspb.StringValue{}, grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&from)); err != nil {
		t.Fatal(err)
	}
	if len(header)+len(trailer) > 0 || from.Addr != nil {
		t.Errorf("from nothing came %v %v %v", header, trailer, from)
	}
}

type contextKey struct{}

// Whatever a handler returns, a caller gets a status: the same as over a wire.
func TestLocalErrors(t *testing.T) {
	detailed, _ := status.New(codes.NotFound, "gone").WithDetails(&emptypb.Empty{})
	for _, c := range []struct {
		name string
		err  error
		code codes.Code
	}{
		{"status", status.Error(codes.DataLoss, "x"), codes.DataLoss},
		{"status with details", detailed.Err(), codes.NotFound},
		{"wrapped status", fmt.Errorf("around: %w", status.Error(codes.DataLoss, "x")), codes.DataLoss},
		{"other", errors.New("x"), codes.Unknown},
		{"cancelled", context.Canceled, codes.Canceled},
		{"deadline", context.DeadlineExceeded, codes.DeadlineExceeded},
		{"wrapped cancel", fmt.Errorf("around: %w", context.Canceled), codes.Canceled},
		{"joined", errors.Join(errors.New("x"), context.DeadlineExceeded), codes.DeadlineExceeded},
	} {
		out := wrapperspb.String("untouched")
		err := newTestConn(
			func(context.Context, *wrapperspb.StringValue) (any, error) { return wrapperspb.String("x"), c.err }).
			Invoke(t.Context(), "/test.A/Do", wrapperspb.String("x"), out)
		st, ok := status.FromError(err)
		if !ok || st.Code() != c.code || out.GetValue() != "untouched" {
			t.Errorf("%s: %v %v", c.name, err, out)
		}
		if c.name == "status with details" && len(st.Details()) != 1 {
			t.Errorf("%s: %v", c.name, st.Details())
		}
	}
}

// The caller's context is the handler's, values and all, and an answer that comes after its end is
// none.
func TestLocalContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), contextKey{}, "value"))
	deadline, stop := context.WithTimeout(ctx, time.Hour)
	defer stop()
	c := newTestConn(func(ctx context.Context, _ *wrapperspb.StringValue) (any, error) {
		if ctx.Value(contextKey{}) != "value" {
			t.Error("the context's values are gone")
		}
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the deadline is gone")
		}
		cancel()
		<-ctx.Done()
		return wrapperspb.String("late"), nil
	})
	out := &wrapperspb.StringValue{}
	if err := c.Invoke(deadline, "/test.A/Do", wrapperspb.String("x"), out); status.Code(err) != codes.Canceled ||
		out.GetValue() != "" {
		t.Errorf("%v %v", out, err)
	}
	passed, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer stop()
	if err := newTestConn(answerText("late")).Invoke(passed, "/test.A/Do", wrapperspb.String("x"), out); status.Code(
		err) != codes.DeadlineExceeded {
		t.Error(err)
	}
}

// order is a stats handler that notes the kinds of what it is told.
type statsKinds []string

func (o *statsKinds) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (o *statsKinds) HandleRPC(
	_ context.Context,
	s stats.RPCStats,
) {
	*o = append(*o, fmt.Sprintf("%T", s))
}
func (o *statsKinds) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (o *statsKinds) HandleConn(context.Context, stats.ConnStats)                       {}

// A stats handler is told of what would go over a wire: a header that is sent early at once and not
// again, and nothing after the caller has gone.
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
		"a caller gone": {func(ctx context.Context) error {
			ctx.Value(contextKey{}).(context.CancelFunc)()
			return nil
		}, before + "*stats.End"},
	} {
		var told statsKinds
		conn := newLocalConn(&told)
		conn.RegisterService(
			serviceDesc("test.A"),
			handlerFunc(func(ctx context.Context, _ *wrapperspb.StringValue) (any, error) {
				return wrapperspb.String("x"), c.do(ctx)
			}),
		)
		ctx, cancel := context.WithCancel(t.Context())
		_ = conn.Invoke(context.WithValue(ctx, contextKey{}, cancel), "/test.A/Do", wrapperspb.String("x"),
			&wrapperspb.StringValue{})
		cancel()
		if got := strings.Join(told, " "); got != c.want {
			t.Errorf("%s: told %s, want %s", name, got, c.want)
		}
	}
}

func TestLocalConcurrency(t *testing.T) {
	c := newTestConn(func(ctx context.Context, in *wrapperspb.StringValue) (any, error) {
		var all sync.WaitGroup // a handler may set its header from several goroutines
		for range 4 {
			all.Go(func() {
				_ = grpc.SetHeader(ctx, metadata.Pairs("who", in.GetValue()))
				_ = grpc.SetTrailer(ctx, metadata.Pairs("who", in.GetValue()))
			})
		}
		all.Wait()
		return wrapperspb.String(in.GetValue() + in.GetValue()), nil
	})
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			me := fmt.Sprint(i)
			var header, trailer metadata.MD
			out := &wrapperspb.StringValue{}
			err := c.Invoke(t.Context(), "/test.A/Do", wrapperspb.String(me), out, grpc.Header(&header),
				grpc.Trailer(&trailer))
			four := strings.Join([]string{me, me, me, me}, " ")
			if err != nil || out.GetValue() != me+me || strings.Join(header.Get("who"), " ") != four ||
				strings.Join(trailer.Get("who"), " ") != four {
				t.Errorf("%s: %v %v %v %v", me, out, header, trailer, err)
			}
		})
	}
	all.Wait()
}
