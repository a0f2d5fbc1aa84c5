package vault_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// weather is what a proxy does to the connections through it.
type weather int

const (
	fair   weather = iota
	slow           // every piece of a request or an answer comes much too late
	silent         // nothing passes, and nobody says so: half-open
	resets         // whoever sends something gets a reset
)

// late is how much later pieces come when it is slow: beyond any deadline here.
const late = time.Hour

// proxy is a network with faults, between a Source and a Vault. It knows
// nothing of HTTP.
type proxy struct {
	address, upstream string

	ctx  context.Context // ends with the test
	work sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil: connections are refused
	weather  weather
	conns    []*net.TCPConn // all there ever were
}

// newProxy listens until the test ends.
func newProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	ctx, cancel := newCancel(t)
	p := &proxy{address: "127.0.0.1:0", upstream: upstream, ctx: ctx}
	p.open(t)
	t.Cleanup(func() {
		cancel()
		p.refuse()
		p.work.Wait()
	})
	return p
}

// open accepts connections, and after a refuse again, on the same port.
func (p *proxy) open(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener, p.address = listener, listener.Addr().String()
	p.work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.work.Go(func() { p.serve(conn.(*net.TCPConn)) })
		}
	})
}

// refuse is what a process that was killed looks like: its connections end,
// and there are no new ones.
func (p *proxy) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
	}
	p.listener = nil
	for _, conn := range p.conns {
		conn.Close()
	}
}

// set changes the weather for all connections, those that stand and new ones.
func (p *proxy) set(w weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = w
}

func (p *proxy) serve(client *net.TCPConn) {
	defer client.Close()
	conn, err := net.Dial("tcp", p.upstream)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	defer server.Close()
	if !p.track(client, server) {
		return
	}
	p.work.Go(func() { p.relay(client, server) })
	p.relay(server, client)
}

func (p *proxy) track(conns ...*net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conns...)
	return p.listener != nil
}

// relay ends both connections when one ends.
func (p *proxy) relay(from, to *net.TCPConn) {
	defer from.Close()
	defer to.Close()
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if err != nil || !p.pass(from, to, piece[:n]) {
			return
		}
	}
}

// pass reports whether the connection goes on.
func (p *proxy) pass(from, to *net.TCPConn, piece []byte) bool {
	p.mu.Lock()
	w := p.weather
	p.mu.Unlock()
	switch w {
	case slow:
		select {
		case <-time.After(late):
		case <-p.ctx.Done():
			return false
		}
	case silent:
		return true
	case resets:
		_ = from.SetLinger(0) // unsent bytes are thrown away: a reset, not an orderly end
		return false
	}
	_, err := to.Write(piece)
	return err == nil
}
