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

// crowd is how many hostile clients there are at once.
const crowd = 200

// attack is what each of a crowd does with a connection to a transport. It returns when the server
// has ended the connection.
type attack struct {
	name      string
	transport int // 0: gRPC, 1: HTTP
	do        func(t *testing.T, conn net.Conn) error
}

func attacks() []attack {
	const keep = "POST " + mintPath + " HTTP/1.1\r\nHost: deskmint\r\n" + asEverything + asJSON
	slowly := func(text string) func(*testing.T, net.Conn) error { // a byte at a time, without end
		return func(t *testing.T, conn net.Conn) error {
			t.Helper()
			if _, err := io.WriteString(conn, text); err != nil {
				return nil
			}
			return trickle(t.Context(), conn)
		}
	}
	return []attack{
		{"nothing is sent", 1, func(_ *testing.T, conn net.Conn) error { return untilClosed(conn) }},
		{"headers without end", 1, slowly("GET /v1/configurations HTTP/1.1\r\nHost: deskmint\r\nX-Slow: ")},
		{"a body without end", 1, slowly(keep + "Content-Length: 60000\r\n\r\n")},
		{
			"a stranger's body without end",
			1,
			slowly("POST " + mintPath + " HTTP/1.1\r\nHost: deskmint\r\n" + asJSON + "Content-Length: 60000\r\n\r\n"),
		},
		{"answers that nobody reads", 1, unread},
		{
			"oversized headers",
			1,
			slowly("GET /v1/configurations HTTP/1.1\r\nHost: deskmint\r\nX-Large: " + strings.Repeat("a", 64<<10)),
		},
		{"idle after an answer", 1, slowly("")},

		{"nothing is sent", 0, func(_ *testing.T, conn net.Conn) error { return untilClosed(conn) }},
		{"a preface without end", 0, slowly("PRI * HTTP/2.0\r\n")},
		{"headers without end", 0, func(t *testing.T, conn net.Conn) error {
			t.Helper()
			c, err := speakH2(conn)
			if err != nil {
				return nil
			}
			_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x40}})
			return untilClosed(conn)
		}},
		{"messages without end", 0, func(t *testing.T, conn net.Conn) error {
			t.Helper()
			return halfCalls(t, conn)
		}},
		{"answers that nobody reads", 0, func(t *testing.T, conn net.Conn) error {
			t.Helper()
			return unreadCalls(t, conn)
		}},
		{"oversized headers", 0, func(t *testing.T, conn net.Conn) error {
			t.Helper()
			return oversized(t, conn)
		}},
		{"idle after the preface", 0, func(_ *testing.T, conn net.Conn) error {
			if _, err := speakH2(conn); err != nil {
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

// trickle sends a byte now and then until the connection has ended.
func trickle(ctx context.Context, conn net.Conn) error {
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

// unread asks for more than the buffers on the way hold, reads nothing, and goes on sending until
// the connection has ended.
func unread(t *testing.T, conn net.Conn) error {
	t.Helper()
	const request = "GET /v1/configurations HTTP/1.1\r\nHost: deskmint\r\n" + asEverything + "\r\n"
	for range 20 {
		if _, err := io.WriteString(conn, request); err != nil {
			return nil
		}
	}
	return insist(t, func() error { _, err := io.WriteString(conn, request); return err })
}

// insist does something now and then until it fails: seldom enough that a crowd of these does not
// need the whole machine.
func insist(t *testing.T, do func() error) error {
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

// halfCalls opens as many calls as may be, each with a message of which only the beginning comes,
// and answers pings as if all were well.
func halfCalls(t *testing.T, conn net.Conn) error {
	t.Helper()
	c, err := speakH2(conn)
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
	return conn.Close() // every call was cut off
}

// unreadCalls is the same as unread over gRPC.
func unreadCalls(t *testing.T, conn net.Conn) error {
	t.Helper()
	c, err := speakH2(conn)
	if err != nil {
		return nil
	}
	fields := slices.Concat(grpcFields(pb.ConfigurationService_ListConfigurations_FullMethodName),
		[][2]string{{"authorization", "Bearer dmk_everything"}})
	if c.framer.WriteWindowUpdate(0, 1<<30) != nil {
		return nil
	}
	ask := func() error {
		if err := c.open(fields, false); err != nil {
			return err
		}
		return c.framer.WriteData(c.stream, true, message(t, &pb.ListConfigurationsRequest{}))
	}
	for range 4 { // many at once from all would be a flood, which TestFloods has
		if ask() != nil {
			return nil
		}
	}
	return insist(t, ask)
}

func oversized(t *testing.T, conn net.Conn) error {
	t.Helper()
	c, err := speakH2(conn)
	if err != nil {
		return nil
	}
	for range 8 { // each beyond 16 KiB
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
