package service

import (
	"context"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"
)

// callStats tells a stats handler of one call of the in-process connection, in the
// order that grpc.Server has, so that the transports look alike in traces and metrics.
// There is no wire here: lengths are the messages' own, and WireLength is 0.
type callStats struct {
	handler stats.Handler // nil: nobody is told
	ctx     context.Context
	begun   time.Time
}

// beginStats begins a call. What the handler tags the context with is in the result's,
// which the call has to go on with.
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
	w.tell(header)
	w.tell(&stats.Begin{BeginTime: w.begun})
	return w
}

func (w callStats) tell(s stats.RPCStats) {
	if w.handler != nil {
		w.handler.HandleRPC(w.ctx, s)
	}
}

// received tells of the request once it is decoded.
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
	w.tell(&stats.InPayload{Payload: message, Length: size, CompressedLength: size, RecvTime: time.Now()})
}

func (w callStats) sentHeader(md metadata.MD) {
	if w.handler != nil {
		w.tell(&stats.OutHeader{Header: md.Copy()})
	}
}

func (w callStats) sentPayload(response any) {
	if w.handler == nil {
		return
	}
	size := sizeOf(response)
	w.tell(&stats.OutPayload{Payload: response, Length: size, CompressedLength: size, SentTime: time.Now()})
}

func (w callStats) sentTrailer(md metadata.MD) {
	if w.handler != nil {
		w.tell(&stats.OutTrailer{Trailer: md.Copy()})
	}
}

func (w callStats) ended(err error) {
	if w.handler == nil {
		return
	}
	w.tell(&stats.End{BeginTime: w.begun, EndTime: time.Now(), Error: err})
}

func sizeOf(message any) int {
	m, _ := message.(proto.Message)
	return proto.Size(m)
}
