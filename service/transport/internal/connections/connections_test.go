package connections

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"
)

// TestConnectionsPerAddress checks that an address has no more connections than the limit, that a
// connection that ends makes room, and that the log names the setting once.
func TestConnectionsPerAddress(t *testing.T) {
	var log bytes.Buffer
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Limit(inner, "http", 2, slog.New(slog.NewTextHandler(&log, nil)))
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	dial()
	first := <-accepted
	dial()
	<-accepted
	for range 5 {
		if _, err := dial().Read(make([]byte, 1)); err == nil {
			t.Error("a connection beyond the limit stays open")
		}
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	_ = first.Close() // counts once
	dial()
	third := <-accepted
	if got := third.RemoteAddr(); got != third.RemoteAddr() || got.String() == "" {
		t.Errorf("the address is %v", got)
	}
	if _, err := dial().Read(make([]byte, 1)); err == nil {
		t.Error("the limit is exceeded after a connection has ended")
	}
	_ = inner.Close()
	<-accepted
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "listen.connections_per_address") {
		t.Errorf("the log is %q, want one line with the setting", got)
	}
}

// TestAddressOf checks which addresses count as one.
func TestAddressOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:1":           "192.0.2.1/32",
		"[::ffff:192.0.2.1]:2":  "192.0.2.1/32",
		"[2001:db8::1]:1":       "2001:db8::/64",
		"[2001:db8::ffff:1]:2":  "2001:db8::/64",
		"[2001:db8:0:1::1]:443": "2001:db8:0:1::/64",
		"[fe80::1%eth0]:1":      "fe80::/64",
		"@":                     "invalid Prefix",
	} {
		if got := addressOf(textAddr(address)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", address, got, want)
		}
	}
}

type textAddr string

func (textAddr) Network() string  { return "tcp" }
func (a textAddr) String() string { return string(a) }

// TestConnectionsEndWhileTheLogHangs checks that a log that hangs keeps no connection from ending.
func TestConnectionsEndWhileTheLogHangs(t *testing.T) {
	hold, entered := make(chan struct{}), make(chan struct{})
	log := slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		close(entered)
		<-hold
		return len(b), nil
	}), nil))
	l := Limit(nil, "http", 1, log).(*limitedListener)
	address := addressOf(textAddr("192.0.2.1:1"))
	if !l.add(address) {
		t.Fatal("the first connection is refused")
	}
	refused := make(chan bool)
	go func() { refused <- !l.add(address) }()
	<-entered
	l.remove(address) // hangs until the test times out if it waits for the log
	close(hold)
	if !<-refused {
		t.Error("the limit is exceeded")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
