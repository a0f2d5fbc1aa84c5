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
	// timeout is the timeout of each step of a request at a server under attack: long enough for an
	// ordinary caller on a busy machine, short enough to see the others cut off.
	attackTimeout = 8 * time.Second
	// never is when a hostile client gives up waiting for the server to cut it off.
	cutOffTimeout = 5 * time.Minute
)

// TestHostileClients: 200 at once of each kind, at the transport in question; ordinary callers are
// served without one failure at both transports, and the others are cut off.
func TestHostileClients(t *testing.T) {
	for d, name := range []string{"gRPC", "HTTP"} {
		t.Run(name, func(t *testing.T) {
			s := start(t, settings{configuration: configuration, timeout: attackTimeout, smallBuffers: true, grace: time.Second})
			t.Run("nobody", func(t *testing.T) { callDuringAttack(t, s, func() { <-time.After(time.Second) }) })
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

// TestFloods: connections that open streams faster than they can be served, and never end or read
// them, or reset them at once (CVE-2023-44487). Each transport in earnest.
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
	t.Run("HTTP", func(t *testing.T) { // which speaks HTTP/2 over TLS only
		fields := [][2]string{
			{
				":method",
				"POST",
			}, {":scheme", "https"}, {":path", "/v1/configurations/acme-customers:mintToken"}, {":authority", "deskmint"},
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
					t.Errorf("no HTTP/2: %v", err)
				}
				return conn
			}
		})
	})
}

// floods are all kinds of them, each at a server of its own.
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
				var hostile sync.WaitGroup
				for range connections {
					hostile.Go(func() {
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

// TestManyIdle: connections that do nothing but be there keep nobody out, however many.
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
