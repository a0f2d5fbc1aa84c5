//go:build long

package service_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

const (
	// timeout is the timeout of each step of a request at a server under attack: long enough for an
	// ordinary caller on a busy machine, short enough to see the others cut off.
	timeout = 8 * time.Second
	// never is when a hostile client gives up waiting for the server to cut it off.
	never = 5 * time.Minute
)

// connect dials a transport with a small buffer for what comes from it; nil: it has failed.
func connect(t *testing.T, s *server, transport int) net.Conn {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) })
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", s.listeners[transport].Addr().String())
	if err != nil {
		t.Error(err)
		return nil
	}
	return conn
}

// ordinary is a caller who means well, at both transports, while something goes on.
type ordinary struct {
	mu     sync.Mutex
	took   []time.Duration
	failed []string
}

// calls signs in for trial: every token would be one more to search all logs for.
func (o *ordinary) calls(ctx context.Context, t *testing.T, s *server) {
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		<-pace.C
		for _, d := range []transport{{"grpc", sendGRPC}, {"http", sendHTTP}} {
			began := time.Now()
			r := d.send(context.WithoutCancel(ctx), t, s, call{method: "MintToken", body: user("") + `,"validateOnly":true`})
			o.mu.Lock()
			if o.took = append(o.took, time.Since(began)); r.code != codes.OK {
				o.failed = append(o.failed, fmt.Sprintf("%s: %v %s %q", d.name, r.code, r.reason, r.answer.message))
			}
			o.mu.Unlock()
		}
	}
}

func (o *ordinary) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.took)
}

func (o *ordinary) report(t *testing.T) {
	t.Helper()
	slices.Sort(o.took)
	n := len(o.took)
	if len(o.failed) > 0 {
		t.Errorf("%d of %d ordinary calls failed: %s", len(o.failed), n, o.failed[0])
	}
	if n < 10 {
		t.Fatalf("%d ordinary calls: too few to tell anything", n)
	}
	t.Logf("%d ordinary calls, median %v, 99th %v, longest %v", n, o.took[n/2].Round(10*time.Microsecond),
		o.took[n*99/100].Round(10*time.Microsecond), o.took[n-1].Round(10*time.Microsecond))
}

// TestHostileClients: 200 at once of each kind, at the transport in question; ordinary
// callers are served without one failure at both transports, and the others are cut off.
func TestHostileClients(t *testing.T) {
	for d, name := range []string{"gRPC", "HTTP"} {
		t.Run(name, func(t *testing.T) {
			s := start(t, settings{configuration: configuration, patience: timeout, narrow: true, grace: time.Second})
			t.Run("nobody", func(t *testing.T) { besieged(t, s, func() { <-time.After(time.Second) }) })
			for _, a := range attacks() {
				if a.transport != d {
					continue
				}
				t.Run(a.name, func(t *testing.T) {
					besieged(t, s, func() { a.run(t, s) })
				})
			}
		})
	}
}

// run is the attack by all at once. It returns when the last has been cut off.
func (a attack) run(t *testing.T, s *server) {
	t.Helper()
	var hostile sync.WaitGroup
	for range crowd {
		hostile.Go(func() {
			conn := connect(t, s, a.transport)
			if conn == nil {
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(never))
			watched := &watchedConn{Conn: conn}
			if err := a.do(t, watched); err != nil {
				t.Error(err)
			}
			if watched.expired.Load() {
				t.Errorf("not cut off within %v", never)
			}
		})
	}
	hostile.Wait()
}

// watchedConn remembers whether its deadline has passed before the server ended it.
type watchedConn struct {
	net.Conn
	expired atomic.Bool
}

// Read implements [net.Conn].
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.watch(err)
}

// Write implements [net.Conn].
func (c *watchedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.watch(err)
}

func (c *watchedConn) watch(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.expired.Store(true)
	}
	return err
}

// besieged is what an ordinary caller sees while something goes on, and for as long
// after it as to tell anything.
func besieged(t *testing.T, s *server, attack func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var o ordinary
	var serving sync.WaitGroup
	serving.Go(func() { o.calls(ctx, t, s) })
	attack()
	for began := time.Now(); o.count() < 20 && time.Since(began) < never; {
		<-time.After(100 * time.Millisecond)
	}
	cancel()
	serving.Wait()
	o.report(t)
}

// TestFloods: connections that open streams faster than they can be served, and never
// end or read them, or reset them at once (CVE-2023-44487). Each transport in earnest.
func TestFloods(t *testing.T) {
	caller := [][2]string{{"authorization", "Bearer dmk_everything"}}
	t.Run("gRPC", func(t *testing.T) {
		floods(t, slices.Concat(grpcFields(pb.TokenService_MintToken_FullMethodName), caller), func(t *testing.T) (*server, func() net.Conn) {
			s := start(t, settings{configuration: configuration, grace: time.Second})
			return s, func() net.Conn { return connect(t, s, 0) }
		})
	})
	t.Run("HTTP", func(t *testing.T) { // which speaks HTTP/2 over TLS only
		fields := [][2]string{
			{":method", "POST"}, {":scheme", "https"}, {":path", "/v1/configurations/acme-customers:mintToken"}, {":authority", "deskmint"},
			{"content-type", "application/json"},
		}
		floods(t, slices.Concat(fields, caller), func(t *testing.T) (*server, func() net.Conn) {
			h := openHall(t)
			s, config := h.seenBy(t, nil), h.seenBy(t, nil, "h2").client
			return s, func() net.Conn {
				plain := connect(t, s, 1)
				if plain == nil {
					return nil
				}
				conn := tls.Client(plain, &tls.Config{RootCAs: config.RootCAs, NextProtos: config.NextProtos, ServerName: "127.0.0.1"})
				if err := conn.HandshakeContext(t.Context()); err != nil || conn.ConnectionState().NegotiatedProtocol != "h2" {
					t.Errorf("no HTTP/2: %v", err)
				}
				return conn
			}
		})
	})
}

// floods are all kinds of them, each at a server of its own.
func floods(t *testing.T, fields [][2]string, open func(*testing.T) (*server, func() net.Conn)) {
	const connections, streams = 20, 1000
	for name, flood := range map[string]func(c *rawH2) error{
		"new streams": func(c *rawH2) error { return c.open(fields, false) },
		"rapid resets": func(c *rawH2) error {
			if err := c.open(fields, true); err != nil {
				return err
			}
			return c.framer.WriteRSTStream(c.stream, http2.ErrCodeCancel)
		},
		"pings":    func(c *rawH2) error { return c.framer.WritePing(false, [8]byte{}) },
		"settings": func(c *rawH2) error { return c.framer.WriteSettings() },
		"windows":  func(c *rawH2) error { return c.framer.WriteWindowUpdate(0, 1) },
		"continuations": func(c *rawH2) error {
			if c.stream == 0 {
				c.stream = 1
				return c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
			}
			return c.framer.WriteContinuation(1, false, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, connects := open(t)
			besieged(t, s, func() {
				var hostile sync.WaitGroup
				for range connections {
					hostile.Go(func() {
						conn := connects()
						if conn == nil {
							return
						}
						defer conn.Close()
						_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
						c, err := speakH2(conn)
						if err != nil {
							return
						}
						go func() { _ = untilClosed(conn) }() // else it is one who doesn't read
						for range streams {
							if flood(c) != nil {
								return // cut off, which is as well
							}
						}
					})
				}
				hostile.Wait()
			})
		})
	}
}

// TestManyIdle: connections that do nothing but be there keep nobody out, however
// many.
func TestManyIdle(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	conns := make([]net.Conn, 0, 1000)
	for i := range cap(conns) {
		conn, err := net.Dial("tcp", s.listeners[i%2].Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
		if i%2 == 0 {
			_, err = speakH2(conn)
		} else {
			_, err = io.WriteString(conn, "GET /nowhere HTTP/1.1\r\nHost: deskmint\r\n\r\n")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	besieged(t, s, func() { <-time.After(time.Second) })
}
