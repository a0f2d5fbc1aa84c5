package transport

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/tap"
)

// Timeouts limit how long the transports wait for a client. A slower client is disconnected. Only
// the operating system's limit of open files limits the number of connections.
// With a lower limit, an attacker would need fewer connections to lock out every other client.
type Timeouts struct {
	// Request limits a whole request at the gRPC server, starting with its header.
	Request time.Duration
	// Read limits a handshake, the header of a request, and its body.
	Read time.Duration
	// Write limits each write of an answer, which has at most 32 KiB.
	Write time.Duration
	// Idle limits how long a connection may be without requests.
	Idle time.Duration
	// Quiet is the time without traffic after which a connection is pinged. The answer must come
	// within Read.
	Quiet time.Duration
	// Age is how long a connection is used, ± 10 %. Clients that connect again distribute their
	// connections to new replicas, and a client whose certificate has expired can't connect again.
	Age time.Duration
}

// DefaultTimeouts returns the timeouts that production uses.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Request: MaxDuration, Read: 10 * time.Second, Write: 10 * time.Second,
		Idle: 2 * time.Minute, Quiet: time.Minute, Age: 30 * time.Minute,
	}
}

// limitRequest ends requests whose message doesn't arrive. It is a tap.ServerInHandle. The methods
// have the same limit, but reading the message waits for the context of the stream. A health watch
// has no limit.
func (p Timeouts) limitRequest(ctx context.Context, info *tap.Info) (context.Context, error) {
	switch info.FullMethodName {
	case healthpb.Health_Check_FullMethodName, healthpb.Health_List_FullMethodName:
	default:
		if !ours(info.FullMethodName) {
			return ctx, nil
		}
	}
	// The timer also stops when the stream, and with it ctx, ends.
	limited, cancel := context.WithTimeoutCause(ctx, p.Request, errTooLong)
	_ = cancel
	return limited, nil
}

// deadlineListener sets a deadline for each write to its connections. Without one, gRPC keeps the
// connection of a client that sends but never reads, because its keepalive sees traffic.
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
		_ = c.Close() // grpc-go closes it only when a read fails, and reads don't fail
	}
	return n, err
}

type endKey struct{}

// withEnd stores the time at which a connection has to end. It is used as http.Server.ConnContext.
func (p Timeouts) withEnd(ctx context.Context, _ net.Conn) context.Context {
	spread := rand.Int64N(int64(p.Age)/5 + 1) //nolint:gosec // only spreads load
	return context.WithValue(ctx, endKey{}, time.Now().Add(p.Age-p.Age/10+time.Duration(spread)))
}

// closeOld ends old connections with their next answer, as MaxConnectionAge does for gRPC. The
// net/http server then ends an HTTP/2 connection gracefully.
func closeOld(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if end, ok := r.Context().Value(endKey{}).(time.Time); ok && time.Now().After(end) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
