package toxic_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault/toxic"
)

// echo starts a server that returns all data to the client, and returns its address.
func echo(t *testing.T) string {
	t.Helper()
	return secretstest.Listen(t, func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
}

func dial(t *testing.T, p *toxic.Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// roundTrip sends a word and reads it back within timeout.
func roundTrip(conn net.Conn, timeout time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("word")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 4))
	return err
}

const (
	longTimeout  = 10 * time.Second
	shortTimeout = 50 * time.Millisecond
)

func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		name     string
		fault    toxic.Fault
		timeout  time.Duration
		want     error // of a new connection
		wantOpen error // of a connection that was open before; nil: any error
	}{
		{"no fault", toxic.NoFault, longTimeout, nil, nil},
		{"slow", toxic.Slow, shortTimeout, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
		{"silent", toxic.Silent, shortTimeout, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
		{"reset", toxic.Reset, longTimeout, syscall.ECONNRESET, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := toxic.New(t, echo(t))
			before := dial(t, p)
			if err := roundTrip(before, longTimeout); err != nil {
				t.Fatal(err)
			}
			p.Set(t, tc.fault)
			if err := roundTrip(dial(t, p), tc.timeout); !errors.Is(err, tc.want) {
				t.Errorf("a new connection: %v, want %v", err, tc.want)
			}
			err := roundTrip(before, tc.timeout)
			if (err == nil) != (tc.want == nil) || tc.wantOpen != nil && !errors.Is(err, tc.wantOpen) {
				t.Errorf("an open connection: %v, want %v", err, tc.wantOpen)
			}
			p.Set(t, toxic.NoFault)
			if err := roundTrip(dial(t, p), longTimeout); err != nil {
				t.Errorf("without the fault: %v", err)
			}
		})
	}
}

func TestRefuse(t *testing.T) {
	p := toxic.New(t, echo(t))
	before, address := dial(t, p), p.Address
	if err := roundTrip(before, longTimeout); err != nil {
		t.Fatal(err)
	}
	p.Refuse()
	if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection: %v", err)
	}
	if err := roundTrip(before, longTimeout); err == nil {
		t.Error("an open connection still works")
	}
	p.Open(t)
	if p.Address != address {
		t.Errorf("the address changed from %s to %s", address, p.Address)
	}
	if err := roundTrip(dial(t, p), longTimeout); err != nil {
		t.Error(err)
	}
}
