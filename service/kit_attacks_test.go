//go:build long

package service_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// attackers is the number of concurrent attackers.
const attackers = 200

// attack is a kind of attack. The function do runs it on one connection and returns when the server
// has ended the connection.
type attack struct {
	name      string
	transport int // 0 for gRPC, 1 for HTTP
	do        func(t *testing.T, conn net.Conn) error
}

func attacks() []attack {
	const mint = "POST " + mintPath + " HTTP/1.1\r\nHost: deskmint\r\n" + asEverything + asJSON
	// slowly returns an attack that sends text and then single bytes without end.
	slowly := func(text string) func(*testing.T, net.Conn) error {
		return func(t *testing.T, conn net.Conn) error {
			t.Helper()
			if _, err := io.WriteString(conn, text); err != nil {
				return nil
			}
			return sendSlowly(t.Context(), conn)
		}
	}
	return []attack{
		{"nothing is sent", 1, func(_ *testing.T, conn net.Conn) error { return untilClosed(conn) }},
		{"headers without end", 1, slowly("GET /v1/configurations HTTP/1.1\r\nHost: deskmint\r\nX-Slow: ")},
		{"a body without end", 1, slowly(mint + "Content-Length: 60000\r\n\r\n")},
		{"an unauthenticated body without end", 1,
			slowly("POST " + mintPath + " HTTP/1.1\r\nHost: deskmint\r\n" + asJSON + "Content-Length: 60000\r\n\r\n")},
		{"answers that are never read", 1, neverRead},
		{"oversized headers", 1,
			slowly("GET /v1/configurations HTTP/1.1\r\nHost: deskmint\r\nX-Large: " + strings.Repeat("a", 64<<10))},
		{"idle after an answer", 1, slowly("")},

		{"nothing is sent", 0, func(_ *testing.T, conn net.Conn) error { return untilClosed(conn) }},
		{"a preface without end", 0, slowly("PRI * HTTP/2.0\r\n")},
		{"headers without end", 0, func(t *testing.T, conn net.Conn) error {
			t.Helper()
			c, err := newRawH2(conn)
			if err != nil {
				return nil
			}
			_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x40}})
			return untilClosed(conn)
		}},
		{"messages without end", 0, func(t *testing.T, conn net.Conn) error {
			t.Helper()
			return incompleteCalls(t, conn)
		}},
		{"answers that are never read", 0, func(t *testing.T, conn net.Conn) error {
			t.Helper()
			return neverReadCalls(t, conn)
		}},
		{"oversized headers", 0, func(t *testing.T, conn net.Conn) error {
			t.Helper()
			return oversizedHeaders(t, conn)
		}},
		{"idle after the preface", 0, func(_ *testing.T, conn net.Conn) error {
			if _, err := newRawH2(conn); err != nil {
				return nil
			}
			return untilClosed(conn)
		}},
	}
}

// untilClosed reads until the server ends the connection.
func untilClosed(conn net.Conn) error {
	_, _ = io.Copy(io.Discard, conn)
	return nil
}

// sendSlowly sends ten bytes a second until the server ends the connection.
func sendSlowly(ctx context.Context, conn net.Conn) error {
	ended := make(chan error, 1)
	go func() { ended <- untilClosed(conn) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return err
		case <-tick.C:
			_, _ = conn.Write([]byte("a"))
		}
	}
}

// neverRead requests more than the buffers of the connection hold, and reads nothing. It sends
// further requests until the connection has ended.
func neverRead(t *testing.T, conn net.Conn) error {
	t.Helper()
	const request = "GET /v1/configurations HTTP/1.1\r\nHost: deskmint\r\n" + asEverything + "\r\n"
	for range 20 {
		if _, err := io.WriteString(conn, request); err != nil {
			return nil
		}
	}
	return repeatUntilError(t, func() error { _, err := io.WriteString(conn, request); return err })
}

// repeatUntilError calls do twice a second until it fails. A higher rate of all attackers together
// would use up the processor.
func repeatUntilError(t *testing.T, do func() error) error {
	t.Helper()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for do() == nil {
		select {
		case <-t.Context().Done():
			return t.Context().Err()
		case <-tick.C:
		}
	}
	return nil
}

// incompleteCalls opens 20 calls and sends only the beginning of each message. It answers pings as
// an ordinary client does.
func incompleteCalls(t *testing.T, conn net.Conn) error {
	t.Helper()
	c, err := newRawH2(conn)
	if err != nil {
		return nil
	}
	fields := slices.Concat(grpcFields(pb.TokenService_MintToken_FullMethodName),
		[][2]string{{"authorization", "Bearer dmk_everything"}})
	open := 0
	for range 20 {
		if c.open(fields, false) != nil || c.framer.WriteData(c.stream, false, []byte{0, 0, 0, 1, 0, 1}) != nil {
			return nil
		}
		open++
	}
	for open > 0 {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return nil
		}
		switch f := frame.(type) {
		case *http2.PingFrame:
			_ = c.framer.WritePing(true, f.Data)
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = c.framer.WriteSettingsAck()
			}
		case *http2.RSTStreamFrame:
			open--
		}
	}
	return conn.Close() // the server has reset every call
}

// neverReadCalls does over gRPC what neverRead does over HTTP.
func neverReadCalls(t *testing.T, conn net.Conn) error {
	t.Helper()
	c, err := newRawH2(conn)
	if err != nil {
		return nil
	}
	fields := slices.Concat(grpcFields(pb.ConfigurationService_ListConfigurations_FullMethodName),
		[][2]string{{"authorization", "Bearer dmk_everything"}})
	if c.framer.WriteWindowUpdate(0, 1<<30) != nil {
		return nil
	}
	send := func() error {
		if err := c.open(fields, false); err != nil {
			return err
		}
		return c.framer.WriteData(c.stream, true, frameMessage(t, &pb.ListConfigurationsRequest{}))
	}
	for range 4 { // TestFloods sends more
		if send() != nil {
			return nil
		}
	}
	return repeatUntilError(t, send)
}

func oversizedHeaders(t *testing.T, conn net.Conn) error {
	t.Helper()
	c, err := newRawH2(conn)
	if err != nil {
		return nil
	}
	for range 8 { // each has more than 16 KiB
		fields := grpcFields(pb.TokenService_MintToken_FullMethodName)
		for i := range 8 {
			fields = append(fields, [2]string{fmt.Sprint("x-large-", i), strings.Repeat("a", 2040)})
		}
		if c.open(fields, true) != nil {
			return nil
		}
	}
	return untilClosed(conn)
}
