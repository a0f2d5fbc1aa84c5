package transport

import (
	"context"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"
)

// callStats reports the events of one call of the in-process connection to a stats handler, in the
// same order as grpc.Server. So the traces and metrics of both transports have the same form. The
// lengths are those of the messages, and WireLength is 0.
type callStats struct {
	handler stats.Handler // nil: none
	ctx     context.Context
	begun   time.Time
}

// beginStats reports the beginning of a call. The call must use the context of the result, because
// the handler has added its tags to it.
func beginStats(ctx context.Context, handler stats.Handler, method string) callStats {
	w := callStats{handler: handler, ctx: ctx, begun: time.Now()}
	if handler == nil {
		return w
	}
	w.ctx = handler.TagRPC(ctx, &stats.RPCTagInfo{FullMethodName: method})
	header := &stats.InHeader{FullMethod: method}
	header.Header, _ = metadata.FromIncomingContext(ctx)
	if p, ok := peer.FromContext(ctx); ok {
		header.RemoteAddr, header.LocalAddr = p.Addr, p.LocalAddr
	}
	w.report(header)
	w.report(&stats.Begin{BeginTime: w.begun})
	return w
}

func (w callStats) report(s stats.RPCStats) {
	if w.handler != nil {
		w.handler.HandleRPC(w.ctx, s)
	}
}

// received returns a decoder that reports the message after decode has read it.
func (w callStats) received(decode func(any) error) func(any) error {
	return func(to any) error {
		if err := decode(to); err != nil {
			return err
		}
		w.receivedPayload(to)
		return nil
	}
}

func (w callStats) receivedPayload(message any) {
	if w.handler == nil {
		return
	}
	size := sizeOf(message)
	w.report(&stats.InPayload{Payload: message, Length: size, CompressedLength: size, RecvTime: time.Now()})
}

func (w callStats) sentHeader(md metadata.MD) {
	if w.handler != nil {
		w.report(&stats.OutHeader{Header: md.Copy()})
	}
}

func (w callStats) sentPayload(response any) {
	if w.handler == nil {
		return
	}
	size := sizeOf(response)
	w.report(&stats.OutPayload{Payload: response, Length: size, CompressedLength: size, SentTime: time.Now()})
}

func (w callStats) sentTrailer(md metadata.MD) {
	if w.handler != nil {
		w.report(&stats.OutTrailer{Trailer: md.Copy()})
	}
}

func (w callStats) ended(err error) {
	if w.handler == nil {
		return
	}
	w.report(&stats.End{BeginTime: w.begun, EndTime: time.Now(), Error: err})
}

func sizeOf(message any) int {
	m, _ := message.(proto.Message)
	return proto.Size(m)
}
