package service_test

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestConnectionAge checks that both transports end an old connection gracefully, so that no
// request of its client fails.
func TestConnectionAge(t *testing.T) {
	s := start(t, settings{configuration: configuration, connectionAge: 200 * time.Millisecond})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	ended := 0
	for began := time.Now(); time.Since(began) < waitTimeout && ended < 2; {
		r := call{method: "MintToken", body: user("")}.httpRequest(t.Context(), t, s.URL)
		res, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.Close {
			ended++
		}
	}
	if ended < 2 {
		t.Errorf("the server ended %d HTTP connections, want 2", ended)
	}
	conn, err := net.Dial("tcp", s.listeners[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	c, err := newRawH2(conn)
	if err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			t.Fatalf("the gRPC connection ended without GOAWAY: %v", err)
		}
		if f, ok := frame.(*http2.GoAwayFrame); ok {
			if f.ErrCode != http2.ErrCodeNo {
				t.Errorf("GOAWAY %v %s", f.ErrCode, f.DebugData())
			}
			return
		}
	}
}
