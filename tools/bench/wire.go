package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// wire sends one kind of request with minimal effort. open sends requests by the clock, on the
// machine of the server. With the libraries that callers use, the requests would wait for each
// other and not for the server.
type wire struct {
	address string
	tls     *tls.Config // nil if it doesn't use TLS
	h2      bool        // whether it uses HTTP/2; otherwise HTTP/1.1
	path    string
	fields  [][2]string
	body    func() []byte
}

// connection is a connection of a wire, or several. It is for one goroutine.
type connection interface {
	send(due time.Time) error
	flush() error // sends what send has buffered
	close() error // waits for the requests in flight
}

// dial connects to the server. The connection calls answered for each response, with the time when
// the request was due.
func (w wire) dial(ctx context.Context, answered func(due time.Time)) (connection, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", w.address)
	if err != nil {
		return nil, err
	}
	if w.tls != nil {
		config := w.tls.Clone()
		config.NextProtos = []string{"http/1.1"}
		if w.h2 {
			config.NextProtos = []string{"h2"}
		}
		if config.ServerName, _, err = net.SplitHostPort(w.address); err != nil {
			return nil, err
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil { // otherwise the first request would wait for it
			return nil, err
		}
		conn = secure
	}
	if w.h2 {
		return w.dialHTTP2(conn, answered)
	}
	return &http1Conn{w, conn, bufio.NewReader(conn), answered}, nil
}

// connect returns enough connections for open, each for one goroutine.
func (w wire) connect(ctx context.Context, answered func(due time.Time)) ([]connection, error) {
	n := 128 // requests in flight
	if w.h2 {
		n = 2 // each with as many requests in flight as a server accepts
	}
	all := make([]connection, n)
	for i := range all {
		var err error
		if all[i], err = w.dial(ctx, answered); err != nil {
			return nil, err
		}
	}
	if w.h2 { // one goroutine costs less than two
		return []connection{&roundRobin{all, 0}}, nil
	}
	return all, nil
}

// roundRobin uses several connections in turn.
type roundRobin struct {
	conns []connection
	next  int
}

func (i *roundRobin) send(due time.Time) error {
	i.next++
	return i.conns[i.next%len(i.conns)].send(due)
}

func (i *roundRobin) flush() error {
	var errs []error
	for _, l := range i.conns {
		errs = append(errs, l.flush())
	}
	return errors.Join(errs...)
}

func (i *roundRobin) close() error {
	var errs []error
	for _, l := range i.conns {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// http1Conn sends one request at a time by HTTP/1.1.
type http1Conn struct {
	wire

	conn     net.Conn
	in       *bufio.Reader
	answered func(time.Time)
}

func (t *http1Conn) flush() error { return nil }
func (t *http1Conn) close() error { return t.conn.Close() }

func (t *http1Conn) send(due time.Time) error {
	var out bytes.Buffer
	body := t.body()
	fmt.Fprintf(&out, "POST %s HTTP/1.1\r\nhost: %s\r\ncontent-length: %d\r\n", t.path, t.address, len(body))
	for _, f := range t.fields {
		out.WriteString(f[0] + ": " + f[1] + "\r\n")
	}
	out.WriteString("\r\n")
	out.Write(body)
	if _, err := t.conn.Write(out.Bytes()); err != nil {
		return err
	}
	answer, err := http.ReadResponse(t.in, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	n, err := io.Copy(io.Discard, answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || n == 0) {
		err = fmt.Errorf("%s, %d bytes", answer.Status, n)
	}
	t.answered(due)
	return err
}

// maxStreams is how many concurrent requests a server accepts on one connection. HTTP/2 recommends
// this number (RFC 9113, 6.5.2).
const maxStreams = 100

// http2Conn sends gRPC calls by HTTP/2. It has as many in flight as are due.
type http2Conn struct {
	wire

	conn     net.Conn
	answered func(time.Time)
	places   chan struct{} // one for each request in flight
	ended    chan struct{} // closed when the reader has ended
	err      error         // why it has ended

	mu      sync.Mutex // guards the fields below
	framer  *http2.Framer
	out     *bufio.Writer
	encoded bytes.Buffer
	encoder *hpack.Encoder
	next    uint32
	due     map[uint32]time.Time // of the requests in flight
	closing bool
}

func (w wire) dialHTTP2(conn net.Conn, answered func(time.Time)) (*http2Conn, error) {
	s := &http2Conn{
		wire: w, conn: conn, answered: answered, places: make(chan struct{}, maxStreams), ended: make(chan struct{}),
		out: bufio.NewWriter(conn), next: 1, due: make(map[uint32]time.Time),
	}
	s.framer = http2.NewFramer(s.out, bufio.NewReader(conn))
	s.framer.SetReuseFrames()
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
	s.encoder = hpack.NewEncoder(&s.encoded)
	_, _ = s.out.WriteString(http2.ClientPreface) // Flush returns the error
	const plenty = 1 << 30                        // more than arrives in one measurement, so that no update is needed
	_ = s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: plenty})
	_ = s.framer.WriteWindowUpdate(0, plenty)
	if err := s.out.Flush(); err != nil {
		return nil, err
	}
	go func() { s.err = s.read(); close(s.ended) }()
	return s, nil
}

func (s *http2Conn) send(due time.Time) error {
	select {
	case s.places <- struct{}{}:
	case <-s.ended:
		return s.err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.encoded.Reset()
	pseudo := [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", s.path}, {":authority", s.address}}
	for _, fields := range [][][2]string{pseudo, s.fields} {
		for _, f := range fields {
			_ = s.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // writes to memory, so it can't fail
		}
	}
	s.due[s.next] = due
	_ = s.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID:      s.next,
		BlockFragment: s.encoded.Bytes(),
		EndHeaders:    true,
	})
	_ = s.framer.WriteData(s.next, true, s.body())
	s.next += 2
	return nil
}

func (s *http2Conn) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Flush()
}

// close waits for the requests in flight.
func (s *http2Conn) close() error {
	s.mu.Lock()
	if s.closing = true; len(s.due) == 0 {
		_ = s.conn.Close()
	}
	s.mu.Unlock()
	<-s.ended
	return s.err
}

func (s *http2Conn) read() error {
	defer s.conn.Close()
	for {
		frame, err := s.framer.ReadFrame()
		s.mu.Lock()
		if err == nil {
			err = s.take(frame)
		}
		over := s.closing && len(s.due) == 0
		s.mu.Unlock()
		switch {
		case over:
			return nil
		case err != nil:
			return err
		}
	}
}

func (s *http2Conn) take(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		_ = s.framer.WriteSettingsAck()
		return s.out.Flush()
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		_ = s.framer.WritePing(true, f.Data)
		return s.out.Flush()
	case *http2.MetaHeadersFrame:
		if !f.StreamEnded() {
			return nil
		}
		for _, field := range f.RegularFields() {
			if field.Name == "grpc-status" && field.Value == "0" {
				s.answered(s.due[f.StreamID])
				delete(s.due, f.StreamID)
				<-s.places
				return nil
			}
		}
		return fmt.Errorf("a response with %v", f.Fields)
	case *http2.RSTStreamFrame, *http2.GoAwayFrame:
		return fmt.Errorf("the server sent %v", f)
	}
	return nil
}
