package service

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/tap"
)

// timeouts are how long the transports wait for a client. Whoever is slower is cut off:
// what a connection holds is little, but there is no limit to their number. One
// would be the attacker's tool: who opens that many locks everybody else out.
type timeouts struct {
	// request is for the whole of a request at the gRPC server, from its header on.
	request time.Duration
	// read is for a handshake, a request's header, and its body.
	read time.Duration
	// write is for each write of an answer, which is 32 KiB at most.
	write time.Duration
	// idle is how long a connection may be without requests.
	idle time.Duration
	// quiet is how long nothing may come of a connection before it is asked whether
	// it is still there, with as long as read for the reply.
	quiet time.Duration
	// age is how long a connection is used, ± 10 %: so that replicas which are new get
	// their share, and clients whose certificates have become void lose theirs.
	age time.Duration
}

func defaultTimeouts() timeouts {
	return timeouts{
		request: maxDuration, read: 10 * time.Second, write: 10 * time.Second,
		idle: 2 * time.Minute, quiet: time.Minute, age: 30 * time.Minute,
	}
}

// bound ends requests whose message doesn't come; the pipeline's timeout, with the same
// limit, is only called when it has. A health watch is meant to go on.
func (p timeouts) bound(ctx context.Context, info *tap.Info) (context.Context, error) {
	if !ours(info.FullMethodName) && info.FullMethodName != healthpb.Health_Check_FullMethodName {
		return ctx, nil
	}
	bounded, cancel := context.WithTimeout(ctx, p.request) //nolint:gosec // the end of ctx, which is the stream's, stops the timer too
	_ = cancel
	return bounded, nil
}

// deadlineListener is the listener of connections whose every write has a deadline. A
// client that goes on sending but doesn't read is otherwise kept for good by gRPC,
// which only asks whether something comes.
type deadlineListener struct {
	net.Listener
	write time.Duration
}

// Accept implements [net.Listener].
func (l deadlineListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return deadlineConn{conn, l.write}, nil
}

type deadlineConn struct {
	net.Conn
	write time.Duration
}

// Write implements [net.Conn].
func (c deadlineConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.write)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	if err != nil {
		_ = c.Close() // grpc-go leaves that to whoever reads, who doesn't notice
	}
	return n, err
}

type endKey struct{}

// withEnd is for http.Server.ConnContext: it notes when a connection has to end.
func (p timeouts) withEnd(ctx context.Context, _ net.Conn) context.Context {
	spread := rand.Int64N(int64(p.age)/5 + 1) //nolint:gosec // only spreads load
	return context.WithValue(ctx, endKey{}, time.Now().Add(p.age-p.age/10+time.Duration(spread)))
}

// closeOld ends old connections with an answer, as gRPC's MaxConnectionAge does. Of an
// HTTP/2 connection net/http makes it a graceful shutdown.
func closeOld(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if end, ok := r.Context().Value(endKey{}).(time.Time); ok && time.Now().After(end) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
