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
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// handlerFunc is the implementation of a test service with one unary method.
type handlerFunc func(context.Context, *wrapperspb.StringValue) (any, error)

// serviceDesc describes a service whose method Do calls a handlerFunc.
func serviceDesc(service string) *grpc.ServiceDesc {
	handle := func(
		impl any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor,
	) (any, error) {
		in := &wrapperspb.StringValue{}
		if err := decode(in); err != nil {
			return nil, err
		}
		return impl.(handlerFunc)(ctx, in)
	}
	return &grpc.ServiceDesc{
		ServiceName: service,
		Methods:     []grpc.MethodDesc{{MethodName: "Do", Handler: handle}},
	}
}

// doMethod is the full name of the method of the test service.
const doMethod = "/test.A/Do"

// newTestConn returns a connection to a test service.
func newTestConn(do handlerFunc) *localConn {
	c := newLocalConn(nil)
	c.RegisterService(serviceDesc("test.A"), do)
	return c
}

// answerText returns a handler that always answers with the text.
func answerText(text string) handlerFunc {
	return func(context.Context, *wrapperspb.StringValue) (any, error) { return wrapperspb.String(text), nil }
}

func TestLocalMethods(t *testing.T) {
	var seen string
	recording := func(text string) handlerFunc {
		return func(ctx context.Context, _ *wrapperspb.StringValue) (any, error) {
			seen, _ = grpc.Method(ctx)
			return wrapperspb.String(text), nil
		}
	}
	c := newLocalConn(nil)
	c.RegisterService(serviceDesc("test.A"), recording("a"))
	c.RegisterService(serviceDesc("test.B"), recording("b"))
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
		err := c.Invoke(t.Context(), method, wrapperspb.String("x"), &wrapperspb.StringValue{})
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("%q: %v", method, err)
		}
	}
	stream, err := c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, doMethod)
	if stream != nil || status.Code(err) != codes.Unimplemented {
		t.Errorf("a stream: %v %v", stream, err)
	}
}

// TestLocalMessagesAreCopies checks that a later change of a message on one side doesn't change the
// message on the other side.
func TestLocalMessagesAreCopies(t *testing.T) {
	var received, answered *wrapperspb.StringValue
	c := newTestConn(func(_ context.Context, in *wrapperspb.StringValue) (any, error) {
		received, answered = in, wrapperspb.String(in.GetValue()+" answered")
		return answered, nil
	})
	in, out := wrapperspb.String("request"), &wrapperspb.StringValue{}
	if err := c.Invoke(t.Context(), doMethod, in, out); err != nil {
		t.Fatal(err)
	}
	if received == in || answered == out {
		t.Error("both sides have the same message")
	}
	received.Value, answered.Value = "changed", "changed"
	if in.GetValue() != "request" || out.GetValue() != "request answered" {
		t.Errorf("the messages of the client have changed: %v %v", in, out)
	}
}

func TestLocalWrongTypes(t *testing.T) {
	c, empty := newTestConn(answerText("x")), &emptypb.Empty{}
	invoke := func(c *localConn, in, out any) error { return c.Invoke(t.Context(), doMethod, in, out) }
	for name, err := range map[string]error{
		"request of another type":  invoke(c, &emptypb.Empty{}, &wrapperspb.StringValue{}),
		"response of another type": invoke(c, wrapperspb.String("x"), &emptypb.Empty{}),
		"request not a message":    invoke(c, "x", &wrapperspb.StringValue{}),
		"request nil":              invoke(c, nil, &wrapperspb.StringValue{}),
		"response nil":             invoke(c, wrapperspb.String("x"), nil),

		"answer not a message":   invoke(newAnsweringConn("x"), wrapperspb.String("x"), &wrapperspb.StringValue{}),
		"answer nil":             invoke(newAnsweringConn(nil), wrapperspb.String("x"), &wrapperspb.StringValue{}),
		"answer of another type": invoke(newAnsweringConn(empty), wrapperspb.String("x"), &wrapperspb.StringValue{}),
	} {
		if status.Code(err) != codes.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
	// As in gRPC, a nil pointer of the right type is an empty message.
	out := wrapperspb.String("left over")
	null := (*wrapperspb.StringValue)(nil)
	err := invoke(newAnsweringConn(null), null, out)
	if err != nil || out.GetValue() != "" {
		t.Errorf("%v %v", out, err)
	}
}

// newAnsweringConn returns a connection to a test service that always answers with the value.
func newAnsweringConn(with any) *localConn {
	return newTestConn(func(context.Context, *wrapperspb.StringValue) (any, error) { return with, nil })
}

// TestLocalMetadata checks that the outgoing metadata of the client are the incoming metadata of
// the handler, as a copy. The incoming metadata of the client are not passed on.
func TestLocalMetadata(t *testing.T) {
	sent := metadata.Pairs("k", "1", "k", "2", "Upper", "x", "bin-bin", "\x00\xff")
	var received metadata.MD
	c := newTestConn(func(ctx context.Context, _ *wrapperspb.StringValue) (any, error) {
		received, _ = metadata.FromIncomingContext(ctx)
		received.Set("k", "changed")
		received.Set("new", "value")
		if out, ok := metadata.FromOutgoingContext(ctx); ok && len(out) > 0 {
			t.Errorf("the handler has the outgoing metadata %v", out)
		}
		again, _ := metadata.FromIncomingContext(ctx)
		if got := again.Get("k"); len(got) != 2 || got[0] != "1" {
			t.Errorf("k is %v after a change of a copy", got)
		}
		if got := again.Get("upper"); len(got) != 1 {
			t.Errorf("upper is %v", got)
		}
		return &wrapperspb.StringValue{}, nil
	})
	ctx := metadata.NewIncomingContext(metadata.NewOutgoingContext(t.Context(), sent),
		metadata.Pairs("k", "from before", "secret", "x"))
	if err := c.Invoke(ctx, doMethod, wrapperspb.String("x"), &wrapperspb.StringValue{}); err != nil {
		t.Fatal(err)
	}
	if got := sent.Get("k"); len(got) != 2 || got[0] != "1" || len(sent.Get("new")) > 0 {
		t.Errorf("the caller's metadata became %v", sent)
	}
	if len(received.Get("secret")) > 0 {
		t.Errorf("the handler received the incoming metadata of the client: %v", received)
	}
	var without metadata.MD
	c = newTestConn(func(ctx context.Context, _ *wrapperspb.StringValue) (any, error) {
		without, _ = metadata.FromIncomingContext(ctx)
		return &wrapperspb.StringValue{}, nil
	})
	if err := c.Invoke(t.Context(), doMethod, wrapperspb.String("x"), &wrapperspb.StringValue{}); err != nil ||
		len(without) > 0 {
		t.Errorf("%v %v", without, err)
	}
}

// TestLocalHeaderTrailerAndPeer checks the call options that read from the answer, for a success
// and for an error.
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
			for _, late := range []error{
				grpc.SetHeader(ctx, metadata.Pairs("a", "7")),
				grpc.SendHeader(ctx, metadata.Pairs("a", "8")),
			} {
				if late == nil {
					t.Error("a header was accepted after it had been sent")
				}
			}
			return wrapperspb.String("x"), want
		})
		var header, trailer metadata.MD
		var from peer.Peer
		address := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 7}
		ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: address})
		err := c.Invoke(ctx, doMethod, wrapperspb.String("x"), &wrapperspb.StringValue{}, grpc.Header(&header),
			grpc.Trailer(&trailer), grpc.Peer(&from), grpc.WaitForReady(true))
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		got := fmt.Sprint(map[string][]string(header), map[string][]string(trailer), from.Addr)
		if got != "map[a:[1 2] b:[3] c:[5]] map[t:[4 6]] 192.0.2.7:7" {
			t.Errorf("the answer has %s", got)
		}
	}
	var header, trailer metadata.MD
	var from peer.Peer
	err := newTestConn(answerText("x")).Invoke(t.Context(), doMethod, wrapperspb.String("x"),
		&wrapperspb.StringValue{}, grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&from))
	if err != nil {
		t.Fatal(err)
	}
	if len(header)+len(trailer) > 0 || from.Addr != nil {
		t.Errorf("an answer without header and trailer has %v %v %v", header, trailer, from)
	}
}

type contextKey struct{}

// TestLocalErrors checks that the error of a handler has the same status as over a socket.
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
		conn := newTestConn(func(context.Context, *wrapperspb.StringValue) (any, error) {
			return wrapperspb.String("x"), c.err
		})
		err := conn.Invoke(t.Context(), doMethod, wrapperspb.String("x"), out)
		st, ok := status.FromError(err)
		if !ok || st.Code() != c.code || out.GetValue() != "untouched" {
			t.Errorf("%s: %v %v", c.name, err, out)
		}
		if c.name == "status with details" && len(st.Details()) != 1 {
			t.Errorf("%s: %v", c.name, st.Details())
		}
	}
}

// TestLocalContext checks that a handler has the context of the client, with its values, and that
// an answer after the end of the context is lost.
func TestLocalContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), contextKey{}, "value"))
	deadline, stop := context.WithTimeout(ctx, time.Hour)
	defer stop()
	c := newTestConn(func(ctx context.Context, _ *wrapperspb.StringValue) (any, error) {
		if ctx.Value(contextKey{}) != "value" {
			t.Error("the context doesn't have the value")
		}
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the context doesn't have the deadline")
		}
		cancel()
		<-ctx.Done()
		return wrapperspb.String("late"), nil
	})
	out := &wrapperspb.StringValue{}
	if err := c.Invoke(deadline, doMethod, wrapperspb.String("x"), out); status.Code(err) != codes.Canceled ||
		out.GetValue() != "" {
		t.Errorf("%v %v", out, err)
	}
	passed, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer stop()
	err := newTestConn(answerText("late")).Invoke(passed, doMethod, wrapperspb.String("x"), out)
	if status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
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
			err := c.Invoke(t.Context(), doMethod, wrapperspb.String(me), out, grpc.Header(&header),
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
