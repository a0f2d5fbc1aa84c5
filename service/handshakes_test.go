package service_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/certs/certstest"
)

// TestHandshakesAreCounted checks that both listeners count handshakes by their result, and log
// those that fail. A connection without a byte is neither counted nor logged by the gRPC listener.
func TestHandshakesAreCounted(t *testing.T) {
	for i, name := range []string{"grpc", "http"} {
		t.Run(name, func(t *testing.T) {
			h := startTLS(t)
			address := h.listeners[i].Addr().String()
			await := func(succeeded, failed int) {
				t.Helper()
				waitUntil(t, func() string {
					text := h.ops(t, "/metrics")
					for result, n := range map[string]int{"succeeded": succeeded, "failed": failed} {
						line := fmt.Sprintf("deskmint_tls_handshakes_total{result=%q,transport=%q} %d\n",
							result, name, n)
						if !strings.Contains(text, line) {
							return "no line " + line
						}
					}
					return ""
				})
			}
			await(0, 0)
			withConn(t, address, func(net.Conn) {}) // as a load balancer that tests the port
			withConn(t, address, func(c net.Conn) { _, _ = c.Write([]byte("not the first bytes of TLS")) })
			await(0, 1)
			roots := x509.NewCertPool()
			roots.AddCert(h.Authority.Certificate)
			stranger := certstest.New(t, "another").Client(t, "shop.acme.internal").TLS
			shown := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return stranger, nil }
			for n, c := range []*tls.Config{
				{NextProtos: []string{"h2"}}, // doesn't trust the server
				{RootCAs: roots, NextProtos: []string{"h2"}, GetClientCertificate: shown},
				{RootCAs: roots, NextProtos: []string{"h2"}, MaxVersion: tls.VersionTLS12},
			} {
				handshake(t, address, c)
				await(0, n+2)
			}
			handshake(t, address, &tls.Config{RootCAs: roots, NextProtos: []string{"h2"}})
			await(1, 4)
			if line := name + ": TLS handshake error from 127.0.0.1:"; !strings.Contains(h.Log.String(), line) {
				t.Errorf("the log has no line %q:\n%s", line, h.Log)
			}
			if name == "grpc" && strings.Contains(h.Log.String(), "EOF") {
				t.Errorf("a connection without a byte is in the log:\n%s", h.Log)
			}
		})
	}
}

// TestCountedHandshakesServeRequests checks that connections whose handshakes are counted serve
// several requests, over each protocol, and count once.
func TestCountedHandshakesServeRequests(t *testing.T) {
	h := startTLS(t)
	for _, protocol := range []string{"h2", "http/1.1"} {
		s := h.withCertificate(t, nil, protocol)
		for _, tr := range []transport{{"grpc", sendGRPC}, {"http", sendHTTP}} {
			for range 3 {
				mint(t, s, tr, call{body: user("")})
			}
		}
	}
	text := h.ops(t, "/metrics")
	for _, line := range []string{
		`deskmint_tls_handshakes_total{result="failed",transport="grpc"} 0`,
		`deskmint_tls_handshakes_total{result="succeeded",transport="grpc"} 2`,
		`deskmint_tls_handshakes_total{result="failed",transport="http"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
}

// withConn opens a connection, calls use, and closes the connection.
func withConn(t *testing.T, address string, use func(net.Conn)) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	use(conn)
	_ = conn.Close()
}

// handshake opens a connection with TLS and waits until the server answers or ends it.
func handshake(t *testing.T, address string, c *tls.Config) {
	t.Helper()
	c.ServerName = "127.0.0.1"
	withConn(t, address, func(conn net.Conn) {
		secured := tls.Client(conn, c)
		if secured.HandshakeContext(t.Context()) == nil {
			_, _ = secured.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
			_, _ = secured.Read(make([]byte, 1)) // the server verifies the client's certificate after our part
		}
	})
}
