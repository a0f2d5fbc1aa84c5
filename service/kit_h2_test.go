package service_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// rawH2 is an HTTP/2 client that can send any frames, including those that an ordinary client
// doesn't send. It is not safe for concurrent use.
type rawH2 struct {
	conn   net.Conn
	framer *http2.Framer
	block  bytes.Buffer
	hpack  *hpack.Encoder
	stream uint32 // the id of the last stream
}

// newRawH2 sends the preface and the settings. It doesn't wait for the settings of the server.
func newRawH2(conn net.Conn, settings ...http2.Setting) (*rawH2, error) {
	c := &rawH2{conn: conn, framer: http2.NewFramer(conn, conn)}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.AllowIllegalWrites = true
	c.hpack = hpack.NewEncoder(&c.block)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	return c, c.framer.WriteSettings(settings...)
}

// open opens a stream with the header fields in the given order.
func (c *rawH2) open(fields [][2]string, end bool) error {
	c.block.Reset()
	for _, f := range fields {
		if err := c.hpack.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return err
		}
	}
	if c.stream == 0 {
		c.stream = 1
	} else {
		c.stream += 2
	}
	return c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: c.stream, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: end,
	})
}

// grpcFields returns the header fields of an ordinary call without a credential.
func grpcFields(method string) [][2]string {
	return [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", "deskmint"},
		{"content-type", "application/grpc"}, {"te", "trailers"},
	}
}

// frameMessage returns a message with the prefix that gRPC requires.
func frameMessage(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...)
}

var errReset = errors.New("the stream was reset")

// answer reads until the last stream has ended. It returns the header fields and the data of that
// stream.
func (c *rawH2) answer() (fields map[string]string, data []byte, err error) {
	fields = make(map[string]string)
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return nil, nil, err
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = c.framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = c.framer.WritePing(true, f.Data)
			}
		case *http2.GoAwayFrame:
			return nil, nil, fmt.Errorf("GOAWAY %v %s", f.ErrCode, f.DebugData())
		case *http2.RSTStreamFrame:
			if f.StreamID == c.stream {
				if fields["grpc-status"] != "" {
					return fields, data, nil
				}
				return nil, nil, errReset
			}
		case *http2.DataFrame:
			if n := uint32(len(f.Data())); n > 0 {
				err = c.framer.WriteWindowUpdate(0, n)
			}
			data = append(data, f.Data()...)
		case *http2.MetaHeadersFrame:
			for _, h := range f.Fields {
				fields[h.Name] = h.Value
			}
			if f.StreamID == c.stream && f.StreamEnded() {
				return fields, data, nil
			}
		}
		if err != nil {
			return nil, nil, err
		}
	}
}
