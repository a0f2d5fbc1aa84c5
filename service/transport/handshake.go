package transport

import (
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"sync/atomic"

	"google.golang.org/grpc/credentials"

	"github.com/deskmint/deskmint/service/certs"
)

// handshakeConn is a connection below TLS. It records whether its client has sent anything. A load
// balancer that only tests the port sends nothing, and its connections are no failed handshakes.
type handshakeConn struct {
	net.Conn
	received, counted atomic.Bool
}

// Read implements [net.Conn].
func (c *handshakeConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.received.Load() {
		c.received.Store(true)
	}
	return n, err
}

// countHandshake reports the handshake of a connection once. It returns false if there was none, or
// if it was reported before.
func (t *Servers) countHandshake(transport string, c *handshakeConn, succeeded bool) bool {
	if !succeeded && !c.received.Load() || c.counted.Swap(true) {
		return false
	}
	if t.options.Handshake != nil {
		t.options.Handshake(transport, succeeded)
	}
	return true
}

// grpcCredentials are TLS for the gRPC server. They count the handshakes, and log those that fail
// in the form of net/http.
type grpcCredentials struct {
	credentials.TransportCredentials
	servers *Servers
}

func (t *Servers) grpcCredentials() credentials.TransportCredentials {
	return grpcCredentials{credentials.NewTLS(t.options.TLS.TLS("h2")), t}
}

// ServerHandshake implements [credentials.TransportCredentials].
func (c grpcCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn := &handshakeConn{Conn: raw}
	secured, info, err := c.TransportCredentials.ServerHandshake(conn)
	if c.servers.countHandshake(GRPC, conn, err == nil) && err != nil {
		c.servers.serverLog().Printf("grpc: TLS handshake error from %s: %v", raw.RemoteAddr(), err)
	}
	return secured, info, err
}

// Clone implements [credentials.TransportCredentials].
func (c grpcCredentials) Clone() credentials.TransportCredentials {
	return grpcCredentials{c.TransportCredentials.Clone(), c.servers}
}

func (t *Servers) serverLog() *log.Logger {
	if t.options.ServerLog != nil {
		return t.options.ServerLog
	}
	return log.Default()
}

// tlsListener returns a listener whose connections countHTTPHandshake understands.
func tlsListener(l net.Listener, certificates *certs.Store) net.Listener {
	return tls.NewListener(handshakeListener{l}, certificates.TLS("h2", "http/1.1"))
}

type handshakeListener struct{ net.Listener }

// Accept implements [net.Listener].
func (l handshakeListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &handshakeConn{Conn: conn}, nil
}

// countHTTPHandshake counts the handshake of a connection of the REST gateway. It is used as
// http.Server.ConnState, because net/http has no function that it calls after a handshake. It logs
// those that fail itself.
func (t *Servers) countHTTPHandshake(c net.Conn, state http.ConnState) {
	if state != http.StateActive && state != http.StateClosed {
		return
	}
	secured, ok := c.(*tls.Conn)
	if !ok {
		return
	}
	if conn, ok := secured.NetConn().(*handshakeConn); ok && !conn.counted.Load() {
		t.countHandshake(HTTP, conn, secured.ConnectionState().HandshakeComplete)
	}
}
