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

// wire is how a kind of request is sent with as little as it takes. Sent by the clock through the
// libraries that callers use, on the machine that the server runs on, requests would be waiting for
// each other and not for the server.
type wire struct {
	address string
	tls     *tls.Config // nil: without
	h2      bool        // else HTTP/1.1
	path    string
	fields  [][2]string
	body    func() []byte
}

// line is a connection of a wire's, or several, for one goroutine.
type line interface {
	send(due time.Time) error
	flush() error // what send has kept
	close() error // waits for what is under way
}

// dial connects. The line calls answered for each request with when that was due.
func (w wire) dial(ctx context.Context, answered func(due time.Time)) (line, error) {
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
		if err := secure.HandshakeContext(ctx); err != nil { // or the first request would wait for it
			return nil, err
		}
		conn = secure
	}
	if w.h2 {
		return w.streams(conn, answered)
	}
	return &turns{w, conn, bufio.NewReader(conn), answered}, nil
}

// lines are as many as may be needed, each for a goroutine of its own.
func (w wire) lines(ctx context.Context, answered func(due time.Time)) ([]line, error) {
	n := 128 // requests under way
	if w.h2 {
		n = 2 // with as many requests under way as a server takes
	}
	all := make([]line, n)
	for i := range all {
		var err error
		if all[i], err = w.dial(ctx, answered); err != nil {
			return nil, err
		}
	}
	if w.h2 { // one clock costs less than two
		return []line{&inTurn{all, 0}}, nil
	}
	return all, nil
}

// inTurn are several lines of which each has its turn.
type inTurn struct {
	lines []line
	next  int
}

func (i *inTurn) send(due time.Time) error {
	i.next++
	return i.lines[i.next%len(i.lines)].send(due)
}

func (i *inTurn) flush() error {
	var errs []error
	for _, l := range i.lines {
		errs = append(errs, l.flush())
	}
	return errors.Join(errs...)
}

func (i *inTurn) close() error {
	var errs []error
	for _, l := range i.lines {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// turns has one request under way at a time, by HTTP/1.1.
type turns struct {
	wire

	conn     net.Conn
	in       *bufio.Reader
	answered func(time.Time)
}

func (t *turns) flush() error { return nil }
func (t *turns) close() error { return t.conn.Close() }

func (t *turns) send(due time.Time) error {
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

// mostStreams is how many requests a server takes at once over one connection: what HTTP/2
// recommends (RFC 9113, 6.5.2).
const mostStreams = 100

// streams has as many requests under way as have come due, each a gRPC call of its own.
type streams struct {
	wire

	conn     net.Conn
	answered func(time.Time)
	places   chan struct{} // one for each request under way
	ended    chan struct{} // reading has, for this reason:
	err      error

	mu      sync.Mutex // of what follows
	framer  *http2.Framer
	out     *bufio.Writer
	encoded bytes.Buffer
	encoder *hpack.Encoder
	next    uint32
	due     map[uint32]time.Time // of the requests under way
	closing bool
}

func (w wire) streams(conn net.Conn, answered func(time.Time)) (*streams, error) {
	s := &streams{
		wire: w, conn: conn, answered: answered, places: make(chan struct{}, mostStreams), ended: make(chan struct{}),
		out: bufio.NewWriter(conn), next: 1, due: make(map[uint32]time.Time),
	}
	s.framer = http2.NewFramer(s.out, bufio.NewReader(conn))
	s.framer.SetReuseFrames()
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
	s.encoder = hpack.NewEncoder(&s.encoded)
	_, _ = s.out.WriteString(http2.ClientPreface) // Flush tells
	const plenty = 1 << 30                        // more than comes in a turn, so that no more need be asked for
	_ = s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: plenty})
	_ = s.framer.WriteWindowUpdate(0, plenty)
	if err := s.out.Flush(); err != nil {
		return nil, err
	}
	go func() { s.err = s.read(); close(s.ended) }()
	return s, nil
}

func (s *streams) send(due time.Time) error {
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
			_ = s.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // into memory
		}
	}
	s.due[s.next] = due
	_ = s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s.next, BlockFragment: s.encoded.Bytes(), EndHeaders: true})
	_ = s.framer.WriteData(s.next, true, s.body())
	s.next += 2
	return nil
}

func (s *streams) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Flush()
}

// close waits for what is under way.
func (s *streams) close() error {
	s.mu.Lock()
	if s.closing = true; len(s.due) == 0 {
		_ = s.conn.Close()
	}
	s.mu.Unlock()
	<-s.ended
	return s.err
}

func (s *streams) read() error {
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

func (s *streams) take(frame http2.Frame) error {
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
		return fmt.Errorf("an answer with %v", f.Fields)
	case *http2.RSTStreamFrame, *http2.GoAwayFrame:
		return fmt.Errorf("the server sent %v", f)
	}
	return nil
}
