// Package connections limits how many connections a listener has open, of one address and of all
// clients together.
package connections

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/peer"
)

// limitedListener limits how many connections one address has open at the same time. A connection
// beyond the limit is closed at once. The limit is per address, because one over all clients would
// lock out everyone as soon as an attacker has opened that many connections.
type limitedListener struct {
	net.Listener
	transport string
	max       int // 0: no limit
	log       *slog.Logger

	mu      sync.Mutex
	open    map[netip.Prefix]int
	refused int       // since the last line in the log
	logged  time.Time // when the log got its last line
}

// Limit returns a listener whose addresses have at most perAddress open connections each, or any
// number if perAddress is 0. All addresses together can't use up the descriptors of the process. log
// gets a line when connections are refused. It names the transport.
func Limit(l net.Listener, transport string, perAddress int, log *slog.Logger) net.Listener {
	return &limitedListener{
		Listener: reserveDescriptors(l), transport: transport, max: perAddress, log: log,
		open: make(map[netip.Prefix]int),
	}
}

// Accept implements [net.Listener].
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := addressOf(conn.RemoteAddr())
		if l.add(address) {
			from := &Peer{Addr: conn.RemoteAddr()}
			return &countedConn{Conn: conn, peer: from, end: func() { l.remove(address) }}, nil
		}
		_ = conn.Close()
	}
}

// addressOf returns the address that connections are counted for. A network of IPv6 gives a client
// 2^64 addresses, so they count as one.
func addressOf(remote net.Addr) netip.Prefix {
	a, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return netip.Prefix{} // a listener that isn't TCP has one address
	}
	bits := 64
	if a.Addr().Unmap().Is4() {
		bits = 32
	}
	p, _ := a.Addr().Unmap().Prefix(bits)
	return p
}

// add counts a connection, unless its address has too many. It logs that at most once a minute.
func (l *limitedListener) add(address netip.Prefix) bool {
	ok, refused := l.count(address, time.Now())
	if refused > 0 {
		l.log.Warn("connections are refused, because their address has too many: raise listen.connections_per_address "+
			"if it is the address of a proxy or of many clients",
			slog.String("transport", l.transport), slog.String("address", address.String()),
			slog.Int("limit", l.max), slog.Int("refused", refused))
	}
	return ok
}

// count is add without the log, which may be slow. It returns the number of refused connections
// that the log needs to have now, or 0.
func (l *limitedListener) count(address netip.Prefix, now time.Time) (ok bool, refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.max == 0 || l.open[address] < l.max {
		l.open[address]++
		return true, 0
	}
	l.refused++
	if now.Sub(l.logged) < time.Minute {
		return false, 0
	}
	refused, l.logged, l.refused = l.refused, now, 0
	return false, refused
}

func (l *limitedListener) remove(address netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[address]--; l.open[address] <= 0 {
		delete(l.open, address)
	}
}

// countedConn is a connection that its listener counts until it is closed.
type countedConn struct {
	net.Conn
	peer   *Peer
	end    func()
	closed atomic.Bool
}

// Close implements [net.Conn].
func (c *countedConn) Close() error {
	if !c.closed.Swap(true) {
		c.end()
	}
	return c.Conn.Close()
}

// RemoteAddr implements [net.Conn]. The address is the same value for the whole connection, so that
// it identifies the connection in the context of a call.
func (c *countedConn) RemoteAddr() net.Addr { return c.peer }

// Peer is the address of a client, and the state of its connection.
type Peer struct {
	net.Addr

	Watched atomic.Bool // the connection has a health watch
}

// PeerOf returns the address of the connection that a gRPC call arrived on, or nil if its listener
// isn't one of this package.
func PeerOf(ctx context.Context) *Peer {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	address, _ := p.Addr.(*Peer)
	return address
}
