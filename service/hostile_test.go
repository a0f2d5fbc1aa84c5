//go:build long

package service_test

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

const (
	// attackTimeout is the timeout of each step of a request during an attack. A regular caller
	// doesn't reach it even on a busy machine, and the test doesn't take too long to see the
	// attackers reach it.
	attackTimeout = 8 * time.Second
	// cutOffTimeout is how long an attacker waits for the server to end its connection.
	cutOffTimeout = 5 * time.Minute
)

// TestHostileClients runs each attack from 200 concurrent clients at one transport. No call of a
// regular caller may fail at either transport, and the server must disconnect each attacker.
func TestHostileClients(t *testing.T) {
	for d, name := range []string{"gRPC", "HTTP"} {
		t.Run(name, func(t *testing.T) {
			s := start(t,
				settings{configuration: configuration, timeout: attackTimeout, smallBuffers: true, grace: time.Second})
			t.Run("no attack", func(t *testing.T) { callDuringAttack(t, s, func() { <-time.After(time.Second) }) })
			for _, a := range attacks() {
				if a.transport != d {
					continue
				}
				t.Run(a.name, func(t *testing.T) {
					callDuringAttack(t, s, func() { a.run(t, s) })
				})
			}
		})
	}
}

// TestFloods floods the transports with connections that open streams faster than they can be
// served. They never end or read the streams, or they reset them immediately (CVE-2023-44487). The
// transports have their default timeouts.
func TestFloods(t *testing.T) {
	caller := [][2]string{{"authorization", "Bearer dmk_everything"}}
	t.Run("gRPC", func(t *testing.T) {
		testFloods(
			t,
			slices.Concat(grpcFields(pb.TokenService_MintToken_FullMethodName), caller),
			func(t *testing.T) (*server, func() net.Conn) {
				s := start(t, settings{configuration: configuration, grace: time.Second})
				return s, func() net.Conn { return connect(t, s, 0) }
			},
		)
	})
	t.Run("HTTP", func(t *testing.T) { // the gateway supports HTTP/2 only over TLS
		fields := [][2]string{
			{":method", "POST"},
			{":scheme", "https"},
			{":path", "/v1/configurations/acme-customers:mintToken"},
			{":authority", "deskmint"},
			{"content-type", "application/json"},
		}
		testFloods(t, slices.Concat(fields, caller), func(t *testing.T) (*server, func() net.Conn) {
			h := startTLS(t)
			s, config := h.withCertificate(t, nil), h.withCertificate(t, nil, "h2").client
			return s, func() net.Conn {
				plain := connect(t, s, 1)
				if plain == nil {
					return nil
				}
				conn := tls.Client(plain,
					&tls.Config{RootCAs: config.RootCAs, NextProtos: config.NextProtos, ServerName: "127.0.0.1"})
				if err := conn.HandshakeContext(t.Context()); err != nil ||
					conn.ConnectionState().NegotiatedProtocol != "h2" {
					t.Errorf("the connection doesn't use HTTP/2: %v", err)
				}
				return conn
			}
		})
	})
}

// testFloods runs each kind of flood at a new server.
func testFloods(t *testing.T, fields [][2]string, open func(*testing.T) (*server, func() net.Conn)) {
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
			callDuringAttack(t, s, func() {
				var running sync.WaitGroup
				for range connections {
					running.Go(func() {
						conn := connects()
						if conn == nil {
							return
						}
						defer conn.Close()
						_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
						c, err := newRawH2(conn)
						if err != nil {
							return
						}
						go func() { _ = untilClosed(conn) }() // TestHostileClients has clients that don't read
						for range streams {
							if flood(c) != nil {
								return // the server may end the connection
							}
						}
					})
				}
				running.Wait()
			})
		})
	}
}

// TestManyIdle checks that a large number of idle connections doesn't keep other callers from being
// served.
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
			_, err = newRawH2(conn)
		} else {
			_, err = io.WriteString(conn, "GET /nowhere HTTP/1.1\r\nHost: deskmint\r\n\r\n")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	callDuringAttack(t, s, func() { <-time.After(time.Second) })
}
